// SpawnLock: one process is started at a time, whoever starts it.
//
// Pipes become close-on-exec in a second call (pipe2 is not visible to Swift). Between the two, a process that somebody else starts would
// inherit them, and its end would be waited for in the place of the right one. So all who start processes make their pipes and
// start under this lock.

import Synchronization

package enum SpawnLock {
    private static let lock = Mutex(())

    /// From any thread; `body` blocks everybody else who starts a process. Must not be nested.
    package static func withLock<Value: Sendable>(_ body: () -> Value) -> Value { lock.withLock { _ in body() } }
}
