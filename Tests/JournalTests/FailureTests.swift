// What happens when the disk fails while the server lives: nothing is answered, nothing is forgotten, and it heals.

import Glibc
import Metrics
import Testing

@testable import Journal

@Suite("Journal failures")
struct FailureTests {
    @Test("a failed sync fails the whole group, seals the segment for ever, and a probe in a new one heals")
    func failedSync() throws {
        let disk = SimulatedDisk(seed: 5)
        var (writer, report) = try openJournal(disk)
        try store(TestDelivery("before"), in: writer)
        disk.withFaults { $0.failSyncs = 1 }
        let lost = [TestDelivery("one"), TestDelivery("two")]
        for delivery in lost { _ = delivery.append(to: writer) }
        #expect(writer.commit(now: 0) == .failed(.failed(DiskError(code: EIO, operation: .sync))))
        #expect(writer.committedDeliveries.isEmpty)
        #expect(!writer.isAccepting)
        #expect(writer.refusalReason == .failed(DiskError(code: EIO, operation: .sync)))
        #expect(writer.owedCount == 1)
        let sealed = disk.content("0000000000000001.segment")
        #expect(TestDelivery("refused").append(to: writer) == .refused(.sealed))
        #expect(writer.commit(now: 0) == .failed(.failed(DiskError(code: EIO, operation: .sync))))

        writer.tick(now: seconds(1001))
        #expect(writer.isAccepting)
        #expect(writer.metrics.probes.value == 1)
        let after = try store(TestDelivery("after"), in: writer)
        #expect(after > 3, "sequences are not used twice")
        #expect(disk.content("0000000000000001.segment") == sealed, "a sealed segment is not touched again")
        disk.crash()
        (writer, report) = try openJournal(disk)
        #expect(report.damage.isEmpty)
        #expect(report.owed.map(\.sequence) == [1, after], "what failed is void, although it may be on the disk")
    }

    @Test("a failed or short write counts as much")
    func failedWrite() throws {
        let disk = SimulatedDisk(seed: 6)
        let (writer, _) = try openJournal(disk)
        disk.withFaults { $0.shortWritePercent = 100 }
        let large = (0..<5).map { TestDelivery(body: Array(repeating: UInt8($0), count: 3000)) }
        for delivery in large { _ = delivery.append(to: writer) }
        #expect(writer.commit(now: 0) == .durable(through: 5))
        for (committed, delivery) in zip(Array(writer.committedDeliveries), large) {
            let record = try #require(try writer.reader.read(committed.location, expecting: committed.sequence))
            #expect(Array(record.body) == delivery.body)
        }
        disk.withFaults { $0 = SimulatedDisk.Faults(failWrites: 1) }
        _ = TestDelivery("x").append(to: writer)
        #expect(writer.commit(now: 0) == .failed(.failed(DiskError(code: EIO, operation: .write))))
        #expect(writer.metrics.writeFailures.value == 1)
        writer.tick(now: seconds(1001))
        #expect(writer.isAccepting)
        disk.crash()
        #expect(try openJournal(disk).1.damage.isEmpty)
    }

    @Test("while the disk stays broken each probe takes a new segment, and none of them piles up")
    func longFailure() throws {
        let disk = SimulatedDisk(seed: 7)
        let (writer, _) = try openJournal(disk)
        try store(TestDelivery("a"), in: writer)
        writer.appendOutcomes([OutcomeEntry(sequence: 1, planIndex: 0, outcome: .failed, detail: 1)], now: 0)
        disk.withFaults { $0.failedWritePercent = 100 }
        _ = TestDelivery("b").append(to: writer)
        _ = writer.commit(now: 0)
        for second in 0..<50 {
            writer.appendOutcomes([OutcomeEntry(sequence: 1, planIndex: 0, outcome: .failed, detail: 1)], now: 0)
            writer.tick(now: seconds(1001 + second))
            #expect(!writer.isAccepting)
        }
        #expect(disk.names.count < 8)
        #expect(writer.bytesUsed <= 512 << 10)
        // Attempts are not kept in memory while nothing can be written, a final outcome is.
        #expect(writer.groupRecordCount <= 1)
        writer.appendOutcomes([OutcomeEntry(sequence: 1, outcome: .done)], now: 0)
        disk.withFaults { $0 = SimulatedDisk.Faults() }
        for second in 0..<5 { writer.tick(now: seconds(2000 + second)) }
        #expect(writer.isAccepting)
        #expect(!writer.hasUnsyncedHousekeeping)
        disk.crash()
        let (_, report) = try openJournal(disk)
        #expect(report.damage.isEmpty)
        #expect(report.owed.isEmpty, "the outcome was not lost with the failed groups")
    }

