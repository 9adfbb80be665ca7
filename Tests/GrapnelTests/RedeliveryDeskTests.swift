// Redelivery as the admin API asks for it: from another thread, through the mailbox, to the journal's thread and back.

import CCrypto
import Foundation
import Journal
import Testing

@testable import Grapnel

@Suite("Redelivery at run time")
struct RedeliveryDeskTests {
    private struct Parts {
        let desk: JournalDesk
        let thread: JournalThread
        let redelivery: Redelivery
        let hints: HintChannel
        let history: JournalHistory
    }

    private func parts(_ disk: SimulatedDisk) throws -> Parts {
        // The records are of 1970, the thread's clock is not: nothing must be too old.
        let (writer, _) = try JournalWriter.open(
            options: JournalOptions(
                maxBytes: 4 << 20, maxAgeSeconds: 4_000_000_000, segmentBytes: 1 << 20, firstSegmentBytes: 256 << 10,
                recordBytesMax: 256 << 10,
                preparesInBackground: false), disk: disk, checksum: { cc_crc32($0, $1, $2) }, now: 1_000_000_000)
        let mailbox = HousekeepingMailbox()
        let hints = HintChannel(capacity: 64) {}
        let desk = JournalDesk(writer: writer, mailbox: mailbox, hints: hints) { _ in }
        let thread = try #require(JournalThread(desk: desk))
        let redelivery = Redelivery(history: writer.history, mailbox: mailbox) { thread.wake() }
        return Parts(desk: desk, thread: thread, redelivery: redelivery, hints: hints, history: writer.history)
    }

    /// Before the thread is started.
    private func store(_ desk: JournalDesk, _ text: String, decision: Decision = .accepted) -> UInt64 {
        let head = Array("POST /x HTTP/1.1\r\n\r\n".utf8)
        let body = Array(text.utf8)
        return head.withUnsafeBytes { head in
            body.withUnsafeBytes { body in
                var append = DeliveryAppend()
                append.head = head
                append.body = body
                append.bodyChecksum = cc_crc32(0, body.baseAddress, body.count)
                append.decision = decision
                append.receivedAtUnixNanoseconds = 1_000_000_000
                guard case .appended(let sequence) = desk.append(append),
                    desk.commit(nowUnixNanoseconds: 1_000_000_000)
                else { return 0 }
                return sequence
            }
        }
    }

    private func end(_ parts: Parts) async throws {
        parts.thread.stop()
        while !parts.thread.hasEnded.load(ordering: .acquiring) { try await Task.sleep(for: .milliseconds(2)) }
        parts.desk.close(nowUnixNanoseconds: 2_000_000_000)
    }

    @Test("is durable, hinted and readable when the answer comes, with its plan beside it; many at once as well")
    func redelivers() async throws {
        let parts = try parts(SimulatedDisk(seed: 1))
        let first = store(parts.desk, "the body")
        parts.thread.start()
        let second = try await parts.redelivery.redeliver(first).get()
        let record = try #require(try parts.history.record(of: second))
        #expect(Array(record.body) == Array("the body".utf8))
        #expect(record.header.redeliveryOf == first)
        #expect(parts.hints.takePlan(of: second) == nil)

        let plan = [PlanEntry(actionKind: 4, target: [])]
        let third = try await parts.redelivery.redeliver(first, .plan(plan)).get()
        #expect(parts.hints.takePlan(of: third) == plan)
        #expect(try parts.history.story(of: third)?.plan == plan)

        let many = try await withThrowingTaskGroup(of: UInt64.self) { group in
            for _ in 0..<40 { group.addTask { try await parts.redelivery.redeliver(first).get() } }
            return try await group.reduce(into: Set<UInt64>()) { $0.insert($1) }
        }
        #expect(many.count == 40)
        try await end(parts)
        // Each was told to the dispatcher, and none twice.
        var hinted: [UInt64] = []
        while let hint = parts.hints.ring.pop() { hinted.append(hint.sequence) }
        #expect(hinted == hinted.sorted())
        #expect(Set(hinted) == many.union([first, second, third]))
        #expect(hinted.count == 43)
    }

    @Test(
        "what cannot be redelivered has an error of its own: unknown, no delivery, an empty plan, a failing disk, the end"
    )
    func errors() async throws {
        let disk = SimulatedDisk(seed: 2)
        let parts = try parts(disk)
        let first = store(parts.desk, "x")
        parts.desk.mailbox.post(.plan(sequence: first, entries: []))
        _ = parts.desk.commit(nowUnixNanoseconds: 1_000_000_000)
        parts.thread.start()
        #expect(await parts.redelivery.redeliver(99) == .failure(.unknown))
        #expect(await parts.redelivery.redeliver(first + 1) == .failure(.notADelivery))
        #expect(await parts.redelivery.redeliver(first, .plan([])) == .failure(.invalidPlan))
        let endless = [PlanEntry(actionKind: 1, target: Array(repeating: 0, count: 60_000))]
        let tooLong = Array(repeating: endless[0], count: 5)
        #expect(await parts.redelivery.redeliver(first, .plan(tooLong)) == .failure(.invalidPlan))
        disk.withFaults { $0.failSyncs = .max }
        guard case .failure(.refused(let reason)) = await parts.redelivery.redeliver(first) else {
            Issue.record("a failed sync was answered as durable")
            return
        }
        #expect(!reason.isEmpty)
        try await end(parts)
        #expect(await parts.redelivery.redeliver(first) == .failure(.stopping))
    }
}
