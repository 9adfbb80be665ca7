// Crashes, hundreds of them, each from one seed: everything acknowledged is found again with its bytes, nothing else
// than what was appended is, and what is owed is exactly what has no final outcome.

import Journal
import Metrics
import Testing

@Suite("Crash simulation")
struct CrashSimulationTests {
    @Test("a synced journal loses nothing it acknowledged, whatever the disk does")
    func synced() {
        var seen = CrashModel.Coverage()
        let seeds = seeds(quick: 100)
        for seed in seeds {
            seen.add(run(seed, .small(maxBytes: 384 << 10, maxAgeSeconds: seed % 4 == 0 ? 3600 : 7 * 24 * 3600)))
        }
        guard seeds.count >= 100 else { return }
        #expect(seen.duplicates > 0 && seen.recycled > 0 && seen.removed > 0 && seen.copies > 0 && seen.kept > 0)
        #expect(seen.writeFailures > 0 && seen.syncFailures > 0 && seen.refused > 0)
    }

    @Test("a journal synced once a second loses nothing when only the process dies, and never makes anything up")
    func asynchronous() {
        for seed in seeds(quick: 50) { _ = run(seed, .small(maxBytes: 384 << 10, durability: .async)) }
    }

    private func run(_ seed: UInt64, _ options: JournalOptions) -> CrashModel.Coverage {
        let model = CrashModel(seed: seed, options: options)
        do {
            try model.run(epochs: 6)
        } catch {
            Issue.record("GRAPNEL_SEED=\(seed): \(error)")
        }
        #expect(model.problems == 0, "GRAPNEL_SEED=\(seed)")
        return model.seen
    }
}
