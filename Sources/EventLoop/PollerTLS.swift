// PollerTLS: TLS over any other keeper. What the loop sees are a connection's plain bytes, so that nothing above knows of TLS.
//
//   kernel -> inner keeper -> ciphertext -> session -> the loop's room          (receive, PollerTLS+Receiving)
//   kernel <- inner keeper <- window     <- session <- the loop's answer        (send,    PollerTLS+Sending)
//
//   accepted by a TLS listener        finished            fatal error, ours or the peer's
//   plain ---------------> handshake ----------> open --------------------------------> ending -> closed by the loop
//                              \____________________________________________________/
//
// Connections of listeners without TLS go through with one comparison. Handshakes are done inside `receive`, which then says that
// nothing came. What a session still holds when the loop's room is full is announced again by an event of our own (`leftovers`); the
// inner keeper is paused meanwhile, so that a connection holds at most one receive. Ciphertext that the socket did not take waits
// here and stops reading; more than `unsentBytesMax` of it stops the loop's sends.
//
// Deadlines of handshakes and of the drain behind a fatal alert are kept here and end as an error that `receive` gives to the loop.
// Owned by one loop's thread.

internal import CLinuxIO
internal import Glibc

/// The `Poller` that speaks TLS on some listeners of another keeper.
@safe
public struct PollerTLS<Inner: Poller & ~Copyable>: Poller, ~Copyable {
    /// Marks events that are not the inner keeper's.
    static var ownEvent: Int32 { -2 }
    /// One receive: a record and what surrounds it, up to the largest room of a loop and its overhead.
    static var ciphertextBytesMin: Int { (16 << 10) + 512 }
    static var ciphertextBytesMax: Int { ReceiveArena.receiveBytesMax + (8 << 10) }
    /// A peer that does not read: with so much unsent no more answers are taken.
    static var unsentBytesMax: Int { 16 << 10 }

    var inner: Inner
    let listeners: [Int32]
    let limits: TLSLimits
    let counts: TLSHandshakeCounts
    private let source: TLSContextSource
    private var context: TLSContext
    private var contextSeen: UInt64 = 0
    /// Milliseconds of a monotonic clock.
    let clock: @Sendable () -> UInt64
    let capacity: Int
    /// By slot.
    let connections: UnsafeMutablePointer<TLSConnection>
    var window = TLSWindow()
    let ciphertext: UnsafeMutableRawBufferPointer
    var slab = BlockSlab()
    var handshakes = TLSSlotList()
    var endings = TLSSlotList()
    private var events: [PollEvent] = []
    /// Slots that have bytes, an end or an error to hand over without the inner keeper.
    private var leftovers: [UInt32] = []
    /// Slots whose ciphertext goes out at the turn's end.
    private var unflushed: [UInt32] = []

    /// `capacity` is the number of connection slots; `listeners` are those that speak TLS. The clock is for tests.
    public init(
        _ inner: consuming Inner, listeners: [Int32], capacity: Int, source: TLSContextSource, limits: TLSLimits,
        counts: TLSHandshakeCounts, clock: (@Sendable () -> UInt64)? = nil
    ) {
        self.inner = inner
        self.listeners = listeners
        self.limits = limits
        self.counts = counts
        self.source = source
        self.clock = clock ?? { cl_now_monotonic() / 1_000_000 }
        context = source.context
        self.capacity = capacity
        unsafe connections = .allocate(capacity: capacity)
        for slot in 0..<capacity { unsafe (connections + slot).initialize(to: TLSConnection()) }
        unsafe ciphertext = .allocate(byteCount: Self.ciphertextBytesMax, alignment: 64)
        events.reserveCapacity(1024)
        leftovers.reserveCapacity(256)
        unflushed.reserveCapacity(256)
    }

    deinit {
        unsafe connections.deinitialize(count: capacity)
        unsafe connections.deallocate()
        unsafe ciphertext.deallocate()
    }

    func isTLS(_ slot: UInt32, _ generation: UInt32) -> Bool {
        Int(slot) < capacity
            && (unsafe connections[Int(slot)].phase != .plain && connections[Int(slot)].generation == generation)
    }

    // - Events

    public mutating func wait(timeoutMilliseconds: Int32) -> Int {
        events.removeAll(keepingCapacity: true)
        announceLeftovers()
        let count = inner.wait(timeoutMilliseconds: events.isEmpty ? bounded(timeoutMilliseconds) : 0)
        for index in 0..<count {
            let event = inner.event(at: index)
            if event.kind == .writable, isTLS(event.slot, event.generation), !becameWritable(Int(event.slot)) {
                continue
            }
            events.append(event)
        }
        expire()
        return events.count
    }

    public func event(at index: Int) -> PollEvent { events[index] }

    mutating func announce(_ slot: Int) {
        let generation = unsafe connections[slot].generation
        events.append(
            PollEvent(kind: .readable, slot: UInt32(slot), generation: generation, descriptor: Self.ownEvent))
    }

