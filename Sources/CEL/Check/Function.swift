// Function: a declaration, by which calls are checked, and the code that runs.
//
// Overloads say what the checker lets through; the code looks at the values, for behind `dyn` there may be any.

struct Overload: Sendable {
    let isMember: Bool
    let parameters: [CELType]
    let result: CELType

    /// `f(a, b)`
    static func function(_ parameters: [CELType], _ result: CELType) -> Overload {
        Overload(isMember: false, parameters: parameters, result: result)
    }

    /// `a.f(b)`; the target is the first parameter.
    static func member(_ target: CELType, _ parameters: [CELType] = [], _ result: CELType) -> Overload {
        Overload(isMember: true, parameters: [target] + parameters, result: result)
    }
}

struct Function: Sendable {
    typealias Unary = @Sendable (CELValue, inout CostMeter) throws(CELEvaluationError) -> CELValue
    typealias Binary = @Sendable (CELValue, CELValue, inout CostMeter) throws(CELEvaluationError) -> CELValue
    typealias Many = @Sendable ([CELValue], inout CostMeter) throws(CELEvaluationError) -> CELValue

    let name: String
    let overloads: [Overload]
    /// With one, two, and three or more arguments, a target counted in.
    var unary: Unary?
    var binary: Binary?
    var many: Many?
    /// Conversions of a literal are done when the expression is compiled, and fail then.
    var isConversion = false

    init(
        _ name: String, _ overloads: [Overload], unary: Unary? = nil, binary: Binary? = nil, many: Many? = nil,
        isConversion: Bool = false
    ) {
        self.name = name
        self.overloads = overloads
        self.unary = unary
        self.binary = binary
        self.many = many
        self.isConversion = isConversion
    }
}

enum Library {
    static let functions: [String: Function] = {
        let all =
            Operators.functions + Comparisons.functions + Collections.functions + Conversions.functions
            + StringFunctions.functions + SearchFunctions.functions + FormatFunction.functions + TimeFunctions.functions
            + SetFunctions.functions + Base64Functions.functions + OptionalFunctions.functions
        return Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
    }()

    /// Names that stand for types.
    static let types: [String: (value: String, type: CELType)] = [
        "bool": ("bool", .bool), "int": ("int", .int), "uint": ("uint", .uint), "double": ("double", .double),
        "string": ("string", .string), "bytes": ("bytes", .bytes), "list": ("list", .list(.dyn)),
        "map": ("map", .map(.dyn, .dyn)), "null_type": ("null_type", .null), "type": ("type", .type(.dyn)),
        "optional_type": ("optional_type", .optional(.dyn)),
        "google.protobuf.Timestamp": ("google.protobuf.Timestamp", .timestamp),
        "google.protobuf.Duration": ("google.protobuf.Duration", .duration),
    ]
}
