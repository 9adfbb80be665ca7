// Base64Functions: standard base64 (RFC 4648 section 4). Decoding takes it with or without its padding, as cel-go does.

enum Base64Functions {
    static let functions: [Function] = [
        Function("base64.encode", [.function([.bytes], .string)], unary: encode),
        Function("base64.decode", [.function([.string], .bytes)], unary: decode),
    ]

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8: UInt32] = Dictionary(
        uniqueKeysWithValues: zip(alphabet, (0..<64) as Range<UInt32>))

    @Sendable private static func encode(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .bytes(let bytes) = value else { throw .noSuchOverload }
        try meter.charge(bytes: bytes.count * 2)
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group: UInt32 = 0
            for index in 0..<3 { group = group << 8 | (index < count ? UInt32(bytes[start + index]) : 0) }
            for index in 0..<4 {
                let digit = Int(group >> UInt32(18 - 6 * index) & 63)
                result.append(index <= count ? alphabet[digit] : UInt8(ascii: "="))
            }
        }
        return .string(result.text)
    }

    @Sendable private static func decode(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .string(let text) = value else { throw .noSuchOverload }
        // A look-up for each character.
        try meter.charge(text.utf8.count / 4)
        let invalid = CELEvaluationError("illegal base64 data")
        // Line ends are skipped.
        var digits = text.utf8.filter { $0 != 0x0a && $0 != 0x0d }[...]
        let isPadded = digits.last == UInt8(ascii: "=")
        if isPadded, digits.count % 4 != 0 { throw invalid }
        for _ in 0..<2 where digits.last == UInt8(ascii: "=") { digits.removeLast() }
        guard digits.count % 4 != 1 else { throw invalid }
        var result: [UInt8] = []
        result.reserveCapacity(digits.count / 4 * 3 + 2)
        var group: UInt32 = 0
        var bits = 0
        for digit in digits {
            guard let value = values[digit] else { throw invalid }
            group = group << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                result.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
            }
        }
        return .bytes(result)
    }
}
