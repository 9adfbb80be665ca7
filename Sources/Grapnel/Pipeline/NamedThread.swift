// NamedThread: an operating-system thread with a name that `ps -T`, `perf` and a core dump show.

internal import CLinuxIO
internal import Glibc

enum NamedThread {
    /// Starts a detached thread. `name` has at most 15 characters; `niceness` above 0 lets others go first (sched(7)).
    static func start(
        _ name: String, stackBytes: Int = 1 << 20, niceness: Int32 = 0, _ body: @escaping @Sendable () -> Void
    ) {
        final class Box {
            let name: String
            let niceness: Int32
            let body: @Sendable () -> Void
            init(_ name: String, _ niceness: Int32, _ body: @escaping @Sendable () -> Void) {
                self.name = name
                self.niceness = niceness
                self.body = body
            }
        }
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        unsafe pthread_attr_setstacksize(&attributes, stackBytes)
        var thread = pthread_t()
        let box = unsafe Unmanaged.passRetained(Box(name, niceness, body))
        let failure = unsafe pthread_create(
            &thread, &attributes,
            { argument in
                let box = unsafe Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
                _ = unsafe box.name.withCString { unsafe cl_set_thread_name($0) }
                // Of this thread alone on Linux (setpriority(2), "C library/kernel differences").
                if box.niceness > 0 { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, box.niceness) }
                box.body()
                return nil
            }, box.toOpaque())
        unsafe pthread_attr_destroy(&attributes)
        precondition(failure == 0, "the kernel refused a thread: errno \(failure)")
    }

    /// Waits until an eventfd is signalled, and clears it. False after `milliseconds`.
    @discardableResult
    static func wait(on descriptor: Int32, milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&entry, 1, milliseconds) > 0 else { return false }
        _ = cl_eventfd_clear(descriptor)
        return true
    }
}
