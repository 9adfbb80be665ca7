// Poller: what an event loop needs of the kernel. Three keepers: PollerEpoll, PollerRing (io_uring), and
// PollerSimulated for tests. PollerTLS speaks TLS over any of them.
//
// The contract has the shape that both readiness (epoll) and completion (io_uring) can keep:
//   - `wait` gathers events; connections come as accepted descriptors, bytes are announced as `.readable`.
//   - `receive` hands over the announced bytes: a keeper that knows only readiness reads them into the caller's room, one that
//     received already gives its own buffer, which the caller returns with `release`.
//   - `send` takes what fits; the rest is the caller's, who asks for `.writable`.
// An event carries (slot, generation): a connection that was closed meanwhile has another generation, and its late events
// are dropped by the caller.
//
// Threads: a keeper belongs to its loop's thread. Only the wake-up descriptor is written by others.

/// What happened.
public enum PollKind: UInt8, Sendable {
    /// A new connection; `descriptor` is its non-blocking socket, now the caller's, `slot` the listener it came from.
    case accepted
    /// Bytes, the peer's end of stream, or an error: `receive` tells which. Must be called exactly once for this event.
    case readable
    /// Room for more bytes after `awaitWritable`.
    case writable
    /// Another thread rang.
    case wakeup
}

/// One event of a turn.
public struct PollEvent: Sendable {
    public var kind: PollKind
    public var slot: UInt32
    public var generation: UInt32
    /// For `.accepted`: the new socket. Otherwise what the keeper needs to hand the bytes over.
    public var descriptor: Int32

    public init(kind: PollKind, slot: UInt32, generation: UInt32, descriptor: Int32) {
        self.kind = kind
        self.slot = slot
        self.generation = generation
        self.descriptor = descriptor
    }
}

/// Bytes that were received.
@safe
public struct Received {
    /// Where they lie: in the caller's room, or in a buffer of the keeper when `lease` is not 0.
    public var base: UnsafeMutableRawPointer
    /// > 0: bytes; 0: the peer ended its stream; < 0: -errno (-EAGAIN: nothing after all).
    public var count: Int
    /// Not 0: give it back with `release` when the bytes are no longer needed.
    public var lease: UInt32

    public init(base: UnsafeMutableRawPointer, count: Int, lease: UInt32) {
        unsafe self.base = base
        self.count = count
        self.lease = lease
    }
}

/// The kernel's side of an event loop.
public protocol Poller: ~Copyable {
    /// Waits at most `timeoutMilliseconds` (0: not at all, -1: until something happens); gives the number of events.
    mutating func wait(timeoutMilliseconds: Int32) -> Int
    /// Event `index` of the last wait.
    func event(at index: Int) -> PollEvent

    /// Starts accepting. Gives 0 or -errno.
    mutating func addListener(_ descriptor: Int32) -> Int32
    /// Stops accepting; connections already accepted still come as events. The caller drains the queue and closes.
    mutating func removeListener(_ descriptor: Int32)
    /// Starts watching the descriptor that other threads write to.
    mutating func addWakeup(_ descriptor: Int32) -> Int32

    /// Starts receiving on a connection. Gives 0 or -errno.
    mutating func add(_ descriptor: Int32, slot: UInt32, generation: UInt32) -> Int32
    /// The same for a connection that `listener` accepted: what it speaks may depend on that.
    mutating func add(_ descriptor: Int32, slot: UInt32, generation: UInt32, listener: Int32) -> Int32
    /// Stops everything on a connection and closes its descriptor.
    mutating func close(_ descriptor: Int32, slot: UInt32, generation: UInt32)
    /// Hands over what a `.readable` event announced. `room` must have at least one byte.
    mutating func receive(_ event: PollEvent, descriptor: Int32, into room: UnsafeMutableRawBufferPointer) -> Received
    /// Returns a buffer of the keeper.
    mutating func release(_ lease: UInt32)
    /// No more `.readable` until `resume`: backpressure.
    mutating func pause(_ descriptor: Int32, slot: UInt32, generation: UInt32)
    mutating func resume(_ descriptor: Int32, slot: UInt32, generation: UInt32)
    /// Sends; gives how many bytes were taken (0 when none fit), or -errno.
    mutating func send(
        _ descriptor: Int32, slot: UInt32, generation: UInt32, _ bytes: UnsafeRawBufferPointer
    ) -> Int
    /// Asks for one `.writable`.
    mutating func awaitWritable(_ descriptor: Int32, slot: UInt32, generation: UInt32)
    /// Ends our side of the stream behind everything that was sent.
    mutating func endSending(_ descriptor: Int32, slot: UInt32, generation: UInt32)
    /// The end of a turn: whatever was queued goes to the kernel.
    mutating func flush()
}

extension Poller where Self: ~Copyable {
    public mutating func add(_ descriptor: Int32, slot: UInt32, generation: UInt32, listener: Int32) -> Int32 {
        add(descriptor, slot: slot, generation: generation)
    }
}
