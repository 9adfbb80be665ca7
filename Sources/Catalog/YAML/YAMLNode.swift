// YAMLNode: one value of a manifest or settings file, with the line it stands on.
//
// What Yams composes is translated into this once: aliases and merge keys are expanded, plain scalars have their type, and
// Yams is known to one file only. Lines count from 1 within the whole file.

package struct YAMLNode: Sendable {
    package struct Field: Sendable {
        package let key: String
        package let line: Int
        package let value: YAMLNode
    }

    package enum Content: Sendable {
        case null
        case boolean(Bool)
        /// As written; whole or not.
        case number(String)
        case text(String)
        case list([YAMLNode])
        /// In the order of the file; no key twice.
        case map([Field])
    }

    package let content: Content
    package let line: Int

    package init(_ content: Content, line: Int) {
        self.content = content
        self.line = line
    }

    /// What was found, for messages. Never shows the value.
    package var word: String {
        switch content {
        case .null: "nothing"
        case .boolean: "a boolean"
        case .number: "a number"
        case .text: "text"
        case .list: "a list"
        case .map: "a map"
        }
    }

    /// The fields of a map; nil for everything else.
    package var fields: [Field]? {
        if case .map(let fields) = content { fields } else { nil }
    }

    /// The value of `key` when this is a map that has it.
    package subscript(_ key: String) -> YAMLNode? {
        fields?.first { $0.key == key }?.value
    }

    /// The text of a text node.
    package var text: String? {
        if case .text(let text) = content { text } else { nil }
    }

    /// Null and absent are the same thing in Kubernetes.
    package var isNull: Bool {
        if case .null = content { true } else { false }
    }
}

extension YAMLNode.Content {
    /// The type of a plain scalar by YAML 1.1's rules, which kubectl follows: `yes` and `on` are booleans, `~` is null. A lone
    /// `y` or `n` is text, as in most parsers.
    package init(plainScalar text: String) {
        switch text {
        case "", "~", "null", "Null", "NULL": self = .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": self = .boolean(true)
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF": self = .boolean(false)
        default: self = Self.isNumber(text) ? .number(text) : .text(text)
        }
    }

    /// Whether a plain scalar reads as a number: decimal with `_`, fraction and exponent, 0x, 0o, 0b, .inf and .nan.
    private static func isNumber(_ text: String) -> Bool {
        var rest = text[...].utf8
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        guard let first = rest.first else { return false }
        let isDigit = { (byte: UInt8) in byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
        if first == UInt8(ascii: ".") {
            let word = String(Substring(rest)).lowercased()
            if word == ".inf" || word == ".nan" { return true }
        } else if !isDigit(first) {
            return false
        }
        if first == UInt8(ascii: "0"), let mark = rest.dropFirst().first {
            let digits = rest.dropFirst(2).filter { $0 != UInt8(ascii: "_") }
            let radix = [UInt8(ascii: "x"): 16, UInt8(ascii: "o"): 8, UInt8(ascii: "b"): 2][mark]
            if let radix { return !digits.isEmpty && digits.allSatisfy { hexadecimalValue($0) < radix } }
        }
        var digits = 0
        while let byte = rest.first, isDigit(byte) || byte == UInt8(ascii: "_") {
            digits += isDigit(byte) ? 1 : 0
            rest = rest.dropFirst()
        }
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            while let byte = rest.first, isDigit(byte) {
                digits += 1
                rest = rest.dropFirst()
            }
        }
        guard digits > 0 else { return false }
        guard let mark = rest.first else { return true }
        guard mark == UInt8(ascii: "e") || mark == UInt8(ascii: "E") else { return false }
        rest = rest.dropFirst()
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        return !rest.isEmpty && rest.allSatisfy(isDigit)
    }

    private static func hexadecimalValue(_ byte: UInt8) -> Int {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): Int(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): Int(byte - UInt8(ascii: "A")) + 10
        default: Int.max
        }
    }
}
