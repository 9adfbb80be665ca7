// Checker: gives each node its static type, refuses what no evaluation could make sense of, and writes the plan down on the way.
// Rules and texts follow cel-go's checker with homogeneous aggregate literals.

struct Checker {
    struct Typed {
        let type: CELType
        let plan: Plan
    }

    private struct Variable {
        let name: String
        let type: CELType
        let slot: Int
    }

    /// An aggregate literal whose parts must turn out to be of one type, when all is known.
    private struct Aggregate {
        var parts: [(type: CELType, offset: Int)]
    }

    let source: SourceText
    var substitution = Substitution()
    /// Inner ones last.
    private var scope: [Variable]
    private(set) var slotCount: Int
    private var usedNames: Set<String> = []
    private var aggregates: [Aggregate] = []
    /// Within the arguments of `format`, whose list is mixed by nature.
    var formatDepth = 0

    init(source: SourceText, variables: [String]) {
        self.source = source
        scope = variables.enumerated().map { Variable(name: $1, type: .map(.string, .dyn), slot: $0) }
        slotCount = variables.count
    }

    /// The result type and the plan of a whole expression.
    mutating func checkRoot(_ expression: Expression) throws(CELCompileError) -> Typed {
        let typed = try check(expression)
        for aggregate in aggregates {
            guard let first = aggregate.parts.first.map({ substitution.finalize($0.type) }) else { continue }
            for part in aggregate.parts.dropFirst() {
                let type = substitution.finalize(part.type)
                guard type == first else { throw mismatch(first, type, at: part.offset) }
            }
        }
        return Typed(type: substitution.finalize(typed.type), plan: typed.plan)
    }

    /// Whether a variable is used anywhere.
    func uses(_ name: String) -> Bool { usedNames.contains(name) }

    func error(_ offset: Int, _ text: String) -> CELCompileError { source.error(at: offset, text) }

    func undeclared(_ name: String, at offset: Int) -> CELCompileError {
        error(offset, "undeclared reference to '\(name)' (in container '')")
    }

    private func mismatch(_ expected: CELType, _ found: CELType, at offset: Int) -> CELCompileError {
        error(offset, "expected type '\(expected.name)' but found '\(found.name)'")
    }

    mutating func check(_ expression: Expression) throws(CELCompileError) -> Typed {
        switch expression.kind {
        case .literal(let value): Typed(type: value.staticType, plan: .constant(value))
        case .identifier(let name): try identifier(name, at: expression.offset)
        case .select: try select(expression)
        case .presence(let operand, let field):
            Typed(type: .bool, plan: .presence(try selectable(operand, at: expression.offset).plan, field))
        case .index(let operand, let key, let isOptional):
            try index(operand, key, isOptional: isOptional, at: expression.offset)
        case .call(let name, let target, let arguments):
            try call(name, on: target, arguments, at: expression.offset)
        case .and(let terms): Typed(type: .bool, plan: .and(try logical(terms, "_&&_", at: expression.offset)))
        case .or(let terms): Typed(type: .bool, plan: .or(try logical(terms, "_||_", at: expression.offset)))
        case .conditional(let condition, let first, let second):
            try conditional(condition, first, second, at: expression.offset)
        case .list(let elements): try list(elements)
        case .map(let entries): try map(entries)
        case .comprehension(let kind, let range, let variable, let arguments):
            try comprehension(kind, over: range, variable, arguments, at: expression.offset)
        case .bindOptional(let target, let variable, let body, let isFlat):
            try bindOptional(target, variable, body, isFlat: isFlat, at: expression.offset)
        }
    }

    // MARK: Names

    /// Checks `body` with one more variable, in a slot of its own.
    mutating func withVariable(
        _ name: String, _ type: CELType, _ body: (inout Checker, Int) throws(CELCompileError) -> Typed
    ) throws(CELCompileError) -> Typed {
        let slot = slotCount
        slotCount += 1
        scope.append(Variable(name: name, type: type, slot: slot))
        let result = try body(&self, slot)
        scope.removeLast()
        return result
    }

    func declares(_ name: String) -> Bool { scope.contains { $0.name == name } }

    private mutating func identifier(_ name: String, at offset: Int) throws(CELCompileError) -> Typed {
        if let variable = scope.last(where: { $0.name == name }) {
            usedNames.insert(name)
            return Typed(type: variable.type, plan: .slot(variable.slot))
        }
        if let type = Library.types[name] {
            return Typed(type: .type(type.type), plan: .constant(.type(type.value)))
        }
        throw undeclared(name, at: offset)
    }

    // MARK: Selection

