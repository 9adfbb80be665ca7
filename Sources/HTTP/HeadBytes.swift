// HeadBytes: the cursor over the raw bytes of a head. The one place of this room that reads raw memory for the parser.

/// `count` readable bytes at `base`, lent for the duration of one parse call.
///
/// Every read is checked against `count`, also in release: the checks are not what the parser spends its time on.
@safe
struct HeadBytes {
    // base ..< base + count is readable while this value lives; count <= RequestLimits.ceiling.headBytesMax + body.
    private let base: UnsafeRawPointer
    /// Bytes that may be read.
    let count: Int

    /// nil when there is nothing to read.
    @inline(__always)
    init?(_ buffer: UnsafeRawBufferPointer) {
        guard let base = buffer.baseAddress, buffer.count > 0 else { return nil }
        unsafe self.base = base
        count = buffer.count
    }

    @inline(__always)
    private func check(_ index: Int, _ width: Int) {
        precondition(index >= 0 && index <= count &- width, "read outside the buffer")
    }

    @inline(__always)
    subscript(index: Int) -> UInt8 {
        check(index, 1)
        // Checked one line above.
        return unsafe base.load(fromByteOffset: index, as: UInt8.self)
    }

    /// 16 bytes at `index`, of any alignment.
    @inline(__always)
    func vector(at index: Int) -> SIMD16<UInt8> {
        check(index, 16)
        return unsafe base.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)
    }

    /// 8 bytes at `index` as they lie in memory.
    @inline(__always)
    func word(at index: Int) -> UInt64 {
        check(index, 8)
        return unsafe base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
    }

    @inline(__always)
    private func half(at index: Int) -> UInt32 {
        check(index, 4)
        return unsafe base.loadUnaligned(fromByteOffset: index, as: UInt32.self)
    }

    /// Whether the bytes at `index` are `text`, byte for byte. `text` is a literal of 3 bytes or more.
    @inline(__always)
    func equal(at index: Int, _ text: StaticString) -> Bool {
        equal(at: index, text, lowered: 0)
    }

    /// Whether the bytes at `index` are `text` when ASCII case is ignored. `text` is a literal in lower case, of letters,
    /// digits and hyphens. Exact where the bytes hold no control characters: setting bit 5 lowers letters, keeps digits and
    /// the hyphen, and only control characters could come to look like the latter.
    @inline(__always)
    func equalIgnoringCase(at index: Int, _ text: StaticString) -> Bool {
        equal(at: index, text, lowered: 0x2020_2020_2020_2020)
    }

    /// Compares by words that overlap at the end; with a literal it compiles to a few comparisons with constants.
    @inline(__always)
    private func equal(at index: Int, _ text: StaticString, lowered: UInt64) -> Bool {
        let length = text.utf8CodeUnitCount
        // A literal's own bytes: `length` of them.
        let literal = unsafe UnsafeRawPointer(text.utf8Start)
        if length >= 8 {
            var at = 0
            while at &+ 8 <= length {
                let expected = unsafe literal.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                if word(at: index &+ at) | lowered != expected { return false }
                at &+= 8
            }
            if at == length { return true }
            let expected = unsafe literal.loadUnaligned(fromByteOffset: length &- 8, as: UInt64.self)
            return word(at: index &+ length &- 8) | lowered == expected
        }
        if length >= 4 {
            let low = UInt32(truncatingIfNeeded: lowered)
            let first = unsafe literal.loadUnaligned(as: UInt32.self)
            let last = unsafe literal.loadUnaligned(fromByteOffset: length &- 4, as: UInt32.self)
            return half(at: index) | low == first && half(at: index &+ length &- 4) | low == last
        }
        let low = UInt8(truncatingIfNeeded: lowered)
        var at = 0
        while at < length {
            let expected = unsafe literal.load(fromByteOffset: at, as: UInt8.self)
            if self[index &+ at] | low != expected { return false }
            at &+= 1
        }
        return true
    }
}
