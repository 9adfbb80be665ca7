// PollerEpoll: readiness by level-triggered epoll(7). One epoll_wait a turn, one recv a request, one send an answer.
//
// Level-triggered on purpose: a request that was read whole needs no epoll_ctl, and what was not read is announced again.
// Interest changes only for backpressure (pause) and for answers that did not fit (awaitWritable).

internal import CLinuxIO
internal import Glibc

/// The `Poller` over epoll.
@safe
public struct PollerEpoll: Poller, ~Copyable {
    /// Events of one kernel call; with 64 busy connections a turn takes all of them.
    private static let eventsMax = 512
    /// Connections accepted in one turn: accepting must not starve those who already have a request in.
    private static let acceptsMax = 64
    private static let listenerToken: UInt64 = 0xffff_fffe_0000_0000
    private static let wakeupToken: UInt64 = 0xffff_ffff_0000_0000

    private let epoll: Int32
    private let kernelEvents: UnsafeMutablePointer<cl_event>
    private let events: UnsafeMutablePointer<PollEvent>
    private var count = 0

    /// Nil when the kernel refuses an epoll descriptor.
    public init?() {
        let descriptor = cl_epoll_create()
        guard descriptor >= 0 else { return nil }
        epoll = descriptor
        unsafe kernelEvents = .allocate(capacity: Self.eventsMax)
        unsafe events = .allocate(capacity: Self.eventsMax + Self.acceptsMax)
    }

    deinit {
        _ = cl_close(epoll)
        unsafe kernelEvents.deallocate()
        unsafe events.deallocate()
    }

    public mutating func wait(timeoutMilliseconds: Int32) -> Int {
        count = 0
        // Sound: both arrays have room for eventsMax events, and accepts are bounded by acceptsMax.
        let ready = unsafe cl_epoll_wait(epoll, kernelEvents, Int32(Self.eventsMax), timeoutMilliseconds)
        guard ready > 0 else { return 0 }  // EINTR and nothing alike: the turn goes on with its timers
        var accepts = 0
        for index in 0..<Int(ready) {
            let event = unsafe kernelEvents[index]
            switch event.token & 0xffff_ffff_0000_0000 {
            case Self.listenerToken:
                let listener = Int32(truncatingIfNeeded: event.token & 0xffff_ffff)
                while accepts < Self.acceptsMax {
                    let descriptor = cl_accept(listener)
                    // EMFILE, ECONNABORTED and the like: the next turn tries again.
                    if descriptor < 0 { break }
                    accepts += 1
                    append(
                        PollEvent(kind: .accepted, slot: UInt32(listener), generation: 0, descriptor: descriptor))
                }
            case Self.wakeupToken:
                _ = cl_eventfd_clear(Int32(truncatingIfNeeded: event.token & 0xffff_ffff))
                append(PollEvent(kind: .wakeup, slot: 0, generation: 0, descriptor: -1))
            default:
                let slot = UInt32(truncatingIfNeeded: event.token)
                let generation = UInt32(truncatingIfNeeded: event.token >> 32)
                if event.events & CL_OUT != 0 {
                    append(PollEvent(kind: .writable, slot: slot, generation: generation, descriptor: -1))
                } else {
                    append(PollEvent(kind: .readable, slot: slot, generation: generation, descriptor: -1))
                }
            }
        }
        return count
    }

    private mutating func append(_ event: PollEvent) {
        unsafe (events + count).initialize(to: event)
        count += 1
    }

    public func event(at index: Int) -> PollEvent {
        precondition(index < count)
        return unsafe events[index]
    }

    public mutating func addListener(_ descriptor: Int32) -> Int32 {
        cl_epoll_add(epoll, descriptor, CL_IN, Self.listenerToken | UInt64(UInt32(descriptor)))
    }

    public mutating func removeListener(_ descriptor: Int32) { _ = cl_epoll_remove(epoll, descriptor) }

    public mutating func addWakeup(_ descriptor: Int32) -> Int32 {
        cl_epoll_add(epoll, descriptor, CL_IN, Self.wakeupToken | UInt64(UInt32(descriptor)))
    }

    private func token(_ slot: UInt32, _ generation: UInt32) -> UInt64 { UInt64(generation) << 32 | UInt64(slot) }

    public mutating func add(_ descriptor: Int32, slot: UInt32, generation: UInt32) -> Int32 {
        cl_epoll_add(epoll, descriptor, CL_IN, token(slot, generation))
    }

    public mutating func close(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        // Closing the only descriptor of a socket removes it from the epoll set (epoll(7), question 6).
        _ = cl_close(descriptor)
    }

    public mutating func receive(
        _ event: PollEvent, descriptor: Int32, into room: UnsafeMutableRawBufferPointer
    ) -> Received {
        let base = room.baseAddress!
        // Sound: the kernel writes at most room.count bytes.
        return unsafe Received(base: base, count: cl_recv(descriptor, base, room.count), lease: 0)
    }

    public mutating func release(_ lease: UInt32) {}

    public mutating func pause(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        _ = cl_epoll_modify(epoll, descriptor, 0, token(slot, generation))
    }

    public mutating func resume(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        _ = cl_epoll_modify(epoll, descriptor, CL_IN, token(slot, generation))
    }

    public mutating func send(
        _ descriptor: Int32, slot: UInt32, generation: UInt32, _ bytes: UnsafeRawBufferPointer
    ) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        let taken = unsafe cl_send(descriptor, base, bytes.count)
        return taken == -Int(EAGAIN) || taken == -Int(EINTR) ? 0 : taken
    }

    public mutating func awaitWritable(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        _ = cl_epoll_modify(epoll, descriptor, CL_OUT, token(slot, generation))
    }

    public mutating func endSending(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        _ = cl_shutdown_send(descriptor)
    }

    public mutating func flush() {}
}
