// Small comparisons and decodings on raw bytes. Not for secrets: those go through `cc_equal`.

/// ASCII lower case; other bytes stay.
@inline(always)
func lowered(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

/// Whether `bytes` equals `lower` (which has no upper case) ignoring ASCII case.
func equalsIgnoringASCIICase(_ bytes: UnsafeRawBufferPointer, _ lower: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count == lower.count else { return false }
    for index in 0..<bytes.count where unsafe lowered(bytes[index]) != lower[index] { return false }
    return true
}

/// Whether `bytes` equals the text exactly.
func equals(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    guard bytes.count == text.utf8CodeUnitCount else { return false }
    for index in 0..<bytes.count where unsafe bytes[index] != text.utf8Start[index] { return false }
    return true
}

/// Whether `bytes` begins with the text exactly.
func hasPrefix(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    guard bytes.count >= text.utf8CodeUnitCount else { return false }
    for index in 0..<text.utf8CodeUnitCount where unsafe bytes[index] != text.utf8Start[index] { return false }
    return true
}

/// The value of a hexadecimal digit of either case, or 0xff.
@inline(always)
func hexValue(_ byte: UInt8) -> UInt8 {
    if byte &- 0x30 < 10 { return byte &- 0x30 }
    let lower = byte | 0x20
    return lower &- 0x61 < 6 ? lower &- 0x57 : 0xff
}

/// Decodes exactly `2 * count` hexadecimal digits of either case. False when anything else stands there.
func decodeHex(_ bytes: UnsafeRawBufferPointer, into digest: inout InlineArray<64, UInt8>, count: Int) -> Bool {
    guard bytes.count == 2 * count, count <= 64 else { return false }
    for index in 0..<count {
        let high = unsafe hexValue(bytes[2 * index])
        let low = unsafe hexValue(bytes[2 * index + 1])
        if high | low > 0x0f { return false }
        digest[index] = high << 4 | low
    }
    return true
}

/// Decodes standard base64 with padding (RFC 4648 section 4) of exactly `count` bytes. False when anything else stands there.
func decodeBase64(_ bytes: UnsafeRawBufferPointer, into digest: inout InlineArray<64, UInt8>, count: Int) -> Bool {
    guard count <= 64, bytes.count == (count + 2) / 3 * 4 else { return false }
    var produced = 0
    var group: UInt32 = 0
    var digits = 0
    for index in 0..<bytes.count {
        let byte = unsafe bytes[index]
        let value: UInt32
        switch byte {
        case 0x41...0x5a: value = UInt32(byte &- 0x41)
        case 0x61...0x7a: value = UInt32(byte &- 0x61 &+ 26)
        case 0x30...0x39: value = UInt32(byte &- 0x30 &+ 52)
        case 0x2b: value = 62
        case 0x2f: value = 63
        case 0x3d:
            // Padding only where the length asks for it, and with no bits left over.
            let padding = (3 - count % 3) % 3
            guard index >= bytes.count - padding, group & ((1 << (2 * UInt32(padding))) - 1) == 0 || digits == 0
            else { return false }
            if digits == 0 { continue }
            let bytesLeft = count - produced
            for position in 0..<bytesLeft {
                let shift = UInt32(digits * 6 - 8 * (position + 1))
                digest[produced] = UInt8(truncatingIfNeeded: group >> shift)
                produced += 1
            }
            digits = 0
            group = 0
            continue
        default: return false
        }
        group = group << 6 | value
        digits += 1
        if digits == 4 {
            guard produced + 3 <= count else { return false }
            digest[produced] = UInt8(truncatingIfNeeded: group >> 16)
            digest[produced + 1] = UInt8(truncatingIfNeeded: group >> 8)
            digest[produced + 2] = UInt8(truncatingIfNeeded: group)
            produced += 3
            digits = 0
            group = 0
        }
    }
    return digits == 0 && produced == count
}
