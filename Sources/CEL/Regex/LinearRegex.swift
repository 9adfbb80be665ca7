// LinearRegex: regular expressions in the syntax of RE2 (Go's regexp/syntax), matched in time linear in the text.
//
// A pattern becomes a program for a non-deterministic automaton (Thompson 1968); a search runs all its threads side by side, each
// at most once per code point. So no pattern can make a search explode: the worst is program size times text length.
// What would need backtracking, back-references and look-around, RE2 has not either.

/// A pattern that is no expression, worded as Go's regexp says it.
public struct LinearRegexError: Error, Sendable, Equatable, CustomStringConvertible {
    public let message: String
    public var description: String { message }

    /// Names the piece at fault, or the first 128 characters of it.
    init(_ code: String, _ piece: String) {
        message = "error parsing regexp: \(code): `\(piece.prefix(128))`"
    }
}

public struct LinearRegex: Sendable {
    /// A pattern is read by descent and kept in memory.
    static let patternBytesMax = 16 << 10

    /// As written.
    public let pattern: String
    let program: RegexProgram

    /// Refuses patterns of more than 16 KiB or more than 16,384 instructions, counted repetitions written out.
    public init(_ pattern: String) throws(LinearRegexError) {
        guard pattern.utf8.count <= Self.patternBytesMax else {
            throw LinearRegexError("expression too large", pattern)
        }
        self.pattern = pattern
        program = try RegexProgram(RegexParser.node(of: pattern), pattern: pattern)
    }

    /// Whether the pattern matches anywhere in `text`.
    public func search(in text: String) -> Bool {
        var search = RegexSearch(program: program, stepsMax: .max)
        return search.run(in: text) == .found
    }

    /// How many threads were started in a search: the measure of its work.
    func steps(in text: String) -> Int {
        var search = RegexSearch(program: program, stepsMax: .max)
        _ = search.run(in: text)
        return search.stepCount
    }
}
