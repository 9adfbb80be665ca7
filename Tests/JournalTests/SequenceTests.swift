// Sequences never go back: what the log still holds says how far they went, at every moment and after every crash.

import Glibc
import Testing

@testable import Journal

@Suite("Sequences")
struct SequenceTests {
    @Test(
        "a server that starts when all it has is too old gives out no sequence again, and lets go what is old all the same"
    )
    func retentionAfterStart() throws {
        let disk = SimulatedDisk(seed: 1)
        var (writer, report) = try openJournal(disk)
        let last = try storeFinal(12, in: writer)
        writer.close(now: seconds(1000))
        disk.kill()
        let weeks = seconds(1000 + 14 * 24 * 3600)
        (writer, report) = try openJournal(disk, now: weeks)
        #expect(report.nextSequence > last)
        let old = disk.content("0000000000000001.segment")
        for second in 0..<10 { writer.tick(now: weeks + seconds(second)) }
        #expect(old != nil && disk.content("0000000000000001.segment") == nil, "what is too old is gone")
        disk.crash()
        (writer, report) = try openJournal(disk, now: weeks)
        #expect(report.nextSequence > last)
    }

    @Test(
        "a disk that is full and fails, with nothing owed: whenever the power goes, the next start goes on above what was answered"
    )
    func fullDisk() throws {
        for seed in seeds(quick: 120) {
            let disk = SimulatedDisk(seed: seed)
            var generator = SeededGenerator(seed: seed)
            var (writer, report) = try openJournal(disk)
            disk.withFaults { $0.capacity = [112 << 10, 130 << 10, 200 << 10].randomElement(using: &generator)! }
            var last = try storeFinal(Int.random(in: 1...40, using: &generator), in: writer)
            disk.withFaults {
                $0.failedWritePercent = [0, 60, 100].randomElement(using: &generator)!
                $0.failWrites = 1
                $0.dieAfter = Int.random(in: 0..<60, using: &generator)
            }
            for second in 0..<20 {
                if let stored = try? storeFinal(1, in: writer) { last = max(last, stored) }
                writer.tick(now: seconds(1001 + second))
            }
            disk.crash()
            (writer, report) = try openJournal(disk)
            #expect(report.nextSequence > last, "GRAPNEL_SEED=\(seed)")
            #expect(report.damage.isEmpty, "GRAPNEL_SEED=\(seed)")
            #expect(writer.isAccepting, "GRAPNEL_SEED=\(seed)")
        }
    }

    @Test("a full disk whose only segment was given up stays refused until there is room, and then goes on")
    func onlySegment() throws {
        let disk = SimulatedDisk(seed: 3)
        var (writer, report) = try openJournal(disk)
        let last = try storeFinal(5, in: writer)
        disk.withFaults {
            $0.capacity = 0
            $0.failedWritePercent = 100
        }
        for second in 0..<10 {
            _ = try? storeFinal(1, in: writer)
            writer.tick(now: seconds(1001 + second))
        }
        #expect(!writer.isAccepting)
        #expect(disk.content("0000000000000001.segment") != nil)
        disk.withFaults { $0 = SimulatedDisk.Faults() }
        for second in 0..<3 { writer.tick(now: seconds(1020 + second)) }
        #expect(writer.isAccepting)
        #expect(try storeFinal(1, in: writer) > last)
        disk.crash()
        (writer, report) = try openJournal(disk)
        #expect(report.nextSequence > last + 1)
    }

