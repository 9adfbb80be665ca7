// SearchFunctions: what asks about a text: contains, startsWith, endsWith, matches, indexOf, lastIndexOf, charAt. Positions count
// code points.

enum SearchFunctions {
    static let functions: [Function] = [
        Function("contains", question, binary: contains),
        Function("startsWith", question, binary: startsWith),
        Function("endsWith", question, binary: endsWith),
        Function("matches", question + [.function([.string, .string], .bool)], binary: matches),
        Function("charAt", [.member(.string, [.int], .string)], binary: charAt),
        Function("indexOf", position, binary: indexOf, many: indexOf),
        Function("lastIndexOf", position, binary: lastIndexOf, many: lastIndexOf),
    ]

    private static let question: [Overload] = [.member(.string, [.string], .bool)]
    private static let position: [Overload] = [
        .member(.string, [.string], .int), .member(.string, [.string, .int], .int),
    ]

    /// What making a set of code points weighs against a step of the evaluator: it is tried on all of ASCII.
    private static let setCost = 64

    /// Both as bytes, and paid for.
    static func texts(
        _ a: CELValue, _ b: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> ([UInt8], [UInt8]) {
        guard case .string(let a) = a, case .string(let b) = b else { throw .noSuchOverload }
        try meter.charge(bytes: a.utf8.count + b.utf8.count)
        return ([UInt8](text: a), [UInt8](text: b))
    }

    static func outOfRange(_ index: Int64) -> CELEvaluationError { CELEvaluationError("index out of range: \(index)") }

    @Sendable private static func contains(
        _ text: CELValue, _ part: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let (text, part) = try texts(text, part, &meter)
        return .bool(TextSearch(part).first(in: text) != nil)
    }

    @Sendable private static func startsWith(
        _ text: CELValue, _ part: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .string(let text) = text, case .string(let part) = part else { throw .noSuchOverload }
        try meter.charge(bytes: part.utf8.count)
        return .bool(text.utf8.starts(with: part.utf8))
    }

    @Sendable private static func endsWith(
        _ text: CELValue, _ part: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .string(let text) = text, case .string(let part) = part else { throw .noSuchOverload }
        try meter.charge(bytes: part.utf8.count)
        return .bool(text.utf8.count >= part.utf8.count && text.utf8.suffix(part.utf8.count).elementsEqual(part.utf8))
    }

    /// A pattern that is no literal is compiled on each evaluation, and paid for.
    @Sendable private static func matches(
        _ text: CELValue, _ pattern: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .string = text, case .string(let pattern) = pattern else { throw .noSuchOverload }
        let compiled: LinearRegex
        // Before it is read: its length. Then: what it was written out to.
        try meter.charge(pattern.utf8.count)
        do throws(LinearRegexError) {
            compiled = try LinearRegex(pattern)
        } catch {
            throw CELEvaluationError(error.message)
        }
        try meter.charge(compiled.program.instructions.count + compiled.program.sets.count * setCost)
        return .bool(try compiled.search(in: text, meter: &meter))
    }

    @Sendable private static func charAt(
        _ text: CELValue, _ index: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .string(let text) = text, case .int(let index) = index else { throw .noSuchOverload }
        try meter.charge(bytes: text.utf8.count)
        let bytes = [UInt8](text: text)
        guard let start = Int(exactly: index).flatMap(bytes.byteOffset) else { throw outOfRange(index) }
        if start == bytes.count { return .string("") }
        var end = start + 1
        while end < bytes.count, bytes[end] & 0xc0 == 0x80 { end += 1 }
        return .string(Array(bytes[start..<end]).text)
    }

    @Sendable private static func indexOf(
        _ text: CELValue, _ part: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        try indexOf([text, part, .int(0)], &meter)
    }

    @Sendable private static func indexOf(
        _ arguments: [CELValue], _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard arguments.count == 3, case .int(let from) = arguments[2] else { throw .noSuchOverload }
        let (text, part) = try texts(arguments[0], arguments[1], &meter)
        if part.isEmpty { return .int(from) }
        guard from >= 0 else { throw outOfRange(from) }
        guard let start = Int(exactly: from).flatMap(text.byteOffset),
            let found = TextSearch(part).first(in: text, from: start)
        else { return .int(-1) }
        return .int(Int64(text.scalarCount(in: 0..<found)))
    }

    @Sendable private static func lastIndexOf(
        _ text: CELValue, _ part: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let (text, part) = try texts(text, part, &meter)
        guard let found = TextSearch(part).last(in: text, through: text.count) else { return .int(-1) }
        return .int(Int64(text.scalarCount(in: 0..<found)))
    }

    @Sendable private static func lastIndexOf(
        _ arguments: [CELValue], _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard arguments.count == 3, case .int(let from) = arguments[2] else { throw .noSuchOverload }
        let (text, part) = try texts(arguments[0], arguments[1], &meter)
        if part.isEmpty { return .int(from) }
        guard from >= 0 else { throw outOfRange(from) }
        guard let end = Int(exactly: from).flatMap(text.byteOffset), end < text.count,
            let found = TextSearch(part).last(in: text, through: end)
        else { return .int(-1) }
        return .int(Int64(text.scalarCount(in: 0..<found)))
    }
}

extension LinearRegex {
    /// A unit of cost pays for this many steps of the automaton.
    private static let stepsPerUnit = 8

    func search(in value: CELValue, meter: inout CostMeter) throws(CELEvaluationError) -> Bool {
        guard case .string(let text) = value else { throw .noSuchOverload }
        // Each search sets its threads up; each code point is read.
        try meter.charge(program.instructions.count / Self.stepsPerUnit)
        try meter.charge(bytes: text.utf8.count)
        let (stepsMax, overflow) = meter.remaining.multipliedReportingOverflow(by: Self.stepsPerUnit)
        var search = RegexSearch(program: program, stepsMax: overflow ? .max : stepsMax)
        let outcome = search.run(in: text)
        try meter.charge(search.stepCount / Self.stepsPerUnit)
        if outcome == .outOfSteps { try meter.charge(.max) }
        return outcome == .found
    }
}
