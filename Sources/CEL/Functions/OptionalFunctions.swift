// OptionalFunctions: values that may be absent, after cel-go's optional types. `or` and `orValue` are steps of the evaluator, for
// their argument is evaluated only if it is wanted; what is here checks them.

enum OptionalFunctions {
    static let functions: [Function] = [
        Function("optional.of", [.function([.a], .optional(.a))], unary: of),
        Function("optional.ofNonZeroValue", [.function([.a], .optional(.a))], unary: ofNonZeroValue),
        Function("optional.none", [.function([], .optional(.a))], many: none),
        Function("value", [.member(.optional(.a), [], .a)], unary: value),
        Function("hasValue", [.member(.optional(.a), [], .bool)], unary: hasValue),
        Function("or", [.member(.optional(.a), [.optional(.a)], .optional(.a))]),
        Function("orValue", [.member(.optional(.a), [.a], .a)]),
        Function("first", [.member(.list(.a), [], .optional(.a))], unary: first),
        Function("last", [.member(.list(.a), [], .optional(.a))], unary: last),
        Function("optional.unwrap", [.function([.list(.optional(.a))], .list(.a))], unary: unwrap),
        Function("unwrapOpt", [.member(.list(.optional(.a)), [], .list(.a))], unary: unwrap),
    ]

    @Sendable private static func of(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        .optional(value)
    }

    @Sendable private static func ofNonZeroValue(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        .optional(value.isZero ? nil : value)
    }

    @Sendable private static func none(
        _ arguments: [CELValue], _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        .optional(nil)
    }

    @Sendable private static func value(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .optional(let value) = value else { throw .noSuchOverload }
        guard let value else { throw CELEvaluationError("optional.none() dereference") }
        return value
    }

    @Sendable private static func hasValue(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .optional(let value) = value else { throw .noSuchOverload }
        return .bool(value != nil)
    }

    @Sendable private static func first(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .list(let elements) = value else { throw .noSuchOverload }
        return .optional(elements.first)
    }

    @Sendable private static func last(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .list(let elements) = value else { throw .noSuchOverload }
        return .optional(elements.last)
    }

    @Sendable private static func unwrap(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .list(let elements) = value else { throw .noSuchOverload }
        try meter.charge(elements.count)
        var result: [CELValue] = []
        for element in elements {
            guard case .optional(let value) = element else { throw .noSuchOverload }
            if let value { result.append(value) }
        }
        return .list(result)
    }
}

extension CELValue {
    fileprivate var isZero: Bool {
        switch self {
        case .null: true
        case .bool(let flag): !flag
        case .int(let number): number == 0
        case .uint(let number): number == 0
        case .double(let number): number == 0
        case .string(let text): text.isEmpty
        case .bytes(let bytes): bytes.isEmpty
        case .list(let elements): elements.isEmpty
        case .map(let map): map.count == 0
        // The first instant there is.
        case .timestamp(let time): time.seconds == -62_135_596_800 && time.nanoseconds == 0
        case .duration(let span): span.nanoseconds == 0
        case .optional(let value): value == nil
        case .type: false
        }
    }
}
