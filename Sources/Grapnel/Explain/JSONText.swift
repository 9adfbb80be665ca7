// JSONText: a JSON value as text, in the ways in which libraries write it. For people, and to find out how a body was written before
// something on the way wrote it anew.

import Delivery

struct JSONText: Sendable, Hashable {
    enum Layout: Sendable, Hashable, CaseIterable {
        /// `{"a":1,"b":[]}`
        case compact
        /// `{"a": 1, "b": []}`, as Python writes.
        case spaced
        /// One member a line.
        case indented(Int)

        static let allCases: [Layout] = [.compact, .spaced, .indented(2), .indented(4)]
    }

    var layout = Layout.compact
    var sortsKeys = false
    /// What is not ASCII as `\uXXXX`.
    var escapesUnicode = false
    /// `\/`, as PHP and Foundation write.
    var escapesSlashes = false
    /// `<`, `>` and `&` as `\u003c` …, as Go writes.
    var escapesHTML = false

    static let pretty = JSONText(layout: .indented(2))

    func bytes(_ value: JSONValue) -> [UInt8] {
        var bytes: [UInt8] = []
        write(value, depth: 0, into: &bytes)
        return bytes
    }

    func text(_ value: JSONValue) -> String { String(decoding: bytes(value), as: UTF8.self) }

    private func write(_ value: JSONValue, depth: Int, into bytes: inout [UInt8]) {
        switch value {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .number(let text): bytes += text.utf8
        case .string(let text): write(text, into: &bytes)
        case .array(let elements):
            write("[", "]", elements, depth, into: &bytes) { element, bytes in
                write(element, depth: depth + 1, into: &bytes)
            }
        case .object(let members):
            let ordered =
                sortsKeys ? members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) } : members
            write("{", "}", ordered, depth, into: &bytes) { member, bytes in
                write(member.name, into: &bytes)
                bytes += (layout == .compact ? ":" : ": ").utf8
                write(member.value, depth: depth + 1, into: &bytes)
            }
        }
    }

    private func write<Item>(
        _ open: String, _ close: String, _ items: [Item], _ depth: Int, into bytes: inout [UInt8],
        _ item: (Item, inout [UInt8]) -> Void
    ) {
        bytes += open.utf8
        for (index, element) in items.enumerated() {
            if index > 0 { bytes += (layout == .spaced ? ", " : ",").utf8 }
            breakLine(depth + 1, into: &bytes)
            item(element, &bytes)
        }
        if !items.isEmpty { breakLine(depth, into: &bytes) }
        bytes += close.utf8
    }

    private func breakLine(_ depth: Int, into bytes: inout [UInt8]) {
        guard case .indented(let width) = layout else { return }
        bytes.append(0x0a)
        bytes += [UInt8](repeating: 0x20, count: depth * width)
    }

    private func write(_ text: String, into bytes: inout [UInt8]) {
        bytes.append(0x22)
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: bytes += "\\\"".utf8
            case 0x5c: bytes += "\\\\".utf8
            case 0x0a: bytes += "\\n".utf8
            case 0x0d: bytes += "\\r".utf8
            case 0x09: bytes += "\\t".utf8
            case 0x08: bytes += "\\b".utf8
            case 0x0c: bytes += "\\f".utf8
            case 0x2f where escapesSlashes: bytes += "\\/".utf8
            case 0x3c where escapesHTML, 0x3e where escapesHTML, 0x26 where escapesHTML,
                0..<0x20:
                Self.escape(scalar.value, into: &bytes)
            case 0x80... where escapesUnicode:
                for unit in String(scalar).utf16 { Self.escape(UInt32(unit), into: &bytes) }
            default: bytes += String(scalar).utf8
            }
        }
        bytes.append(0x22)
    }

    private static func escape(_ unit: UInt32, into bytes: inout [UInt8]) {
        let digits = String(unit, radix: 16)
        bytes += ("\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits).utf8
    }
}
