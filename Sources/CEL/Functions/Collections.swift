// Collections: membership and size. Indexing is not here: it is a step of the evaluator, as selection is.

enum Collections {
    static let functions: [Function] = [
        Function("@in", [.function([.a, .list(.a)], .bool), .function([.a, .map(.a, .b)], .bool)], binary: contains),
        Function(
            "size",
            [CELType.bytes, .list(.a), .map(.a, .b), .string].flatMap {
                [Overload.function([$0], .int), .member($0, [], .int)]
            }, unary: size),
    ]

    @Sendable private static func contains(
        _ element: CELValue, _ collection: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch collection {
        case .list(let elements):
            for candidate in elements where try candidate.equals(element, meter: &meter) { return .bool(true) }
            return .bool(false)
        case .map(let map):
            guard let key = CELKey(element) else { return .bool(false) }
            try meter.charge(bytes: key.byteCount)
            return .bool(map[key] != nil)
        default: throw .noSuchOverload
        }
    }

    @Sendable private static func size(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .string(let text):
            try meter.charge(bytes: text.utf8.count)
            return .int(Int64(text.unicodeScalars.count))
        case .bytes(let bytes): return .int(Int64(bytes.count))
        case .list(let elements): return .int(Int64(elements.count))
        case .map(let map): return .int(Int64(map.count))
        default: throw .noSuchOverload
        }
    }
}
