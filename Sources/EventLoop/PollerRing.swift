// PollerRing: completion by io_uring(7): multishot accept, multishot receive into provided buffers, answers queued and
// submitted together with the next wait.
//
// Tokens: operation (4 bits) | generation (30) | slot (30). A completion of an old generation is dropped by the caller; its buffer
// comes back through `release` all the same.
//
// Receiving. A multishot receive ends by itself (no buffer free, error, end of stream) or by cancel; `isArmed` says whether one is
// out. `pause` cancels; what completed before the cancel still comes. `resume` arms again once the old one has ended.
// Sending. Answers are copied into slots of a send pool, because they must stay until they are completed. A connection has one send
// out at a time; a second one is refused (0 taken) until `.writable` says that the first is through. All or nothing: the
// kernel goes on until everything is sent.

internal import CLinuxIO
internal import Glibc

/// The `Poller` over io_uring. Made and used on one thread: the kernel holds the ring to its maker.
@safe
public struct PollerRing: Poller, ~Copyable {
    private static let entries: UInt32 = 4096
    private static let bufferCount: UInt32 = 1024
    /// A delivery of 8 KiB with its head fits one.
    private static let bufferBytes: UInt32 = 16 << 10
    private static let completionsMax = 512
    private static let sendSlots = 2048
    private static let sendBytes = 1024

    private enum Operation: UInt64 { case none, accept, receive, send, wakeup, writable }

    private struct State {
        var generation: UInt32 = 0
        var descriptor: Int32 = -1
        var isArmed = false
        var isPaused = false
        var isSending = false
        var wantsWritable = false
        var endsAfterSend = false
        var isOpen = false
    }

    private let ring: OpaquePointer
    private let completions: UnsafeMutablePointer<cl_completion>
    private let events: UnsafeMutablePointer<PollEvent>
    private let states: UnsafeMutablePointer<State>
    private let capacity: Int
    private let sendMemory: UnsafeMutableRawPointer
    private let freeSends: UnsafeMutablePointer<Int32>
    private let sendOwners: UnsafeMutablePointer<UInt64>
    private var freeSendCount: Int
    private var count = 0
    /// Receives that ended for want of a buffer: armed again at the end of the turn.
    private var starved: [UInt32] = []

    /// Nil when the kernel refuses a ring; `error` then holds -errno. `capacity` is the number of connection slots.
    public init?(capacity: Int, error: inout Int32) {
        guard let made = unsafe cl_ring_create(Self.entries, Self.bufferCount, Self.bufferBytes, &error) else {
            return nil
        }
        unsafe ring = made
        self.capacity = capacity
        unsafe completions = .allocate(capacity: Self.completionsMax)
        unsafe events = .allocate(capacity: Self.completionsMax)
        unsafe states = .allocate(capacity: capacity)
        unsafe states.initialize(repeating: State(), count: capacity)
        unsafe sendMemory = .allocate(byteCount: Self.sendSlots * Self.sendBytes, alignment: 64)
        unsafe freeSends = .allocate(capacity: Self.sendSlots)
        unsafe sendOwners = .allocate(capacity: Self.sendSlots)
        for index in 0..<Self.sendSlots { unsafe freeSends[index] = Int32(index) }
        freeSendCount = Self.sendSlots
        starved.reserveCapacity(256)
    }

    deinit {
        unsafe cl_ring_destroy(ring)
        unsafe completions.deallocate()
        unsafe events.deallocate()
        unsafe states.deallocate()
        unsafe sendMemory.deallocate()
        unsafe freeSends.deallocate()
        unsafe sendOwners.deallocate()
    }

    private static func token(_ operation: Operation, _ slot: UInt32, _ generation: UInt32) -> UInt64 {
        operation.rawValue << 60 | UInt64(generation & 0x3fff_ffff) << 30 | UInt64(slot & 0x3fff_ffff)
    }

