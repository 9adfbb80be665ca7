// RegexParser: a pattern into its tree, after Go's regexp/syntax with the Perl flags (golang.org/s/re2syntax).

struct RegexParser {
    struct Flags {
        var foldsCase = false
        var dotIncludesNewline = false
        var isMultiLine = false
    }

    /// RE2's bound on one count and on the product of nested ones.
    static let repetitionMax = 1_000
    /// The descent needs stack for each open group.
    private static let nestingMax = 250

    let pattern: [Unicode.Scalar]
    // 0 <= offset <= pattern.count
    var offset = 0
    private var flags = Flags()
    private var nesting = 0

    static func node(of pattern: String) throws(LinearRegexError) -> RegexNode {
        var parser = RegexParser(pattern: Array(pattern.unicodeScalars))
        let node = try parser.alternatives()
        guard parser.offset == parser.pattern.count else { throw parser.error("unexpected )", from: 0) }
        return node
    }

    private init(pattern: [Unicode.Scalar]) { self.pattern = pattern }

    var next: Unicode.Scalar? { offset < pattern.count ? pattern[offset] : nil }

    func peek(_ ahead: Int) -> Unicode.Scalar? { offset + ahead < pattern.count ? pattern[offset + ahead] : nil }

    mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        offset += 1
        return true
    }

    func text(from start: Int, to end: Int) -> String {
        var result = ""
        result.unicodeScalars.append(contentsOf: pattern[start..<end])
        return result
    }

    func error(_ code: String, from start: Int, to end: Int? = nil) -> LinearRegexError {
        LinearRegexError(code, text(from: start, to: min(end ?? pattern.count, pattern.count)))
    }

    // MARK: Structure

    /// Up to a closing parenthesis or the end. Flags set inside end with it.
    private mutating func alternatives() throws(LinearRegexError) -> RegexNode {
        let outerFlags = flags
        defer { flags = outerFlags }
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .alternatives(branches)
    }

    private mutating func sequence() throws(LinearRegexError) -> RegexNode {
        var nodes: [RegexNode] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            let start = offset
            if scalar == "*" || scalar == "+" || scalar == "?" || scalar == "{" && count() != nil {
                let end = scalar == "{" ? offset : offset + 1
                throw error("missing argument to repetition operator", from: start, to: end)
            }
            guard let atom = try atom(&nodes) else { continue }
            nodes.append(try repetition(of: atom))
        }
        return nodes.count == 1 ? nodes[0] : nodes.isEmpty ? .empty : .sequence(nodes)
    }

    private mutating func repetition(of atom: RegexNode) throws(LinearRegexError) -> RegexNode {
        let start = offset
        guard let (least, most) = bounds() else { return atom }
        guard least <= most ?? least, max(least, most ?? 0) <= Self.repetitionMax else {
            throw error("invalid repeat count", from: start, to: offset)
        }
        // A lazy one matches the same texts.
        _ = take("?")
        let node = RegexNode.repeated(atom, least, most)
        if node.repetitionWeight > Self.repetitionMax { throw error("invalid repeat count", from: start, to: offset) }
        if bounds() != nil { throw error("invalid nested repetition operator", from: start, to: offset) }
        return node
    }

    /// The repetition operator at hand.
    private mutating func bounds() -> (Int, Int?)? {
        switch next {
        case "*":
            offset += 1
            return (0, nil)
        case "+":
            offset += 1
            return (1, nil)
        case "?":
            offset += 1
            return (0, 1)
        case "{": return count()
        default: return nil
        }
    }

    /// `{2}`, `{2,}` or `{2,5}`; anything else in braces is text, and the offset stays.
    private mutating func count() -> (Int, Int?)? {
        let start = offset
        offset += 1
        if let least = number() {
            if take("}") { return (least, least) }
            if take(",") {
                if take("}") { return (least, nil) }
                if let most = number(), take("}") { return (least, most) }
            }
        }
        offset = start
        return nil
    }

    /// At most a million, which is too much anyway.
    private mutating func number() -> Int? {
        let start = offset
        var number = 0
        while let scalar = next, scalar.isDigit {
            number = min(number * 10 + Int(scalar.value - 0x30), 1_000_000)
            offset += 1
        }
        let hasLeadingZero = offset > start + 1 && pattern[start] == "0"
        return offset == start || hasLeadingZero ? nil : number
    }

    // MARK: Atoms

    /// What a repetition may follow; nil when flags were set. `\Q…\E` leaves all but its last character in `nodes`.
    private mutating func atom(_ nodes: inout [RegexNode]) throws(LinearRegexError) -> RegexNode? {
        let start = offset
        guard let scalar = next else { return nil }
        switch scalar {
        case "(": return try group()
        case "[": return try set()
        case ".":
            offset += 1
            return .any(includesNewline: flags.dotIncludesNewline)
        case "^":
            offset += 1
            return .assertion(flags.isMultiLine ? .lineStart : .textStart)
        case "$":
            offset += 1
            return .assertion(flags.isMultiLine ? .lineEnd : .textEnd)
        case "\\":
            if let assertion = peek(1).flatMap(assertion) {
                offset += 2
                return .assertion(assertion)
            }
            if peek(1) == "Q" { return quotation(&nodes) }
            if let item = try namedSet() { return .set(RegexSet([item])) }
            return literal(try escape(from: start))
        default:
            offset += 1
            return literal(scalar)
        }
    }

    private func literal(_ scalar: Unicode.Scalar) -> RegexNode {
        .scalar(scalar.value, foldsCase: flags.foldsCase && !scalar.caseVariants.isEmpty)
    }

    private func assertion(_ letter: Unicode.Scalar) -> RegexNode.Assertion? {
        switch letter {
        case "A": .textStart
        case "z": .textEnd
        case "b": .wordBoundary
        case "B": .noWordBoundary
        default: nil
        }
    }

    private mutating func quotation(_ nodes: inout [RegexNode]) -> RegexNode? {
        offset += 2
        var last: RegexNode?
        while let scalar = next {
            if scalar == "\\", peek(1) == "E" {
                offset += 2
                break
            }
            if let last { nodes.append(last) }
            last = literal(scalar)
            offset += 1
        }
        return last
    }

    private mutating func group() throws(LinearRegexError) -> RegexNode? {
        let start = offset
        offset += 1
        let outerFlags = flags
        if take("?") {
            if next == "P" && peek(1) == "<" || next == "<" {
                try skipName(from: start)
            } else if try setFlags(from: start) {
                return nil
            }
        }
        nesting += 1
        guard nesting <= Self.nestingMax else { throw error("expression nests too deeply", from: 0) }
        let node = try alternatives()
        nesting -= 1
        guard take(")") else { throw error("missing closing )", from: 0) }
        flags = outerFlags
        return node
    }

    private mutating func skipName(from start: Int) throws(LinearRegexError) {
        _ = take("P")
        offset += 1
        let name = offset
        while let scalar = next, scalar.isWordCharacter { offset += 1 }
        let isEmpty = offset == name
        guard take(">"), !isEmpty else { throw error("invalid named capture", from: start) }
    }

    /// True for `(?i)`, which is no group but holds to the end of the one it is in.
    private mutating func setFlags(from start: Int) throws(LinearRegexError) -> Bool {
        var isOn = true
        var hasFlag = false
        while let scalar = next {
            offset += 1
            switch scalar {
            case "i": flags.foldsCase = isOn
            case "s": flags.dotIncludesNewline = isOn
            case "m": flags.isMultiLine = isOn
            case "U": break
            case "-" where isOn:
                isOn = false
                hasFlag = false
                continue
            case ":" where isOn || hasFlag: return false
            case ")" where isOn || hasFlag: return true
            default: throw error("invalid or unsupported Perl syntax", from: start, to: offset)
            }
            hasFlag = true
        }
        throw error("missing closing )", from: 0)
    }

    private mutating func set() throws(LinearRegexError) -> RegexNode {
        .set(try set(foldsCase: flags.foldsCase))
    }

    /// `\d`, `\pL` and their like.
    private mutating func namedSet() throws(LinearRegexError) -> RegexSet.Item? {
        try namedSet(foldsCase: flags.foldsCase)
    }
}
