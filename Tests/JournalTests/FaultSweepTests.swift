// Each call that a journal makes to its disk fails once, one after the other: what was acknowledged stays, and it goes on.

import Glibc
import Metrics
import Testing

@testable import Journal

@Suite("Faults at each call")
struct FaultSweepTests {
    /// A short life: start, some segments full, some deliveries that stay owed, ticks between. The bodies that were acknowledged
    /// and are owed at the end.
    private func live(_ writer: JournalWriter, _ disk: SimulatedDisk) -> [UInt64: [UInt8]] {
        var owed: [UInt64: [UInt8]] = [:]
        for step in 0..<60 {
            let delivery = TestDelivery(body: Array(repeating: UInt8(step), count: 3000 + step))
            if case .appended(let sequence) = delivery.append(to: writer),
                case .durable = writer.commit(now: seconds(1000))
            {
                if step % 7 == 0 {
                    owed[sequence] = delivery.body
                } else {
                    writer.appendOutcomes([OutcomeEntry(sequence: sequence, outcome: .done)], now: seconds(1000))
                }
            }
            writer.tick(now: seconds(1001 + step))
        }
        return owed
    }

    @Test(
        "a change that fails once, whichever it is: nothing acknowledged is lost, the journal heals by itself, no file stays open",
        arguments: [EIO, ENOSPC])
    func changes(code: Int32) throws {
        // Each seventh in a quick run; all of them with GRAPNEL_SEEDS.
        let step = getenv("GRAPNEL_SEEDS") == nil ? 7 : 1
        var failures = 0
        for fault in stride(from: 0, to: 400, by: step) {
            let disk = SimulatedDisk(seed: UInt64(fault))
            disk.withFaults {
                $0.failChangeAt = fault
                $0.failCode = code
            }
            var writer: JournalWriter
            do {
                (writer, _) = try openJournal(disk)
            } catch {
                // A start that fails gives the lock back, and the next one succeeds.
                guard let error = error as? JournalError else { throw error }
                #expect(code == ENOSPC ? error == .noSpace : !error.message.isEmpty, "fault \(fault): \(error)")
                (writer, _) = try openJournal(disk)
            }
            let owed = live(writer, disk)
            failures += Int(writer.metrics.writeFailures.value + writer.metrics.syncFailures.value)
            #expect(writer.isAccepting, "fault \(fault): \(String(describing: writer.refusalReason))")
            #expect(owed.count >= 7, "fault \(fault): one fault costs one group")
            for (sequence, body) in owed {
                #expect(try writer.history.record(of: sequence).map { Array($0.body) } == body, "fault \(fault)")
            }
            disk.crash()
            let (again, report) = try openJournal(disk)
            #expect(report.damage.isEmpty, "fault \(fault): \(report.damage)")
            #expect(Set(report.owed.map(\.sequence)).isSuperset(of: owed.keys), "fault \(fault)")
            again.close(now: seconds(2000))
            #expect(disk.openHandles == 0, "fault \(fault)")
        }
        #expect(failures > 0)
    }

    @Test(
        "a read that fails while a server starts: once it is repeated, for longer the start stops before anything is changed",
        arguments: [1, 2, 50])
    func reads(count: Int) throws {
        let sample = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(sample)
        let owed = live(writer, sample)
        writer.close(now: seconds(2000))
        let files = Dictionary(uniqueKeysWithValues: sample.names.map { ($0, sample.content($0)!) })
        var stops = 0
        var starts = 0
        for fault in 0..<40 {
            let disk = SimulatedDisk(seed: 2)
            for (name, bytes) in files { disk.place(name, bytes) }
            disk.withFaults {
                $0.failReadAt = fault
                $0.failReadCount = count
            }
            do {
                let (started, report) = try openJournal(disk)
                starts += 1
                #expect(report.damage.isEmpty, "fault \(fault)")
                #expect(Set(report.owed.map(\.sequence)) == Set(owed.keys), "fault \(fault)")
                let next = try store(TestDelivery("next"), in: started, now: seconds(2001))
                #expect(next > owed.keys.max()!, "fault \(fault)")
            } catch {
                stops += 1
                let error = try #require(error as? JournalError)
                if case .unreadableSegment(let segment, EIO) = error {
                    #expect(error.message.contains("segment \(segment) cannot be read"))
                    for (name, bytes) in files { #expect(disk.content(name) == bytes, "fault \(fault): \(name)") }
                }
            }
            disk.kill()
            let (_, report) = try openJournal(disk)
            #expect(Set(report.owed.map(\.sequence)).isSuperset(of: owed.keys), "fault \(fault)")
        }
        #expect(count == 1 ? starts > 20 : stops > 5)
    }
}
