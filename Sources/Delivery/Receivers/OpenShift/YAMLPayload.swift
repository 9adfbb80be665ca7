// YAMLPayload: the first YAML document of a body as JSON, for generic webhooks. Bounded before and after the parser.
//
// libyaml composes in linear time and shares what an alias stands for, but Yams hashes keys: a key that is a list or map costs what it
// would take to print it, with every alias in it written out, once for each level of keys within keys. So before the parser sees a body,
//
//     bytes · (1 + open brackets + explicit keys) · Π (1 + uses of an anchor)
//
// must stay below `costMax`, and nesting below `depthMax`. The gate reads bytes, not YAML: what stands in quoted text counts too, so it
// may refuse a strange body too much and never too little. After the parser `valuesMax` bounds what aliases expand to.

internal import Yams

enum YAMLPayload {
    static let bytesMax = 256 << 10
    static let depthMax = 64
    static let valuesMax = 100_000
    /// Half a second of hashing where all values are small.
    static let costMax = 1e7

    /// Null for a body without a document; nil for what is no YAML or beyond the bounds.
    static func json(_ body: [UInt8]) -> JSONValue? {
        guard body.count <= bytesMax, cost(of: body) <= costMax, blockDepth(of: body) <= depthMax,
            let text = String(validating: body, as: UTF8.self)
        else { return nil }
        do {
            guard let root = try Parser(yaml: text, resolver: .basic, encoding: .utf8).nextRoot() else { return .null }
            var values = 0
            return value(root, depth: 0, &values)
        } catch {
            return nil
        }
    }

    private static func value(_ node: Node, depth: Int, _ values: inout Int) -> JSONValue? {
        values += 1
        guard values <= valuesMax, depth <= depthMax else { return nil }
        switch node {
        case .scalar(let scalar): return plain(scalar)
        case .sequence(let sequence):
            var elements: [JSONValue] = []
            for item in sequence {
                guard let element = value(item, depth: depth + 1, &values) else { return nil }
                elements.append(element)
            }
            return .array(elements)
        case .mapping(let mapping):
            var members: [JSONValue.Member] = []
            for (key, item) in mapping {
                guard case .scalar(let name) = key, let member = value(item, depth: depth + 1, &values) else {
                    return nil
                }
                members.append(.init(name: name.string, value: member))
            }
            return .object(members)
        case .alias: return nil
        }
    }

    /// The type of a scalar by YAML 1.1, as Kubernetes reads it.
    private static func plain(_ scalar: Node.Scalar) -> JSONValue {
        guard scalar.tag.description.isEmpty, scalar.style == .plain else { return .string(scalar.string) }
        switch scalar.string {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": return .bool(true)
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF": return .bool(false)
        default:
            // Its kind is all that counts: no field of the payload is a number.
            return isNumber(scalar.string) ? .number("0") : .string(scalar.string)
        }
    }

    private static func isNumber(_ text: String) -> Bool {
        guard let first = text.utf8.first, first &- 0x30 < 10 || "+-.".utf8.contains(first), text.utf8.count <= 64
        else { return false }
        if text.hasPrefix("0x") { return UInt64(text.dropFirst(2), radix: 16) != nil }
        if text.hasPrefix("0o") { return UInt64(text.dropFirst(2), radix: 8) != nil }
        if text.hasPrefix("0b") { return UInt64(text.dropFirst(2), radix: 2) != nil }
        let digits = text.filter { $0 != "_" }
        return digits.utf8.contains { $0 &- 0x30 < 10 } && Double(digits) != nil
    }

    // - The gate

    private static func cost(of body: [UInt8]) -> Double {
        var open = 0
        var openMax = 0
        var explicitKeys = 0
        /// Uses of the latest anchor of a name.
        var uses: [ArraySlice<UInt8>: Int] = [:]
        var expansions = 1.0
        var index = 0
        while index < body.count {
            let byte = body[index]
            index += 1
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                open += 1
                openMax = max(openMax, open)
            case UInt8(ascii: "}"), UInt8(ascii: "]"): open = max(0, open - 1)
            case UInt8(ascii: "?"): explicitKeys += 1
            case UInt8(ascii: "&"):
                let name = body[index...].prefix(while: isNameCharacter)
                if !name.isEmpty { expansions *= Double(1 + (uses.updateValue(0, forKey: name) ?? 0)) }
                index = name.endIndex
            case UInt8(ascii: "*"):
                let name = body[index...].prefix(while: isNameCharacter)
                if let count = uses[name] { uses[name] = count + 1 }
                index = name.endIndex
            default: break
            }
        }
        for count in uses.values { expansions *= Double(1 + count) }
        guard openMax <= depthMax else { return .infinity }
        return Double(body.count) * Double(1 + openMax + explicitKeys) * expansions
    }

    private static func isNameCharacter(_ byte: UInt8) -> Bool {
        byte &- 0x30 < 10 || lowered(byte) &- 0x61 < 26 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
    }

    /// How deep the indentation nests at most: `- ` and `? ` open a level each.
    private static func blockDepth(of body: [UInt8]) -> Int {
        var columns: [Int] = []
        var deepest = 0
        for line in body.split(whereSeparator: { $0 == 0x0a || $0 == 0x0d }) {
            var index = line.startIndex
            while index < line.endIndex {
                while index < line.endIndex, line[index] == 0x20 || line[index] == 0x09 { index += 1 }
                guard index < line.endIndex else { break }
                let column = index - line.startIndex
                while let last = columns.last, last >= column { columns.removeLast() }
                columns.append(column)
                deepest = max(deepest, columns.count)
                let isMark = line[index] == UInt8(ascii: "-") || line[index] == UInt8(ascii: "?")
                let next = index + 1
                guard isMark, next < line.endIndex, line[next] == 0x20 || line[next] == 0x09 else { break }
                index = next
            }
        }
        return deepest
    }
}
