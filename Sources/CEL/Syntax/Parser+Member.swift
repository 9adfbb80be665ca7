// Parser, the inner half: literals, names, aggregates, and what may follow them.
//
//   member  = primary | member "." ["?"] name ["(" list ")"] | member "[" ["?"] expression "]"
//   primary = ["."] name ["(" list ")"] | "(" expression ")" | "[" … "]" | "{" … "}" | literal

extension Parser {
    /// Words that are kept for languages around CEL; fine as members, not as names.
    private static let reservedWords: Set<String> = [
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    ]
    private static let primaryExpected =
        "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"

    mutating func members(of primary: Expression) throws(CELCompileError) -> Expression {
        var target = primary
        while true {
            let offset = token.range.lowerBound
            if take(.dot) {
                let isOptional = take(.question)
                guard case .identifier(let name) = token.kind, !["in", "true", "false", "null"].contains(name) else {
                    throw mismatch("IDENTIFIER")
                }
                advance()
                let parenthesis = token.range.lowerBound
                if !isOptional, take(.leftParenthesis) {
                    let arguments = try self.arguments()
                    target = try memberCall(name, on: target, arguments, at: parenthesis)
                } else {
                    target = try node(
                        .select(target, field: name, isOptional: isOptional), at: offset, over: [target])
                }
            } else if take(.leftBracket) {
                let isOptional = take(.question)
                let key = try expression()
                try expect(.rightBracket)
                target = try node(.index(target, key, isOptional: isOptional), at: offset, over: [target, key])
            } else if isAt(.leftBrace), let name = target.qualifiedName {
                throw source.error(at: offset, "undeclared reference to '\(name)' (in container '')")
            } else {
                return target
            }
        }
    }

    mutating func primary() throws(CELCompileError) -> Expression {
        let offset = token.range.lowerBound
        switch token.kind {
        case .int(let number):
            guard let number = Int64(exactly: number) else { throw error("invalid int literal") }
            return try literal(.int(number))
        case .uint(let number): return try literal(.uint(number))
        case .double(let number): return try literal(.double(number))
        case .string(let text): return try literal(.string(text))
        case .bytes(let bytes): return try literal(.bytes(bytes))
        case .identifier("true"): return try literal(.bool(true))
        case .identifier("false"): return try literal(.bool(false))
        case .identifier("null"): return try literal(.null)
        case .identifier(let name): return try nameOrCall(name)
        case .symbol(.dot):
            advance()
            guard case .identifier(let name) = token.kind, !["in", "true", "false", "null"].contains(name) else {
                throw mismatch("IDENTIFIER")
            }
            return try nameOrCall(name)
        case .symbol(.leftParenthesis):
            advance()
            let inner = try expression()
            try expect(.rightParenthesis)
            return inner
        case .symbol(.leftBracket): return try list(at: offset)
        case .symbol(.leftBrace): return try map(at: offset)
        default: throw mismatch(Self.primaryExpected)
        }
    }

    private mutating func literal(_ value: CELValue) throws(CELCompileError) -> Expression {
        let literal = try node(.literal(value), at: token.range.lowerBound, over: [])
        advance()
        return literal
    }

    private mutating func nameOrCall(_ name: String) throws(CELCompileError) -> Expression {
        if name == "in" { throw mismatch(Self.primaryExpected) }
        let offset = token.range.lowerBound
        if Self.reservedWords.contains(name) { throw error("reserved identifier: \(name)") }
        advance()
        let parenthesis = token.range.lowerBound
        guard take(.leftParenthesis) else { return try node(.identifier(name), at: offset, over: []) }
        let arguments = try self.arguments()
        if name == "has", arguments.count == 1 { return try presence(arguments[0], at: parenthesis) }
        return try node(.call(name, target: nil, arguments), at: parenthesis, over: arguments)
    }

    /// Up to and with the closing parenthesis.
    private mutating func arguments() throws(CELCompileError) -> [Expression] {
        var arguments: [Expression] = []
        if take(.rightParenthesis) { return arguments }
        repeat { arguments.append(try expression()) } while take(.comma)
        try expect(.rightParenthesis)
        return arguments
    }

    private mutating func list(at offset: Int) throws(CELCompileError) -> Expression {
        advance()
        var elements: [Expression.Element] = []
        while !isAt(.rightBracket) {
            let isOptional = take(.question)
            elements.append(Expression.Element(value: try expression(), isOptional: isOptional))
            if !take(.comma) { break }
        }
        try expect(.rightBracket)
        return try node(.list(elements), at: offset, over: elements.map(\.value))
    }

    private mutating func map(at offset: Int) throws(CELCompileError) -> Expression {
        advance()
        var entries: [Expression.Entry] = []
        while !isAt(.rightBrace) {
            let isOptional = take(.question)
            let key = try expression()
            try expect(.colon)
            entries.append(Expression.Entry(key: key, value: try expression(), isOptional: isOptional))
            if !take(.comma) { break }
        }
        try expect(.rightBrace)
        return try node(.map(entries), at: offset, over: entries.map(\.key) + entries.map(\.value))
    }
}

extension Expression {
    /// `a.b.c`, when it is nothing but names.
    var qualifiedName: String? {
        switch kind {
        case .identifier(let name): name
        case .select(let operand, let field, isOptional: false): operand.qualifiedName.map { $0 + "." + field }
        default: nil
        }
    }
}
