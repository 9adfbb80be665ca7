// PercentDecoding: bytes of a path or query behind their escapes, with the way back to where each stood (RFC 3986 section 2.1).

/// Decoded bytes. `offsets[i]` is where byte `i` began in the encoded text; the last entry is the text's length.
struct PercentDecoded {
    private(set) var bytes: [UInt8] = []
    private(set) var offsets: [Int] = []

    /// nil when a `%` is not followed by two hexadecimal digits. `plusIsSpace` as in queries and form bodies.
    init?(_ encoded: some Sequence<UInt8>, plusIsSpace: Bool = false) {
        var offset = 0
        var iterator = encoded.makeIterator()
        while let byte = iterator.next() {
            offsets.append(offset)
            if byte == UInt8(ascii: "%") {
                guard let first = iterator.next(), let second = iterator.next() else { return nil }
                let high = hexValue(first)
                let low = hexValue(second)
                guard high < 16, low < 16 else { return nil }
                bytes.append(high << 4 | low)
                offset += 3
            } else {
                bytes.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
                offset += 1
            }
        }
        offsets.append(offset)
    }

    /// Where a range of decoded bytes stood in the encoded text.
    func encoded(_ range: Range<Int>) -> Range<Int> {
        guard range.lowerBound >= 0, range.upperBound < offsets.count else { return 0..<0 }
        return offsets[range.lowerBound]..<offsets[range.upperBound]
    }
}
