// JSONForm: whether a text is JSON (RFC 8259) by its form, without making anything of it.
//
// JSON is YAML in which every key is a quoted text, so whatever is true of keys that are not text does not concern it.

enum JSONForm {
    private static let nestingMax = 1_000

    /// Linear, no recursion. Whether a number or escape is well formed is left to the parser: it changes no structure.
    static func isJSON(_ bytes: ArraySlice<UInt8>) -> Bool {
        /// What may come next.
        enum Expected { case value, valueOrEnd, keyOrEnd, key, colon, commaOrEnd, nothing }
        var expected = Expected.value
        // true: an object.
        var open: [Bool] = []
        var index = bytes.startIndex
        func afterValue() -> Expected { open.isEmpty ? .nothing : .commaOrEnd }

        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            switch (byte, expected) {
            case (0x20, _), (0x09, _), (0x0a, _), (0x0d, _): continue
            case (UInt8(ascii: "{"), .value), (UInt8(ascii: "{"), .valueOrEnd):
                open.append(true)
                expected = .keyOrEnd
            case (UInt8(ascii: "["), .value), (UInt8(ascii: "["), .valueOrEnd):
                open.append(false)
                expected = .valueOrEnd
            case (UInt8(ascii: "}"), .keyOrEnd), (UInt8(ascii: "}"), .commaOrEnd):
                guard open.popLast() == true else { return false }
                expected = afterValue()
            case (UInt8(ascii: "]"), .valueOrEnd), (UInt8(ascii: "]"), .commaOrEnd):
                guard open.popLast() == false else { return false }
                expected = afterValue()
            case (UInt8(ascii: ","), .commaOrEnd): expected = open.last == true ? .key : .value
            case (UInt8(ascii: ":"), .colon): expected = .value
            case (UInt8(ascii: "\""), .key), (UInt8(ascii: "\""), .keyOrEnd):
                guard let end = endOfText(bytes, index) else { return false }
                index = end
                expected = .colon
            case (UInt8(ascii: "\""), .value), (UInt8(ascii: "\""), .valueOrEnd):
                guard let end = endOfText(bytes, index) else { return false }
                index = end
                expected = afterValue()
            case (_, .value), (_, .valueOrEnd):
                guard isLiteral(byte) else { return false }
                index = bytes[index...].firstIndex { !isLiteral($0) } ?? bytes.endIndex
                expected = afterValue()
            default: return false
            }
            if open.count > nestingMax { return false }
        }
        return expected == .nothing
    }

    /// Behind the closing quote, or nil. Control characters do not stand in JSON texts.
    private static func endOfText(_ bytes: ArraySlice<UInt8>, _ start: Int) -> Int? {
        var index = start
        while index < bytes.endIndex, bytes[index] >= 0x20 {
            if bytes[index] == UInt8(ascii: "\"") { return index + 1 }
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }

    /// Characters of numbers, true, false and null.
    private static func isLiteral(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "E"),
            UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
