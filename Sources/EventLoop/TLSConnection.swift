// TLSConnection: what PollerTLS knows of one connection slot, and lists of slots in the order of their deadlines.

/// One slot. In phase `plain` the slot is free or a connection without TLS.
struct TLSConnection: ~Copyable {
    enum Phase: UInt8 { case plain, handshake, open, ending }
    /// What the inner keeper was asked for.
    enum Interest: UInt8 { case reading, paused, writable }

    static let nothing: Int32 = -1

    var phase = Phase.plain
    var interest = Interest.reading
    /// The loop paused it.
    var isPaused = false
    /// The loop waits for `.writable`.
    var wantsWritable = false
    /// Listed in `leftovers`.
    var isListed = false
    /// Its end of the stream came: close_notify, or the end of TCP's.
    var hasPeerEnded = false
    /// The session failed behind bytes that are still to be handed over.
    var hasFailed = false
    /// The socket did not take all of `unsent`.
    var isBlocked = false
    /// Nothing can be sent any more.
    var isBroken = false
    /// Our end of the stream follows what is unsent.
    var endsWhenSent = false
    var hasSentEnd = false
    /// Past its deadline: the loop is to close it.
    var isOverdue = false
    var failure = TLSFailure.malformed
    var generation: UInt32 = 0
    var descriptor: Int32 = -1
    /// Bytes of the handshake so far; in `ending`, bytes dropped.
    var byteCount = 0
    var session: TLSSession?
    /// Ciphertext that was received and not read: [0, restCount).
    var rest: Block?
    var restCount = 0
    /// Ciphertext to send: [unsentStart, unsentEnd).
    var unsent: Block?
    var unsentStart = 0
    var unsentEnd = 0
    /// Milliseconds, in one of the lists.
    var deadline: UInt64 = 0
    var previous = TLSConnection.nothing
    var next = TLSConnection.nothing
}

/// Slots in the order they were added; all wait equally long, so the first is due first.
@safe
struct TLSSlotList {
    private(set) var first = TLSConnection.nothing
    private var last = TLSConnection.nothing
    private(set) var count = 0

    /// The slot must be in no list.
    mutating func append(_ slot: Int, in table: UnsafeMutablePointer<TLSConnection>) {
        unsafe table[slot].previous = last
        unsafe table[slot].next = TLSConnection.nothing
        if last == TLSConnection.nothing {
            first = Int32(slot)
        } else {
            unsafe table[Int(last)].next = Int32(slot)
        }
        last = Int32(slot)
        count += 1
    }

    /// The slot must be in this list.
    mutating func remove(_ slot: Int, in table: UnsafeMutablePointer<TLSConnection>) {
        let (previous, next) = unsafe (table[slot].previous, table[slot].next)
        if previous == TLSConnection.nothing { first = next } else { unsafe table[Int(previous)].next = next }
        if next == TLSConnection.nothing { last = previous } else { unsafe table[Int(next)].previous = previous }
        unsafe table[slot].previous = TLSConnection.nothing
        unsafe table[slot].next = TLSConnection.nothing
        count -= 1
    }
}
