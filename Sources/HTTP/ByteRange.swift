// ByteRange: where a parsed thing lies, as offset and count into the buffer that was parsed.
//
// Ranges, not pointers and not copies: they stay valid when the buffer moves, are `Sendable` and cost eight bytes.

/// Bytes `offset ..< offset + count`, relative to the first byte of the buffer handed to the parser.
public struct ByteRange: Sendable, Equatable {
    public var offset: UInt32
    public var count: UInt32

    public init(offset: UInt32, count: UInt32) {
        self.offset = offset
        self.count = count
    }

    /// No bytes, at offset 0.
    public static let empty = ByteRange(offset: 0, count: 0)

    public var isEmpty: Bool { count == 0 }

    /// The same as indices into a buffer.
    public var indices: Range<Int> { Int(offset)..<Int(offset) + Int(count) }

    /// These bytes of `buffer`. Traps when the range does not lie within it.
    public func bytes(of buffer: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: buffer[indices])
    }

    /// From index `start` to before index `end`; both were bounded by a head's size, so they fit.
    @inline(__always)
    init(from start: Int, to end: Int) {
        assert(0 <= start && start <= end && end <= Int(UInt32.max))
        offset = UInt32(truncatingIfNeeded: start)
        count = UInt32(truncatingIfNeeded: end &- start)
    }
}
