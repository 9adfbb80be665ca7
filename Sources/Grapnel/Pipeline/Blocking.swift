// Blocking: waits on a plain thread for something asynchronous. For start and shutdown only.

internal import CLinuxIO
internal import Synchronization

enum Blocking {
    /// Runs `operation` as a task and waits for its result. Never call it from a task: it blocks the thread.
    static func wait<Value: Sendable>(_ operation: @escaping @Sendable () async -> Value) -> Value {
        let box = begin(operation)
        while true {
            if let value = box.take(milliseconds: 1000) { return value }
        }
    }

    /// The same, but for no longer than `seconds`: then nil, and the operation goes on by itself.
    static func wait<Value: Sendable>(
        seconds: Double, _ operation: @escaping @Sendable () async -> Value
    ) -> Value? {
        let box = begin(operation)
        let deadline = cl_now_monotonic() + UInt64(seconds * 1e9)
        while true {
            let now = cl_now_monotonic()
            if let value = box.take(milliseconds: now < deadline ? Int32((deadline - now) / 1_000_000) + 1 : 0) {
                return value
            }
            if now >= deadline { return nil }
        }
    }

    private static func begin<Value: Sendable>(_ operation: @escaping @Sendable () async -> Value) -> ResultBox<Value> {
        let box = ResultBox<Value>()
        Task.detached { box.put(await operation()) }
        return box
    }

    /// Owned by both sides: who comes last closes the descriptor.
    private final class ResultBox<Value: Sendable>: Sendable {
        private let value = Mutex<Value?>(nil)
        private let descriptor: Int32

        init() {
            descriptor = cl_eventfd()
            precondition(descriptor >= 0, "no descriptor left to wait with")
        }

        deinit { _ = cl_close(descriptor) }

        func put(_ result: Value) {
            value.withLock { $0 = result }
            _ = cl_eventfd_signal(descriptor)
        }

        func take(milliseconds: Int32) -> Value? {
            NamedThread.wait(on: descriptor, milliseconds: milliseconds)
            return value.withLock { $0 }
        }
    }
}