    @Test("a disk that fails while all the log may hold is owed heals, and the outcomes that wait make room")
    func failureWhenFull() throws {
        let disk = SimulatedDisk(seed: 15)
        let options = JournalOptions.small(maxBytes: 192 << 10)
        let (writer, _) = try openJournal(disk, options)
        var owed: [UInt64] = []
        while case .appended(let sequence) = TestDelivery(body: Array(repeating: 66, count: 4000)).append(to: writer) {
            guard case .durable = writer.commit(now: 0) else { break }
            owed.append(sequence)
            writer.tick(now: seconds(1000))
        }
        #expect(writer.refusalReason == .full)
        #expect(writer.bytesUsed + options.firstSegmentBytes > options.maxBytes)
        let finals = owed.prefix(owed.count / 2)
        writer.appendOutcomes(finals.map { OutcomeEntry(sequence: $0, outcome: .done) }, now: seconds(1001))
        disk.withFaults { $0.failSyncs = 2 }
        for second in 0..<10 {
            writer.tick(now: seconds(1001 + second))
            #expect(writer.bytesUsed <= options.maxBytes + options.healingBytes)
        }
        #expect(writer.metrics.syncFailures.value > 0)
        #expect(writer.isAccepting)
        owed.append(try store(TestDelivery("again"), in: writer))
        #expect(writer.bytesUsed <= options.maxBytes)
        disk.crash()
        let (_, report) = try openJournal(disk, options)
        #expect(report.damage.isEmpty)
        #expect(report.owed.map(\.sequence) == Array(owed.dropFirst(finals.count)))
    }

    @Test("a full disk refuses, keeps what is owed, and goes on when there is room")
    func noSpace() throws {
        let disk = SimulatedDisk(seed: 8)
        var (writer, report) = try openJournal(disk)
        // The first and the second segment exist; nothing more fits.
        disk.withFaults { $0.capacity = 120 << 10 }
        var kept: [UInt64] = []
        while true {
            let delivery = TestDelivery(body: Array(repeating: 66, count: 4000))
            guard case .appended(let sequence) = delivery.append(to: writer) else { break }
            guard case .durable = writer.commit(now: 0) else { break }
            kept.append(sequence)
        }
        #expect(writer.refusalReason == .noSpace)
        #expect(!writer.isAccepting)
        #expect(kept.count > 15)
        writer.tick(now: seconds(1001))
        #expect(!writer.isAccepting)
        disk.withFaults { $0.capacity = Int.max }
        writer.tick(now: seconds(1002))
        #expect(writer.isAccepting)
        try store(TestDelivery("again"), in: writer)
        disk.crash()
        (writer, report) = try openJournal(disk)
        #expect(report.owed.map(\.sequence).prefix(kept.count) == kept[...])
    }

    @Test("a full disk recycles a segment that owes nothing before its time")
    func noSpaceRecycles() throws {
        let disk = SimulatedDisk(seed: 8)
        let (writer, _) = try openJournal(disk)
        disk.withFaults { $0.capacity = 180 << 10 }
        for second in 0..<100 {
            let delivery = TestDelivery(body: Array(repeating: 66, count: 4000))
            delivery.decision = .stored
            if case .appended = delivery.append(to: writer) { _ = writer.commit(now: 0) }
            writer.tick(now: seconds(1000 + second))
        }
        #expect(writer.isAccepting)
        #expect(writer.metrics.segmentsRecycled.value > 0)
    }

