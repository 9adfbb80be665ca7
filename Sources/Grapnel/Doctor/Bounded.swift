// Bounded: runs a check for no longer than `seconds`: what hangs is left behind.

enum Bounded {
    static let seconds = 5.0

    /// nil: it did not end in time.
    static func run<Value: Sendable>(
        seconds: Double = Bounded.seconds, _ operation: @escaping @Sendable () async -> Value
    ) -> Value? {
        Blocking.wait(seconds: seconds, operation)
    }

    /// The same for system calls that may hang, on a thread of their own.
    static func call<Value: Sendable>(
        seconds: Double = Bounded.seconds, _ body: @escaping @Sendable () -> Value
    ) -> Value? {
        let box = ResultBox<Value>()
        NamedThread.start("check") { box.put(body()) }
        return box.take(seconds: seconds)
    }

    static func hung(_ subject: String, _ remedy: String) -> Finding {
        .fail(subject, "no end after \(Int(seconds)) s", remedy)
    }
}
