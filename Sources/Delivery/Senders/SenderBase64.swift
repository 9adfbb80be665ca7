// SenderBase64: base64 as the senders and their libraries write it (RFC 4648 sections 4 and 5).

enum SenderBase64 {
    /// With padding, as Go's StdEncoding: line breaks are skipped, everything else outside the alphabet is refused.
    static func standard(_ text: some Collection<UInt8>) -> [UInt8]? {
        var digits: [UInt8] = []
        digits.reserveCapacity(text.count)
        var padding = 0
        for byte in text where byte != 0x0a && byte != 0x0d {
            if byte == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = value(byte, 0x2b, 0x2f) else { return nil }
            digits.append(value)
        }
        guard (digits.count + padding) % 4 == 0, padding < 3 else { return nil }
        return bytes(of: digits, areStrayBitsZero: false)
    }

    /// Without padding and with `-` and `_`, as JSON Web Tokens have it (RFC 7515 section 2); bits left over must be zero, so that one
    /// value has one spelling.
    static func url(_ text: some Collection<UInt8>) -> [UInt8]? {
        var digits: [UInt8] = []
        digits.reserveCapacity(text.count)
        for byte in text {
            guard let value = value(byte, 0x2d, 0x5f) else { return nil }
            digits.append(value)
        }
        return bytes(of: digits, areStrayBitsZero: true)
    }

    private static func value(_ byte: UInt8, _ sixtyTwo: UInt8, _ sixtyThree: UInt8) -> UInt8? {
        switch byte {
        case 0x41...0x5a: byte - 0x41
        case 0x61...0x7a: byte - 0x61 + 26
        case 0x30...0x39: byte - 0x30 + 52
        case sixtyTwo: 62
        case sixtyThree: 63
        default: nil
        }
    }

    private static func bytes(of digits: [UInt8], areStrayBitsZero: Bool) -> [UInt8]? {
        guard digits.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count * 3 / 4)
        var group: UInt32 = 0
        var bits: UInt32 = 0
        for digit in digits {
            group = (group << 6 | UInt32(digit)) & 0xffff
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: group >> bits))
            }
        }
        if areStrayBitsZero, group & ((1 << bits) - 1) != 0 { return nil }
        return bytes
    }
}
