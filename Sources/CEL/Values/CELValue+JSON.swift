// CELValue+JSON: strict JSON (RFC 8259) into values, as google.protobuf.Struct holds them: every number is a double.
//
// A descent over the bytes with a bound on depth and on the number of values. Of equal member names the last wins.

extension CELValue {
    /// Reads one JSON text; blanks around it are fine, anything else behind it is not. Total over any bytes, linear in them.
    public static func parseJSON(_ bytes: UnsafeRawBufferPointer) throws(CELJSONError) -> CELValue {
        var reader = unsafe JSONReader(bytes: bytes)
        return try reader.text()
    }
}

/// Looks at memory that outlives it: the caller of `parseJSON` holds the buffer until it returns.
@safe private struct JSONReader {
    private static let depthMax = 64
    /// About 100 MB of values.
    private static let valuesMax = 4_194_304

    private let bytes: UnsafeRawBufferPointer
    // 0 <= offset <= bytes.count
    private var offset = 0
    private var valueCount = 0

    init(bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    mutating func text() throws(CELJSONError) -> CELValue {
        skipBlanks()
        let result = try value(depth: 0)
        skipBlanks()
        if peek() != nil { throw error(.trailingBytes) }
        return result
    }

    private func error(_ reason: CELJSONError.Reason) -> CELJSONError { CELJSONError(reason: reason, offset: offset) }

    /// What is wrong with the byte at hand, if there is one.
    private func unexpected() -> CELJSONError { error(peek() == nil ? .unexpectedEnd : .unexpectedByte) }

    private func peek() -> UInt8? {
        // Checked against the count on each call.
        guard unsafe offset < bytes.count else { return nil }
        return unsafe bytes[offset]
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let byte = peek(), UInt32(byte) == character.value else { return false }
        offset += 1
        return true
    }

    private mutating func skipBlanks() {
        while let byte = peek(), byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { offset += 1 }
    }

    private mutating func value(depth: Int) throws(CELJSONError) -> CELValue {
        valueCount += 1
        if valueCount > Self.valuesMax { throw error(.tooManyValues) }
        guard let byte = peek() else { throw error(.unexpectedEnd) }
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            if depth == Self.depthMax { throw error(.tooDeep) }
            return byte == UInt8(ascii: "{") ? try object(depth: depth + 1) : try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return .double(try number())
        }
    }

    private mutating func word(_ word: StaticString, _ value: CELValue) throws(CELJSONError) -> CELValue {
        for index in 0..<word.utf8CodeUnitCount {
            // Within the literal's own bytes.
            guard unsafe word.utf8Start[index] == peek() else { throw unexpected() }
            offset += 1
        }
        return value
    }

    private mutating func object(depth: Int) throws(CELJSONError) -> CELValue {
        offset += 1
        var builder = CELMap.Builder()
        skipBlanks()
        if take("}") { return .map(builder.map()) }
        while true {
            skipBlanks()
            guard peek() == UInt8(ascii: "\"") else { throw unexpected() }
            let name = try string()
            skipBlanks()
            guard take(":") else { throw unexpected() }
            skipBlanks()
            builder.set(.string(name), to: try value(depth: depth))
            skipBlanks()
            if take("}") { return .map(builder.map()) }
            guard take(",") else { throw unexpected() }
        }
    }

    private mutating func array(depth: Int) throws(CELJSONError) -> CELValue {
        offset += 1
        var elements: [CELValue] = []
        skipBlanks()
        if take("]") { return .list(elements) }
        while true {
            skipBlanks()
            elements.append(try value(depth: depth))
            skipBlanks()
            if take("]") { return .list(elements) }
            guard take(",") else { throw unexpected() }
        }
    }

