// YAMLReader: bytes of a file to documents, bounded in every direction. The only file that knows Yams.
//
// Bounds: file size (checked by who reads the file), documents of a file, nesting, values of a document after aliases and
// merge keys are expanded, and what keys may cost (`YAMLGate`). JSON is read as the YAML it is; surrogate pairs of `\u`
// escapes, which YAML lacks, are translated first.

import Yams

/// Why a document or file could not be read. Never shows a piece of it: it may hold secrets.
package struct YAMLProblem: Error, Equatable, Sendable {
    package let line: Int
    package let message: String
}

/// One document: its value, or why it has none.
package struct YAMLDocument: Sendable {
    /// Line on which the document begins.
    package let line: Int
    package let content: Result<YAMLNode, YAMLProblem>
}

package enum YAMLReader {
    package static let fileBytesMax = 16 << 20
    package static let documentsMax = 100_000
    package static let nestingMax = 64
    /// Values of one document once aliases are expanded: a list of 20,000 objects passes.
    package static let valuesMax = 1_000_000

    /// All documents of a file that hold something, in order. What cannot be read harms its own document only.
    package static func documents(of bytes: [UInt8]) -> [YAMLDocument] {
        let pieces = YAMLStream.pieces(of: bytes)
        var documents: [YAMLDocument] = []
        documents.reserveCapacity(pieces.count)
        for piece in pieces {
            if documents.count >= documentsMax {
                let problem = YAMLProblem(
                    line: piece.line, message: "the file has more than \(documentsMax) documents; split it")
                documents.append(YAMLDocument(line: piece.line, content: .failure(problem)))
                break
            }
            read(piece, of: bytes, into: &documents)
        }
        return documents
    }

    private static func read(_ piece: YAMLPiece, of bytes: [UInt8], into documents: inout [YAMLDocument]) {
        func refuse(_ line: Int, _ message: String) {
            documents.append(
                YAMLDocument(line: piece.line, content: .failure(YAMLProblem(line: line, message: message))))
        }
        var content = bytes[piece.range]
        if YAMLGate.cost(of: content) > YAMLGate.costMax {
            return refuse(
                piece.line,
                "the document's keys or aliases are too deeply nested; write what the aliases stand for in full")
        }
        if isJSON(content) { content = joinSurrogates(content) }
        guard let text = String(validating: content, as: UTF8.self) else {
            return refuse(piece.line + linesBeforeInvalid(content), "not UTF-8 text; save the file as UTF-8")
        }
        let countBefore = documents.count
        do {
            let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
            while let root = try parser.nextRoot() {
                if documents.count >= documentsMax { return }
                var translation = YAMLTranslation(firstLine: piece.line)
                let line = piece.line + (root.mark?.line ?? 1) - 1
                do throws(YAMLProblem) {
                    let node = try translation.node(root, depth: 0, line: line)
                    if !node.isNull { documents.append(YAMLDocument(line: line, content: .success(node))) }
                } catch {
                    documents.append(YAMLDocument(line: line, content: .failure(error)))
                }
            }
        } catch {
            // What stands before the trouble may be half of what was meant.
            documents.removeSubrange(countBefore...)
            let problem = describe(error, in: text)
            refuse(piece.line + problem.line - 1, problem.message)
        }
    }

    /// Line within `text` and message. Only libyaml's fixed words are used, never its excerpt.
    private static func describe(_ error: any Error, in text: String) -> (line: Int, message: String) {
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let place = context.map { $0.text.isEmpty ? "" : " \($0.text)" } ?? ""
            return (mark.line, "not valid YAML: \(problem)\(place)")
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.sorted().prefix(3).map { quoted($0) }.joined(separator: ", ")
            return (max(1, context.mark.line), "the key \(names) is there twice in one map")
        case .reader(let problem, let offset, _, _):
            let before = text.prefix(offset ?? 0)
            return (1 + before.count { $0.isNewline }, "not valid YAML: \(problem)")
        case .memory:
            return (1, "no memory left to read this document")
        default:
            return (1, "not valid YAML")
        }
    }

    private static func isJSON(_ bytes: ArraySlice<UInt8>) -> Bool {
        let first = bytes.first { $0 > UInt8(ascii: " ") && $0 < 0x80 }
        return first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
    }

    /// `\ud83d\ude00` becomes `\U0001f600` (RFC 8259 section 7, YAML 1.2 section 5.7). In JSON a backslash stands in texts only.
    private static func joinSurrogates(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard bytes.contains(UInt8(ascii: "\\")) else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            guard bytes[index] == UInt8(ascii: "\\") else {
                result.append(bytes[index])
                index += 1
                continue
            }
            if let high = escape(in: bytes, at: index), 0xd800..<0xdc00 ~= high,
                let low = escape(in: bytes, at: index + 6), 0xdc00..<0xe000 ~= low
            {
                let scalar = 0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)
                let digits = String(scalar, radix: 16)
                result += Array("\\U".utf8) + [UInt8](repeating: UInt8(ascii: "0"), count: 8 - digits.utf8.count)
                result += Array(digits.utf8)
                index += 12
            } else {
                result += bytes[index...].prefix(2)
                index = min(index + 2, bytes.endIndex)
            }
        }
        return result[...]
    }

    /// The value of `\uXXXX` at `index`, or nil.
    private static func escape(in bytes: ArraySlice<UInt8>, at index: Int) -> UInt32? {
        guard index + 6 <= bytes.endIndex, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u")
        else { return nil }
        return UInt32(String(decoding: bytes[(index + 2)..<(index + 6)], as: UTF8.self), radix: 16)
    }

    /// How many lines of `bytes` end before the first byte that is not UTF-8.
    private static func linesBeforeInvalid(_ bytes: ArraySlice<UInt8>) -> Int {
        var lines = 0
        for line in bytes.split(separator: 0x0a, omittingEmptySubsequences: false) {
            if String(validating: line, as: UTF8.self) == nil { break }
            lines += 1
        }
        return lines
    }
}

