// Conversions: `int(…)`, `string(…)` and their like, and `type` and `dyn`.

enum Conversions {
    static let functions: [Function] = [
        conversion("bool", from: [.bool, .string], .bool, bool),
        conversion("bytes", from: [.bytes, .string], .bytes, bytes),
        conversion("double", from: [.double, .int, .string, .uint], .double, double),
        conversion("duration", from: [.duration, .int, .string], .duration, duration),
        conversion("dyn", from: [.a], .dyn, dyn),
        conversion("int", from: [.int, .double, .duration, .string, .timestamp, .uint], .int, int),
        conversion(
            "string", from: [.string, .bool, .bytes, .double, .duration, .int, .timestamp, .uint], .string, string),
        conversion("timestamp", from: [.timestamp, .int, .string], .timestamp, timestamp),
        conversion("type", from: [.a], .type(.a), type),
        conversion("uint", from: [.uint, .double, .int, .string], .uint, uint),
    ]

    private static func conversion(
        _ name: String, from types: [CELType], _ result: CELType, _ convert: @escaping Function.Unary
    ) -> Function {
        Function(name, types.map { .function([$0], result) }, unary: convert, isConversion: true)
    }

    @Sendable private static func bool(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .bool: return value
        case .string("1"), .string("t"), .string("T"), .string("true"), .string("TRUE"), .string("True"):
            return .bool(true)
        case .string("0"), .string("f"), .string("F"), .string("false"), .string("FALSE"), .string("False"):
            return .bool(false)
        default: throw .conversion(value, to: "bool")
        }
    }

    @Sendable private static func bytes(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .bytes: return value
        case .string(let text):
            try meter.charge(bytes: text.utf8.count)
            return .bytes([UInt8](text: text))
        default: throw .conversion(value, to: "bytes")
        }
    }

    @Sendable private static func double(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .double: return value
        case .int(let number): return .double(Double(number))
        case .uint(let number): return .double(Double(number))
        case .string(let text):
            guard let number = Double(celText: text) else { throw .conversion(value, to: "double") }
            return .double(number)
        default: throw .conversion(value, to: "double")
        }
    }

    @Sendable private static func duration(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .duration: return value
        case .int(let nanoseconds): return .duration(CELDuration(nanoseconds: nanoseconds))
        case .string(let text):
            try meter.charge(bytes: text.utf8.count)
            if let duration = CELDuration(text: text) { return .duration(duration) }
            throw .conversion(value, to: "google.protobuf.Duration")
        default: throw .conversion(value, to: "google.protobuf.Duration")
        }
    }

    @Sendable private static func dyn(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        value
    }

    @Sendable private static func int(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .int: return value
        case .uint(let number):
            guard let number = Int64(exactly: number) else { throw CELEvaluationError("integer overflow") }
            return .int(number)
        case .double(let number):
            // 2^63 has no int; -2^63 is refused with it, as cel-go does.
            guard number.magnitude < 0x1p63 else { throw CELEvaluationError("integer overflow") }
            return .int(Int64(number))
        case .string(let text):
            guard text.utf8.count <= 64, let number = Int64(text) else { throw .conversion(value, to: "int") }
            return .int(number)
        case .timestamp(let time): return .int(time.seconds)
        case .duration(let span): return .int(span.nanoseconds)
        default: throw .conversion(value, to: "int")
        }
    }

    @Sendable private static func uint(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .uint: return value
        case .int(let number):
            guard let number = UInt64(exactly: number) else { throw CELEvaluationError("unsigned integer overflow") }
            return .uint(number)
        case .double(let number):
            guard number >= 0, number < 0x1p64 else { throw CELEvaluationError("unsigned integer overflow") }
            return .uint(UInt64(number))
        case .string(let text):
            let isUnsigned = text.utf8.first.map { (0x30...0x39).contains($0) } ?? false
            guard isUnsigned, text.utf8.count <= 64, let number = UInt64(text) else {
                throw .conversion(value, to: "uint")
            }
            return .uint(number)
        default: throw .conversion(value, to: "uint")
        }
    }

    @Sendable static func string(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .string: return value
        case .bool(let flag): return .string(flag ? "true" : "false")
        case .int(let number): return .string(String(number))
        case .uint(let number): return .string(String(number))
        case .double(let number):
            // Its digits are found by division, and put in order.
            try meter.charge(8)
            return .string(number.celText)
        case .bytes(let bytes):
            try meter.charge(bytes: bytes.count)
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw CELEvaluationError("invalid UTF-8 in bytes, cannot convert to string")
            }
            return .string(text)
        case .timestamp(let time): return .string(time.text)
        case .duration(let span): return .string(span.text)
        default: throw .conversion(value, to: "string")
        }
    }

    @Sendable private static func timestamp(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        switch value {
        case .timestamp: return value
        case .int(let seconds):
            guard let time = CELTimestamp(seconds: seconds) else { throw CELEvaluationError("timestamp overflow") }
            return .timestamp(time)
        case .string(let text):
            try meter.charge(bytes: text.utf8.count)
            if let time = CELTimestamp(text: text) { return .timestamp(time) }
            throw .conversion(value, to: "google.protobuf.Timestamp")
        default: throw .conversion(value, to: "google.protobuf.Timestamp")
        }
    }

    @Sendable private static func type(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        .type(value.typeName)
    }
}
