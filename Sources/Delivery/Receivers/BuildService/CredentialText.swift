// CredentialText: the small decodings that credentials need. Total; linear.

enum CredentialText {
    /// What follows the scheme of an Authorization field, when the scheme is this one (lower case; RFC 9110 section 11.1).
    static func parameter(of field: String, scheme: StaticString) -> Substring.UTF8View? {
        let bytes = field.utf8
        guard let blank = bytes.firstIndex(of: UInt8(ascii: " ")) else { return nil }
        let name = bytes[..<blank].map(lowered)
        guard name.count == scheme.utf8CodeUnitCount, name.elementsEqual(String(describing: scheme).utf8) else {
            return nil
        }
        return bytes[blank...].drop { $0 == UInt8(ascii: " ") }
    }

    /// Base64 (RFC 4648 section 4), with or without padding; nil when anything else stands there.
    static func base64(_ text: some Collection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3 + 2)
        var group: UInt32 = 0
        var digits = 0
        var padding = 0
        for byte in text {
            if byte == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = base64Value(byte) else { return nil }
            group = group << 6 | value
            digits += 1
            if digits == 4 {
                bytes += [
                    UInt8(truncatingIfNeeded: group >> 16), UInt8(truncatingIfNeeded: group >> 8),
                    UInt8(truncatingIfNeeded: group),
                ]
                group = 0
                digits = 0
            }
        }
        guard padding <= 2, padding == 0 || (digits + padding) == 4 else { return nil }
        switch digits {
        case 0: return bytes
        case 2: return bytes + [UInt8(truncatingIfNeeded: group >> 4)]
        case 3: return bytes + [UInt8(truncatingIfNeeded: group >> 10), UInt8(truncatingIfNeeded: group >> 2)]
        default: return nil
        }
    }

    /// `%` and two hexadecimal digits become their byte; a `%` without them stays. Longer texts never result.
    static func percentDecoded(_ text: some Collection<UInt8>) -> [UInt8] {
        let text = Array(text)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            if text[index] == UInt8(ascii: "%"), index + 2 < text.count, hexValue(text[index + 1]) != 0xff,
                hexValue(text[index + 2]) != 0xff
            {
                bytes.append(hexValue(text[index + 1]) << 4 | hexValue(text[index + 2]))
                index += 3
            } else {
                bytes.append(text[index])
                index += 1
            }
        }
        return bytes
    }

    /// Exactly 64 hexadecimal digits of either case; nil for all else.
    static func sha256Digest(_ text: String) -> [UInt8]? {
        guard text.utf8.count == 64 else { return nil }
        let values = text.utf8.map(hexValue)
        guard !values.contains(0xff) else { return nil }
        return (0..<32).map { values[2 * $0] << 4 | values[2 * $0 + 1] }
    }

    /// Where the values of the parameter `name` stand in a query, as UTF-8 offsets.
    static func values(of name: StaticString, in query: String) -> [Range<Int>] {
        let bytes = Array(query.utf8)
        let wanted = String(describing: name).utf8
        var ranges: [Range<Int>] = []
        var start = 0
        while start <= bytes.count {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "&")) ?? bytes.count
            if let equals = bytes[start..<end].firstIndex(of: UInt8(ascii: "=")),
                percentDecoded(bytes[start..<equals]).elementsEqual(wanted)
            {
                ranges.append(equals + 1..<end)
            }
            start = end + 1
        }
        return ranges
    }

    private static func base64Value(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
