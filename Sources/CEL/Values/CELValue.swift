// CELValue: what an expression computes with (cel-spec doc/langdef.md, "Values").

/// A value of the Common Expression Language. Numbers out of JSON are doubles, as in google.protobuf.Struct.
public enum CELValue: Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case double(Double)
    case string(String)
    case bytes([UInt8])
    case list([CELValue])
    case map(CELMap)
    case timestamp(CELTimestamp)
    case duration(CELDuration)
    /// Nil is `optional.none()`.
    indirect case optional(CELValue?)
    /// A type by its runtime name: `int`, `map`, `google.protobuf.Timestamp`.
    case type(String)

    /// The runtime name of the value's type.
    public var typeName: String {
        switch self {
        case .null: "null_type"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .bytes: "bytes"
        case .list: "list"
        case .map: "map"
        case .timestamp: "google.protobuf.Timestamp"
        case .duration: "google.protobuf.Duration"
        case .optional: "optional_type"
        case .type: "type"
        }
    }
}

extension CELValue: Equatable {
    /// CEL equality: numbers compare across their types, strings by code point, NaN equals nothing.
    public static func == (left: CELValue, right: CELValue) -> Bool {
        var meter = CostMeter(limit: .max)
        return (try? left.equals(right, meter: &meter)) ?? false
    }
}

extension CELValue {
    /// CEL equality. Each element visited and each 32 bytes of text compared is charged.
    func equals(_ other: CELValue, meter: inout CostMeter) throws(CELEvaluationError) -> Bool {
        try meter.charge(1)
        switch (self, other) {
        case (.null, .null): return true
        case (.bool(let a), .bool(let b)): return a == b
        case (.string(let a), .string(let b)):
            try meter.charge(bytes: min(a.utf8.count, b.utf8.count))
            return a.hasSameBytes(as: b)
        case (.bytes(let a), .bytes(let b)):
            try meter.charge(bytes: min(a.count, b.count))
            return a == b
        case (.list(let a), .list(let b)):
            guard a.count == b.count else { return false }
            for index in a.indices where try !a[index].equals(b[index], meter: &meter) { return false }
            return true
        case (.map(let a), .map(let b)):
            guard a.count == b.count else { return false }
            for index in 0..<a.count {
                let key = a.keys[index]
                try meter.charge(bytes: key.byteCount)
                guard let match = b[key], try a.values[index].equals(match, meter: &meter) else { return false }
            }
            return true
        case (.timestamp(let a), .timestamp(let b)): return a == b
        case (.duration(let a), .duration(let b)): return a == b
        case (.type(let a), .type(let b)): return a == b
        case (.optional(let a), .optional(let b)):
            guard let a, let b else { return a == nil && b == nil }
            return try a.equals(b, meter: &meter)
        default: return numericOrder(other) == .equal
        }
    }
}
