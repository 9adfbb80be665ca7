// A log in which nothing is free before the outcomes that wait are durable.

import Testing

@testable import Journal

@Suite("A log that is full of what is owed")
struct TightLogTests {
    @Test(
        "outcomes for which the last segment has no room find one, and free what was kept",
        arguments: [Durability.sync, .async])
    func outcomes(durability: Durability) throws {
        let (writer, _) = try openJournal(
            SimulatedDisk(seed: 1), .small(maxBytes: 256 << 10, durability: durability))
        var owed: [UInt64] = []
        var now = 1000
        var refusals = 0
        while refusals < 5 {
            now += 2
            let delivery = TestDelivery(String(repeating: "x", count: refusals == 0 ? 1_000 : 10))
            if case .appended(let sequence) = delivery.append(to: writer) {
                owed.append(sequence)
                _ = writer.commit(now: seconds(now))
            } else {
                refusals += 1
            }
            writer.tick(now: seconds(now))
        }
        #expect(writer.metrics.segmentsKept.value > 0)
        let plan = [PlanEntry(actionKind: 1, target: [UInt8](repeating: 1, count: 200))]
        for sequence in owed {
            writer.appendPlan(sequence: sequence, entries: plan, now: seconds(now))
            writer.appendOutcomes([OutcomeEntry(sequence: sequence, planIndex: 0, outcome: .done)], now: seconds(now))
        }
        for _ in 0..<20 {
            now += 2
            _ = writer.commit(now: seconds(now))
            writer.tick(now: seconds(now))
        }
        #expect(!writer.hasUnsyncedHousekeeping)
        #expect(writer.bytesUsed <= 256 << 10)
        try store(TestDelivery("y"), in: writer, now: seconds(now))
    }
}
