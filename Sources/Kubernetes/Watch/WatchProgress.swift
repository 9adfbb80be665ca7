// WatchProgress: what the reader of one watch and its watchdog share: since when the reader waits for bytes, and how far it
// came. The time that the owner takes for an event does not count as the server's silence.

import Synchronization

final class WatchProgress: Sendable {
    private struct State {
        var waitingSince: ContinuousClock.Instant?
        var resourceVersion: String
        var events = 0
    }
    private let state: Mutex<State>

    init(resourceVersion: String) { state = Mutex(State(resourceVersion: resourceVersion)) }

    /// The newest version that was seen and, if it was an object's, handed over.
    var resourceVersion: String { state.withLock { $0.resourceVersion } }
    var events: Int { state.withLock { $0.events } }

    func beginWaiting() { state.withLock { $0.waitingSince = .now } }
    func endWaiting() { state.withLock { $0.waitingSince = nil } }

    /// An event or a bookmark was dealt with. Some servers send bookmarks without a version.
    func passed(_ resourceVersion: String) {
        state.withLock { state in
            state.events += 1
            if !resourceVersion.isEmpty { state.resourceVersion = resourceVersion }
        }
    }

    /// Returns when the reader has waited for `limit` without a break; throws when the task is cancelled.
    func waitForSilence(_ limit: Duration) async throws {
        while true {
            let left = state.withLock { state in state.waitingSince.map { limit - (ContinuousClock.now - $0) } }
            guard let left else {
                try await Task.sleep(for: limit)
                continue
            }
            if left <= .zero { return }
            try await Task.sleep(for: left)
        }
    }
}
