// Expression: the syntax tree. Operators are calls by their names in the language definition (`_+_`, `!_`), macros are nodes
// of their own, and chains of `&&` and of `||` are flat.

struct Expression {
    indirect enum Kind {
        case literal(CELValue)
        case identifier(String)
        case select(Expression, field: String, isOptional: Bool)
        /// `has(a.b)`
        case presence(Expression, field: String)
        case index(Expression, Expression, isOptional: Bool)
        case call(String, target: Expression?, [Expression])
        case and([Expression])
        case or([Expression])
        case conditional(Expression, Expression, Expression)
        case list([Element])
        case map([Entry])
        case comprehension(ComprehensionKind, range: Expression, variable: String, [Expression])
        /// `a.optMap(x, f)`, `a.optFlatMap(x, f)`
        case bindOptional(Expression, variable: String, Expression, isFlat: Bool)
    }

    struct Element {
        let value: Expression
        /// `[?e]`
        let isOptional: Bool
    }

    struct Entry {
        let key: Expression
        let value: Expression
        /// `{?k: v}`
        let isOptional: Bool
    }

    enum ComprehensionKind: Sendable {
        case all, exists, existsOne, filter
        /// With two arguments a filter precedes the transformation.
        case map
    }

    let kind: Kind
    /// Where its operator, bracket or name stands, in code points.
    let offset: Int
    /// 1 for a leaf.
    let depth: Int
}
