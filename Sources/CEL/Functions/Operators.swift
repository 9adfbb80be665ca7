// Operators: arithmetic. Integers do not wrap: what does not fit is an error.

enum Operators {
    static let functions: [Function] = [
        Function(
            "_+_",
            [
                .function([.bytes, .bytes], .bytes), .function([.double, .double], .double),
                .function([.duration, .duration], .duration), .function([.duration, .timestamp], .timestamp),
                .function([.timestamp, .duration], .timestamp), .function([.int, .int], .int),
                .function([.list(.a), .list(.a)], .list(.a)), .function([.string, .string], .string),
                .function([.uint, .uint], .uint),
            ], binary: add),
        Function(
            "_-_",
            [
                .function([.double, .double], .double), .function([.duration, .duration], .duration),
                .function([.int, .int], .int), .function([.timestamp, .duration], .timestamp),
                .function([.timestamp, .timestamp], .duration), .function([.uint, .uint], .uint),
            ], binary: subtract),
        Function("_*_", numeric, binary: multiply),
        Function("_/_", numeric, binary: divide),
        Function("_%_", [.function([.int, .int], .int), .function([.uint, .uint], .uint)], binary: remainder),
        Function("-_", [.function([.double], .double), .function([.int], .int)], unary: negate),
        Function("!_", [.function([.bool], .bool)], unary: not),
    ]

    private static let numeric: [Overload] = [
        .function([.double, .double], .double), .function([.int, .int], .int), .function([.uint, .uint], .uint),
    ]

    private static func exact<Number>(
        _ result: (partialValue: Number, overflow: Bool), _ text: String = "integer overflow"
    ) throws(CELEvaluationError) -> Number {
        if result.overflow { throw CELEvaluationError(text) }
        return result.partialValue
    }

    private static func unless<Value>(
        _ value: Value?, _ error: String
    ) throws(CELEvaluationError) -> Value {
        guard let value else { throw CELEvaluationError(error) }
        return value
    }

    @Sendable private static func add(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch (a, b) {
        case (.int(let a), .int(let b)): return .int(try exact(a.addingReportingOverflow(b)))
        case (.uint(let a), .uint(let b)):
            return .uint(try exact(a.addingReportingOverflow(b), "unsigned integer overflow"))
        case (.double(let a), .double(let b)): return .double(a + b)
        case (.string(let a), .string(let b)):
            try meter.charge(bytes: a.utf8.count + b.utf8.count)
            return .string(a + b)
        case (.bytes(let a), .bytes(let b)):
            try meter.charge(bytes: a.count + b.count)
            return .bytes(a + b)
        case (.list(let a), .list(let b)):
            try meter.charge(a.count + b.count)
            return .list(a + b)
        case (.duration(let a), .duration(let b)):
            let sum = try exact(a.nanoseconds.addingReportingOverflow(b.nanoseconds), "duration overflow")
            return .duration(CELDuration(nanoseconds: sum))
        case (.timestamp(let time), .duration(let span)), (.duration(let span), .timestamp(let time)):
            return .timestamp(try unless(time.advanced(by: span), "timestamp overflow"))
        default: throw .noSuchOverload
        }
    }

    @Sendable private static func subtract(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch (a, b) {
        case (.int(let a), .int(let b)): return .int(try exact(a.subtractingReportingOverflow(b)))
        case (.uint(let a), .uint(let b)):
            return .uint(try exact(a.subtractingReportingOverflow(b), "unsigned integer overflow"))
        case (.double(let a), .double(let b)): return .double(a - b)
        case (.duration(let a), .duration(let b)):
            let rest = try exact(a.nanoseconds.subtractingReportingOverflow(b.nanoseconds), "duration overflow")
            return .duration(CELDuration(nanoseconds: rest))
        case (.timestamp(let time), .duration(let span)):
            let back = try exact(Int64(0).subtractingReportingOverflow(span.nanoseconds), "duration overflow")
            let result = time.advanced(by: CELDuration(nanoseconds: back))
            return .timestamp(try unless(result, "timestamp overflow"))
        case (.timestamp(let a), .timestamp(let b)):
            return .duration(try unless(a.duration(since: b), "duration overflow"))
        default: throw .noSuchOverload
        }
    }

    @Sendable private static func multiply(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch (a, b) {
        case (.int(let a), .int(let b)): return .int(try exact(a.multipliedReportingOverflow(by: b)))
        case (.uint(let a), .uint(let b)):
            return .uint(try exact(a.multipliedReportingOverflow(by: b), "unsigned integer overflow"))
        case (.double(let a), .double(let b)): return .double(a * b)
        default: throw .noSuchOverload
        }
    }

    @Sendable private static func divide(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch (a, b) {
        case (.int(_), .int(0)), (.uint(_), .uint(0)): throw CELEvaluationError("division by zero")
        case (.int(let a), .int(let b)): return .int(try exact(a.dividedReportingOverflow(by: b)))
        case (.uint(let a), .uint(let b)): return .uint(a / b)
        case (.double(let a), .double(let b)): return .double(a / b)
        default: throw .noSuchOverload
        }
    }

    @Sendable private static func remainder(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch (a, b) {
        case (.int(_), .int(0)), (.uint(_), .uint(0)): throw CELEvaluationError("modulus by zero")
        case (.int(let a), .int(let b)): return .int(try exact(a.remainderReportingOverflow(dividingBy: b)))
        case (.uint(let a), .uint(let b)): return .uint(a % b)
        default: throw .noSuchOverload("_%_")
        }
    }

    @Sendable private static func negate(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .int(let number): return .int(try exact(Int64(0).subtractingReportingOverflow(number)))
        case .double(let number): return .double(-number)
        default: throw .noSuchOverload
        }
    }

    @Sendable private static func not(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .bool(let flag) = value else { throw .noSuchOverload }
        return .bool(!flag)
    }
}
