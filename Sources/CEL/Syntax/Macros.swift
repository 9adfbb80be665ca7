// Macros: calls that are no functions, for what they are given is looked at rather than evaluated (cel-spec doc/langdef.md,
// "Macros", and the two of optional values). A name with another number of arguments is an ordinary call.

extension Parser {
    /// `has(a.b)`
    func presence(_ argument: Expression, at offset: Int) throws(CELCompileError) -> Expression {
        guard case .select(let operand, let field, isOptional: false) = argument.kind else {
            throw source.error(at: argument.offset, "invalid argument to has() macro")
        }
        return try node(.presence(operand, field: field), at: offset, over: [operand])
    }

    /// A call on `target`, expanded if it is a macro.
    func memberCall(
        _ name: String, on target: Expression, _ arguments: [Expression], at offset: Int
    ) throws(CELCompileError) -> Expression {
        let parts = [target] + arguments
        switch (name, arguments.count) {
        case ("optMap", 2), ("optFlatMap", 2):
            let variable = try variable(arguments[0])
            return try node(
                .bindOptional(target, variable: variable, arguments[1], isFlat: name == "optFlatMap"),
                at: offset, over: parts)
        case (_, 2), ("map", 3):
            guard let kind = Self.comprehensions[name] else { break }
            let variable = try variable(arguments[0])
            return try node(
                .comprehension(kind, range: target, variable: variable, Array(arguments.dropFirst())),
                at: offset, over: parts)
        default: break
        }
        return try node(.call(name, target: target, arguments), at: offset, over: parts)
    }

    private static let comprehensions: [String: Expression.ComprehensionKind] = [
        "all": .all, "exists": .exists, "exists_one": .existsOne, "existsOne": .existsOne, "filter": .filter,
        "map": .map,
    ]

    private func variable(_ argument: Expression) throws(CELCompileError) -> String {
        guard case .identifier(let name) = argument.kind else {
            throw source.error(at: argument.offset, "argument must be a simple name")
        }
        return name
    }
}
