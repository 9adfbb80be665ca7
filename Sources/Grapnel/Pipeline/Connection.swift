// Connection: one socket's state between turns, and the table of all of them.
//
//            bytes                 head complete            body complete            durable or refused
//   idle ------------> head ----------------------> body ------------------> waiting -------------------> idle
//     \________________________ whole request in one receive _______________/                     \-----> lingering -> free
//                                     \--> discarding (refused, body not kept) --> answer --> idle
//                                     \--> awaitingMemory (no reservation yet) --> body | 503
//
// An idle connection holds nothing but its entry: its receive room goes back when a request was taken, and its header table is
// the loop's. Late events and late answers carry (slot, generation); a reused slot has another generation.

internal import Delivery
internal import EventLoop
internal import HTTP

/// One connection. Lives in the table of its loop; nothing else refers to it.
struct Connection {
    enum Phase: UInt8 { case free, idle, head, body, awaitingMemory, discarding, waiting, lingering }

    static let noLease = UInt32.max

    var descriptor: Int32 = -1
    var generation: UInt32 = 0
    var phase = Phase.free
    /// The answer under way is the last one.
    var closesAfterAnswer = false
    /// The peer ended its stream; it may still read.
    var hasPeerEnded = false
    var isPaused = false
    /// The peer is gone while its request is in flight: the descriptor is closed, slot and memory wait for the journal.
    var isOrphan = false
    /// 100 Continue was sent or is not wanted.
    var isContinued = false
    var isChunked = false
    /// The request under way is a HEAD: its answer has no body.
    var isHead = false
    /// HTTP/1.0: a connection that stays open is announced.
    var isOldVersion = false
    /// Its receiver has rules of its own: the loop's `ruled` has their ruling once there is one.
    var isRuled = false
    /// Listed in the loop's `ready`: it has unparsed bytes.
    var isReady = false
    var parser = HeadParser()
    var decoder: ChunkedDecoder?
    /// A request that did not arrive in one receive. start <= bodyEnd <= filled <= capacity.
    var block: Block?
    var filled = 0
    /// Bytes of the head in `block`, known in phase body.
    var headBytes = 0
    /// End of the decoded body in `block` (chunked), counted from its start.
    var bodyEnd = 0
    /// All bytes of the request (Content-Length), or the most it may have (chunked). In `discarding`: bytes still to come.
    var needed = 0
    /// Bytes reserved from the memory budget.
    var reserved = 0
    /// What `discarding` and `awaitingMemory` answer in the end.
    var pendingStatus: UInt16 = 0
    /// Receiver kind of the request under way, nil for an unknown path.
    var kind: ReceiverKind?
    /// In phase waiting: the route of the proven request in the table of that generation.
    var provenRoute: Int32 = -1
    var provenTable: UInt32 = 0
    /// Its sender type allows more methods than POST.
    var allowsGet = false
    /// Where the request in flight lies when it came in one receive.
    var arenaLease = Connection.noLease
    var pollerLease: UInt32 = 0
    /// Bytes behind the request in flight, unparsed.
    var stash: Block?
    var stashed = 0
    /// Answer bytes that the socket did not take yet.
    var unsent: Block?
    var unsentStart = 0
    var unsentEnd = 0
    /// Bytes that lingering may still drain.
    var drainBudget = 0
    var servedCount: UInt32 = 0
    /// Milliseconds of the loop's clock.
    var openedAt: UInt64 = 0
    var bodyStartedAt: UInt64 = 0
    var bodyTotalDeadline: UInt64 = 0
    /// Turn time in nanoseconds when the request's first byte was seen.
    var requestStartedAt: UInt64 = 0
    var source: UInt64 = 0
}

/// Connections by slot, with a free list. Owned by one loop.
@safe
struct ConnectionTable: ~Copyable {
    let capacity: Int
    private let base: UnsafeMutablePointer<Connection>
    private let freeSlots: UnsafeMutablePointer<UInt32>
    private var freeCount: Int

    init(capacity: Int) {
        self.capacity = capacity
        unsafe base = .allocate(capacity: capacity)
        unsafe base.initialize(repeating: Connection(), count: capacity)
        unsafe freeSlots = .allocate(capacity: capacity)
        for index in 0..<capacity { unsafe freeSlots[index] = UInt32(capacity - 1 - index) }
        freeCount = capacity
    }

    deinit {
        unsafe base.deinitialize(count: capacity)
        unsafe base.deallocate()
        unsafe freeSlots.deallocate()
    }

    var openCount: Int { capacity - freeCount }

    /// A free slot with a new generation, or nil when all are taken.
    mutating func open(_ descriptor: Int32) -> Int? {
        guard freeCount > 0 else { return nil }
        freeCount -= 1
        let slot = unsafe Int(freeSlots[freeCount])
        let generation = unsafe base[slot].generation &+ 1
        unsafe base[slot] = Connection()
        // The upper bits of an event's token are the poller's own.
        unsafe base[slot].generation = generation & 0x3fff_ffff
        unsafe base[slot].descriptor = descriptor
        unsafe base[slot].phase = .idle
        return slot
    }

    mutating func close(_ slot: Int) {
        unsafe base[slot].phase = .free
        unsafe base[slot].descriptor = -1
        unsafe freeSlots[freeCount] = UInt32(slot)
        freeCount += 1
    }

    /// Whether (slot, generation) is still that connection.
    func isCurrent(_ slot: UInt32, _ generation: UInt32) -> Bool {
        Int(slot) < capacity && (unsafe base[Int(slot)].generation == generation && base[Int(slot)].phase != .free)
    }

    /// Whether the slot's connection can still be spoken to.
    func isOpen(_ slot: Int) -> Bool { unsafe base[slot].phase != .free && !base[slot].isOrphan }

    subscript(_ slot: Int) -> Connection {
        @inline(__always)
        _read {
            assert(slot >= 0 && slot < capacity)
            yield unsafe base[slot]
        }
        @inline(__always)
        _modify {
            assert(slot >= 0 && slot < capacity)
            yield unsafe &base[slot]
        }
    }
}