    private mutating func announceLeftovers() {
        guard !leftovers.isEmpty else { return }
        let slots = leftovers
        leftovers.removeAll(keepingCapacity: true)
        for slot in slots {
            let slot = Int(slot)
            guard unsafe connections[slot].isListed else { continue }
            unsafe connections[slot].isListed = false
            if unsafe connections[slot].phase != .plain && (!connections[slot].isPaused || connections[slot].isOverdue)
            {
                announce(slot)
            }
        }
    }

    /// Has the slot announced in the next wait.
    mutating func list(_ slot: Int) {
        guard unsafe !connections[slot].isListed else { return }
        unsafe connections[slot].isListed = true
        leftovers.append(UInt32(slot))
    }

    /// Bytes, an end or an error that came and were not handed over.
    func hasLeftover(_ slot: Int) -> Bool {
        if unsafe connections[slot].phase == .ending { return unsafe connections[slot].isOverdue }
        if unsafe connections[slot].restCount > 0 || connections[slot].hasFailed { return true }
        if unsafe connections[slot].hasPeerEnded { return true }
        return unsafe connections[slot].session?.hasPending ?? false
    }

    // - Connections

    public mutating func add(_ descriptor: Int32, slot: UInt32, generation: UInt32) -> Int32 {
        inner.add(descriptor, slot: slot, generation: generation)
    }

    public mutating func add(_ descriptor: Int32, slot: UInt32, generation: UInt32, listener: Int32) -> Int32 {
        guard listeners.contains(listener) else { return inner.add(descriptor, slot: slot, generation: generation) }
        precondition(Int(slot) < capacity)
        if let newer = source.newer(than: &contextSeen) { context = newer }
        guard let session = TLSSession(context, window) else { return -ENOMEM }
        let index = Int(slot)
        unsafe connections[index] = TLSConnection()
        unsafe connections[index].phase = .handshake
        unsafe connections[index].generation = generation
        unsafe connections[index].descriptor = descriptor
        unsafe connections[index].session = consume session
        unsafe connections[index].deadline = clock() + limits.handshakeMilliseconds
        unsafe handshakes.append(index, in: connections)
        let failure = inner.add(descriptor, slot: slot, generation: generation)
        guard failure >= 0 else {
            unlink(index)
            unsafe connections[index] = TLSConnection()
            return failure
        }
        if handshakes.count > limits.handshakesMax {
            let oldest = Int(handshakes.first)
            giveUp(oldest, .crowded)
            list(oldest)
        }
        return 0
    }

    public mutating func close(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        guard isTLS(slot, generation) else {
            inner.close(descriptor, slot: slot, generation: generation)
            return
        }
        let index = Int(slot)
        if unsafe connections[index].phase == .handshake {
            finishHandshake(index, .closed)
        } else if unsafe connections[index].phase == .open {
            sendEnd(index)
        }
        if unsafe connections[index].unsent != nil { push(index) }
        unlink(index)
        dropRest(index)
        dropUnsent(index)
        unsafe connections[index] = TLSConnection()
        inner.close(descriptor, slot: slot, generation: generation)
    }

    public mutating func pause(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        guard isTLS(slot, generation) else {
            inner.pause(descriptor, slot: slot, generation: generation)
            return
        }
        unsafe connections[Int(slot)].isPaused = true
        updateInterest(Int(slot))
    }

    public mutating func resume(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        guard isTLS(slot, generation) else {
            inner.resume(descriptor, slot: slot, generation: generation)
            return
        }
        unsafe connections[Int(slot)].isPaused = false
        unsafe connections[Int(slot)].wantsWritable = false
        if hasLeftover(Int(slot)) { list(Int(slot)) }
        updateInterest(Int(slot))
    }

    /// Asks the inner keeper for what is wanted now: room for unsent bytes first, then bytes unless something stands in their way.
    mutating func updateInterest(_ slot: Int) {
        let wanted: TLSConnection.Interest =
            unsafe connections[slot].isBlocked
            ? .writable : connections[slot].isPaused || connections[slot].restCount > 0 ? .paused : .reading
        guard unsafe wanted != connections[slot].interest else { return }
        unsafe connections[slot].interest = wanted
        let (descriptor, generation) = unsafe (connections[slot].descriptor, connections[slot].generation)
        switch wanted {
        case .reading: inner.resume(descriptor, slot: UInt32(slot), generation: generation)
        case .paused: inner.pause(descriptor, slot: UInt32(slot), generation: generation)
        case .writable: inner.awaitWritable(descriptor, slot: UInt32(slot), generation: generation)
        }
    }

    // - The rest of the contract

    public mutating func addListener(_ descriptor: Int32) -> Int32 { inner.addListener(descriptor) }
    public mutating func removeListener(_ descriptor: Int32) { inner.removeListener(descriptor) }
    public mutating func addWakeup(_ descriptor: Int32) -> Int32 { inner.addWakeup(descriptor) }
    public mutating func release(_ lease: UInt32) { inner.release(lease) }

    public mutating func flush() {
        if !unflushed.isEmpty {
            for slot in unflushed where unsafe !connections[Int(slot)].isBlocked { push(Int(slot)) }
            unflushed.removeAll(keepingCapacity: true)
        }
        inner.flush()
    }

    /// Ciphertext of this slot goes out at the turn's end.
    mutating func flushLater(_ slot: Int) { unflushed.append(UInt32(slot)) }
}
