// RegexProgram: a pattern's tree written out for the automaton.

struct RegexProgram: Sendable {
    enum Instruction: Sendable {
        case match
        case jump(Int)
        /// Goes both ways.
        case split(Int, Int)
        case scalar(UInt32)
        /// The code point or what folds to it.
        case folded(UInt32)
        case any(includesNewline: Bool)
        /// An index into `sets`.
        case set(Int)
        case assertion(RegexNode.Assertion)
    }

    /// A search spends as many steps as there are instructions on one code point, at worst.
    static let instructionsMax = 16_384

    private(set) var instructions: [Instruction] = []
    private(set) var sets: [RegexSet] = []
    /// Whether it can begin at the start of the text only.
    let isAnchored: Bool

    init(_ node: RegexNode, pattern: String) throws(LinearRegexError) {
        isAnchored = Self.isAnchored(node)
        do throws(TooLarge) {
            try emit(node)
            try append(.match)
        } catch {
            throw LinearRegexError("expression too large", pattern)
        }
    }

    private static func isAnchored(_ node: RegexNode) -> Bool {
        switch node {
        case .assertion(.textStart): true
        case .sequence(let nodes): nodes.first.map(isAnchored) ?? false
        case .alternatives(let nodes): nodes.allSatisfy(isAnchored)
        default: false
        }
    }

    private struct TooLarge: Error {}

    @discardableResult
    private mutating func append(_ instruction: Instruction) throws(TooLarge) -> Int {
        guard instructions.count < Self.instructionsMax else { throw TooLarge() }
        instructions.append(instruction)
        return instructions.count - 1
    }

    private mutating func emit(_ node: RegexNode) throws(TooLarge) {
        switch node {
        case .empty: break
        case .scalar(let value, let foldsCase): try append(foldsCase ? .folded(value) : .scalar(value))
        case .any(let includesNewline): try append(.any(includesNewline: includesNewline))
        case .set(let set):
            sets.append(set)
            try append(.set(sets.count - 1))
        case .assertion(let assertion): try append(.assertion(assertion))
        case .sequence(let nodes): for node in nodes { try emit(node) }
        case .alternatives(let nodes): try emitAlternatives(nodes)
        case .repeated(let node, let least, let most):
            for _ in 0..<least {
                let before = instructions.count
                try emit(node)
                // Nothing, however often.
                if instructions.count == before { break }
            }
            if let most { try emitOptional(node, count: most - least) } else { try emitLoop(node) }
        }
    }

    private mutating func emitAlternatives(_ nodes: [RegexNode]) throws(TooLarge) {
        var exits: [Int] = []
        for node in nodes.dropLast() {
            let split = try append(.jump(0))
            try emit(node)
            exits.append(try append(.jump(0)))
            instructions[split] = .split(split + 1, instructions.count)
        }
        if let last = nodes.last { try emit(last) }
        for exit in exits { instructions[exit] = .jump(instructions.count) }
    }

    private mutating func emitOptional(_ node: RegexNode, count: Int) throws(TooLarge) {
        var exits: [Int] = []
        for _ in 0..<count {
            let exit = try append(.jump(0))
            exits.append(exit)
            try emit(node)
        }
        for exit in exits { instructions[exit] = .split(exit + 1, instructions.count) }
    }

    private mutating func emitLoop(_ node: RegexNode) throws(TooLarge) {
        let split = try append(.jump(0))
        try emit(node)
        try append(.jump(split))
        instructions[split] = .split(split + 1, instructions.count)
    }
}
