// StringFunctions: what makes one text of another, after cel-go's strings extension.

enum StringFunctions {
    static let functions: [Function] = [
        Function("lowerAscii", [.member(.string, [], .string)], unary: lowerAscii),
        Function("upperAscii", [.member(.string, [], .string)], unary: upperAscii),
        Function("trim", [.member(.string, [], .string)], unary: trim),
        Function("reverse", [.member(.string, [], .string)], unary: reverse),
        Function("strings.quote", [.function([.string], .string)], unary: quote),
        Function(
            "substring", [.member(.string, [.int], .string), .member(.string, [.int, .int], .string)],
            binary: substring, many: substring),
        Function(
            "replace",
            [.member(.string, [.string, .string], .string), .member(.string, [.string, .string, .int], .string)],
            many: replace),
        Function(
            "split",
            [.member(.string, [.string], .list(.string)), .member(.string, [.string, .int], .list(.string))],
            binary: split, many: split),
        Function(
            "join", [.member(.list(.string), [], .string), .member(.list(.string), [.string], .string)],
            unary: join, binary: join),
    ]

    private static func paid(_ value: CELValue, _ meter: inout CostMeter) throws(CELEvaluationError) -> String {
        guard case .string(let text) = value else { throw .noSuchOverload }
        try meter.charge(bytes: text.utf8.count)
        return text
    }

    @Sendable private static func lowerAscii(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let bytes = try paid(value, &meter).utf8.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }
        return .string(bytes.text)
    }

    @Sendable private static func upperAscii(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let bytes = try paid(value, &meter).utf8.map { (0x61...0x7a).contains($0) ? $0 & 0xdf : $0 }
        return .string(bytes.text)
    }

    @Sendable private static func trim(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        var scalars = try paid(value, &meter).unicodeScalars[...]
        while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
        while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
        return .string(String(scalars))
    }

    @Sendable private static func reverse(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let text = try paid(value, &meter)
        // Code point by code point.
        try meter.charge(bytes: text.utf8.count, times: 8)
        var result = ""
        result.unicodeScalars.append(contentsOf: text.unicodeScalars.reversed())
        return .string(result)
    }

    @Sendable private static func quote(
        _ value: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        let text = try paid(value, &meter)
        // Code point by code point.
        try meter.charge(bytes: text.utf8.count, times: 8)
        return .string(quoted(text))
    }

    /// A literal that reads back as `text`.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\u{7}": result += "\\a"
            case "\u{8}": result += "\\b"
            case "\u{c}": result += "\\f"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{b}": result += "\\v"
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    @Sendable private static func substring(
        _ text: CELValue, _ start: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .int(let start) = start else { throw .noSuchOverload }
        let bytes = [UInt8](text: try paid(text, &meter))
        guard let offset = Int(exactly: start).flatMap(bytes.byteOffset) else {
            throw SearchFunctions.outOfRange(start)
        }
        return .string(Array(bytes[offset...]).text)
    }

    @Sendable private static func substring(
        _ arguments: [CELValue], _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard arguments.count == 3, case .int(let start) = arguments[1], case .int(let end) = arguments[2] else {
            throw .noSuchOverload
        }
        let bytes = [UInt8](text: try paid(arguments[0], &meter))
        guard start <= end else {
            throw CELEvaluationError("invalid substring range. start: \(start), end: \(end)")
        }
        guard let first = Int(exactly: start).flatMap(bytes.byteOffset) else { throw SearchFunctions.outOfRange(start) }
        guard let last = Int(exactly: end).flatMap(bytes.byteOffset) else { throw SearchFunctions.outOfRange(end) }
        return .string(Array(bytes[first..<last]).text)
    }

    /// With an empty `old`, `new` goes before each code point and behind the last, as Go's strings.Replace has it.
    @Sendable private static func replace(
        _ arguments: [CELValue], _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard arguments.count >= 3, case .string(let replacement) = arguments[2] else { throw .noSuchOverload }
        var left = Int64.max
        if arguments.count == 4 {
            guard case .int(let count) = arguments[3] else { throw .noSuchOverload }
            if count >= 0 { left = count }
        }
        let (text, old) = try SearchFunctions.texts(arguments[0], arguments[1], &meter)
        let search = TextSearch(old)
        let new = [UInt8](text: replacement)
        var result: [UInt8] = []
        var offset = 0
        while left > 0, let found = search.first(in: text, from: offset) {
            try meter.charge(1)
            try meter.charge(bytes: new.count)
            result += text[offset..<found]
            result += new
            offset = found + old.count
            left -= 1
            guard old.isEmpty else { continue }
            // One code point further.
            guard offset < text.count else { break }
            repeat {
                result.append(text[offset])
                offset += 1
            } while offset < text.count && text[offset] & 0xc0 == 0x80
        }
        result += text[offset...]
        return .string(result.text)
    }

    @Sendable private static func split(
        _ text: CELValue, _ separator: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        try split([text, separator, .int(-1)], &meter)
    }

    @Sendable private static func split(
        _ arguments: [CELValue], _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard arguments.count == 3, case .int(let limit) = arguments[2] else { throw .noSuchOverload }
        let (text, separator) = try SearchFunctions.texts(arguments[0], arguments[1], &meter)
        if limit == 0 { return .list([]) }
        var parts: [CELValue] = []
        var offset = 0
        let search = TextSearch(separator)
        while limit < 0 || parts.count < limit - 1 {
            // An empty separator stands behind each code point but the last.
            var end = offset
            if separator.isEmpty {
                end = min(offset + 1, text.count)
                while end < text.count, text[end] & 0xc0 == 0x80 { end += 1 }
                if end == text.count { break }
            } else {
                guard let found = search.first(in: text, from: offset) else { break }
                end = found
            }
            try meter.charge(1)
            parts.append(.string(Array(text[offset..<end]).text))
            offset = end + separator.count
        }
        if separator.isEmpty, offset == text.count { return .list(parts) }
        parts.append(.string(Array(text[offset...]).text))
        return .list(parts)
    }

    @Sendable private static func join(
        _ list: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        try join(list, .string(""), &meter)
    }

    @Sendable private static func join(
        _ list: CELValue, _ separator: CELValue, _ meter: inout CostMeter
    ) throws(CELEvaluationError) -> CELValue {
        guard case .list(let elements) = list, case .string(let separator) = separator else { throw .noSuchOverload }
        var result = ""
        for (index, element) in elements.enumerated() {
            guard case .string(let text) = element else { throw .noSuchOverload }
            try meter.charge(1)
            try meter.charge(bytes: text.utf8.count + separator.utf8.count)
            if index > 0 { result += separator }
            result += text
        }
        return .string(result)
    }
}
