// RegexParser, sets and escapes: `[…]`, `\d`, `\p{L}`, `[:alpha:]`, `\x{1F600}`.

extension RegexParser {
    /// The bracketed set at hand.
    mutating func set(foldsCase: Bool) throws(LinearRegexError) -> RegexSet {
        let start = offset
        offset += 1
        let isNegated = take("^")
        var items: [RegexSet.Item] = []
        var single = RegexSet.Item(foldsCase: foldsCase)
        // A closing bracket that stands first is an element.
        var isFirst = true
        while next != "]" || isFirst {
            guard next != nil else { throw error("missing closing ]", from: start) }
            isFirst = false
            if next == "[", peek(1) == ":", let item = try posixSet(foldsCase: foldsCase) {
                items.append(item)
            } else if let item = try namedSet(foldsCase: foldsCase) {
                items.append(item)
            } else {
                single.ranges.append(try range(in: start))
            }
        }
        offset += 1
        if !single.ranges.isEmpty { items.append(single) }
        return RegexSet(items, isNegated: isNegated)
    }

    private mutating func range(in set: Int) throws(LinearRegexError) -> ClosedRange<UInt32> {
        let start = offset
        let first = try element(in: set)
        // A hyphen that stands last is an element.
        guard next == "-", let end = peek(1), end != "]" else { return first.value...first.value }
        offset += 1
        let last = try element(in: set)
        guard first <= last else { throw error("invalid character class range", from: start, to: offset) }
        return first.value...last.value
    }

    private mutating func element(in set: Int) throws(LinearRegexError) -> Unicode.Scalar {
        guard let scalar = next else { throw error("missing closing ]", from: set) }
        if scalar == "\\" { return try escape(from: offset) }
        offset += 1
        return scalar
    }

    /// Nil, with nothing read, when there is no `:]`.
    private mutating func posixSet(foldsCase: Bool) throws(LinearRegexError) -> RegexSet.Item? {
        let start = offset
        var end = offset + 2
        while end + 1 < pattern.count, !(pattern[end] == ":" && pattern[end + 1] == "]") { end += 1 }
        guard end + 1 < pattern.count else { return nil }
        let isNegated = pattern[start + 2] == "^"
        let name = text(from: min(start + (isNegated ? 3 : 2), end), to: end)
        guard var item = RegexSet.Item.posix(name) else {
            throw error("invalid character class range", from: start, to: end + 2)
        }
        offset = end + 2
        item.isNegated = isNegated
        item.foldsCase = foldsCase
        return item
    }

    /// Nil, with nothing read, when the text at hand is no such escape.
    mutating func namedSet(foldsCase: Bool) throws(LinearRegexError) -> RegexSet.Item? {
        guard next == "\\", let letter = peek(1) else { return nil }
        var item: RegexSet.Item
        switch letter {
        case "d", "D": item = .digit
        case "s", "S": item = .space
        case "w", "W": item = .word
        case "p", "P": return try unicodeSet(foldsCase: foldsCase)
        default: return nil
        }
        offset += 2
        item.isNegated = letter.value & 0x20 == 0
        item.foldsCase = foldsCase
        return item
    }

    private mutating func unicodeSet(foldsCase: Bool) throws(LinearRegexError) -> RegexSet.Item {
        let start = offset
        var isNegated = peek(1) == "P"
        offset += 2
        var name = ""
        if take("{") {
            if take("^") { isNegated.toggle() }
            while let scalar = next, scalar != "}" {
                name.unicodeScalars.append(scalar)
                offset += 1
            }
            guard take("}") else { throw error("invalid character class range", from: start) }
        } else if let letter = next {
            name.unicodeScalars.append(letter)
            offset += 1
        }
        guard var item = RegexSet.Item.unicode(name) else {
            throw error("invalid character class range", from: start, to: offset)
        }
        item.isNegated = isNegated
        item.foldsCase = foldsCase
        return item
    }

    /// The code point of the escape whose backslash is at hand.
    mutating func escape(from start: Int) throws(LinearRegexError) -> Unicode.Scalar {
        offset += 1
        guard let letter = next else { throw error("trailing backslash at end of expression", from: offset) }
        offset += 1
        switch letter {
        case "1"..."7":
            // A single digit would be a back-reference.
            guard let digit = next, ("0"..."7").contains(digit) else { break }
            return octal(from: letter)
        case "0": return octal(from: letter)
        case "x": if let scalar = hexadecimal() { return scalar }
        case "a": return "\u{7}"
        case "f": return "\u{c}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "v": return "\u{b}"
        default:
            let isPunctuation = letter.isASCII && !letter.isDigit && (!letter.isWordCharacter || letter == "_")
            if isPunctuation { return letter }
        }
        throw error("invalid escape sequence", from: start, to: offset)
    }

    private mutating func octal(from first: Unicode.Scalar) -> Unicode.Scalar {
        var number = first.value - 0x30
        for _ in 0..<2 {
            guard let digit = next, ("0"..."7").contains(digit) else { break }
            number = number * 8 + digit.value - 0x30
            offset += 1
        }
        // Three octal digits are at most 511.
        return Unicode.Scalar(number) ?? "\0"
    }

    /// `41` or `{10FFFF}`, behind the x.
    private mutating func hexadecimal() -> Unicode.Scalar? {
        let isBraced = take("{")
        var number: UInt32 = 0
        var count = 0
        while count < (isBraced ? .max : 2), let scalar = next, scalar.isASCII,
            let digit = hexadecimalValue(UInt8(scalar.value))
        {
            number = number << 4 | digit
            guard number <= 0x10_ffff else { return nil }
            count += 1
            offset += 1
        }
        guard isBraced ? take("}") && count > 0 : count == 2 else { return nil }
        return Unicode.Scalar(number)
    }
}
