// ByteScan: how far a run of bytes of one class reaches. The inner loops of the head parser.
//
// Two keepers of one contract. `ScalarScan` asks the table for each byte and is the oracle; `VectorScan` decides 16 bytes
// at once by comparisons. With one 595-byte GitHub head it takes 0.6 of the scalar time. (Classifying fixed blocks ahead and
// picking the ends out of their bits was tried and was no faster.)
//
// Swift 6.3 binds SIMD operators to their generic, lane-by-lane versions as soon as an operand's type is inferred (240
// times slower), so every operand here is named `SIMD16<UInt8>`.

/// All functions look at bytes `from ..< end` and return the index of the first that ends the run, or `end`.
protocol ByteScan {
    /// The run of plain characters: of a name or host, as far as it is made of what nearly all are made of.
    static func skipPlain(_ bytes: HeadBytes, from: Int, to end: Int) -> Int
    /// The run of target characters.
    static func skipTarget(_ bytes: HeadBytes, from: Int, to end: Int) -> Int
    /// The run of field-value characters.
    static func skipFieldValue(_ bytes: HeadBytes, from: Int, to end: Int) -> Int
    /// The run of bytes other than `byte`.
    static func find(_ byte: UInt8, _ bytes: HeadBytes, from: Int, to end: Int) -> Int
}

enum ScalarScan: ByteScan {
    @inline(__always)
    static func skipPlain(_ bytes: HeadBytes, from: Int, to end: Int) -> Int {
        var index = from
        while index < end, isPlainCharacter(bytes[index]) { index &+= 1 }
        return index
    }

    @inline(__always)
    static func skipTarget(_ bytes: HeadBytes, from: Int, to end: Int) -> Int {
        var index = from
        while index < end, isTargetCharacter(bytes[index]) { index &+= 1 }
        return index
    }

    @inline(__always)
    static func skipFieldValue(_ bytes: HeadBytes, from: Int, to end: Int) -> Int {
        var index = from
        while index < end, isFieldValueCharacter(bytes[index]) { index &+= 1 }
        return index
    }

    @inline(__always)
    static func find(_ byte: UInt8, _ bytes: HeadBytes, from: Int, to end: Int) -> Int {
        var index = from
        while index < end, bytes[index] != byte { index &+= 1 }
        return index
    }
}

enum VectorScan: ByteScan {
    private typealias Vector = SIMD16<UInt8>

    /// Index of the first lane that is set in the union of masks, 16 when none is. Each mask lane is 0x00 or 0xff; four bits of
    /// each are kept in one word (shift and narrow: no branch, and SSE2 has no cheaper way to a general register that
    /// Swift can name).
    @inline(__always)
    private static func firstSet(_ mask: SIMD16<UInt8>) -> Int {
        // Same size, any bit pattern is valid.
        let pairs = unsafe unsafeBitCast(mask, to: SIMD8<UInt16>.self) &>> SIMD8<UInt16>(repeating: 4)
        let word = unsafe unsafeBitCast(SIMD8<UInt8>(truncatingIfNeeded: pairs), to: UInt64.self)
        return word.trailingZeroBitCount &>> 2
    }

    @inline(__always)
    private static func bits(_ mask: SIMDMask<SIMD16<Int8>>) -> SIMD16<UInt8> {
        // Same size, any bit pattern is valid.
        unsafe unsafeBitCast(mask, to: SIMD16<UInt8>.self)
    }

    @inline(__always)
    static func skipPlain(_ bytes: HeadBytes, from: Int, to end: Int) -> Int {
        var index = from
        while index &+ 16 <= end {
            let v = bytes.vector(at: index)
            let lowered = v | SIMD16<UInt8>(repeating: 0x20)
            let letters = bits((lowered &- SIMD16<UInt8>(repeating: 0x61)) .< SIMD16<UInt8>(repeating: 26))
            let digits = bits((v &- SIMD16<UInt8>(repeating: 0x30)) .< SIMD16<UInt8>(repeating: 10))
            let marks = bits((v &- SIMD16<UInt8>(repeating: 0x2d)) .< SIMD16<UInt8>(repeating: 2))
            let lane = firstSet(~(letters | digits | marks))
            if lane != 16 { return index &+ lane }
            index &+= 16
        }
        return ScalarScan.skipPlain(bytes, from: index, to: end)
    }

    @inline(__always)
    static func skipTarget(_ bytes: HeadBytes, from: Int, to end: Int) -> Int {
        var index = from
        while index &+ 16 <= end {
            let v = bytes.vector(at: index)
            // Blank, control, DEL and above.
            var stop = bits((v &- SIMD16<UInt8>(repeating: 0x21)) .>= SIMD16<UInt8>(repeating: 0x5e))
            // `"` and `#`; `<` and `>`; `\` and `^`: pairs that differ in one bit.
            stop |= bits((v | SIMD16<UInt8>(repeating: 1)) .== SIMD16<UInt8>(repeating: 0x23))
            stop |= bits((v | SIMD16<UInt8>(repeating: 2)) .== SIMD16<UInt8>(repeating: 0x3e))
            stop |= bits((v | SIMD16<UInt8>(repeating: 2)) .== SIMD16<UInt8>(repeating: 0x5e))
            stop |= bits(v .== SIMD16<UInt8>(repeating: 0x60))
            // `{|}`.
            stop |= bits((v &- SIMD16<UInt8>(repeating: 0x7b)) .< SIMD16<UInt8>(repeating: 3))
            let lane = firstSet(stop)
            if lane != 16 { return index &+ lane }
            index &+= 16
        }
        return ScalarScan.skipTarget(bytes, from: index, to: end)
    }

    @inline(__always)
    static func skipFieldValue(_ bytes: HeadBytes, from: Int, to end: Int) -> Int {
        var index = from
        while index &+ 16 <= end {
            let v = bytes.vector(at: index)
            let controls = bits(v .< SIMD16<UInt8>(repeating: 0x20)) & ~bits(v .== SIMD16<UInt8>(repeating: 0x09))
            let lane = firstSet(controls | bits(v .== SIMD16<UInt8>(repeating: 0x7f)))
            if lane != 16 { return index &+ lane }
            index &+= 16
        }
        return ScalarScan.skipFieldValue(bytes, from: index, to: end)
    }

    @inline(__always)
    static func find(_ byte: UInt8, _ bytes: HeadBytes, from: Int, to end: Int) -> Int {
        var index = from
        while index &+ 16 <= end {
            let lane = firstSet(bits(bytes.vector(at: index) .== SIMD16<UInt8>(repeating: byte)))
            if lane != 16 { return index &+ lane }
            index &+= 16
        }
        return ScalarScan.find(byte, bytes, from: index, to: end)
    }
}
