// Bounded: runs a check for no longer than `seconds`: what hangs is left behind.

import CLinuxIO
import Synchronization

enum Bounded {
    static let seconds = 5.0

    /// nil: it did not end in time.
    static func run<Value: Sendable>(_ operation: @escaping @Sendable () async -> Value) -> Value? {
        Blocking.wait(seconds: seconds, operation)
    }

    /// The same for system calls that may hang, on a thread of their own.
    static func call<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value? {
        let box = Box<Value>()
        NamedThread.start("check") { box.put(body()) }
        // A signal may end a wait early.
        let deadline = cl_now_monotonic() + UInt64(seconds * 1e9)
        while true {
            let now = cl_now_monotonic()
            if let value = box.take(milliseconds: now < deadline ? Int32((deadline - now) / 1_000_000) + 1 : 0) {
                return value
            }
            if now >= deadline { return nil }
        }
    }

    static func hung(_ subject: String, _ remedy: String) -> Finding {
        .fail(subject, "no end after \(Int(seconds)) s", remedy)
    }

    /// Owned by both sides: who comes last closes the descriptor.
    private final class Box<Value: Sendable>: Sendable {
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