    public mutating func wait(timeoutMilliseconds: Int32) -> Int {
        count = 0
        let ready = unsafe cl_ring_wait(ring, completions, UInt32(Self.completionsMax), timeoutMilliseconds)
        guard ready > 0 else { return 0 }
        for index in 0..<Int(ready) {
            let completion = unsafe completions[index]
            let slot = UInt32(completion.token & 0x3fff_ffff)
            let generation = UInt32((completion.token >> 30) & 0x3fff_ffff)
            switch Operation(rawValue: completion.token >> 60) {
            case .accept: accepted(completion, listener: Int32(slot))
            case .receive: received(completion, index, slot, generation)
            case .send: sent(completion, sendSlot: Int(slot))
            case .wakeup:
                _ = cl_eventfd_clear(Int32(slot))
                if cl_has_more(completion.flags) == 0 {
                    unsafe cl_ring_poll(ring, Int32(slot), Self.token(.wakeup, slot, 0))
                }
                append(PollEvent(kind: .wakeup, slot: 0, generation: 0, descriptor: -1))
            case .writable:
                append(PollEvent(kind: .writable, slot: slot, generation: generation, descriptor: -1))
            default: break
            }
        }
        return count
    }

    private mutating func append(_ event: PollEvent) {
        unsafe (events + count).initialize(to: event)
        count += 1
    }

    private mutating func accepted(_ completion: cl_completion, listener: Int32) {
        if completion.result >= 0 {
            append(
                PollEvent(kind: .accepted, slot: UInt32(listener), generation: 0, descriptor: completion.result))
        }
        // ECANCELED and EBADF: the listener was removed. Anything else (no descriptors left, say): go on accepting.
        if cl_has_more(completion.flags) == 0, completion.result != -ECANCELED, completion.result != -EBADF {
            unsafe cl_ring_accept(ring, listener, Self.token(.accept, UInt32(listener), 0))
        }
    }

    private mutating func received(_ completion: cl_completion, _ index: Int, _ slot: UInt32, _ generation: UInt32) {
        let state = unsafe states + Int(slot)
        let isCurrent = unsafe state.pointee.isOpen && state.pointee.generation == generation
        if isCurrent && cl_has_more(completion.flags) == 0 {
            unsafe state.pointee.isArmed = false
            if completion.result == -ENOBUFS {
                starved.append(slot)
                return
            }
            // Ended by our own cancel, or after bytes: goes on unless paused.
            if unsafe (completion.result == -ECANCELED || completion.result > 0) && !state.pointee.isPaused {
                arm(slot)
            }
        }
        if completion.result == -ECANCELED || completion.result == -ENOBUFS { return }
        // Bytes, the end, or an error; also for a connection that is gone, so that its buffer comes back.
        append(PollEvent(kind: .readable, slot: slot, generation: generation, descriptor: Int32(index)))
    }

    private mutating func sent(_ completion: cl_completion, sendSlot: Int) {
        let owner = unsafe sendOwners[sendSlot]
        unsafe freeSends[freeSendCount] = Int32(sendSlot)
        freeSendCount += 1
        let slot = UInt32(owner & 0x3fff_ffff)
        let generation = UInt32((owner >> 30) & 0x3fff_ffff)
        let state = unsafe states + Int(slot)
        guard unsafe state.pointee.isOpen && state.pointee.generation == generation else { return }
        unsafe state.pointee.isSending = false
        if unsafe state.pointee.endsAfterSend {
            unsafe state.pointee.endsAfterSend = false
            _ = unsafe cl_shutdown_send(state.pointee.descriptor)
        }
        // A failed send needs no event of its own: the receive reports the broken connection.
        if unsafe state.pointee.wantsWritable {
            unsafe state.pointee.wantsWritable = false
            append(PollEvent(kind: .writable, slot: slot, generation: generation, descriptor: -1))
        }
    }

    private mutating func arm(_ slot: UInt32) {
        let state = unsafe states + Int(slot)
        unsafe state.pointee.isArmed = true
        unsafe cl_ring_receive(ring, state.pointee.descriptor, Self.token(.receive, slot, state.pointee.generation))
    }

    public func event(at index: Int) -> PollEvent {
        precondition(index < count)
        return unsafe events[index]
    }

    public mutating func addListener(_ descriptor: Int32) -> Int32 {
        unsafe cl_ring_accept(ring, descriptor, Self.token(.accept, UInt32(descriptor), 0))
        return 0
    }

    public mutating func removeListener(_ descriptor: Int32) {
        unsafe cl_ring_cancel(ring, Self.token(.accept, UInt32(descriptor), 0))
        _ = unsafe cl_ring_submit(ring)
    }

