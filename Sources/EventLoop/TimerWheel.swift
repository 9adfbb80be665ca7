// TimerWheel: one deadline per connection slot, in a hashed wheel of intrusive lists.
//
//   tick = deadline / tickMilliseconds     bucket = tick % bucketCount
//
// Moving a deadline later costs one store: the slot stays where it is and is put on when its old bucket comes round. Only
// an earlier deadline moves it at once. So a busy keep-alive connection never touches the lists.
// All work is proportional to the slots whose bucket is due. Not for several threads.

/// Deadlines of connection slots, in milliseconds of a monotonic clock.
@safe
public struct TimerWheel: ~Copyable {
    /// Deadlines are met at most this much late.
    public static let tickMilliseconds: UInt64 = 64
    private static let bucketCount = 1024  // x 64 ms = 65 s; what lies further out goes round again
    private static let none: Int32 = -1

    private struct Entry {
        var deadline: UInt64 = .max  // .max: no deadline
        var linkedTick: UInt64 = .max  // .max: in no list
        var next: Int32 = -1
        var previous: Int32 = -1
    }

    private let entries: UnsafeMutablePointer<Entry>
    private let heads: UnsafeMutablePointer<Int32>
    private let capacity: Int
    private var currentTick: UInt64
    private var due: Int32 = -1

    /// A wheel for slots 0 ..< capacity, starting at `now`.
    public init(capacity: Int, now: UInt64) {
        precondition(capacity > 0 && capacity < Int(Int32.max))
        self.capacity = capacity
        unsafe entries = .allocate(capacity: capacity)
        unsafe entries.initialize(repeating: Entry(), count: capacity)
        unsafe heads = .allocate(capacity: Self.bucketCount)
        unsafe heads.initialize(repeating: Self.none, count: Self.bucketCount)
        currentTick = now / Self.tickMilliseconds
    }

    deinit {
        unsafe entries.deallocate()
        unsafe heads.deallocate()
    }

    /// Sets, moves or (with nil) clears the deadline of `slot`.
    public mutating func setDeadline(_ deadline: UInt64?, slot: UInt32) {
        precondition(Int(slot) < capacity)
        let entry = unsafe entries + Int(slot)
        guard let deadline else {
            unsafe entry.pointee.deadline = .max
            return
        }
        unsafe entry.pointee.deadline = deadline
        // Rounded up: a deadline never fires early.
        let tick = max((deadline + Self.tickMilliseconds - 1) / Self.tickMilliseconds, currentTick + 1)
        if unsafe tick < entry.pointee.linkedTick {
            unlink(Int32(slot))
            link(Int32(slot), tick: tick)
        }
    }

    private mutating func link(_ slot: Int32, tick: UInt64) {
        // A tick beyond one round waits in the last bucket that comes round before it.
        let reachable = min(tick, currentTick + UInt64(Self.bucketCount) - 1)
        let bucket = Int(reachable % UInt64(Self.bucketCount))
        let entry = unsafe entries + Int(slot)
        unsafe entry.pointee.linkedTick = reachable
        unsafe entry.pointee.previous = Self.none
        let head = unsafe heads[bucket]
        unsafe entry.pointee.next = head
        if head != Self.none { unsafe entries[Int(head)].previous = slot }
        unsafe heads[bucket] = slot
    }

    private mutating func unlink(_ slot: Int32) {
        let entry = unsafe entries + Int(slot)
        guard unsafe entry.pointee.linkedTick != .max else { return }
        let (next, previous) = unsafe (entry.pointee.next, entry.pointee.previous)
        if next != Self.none { unsafe entries[Int(next)].previous = previous }
        if previous != Self.none {
            unsafe entries[Int(previous)].next = next
        } else {
            let bucket = unsafe Int(entry.pointee.linkedTick % UInt64(Self.bucketCount))
            unsafe heads[bucket] = next
        }
        unsafe entry.pointee.linkedTick = .max
    }

    /// The next slot whose deadline is at or before `now`, cleared; nil when there is none. Call until nil.
    public mutating func nextExpired(now: UInt64) -> UInt32? {
        let nowTick = now / Self.tickMilliseconds
        while true {
            let bucket = Int(currentTick % UInt64(Self.bucketCount))
            var slot = unsafe heads[bucket]
            while slot != Self.none {
                let entry = unsafe entries + Int(slot)
                let next = unsafe entry.pointee.next
                if unsafe entry.pointee.linkedTick <= currentTick {
                    unlink(slot)
                    let deadline = unsafe entry.pointee.deadline
                    if deadline <= now {
                        unsafe entry.pointee.deadline = .max
                        return UInt32(slot)
                    }
                    if deadline != .max {
                        let tick = max((deadline + Self.tickMilliseconds - 1) / Self.tickMilliseconds, currentTick + 1)
                        link(slot, tick: tick)
                    }
                }
                slot = next
            }
            if currentTick >= nowTick { return nil }
            currentTick += 1
        }
    }

    /// The deadline of `slot`, for tests and reports.
    public func deadline(of slot: UInt32) -> UInt64? {
        let deadline = unsafe entries[Int(slot)].deadline
        return deadline == .max ? nil : deadline
    }
}
