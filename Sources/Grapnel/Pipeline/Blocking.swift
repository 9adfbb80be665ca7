// Blocking: waits on a plain thread for something asynchronous. For start and shutdown only.

internal import CLinuxIO
internal import Synchronization

enum Blocking {
    /// Runs `operation` as a task and waits for its result. Never call it from a task: it blocks the thread.
    static func wait<Value: Sendable>(_ operation: @escaping @Sendable () async -> Value) -> Value {
        let descriptor = cl_eventfd()
        precondition(descriptor >= 0, "no descriptor left to wait with")
        defer { _ = cl_close(descriptor) }
        let box = ResultBox<Value>()
        Task.detached {
            let value = await operation()
            box.value.withLock { $0 = value }
            _ = cl_eventfd_signal(descriptor)
        }
        while true {
            NamedThread.wait(on: descriptor, milliseconds: 1000)
            if let value = box.value.withLock({ $0 }) { return value }
        }
    }

    private final class ResultBox<Value: Sendable>: Sendable {
        let value = Mutex<Value?>(nil)
    }
}