    @Test("a group that no segment can take any more fails without sealing anything")
    func fullInTheMiddle() throws {
        let disk = SimulatedDisk(seed: 9)
        let (writer, _) = try openJournal(disk)
        disk.withFaults { $0.capacity = 120 << 10 }
        // More than two segments: the first parts become durable, the rest does not.
        let deliveries = (0..<40).map { TestDelivery(body: Array(repeating: UInt8($0), count: 4000)) }
        for delivery in deliveries { _ = delivery.append(to: writer) }
        #expect(writer.commit(now: 0) == .failed(.noSpace))
        let durable = writer.committedDeliveries.map(\.sequence)
        #expect(!durable.isEmpty && durable.count < 40)
        #expect(durable == Array(1...UInt64(durable.count)))
        #expect(writer.owedCount == durable.count)
        disk.withFaults { $0.capacity = Int.max }
        writer.tick(now: seconds(1001))
        let next = try store(TestDelivery("next"), in: writer)
        disk.crash()
        let (_, report) = try openJournal(disk)
        #expect(report.damage.isEmpty)
        #expect(report.owed.map(\.sequence) == durable + [next])
    }

    @Test("a repeat in a failed group shares its fate; afterwards the id is unknown again")
    func failedDuplicate() throws {
        let disk = SimulatedDisk(seed: 10)
        let (writer, _) = try openJournal(disk)
        let first = TestDelivery("x").identified("id", by: writer)
        let second = TestDelivery("x").identified("id", by: writer)
        #expect(first.append(to: writer) == .appended(sequence: 1))
        #expect(second.append(to: writer) == .duplicate(of: 1, sequence: 2))
        disk.withFaults { $0.failSyncs = 1 }
        guard case .failed = writer.commit(now: 0) else {
            Issue.record("the sync failed")
            return
        }
        writer.tick(now: seconds(1001))
        guard case .appended = TestDelivery("x").identified("id", by: writer).append(to: writer) else {
            Issue.record("the id of a failed group is remembered")
            return
        }
    }

    @Test("in asynchronous mode a commit waits for no sync, and a tick syncs")
    func asynchronous() throws {
        let disk = SimulatedDisk(seed: 11)
        let (writer, _) = try openJournal(disk, .small(durability: .async))
        try store(TestDelivery("first"), in: writer)
        let before = disk.syncCount
        try store(TestDelivery("second"), in: writer)
        #expect(disk.syncCount == before)
        writer.tick(now: seconds(1001))
        #expect(disk.syncCount == before + 1)
        disk.withFaults { $0.failSyncs = 1 }
        try store(TestDelivery("third"), in: writer)
        writer.tick(now: seconds(1002))
        #expect(writer.metrics.syncFailures.value == 1)
        writer.tick(now: seconds(1003))
        #expect(writer.isAccepting)
        disk.kill()
        let (_, report) = try openJournal(disk, .small(durability: .async))
        #expect(report.owed.count == 3)
        #expect(report.nextSequence > 1_000_000, "no sequence is given out twice")
    }

