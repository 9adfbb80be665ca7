// ProofClaims: everything in a request that could be meant as a proof, wherever it stands: signatures of any usual form, tokens in any
// field, query parameter or path segment. What a receiver does not look at is what explains why it refuses.

import Delivery
import Foundation

/// A digest that the request claims.
struct ClaimedDigest: Sendable {
    enum Encoding: String, Sendable { case hex = "hexadecimal", base64 }

    /// Lower case.
    let field: String
    let digest: [UInt8]
    let encoding: Encoding
    /// What stands before the digest: `sha256=`, or nothing.
    let prefix: String
    /// Stands before the body in what is signed (Standard Webhooks: id and timestamp).
    let messagePrefix: [UInt8]

    /// By its length; nil for no length of ours.
    var algorithm: DigestAlgorithm? {
        switch digest.count {
        case 20: .sha1
        case 32: .sha256
        case 64: .sha512
        default: nil
        }
    }
}

/// A text that may be a secret.
struct ClaimedToken: Sendable {
    enum Place: Sendable, Equatable {
        /// Lower case.
        case field(String)
        /// Behind the scheme in Authorization.
        case bearer
        case basicPassword
        case query(String)
        case pathSegment
        case form(String)

        var words: String {
            switch self {
            case .field(let name): "the field \(name)"
            case .bearer: "Authorization: Bearer"
            case .basicPassword: "the password of Authorization: Basic"
            case .query(let name): "the query parameter \(name)"
            case .pathSegment: "the path"
            case .form(let name): "the form field \(name)"
            }
        }
    }

    let place: Place
    let bytes: [UInt8]
}

struct ProofClaims: Sendable {
    var digests: [ClaimedDigest] = []
    var tokens: [ClaimedToken] = []

    /// More of either are not looked at.
    private static let countMax = 200

    /// - Parameter schemeField: where a Hook of type hmac has its signature, lower case.
    init(_ request: InboundRequest, schemeField: String? = nil, schemePrefix: String = "") {
        for field in request.fields {
            guard digests.count < Self.countMax, tokens.count < Self.countMax else { break }
            addToken(field)
            if ["webhook-signature", "svix-signature"].contains(field.name) {
                addStandard(field, request)
            } else if field.name == schemeField || field.name.contains("signature") || field.name.contains("auth") {
                addDigest(field, schemePrefix)
            }
        }
        for (name, value) in Self.parameters(request.query ?? "") {
            tokens.append(ClaimedToken(place: .query(name), bytes: value))
        }
        for segment in request.path.utf8.split(separator: UInt8(ascii: "/")).prefix(32) {
            for bytes in Set([Array(segment), Self.percentDecoded(segment)]) {
                tokens.append(ClaimedToken(place: .pathSegment, bytes: bytes))
            }
        }
        if request.mediaType == "application/x-www-form-urlencoded", request.body.count <= 64 << 10 {
            for (name, value) in Self.parameters(String(decoding: request.body, as: UTF8.self)) {
                tokens.append(ClaimedToken(place: .form(name), bytes: value))
            }
        }
    }

    // MARK: - Tokens

    private mutating func addToken(_ field: InboundRequest.Field) {
        guard !field.value.isEmpty else { return }
        tokens.append(ClaimedToken(place: .field(field.name), bytes: Array(field.value.utf8)))
        guard field.name == "authorization", let blank = field.value.firstIndex(of: " ") else { return }
        let rest = field.value[blank...].drop { $0 == " " }
        switch field.value[..<blank].lowercased() {
        case "bearer", "token": tokens.append(ClaimedToken(place: .bearer, bytes: Array(rest.utf8)))
        case "basic":
            guard let pair = Data(base64Encoded: String(rest)), let colon = pair.firstIndex(of: UInt8(ascii: ":"))
            else { return }
            tokens.append(ClaimedToken(place: .basicPassword, bytes: Array(pair[(colon + 1)...])))
        default: break
        }
    }

    // MARK: - Digests

    private mutating func addDigest(_ field: InboundRequest.Field, _ schemePrefix: String) {
        var text = field.value[...]
        // Quotes come from configuration files that were taken literally.
        while let first = text.first, "\"' ".contains(first) { text = text.dropFirst() }
        while let last = text.last, "\"' ".contains(last) { text = text.dropLast() }
        var prefix = ""
        if !schemePrefix.isEmpty, text.hasPrefix(schemePrefix) {
            prefix = schemePrefix
            text = text.dropFirst(schemePrefix.count)
        } else {
            for known in ["sha1=", "sha256=", "sha512=", "sha256:", "v1,", "v1=", "hmac-sha256="]
            where text.lowercased().hasPrefix(known) {
                prefix = String(text.prefix(known.count))
                text = text.dropFirst(known.count)
                break
            }
        }
        guard text.utf8.count <= 256 else { return }
        if let digest = Self.hexDecoded(text.utf8), [20, 32, 64].contains(digest.count) {
            digests.append(
                ClaimedDigest(field: field.name, digest: digest, encoding: .hex, prefix: prefix, messagePrefix: []))
        } else if let digest = Data(base64Encoded: String(text)), [20, 32, 64].contains(digest.count) {
            digests.append(
                ClaimedDigest(
                    field: field.name, digest: [UInt8](digest), encoding: .base64, prefix: prefix, messagePrefix: []))
        }
    }

    private mutating func addStandard(_ field: InboundRequest.Field, _ request: InboundRequest) {
        let family = field.name.hasPrefix("svix") ? "svix-" : "webhook-"
        let signed = (request.field(family + "id") ?? "") + "." + (request.field(family + "timestamp") ?? "") + "."
        for item in field.value.split(separator: " ").prefix(8) {
            let parts = item.split(separator: ",", maxSplits: 1)
            guard let encoded = parts.last, let digest = Data(base64Encoded: String(encoded)), digest.count == 32 else {
                continue
            }
            // The second one is for senders that sign the body alone.
            for prefix in [Array(signed.utf8), []] {
                digests.append(
                    ClaimedDigest(
                        field: field.name, digest: [UInt8](digest), encoding: .base64,
                        prefix: parts.count == 2 ? parts[0] + "," : "", messagePrefix: prefix))
            }
        }
    }

    // MARK: - Text

    static func hexDecoded(_ digits: some Collection<UInt8>) -> [UInt8]? {
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in digits {
            guard let value = Character(UnicodeScalar(digit)).hexDigitValue else { return nil }
            if let first = high {
                bytes.append(first << 4 | UInt8(value))
                high = nil
            } else {
                high = UInt8(value)
            }
        }
        return bytes
    }

    static func percentDecoded(_ text: some Collection<UInt8>) -> [UInt8] {
        let bytes = Array(text)
        var decoded: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let byte = hexDecoded(bytes[(index + 1)...(index + 2)])?.first
            {
                decoded.append(byte)
                index += 3
            } else {
                decoded.append(bytes[index])
                index += 1
            }
        }
        return decoded
    }

    /// Names and decoded values of `a=b&c=d`.
    private static func parameters(_ text: String) -> [(String, [UInt8])] {
        text.utf8.split(separator: UInt8(ascii: "&")).prefix(countMax).compactMap { pair in
            guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            let value = pair[pair.index(after: equals)...].map { $0 == UInt8(ascii: "+") ? 0x20 : $0 }
            guard !value.isEmpty else { return nil }
            return (String(decoding: percentDecoded(pair[..<equals]), as: UTF8.self), percentDecoded(value))
        }
    }
}
