// Checker, macros: a comprehension's variable has the type of the range's elements, and its body must fit what cel-go expands the
// macro to, by whose operators a body that does not is refused.

extension Checker {
    mutating func comprehension(
        _ kind: Expression.ComprehensionKind, over range: Expression, _ variable: String, _ arguments: [Expression],
        at offset: Int
    ) throws(CELCompileError) -> Typed {
        let target = try check(range)
        let element = try elementType(of: substitution.resolve(target.type), at: range.offset)
        return try withVariable(variable, element) { (checker, slot) throws(CELCompileError) in
            var condition: Plan?
            var transform: Plan?
            var type = CELType.bool
            if kind != .map || arguments.count == 2 {
                condition = try checker.condition(kind, arguments[0], element, at: offset)
                if kind == .filter { type = .list(element) }
            }
            if kind == .map, let last = arguments.last {
                let typed = try checker.check(last)
                transform = typed.plan
                type = .list(typed.type)
            }
            let plan = Plan.Comprehension(
                kind: kind, range: target.plan, slot: slot, condition: condition, transform: transform)
            return Typed(type: type, plan: .comprehension(plan))
        }
    }

    private mutating func elementType(of range: CELType, at offset: Int) throws(CELCompileError) -> CELType {
        switch range {
        case .list(let element): return element
        case .map(let key, _): return key
        case .dyn: return .dyn
        case .parameter:
            _ = substitution.isAssignable(.dyn, range)
            return .dyn
        default:
            let name = substitution.finalize(range).name
            throw error(
                offset,
                "expression of type '\(name)' cannot be range of a comprehension (must be list, map, or dynamic)")
        }
    }

    private mutating func condition(
        _ kind: Expression.ComprehensionKind, _ body: Expression, _ element: CELType, at offset: Int
    ) throws(CELCompileError) -> Plan {
        let typed = try check(body)
        let bool: [Overload] = [.function([.bool, .bool], .bool)]
        let choice: [Overload] = [.function([.bool, .a, .a], .a)]
        switch kind {
        case .all: _ = try resolve("_&&_", bool, [.bool, typed.type], at: offset)
        case .exists: _ = try resolve("_||_", bool, [.bool, typed.type], at: offset)
        case .existsOne: _ = try resolve("_?_:_", choice, [typed.type, .int, .int], at: offset)
        case .filter, .map:
            _ = try resolve("_?_:_", choice, [typed.type, .list(element), .list(element)], at: offset)
        }
        return typed.plan
    }

    mutating func bindOptional(
        _ target: Expression, _ variable: String, _ body: Expression, isFlat: Bool, at offset: Int
    ) throws(CELCompileError) -> Typed {
        let optional = try check(target)
        let inner = try resolve(
            "value", [.member(.optional(.a), [], .a)], [optional.type], isMember: true, at: offset)
        return try withVariable(variable, inner) { (checker, slot) throws(CELCompileError) in
            let typed = try checker.check(body)
            var type = CELType.optional(typed.type)
            if isFlat {
                let wanted: [Overload] = [.function([.bool, .optional(.a), .optional(.a)], .optional(.a))]
                let none = CELType.optional(checker.substitution.makeParameter())
                type = try checker.resolve("_?_:_", wanted, [.bool, typed.type, none], at: offset)
            }
            return Typed(type: type, plan: .bindOptional(optional.plan, slot: slot, typed.plan, isFlat: isFlat))
        }
    }
}
