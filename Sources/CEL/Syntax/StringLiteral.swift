// StringLiteral: what stands between the quotes, without its escapes. Line ends of any system read as a newline.
//
// In a string `\x41` and `\101` are code points, in bytes they are bytes; `\u` and `\U` are for strings alone.

struct StringLiteral {
    let source: SourceText
    let range: Range<Int>
    let isRaw: Bool

    func string() throws(CELCompileError) -> String {
        var result = ""
        try decode { number, _ in
            guard let scalar = Unicode.Scalar(number) else { return false }
            result.unicodeScalars.append(scalar)
            return true
        }
        return result
    }

    func bytes() throws(CELCompileError) -> [UInt8] {
        var result: [UInt8] = []
        try decode { number, escape in
            switch escape {
            case .byte:
                guard number <= 0xff else { return false }
                result.append(UInt8(number))
            case .codePoint: return false
            case nil:
                guard let scalar = Unicode.Scalar(number) else { return false }
                result.append(contentsOf: String(scalar).utf8)
            }
            return true
        }
        return result
    }

    private enum Escape {
        case byte, codePoint
    }

    /// Hands on each number with the kind of numeric escape it was written as; false means that it does not belong here.
    private func decode(_ append: (UInt32, Escape?) -> Bool) throws(CELCompileError) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let start = offset
            var number = source.scalars[offset].value
            var escape: Escape?
            offset += 1
            if number == 0x0d {
                if offset < range.upperBound, source[offset] == "\n" { offset += 1 }
                number = 0x0a
            } else if number == 0x5c, !isRaw {
                guard let (decoded, kind, end) = unescape(at: offset) else { throw invalid(start) }
                (number, escape, offset) = (decoded, kind, end)
            }
            guard append(number, escape) else { throw invalid(start) }
        }
    }

    private func invalid(_ offset: Int) -> CELCompileError {
        source.error(at: offset, "Syntax error: invalid escape sequence in a literal")
    }

    /// The escape whose letter is at `offset`, and where it ends.
    private func unescape(at offset: Int) -> (UInt32, Escape?, end: Int)? {
        guard offset < range.upperBound, let letter = source[offset] else { return nil }
        func simple(_ number: UInt32) -> (UInt32, Escape?, Int) { (number, nil, offset + 1) }
        switch letter {
        case "a": return simple(0x07)
        case "b": return simple(0x08)
        case "f": return simple(0x0c)
        case "n": return simple(0x0a)
        case "r": return simple(0x0d)
        case "t": return simple(0x09)
        case "v": return simple(0x0b)
        case "\\", "?", "\"", "'", "`": return simple(letter.value)
        case "x", "X": return digits(2, radix: 16, from: offset + 1, .byte)
        case "u": return digits(4, radix: 16, from: offset + 1, .codePoint)
        case "U": return digits(8, radix: 16, from: offset + 1, .codePoint)
        case "0"..."3": return digits(3, radix: 8, from: offset, .byte)
        default: return nil
        }
    }

    private func digits(_ count: Int, radix: UInt32, from start: Int, _ kind: Escape) -> (UInt32, Escape?, Int)? {
        let end = start + count
        guard end <= range.upperBound else { return nil }
        var number: UInt32 = 0
        for scalar in source.scalars[start..<end] {
            guard scalar.isASCII, let digit = hexadecimalValue(UInt8(scalar.value)), digit < radix else { return nil }
            number = number * radix + digit
        }
        return (number, kind, end)
    }
}
