// Parser: tokens into a tree, by recursive descent over the grammar of the language definition:
//
//   expression   = or ["?" or ":" expression]
//   or           = and {"||" and}
//   and          = relation {"&&" relation}
//   relation     = sum {("<" | "<=" | ">=" | ">" | "==" | "!=" | "in") sum}
//   sum          = product {("+" | "-") product}
//   product      = unary {("*" | "/" | "%") unary}
//   unary        = {"!"} member | {"-"} member
//
// Both the nesting of the text and the depth of the tree are bounded, so that what recurses over a tree needs little stack.

struct Parser {
    static let depthMax = 250

    let source: SourceText
    private let tokens: [Token]
    // Always at a token: the last one is the end.
    private var index = 0
    private var nesting = 0

    static func expression(_ text: String) throws(CELCompileError) -> (Expression, SourceText) {
        let source = try SourceText(text)
        var parser = Parser(source: source, tokens: try Lexer.tokens(of: source))
        let expression = try parser.expression()
        guard parser.token.kind == .end else { throw parser.mismatch("<EOF>") }
        return (expression, source)
    }

    private init(source: SourceText, tokens: [Token]) {
        self.source = source
        self.tokens = tokens
    }

    // MARK: Tokens

    var token: Token { tokens[index] }

    func isAt(_ symbol: Token.Symbol, ahead: Int = 0) -> Bool {
        index + ahead < tokens.count && tokens[index + ahead].kind == .symbol(symbol)
    }

    mutating func advance() {
        if index < tokens.count - 1 { index += 1 }
    }

    mutating func take(_ symbol: Token.Symbol) -> Bool {
        guard isAt(symbol) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: Token.Symbol) throws(CELCompileError) {
        guard take(symbol) else { throw error("Syntax error: missing '\(symbol.rawValue)' at '\(tokenText)'") }
    }

    private var tokenText: String { token.kind == .end ? "<EOF>" : source.text(token.range) }

    func error(_ text: String) -> CELCompileError { source.error(at: token.range.lowerBound, text) }

    func mismatch(_ expected: String) -> CELCompileError {
        error("Syntax error: mismatched input '\(tokenText)' expecting \(expected)")
    }

    // MARK: Nodes

    func node(_ kind: Expression.Kind, at offset: Int, over parts: [Expression]) throws(CELCompileError) -> Expression {
        var depth = 1
        for part in parts where part.depth >= depth { depth = part.depth + 1 }
        guard depth <= Self.depthMax else {
            throw source.error(at: offset, "expression is nested more than \(Self.depthMax) deep")
        }
        return Expression(kind: kind, offset: offset, depth: depth)
    }

    private func call(
        _ function: String, _ arguments: [Expression], at offset: Int
    ) throws(CELCompileError) -> Expression {
        try node(.call(function, target: nil, arguments), at: offset, over: arguments)
    }

    // MARK: Levels

    mutating func expression() throws(CELCompileError) -> Expression {
        nesting += 1
        defer { nesting -= 1 }
        guard nesting <= Self.depthMax else { throw error("expression is nested more than \(Self.depthMax) deep") }
        let condition = try chain(.or)
        let offset = token.range.lowerBound
        guard take(.question) else { return condition }
        let first = try chain(.or)
        try expect(.colon)
        let second = try expression()
        return try node(.conditional(condition, first, second), at: offset, over: [condition, first, second])
    }

    /// Terms joined by `||`, or by `&&`, which binds closer.
    private mutating func chain(_ symbol: Token.Symbol) throws(CELCompileError) -> Expression {
        var terms = [try term(of: symbol)]
        let offset = token.range.lowerBound
        while take(symbol) { terms.append(try term(of: symbol)) }
        if terms.count == 1 { return terms[0] }
        return try node(symbol == .or ? .or(terms) : .and(terms), at: offset, over: terms)
    }

    private mutating func term(of symbol: Token.Symbol) throws(CELCompileError) -> Expression {
        try symbol == .or ? chain(.and) : binary(.relation)
    }

    /// How close an operator binds.
    private enum Level: Int {
        case relation, sum, product
    }

    /// Operands joined by operators of `level` or closer ones. One frame for all three keeps the descent shallow.
    private mutating func binary(_ level: Level) throws(CELCompileError) -> Expression {
        var left = try unary()
        while let (function, own) = operation(), own.rawValue >= level.rawValue {
            let offset = token.range.lowerBound
            advance()
            // What binds closer belongs to the right operand; what binds alike goes on to the left.
            let right: Expression
            if let closer = Level(rawValue: own.rawValue + 1) {
                right = try binary(closer)
            } else {
                right = try unary()
            }
            left = try call(function, [left, right], at: offset)
        }
        return left
    }

    /// The function of the binary operator at hand, if there is one.
    private func operation() -> (String, Level)? {
        switch token.kind {
        case .identifier("in"): ("@in", .relation)
        case .symbol(.less): ("_<_", .relation)
        case .symbol(.lessOrEqual): ("_<=_", .relation)
        case .symbol(.greater): ("_>_", .relation)
        case .symbol(.greaterOrEqual): ("_>=_", .relation)
        case .symbol(.equal): ("_==_", .relation)
        case .symbol(.notEqual): ("_!=_", .relation)
        case .symbol(.plus): ("_+_", .sum)
        case .symbol(.minus): ("_-_", .sum)
        case .symbol(.times): ("_*_", .product)
        case .symbol(.divide): ("_/_", .product)
        case .symbol(.remainder): ("_%_", .product)
        default: nil
        }
    }

    private mutating func unary() throws(CELCompileError) -> Expression {
        let offset = token.range.lowerBound
        for (symbol, function) in [(Token.Symbol.not, "!_"), (.minus, "-_")] where isAt(symbol) {
            var count = 0
            while take(symbol) { count += 1 }
            // The minus belongs to the number, or the least int could not be written.
            if symbol == .minus, count == 1, let literal = try negativeLiteral(at: offset) {
                return try members(of: literal)
            }
            let operand = try members(of: try primary())
            // An even number of them cancels out.
            return count % 2 == 0 ? operand : try call(function, [operand], at: offset)
        }
        return try members(of: try primary())
    }

    private mutating func negativeLiteral(at offset: Int) throws(CELCompileError) -> Expression? {
        switch token.kind {
        case .int(let magnitude):
            guard magnitude <= Int64.min.magnitude else { throw error("invalid int literal") }
            advance()
            return try node(.literal(.int(Int64(truncatingIfNeeded: 0 &- magnitude))), at: offset, over: [])
        case .double(let number):
            advance()
            return try node(.literal(.double(-number)), at: offset, over: [])
        default: return nil
        }
    }
}
