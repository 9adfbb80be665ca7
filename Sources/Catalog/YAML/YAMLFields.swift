// YAMLFields: strict reading of one map. Each field is asked for by name and type; `finish` reports every field nobody asked for.
//
// Nothing throws: a wrong field is noted and reads as absent, so that one look shows all that is wrong with a document.

/// Something wrong at a line.
package struct YAMLFinding: Equatable, Sendable {
    package var line: Int
    package var message: String
}

/// Collects what is wrong with one document. Belongs to the one thread that reads the document.
package final class YAMLFindings {
    package private(set) var errors: [YAMLFinding] = []
    package private(set) var warnings: [YAMLFinding] = []
    /// Things to say only when somebody asks (log level debug).
    package private(set) var notes: [YAMLFinding] = []

    /// Fields that nobody asked for are no error: the object was checked by an API server, whose schema may be newer than this one.
    package let allowsUnknownFields: Bool

    package init(allowsUnknownFields: Bool = false) { self.allowsUnknownFields = allowsUnknownFields }

    package func error(_ line: Int, _ message: String) { errors.append(YAMLFinding(line: line, message: message)) }
    package func warning(_ line: Int, _ message: String) { warnings.append(YAMLFinding(line: line, message: message)) }
    package func note(_ line: Int, _ message: String) { notes.append(YAMLFinding(line: line, message: message)) }
}

/// A value with the place it stands at: `spec.resources[1].name` on line 12.
package struct Placed<Value> {
    package let value: Value
    package let line: Int
    package let path: String

    package init(value: Value, line: Int, path: String) {
        self.value = value
        self.line = line
        self.path = path
    }
}

extension Placed: Sendable where Value: Sendable {}

package struct YAMLFields {
    /// Line of the map.
    package let line: Int
    /// Where the map stands in the document: `spec.resources[1]`; empty for the root.
    package let path: String
    package let findings: YAMLFindings
    private let fields: [String: YAMLNode.Field]
    private let order: [String]
    private var known: Set<String> = []

    /// nil, with an error noted, when `node` is no map.
    package init?(_ node: YAMLNode, path: String, findings: YAMLFindings) {
        guard let fields = node.fields else {
            findings.error(node.line, "\(path.isEmpty ? "the document" : path) must be a map, found \(node.word)")
            return nil
        }
        self.line = node.line
        self.path = path
        self.findings = findings
        self.order = fields.map(\.key)
        self.fields = Dictionary(fields.map { ($0.key, $0) }) { first, _ in first }
    }

    /// The field's place for messages.
    package func place(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// Line of the field, or of the map when it is absent.
    package func line(of name: String) -> Int { fields[name]?.line ?? line }

    package func has(_ name: String) -> Bool { fields[name].map { !$0.value.isNull } ?? false }

    /// The raw value; null reads as absent.
    package mutating func node(_ name: String, required: Bool = false) -> Placed<YAMLNode>? {
        known.insert(name)
        guard let field = fields[name], !field.value.isNull else {
            if required { findings.error(line(of: name), "\(place(name)) is missing") }
            return nil
        }
        return Placed(value: field.value, line: field.line, path: place(name))
    }

    package mutating func text(_ name: String, required: Bool = false) -> Placed<String>? {
        node(name, required: required).flatMap { YAMLFields.text($0, findings) }
    }

    package mutating func boolean(_ name: String) -> Bool? {
        guard let found = node(name) else { return nil }
        if case .boolean(let value) = found.value.content { return value }
        findings.error(found.line, "\(found.path) must be true or false, found \(found.value.word)")
        return nil
    }

    package mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let found = node(name) else { return nil }
        guard case .number(let text) = found.value.content, let value = Int(text), range.contains(value) else {
            let what = if case .number(let text) = found.value.content { text } else { found.value.word }
            findings.error(
                found.line,
                "\(found.path) must be a whole number from \(range.lowerBound) to \(range.upperBound), found \(what)")
            return nil
        }
        return value
    }

    /// A Go duration in nanoseconds.
    package mutating func duration(_ name: String, in range: ClosedRange<UInt64> = 0...UInt64.max) -> UInt64? {
        guard let found = text(name) else { return nil }
        do throws(QuantityError) {
            let value = try Quantity.nanoseconds(found.value)
            if range.contains(value) { return value }
            let bounds =
                "from \(Quantity.text(nanoseconds: range.lowerBound)) to \(Quantity.text(nanoseconds: range.upperBound))"
            findings.error(found.line, "\(found.path) must be \(bounds), found \(quoted(found.value))")
        } catch {
            findings.error(found.line, "\(found.path): \(quoted(found.value)) \(error)")
        }
        return nil
    }

    /// A size in bytes: a number, or text such as 25MiB.
    package mutating func size(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let found = node(name) else { return nil }
        let text: String
        switch found.value.content {
        case .number(let digits): text = digits
        case .text(let written): text = written
        default:
            findings.error(found.line, "\(found.path) must be a size such as 25MiB, found \(found.value.word)")
            return nil
        }
        do throws(QuantityError) {
            let value = try Quantity.bytes(text)
            if range.contains(value) { return value }
            let bounds = "from \(Quantity.text(bytes: range.lowerBound)) to \(Quantity.text(bytes: range.upperBound))"
            findings.error(found.line, "\(found.path) must be \(bounds), found \(quoted(text))")
        } catch {
            findings.error(found.line, "\(found.path): \(quoted(text)) \(error)")
        }
        return nil
    }

    package mutating func map(_ name: String, required: Bool = false) -> YAMLFields? {
        node(name, required: required).flatMap { YAMLFields($0.value, path: $0.path, findings: findings) }
    }

    /// The items of a list, each with its place.
    package mutating func list(_ name: String, required: Bool = false) -> [Placed<YAMLNode>]? {
        guard let found = node(name, required: required) else { return nil }
        guard case .list(let items) = found.value.content else {
            findings.error(found.line, "\(found.path) must be a list, found \(found.value.word)")
            return nil
        }
        return items.enumerated().map { index, item in
            Placed(value: item, line: item.line, path: "\(found.path)[\(index)]")
        }
    }

    /// A list of texts. A wrong item is noted and left out.
    package mutating func texts(_ name: String, required: Bool = false) -> [Placed<String>]? {
        list(name, required: required)?.compactMap { YAMLFields.text($0, findings) }
    }

    /// Reports each field that was not asked for, with the nearest that was.
    package func finish() {
        if findings.allowsUnknownFields { return }
        for name in order where !known.contains(name) {
            findings.error(
                line(of: name),
                "unknown field \(quoted(name)) in \(path.isEmpty ? "the document" : path)"
                    + NearestName.hint(name, among: known.sorted()))
        }
    }

    private static func text(_ found: Placed<YAMLNode>, _ findings: YAMLFindings) -> Placed<String>? {
        switch found.value.content {
        case .text(let text): return Placed(value: text, line: found.line, path: found.path)
        case .boolean, .number, .null:
            findings.error(
                found.line, "\(found.path) must be text, found \(found.value.word); write it in double quotes")
        case .list, .map:
            findings.error(found.line, "\(found.path) must be text, found \(found.value.word)")
        }
        return nil
    }
}