/// Translates what Yams composed, counting values and levels.
private struct YAMLTranslation {
    let firstLine: Int
    private var values = 0

    init(firstLine: Int) { self.firstLine = firstLine }

    /// `line` is used when the node has none.
    mutating func node(_ node: Node, depth: Int, line fallback: Int) throws(YAMLProblem) -> YAMLNode {
        let line = line(of: node) ?? fallback
        values += 1
        if values > YAMLReader.valuesMax {
            throw YAMLProblem(
                line: line, message: "the document has more than \(YAMLReader.valuesMax) values, aliases included")
        }
        if depth > YAMLReader.nestingMax {
            throw YAMLProblem(line: line, message: "nested deeper than \(YAMLReader.nestingMax) levels")
        }
        switch node {
        case .scalar(let scalar):
            return YAMLNode(content(of: scalar), line: line)
        case .sequence(let sequence):
            var items: [YAMLNode] = []
            items.reserveCapacity(sequence.count)
            for item in sequence { items.append(try self.node(item, depth: depth + 1, line: line)) }
            return YAMLNode(.list(items), line: line)
        case .mapping(let mapping):
            return YAMLNode(.map(try fields(of: mapping, depth: depth, line: line)), line: line)
        case .alias:
            throw YAMLProblem(line: line, message: "not valid YAML: an alias of nothing")
        }
    }

    private mutating func fields(
        of mapping: Node.Mapping, depth: Int, line: Int
    ) throws(YAMLProblem) -> [YAMLNode.Field] {
        var fields: [YAMLNode.Field] = []
        fields.reserveCapacity(mapping.count)
        var merged: [YAMLNode] = []
        for (key, value) in mapping {
            let keyLine = self.line(of: key) ?? line
            guard case .scalar(let name) = key else {
                throw YAMLProblem(line: keyLine, message: "a key must be text")
            }
            let translated = try node(value, depth: depth + 1, line: keyLine)
            if name.string == "<<", name.style == .plain {
                merged.append(translated)
            } else {
                fields.append(YAMLNode.Field(key: name.string, line: keyLine, value: translated))
            }
        }
        if !merged.isEmpty { try merge(merged, into: &fields) }
        return fields
    }

    /// YAML merge keys: a map, or a list of maps of which the earlier wins; what the map itself says wins over all.
    private mutating func merge(_ values: [YAMLNode], into fields: inout [YAMLNode.Field]) throws(YAMLProblem) {
        var known = Set(fields.map(\.key))
        for value in values {
            let sources: [YAMLNode]
            if case .list(let items) = value.content { sources = items } else { sources = [value] }
            for source in sources {
                guard let others = source.fields else {
                    throw YAMLProblem(line: source.line, message: "the merge key << needs a map or a list of maps")
                }
                for field in others where known.insert(field.key).inserted { fields.append(field) }
            }
        }
    }

    private func content(of scalar: Node.Scalar) -> YAMLNode.Content {
        // `description` is the tag's name; an implicit one is empty.
        switch scalar.tag.description {
        case "" where scalar.style == .plain: YAMLNode.Content(plainScalar: scalar.string)
        case "tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float":
            YAMLNode.Content(plainScalar: scalar.string)
        default: .text(scalar.string)
        }
    }

    private func line(of node: Node) -> Int? {
        node.mark.map { firstLine + $0.line - 1 }
    }
}
