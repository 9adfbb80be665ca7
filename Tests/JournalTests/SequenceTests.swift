// Sequences never go back: what the log still holds says how far they went, at every moment and after every crash.

import Glibc
import Journal
import Testing

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
