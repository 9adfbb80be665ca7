// Text: strings as CEL sees them, as sequences of code points. Swift's own comparison takes canonically equivalent strings for
// equal; CEL's does not, and a filter that guards a deployment must not either.

extension String {
    /// Code point by code point equality, which is equality of the UTF-8 bytes.
    func hasSameBytes(as other: String) -> Bool {
        let a = utf8.span
        let b = other.utf8.span
        guard a.count == b.count else { return false }
        for index in a.indices where a[index] != b[index] { return false }
        return true
    }

    /// The order of code points, which UTF-8 keeps.
    func byteOrder(_ other: String) -> CELOrder {
        let a = utf8.span
        let b = other.utf8.span
        for index in 0..<min(a.count, b.count) where a[index] != b[index] {
            return a[index] < b[index] ? .before : .after
        }
        return a.count == b.count ? .equal : a.count < b.count ? .before : .after
    }

    func hashBytes(into hasher: inout Hasher) {
        // A native string lends its bytes for the time of the closure; another kind is hashed byte by byte with the same result
        // for equal strings, as a string stays of its kind.
        let lent: Void? = unsafe utf8.withContiguousStorageIfAvailable {
            unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        if lent == nil { for byte in utf8 { hasher.combine(byte) } }
        hasher.combine(0xff as UInt8)
    }
}

extension [UInt8] {
    init(text: String) { self = Array(text.utf8) }

    /// Bytes that were cut out of valid UTF-8 at code point boundaries.
    var text: String { String(decoding: self, as: UTF8.self) }

    /// How many code points begin in `range`.
    func scalarCount(in range: Range<Int>) -> Int {
        var count = 0
        for index in range where self[index] & 0xc0 != 0x80 { count += 1 }
        return count
    }

    /// Where the code point number `scalar` begins; `count` for the one behind the last; nil beyond.
    func byteOffset(ofScalar scalar: Int) -> Int? {
        guard scalar >= 0 else { return nil }
        var seen = 0
        for index in indices where self[index] & 0xc0 != 0x80 {
            if seen == scalar { return index }
            seen += 1
        }
        return seen == scalar ? count : nil
    }
}
