// Comparisons: equality, which knows any two values, and order, which knows values of one kind; numbers are one kind.

enum Comparisons {
    static let functions: [Function] = [
        Function("_==_", [.function([.a, .a], .bool)], binary: equal),
        Function("_!=_", [.function([.a, .a], .bool)], binary: notEqual),
        Function("_<_", ordered, binary: less),
        Function("_<=_", ordered, binary: lessOrEqual),
        Function("_>_", ordered, binary: greater),
        Function("_>=_", ordered, binary: greaterOrEqual),
    ]

    private static let ordered: [Overload] = {
        let numbers: [CELType] = [.int, .uint, .double]
        let pairs = numbers.flatMap { first in numbers.map { Overload.function([first, $0], .bool) } }
        let alike: [CELType] = [.bool, .string, .bytes, .timestamp, .duration]
        return pairs + alike.map { .function([$0, $0], .bool) }
    }()

    @Sendable private static func equal(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        .bool(try a.equals(b, meter: &meter))
    }

    @Sendable private static func notEqual(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        .bool(try !a.equals(b, meter: &meter))
    }

    /// Nil when one of them is NaN.
    private static func compare(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELOrder? {
        switch (a, b) {
        case (.string(let a), .string(let b)):
            try meter.charge(bytes: min(a.utf8.count, b.utf8.count))
            return a.byteOrder(b)
        case (.bytes(let a), .bytes(let b)):
            try meter.charge(bytes: min(a.count, b.count))
            for (x, y) in zip(a, b) where x != y { return order(x, y) }
            return order(a.count, b.count)
        case (.bool(let a), .bool(let b)): return order(a ? 1 : 0, b ? 1 : 0)
        case (.timestamp(let a), .timestamp(let b)): return order(a, b)
        case (.duration(let a), .duration(let b)): return order(a, b)
        default:
            guard a.isNumber, b.isNumber else { throw .noSuchOverload }
            return a.numericOrder(b)
        }
    }

    @Sendable private static func less(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        .bool(try compare(a, b, &meter) == .before)
    }

    @Sendable private static func lessOrEqual(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let order = try compare(a, b, &meter)
        return .bool(order == .before || order == .equal)
    }

    @Sendable private static func greater(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        .bool(try compare(a, b, &meter) == .after)
    }

    @Sendable private static func greaterOrEqual(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let order = try compare(a, b, &meter)
        return .bool(order == .after || order == .equal)
    }
}