    @Test("a segment that was being recycled when the power went never brings old deliveries back")
    func tornRecycling() throws {
        for seed in seeds(quick: 40) {
            let disk = SimulatedDisk(seed: seed)
            let (writer, _) = try openJournal(disk, .small(maxBytes: 192 << 10))
            var finals: Set<UInt64> = []
            var generator = SeededGenerator(seed: seed)
            disk.withFaults { $0.dieAfter = Int.random(in: 100..<400, using: &generator) }
            for _ in 0..<200 {
                let delivery = TestDelivery(body: Array(repeating: 1, count: 3000))
                guard case .appended(let sequence) = delivery.append(to: writer) else { break }
                guard case .durable = writer.commit(now: 0) else { break }
                writer.appendOutcomes([OutcomeEntry(sequence: sequence, outcome: .done)], now: 0)
                guard case .durable = writer.commit(now: 0) else { break }
                finals.insert(sequence)
            }
            disk.crash()
            let (_, report) = try openJournal(disk, .small(maxBytes: 192 << 10))
            #expect(report.damage.isEmpty, "seed \(seed)")
            for owed in report.owed { #expect(!finals.contains(owed.sequence), "seed \(seed)") }
        }
    }

    @Test("damage in the middle of a log is reported to the sequence, the rest is recovered, and the server starts")
    func damage() throws {
        let disk = SimulatedDisk(seed: 12)
        let (writer, _) = try openJournal(disk)
        for number in 0..<30 { try store(TestDelivery(body: Array(repeating: UInt8(number), count: 3000)), in: writer) }
        let location = try #require(report(disk, writer).first { $0.sequence == 4 }?.location)
        writer.close(now: 0)
        let name = "0000000000000001.segment"
        var bytes = try #require(disk.content(name))
        bytes[Int(location.offset) + 1000] ^= 0x10
        disk.kill()
        disk.remove(name, andPlace: bytes)
        let (again, report) = try openJournal(disk)
        #expect(report.damage.count == 1)
        #expect(report.damage.first?.kind == .payload)
        #expect(report.damage.first?.missing == 4...4)
        #expect(report.damage.first?.offset == Int(location.offset))
        #expect(report.owed.count == 29)
        #expect(again.metrics.damage.value == 1)
    }

    @Test("what was merged into a delivery that damage took is owed again, unless that one was done")
    func mergedIntoDamage() throws {
        for isDone in [false, true] {
            let disk = SimulatedDisk(seed: 14)
            let (writer, _) = try openJournal(disk)
            for number in 0..<3 {
                try store(TestDelivery(body: Array(repeating: UInt8(number), count: 3000)), in: writer)
            }
            let location = try #require(report(disk, writer).first { $0.sequence == 3 }?.location)
            let plan = [PlanEntry(actionKind: 1, target: [1])]
            for sequence in 1...3 as ClosedRange<UInt64> {
                writer.appendPlan(sequence: sequence, entries: plan, now: 0)
            }
            writer.appendOutcomes(
                [
                    OutcomeEntry(sequence: 1, planIndex: 0, outcome: .merged, detail: 2),
                    OutcomeEntry(sequence: 2, planIndex: 0, outcome: .merged, detail: 3),
                ], now: 0)
            if isDone {
                writer.appendOutcomes([OutcomeEntry(sequence: 3, planIndex: 0, outcome: .done)], now: 0)
            }
            writer.close(now: 0)
            let name = "0000000000000001.segment"
            var bytes = try #require(disk.content(name))
            bytes[Int(location.offset) + 1000] ^= 0x10
            disk.kill()
            disk.remove(name, andPlace: bytes)
            // The newest that is still there stands for all; and once it is done, it stays done.
            var (again, found) = try openJournal(disk)
            #expect(found.damage.map(\.missing) == [3...3])
            #expect(found.owed.map(\.sequence) == (isDone ? [] : [2]))
            guard !isDone else { continue }
            #expect(found.owed.first?.plan == plan)
            #expect(found.owed.first?.progress.contains { $0.outcome != nil } == false)
            again.appendOutcomes([OutcomeEntry(sequence: 2, planIndex: 0, outcome: .done)], now: 0)
            #expect(again.owedCount == 0)
            again.close(now: 0)
            disk.kill()
            (again, found) = try openJournal(disk)
            #expect(found.owed.isEmpty)
        }
    }

    private func report(_ disk: SimulatedDisk, _ writer: JournalWriter) throws -> [StoredRecord] {
        var records: [StoredRecord] = []
        try writer.reader.follow(from: 1, through: writer.nextSequence) {
            records.append($0)
            return true
        }
        return records
    }

    @Test("a segment that cannot be read at all is reported with what was in it")
    func unreadableSegment() throws {
        let disk = SimulatedDisk(seed: 13)
        let (writer, _) = try openJournal(disk)
        for number in 0..<50 { try store(TestDelivery(body: Array(repeating: UInt8(number), count: 3000)), in: writer) }
        writer.close(now: 0)
        let second = try #require(disk.content("0000000000000002.segment"))
        let lost = second.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }.records.map(\.header.sequence)
        disk.kill()
        disk.remove("0000000000000002.segment", andPlace: Array(repeating: 0xEE, count: second.count))
        let (_, report) = try openJournal(disk)
        let missing = try #require(report.damage.first { $0.missing != nil })
        #expect(missing.segment == 2)
        #expect(missing.missing == lost.first!...lost.last!)
        #expect(report.owed.count == 50 - lost.count)
    }
}

extension SimulatedDisk {
    func remove(_ name: String, andPlace bytes: [UInt8]) { place(name, bytes) }
}
