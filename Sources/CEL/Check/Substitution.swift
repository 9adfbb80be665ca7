// Substitution: which types the open parameters stand for, and whether one type may stand where another is wanted. The rules are
// those of cel-go's checker, with their order, for they decide which expressions compile.

struct Substitution {
    // By the number of the parameter.
    private var types: [CELType?] = []
    /// What was there before each change since the question at hand was asked, so that a no can take all of them back.
    private var trail: [(number: Int, before: CELType?)] = []

    mutating func makeParameter() -> CELType {
        types.append(nil)
        return .parameter(types.count - 1)
    }

    private mutating func set(_ number: Int, to type: CELType) {
        trail.append((number, types[number]))
        types[number] = type
    }

    /// The types of a declaration with its letters replaced by fresh parameters.
    mutating func instantiate(_ declared: [CELType]) -> [CELType] {
        var letters: [Int: CELType] = [:]
        func replace(_ type: CELType, _ substitution: inout Substitution) -> CELType {
            switch type {
            case .parameter(let letter):
                if let known = letters[letter] { return known }
                let fresh = substitution.makeParameter()
                letters[letter] = fresh
                return fresh
            default: return type.mappingParts { replace($0, &substitution) }
            }
        }
        return declared.map { replace($0, &self) }
    }

    /// `type` with what is known put in.
    func resolve(_ type: CELType) -> CELType {
        if case .parameter(let number) = type { return types[number].map(resolve) ?? type }
        return type.parts.isEmpty ? type : type.mappingParts(resolve)
    }

    /// As `resolve`, and what is unknown is `dyn`.
    func finalize(_ type: CELType) -> CELType {
        if case .parameter(let number) = type { return types[number].map(finalize) ?? .dyn }
        return type.parts.isEmpty ? type : type.mappingParts(finalize)
    }

    /// Whether `list` may stand where `targets` are wanted; what that says about parameters is kept only if all may.
    mutating func isAssignable(_ list: [CELType], _ targets: [CELType]) -> Bool {
        guard list.count == targets.count else { return false }
        trail.removeAll(keepingCapacity: true)
        for (type, target) in zip(list, targets) where !accepts(type, target) {
            for change in trail.reversed() { types[change.number] = change.before }
            return false
        }
        return true
    }

    mutating func isAssignable(_ type: CELType, _ target: CELType) -> Bool { isAssignable([type], [target]) }

    private mutating func accepts(_ first: CELType, _ second: CELType) -> Bool {
        if case .parameter(let number) = second {
            if bind(number, to: first) { return true }
            if types[number] != nil { return false }
        }
        if case .parameter(let number) = first { return bind(number, to: second) }
        if first == .dyn || second == .dyn { return true }
        if first == .null { return second.takesNull }
        if second == .null { return first.takesNull }
        if case .type = first, case .type = second { return true }
        guard first.isSameKind(as: second) else { return false }
        for (a, b) in zip(first.parts, second.parts) where !accepts(a, b) { return false }
        return true
    }

    private mutating func bind(_ number: Int, to type: CELType) -> Bool {
        if type == .parameter(number) { return true }
        guard let known = types[number] else {
            guard !occurs(number, in: type) else { return false }
            set(number, to: type)
            return true
        }
        if type == known { return true }
        guard accepts(type, known) else { return false }
        let general = Self.mostGeneral(type, known)
        if !occurs(number, in: general) { set(number, to: general) }
        return true
    }

    private func occurs(_ number: Int, in type: CELType) -> Bool {
        if case .parameter(let other) = type {
            return other == number || types[other].map { occurs(number, in: $0) } ?? false
        }
        return type.parts.contains { occurs(number, in: $0) }
    }

    static func mostGeneral(_ first: CELType, _ second: CELType) -> CELType {
        isEqualOrLessSpecific(first, second) ? first : second
    }

    private static func isEqualOrLessSpecific(_ first: CELType, _ second: CELType) -> Bool {
        if first.isDynamic { return true }
        if second.isDynamic { return false }
        guard first.isSameKind(as: second) else { return false }
        return zip(first.parts, second.parts).allSatisfy(isEqualOrLessSpecific)
    }
}

extension CELType {
    fileprivate var takesNull: Bool {
        switch self {
        case .null, .timestamp, .duration, .optional: true
        default: false
        }
    }
}
