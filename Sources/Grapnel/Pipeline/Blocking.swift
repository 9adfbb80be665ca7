// Blocking: waits on a plain thread for something asynchronous. For start and shutdown only.

enum Blocking {
    /// Runs `operation` as a task and waits for its result. Never call it from a task: it blocks the thread.
    static func wait<Value: Sendable>(_ operation: @escaping @Sendable () async -> Value) -> Value {
        begin(operation).take()
    }

    /// The same, but for no longer than `seconds`: then nil, and the operation goes on by itself.
    static func wait<Value: Sendable>(
        seconds: Double, _ operation: @escaping @Sendable () async -> Value
    ) -> Value? {
        begin(operation).take(seconds: seconds)
    }

    private static func begin<Value: Sendable>(_ operation: @escaping @Sendable () async -> Value) -> ResultBox<Value> {
        let box = ResultBox<Value>()
        Task.detached { box.put(await operation()) }
        return box
    }
}
