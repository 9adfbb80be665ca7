// ResultBox: a value that one thread or task leaves for a plain thread that waits for it. For start, shutdown and commands.

internal import CLinuxIO
internal import Synchronization

/// Owned by both sides: who comes last closes the descriptor.
final class ResultBox<Value: Sendable>: Sendable {
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

    /// Waits for as long as it takes.
    func take() -> Value {
        while true {
            if let value = take(milliseconds: 1000) { return value }
        }
    }

    /// Waits for no longer than `seconds`; then nil.
    func take(seconds: Double) -> Value? {
        let deadline = cl_now_monotonic() + UInt64(seconds * 1e9)
        // A signal may end a wait early.
        while true {
            let now = cl_now_monotonic()
            if let value = take(milliseconds: now < deadline ? Int32((deadline - now) / 1_000_000) + 1 : 0) {
                return value
            }
            if now >= deadline { return nil }
        }
    }

    private func take(milliseconds: Int32) -> Value? {
        NamedThread.wait(on: descriptor, milliseconds: milliseconds)
        return value.withLock { $0 }
    }
}
