// JSONValue: a JSON text as plain values, for rules that read more than a few members.
//
// Strict (RFC 8259), total, bounded: depth by `depthMax`, memory by `valuesMax`: each value takes about 24 bytes beside its text. Members keep their order and repetition; what a
// system does with repeated or differently spelt names is its own rule. Numbers keep their text: whole numbers of any size
// stay exact.

/// One value.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// As written.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])

    public struct Member: Sendable, Equatable {
        public var name: String
        public var value: JSONValue
        public init(name: String, value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// Deeper texts are refused: real payloads stay below 10.
    public static let depthMax = 128

    /// Texts with more values are refused: a delivery of 25 MB has some hundred thousand.
    public static let valuesMax = 1 << 20

    /// Parses one whole text; nil when it is none. Bytes that are no UTF-8 are refused.
    public init?(_ bytes: some Collection<UInt8>) {
        let parsed =
            bytes.withContiguousStorageIfAvailable { JSONReader.parse(unsafe Array($0)) }
            ?? JSONReader.parse(Array(bytes))
        guard let parsed else { return nil }
        self = parsed
    }

    /// Parses the first value and ignores what follows it, as decoders that read streams do; nil when there is none.
    public static func first(in bytes: some Collection<UInt8>) -> JSONValue? {
        JSONReader.parse(Array(bytes), isWhole: false)
    }

    /// The last member of that name; nil for everything that is no object or has none.
    public subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name == name }?.value
    }

    /// Go's encoding/json: a member of exactly that name first, else one that differs in case only; the last one counts.
    public func member(ignoringCase name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        if let exact = members.last(where: { $0.name == name }) { return exact.value }
        let folded = name.lowercased()
        return members.last { $0.name.lowercased() == folded }?.value
    }

    public var text: String? { if case .string(let text) = self { text } else { nil } }
    public var isNull: Bool { if case .null = self { true } else { false } }
    public var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
    public var members: [Member]? { if case .object(let members) = self { members } else { nil } }
    public var boolean: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// JSON text of the value; strings are escaped as RFC 8259 section 7 demands, `<` and others stay.
    public var serialized: [UInt8] {
        var bytes: [UInt8] = []
        write(into: &bytes)
        return bytes
    }

    private func write(into bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .number(let text): bytes += text.utf8
        case .string(let text): Self.write(text, into: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.write(into: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                Self.write(member.name, into: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(into: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func write(_ text: String, into bytes: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x0a: bytes += "\\n".utf8
            case 0x0d: bytes += "\\r".utf8
            case 0x09: bytes += "\\t".utf8
            case 0..<0x20: bytes += "\\u00".utf8 + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
    ExpressibleByBooleanLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { Member(name: $0.0, value: $0.1) })
    }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}
