// RegexSearch: one run of a program over one text. All threads move in step; a thread is where it stands in the program, so that
// at one place of the text there are at most as many as instructions.

struct RegexSearch {
    enum Outcome {
        case found, notFound, outOfSteps
    }

    private let program: RegexProgram
    private let stepsMax: Int
    private(set) var stepCount = 0

    // The place in the text at which a thread last came to an instruction, from 1.
    private var visits: [Int]
    private var visit = 0
    // Threads that wait for a code point.
    private var waiting: [Int] = []
    private var stack: [Int] = []

    init(program: RegexProgram, stepsMax: Int) {
        self.program = program
        self.stepsMax = stepsMax
        visits = Array(repeating: 0, count: program.instructions.count)
    }

    mutating func run(in text: String) -> Outcome {
        var scalars = text.unicodeScalars.makeIterator()
        var previous: Unicode.Scalar?
        var next = scalars.next()
        // Threads that have just read a code point.
        var moved: [Int] = []
        while true {
            visit += 1
            waiting.removeAll(keepingCapacity: true)
            for thread in moved where follow(thread, previous, next) { return .found }
            if previous == nil || !program.isAnchored {
                if follow(0, previous, next) { return .found }
            } else if moved.isEmpty {
                return .notFound
            }
            if stepCount > stepsMax { return .outOfSteps }
            guard let scalar = next else { return .notFound }
            moved.removeAll(keepingCapacity: true)
            for thread in waiting where reads(scalar, at: thread) { moved.append(thread + 1) }
            previous = scalar
            next = scalars.next()
        }
    }

    /// Follows a thread through everything that reads nothing. True when it comes to the end of the pattern.
    private mutating func follow(
        _ thread: Int, _ previous: Unicode.Scalar?, _ next: Unicode.Scalar?
    ) -> Bool {
        stack.append(thread)
        while let index = stack.popLast() {
            guard visits[index] != visit else { continue }
            visits[index] = visit
            stepCount += 1
            switch program.instructions[index] {
            case .match:
                stack.removeAll(keepingCapacity: true)
                return true
            case .jump(let target): stack.append(target)
            case .split(let first, let second):
                stack.append(second)
                stack.append(first)
            case .assertion(let assertion):
                if holds(assertion, previous, next) { stack.append(index + 1) }
            default: waiting.append(index)
            }
        }
        return false
    }

    private func holds(
        _ assertion: RegexNode.Assertion, _ previous: Unicode.Scalar?, _ next: Unicode.Scalar?
    ) -> Bool {
        switch assertion {
        case .textStart: previous == nil
        case .textEnd: next == nil
        case .lineStart: previous == nil || previous == "\n"
        case .lineEnd: next == nil || next == "\n"
        case .wordBoundary: (previous?.isWordCharacter ?? false) != (next?.isWordCharacter ?? false)
        case .noWordBoundary: (previous?.isWordCharacter ?? false) == (next?.isWordCharacter ?? false)
        }
    }

    private mutating func reads(_ scalar: Unicode.Scalar, at index: Int) -> Bool {
        switch program.instructions[index] {
        case .scalar(let value): return scalar.value == value
        case .folded(let value):
            if scalar.value == value { return true }
            if !scalar.isASCII { stepCount += RegexSet.foldingSteps }
            return scalar.caseVariants.contains { $0.value == value }
        case .any(let includesNewline): return includesNewline || scalar != "\n"
        case .set(let set):
            if !scalar.isASCII { stepCount += program.sets[set].steps }
            return program.sets[set].contains(scalar)
        default: return false
        }
    }
}
