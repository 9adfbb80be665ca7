// NamedThread: an operating-system thread with a name that `ps -T`, `perf` and a core dump show.

internal import CLinuxIO
internal import Glibc

enum NamedThread {
    /// Starts a detached thread. `name` has at most 15 characters.
    static func start(_ name: String, stackBytes: Int = 1 << 20, _ body: @escaping @Sendable () -> Void) {
        final class Box {
            let name: String
            let body: @Sendable () -> Void
            init(_ name: String, _ body: @escaping @Sendable () -> Void) {
                self.name = name
                self.body = body
            }
        }
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        unsafe pthread_attr_setstacksize(&attributes, stackBytes)
        var thread = pthread_t()
        let box = unsafe Unmanaged.passRetained(Box(name, body))
        let failure = unsafe pthread_create(
            &thread, &attributes,
            { argument in
                let box = unsafe Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
                _ = unsafe box.name.withCString { unsafe cl_set_thread_name($0) }
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
