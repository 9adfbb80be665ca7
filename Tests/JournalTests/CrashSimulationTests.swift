// Crashes, hundreds of them, each from one seed: everything acknowledged is found again with its bytes, nothing else
// than what was appended is, and what is owed is exactly what has no final outcome.

import Journal
import Metrics
import Testing

@Suite("Crash simulation")
struct CrashSimulationTests {
    @Test("a synced journal loses nothing it acknowledged, whatever the disk does")
    func synced() throws {
        for seed in seeds(quick: 150) { try run(seed, .small(maxBytes: 384 << 10)) }
    }

    @Test("a journal synced once a second loses nothing when only the process dies, and never makes anything up")
    func asynchronous() throws {
        for seed in seeds(quick: 60) { try run(seed &+ 1_000_000, .small(maxBytes: 384 << 10, durability: .async)) }
    }

    private func run(_ seed: UInt64, _ options: JournalOptions) throws {
        let model = CrashModel(seed: seed, options: options)
        do {
            try model.run(epochs: 6)
        } catch {
            Issue.record("GRAPNEL_SEED=\(seed): \(error)")
        }
    }
}
