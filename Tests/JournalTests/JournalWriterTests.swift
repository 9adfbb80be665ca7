// JournalWriter: what a caller sees, on a disk that does as it is told.

import Glibc
import Journal
import Metrics
import Testing

@Suite("JournalWriter")
struct JournalWriterTests {
    @Test("options that cannot work are refused with what to change")
    func options() {
        var options = JournalOptions.small()
        options.maxBytes = 64 << 10
        #expect(throws: JournalError.options(.logTooSmall)) { try openJournal(SimulatedDisk(seed: 1), options) }
        options = .small()
        options.recordBytesMax = 40 << 10
        #expect(throws: JournalError.options(.recordTooLarge)) { try openJournal(SimulatedDisk(seed: 1), options) }
        options = .small()
        options.namespaceShare = 0
        #expect(throws: JournalError.options(.share)) { try openJournal(SimulatedDisk(seed: 1), options) }
        #expect(JournalError.options(.logTooSmall).message.contains("--journal-max-bytes"))
    }

    @Test("a second server on the directory is told so")
    func lock() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk)
        #expect(throws: JournalError.locked) { try openJournal(disk) }
        // The refused one must not have given the first one's lock back: nobody holds two.
        writer.close(now: seconds(1000))
    }

    @Test("a full disk at the start is one clear error")
    func noSpaceAtStart() {
        let disk = SimulatedDisk(seed: 1)
        disk.withFaults { $0.capacity = 10_000 }
        #expect(throws: JournalError.noSpace) { try openJournal(disk) }
    }

    @Test("a request larger than a record may be is refused, and the next one is not")
    func tooLarge() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 1))
        let large = TestDelivery(body: Array(repeating: 65, count: 33 << 10))
        #expect(large.append(to: writer) == .refused(.tooLarge))
        #expect(writer.groupRecordCount == 0)
        try store(TestDelivery("small"), in: writer)
    }

    @Test("a delivery comes back with every field after a restart")
    func roundTrip() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, first) = try openJournal(disk)
        #expect(first.nextSequence == 1)
        #expect(first.owed.isEmpty)
        let delivery = TestDelivery("a body").identified("id-1", by: writer)
        delivery.cluster = "east"
        delivery.token = 99
        let sequence = try store(delivery, in: writer)
        #expect(sequence == 1)
        let committed = Array(writer.committedDeliveries)
        #expect(committed.map(\.sequence) == [1])
        #expect(committed.map(\.routeToken) == [99])
        let record = try #require(try writer.reader.read(committed[0].location, expecting: 1))
        #expect(Array(record.head) == delivery.head)
        #expect(Array(record.body) == delivery.body)
        #expect(record.cluster == "east")
        #expect(record.deliveryID == "id-1")
        #expect(record.header.dedupeHash == delivery.hash)

        disk.kill()
        let (again, report) = try openJournal(disk)
        #expect(report.damage.isEmpty)
        let owed = try #require(report.owed.first)
        #expect(report.owed.count == 1)
        #expect(owed.sequence == 1)
        #expect(owed.cluster == "east")
        #expect(owed.namespace == "team-a")
        #expect(owed.name == "webapp")
        #expect(owed.deliveryID == "id-1")
        #expect(owed.eventName == "push")
        #expect(owed.receiverKind == 2)
        #expect(owed.senderType == 3)
        #expect(owed.plan == nil)
        #expect(report.nextSequence > 1)
        let body = try #require(try again.reader.read(owed.location, expecting: 1)).body
        #expect(Array(body) == delivery.body)
    }

    @Test("empty head, body and texts are as good as others, and texts of 255 bytes are cut, not refused")
    func extremes() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 1))
        let empty = TestDelivery(head: [], body: [])
        (empty.cluster, empty.namespace, empty.name, empty.eventName) = ("", "", "", "")
        let long = TestDelivery("x")
        long.name = String(repeating: "n", count: 300)
        _ = empty.append(to: writer)
        _ = long.append(to: writer)
        #expect(writer.commit(now: 0) == .durable(through: 2))
        let locations = Array(writer.committedDeliveries)
        let first = try #require(try writer.reader.read(locations[0].location, expecting: 1))
        #expect(first.body.isEmpty && first.head.isEmpty && first.name == "")
        let second = try #require(try writer.reader.read(locations[1].location, expecting: 2))
        #expect(second.name == String(repeating: "n", count: 255))
        // The reader answers only for what it was asked.
        #expect(throws: JournalError.self) { try writer.reader.read(locations[1].location, expecting: 1) }
    }

    @Test("one commit syncs once, whatever the group's size, and an empty one not at all")
    func oneSync() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk)
        let before = disk.syncCount
        let deliveries = (0..<40).map { TestDelivery("number \($0)") }
        for delivery in deliveries { _ = delivery.append(to: writer) }
        #expect(writer.groupRecordCount == 40)
        #expect(writer.commit(now: 0) == .durable(through: 40))
        #expect(disk.syncCount == before + 1)
        #expect(writer.commit(now: 0) == .durable(through: 40))
        #expect(disk.syncCount == before + 1)
        #expect(writer.metrics.deliveries.value == 40)
        #expect(writer.metrics.syncs.value == 1)
    }

    @Test("stored and ignored deliveries are final at once")
    func finalAtOnce() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk)
        let stored = TestDelivery("stored")
        stored.decision = .stored
        let ignored = TestDelivery("ignored")
        ignored.decision = .ignored
        ignored.ignoredReason = 5
        _ = stored.append(to: writer)
        _ = ignored.append(to: writer)
        _ = writer.commit(now: 0)
        #expect(writer.committedDeliveries.isEmpty)
        #expect(writer.owedCount == 0)
        disk.kill()
        #expect(try openJournal(disk).1.owed.isEmpty)
    }

    @Test("a planned delivery is owed until every entry is final, and says after a restart how far it came")
    func plans() throws {
        let disk = SimulatedDisk(seed: 1)
        var (writer, _) = try openJournal(disk)
        try store(TestDelivery("a"), in: writer)
        let plan = [PlanEntry(actionKind: 1, target: [1, 2]), PlanEntry(actionKind: 4, target: [])]
        #expect(writer.appendPlan(sequence: 1, entries: plan, now: 0))
        writer.appendOutcomes(
            [
                OutcomeEntry(sequence: 1, planIndex: 1, outcome: .failed, detail: 1, reason: "503"),
                OutcomeEntry(sequence: 1, planIndex: 0, outcome: .done),
                OutcomeEntry(sequence: 1, planIndex: 1, outcome: .failed, detail: 2, reason: "timeout"),
            ], now: 0)
        #expect(writer.hasUnsyncedHousekeeping)
        writer.tick(now: seconds(1001))
        #expect(!writer.hasUnsyncedHousekeeping)
        #expect(writer.owedCount == 1)
        disk.crash()
        var report: RecoveryReport
        (writer, report) = try openJournal(disk)
        #expect(report.damage.isEmpty)
        #expect(report.owed.map(\.plan) == [plan])
        #expect(
            report.owed.first?.progress == [
                ActionProgress(planIndex: 0, outcome: .done),
                ActionProgress(planIndex: 1, attempts: 2, reason: "timeout"),
            ])
        writer.appendOutcomes([OutcomeEntry(sequence: 1, planIndex: 1, outcome: .dead, reason: "gone")], now: 0)
        #expect(writer.owedCount == 0)
        writer.tick(now: seconds(1002))
        disk.crash()
        (_, report) = try openJournal(disk)
        #expect(report.owed.isEmpty)
    }

    @Test("an outcome for the whole delivery ends it without a plan; an empty plan does too")
    func wholeDelivery() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 1))
        try store(TestDelivery("a"), in: writer)
        try store(TestDelivery("b"), in: writer)
        writer.appendOutcomes([OutcomeEntry(sequence: 1, outcome: .ignored, reason: "route-removed")], now: 0)
        #expect(writer.owedCount == 1)
        writer.appendPlan(sequence: 2, entries: [], now: 0)
        #expect(writer.owedCount == 0)
    }

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

    @Test("a group larger than a segment is written in parts")
    func largeGroup() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk)
        let deliveries = (0..<40).map { number in
            TestDelivery(body: Array(repeating: UInt8(number), count: 4000))
        }
        for delivery in deliveries { _ = delivery.append(to: writer) }
        #expect(writer.commit(now: 0) == .durable(through: 40))
        #expect(writer.committedDeliveries.map(\.sequence) == Array(1...40))
        for (committed, delivery) in zip(Array(writer.committedDeliveries), deliveries) {
            let record = try #require(try writer.reader.read(committed.location, expecting: committed.sequence))
            #expect(Array(record.body) == delivery.body)
        }
        disk.crash()
        let (_, report) = try openJournal(disk)
        #expect(report.owed.map(\.sequence) == Array(1...40))
        #expect(report.damage.isEmpty)
    }

    @Test("follow yields the deliveries of a range in order, over segments")
    func follow() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 1))
        for number in 0..<60 {
            try store(TestDelivery(body: Array(repeating: UInt8(number), count: 3000)), in: writer)
            if number % 7 == 0 { writer.appendOutcomes([OutcomeEntry(sequence: 1, outcome: .failed)], now: 0) }
        }
        var bodies: [UInt8] = []
        var sequences: [UInt64] = []
        try writer.reader.follow(from: 1, through: writer.nextSequence) { record in
            sequences.append(record.sequence)
            bodies.append(record.body.first!)
            return true
        }
        #expect(bodies == (0..<60).map { UInt8($0) })
        #expect(sequences == sequences.sorted())
        var some: [UInt64] = []
        try writer.reader.follow(from: sequences[10], through: sequences[20]) { record in
            some.append(record.sequence)
            return some.count < 5
        }
        #expect(some == Array(sequences[10..<15]))
    }
}
