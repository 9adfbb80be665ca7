// Evaluation, comprehensions: a body over each element of a list or each key of a map. `all` and `exists` end as soon as they are
// settled and absorb errors as `&&` and `||` do; the others do neither.

extension Evaluation {
    mutating func run(_ plan: Plan.Comprehension) throws(CELEvaluationError) -> CELValue {
        let elements: [CELValue]
        switch try value(of: plan.range) {
        case .list(let list): elements = list
        case .map(let map):
            try meter.charge(map.count)
            elements = map.keys.map(\.value)
        default: throw .noSuchOverload
        }
        defer { slots[plan.slot] = .null }
        switch plan.kind {
        case .all: return try quantify(plan, elements, settledBy: false)
        case .exists: return try quantify(plan, elements, settledBy: true)
        case .existsOne: return .bool(try kept(plan, elements).count == 1)
        case .filter: return .list(try kept(plan, elements))
        case .map: return .list(try transformed(plan, elements))
        }
    }

    private mutating func quantify(
        _ plan: Plan.Comprehension, _ elements: [CELValue], settledBy decisive: Bool
    ) throws(CELEvaluationError) -> CELValue {
        guard let condition = plan.condition else { throw .noSuchOverload }
        var failure: CELEvaluationError?
        for element in elements {
            slots[plan.slot] = element
            switch try verdict(condition, settledBy: decisive) {
            case .settled: return .bool(decisive)
            case .open: break
            case .failed(let error): failure = error
            }
        }
        if let failure { throw failure }
        return .bool(!decisive)
    }

    /// Whether the body holds for the element in the slot.
    private mutating func holds(_ condition: Plan?) throws(CELEvaluationError) -> Bool {
        guard let condition else { return true }
        guard case .bool(let flag) = try value(of: condition) else { throw .noSuchOverload }
        return flag
    }

    private mutating func kept(
        _ plan: Plan.Comprehension, _ elements: [CELValue]
    ) throws(CELEvaluationError) -> [CELValue] {
        var result: [CELValue] = []
        for element in elements {
            slots[plan.slot] = element
            if try holds(plan.condition) { result.append(element) }
        }
        return result
    }

    private mutating func transformed(
        _ plan: Plan.Comprehension, _ elements: [CELValue]
    ) throws(CELEvaluationError) -> [CELValue] {
        guard let transform = plan.transform else { throw .noSuchOverload }
        var result: [CELValue] = []
        for element in elements {
            slots[plan.slot] = element
            if try holds(plan.condition) { result.append(try value(of: transform)) }
        }
        return result
    }
}