    public mutating func addWakeup(_ descriptor: Int32) -> Int32 {
        unsafe cl_ring_poll(ring, descriptor, Self.token(.wakeup, UInt32(descriptor), 0))
        return 0
    }

    public mutating func add(_ descriptor: Int32, slot: UInt32, generation: UInt32) -> Int32 {
        precondition(Int(slot) < capacity)
        unsafe states[Int(slot)] = State(generation: generation, descriptor: descriptor, isOpen: true)
        arm(slot)
        return 0
    }

    public mutating func close(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        let state = unsafe states + Int(slot)
        unsafe state.pointee.isOpen = false
        if unsafe state.pointee.isArmed { unsafe cl_ring_cancel(ring, Self.token(.receive, slot, generation)) }
        // Queued behind the answers: closed when they were handed to the socket.
        unsafe cl_ring_close(ring, descriptor)
    }

    public mutating func receive(
        _ event: PollEvent, descriptor: Int32, into room: UnsafeMutableRawBufferPointer
    ) -> Received {
        let completion = unsafe completions[Int(event.descriptor)]
        guard cl_has_buffer(completion.flags) != 0 else {
            return unsafe Received(base: room.baseAddress!, count: Int(completion.result), lease: 0)
        }
        let id = cl_buffer_id(completion.flags)
        return unsafe Received(base: cl_ring_buffer(ring, id), count: Int(completion.result), lease: id + 1)
    }

    public mutating func release(_ lease: UInt32) {
        precondition(lease > 0 && lease <= Self.bufferCount)
        unsafe cl_ring_release(ring, lease - 1)
    }

    public mutating func pause(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        let state = unsafe states + Int(slot)
        unsafe state.pointee.isPaused = true
        if unsafe state.pointee.isArmed { unsafe cl_ring_cancel(ring, Self.token(.receive, slot, generation)) }
    }

    public mutating func resume(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        let state = unsafe states + Int(slot)
        unsafe state.pointee.isPaused = false
        if unsafe !state.pointee.isArmed { arm(slot) }
    }

    public mutating func send(
        _ descriptor: Int32, slot: UInt32, generation: UInt32, _ bytes: UnsafeRawBufferPointer
    ) -> Int {
        let state = unsafe states + Int(slot)
        guard bytes.count > 0, let source = bytes.baseAddress else { return 0 }
        if unsafe state.pointee.isSending || freeSendCount == 0 || bytes.count > Self.sendBytes {
            // Larger than a pool slot, or the pool is empty: the plain way, unless an answer is still out.
            if unsafe state.pointee.isSending { return 0 }
            let taken = unsafe cl_send(descriptor, source, bytes.count)
            return taken == -Int(EAGAIN) || taken == -Int(EINTR) ? 0 : taken
        }
        freeSendCount -= 1
        let sendSlot = unsafe Int(freeSends[freeSendCount])
        let target = unsafe sendMemory + sendSlot * Self.sendBytes
        unsafe target.copyMemory(from: source, byteCount: bytes.count)
        unsafe sendOwners[sendSlot] = Self.token(.none, slot, generation)
        unsafe state.pointee.isSending = true
        unsafe cl_ring_send(ring, descriptor, target, UInt32(bytes.count), Self.token(.send, UInt32(sendSlot), 0))
        return bytes.count
    }

    public mutating func awaitWritable(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        pause(descriptor, slot: slot, generation: generation)
        if unsafe states[Int(slot)].isSending {
            unsafe states[Int(slot)].wantsWritable = true
        } else {
            unsafe cl_ring_poll_writable(ring, descriptor, Self.token(.writable, slot, generation))
        }
    }

    /// Not through the ring: the kernel carries a queued shutdown out on a thread of its own and looks the descriptor up only then,
    /// when it may already be another connection's.
    public mutating func endSending(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        let state = unsafe states + Int(slot)
        if unsafe state.pointee.isSending {
            unsafe state.pointee.endsAfterSend = true
        } else {
            _ = cl_shutdown_send(descriptor)
        }
    }

    public mutating func flush() {
        // Buffers have come back since, or will: until then each turn tries once.
        guard !starved.isEmpty else { return }
        for slot in starved {
            let state = unsafe states + Int(slot)
            if unsafe state.pointee.isOpen && !state.pointee.isArmed && !state.pointee.isPaused { arm(slot) }
        }
        starved.removeAll(keepingCapacity: true)
    }
}
