// Plan: a checked expression, ready to run. Names are slots, calls are code, literals are values. It is never written to once
// made, so that any number of threads evaluate it at the same time.

indirect enum Plan: Sendable {
    struct Element: Sendable {
        let value: Plan
        let isOptional: Bool
    }

    struct Entry: Sendable {
        let key: Plan
        let value: Plan
        let isOptional: Bool
    }

    struct Comprehension: Sendable {
        let kind: Expression.ComprehensionKind
        let range: Plan
        let slot: Int
        /// The condition of all but `map`; of `map`, what its third argument makes it skip.
        let condition: Plan?
        /// What `map` puts in its list.
        let transform: Plan?
    }

    case constant(CELValue)
    case slot(Int)
    case select(Plan, String, isOptional: Bool)
    case presence(Plan, String)
    case index(Plan, Plan, isOptional: Bool)
    case unary(Function.Unary, Plan)
    case binary(Function.Binary, Plan, Plan)
    case many(Function.Many, [Plan])
    /// A pattern that was a literal.
    case matches(Plan, LinearRegex)
    case and([Plan])
    case or([Plan])
    case conditional(Plan, Plan, Plan)
    case list([Element])
    case map([Entry])
    case comprehension(Comprehension)
    /// `optMap` and `optFlatMap`: the target's value in a slot for the time of the body.
    case bindOptional(Plan, slot: Int, Plan, isFlat: Bool)
    /// `or` and `orValue`.
    case alternative(Plan, Plan, isValue: Bool)
}
