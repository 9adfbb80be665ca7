// What can be wrong with an expression, its data, or their meeting. Texts are worded as cel-go's, which people look up.

/// An expression that was refused.
public struct CELCompileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// `line:column: what is wrong`; the result type as a whole has no position.
    public let message: String
    /// From 1, in code points.
    public let line: Int
    public let column: Int

    public var description: String { message }

    init(line: Int, column: Int, _ text: String) {
        self.line = line
        self.column = column
        message = "\(line):\(column): \(text)"
    }

    /// About the expression as a whole.
    init(_ text: String) {
        line = 1
        column = 1
        message = text
    }
}

/// An evaluation that has no result.
public struct CELEvaluationError: Error, Sendable, Equatable, CustomStringConvertible {
    public let message: String
    /// True when the evaluation was ended because it grew too dear; `&&`, `||` and the like do not absorb that.
    public let isCostLimit: Bool

    public var description: String { message }

    init(_ message: String) {
        self.message = message
        isCostLimit = false
    }

    private init(costLimit message: String) {
        self.message = message
        isCostLimit = true
    }

    static let costLimit = CELEvaluationError(costLimit: "cost limit exceeded")
    static let noSuchOverload = CELEvaluationError("no such overload")

    static func noSuchOverload(_ function: String) -> CELEvaluationError {
        CELEvaluationError("no such overload: \(function)")
    }

    static func conversion(_ value: CELValue, to type: String) -> CELEvaluationError {
        CELEvaluationError("type conversion error from '\(value.typeName)' to '\(type)'")
    }
}

/// Text that is no JSON.
public struct CELJSONError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Reason: String, Sendable {
        case unexpectedEnd = "unexpected end of JSON"
        case unexpectedByte = "unexpected character in JSON"
        case trailingBytes = "unexpected text after the JSON value"
        case invalidNumber = "invalid number in JSON"
        case numberOutOfRange = "number out of range in JSON"
        case invalidEscape = "invalid escape in a JSON string"
        case controlCharacter = "control character in a JSON string"
        case invalidUTF8 = "JSON is not valid UTF-8"
        case tooDeep = "JSON is nested too deeply"
        case tooManyValues = "JSON has too many values"
    }

    public let reason: Reason
    /// In bytes from the start.
    public let offset: Int

    public var description: String { "\(reason.rawValue), at byte \(offset)" }
}
