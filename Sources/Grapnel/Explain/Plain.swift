// Plain: texts that came with a request or a manifest as they may stand in the output: nothing in them moves a cursor, and no known
// secret stands in them.

import Catalog
import Delivery
import Foundation

enum Plain {
    /// At most `max` characters, with controls and what changes the direction of text as \u{…}.
    static func text(_ text: some StringProtocol, max: Int = 400) -> String {
        var result = ""
        for (count, scalar) in text.unicodeScalars.enumerated() {
            if count == max { return result + "…" }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    static func quoted(_ text: String) -> String { Catalog.quoted(text) }

    /// The path of a request without what is or may be a secret in it.
    static func path(_ path: String, tokenRoutes: [String] = []) -> String {
        if path.hasPrefix("/hook/") { return "/hook/…" }
        let dockerHub = BuildServiceEndpoint.dockerHub.path + "/"
        if path.hasPrefix(dockerHub) { return dockerHub + "***" }
        if let marker = path.range(of: "/webhooks/") {
            let rest = path[marker.upperBound...].split(separator: "/", omittingEmptySubsequences: false)
            let types = ["github", "gitlab", "bitbucket", "generic"]
            let type =
                rest.last.map(String.init).flatMap { rest.count > 1 && types.contains($0) ? "/" + $0 : nil } ?? ""
            return text(path[..<marker.upperBound]) + "***" + type
        }
        for route in tokenRoutes where path.hasPrefix(route + "/") && path.utf8.count > route.utf8.count + 1 {
            return text(route) + "/***"
        }
        return path.split(separator: "/", omittingEmptySubsequences: false)
            .map { looksRandom($0) ? "***" : text($0) }.joined(separator: "/")
    }

    /// Long, of letters and digits alone and with both: more likely a token than a name.
    private static func looksRandom(_ segment: Substring) -> Bool {
        segment.utf8.count >= 20 && segment.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
            && segment.contains(where: \.isNumber) && segment.contains(where: \.isLetter)
    }
}

/// Removes secrets from texts. The last line of defence: nothing that is printed is made from a secret in the first place.
struct Redaction: Sendable {
    private let texts: [String]

    /// Shorter texts occur by chance and tell nothing.
    private static let bytesMin = 8

    /// `values` are what a request bears as credentials.
    init(_ secrets: KnownSecrets, values: [String] = []) {
        self.init(secrets: secrets.all.map(\.secret), values: values)
    }

    init(secrets: [SecretBytes], values: [String] = []) {
        var texts: Set<String> = []
        for secret in secrets {
            for bytes in [secret.bytes, Self.trimmed(secret.bytes)] {
                texts.insert(String(decoding: bytes, as: UTF8.self))
                texts.insert(Data(bytes).base64EncodedString())
                texts.insert(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
            }
        }
        texts.formUnion(values)
        // Long ones first: a short one may be part of them.
        self.texts = texts.filter { $0.utf8.count >= Self.bytesMin }.sorted {
            ($1.utf8.count, $0) < ($0.utf8.count, $1)
        }
    }

    func callAsFunction(_ text: String) -> String {
        var result = text
        for secret in texts where result.contains(secret) { result = result.replacing(secret, with: "***") }
        return result
    }

    /// `*` in the place of each byte of a secret. Linear in both.
    func masked(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for text in texts {
            let secret = Array(text.utf8)
            var from = 0
            while let place = bytes[from...].firstRange(of: secret) {
                bytes.replaceSubrange(place, with: repeatElement(UInt8(ascii: "*"), count: secret.count))
                from = place.upperBound
            }
        }
        return bytes
    }

    /// Those of its texts that are in `bytes`. Looks at each byte once, however many texts there are.
    func occurring(in bytes: [UInt8]) -> [String] {
        var candidates: [UInt64: [[UInt8]]] = [:]
        for text in texts {
            let secret = Array(text.utf8)
            candidates[Self.word(secret.prefix(Self.bytesMin)), default: []].append(secret)
        }
        var found: Set<[UInt8]> = []
        var word: UInt64 = 0
        for (index, byte) in bytes.enumerated() {
            word = word << 8 | UInt64(byte)
            guard index >= Self.bytesMin - 1, let secrets = candidates[word] else { continue }
            let rest = bytes[(index + 1 - Self.bytesMin)...]
            for secret in secrets where rest.starts(with: secret) { found.insert(secret) }
        }
        return found.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The last eight bytes.
    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    func callAsFunction(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text): .string(self(text))
        case .array(let elements): .array(elements.map { self($0) })
        case .object(let members):
            .object(members.map { JSONValue.Member(name: self($0.name), value: self($0.value)) })
        case .number(let text): self(text) == text ? value : .string("***")
        case .null, .bool: value
        }
    }

    private static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
        var rest = bytes[...]
        while let last = rest.last, last == 0x0a || last == 0x0d { rest = rest.dropLast() }
        return Array(rest)
    }

    private static let words = ["signature", "token", "secret", "auth", "cookie", "key", "password", "code"]

    /// Values in a request that prove something or are meant to, with every part of a list.
    static func credentials(of request: InboundRequest) -> [String] {
        var values: [String] = []
        for field in request.fields
        where field.name != "idempotency-key" && Self.words.contains(where: { field.name.contains($0) }) {
            values.append(field.value)
            values += field.value.split(whereSeparator: { " ,;=".contains($0) }).map(String.init)
        }
        for pair in (request.query ?? "").split(separator: "&") {
            guard let equals = pair.firstIndex(of: "=") else { continue }
            let name = pair[..<equals].lowercased()
            if Self.words.contains(where: { name.contains($0) }) {
                values.append(String(pair[pair.index(after: equals)...]))
            }
        }
        if request.path.hasPrefix("/hook/") { values.append(String(request.path.dropFirst(6))) }
        return values
    }
}
