// Checker, calls: which overloads fit, what they give, and what can be done once instead of on each evaluation.

extension Checker {
    /// Calls that are steps of the evaluator; their declarations.
    private static let indexing: [Overload] = [
        .function([.list(.a), .int], .a), .function([.map(.a, .b), .a], .b),
    ]
    private static let optionalIndexing: [Overload] = [
        .function([.optional(.list(.a)), .int], .optional(.a)),
        .function([.optional(.map(.a, .b)), .a], .optional(.b)),
    ]
    private static let choice: [Overload] = [.function([.bool, .a, .a], .a)]
    private static let logic: [Overload] = [.function([.bool, .bool], .bool)]

    /// The result of the overloads that fit; `dyn` when they differ.
    mutating func resolve(
        _ name: String, _ overloads: [Overload], _ arguments: [CELType], isMember: Bool = false, at offset: Int
    ) throws(CELCompileError) -> CELType {
        var result: CELType?
        for overload in overloads where overload.isMember == isMember && overload.parameters.count == arguments.count {
            let types = substitution.instantiate(overload.parameters + [overload.result])
            guard substitution.isAssignable(arguments, Array(types.dropLast())), let last = types.last else { continue }
            let candidate = substitution.resolve(last)
            if result == nil { result = candidate } else if result != .dyn, result != candidate { result = .dyn }
        }
        if let result { return result }
        let names = arguments.map { substitution.finalize($0).name }
        let applied =
            isMember
            ? "'\(names.first ?? "").(\(names.dropFirst().joined(separator: ", ")))'"
            : "'(\(names.joined(separator: ", ")))'"
        throw error(offset, "found no matching overload for '\(name)' applied to \(applied)")
    }

    mutating func call(
        _ name: String, on target: Expression?, _ arguments: [Expression], at offset: Int
    ) throws(CELCompileError) -> Typed {
        // `sets.contains(…)` is a function of that name, unless `sets` is a variable.
        if let target, case .identifier(let prefix) = target.kind, !declares(prefix),
            let function = Library.functions["\(prefix).\(name)"]
        {
            return try apply(function, try arguments.map(in: &self), arguments, isMember: false, at: offset)
        }
        var typed: [Typed] = []
        if let target { typed.append(try check(target)) }
        guard let function = Library.functions[name] else { throw undeclared(name, at: offset) }
        if name == "format" { formatDepth += 1 }
        defer { if name == "format" { formatDepth -= 1 } }
        typed += try arguments.map(in: &self)
        return try apply(function, typed, arguments, isMember: target != nil, at: offset)
    }

    private mutating func apply(
        _ function: Function, _ typed: [Typed], _ arguments: [Expression], isMember: Bool, at offset: Int
    ) throws(CELCompileError) -> Typed {
        let type = try resolve(
            function.name, function.overloads, typed.map(\.type), isMember: isMember, at: offset)
        let plans = typed.map(\.plan)
        switch (function.name, plans.count) {
        case ("or", 2), ("orValue", 2):
            return Typed(type: type, plan: .alternative(plans[0], plans[1], isValue: function.name == "orValue"))
        case ("matches", 2):
            guard case .constant(.string(let pattern)) = plans[1] else { break }
            do throws(LinearRegexError) {
                return Typed(type: type, plan: .matches(plans[0], try LinearRegex(pattern)))
            } catch {
                throw self.error(arguments.last?.offset ?? offset, error.message)
            }
        default: break
        }
        if plans.count == 1, let unary = function.unary {
            if function.isConversion, case .constant(let value) = plans[0] {
                return try Typed(type: type, plan: .constant(convert(value, unary, at: offset)))
            }
            return Typed(type: type, plan: .unary(unary, plans[0]))
        }
        if plans.count == 2, let binary = function.binary {
            return Typed(type: type, plan: .binary(binary, plans[0], plans[1]))
        }
        guard let many = function.many else {
            throw error(offset, "found no matching overload for '\(function.name)'")
        }
        return Typed(type: type, plan: .many(many, plans))
    }

    private func convert(
        _ value: CELValue, _ unary: Function.Unary, at offset: Int
    ) throws(CELCompileError) -> CELValue {
        var meter = CostMeter(limit: CELProgram.costMaxDefault)
        do throws(CELEvaluationError) {
            return try unary(value, &meter)
        } catch {
            throw self.error(offset, error.message)
        }
    }

    mutating func index(
        _ operand: Expression, _ key: Expression, isOptional: Bool, at offset: Int
    ) throws(CELCompileError) -> Typed {
        let target = try check(operand)
        let index = try check(key)
        let overloads = Self.indexing + Self.optionalIndexing
        var type = try resolve(isOptional ? "_[?_]" : "_[_]", overloads, [target.type, index.type], at: offset)
        var isWrapped = false
        if case .optional = substitution.resolve(target.type) { isWrapped = true }
        if isOptional, !isWrapped { type = .optional(type) }
        return Typed(type: type, plan: .index(target.plan, index.plan, isOptional: isOptional))
    }

    mutating func conditional(
        _ condition: Expression, _ first: Expression, _ second: Expression, at offset: Int
    ) throws(CELCompileError) -> Typed {
        let parts = try [condition, first, second].map(in: &self)
        let type = try resolve("_?_:_", Self.choice, parts.map(\.type), at: offset)
        return Typed(type: type, plan: .conditional(parts[0].plan, parts[1].plan, parts[2].plan))
    }

    mutating func logical(
        _ terms: [Expression], _ name: String, at offset: Int
    ) throws(CELCompileError) -> [Plan] {
        let first = try check(terms[0])
        var plans = [first.plan]
        var left = first.type
        for term in terms.dropFirst() {
            let typed = try check(term)
            left = try resolve(name, Self.logic, [left, typed.type], at: offset)
            plans.append(typed.plan)
        }
        return plans
    }
}

extension [Expression] {
    fileprivate func map(in checker: inout Checker) throws(CELCompileError) -> [Checker.Typed] {
        var result: [Checker.Typed] = []
        for expression in self { result.append(try checker.check(expression)) }
        return result
    }
}
