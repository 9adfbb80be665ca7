// Evaluation, access: members, keys and indexes. An optional value makes all that is selected from it optional.

extension Evaluation {
    mutating func select(
        _ target: CELValue, _ field: String, isOptional: Bool
    ) throws(CELEvaluationError) -> CELValue {
        if case .optional(let inner) = target {
            guard let inner else { return target }
            return .optional(try member(inner, field))
        }
        if let value = try member(target, field) { return isOptional ? .optional(value) : value }
        if isOptional { return .optional(nil) }
        throw CELEvaluationError("no such key: \(field)")
    }

    mutating func presence(_ target: CELValue, _ field: String) throws(CELEvaluationError) -> CELValue {
        if case .optional(let inner) = target {
            guard let inner else { return .bool(false) }
            return .bool(try member(inner, field) != nil)
        }
        return .bool(try member(target, field) != nil)
    }

    /// Nil when there is none, or `target` is nothing that has members; a list has elements, but none by name.
    private mutating func member(_ target: CELValue, _ field: String) throws(CELEvaluationError) -> CELValue? {
        try meter.charge(bytes: field.utf8.count)
        switch target {
        case .map(let map): return map[field]
        case .list: throw CELEvaluationError("unsupported index type 'string' in list")
        default: return nil
        }
    }

    mutating func index(
        _ target: CELValue, _ key: CELValue, isOptional: Bool
    ) throws(CELEvaluationError) -> CELValue {
        if case .optional(let inner) = target {
            guard let inner else { return target }
            return .optional(try element(inner, key))
        }
        if let value = try element(target, key) { return isOptional ? .optional(value) : value }
        if isOptional { return .optional(nil) }
        if case .list = target { throw CELEvaluationError("index out of bounds: \(key.wholeNumber ?? 0)") }
        throw CELEvaluationError("no such key: \(CELKey(key)?.text ?? key.typeName)")
    }

    /// Nil when there is none.
    private mutating func element(_ target: CELValue, _ key: CELValue) throws(CELEvaluationError) -> CELValue? {
        switch target {
        case .list(let elements):
            guard let index = key.wholeNumber else {
                throw CELEvaluationError("unsupported index type '\(key.typeName)' in list")
            }
            return index >= 0 && index < elements.count ? elements[Int(index)] : nil
        case .map(let map):
            guard let key = CELKey(key) else { return nil }
            try meter.charge(bytes: key.byteCount)
            return map[key]
        default: return nil
        }
    }
}
