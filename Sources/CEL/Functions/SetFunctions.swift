// SetFunctions: lists compared as sets, after cel-go's sets extension. Each pair that is looked at is charged.

enum SetFunctions {
    static let functions: [Function] = [
        Function("sets.contains", question, binary: contains),
        Function("sets.equivalent", question, binary: equivalent),
        Function("sets.intersects", question, binary: intersects),
    ]

    private static let question: [Overload] = [.function([.list(.a), .list(.a)], .bool)]

    private static func lists(
        _ a: CELValue, _ b: CELValue
    ) throws(CELEvaluationError) -> ([CELValue], [CELValue]) {
        guard case .list(let a) = a, case .list(let b) = b else { throw .noSuchOverload }
        return (a, b)
    }

    private static func isMember(
        _ element: CELValue, _ list: [CELValue], _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> Bool {
        for candidate in list where try candidate.equals(element, meter: &meter) { return true }
        return false
    }

    private static func holds(
        _ list: [CELValue], _ part: [CELValue], _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> Bool {
        for element in part where try !isMember(element, list, &meter) { return false }
        return true
    }

    @Sendable private static func contains(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let (list, part) = try lists(a, b)
        return .bool(try holds(list, part, &meter))
    }

    @Sendable private static func equivalent(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let (a, b) = try lists(a, b)
        guard try holds(a, b, &meter) else { return .bool(false) }
        return .bool(try holds(b, a, &meter))
    }

    @Sendable private static func intersects(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let (a, b) = try lists(a, b)
        for element in a where try isMember(element, b, &meter) { return .bool(true) }
        return .bool(false)
    }
}