    private mutating func select(_ expression: Expression) throws(CELCompileError) -> Typed {
        guard case .select(let operand, let field, let isOptional) = expression.kind else {
            return try check(expression)
        }
        // The only qualified names are those of types.
        if expression.depth <= 3, let name = expression.qualifiedName, let type = Library.types[name],
            !declares(String(name.prefix { $0 != "." }))
        {
            return Typed(type: .type(type.type), plan: .constant(.type(type.value)))
        }
        let target = try selectable(operand, at: expression.offset)
        let type = isOptional && !target.isOptional ? .optional(target.member) : target.type
        return Typed(type: type, plan: .select(target.plan, field, isOptional: isOptional))
    }

    private struct Selectable {
        let plan: Plan
        /// Whether the operand is an optional value, which makes what is selected one.
        let isOptional: Bool
        let member: CELType

        var type: CELType { isOptional ? .optional(member) : member }
    }

    private mutating func selectable(_ operand: Expression, at offset: Int) throws(CELCompileError) -> Selectable {
        let typed = try check(operand)
        var type = substitution.resolve(typed.type)
        var isOptional = false
        if case .optional(let inner) = type {
            isOptional = true
            type = inner
        }
        switch type {
        case .map(_, let value): return Selectable(plan: typed.plan, isOptional: isOptional, member: value)
        case .dyn: return Selectable(plan: typed.plan, isOptional: isOptional, member: .dyn)
        case .parameter:
            _ = substitution.isAssignable(.dyn, type)
            return Selectable(plan: typed.plan, isOptional: isOptional, member: .dyn)
        default: throw error(offset, "type '\(substitution.finalize(type).name)' does not support field selection")
        }
    }

    // MARK: Aggregates

    /// The common type of the parts; what does not fit is `dyn` here and refused at the end.
    private mutating func join(_ known: CELType?, _ type: CELType) -> CELType {
        guard let known else { return type }
        return substitution.isAssignable(known, type)
            ? Substitution.mostGeneral(substitution.resolve(known), substitution.resolve(type)) : .dyn
    }

    /// The type of an element written `[?e]`, whose value is optional.
    private mutating func unwrapped(_ type: CELType, at offset: Int) throws(CELCompileError) -> CELType {
        let element = substitution.makeParameter()
        guard substitution.isAssignable(type, .optional(element)) else {
            let found = substitution.finalize(type)
            throw mismatch(.optional(found), found, at: offset)
        }
        return substitution.resolve(type) == .dyn ? .dyn : element
    }

    private mutating func list(_ elements: [Expression.Element]) throws(CELCompileError) -> Typed {
        var type: CELType?
        var plans: [Plan.Element] = []
        var aggregate = Aggregate(parts: [])
        for element in elements {
            let typed = try check(element.value)
            let part = element.isOptional ? try unwrapped(typed.type, at: element.value.offset) : typed.type
            aggregate.parts.append((part, element.value.offset))
            type = join(type, part)
            plans.append(Plan.Element(value: typed.plan, isOptional: element.isOptional))
        }
        if formatDepth == 0 { aggregates.append(aggregate) }
        return Typed(type: .list(type ?? substitution.makeParameter()), plan: .list(plans))
    }

    private mutating func map(_ entries: [Expression.Entry]) throws(CELCompileError) -> Typed {
        var keyType: CELType?
        var valueType: CELType?
        var plans: [Plan.Entry] = []
        var keys = Aggregate(parts: [])
        var values = Aggregate(parts: [])
        for entry in entries {
            let key = try check(entry.key)
            let known = substitution.resolve(key.type)
            switch known {
            case .bool, .int, .uint, .string, .double, .dyn: break
            // Settled here, so that no type grows by its keys.
            case .parameter: _ = substitution.isAssignable(.dyn, known)
            default: throw error(entry.key.offset, "unsupported key type: \(substitution.finalize(known).name)")
            }
            keys.parts.append((known, entry.key.offset))
            keyType = join(keyType, known)
            let value = try check(entry.value)
            let part = entry.isOptional ? try unwrapped(value.type, at: entry.value.offset) : value.type
            values.parts.append((part, entry.value.offset))
            valueType = join(valueType, part)
            plans.append(Plan.Entry(key: key.plan, value: value.plan, isOptional: entry.isOptional))
        }
        if formatDepth == 0 { aggregates += [keys, values] }
        let type = CELType.map(keyType ?? substitution.makeParameter(), valueType ?? substitution.makeParameter())
        return Typed(type: type, plan: .map(plans))
    }
}

extension CELValue {
    /// The type of a literal.
    fileprivate var staticType: CELType {
        switch self {
        case .null: .null
        case .bool: .bool
        case .int: .int
        case .uint: .uint
        case .double: .double
        case .string: .string
        case .bytes: .bytes
        default: .dyn
        }
    }
}
