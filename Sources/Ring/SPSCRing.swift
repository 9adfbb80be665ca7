// SPSCRing: a bounded lock-free queue between exactly one producer thread and one consumer thread.
//
//        consumer reads here                 producer writes here
//              v                                   v
//   ... | e4 | e5 | e6 | e7 | e8 |  .  |  .  | ...        slot = position & mask
//        head ^                    ^ tail
//
// `head` and `tail` only grow; their difference is the depth, at most the capacity. Each lies on a cache line of its own,
// beside its owner's cached copy of the other one, so that in the steady state producer and consumer do not touch each
// other's line.
//
// Ordering. The producer writes the element, then publishes `tail` with release; the consumer loads `tail` with acquire,
// so it sees the element. The consumer reads the element out, then publishes `head` with release; the producer loads
// `head` with acquire before it writes a slot again, so the element was read before it is overwritten. Each side loads its own
// position relaxed: nobody else writes it. A cached copy is at most too old, which can only make the ring look fuller to
// the producer or emptier to the consumer than it is; then the real position is loaded.
//
// Full is normal: `push` gives false and the caller says what that means. Sleeping and waking is not the ring's business:
// see `Doorbell`.

public import Synchronization

/// A single-producer single-consumer ring of plain values. Push and pop are wait-free and allocate nothing.
@safe
public final class SPSCRing<Element: BitwiseCopyable>: @unchecked Sendable {
    // Protocol behind @unchecked Sendable: only the producer thread calls `push`, only the consumer thread calls `pop`;
    // slots between head and tail belong to the consumer, the others to the producer; head and tail publish the change.

    /// One side's line: position, then the cached copy of the other side's position.
    @usableFromInline
    struct Side: ~Copyable {
        @usableFromInline let position = Atomic<UInt64>(0)
        @usableFromInline var cachedOther: UInt64 = 0
        @usableFromInline init() {}
    }

    @usableFromInline let slots: UnsafeMutablePointer<Element>
    @usableFromInline let producer: UnsafeMutablePointer<Side>
    @usableFromInline let consumer: UnsafeMutablePointer<Side>
    @usableFromInline let mask: UInt64
    private let lines: UnsafeMutableRawPointer

    /// How many elements fit. A power of two.
    public var capacity: Int { Int(mask) + 1 }

    /// Makes a ring for at least `capacity` elements (1 … 2^31), rounded up to a power of two.
    public init(capacity: Int) {
        precondition(capacity >= 1 && capacity <= 1 << 31, "ring capacity out of range")
        var rounded = 1
        while rounded < capacity { rounded <<= 1 }
        mask = UInt64(rounded - 1)
        unsafe slots = .allocate(capacity: rounded)
        // 128: processors fetch lines in pairs.
        unsafe lines = .allocate(byteCount: 384, alignment: 128)
        unsafe producer = lines.bindMemory(to: Side.self, capacity: 1)
        unsafe consumer = (lines + 128).bindMemory(to: Side.self, capacity: 1)
        unsafe producer.initialize(to: Side())
        unsafe consumer.initialize(to: Side())
    }

    deinit {
        unsafe producer.deinitialize(count: 1)
        unsafe consumer.deinitialize(count: 1)
        unsafe lines.deallocate()
        unsafe slots.deallocate()
    }

    /// Producer only. False when the ring is full; the element then was not taken.
    @inlinable
    public func push(_ element: Element) -> Bool {
        let tail = unsafe producer.pointee.position.load(ordering: .relaxed)
        if unsafe tail &- producer.pointee.cachedOther > mask {
            unsafe producer.pointee.cachedOther = unsafe consumer.pointee.position.load(ordering: .acquiring)
            if unsafe tail &- producer.pointee.cachedOther > mask { return false }
        }
        // Sound: tail - head <= mask, so this slot is the producer's.
        unsafe (slots + Int(tail & mask)).initialize(to: element)
        unsafe producer.pointee.position.store(tail &+ 1, ordering: .releasing)
        return true
    }

    /// Consumer only. nil when the ring is empty.
    @inlinable
    public func pop() -> Element? {
        let head = unsafe consumer.pointee.position.load(ordering: .relaxed)
        if unsafe head == consumer.pointee.cachedOther {
            unsafe consumer.pointee.cachedOther = unsafe producer.pointee.position.load(ordering: .acquiring)
            if unsafe head == consumer.pointee.cachedOther { return nil }
        }
        // Sound: head < tail, so the producer published this slot and will not write it before head moves.
        let element = unsafe slots[Int(head & mask)]
        unsafe consumer.pointee.position.store(head &+ 1, ordering: .releasing)
        return element
    }

    /// Elements inside. Exact for either side while the other rests, otherwise a moment's figure; for metrics from any thread.
    public var depth: Int {
        let head = unsafe consumer.pointee.position.load(ordering: .acquiring)
        let tail = unsafe producer.pointee.position.load(ordering: .acquiring)
        return Int(min(tail &- min(head, tail), mask + 1))
    }
}
