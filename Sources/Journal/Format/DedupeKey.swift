// DedupeKey: SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; the
// 128-bit variant of the authors' reference code), keyed per data directory.
//
// Delivery ids come from senders and the hash decides which of them count as the same, so the hash must be keyed: with
// a random key nobody outside can find two ids that collide, and at 128 bits chance does not find them either. The
// key must outlive a restart, because the hashes are in the records; it lives in the identity of every segment, so it
// exists exactly as long as the records that need it and no file of its own can be lost or fall out of step.

/// A 128-bit hash of (route, delivery id). All zero means "no delivery id": no deduplication.
public struct DedupeHash: Sendable, Hashable {
    public var low: UInt64
    public var high: UInt64

    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    public static let none = DedupeHash(low: 0, high: 0)
}

/// The key of a data directory. Never printed.
public struct DedupeKey: Sendable, Equatable, CustomStringConvertible {
    let low: UInt64
    let high: UInt64

    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    public var description: String { "<key>" }

    /// Hash of a delivery id on a route. `route` is anything that stays the same over restarts and differs between
    /// routes, such as its identity's text; parts are hashed with their lengths, so that no two pairs run together.
    /// Never `DedupeHash.none`, except for an empty id. No allocation.
    public func hash(route: UnsafeRawBufferPointer, deliveryID: UnsafeRawBufferPointer) -> DedupeHash {
        guard deliveryID.count > 0 else { return .none }
        var state = SipHash128(key: self)
        state.absorb(UInt64(route.count))
        unsafe state.absorb(route)
        state.absorb(UInt64(deliveryID.count))
        unsafe state.absorb(deliveryID)
        let hash = state.finish()
        return hash == .none ? DedupeHash(low: 1, high: 0) : hash
    }

    /// SipHash-2-4-128 of `bytes` as the reference code computes it.
    func hash(_ bytes: UnsafeRawBufferPointer) -> DedupeHash {
        var state = SipHash128(key: self)
        unsafe state.absorb(bytes)
        return state.finish()
    }
}

/// The running state.
struct SipHash128 {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64
    // The bytes that do not fill a word yet, lowest first; `byteCount & 7` of them.
    private var tail: UInt64 = 0
    private var byteCount: UInt64 = 0

    init(key: DedupeKey) {
        v0 = 0x736f_6d65_7073_6575 ^ key.low
        v1 = 0x646f_7261_6e64_6f6d ^ key.high ^ 0xee
        v2 = 0x6c79_6765_6e65_7261 ^ key.low
        v3 = 0x7465_6462_7974_6573 ^ key.high
    }

    private mutating func round() {
        v0 &+= v1
        v1 = v1 << 13 | v1 >> 51
        v1 ^= v0
        v0 = v0 << 32 | v0 >> 32
        v2 &+= v3
        v3 = v3 << 16 | v3 >> 48
        v3 ^= v2
        v0 &+= v3
        v3 = v3 << 21 | v3 >> 43
        v3 ^= v0
        v2 &+= v1
        v1 = v1 << 17 | v1 >> 47
        v1 ^= v2
        v2 = v2 << 32 | v2 >> 32
    }

    private mutating func compress(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    private mutating func absorb(byte: UInt8) {
        tail |= UInt64(byte) << ((byteCount & 7) * 8)
        byteCount &+= 1
        if byteCount & 7 == 0 {
            compress(tail)
            tail = 0
        }
    }

    mutating func absorb(_ word: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { absorb(byte: UInt8(truncatingIfNeeded: word >> shift)) }
    }

    mutating func absorb(_ bytes: UnsafeRawBufferPointer) {
        let reader = unsafe ByteReader(bytes)
        var position = 0
        if byteCount & 7 == 0 {
            while position + 8 <= reader.count {
                compress(reader.uint64(at: position))
                byteCount &+= 8
                position += 8
            }
        }
        while position < reader.count {
            absorb(byte: reader.uint8(at: position))
            position += 1
        }
    }

    mutating func finish() -> DedupeHash {
        compress(tail | byteCount << 56)
        v2 ^= 0xee
        for _ in 0..<4 { round() }
        let low = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xdd
        for _ in 0..<4 { round() }
        return DedupeHash(low: low, high: v0 ^ v1 ^ v2 ^ v3)
    }
}
