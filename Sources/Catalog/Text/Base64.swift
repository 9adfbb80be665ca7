// Base64: standard base64 with padding (RFC 4648 section 4), decoded as Go's encoding/base64 does for a Secret's `data`: line
// breaks are skipped, everything else outside the alphabet is refused, and so is a wrong padding.

package enum Base64 {
    private static let invalid: UInt8 = 0xff
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: invalid, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
        for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
        return table
    }()

    /// The bytes, or nil when `text` is not base64. Says nothing about where it is wrong: it may be a secret.
    package static func decode(_ text: String) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count / 4 * 3)
        var group: UInt32 = 0
        var digits = 0
        var padding = 0
        for character in text.utf8 where character != 0x0a && character != 0x0d {
            if padding > 0 || character == UInt8(ascii: "=") {
                guard character == UInt8(ascii: "="), digits >= 2, digits + padding < 4 else { return nil }
                padding += 1
                continue
            }
            let value = values[Int(character)]
            guard value != invalid else { return nil }
            group = group << 6 | UInt32(value)
            digits += 1
            if digits == 4 {
                result.append(UInt8(truncatingIfNeeded: group >> 16))
                result.append(UInt8(truncatingIfNeeded: group >> 8))
                result.append(UInt8(truncatingIfNeeded: group))
                group = 0
                digits = 0
            }
        }
        guard digits == 0 && padding == 0 || digits + padding == 4 else { return nil }
        if digits == 3 { result.append(UInt8(truncatingIfNeeded: group >> 10)) }
        if digits == 3 { result.append(UInt8(truncatingIfNeeded: group >> 2)) }
        if digits == 2 { result.append(UInt8(truncatingIfNeeded: group >> 4)) }
        return result
    }
}
