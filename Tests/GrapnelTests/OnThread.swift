import Foundation

/// Runs on a thread of its own what waits for a task without suspending. The tasks of all tests share as many threads as there are
/// processors: as many tests that keep theirs while they wait for a task would wait for ever.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Result { try body() }) }.start()
    }
}
