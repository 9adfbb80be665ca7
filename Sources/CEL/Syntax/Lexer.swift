// Lexer: source text into tokens. Linear; blanks and comments (`//` to the end of the line) fall away.

struct Lexer {
    private let source: SourceText
    private var offset = 0

    static func tokens(of source: SourceText) throws(CELCompileError) -> [Token] {
        var lexer = Lexer(source: source)
        var tokens: [Token] = []
        while true {
            let token = try lexer.next()
            tokens.append(token)
            if token.kind == .end { return tokens }
        }
    }

    private init(source: SourceText) { self.source = source }

    private mutating func next() throws(CELCompileError) -> Token {
        skipBlanks()
        let start = offset
        guard let first = source[offset] else { return Token(kind: .end, range: start..<start) }
        if let kind = try string() { return Token(kind: kind, range: start..<offset) }
        if first.isIdentifierStart {
            while let scalar = source[offset], scalar.isIdentifierStart || scalar.isDigit { offset += 1 }
            return Token(kind: .identifier(source.text(start..<offset)), range: start..<offset)
        }
        if first.isDigit || first == "." && source[offset + 1]?.isDigit == true {
            return Token(kind: try number(), range: start..<offset)
        }
        for symbol in Token.Symbol.allCases where source.hasText(symbol.rawValue, at: offset) {
            offset += symbol.rawValue.utf8.count
            return Token(kind: .symbol(symbol), range: start..<offset)
        }
        if first == "`" { throw source.error(at: start, "unsupported syntax: '`'") }
        throw source.error(at: start, "Syntax error: token recognition error at: '\(first)'")
    }

    private mutating func skipBlanks() {
        while let scalar = source[offset] {
            if scalar == "/", source[offset + 1] == "/" {
                while let scalar = source[offset], scalar != "\n" { offset += 1 }
            } else if scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r" || scalar == "\u{c}" {
                offset += 1
            } else {
                return
            }
        }
    }

    // MARK: Numbers

    private mutating func number() throws(CELCompileError) -> Token.Kind {
        let start = offset
        if source[offset] == "0", source[offset + 1] == "x", source[offset + 2]?.isHexadecimalDigit == true {
            offset += 2
            let digits = offset
            while source[offset]?.isHexadecimalDigit == true { offset += 1 }
            return try integer(UInt64(source.text(digits..<offset), radix: 16), start)
        }
        skipDigits()
        var isWhole = true
        if source[offset] == ".", source[offset + 1]?.isDigit == true {
            isWhole = false
            offset += 1
            skipDigits()
        }
        if source[offset] == "e" || source[offset] == "E" {
            let hasSign = source[offset + 1] == "+" || source[offset + 1] == "-"
            if source[offset + (hasSign ? 2 : 1)]?.isDigit == true {
                isWhole = false
                offset += hasSign ? 2 : 1
                skipDigits()
            }
        }
        let text = source.text(start..<offset)
        if isWhole { return try integer(UInt64(text), start) }
        guard let number = Double(text.utf8.first == UInt8(ascii: ".") ? "0" + text : text), number.isFinite else {
            throw source.error(at: start, "invalid double literal")
        }
        return .double(number)
    }

    private mutating func integer(_ number: UInt64?, _ start: Int) throws(CELCompileError) -> Token.Kind {
        let isUnsigned = source[offset] == "u" || source[offset] == "U"
        if isUnsigned { offset += 1 }
        guard let number else { throw source.error(at: start, "invalid \(isUnsigned ? "uint" : "int") literal") }
        return isUnsigned ? .uint(number) : .int(number)
    }

    private mutating func skipDigits() { while source[offset]?.isDigit == true { offset += 1 } }

    // MARK: Strings

    /// The string or bytes literal at hand with its prefixes, or nil when there is none.
    private mutating func string() throws(CELCompileError) -> Token.Kind? {
        let start = offset
        var cursor = offset
        let isBytes = source[cursor] == "b" || source[cursor] == "B"
        if isBytes { cursor += 1 }
        let isRaw = source[cursor] == "r" || source[cursor] == "R"
        if isRaw { cursor += 1 }
        guard let quote = source[cursor], quote == "'" || quote == "\"" else { return nil }
        let isTriple = source[cursor + 1] == quote && source[cursor + 2] == quote
        let quoteCount = isTriple ? 3 : 1
        cursor += quoteCount
        let content = cursor
        while true {
            guard let scalar = source[cursor], isTriple || scalar != "\n" && scalar != "\r" else {
                throw source.error(
                    at: start, "Syntax error: token recognition error at: '\(source.text(start..<cursor))'")
            }
            if scalar == "\\", !isRaw {
                cursor += 2
            } else if scalar == quote, !isTriple || source[cursor + 1] == quote && source[cursor + 2] == quote {
                break
            } else {
                cursor += 1
            }
            // A backslash may stand last.
            cursor = min(cursor, source.scalars.count)
        }
        offset = cursor + quoteCount
        let literal = StringLiteral(source: source, range: content..<cursor, isRaw: isRaw)
        return isBytes ? .bytes(try literal.bytes()) : .string(try literal.string())
    }
}

extension SourceText {
    func hasText(_ text: String, at offset: Int) -> Bool {
        var index = offset
        for scalar in text.unicodeScalars {
            guard self[index] == scalar else { return false }
            index += 1
        }
        return true
    }
}

extension Unicode.Scalar {
    var isDigit: Bool { ("0"..."9").contains(self) }
    var isIdentifierStart: Bool { ("a"..."z").contains(self) || ("A"..."Z").contains(self) || self == "_" }
    var isHexadecimalDigit: Bool { isDigit || ("a"..."f").contains(self) || ("A"..."F").contains(self) }
}
