import Foundation
import Testing

/// Loops, journal, hand-over and dispatcher together, under one seed.
///
/// GRAPNEL_SEEDS runs so many seeds, GRAPNEL_SEED one: `GRAPNEL_SEED=17 swift test --filter PipelineSimulationTests`.
@Suite("The whole pipeline, simulated")
struct PipelineSimulationTests {
    private static let batchCount = 8
    private static let environment = ProcessInfo.processInfo.environment
    private static let single = environment["GRAPNEL_SEED"].flatMap { UInt64($0) }
    private static let seedCount = environment["GRAPNEL_SEEDS"].flatMap { Int($0) } ?? 160

    @Test("nothing acknowledged is lost, nothing unproven acts, and nothing is done twice", arguments: 0..<batchCount)
    func simulate(batch: Int) async {
        var seeds = Array(stride(from: UInt64(batch + 1), through: UInt64(Self.seedCount), by: Self.batchCount))
        if let single = Self.single { seeds = batch == 0 ? [single] : [] }
        var seen = SimulationCoverage()
        for seed in seeds {
            seen.add(Self.run(seed))
            // Other tests want their turn.
            await Task.yield()
        }
        guard seeds.count >= 20 else { return }
        print("pipeline simulation: \(seeds.count) seeds, \(seen)")
        #expect(seen.acknowledged > 0 && seen.duplicates > 0 && seen.unavailable > 0 && seen.refused > 0)
        #expect(seen.powerCuts > 0 && seen.kills > 0 && seen.shutdowns > 0 && seen.recovered > 0)
        #expect(seen.sealed > 0 && seen.breakers > 0)
        guard seeds.count >= 100 else { return }
        #expect(seen.overflows > 0 && seen.lostOutcomes > 0 && seen.moves > 0)
        guard seeds.count >= 1000 else { return }
        #expect(seen.copies > 0)
        for code in ["done", "ignored", "merged", "dead", "failed"] {
            #expect(seen.outcomes.contains { $0.key.name == code && $0.value > 0 }, "no outcome \(code)")
        }
    }

    @Test("a seed means the same run each time")
    func repeatable() {
        for seed in [3, 8, 21] as [UInt64] {
            #expect(Self.run(seed) == Self.run(seed), "GRAPNEL_SEED=\(seed)")
        }
    }

    @discardableResult
    static func run(_ seed: UInt64) -> SimulationCoverage {
        let simulation = PipelineSimulation(seed: seed)
        simulation.run()
        for text in simulation.problems.texts {
            Issue.record("\(text); again with GRAPNEL_SEED=\(seed) swift test --filter PipelineSimulationTests")
        }
        return simulation.coverage
    }
}
