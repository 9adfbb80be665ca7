// Evaluation: one run of a plan over one set of variables. The tree is at most as deep as the parser lets it be; each kind of node
// has a function of its own, so that the frame of the one that recurses stays small.

struct Evaluation {
    var meter: CostMeter
    /// The program's variables, then those of its macros, each in its own slot.
    var slots: [CELValue]

    mutating func value(of plan: Plan) throws(CELEvaluationError) -> CELValue {
        try meter.charge(1)
        switch plan {
        case .constant(let value): return value
        case .slot(let slot): return slots[slot]
        case .select(let operand, let field, let isOptional):
            return try select(try value(of: operand), field, isOptional: isOptional)
        case .presence(let operand, let field): return try presence(try value(of: operand), field)
        case .index(let operand, let key, let isOptional):
            let target = try value(of: operand)
            return try index(target, try value(of: key), isOptional: isOptional)
        case .unary(let function, let operand): return try function(try value(of: operand), &meter)
        case .binary(let function, let left, let right):
            let first = try value(of: left)
            return try function(first, try value(of: right), &meter)
        case .many(let function, let operands): return try many(function, operands)
        case .matches(let operand, let regex): return .bool(try regex.search(in: try value(of: operand), meter: &meter))
        case .and(let terms): return try logical(terms, settledBy: false)
        case .or(let terms): return try logical(terms, settledBy: true)
        case .conditional(let condition, let first, let second):
            guard case .bool(let flag) = try value(of: condition) else { throw .noSuchOverload }
            return try value(of: flag ? first : second)
        case .list(let elements): return try list(elements)
        case .map(let entries): return try map(entries)
        case .comprehension(let comprehension): return try run(comprehension)
        case .bindOptional(let target, let slot, let body, let isFlat):
            return try bindOptional(target, slot, body, isFlat: isFlat)
        case .alternative(let first, let second, let isValue):
            return try alternative(first, second, isValue: isValue)
        }
    }

    private mutating func many(_ function: Function.Many, _ operands: [Plan]) throws(CELEvaluationError) -> CELValue {
        var arguments: [CELValue] = []
        arguments.reserveCapacity(operands.count)
        for operand in operands { arguments.append(try value(of: operand)) }
        return try function(arguments, &meter)
    }

    // MARK: Logic

    /// What a term says, an error being something that another term may overrule.
    enum Verdict {
        case settled, open
        case failed(CELEvaluationError)
    }

    /// Whether `term` settles an `&&` (by false) or an `||` (by true). The end of the means is nothing that is absorbed.
    mutating func verdict(_ term: Plan, settledBy decisive: Bool) throws(CELEvaluationError) -> Verdict {
        do throws(CELEvaluationError) {
            guard case .bool(let flag) = try value(of: term) else { return .failed(.noSuchOverload) }
            return flag == decisive ? .settled : .open
        } catch {
            if error.isCostLimit { throw error }
            return .failed(error)
        }
    }

    private mutating func logical(_ terms: [Plan], settledBy decisive: Bool) throws(CELEvaluationError) -> CELValue {
        var failure: CELEvaluationError?
        for term in terms {
            switch try verdict(term, settledBy: decisive) {
            case .settled: return .bool(decisive)
            case .open: break
            case .failed(let error): failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return .bool(!decisive)
    }

    // MARK: Aggregates

    private mutating func list(_ elements: [Plan.Element]) throws(CELEvaluationError) -> CELValue {
        var result: [CELValue] = []
        result.reserveCapacity(elements.count)
        for element in elements {
            let value = try value(of: element.value)
            if !element.isOptional {
                result.append(value)
            } else if let inner = try unwrapped(value) {
                result.append(inner)
            }
        }
        return .list(result)
    }

    private mutating func map(_ entries: [Plan.Entry]) throws(CELEvaluationError) -> CELValue {
        var builder = CELMap.Builder()
        for entry in entries {
            let keyValue = try value(of: entry.key)
            guard let key = CELKey(keyValue), !keyValue.isDouble else {
                throw CELEvaluationError("unsupported key type: \(keyValue.typeName)")
            }
            // Many keys are hashed.
            try meter.charge(2)
            try meter.charge(bytes: key.byteCount)
            let value = try value(of: entry.value)
            guard let inner = entry.isOptional ? try unwrapped(value) : value else { continue }
            if builder.position(of: key) != nil { throw CELEvaluationError("repeated key: \(key.text)") }
            builder.set(key, to: inner)
        }
        return .map(builder.map())
    }

    private func unwrapped(_ value: CELValue) throws(CELEvaluationError) -> CELValue? {
        guard case .optional(let inner) = value else {
            throw CELEvaluationError(
                "cannot initialize optional entry from non-optional value of type \(value.typeName)")
        }
        return inner
    }

    // MARK: Optional values

    private mutating func bindOptional(
        _ target: Plan, _ slot: Int, _ body: Plan, isFlat: Bool
    ) throws(CELEvaluationError) -> CELValue {
        guard case .optional(let inner) = try value(of: target) else { throw .noSuchOverload }
        guard let inner else { return .optional(nil) }
        slots[slot] = inner
        let result = try value(of: body)
        return isFlat ? result : .optional(result)
    }

    private mutating func alternative(
        _ first: Plan, _ second: Plan, isValue: Bool
    ) throws(CELEvaluationError) -> CELValue {
        let optional = try value(of: first)
        guard case .optional(let inner) = optional else { throw .noSuchOverload }
        guard let inner else { return try value(of: second) }
        return isValue ? inner : optional
    }
}

extension CELValue {
    fileprivate var isDouble: Bool { if case .double = self { true } else { false } }
}

extension CELKey {
    /// As an error names it: not all of what may be a long text.
    var text: String {
        switch self {
        case .bool(let flag): String(flag)
        case .int(let number): String(number)
        case .uint(let number): String(number)
        case .string(let text): String(text.prefix(128))
        }
    }
}
