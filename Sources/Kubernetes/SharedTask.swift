// Waiting for a task that others wait for too: a waiter that is cancelled leaves at once, the task goes on.

import Synchronization

/// The task's value, or nil when the waiting task is cancelled before it is there.
func valueUnlessCancelled<Value: Sendable>(_ task: Task<Value, Never>) async -> Value? {
    let wait = SharedWait<Value>()
    return await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
            guard wait.begin(continuation) else { return }
            Task { wait.end(await task.value) }
        }
    } onCancel: {
        wait.end(nil)
    }
}

/// One waiter: resumed once, by the value or by the cancellation, which may even come first.
private final class SharedWait<Value: Sendable>: Sendable {
    private enum State {
        case new
        case waiting(CheckedContinuation<Value?, Never>)
        case over
    }
    private let state = Mutex(State.new)

    /// False when the end came first; the continuation is resumed then.
    func begin(_ continuation: CheckedContinuation<Value?, Never>) -> Bool {
        let isNew = state.withLock { state in
            guard case .new = state else { return false }
            state = .waiting(continuation)
            return true
        }
        if !isNew { continuation.resume(returning: nil) }
        return isNew
    }

    func end(_ value: Value?) {
        let waiting: CheckedContinuation<Value?, Never>? = state.withLock { state in
            defer { state = .over }
            if case .waiting(let continuation) = state { return continuation }
            return nil
        }
        waiting?.resume(returning: value)
    }
}
