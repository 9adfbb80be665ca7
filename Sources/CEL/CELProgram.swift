// CELProgram: an expression of the Common Expression Language, compiled once and evaluated for each delivery.
//
//   text -> Lexer -> Parser (macros) -> Checker -> Plan -> Evaluation -> value
//
// The language is the one that Flux's notification-controller offers to Receivers (fluxcd/pkg runtime/cel over cel-go 0.27): the
// standard library, optional values, the strings, sets and base64 extensions, homogeneous literals, numbers compared across types,
// UTC as the default zone. Sources of truth: cel-spec doc/langdef.md, and cel-go where the two differ.

public struct CELProgram: Sendable {
    /// What the whole expression must be.
    public enum Expectation: Sendable {
        /// Statically a bool: `dyn` is refused.
        case bool
        case any
    }

    /// What an evaluation may spend when the caller does not say.
    ///
    /// A unit takes 10 to 200 ns. Of some sixty expressions made to be slow, over a request of 400 KB, the slowest met this limit
    /// after 65 ms, or 130 ms while others kept the machine busy, most of them within 40 ms; memory stayed below 70 MB (release
    /// build, one core of a shared virtual machine).
    /// A usual filter spends 10 to 100 units in 0.3 to 2 µs.
    public static let costMaxDefault = 500_000

    public let source: String
    /// The statically known type of the result: `bool`, `dyn`, `list(string)`.
    public let resultType: String
    private let plan: Plan
    private let variables: [String]
    private let usedVariables: [Bool]
    private let slotCount: Int

    /// Compiles `source`. Each of `variables` is a dynamic map, as google.protobuf.Struct is.
    public static func compile(
        _ source: String, variables: [String], expecting expectation: Expectation
    ) throws(CELCompileError) -> CELProgram {
        try CELProgram(source, variables, expectation)
    }

    private init(
        _ source: String, _ variables: [String], _ expectation: Expectation
    ) throws(CELCompileError) {
        let (expression, text) = try Parser.expression(source)
        var checker = Checker(source: text, variables: variables)
        let typed = try checker.checkRoot(expression)
        if expectation == .bool, typed.type != .bool {
            throw CELCompileError("output type mismatch: expected bool, got \(typed.type.name)")
        }
        self.source = source
        resultType = typed.type.name
        plan = typed.plan
        self.variables = variables
        usedVariables = variables.map { checker.uses($0) }
        slotCount = checker.slotCount
    }

    /// The value of the expression. Safe to call from any number of threads at once.
    ///
    /// `variables` must have those that the expression uses. `costMax` bounds steps, and with them time and memory: what exceeds
    /// it is an evaluation error.
    public func evaluate(
        _ variables: [String: CELValue], costMax: Int = costMaxDefault
    ) throws(CELEvaluationError) -> CELValue {
        var slots = Array(repeating: CELValue.null, count: slotCount)
        for (slot, name) in self.variables.enumerated() where usedVariables[slot] {
            guard let value = variables[name] else { throw CELEvaluationError("no such attribute(s): \(name)") }
            slots[slot] = value
        }
        var evaluation = Evaluation(meter: CostMeter(limit: costMax), slots: slots)
        return try evaluation.value(of: plan)
    }

    /// The value of an expression that was compiled as a bool.
    public func evaluateBool(
        _ variables: [String: CELValue], costMax: Int = costMaxDefault
    ) throws(CELEvaluationError) -> Bool {
        guard case .bool(let flag) = try evaluate(variables, costMax: costMax) else { throw .noSuchOverload }
        return flag
    }
}