    private mutating func number() throws(CELJSONError) -> Double {
        let start = offset
        var isWhole = true
        _ = take("-")
        if take("0") {
            if let byte = peek(), (0x30...0x39).contains(byte) { throw error(.invalidNumber) }
        } else {
            guard skipDigits() else { throw offset == start ? unexpected() : error(.invalidNumber) }
        }
        if take(".") {
            isWhole = false
            guard skipDigits() else { throw error(.invalidNumber) }
        }
        if take("e") || take("E") {
            isWhole = false
            if !take("+") { _ = take("-") }
            guard skipDigits() else { throw error(.invalidNumber) }
        }
        if isWhole, offset - start < 16 { return wholeNumber(from: start) }
        // start <= offset <= count, and every byte between them is ASCII.
        let digits = unsafe String(decoding: bytes[start..<offset], as: UTF8.self)
        guard let number = Double(digits), number.isFinite else { throw error(.numberOutOfRange) }
        return number
    }

    /// The digits from `start` on, few enough for a double to hold them, after a sign if there is one. `-0` keeps it.
    private func wholeNumber(from start: Int) -> Double {
        var number: Int64 = 0
        var isNegative = false
        for index in start..<offset {
            // offset <= count.
            let byte = unsafe bytes[index]
            if byte == UInt8(ascii: "-") { isNegative = true } else { number = number * 10 + Int64(byte & 15) }
        }
        return isNegative ? -Double(number) : Double(number)
    }

    private mutating func skipDigits() -> Bool {
        let start = offset
        while let byte = peek(), (0x30...0x39).contains(byte) { offset += 1 }
        return offset > start
    }

    /// The string at the quotation mark at hand.
    private mutating func string() throws(CELJSONError) -> String {
        offset += 1
        // What stands before the last escape.
        var decoded = ""
        var start = offset
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\""):
                let last = try piece(from: start)
                offset += 1
                return decoded.isEmpty ? last : decoded + last
            case UInt8(ascii: "\\"):
                decoded += try piece(from: start)
                decoded.unicodeScalars.append(try escape())
                start = offset
            case 0..<0x20: throw error(.controlCharacter)
            default: skipPlainText()
            }
        }
        throw error(.unexpectedEnd)
    }

    /// Up to the next quotation mark, backslash or control character.
    private mutating func skipPlainText() {
        let count = unsafe bytes.count
        while offset < count {
            // Below the count.
            let byte = unsafe bytes[offset]
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 { return }
            offset += 1
        }
    }

    /// The bytes from `start` up to the one at hand.
    private func piece(from start: Int) throws(CELJSONError) -> String {
        // start <= offset <= count.
        guard let text = unsafe String(validating: bytes[start..<offset], as: UTF8.self) else {
            throw CELJSONError(reason: .invalidUTF8, offset: start)
        }
        return text
    }

    /// The escape at the backslash at hand. A surrogate must come with its other half.
    private mutating func escape() throws(CELJSONError) -> Unicode.Scalar {
        offset += 1
        guard let byte = peek() else { throw error(.unexpectedEnd) }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let first = try fourDigits()
            if let scalar = Unicode.Scalar(first) { return scalar }
            guard first < 0xdc00, take("\\"), take("u") else { throw error(.invalidEscape) }
            let second = try fourDigits()
            guard (0xdc00...0xdfff).contains(second),
                let scalar = Unicode.Scalar(0x1_0000 + (first - 0xd800) << 10 + (second - 0xdc00))
            else { throw error(.invalidEscape) }
            return scalar
        default: throw error(.invalidEscape)
        }
    }

    private mutating func fourDigits() throws(CELJSONError) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek(), let digit = hexadecimalValue(byte) else { throw error(.invalidEscape) }
            number = number << 4 | digit
            offset += 1
        }
        return number
    }
}

/// The value of a hexadecimal digit of either case.
func hexadecimalValue(_ byte: UInt8) -> UInt32? {
    switch byte {
    case 0x30...0x39: UInt32(byte - 0x30)
    case 0x41...0x46: UInt32(byte - 0x41 + 10)
    case 0x61...0x66: UInt32(byte - 0x61 + 10)
    default: nil
    }
}