    @Test("with all else unreadable, kept segments still say how far the sequences went, and whose journal it is")
    func onlyKept() throws {
        let disk = SimulatedDisk(seed: 4)
        let options = JournalOptions.small(durability: .async)
        var (writer, report) = try openJournal(disk, options)
        // Each start goes on a million further up.
        for _ in 0..<2 {
            try store(TestDelivery("x"), in: writer)
            writer.close(now: seconds(1000))
            disk.kill()
            (writer, report) = try openJournal(disk, options)
        }
        while case .appended = TestDelivery(body: Array(repeating: 66, count: 4000)).append(to: writer) {
            _ = writer.commit(now: seconds(1000))
            writer.tick(now: seconds(1000))
        }
        let kept = disk.names.filter { SegmentFileName.keptNumber($0) != nil }
        #expect(kept.count > 3)
        let name = writer.dedupeKey.journalName
        let next = writer.nextSequence
        #expect(next > 2_000_000)
        writer.close(now: seconds(1001))
        disk.kill()
        for name in disk.names where !kept.contains(name) {
            disk.place(name, Array(repeating: 0xEE, count: disk.content(name)!.count))
        }
        (writer, report) = try openJournal(disk, options)
        #expect(report.nextSequence > next)
        #expect(writer.dedupeKey.journalName == name)
    }

    @Test(
        "an unreadable segment makes the sequences jump at the one start that finds nothing behind it, and never again")
    func jump() throws {
        for isLast in [false, true] {
            let disk = SimulatedDisk(seed: 5)
            var (writer, report) = try openJournal(disk)
            try storeFinal(40, in: writer)
            let numbers = writer.reader.directory.segments.map(\.number)
            #expect(numbers.count > 3)
            writer.close(now: seconds(1000))
            var next = writer.nextSequence
            disk.kill()
            let name = SegmentFileName.segment(isLast ? numbers.last! : numbers[1])
            disk.place(name, Array(repeating: 0xEE, count: disk.content(name)!.count))
            for start in 0..<3 {
                (writer, report) = try openJournal(disk)
                #expect(report.nextSequence >= next)
                #expect((report.nextSequence > next + 100_000) == (isLast && start == 0), "start \(start)")
                writer.close(now: seconds(1000))
                next = writer.nextSequence
                disk.kill()
            }
        }
    }

    @Test("also when nothing is synced, a crash makes no sequence that was given out come again")
    func unsynced() throws {
        for seed in seeds(quick: 60) {
            let disk = SimulatedDisk(seed: seed)
            var generator = SeededGenerator(seed: seed)
            let options = JournalOptions.small(maxBytes: 192 << 10, durability: .none)
            var (writer, report) = try openJournal(disk, options)
            let last = try storeFinal(Int.random(in: 1...60, using: &generator), in: writer)
            disk.crash()
            (writer, report) = try openJournal(disk, options)
            #expect(report.nextSequence > last, "GRAPNEL_SEED=\(seed)")
        }
    }

    @Test("a start that is damaged in the only segment there is takes no sequence with it, over two starts")
    func onlyProbe() throws {
        let disk = SimulatedDisk(seed: 6)
        var (writer, report) = try openJournal(disk)
        let last = try storeFinal(5, in: writer)
        writer.close(now: seconds(1000))
        disk.kill()
        let weeks = seconds(1000 + 14 * 24 * 3600)
        (writer, report) = try openJournal(disk, now: weeks)
        for second in 0..<10 { writer.tick(now: weeks + seconds(second)) }
        let started = writer.reader.directory.segments.map(\.number)
        #expect(started.count == 1 && started != [1])
        disk.kill()
        let name = SegmentFileName.segment(started[0])
        var bytes = disk.content(name)!
        for offset in JournalFormat.startOffset..<JournalFormat.segmentHeaderBytes { bytes[offset] = 0 }
        disk.place(name, bytes)
        for start in 0..<2 {
            (writer, report) = try openJournal(disk, now: weeks)
            #expect(report.nextSequence > last, "start \(start)")
            disk.crash()
        }
    }

    /// Deliveries of which nothing is owed; the last one's sequence. Refused ones are left out.
    @discardableResult
    private func storeFinal(_ count: Int, in writer: JournalWriter) throws -> UInt64 {
        var last: UInt64 = 0
        for number in 0..<count {
            let delivery = TestDelivery(body: Array(repeating: UInt8(truncatingIfNeeded: number), count: 4000))
            delivery.decision = .stored
            guard let stored = try? store(delivery, in: writer) else { continue }
            last = stored
        }
        guard last > 0 else { throw TestFailure.refused }
        return last
    }
}
