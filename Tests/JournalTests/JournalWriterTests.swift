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
