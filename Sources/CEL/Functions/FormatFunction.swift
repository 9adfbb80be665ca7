// FormatFunction: `'%s-%d'.format([…])`, after cel-go's strings extension: %s %d %f %e %b %o %x %X, and %%.

enum FormatFunction {
    static let functions: [Function] = [Function("format", [.member(.string, [.list(.dyn)], .string)], binary: format)]

    /// Without a precision %f and %e have six decimals.
    private static let decimalsDefault = 6
    private static let decimalsMax = 1_000
    /// What the decimals of a double weigh, at worst.
    private static let doubleCost = 2_000

    @Sendable private static func format(
        _ text: CELValue, _ list: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .string(let text) = text, case .list(let arguments) = list else { throw .noSuchOverload }
        try meter.charge(bytes: text.utf8.count)
        var rest = text.unicodeScalars[...]
        var result = ""
        var used = 0
        while let scalar = rest.popFirst() {
            if scalar != "%" {
                result.unicodeScalars.append(scalar)
                continue
            }
            if rest.first == "%" {
                rest.removeFirst()
                result += "%"
                continue
            }
            var decimals = decimalsDefault
            if rest.first == "." {
                rest.removeFirst()
                let digits = rest.prefix { $0.isDigit }
                rest = rest[digits.endIndex...]
                guard let number = Int(String(digits)), number <= decimalsMax else {
                    throw CELEvaluationError("could not parse formatting clause: invalid precision")
                }
                decimals = number
            }
            guard let verb = rest.popFirst() else {
                throw CELEvaluationError("could not parse formatting clause: unexpected end of string")
            }
            guard used < arguments.count else { throw CELEvaluationError("index \(used) out of range") }
            let piece = try clause(verb, arguments[used], decimals, &meter)
            try meter.charge(bytes: piece.utf8.count)
            result += piece
            used += 1
        }
        return .string(result)
    }

    private static func clause(
        _ verb: Unicode.Scalar, _ value: CELValue, _ decimals: Int, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> String {
        switch (verb, value) {
        case ("s", _):
            var result = ""
            try write(value, to: &result, &meter)
            return result
        case ("d", .int(let number)): return String(number)
        case ("d", .uint(let number)): return String(number)
        case ("d", .double(let number)): return plain(number)
        case ("f", _), ("e", _):
            if let number = double(value) {
                try meter.charge(doubleCost + decimals)
                return self.decimals(number, decimals, isScientific: verb == "e")
            }
        case ("b", .bool(let flag)): return flag ? "1" : "0"
        case ("b", .int(let number)): return String(number, radix: 2)
        case ("b", .uint(let number)): return String(number, radix: 2)
        case ("o", .int(let number)): return String(number, radix: 8)
        case ("o", .uint(let number)): return String(number, radix: 8)
        case ("x", .int(let number)), ("X", .int(let number)):
            return String(number, radix: 16, uppercase: verb == "X")
        case ("x", .uint(let number)), ("X", .uint(let number)):
            return String(number, radix: 16, uppercase: verb == "X")
        case ("x", .string(let text)), ("X", .string(let text)):
            return try hexadecimal([UInt8](text: text), isUppercase: verb == "X", &meter)
        case ("x", .bytes(let bytes)), ("X", .bytes(let bytes)):
            return try hexadecimal(bytes, isUppercase: verb == "X", &meter)
        case ("d", _), ("b", _), ("o", _), ("x", _), ("X", _): break
        default:
            throw CELEvaluationError("could not parse formatting clause: unrecognized formatting clause \"\(verb)\"")
        }
        throw misfit(verb, value)
    }

    private static func misfit(_ verb: Unicode.Scalar, _ value: CELValue) -> CELEvaluationError {
        let rule =
            switch verb {
            case "d": "decimal clause can only be used on ints, uints, and doubles"
            case "f": "fixed-point clause can only be used on ints, uints, and doubles"
            case "e": "scientific clause can only be used on ints, uints, and doubles"
            case "b": "only ints, uints, and bools can be formatted as binary"
            case "o": "octal clause can only be used on ints and uints"
            case "x", "X": "only ints, uints, bytes, and strings can be formatted as hex"
            default:
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations,"
                    + " and timestamps"
            }
        return CELEvaluationError("error during formatting: \(rule), was given \(value.typeName)")
    }

    private static func double(_ value: CELValue) -> Double? {
        switch value {
        case .double(let number): number
        case .int(let number): Double(number)
        case .uint(let number): Double(number)
        default: nil
        }
    }

    private static func decimals(_ number: Double, _ decimals: Int, isScientific: Bool) -> String {
        guard number.isFinite else { return special(number) }
        let exact = ExactDecimal(number)
        let sign = number.sign == .minus ? "-" : ""
        return sign + (isScientific ? exact.scientific(decimals: decimals) : exact.fixed(decimals: decimals))
    }

    private static func special(_ number: Double) -> String {
        number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity"
    }

    private static func hexadecimal(
        _ bytes: [UInt8], isUppercase: Bool, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> String {
        // Each digit is a step of its own here.
        try meter.charge(bytes: bytes.count, times: 8)
        let digits = Array((isUppercase ? "0123456789ABCDEF" : "0123456789abcdef").utf8)
        var result: [UInt8] = []
        for byte in bytes { result += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return result.text
    }

    /// %s: lists and maps with their contents, maps in the order of their keys' texts, nothing in quotation marks.
    private static func write(
        _ value: CELValue, to result: inout String, _ meter: inout CostMeter
    ) throws(CELEvaluationError) {
        try meter.charge(1)
        switch value {
        case .null: result += "null"
        case .type(let name): result += name
        case .double(let number):
            // Up to 330 digits.
            try meter.charge(64)
            result += plain(number)
        case .list(let elements):
            result += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { result += ", " }
                try write(element, to: &result, &meter)
            }
            result += "]"
        case .map(let map):
            var entries: [(key: String, value: CELValue)] = []
            for (key, value) in zip(map.keys, map.values) {
                // Sorting compares each key some times.
                try meter.charge(16)
                try meter.charge(bytes: key.byteCount, times: 16)
                var text = ""
                try write(key.value, to: &text, &meter)
                entries.append((text, value))
            }
            entries.sort { $0.key.byteOrder($1.key) == .before }
            result += "{"
            for (index, entry) in entries.enumerated() {
                if index > 0 { result += ", " }
                result += entry.key + ": "
                try write(entry.value, to: &result, &meter)
            }
            result += "}"
        case .optional: throw misfit("s", value)
        default:
            guard case .string(let text) = try Conversions.string(value, &meter) else { return }
            try meter.charge(bytes: text.utf8.count)
            result += text
        }
    }

    /// Without an exponent, with the fewest digits that read back.
    private static func plain(_ number: Double) -> String {
        guard number.isFinite else { return special(number) }
        return number.celText(exponents: -400..<400)
    }
}
