// CELType: the static types of the checker, after cel-go's common/types.

indirect enum CELType: Equatable, Sendable {
    /// Known at evaluation only.
    case dyn
    case null, bool, int, uint, double, string, bytes, timestamp, duration
    case list(CELType)
    case map(CELType, CELType)
    case optional(CELType)
    case type(CELType)
    /// To be found out; negative ones are the letters of a declaration.
    case parameter(Int)

    static let a = CELType.parameter(-1)
    static let b = CELType.parameter(-2)

    /// `map(string, dyn)`; what was never found out is `dyn`.
    var name: String {
        switch self {
        case .dyn, .parameter: "dyn"
        case .null: "null"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .bytes: "bytes"
        case .timestamp: "timestamp"
        case .duration: "duration"
        case .list(let element): "list(\(element.name))"
        case .map(let key, let value): "map(\(key.name), \(value.name))"
        case .optional(let value): "optional_type(\(value.name))"
        case .type(let type): "type(\(type.name))"
        }
    }

    var parts: [CELType] {
        switch self {
        case .list(let part), .optional(let part), .type(let part): [part]
        case .map(let key, let value): [key, value]
        default: []
        }
    }

    func mappingParts(_ change: (CELType) -> CELType) -> CELType {
        switch self {
        case .list(let part): .list(change(part))
        case .optional(let part): .optional(change(part))
        case .type(let part): .type(change(part))
        case .map(let key, let value): .map(change(key), change(value))
        default: self
        }
    }

    func isSameKind(as other: CELType) -> Bool {
        switch (self, other) {
        case (.list, .list), (.map, .map), (.optional, .optional), (.type, .type), (.parameter, .parameter): true
        default: self == other
        }
    }

    var isParameter: Bool { if case .parameter = self { true } else { false } }
    var isDynamic: Bool { self == .dyn || isParameter }
}
