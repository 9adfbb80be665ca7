// What leaves the log and what stays: bytes, shares, age, and what is carried forward.

import Journal
import Metrics
import Testing

@Suite("Retention")
struct RetentionTests {
    @Test("a log that wraps recycles what nothing is owed in, and stays within its bytes")
    func wraps() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk)
        for number in 0..<400 {
            let delivery = TestDelivery(body: Array(repeating: UInt8(number & 0xFF), count: 4000))
            delivery.decision = .stored
            try store(delivery, in: writer)
            #expect(writer.bytesUsed <= 512 << 10)
        }
        #expect(writer.metrics.segmentsRecycled.value > 10)
        disk.crash()
        let (_, report) = try openJournal(disk)
        #expect(report.damage.isEmpty)
        #expect(report.nextSequence > 400)
    }

    @Test("a log in which all is owed refuses, loses nothing, and accepts again when outcomes come")
    func full() throws {
        let disk = SimulatedDisk(seed: 1)
        var (writer, report) = try openJournal(disk)
        var sequences: [UInt64] = []
        fill: while true {
            let delivery = TestDelivery(body: Array(repeating: 66, count: 4000))
            switch delivery.append(to: writer) {
            case .appended(let sequence): sequences.append(sequence)
            case .refused(let reason):
                #expect(reason == .full)
                break fill
            case .duplicate: Issue.record("no ids here")
            }
            guard case .durable = writer.commit(now: 0) else {
                Issue.record("commit failed")
                break
            }
            writer.tick(now: seconds(1000))
        }
        #expect(!writer.isAccepting)
        #expect(writer.refusalReason == .full)
        #expect(writer.bytesUsed <= 512 << 10)
        disk.crash()
        (writer, report) = try openJournal(disk)
        #expect(report.owed.map(\.sequence) == sequences)
        writer.appendOutcomes(sequences.map { OutcomeEntry(sequence: $0, outcome: .done) }, now: 0)
        writer.tick(now: seconds(1001))
        writer.tick(now: seconds(1002))
        #expect(writer.isAccepting)
        try store(TestDelivery("again"), in: writer)
    }

    @Test("one namespace may not fill the log alone; the others go on")
    func share() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 1), .small(namespaceShare: 0.1))
        var refused = 0
        for _ in 0..<20 {
            let delivery = TestDelivery(body: Array(repeating: 66, count: 4000))
            if delivery.append(to: writer) == .refused(.namespaceShare) { refused += 1 }
            _ = writer.commit(now: 0)
        }
        #expect(refused > 5)
        let other = TestDelivery("b")
        other.namespace = "team-b"
        let sequence = try store(other, in: writer)
        #expect(writer.isAccepting)
        writer.appendOutcomes((1..<sequence).map { OutcomeEntry(sequence: $0, outcome: .dead) }, now: 0)
        try store(TestDelivery(body: Array(repeating: 66, count: 4000)), in: writer)
    }

    @Test("a few owed deliveries in the oldest segment are copied forward with plan and outcomes, and found again")
    func copiesForward() throws {
        let disk = SimulatedDisk(seed: 3)
        var (writer, report) = try openJournal(disk)
        let owed = TestDelivery("the one that waits")
        try store(owed, in: writer)
        let location = writer.committedDeliveries[0].location
        let plan = [PlanEntry(actionKind: 9, target: [9]), PlanEntry(actionKind: 8, target: [])]
        writer.appendPlan(sequence: 1, entries: plan, now: 0)
        var clock = 1000
        for number in 0..<600 {
            let delivery = TestDelivery(body: Array(repeating: UInt8(number & 0xFF), count: 4000))
            delivery.decision = .stored
            try store(delivery, in: writer)
            if number == 20 {
                writer.appendOutcomes([OutcomeEntry(sequence: 1, planIndex: 0, outcome: .done)], now: 0)
            }
            clock += 1
            writer.tick(now: seconds(clock))
        }
        #expect(writer.metrics.copies.value > 0)
        #expect(writer.owedCount == 1)
        let record = try #require(try writer.reader.read(location, expecting: 1))
        #expect(record.header.isCopied)
        #expect(Array(record.body) == owed.body)
        disk.crash()
        (writer, report) = try openJournal(disk)
        #expect(report.damage.isEmpty)
        #expect(report.owed.map(\.sequence) == [1])
        #expect(report.owed.first?.plan == plan)
        #expect(report.owed.first?.progress == [ActionProgress(planIndex: 0, outcome: .done)])
        writer.appendOutcomes([OutcomeEntry(sequence: 1, planIndex: 1, outcome: .done)], now: 0)
        #expect(writer.owedCount == 0)
    }

    @Test("who follows the log meets what was copied forward out of a segment that is gone, in its place and once")
    func followsCopies() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 3))
        let owed = try store(TestDelivery("the one that waits"), in: writer)
        let location = writer.committedDeliveries[0].location
        for number in 0..<600 {
            let delivery = TestDelivery(body: Array(repeating: UInt8(number & 0xFF), count: 4000))
            delivery.decision = .stored
            try store(delivery, in: writer)
            writer.tick(now: seconds(1000 + number))
        }
        #expect(try writer.reader.read(location, expecting: owed)?.header.isCopied == true)
        var followed: [UInt64] = []
        try writer.reader.follow(from: 1, through: writer.nextSequence - 1) { record in
            followed.append(record.sequence)
            return true
        }
        #expect(followed.first == owed && followed.count > 1)
        #expect(followed == Set(followed).sorted())
        followed = []
        try writer.reader.follow(from: owed + 1, through: owed + 10) { record in
            followed.append(record.sequence)
            return true
        }
        #expect(followed.isEmpty)
    }

    @Test("segments that are old and owe nothing are removed")
    func age() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk, .small(maxAgeSeconds: 3600))
        for number in 0..<60 {
            let delivery = TestDelivery(body: Array(repeating: UInt8(number), count: 4000))
            delivery.decision = .stored
            try store(delivery, in: writer)
        }
        let before = disk.names.count
        for _ in 0..<10 { writer.tick(now: seconds(1000 + 7200)) }
        #expect(disk.names.count < before)
        #expect(writer.metrics.segmentsRemoved.value > 0)
        try store(TestDelivery("still"), in: writer)
    }

    @Test("where little comes, deliveries go by their age all the same, and an idle log stays as it is")
    func ageOfLittle() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk, .small(maxAgeSeconds: 3600))
        var now = 1000
        func pass(_ duration: Int) {
            for _ in 0..<duration / 60 {
                now += 60
                writer.tick(now: seconds(now))
            }
        }
        let old = TestDelivery("old")
        old.decision = .stored
        try store(old, in: writer)
        let owed = try store(TestDelivery("owed"), in: writer)
        pass(7200)
        // What is owed keeps its segment, however old.
        #expect(writer.reader.segments.first.map(\.baseSequence) == 1)
        writer.appendOutcomes([OutcomeEntry(sequence: owed, outcome: .done)], now: seconds(now))
        pass(7200)
        #expect(try #require(writer.reader.segments.first).baseSequence > owed, "\(writer.reader.segments)")
        // Nothing comes: no segment is made for that.
        let made = { writer.metrics.segmentsCreated.value + writer.metrics.segmentsRecycled.value }
        let (before, names) = (made(), disk.names.count)
        pass(36_000)
        #expect(made() == before && disk.names.count == names)
        try store(TestDelivery("still"), in: writer)
    }

    @Test("a log of three segments keeps deliveries for the age when their bytes are not needed")
    func ageOfSmallLog() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk, .small(maxBytes: 3 * (64 << 10), maxAgeSeconds: 3600))
        for minute in 0..<100 {
            let delivery = TestDelivery("\(minute)")
            delivery.decision = .stored
            delivery.receivedAt = seconds(1000 + 60 * minute)
            try store(delivery, in: writer, now: delivery.receivedAt)
            for second in 1...3 { writer.tick(now: delivery.receivedAt + seconds(second)) }
            var oldest: UInt64?
            try writer.reader.follow(from: 1, through: UInt64(minute + 1)) { record in
                oldest = record.header.timeUnixNanoseconds
                return false
            }
            #expect(try #require(oldest) <= seconds(1000 + max(0, 60 * (minute - 59))), "\(minute)")
        }
    }
}
