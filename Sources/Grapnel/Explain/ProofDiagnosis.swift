// ProofDiagnosis: why a delivery is not proven, in words that say what to change.
//
// The receiver's own rules say that it is refused, and roughly why. Here the claims of the request (`ProofClaims`) are held against every
// secret that the configuration knows: this route's, with the usual slips (a line break at its end, another algorithm, another
// encoding, another field, a body that was written anew), then everybody else's. Pure: bytes in, findings out. A finding names places,
// never values.

import CCrypto
import Delivery
import Foundation

/// One reason, as found.
struct ProofFinding: Sendable, Equatable {
    /// Closed set: the member `code` of the JSON output.
    enum Code: String, Sendable, CaseIterable {
        case headerMissing = "header-missing"
        case wrongPrefix = "wrong-prefix"
        case malformed
        case repeated
        case wrongHeader = "wrong-header"
        case wrongAlgorithm = "wrong-algorithm"
        case wrongEncoding = "wrong-encoding"
        case secretNewline = "secret-newline"
        case secretForm = "secret-form"
        case bodyChanged = "body-changed"
        case otherReceiver = "other-receiver"
        case otherKey = "other-key"
        case clockSkew = "clock-skew"
        case contentType = "content-type"
        case idToken = "id-token"
        case secretUnusable = "secret-unusable"
        case unknown
    }

    let code: Code
    let text: String

    init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }
}

/// What a route wants to see, as far as its kind and sender say.
struct ProofExpectation: Sendable {
    /// Fields with a signature, lower case.
    var signatureFields: [String] = []
    /// nil: any that the prefix names.
    var algorithm: DigestAlgorithm?
    var encoding: ClaimedDigest.Encoding = .hex
    /// What must stand before the digest; nil: several are taken.
    var prefix: String?
    /// Where a token is looked for; empty: it takes none.
    var tokenPlaces: [ClaimedToken.Place] = []
    /// The whole in words: `X-Hub-Signature-256: sha256=<64 hexadecimal digits>`.
    var words: String
}

struct ProofDiagnosis {
    let request: InboundRequest
    let route: RouteDefinition
    let secrets: KnownSecrets
    let expectation: ProofExpectation
    private let claims: ProofClaims

    private static let notAllTried = ProofFinding(
        .unknown, "no secret of this receiver matches; the body is too large to try those of all other receivers")

    /// Bytes that may be hashed for one request: a large body is not held against thousands of secrets.
    private static let hashedBytesMax = 4 << 30

    init(_ request: InboundRequest, _ route: RouteDefinition, _ secrets: KnownSecrets) {
        self.request = request
        self.route = route
        self.secrets = secrets
        expectation = ProofExpectation(route)
        claims = ProofClaims(request, schemeField: route.hmac?.header, schemePrefix: route.hmac?.prefix ?? "")
    }

    /// Where the secret stands that proves the request; nil when it cannot be told.
    func provenBy() -> String? {
        for own in secrets.of(route.identity) {
            for claim in claims.digests where isRight(claim, keys(own.secret)[0].key, request.body) {
                return own.place
            }
            for claim in claims.tokens where own.secret.matches(claim.bytes) { return own.place }
        }
        return nil
    }

    /// At least one finding, the most telling first. `now` is nanoseconds since 1970.
    func findings(_ cause: VerifyCause, now: UInt64) -> [ProofFinding] {
        var findings = form(cause, now: now)
        if isProofCause(cause) {
            let secrets = searched(cause)
            // What says which bytes are right says more than what says which are wrong.
            findings =
                secrets
                + findings.filter { finding in
                    finding.code != .unknown || secrets.isEmpty
                }
        }
        return findings
    }

    private func isProofCause(_ cause: VerifyCause) -> Bool {
        switch cause {
        case .signatureMissing, .signatureRepeated, .signaturePrefix, .signatureMalformed, .signatureWrong,
            .tokenMissing,
            .tokenRepeated, .tokenWrong, .credentialsMissing, .credentialsWrong, .idTokenMissing:
            true
        default: false
        }
    }

    // MARK: - What the cause itself says

    private func form(_ cause: VerifyCause, now: UInt64) -> [ProofFinding] {
        switch cause {
        case .signatureMissing, .tokenMissing, .credentialsMissing:
            return [ProofFinding(.headerMissing, "expected: \(expectation.words)")] + otherFields()
        case .signatureRepeated, .tokenRepeated:
            return [ProofFinding(.repeated, cause.hint)]
        case .signaturePrefix:
            return [ProofFinding(.wrongPrefix, "\(prefixWords()); expected: \(expectation.words)")]
        case .signatureMalformed:
            return [ProofFinding(.malformed, "\(formWords()); expected: \(expectation.words)")]
        case .timestampOutOfRange: return [skew(now)]
        case .timestampMalformed: return [ProofFinding(.malformed, cause.hint)]
        case .contentTypeWrong:
            let type = request.field("content-type").map { Plain.quoted($0) } ?? "missing"
            return [ProofFinding(.contentType, "Content-Type is \(type): \(cause.hint)")]
        case .idTokenMissing, .idTokenRefused: return [ProofFinding(.idToken, cause.hint)]
        case .secretUnusable:
            return [
                ProofFinding(.secretUnusable, route.readiness.summary == "yes" ? cause.hint : route.readiness.summary)
            ]
        default: return [ProofFinding(.unknown, cause.hint)]
        }
    }

    /// Names of fields that look like a proof of another kind.
    private func otherFields() -> [ProofFinding] {
        var seen: [String] = []
        for field in request.fields
        where !seen.contains(field.name) && !expectation.signatureFields.contains(field.name)
            && (field.name.contains("signature") || field.name.contains("token") || field.name == "authorization")
        {
            seen.append(field.name)
        }
        guard !seen.isEmpty else { return [] }
        return [
            ProofFinding(
                .wrongHeader,
                "the request has \(seen.joined(separator: ", ")) instead, which this receiver does not read")
        ]
    }

    private var expectedValue: String? {
        for name in expectation.signatureFields {
            if let value = request.field(name), !value.isEmpty { return value }
        }
        return nil
    }

    private func prefixWords() -> String {
        guard let value = expectedValue else { return "the signature has no known prefix" }
        if let equals = value.firstIndex(of: "="), value[..<equals].count <= 12,
            value[..<equals].allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }),
            ProofClaims.hexDecoded(value[value.index(after: equals)...].utf8) != nil
        {
            return "the signature begins with \(Plain.quoted(String(value[...equals])))"
        }
        return "the signature has no prefix"
    }

    private func formWords() -> String {
        guard let value = expectedValue else { return "the signature is not well-formed" }
        let digits = value.split(separator: "=", maxSplits: 1).last ?? ""
        if value.hasPrefix("\"") || value.hasPrefix("'") { return "the signature stands in quotes" }
        let isHex = digits.utf8.allSatisfy { Character(UnicodeScalar($0)).isHexDigit }
        return
            "\(digits.utf8.count) \(isHex ? "hexadecimal digits" : "characters, not all hexadecimal digits") stand there"
    }

    private func skew(_ now: UInt64) -> ProofFinding {
        let text = request.field("webhook-timestamp") ?? request.field("svix-timestamp") ?? ""
        guard let sent = UInt64(text) else { return ProofFinding(.clockSkew, VerifyCause.timestampOutOfRange.hint) }
        let seconds = now / 1_000_000_000
        let isOld = sent <= seconds
        let distance = isOld ? seconds - sent : sent - seconds
        return ProofFinding(
            .clockSkew,
            "the signature is right, but its timestamp lies \(distance) s \(isOld ? "before" : "after") the time of judging: "
                + "compare the clocks of both sides; for a request that was kept in a file, give its time with --at")
    }

    // MARK: - What the secrets say

    private func searched(_ cause: VerifyCause) -> [ProofFinding] {
        let own = secrets.of(route.identity)
        // One secret may serve several receivers: then it is this one's.
        let others = secrets.all.filter { other in !own.contains { $0.secret == other.secret } }
        for claim in claims.digests { if let found = ownDigest(claim, own) { return [found] } }
        for claim in claims.tokens { if let found = ownToken(claim, own) { return [found] } }
        for claim in claims.digests { if let found = changedBody(claim, own) { return [found] } }
        if let found = otherToken(others, own), isAboutToken(cause) { return [found] }
        var budget = Self.hashedBytesMax
        for claim in claims.digests {
            for other in others {
                let forms = keys(other.secret)
                budget -= forms.count * (request.body.count + 128)
                guard budget > 0 else { return [Self.notAllTried] }
                if forms.contains(where: { isRight(claim, $0.key, request.body) }) {
                    return [otherSecret(other, own, "the signature in \(claim.field)")]
                }
            }
        }
        return otherToken(others, own).map { [$0] } ?? []
    }

    private func isAboutToken(_ cause: VerifyCause) -> Bool {
        [.tokenMissing, .tokenRepeated, .tokenWrong, .credentialsMissing, .credentialsWrong].contains(cause)
    }

    private func otherToken(_ others: [KnownSecret], _ own: [KnownSecret]) -> ProofFinding? {
        for claim in claims.tokens {
            for other in others where tokenForms(other.secret).contains(where: { $0.form.matches(claim.bytes) }) {
                return otherSecret(other, own, claim.place.words)
            }
        }
        return nil
    }

    private func otherSecret(_ other: KnownSecret, _ own: [KnownSecret], _ what: String) -> ProofFinding {
        if let object = other.object, own.contains(where: { $0.object == object }) {
            return ProofFinding(
                .otherKey,
                "\(what) is right for another key of the same Secret: \(other.place); this receiver uses "
                    + own.map(\.place).joined(separator: ", "))
        }
        let owners = other.owners.map(\.description).joined(separator: ", ")
        return ProofFinding(
            .otherReceiver,
            owners.isEmpty
                ? "\(what) is right for \(other.place), which no receiver uses"
                : "\(what) is right for another receiver: \(owners) (\(other.place)); is the address the right one?")
    }

    /// A digest that one of the route's secrets makes, but not as the route wants it.
    private func ownDigest(_ claim: ClaimedDigest, _ own: [KnownSecret]) -> ProofFinding? {
        for known in own {
            let forms = keys(known.secret)
            if isRight(claim, forms[0].key, request.body) { return misplaced(claim, known) }
            for (key, slip) in forms.dropFirst() where isRight(claim, key, request.body) {
                return ProofFinding(
                    slip.code, "the signature in \(claim.field) is right for \(known.place) \(slip.words)")
            }
            if claim.digest.count == 32, let slip = plainDigest(claim, known.secret) {
                return ProofFinding(
                    .wrongAlgorithm,
                    "the signature in \(claim.field) is \(slip), not an HMAC: choose HMAC-SHA256 at the sender")
            }
        }
        return nil
    }

    /// The digest is right: then field, prefix, algorithm or encoding are not.
    private func misplaced(_ claim: ClaimedDigest, _ known: KnownSecret) -> ProofFinding? {
        if isStandard, claim.messagePrefix.isEmpty {
            return ProofFinding(
                .bodyChanged,
                "the signature in \(claim.field) is that of the body alone: id and timestamp must be signed as well")
        }
        if let wanted = expectation.algorithm, let algorithm = claim.algorithm, algorithm.words != wanted.words {
            return ProofFinding(
                .wrongAlgorithm,
                "the signature in \(claim.field) is the right HMAC-\(algorithm.words), but this receiver takes HMAC-\(wanted.words) "
                    + "(expected: \(expectation.words))")
        }
        if !expectation.signatureFields.contains(claim.field) {
            return ProofFinding(
                .wrongHeader,
                "the signature in \(claim.field) is right for \(known.place), but this receiver reads another field "
                    + "(expected: \(expectation.words))")
        }
        if claim.encoding != expectation.encoding {
            return ProofFinding(
                .wrongEncoding,
                "the signature in \(claim.field) is right but for its encoding: it is \(claim.encoding.rawValue) "
                    + "(expected: \(expectation.words))")
        }
        if let prefix = expectation.prefix, claim.prefix != prefix {
            return ProofFinding(
                .wrongPrefix,
                "the signature in \(claim.field) is right but for what stands before it: "
                    + (claim.prefix.isEmpty ? "nothing does" : Plain.quoted(claim.prefix))
                    + " (expected: \(expectation.words))")
        }
        if expectation.prefix == nil, let name = claim.prefix.split(separator: "=").first.map(String.init),
            let algorithm = claim.algorithm, name != algorithm.words.lowercased().replacing("-", with: "")
        {
            return ProofFinding(
                .wrongPrefix,
                "the signature in \(claim.field) is a right HMAC-\(algorithm.words), but its prefix says \(Plain.quoted(name))"
            )
        }
        return nil
    }

    private func changedBody(_ claim: ClaimedDigest, _ own: [KnownSecret]) -> ProofFinding? {
        guard claim.algorithm != nil else { return nil }
        for variant in BodyVariant.all(of: request.body) {
            for known in own {
                if isRight(claim, keys(known.secret)[0].key, variant.body) {
                    return ProofFinding(
                        .bodyChanged,
                        "the body was changed on its way: the signature in \(claim.field) is that of \(variant.description)"
                    )
                }
            }
        }
        return nil
    }

    private func ownToken(_ claim: ClaimedToken, _ own: [KnownSecret]) -> ProofFinding? {
        for known in own {
            let isExpectedPlace = expectation.tokenPlaces.contains(claim.place)
            if known.secret.matches(claim.bytes) {
                if isExpectedPlace { continue }
                // A path that leads to the route has it in its place.
                if claim.place == .pathSegment, route.identity.kind == .receiver { continue }
                return ProofFinding(
                    .wrongHeader,
                    "\(claim.place.words) holds the secret itself (\(known.place)), but this receiver does not look for it there "
                        + "(expected: \(expectation.words))")
            }
            for (form, slip) in tokenForms(known.secret).dropFirst() where form.matches(claim.bytes) {
                return ProofFinding(slip.code, "\(claim.place.words) holds \(known.place) \(slip.words)")
            }
        }
        return nil
    }

    // MARK: - Forms of a secret

    private struct Slip {
        let code: ProofFinding.Code
        let words: String
    }

    private var isStandard: Bool { route.sender == .standardWebhooks }

    /// The key as the route uses it, then the slips that senders and configurations make. Never empty.
    private func keys(_ secret: SecretBytes) -> [(key: SecretBytes, slip: Slip)] {
        var keys: [(key: SecretBytes, slip: Slip)] = []
        func add(_ key: SecretBytes, _ code: ProofFinding.Code, _ words: String) {
            keys.append((key, Slip(code: code, words: words)))
        }
        if isStandard, let key = Self.standardKey(secret) {
            add(key, .unknown, "as it is")
            add(secret, .secretForm, "used as text: the sender must decode the base64 behind whsec_ first")
        } else {
            add(secret, .unknown, "as it is")
        }
        for form in Self.newlineForms(secret) { add(form.form, form.slip.code, form.slip.words) }
        if let decoded = Self.base64(secret.bytes), !decoded.isEmpty {
            add(
                SecretBytes(decoded), .secretForm,
                "decoded from base64: one side decodes it, the other uses it as it stands")
        }
        if let decoded = ProofClaims.hexDecoded(secret.bytes), !decoded.isEmpty {
            add(
                SecretBytes(decoded), .secretForm,
                "decoded from hexadecimal digits: one side decodes it, the other uses it as it stands")
        }
        return keys
    }

    private func tokenForms(_ secret: SecretBytes) -> [(form: SecretBytes, slip: Slip)] {
        var forms = [(form: secret, slip: Slip(code: .unknown, words: "as it is"))]
        forms += Self.newlineForms(secret)
        for quote in ["\"", "'"] {
            forms.append(
                (
                    SecretBytes(Array(quote.utf8) + secret.bytes + Array(quote.utf8)),
                    Slip(code: .malformed, words: "in quotes: remove them at the sender")
                ))
        }
        forms.append(
            (
                SecretBytes(Array(Data(secret.bytes).base64EncodedString().utf8)),
                Slip(code: .secretForm, words: "encoded as base64: enter the decoded value at the sender")
            ))
        return forms
    }

    private static func newlineForms(_ secret: SecretBytes) -> [(form: SecretBytes, slip: Slip)] {
        let bytes = secret.bytes
        var forms: [(form: SecretBytes, slip: Slip)] = []
        if bytes.last == 0x0a || bytes.last == 0x0d {
            var rest = bytes[...]
            while let last = rest.last, last == 0x0a || last == 0x0d {
                rest = rest.dropLast()
                forms.append(
                    (
                        SecretBytes(Array(rest)),
                        Slip(
                            code: .secretNewline,
                            words:
                                "without the line break at its end: the Secret has one too many (echo -n, or kubectl create secret "
                                + "--from-literal)")
                    ))
            }
        }
        for ending in [[0x0a], [0x0d, 0x0a]] as [[UInt8]] {
            forms.append(
                (
                    SecretBytes(bytes + ending),
                    Slip(code: .secretNewline, words: "with a line break at its end: the sender was given one too many")
                ))
        }
        return forms.filter { !$0.form.isEmpty }
    }

    private static func standardKey(_ secret: SecretBytes) -> SecretBytes? {
        var text = secret.bytes[...]
        while let last = text.last, last <= 0x20 { text = text.dropLast() }
        if text.starts(with: "whsec_".utf8) { text = text.dropFirst(6) }
        return base64(Array(text)).map { SecretBytes($0) }
    }

    private static func base64(_ bytes: [UInt8]) -> [UInt8]? {
        Data(base64Encoded: String(decoding: bytes, as: UTF8.self)).map { [UInt8]($0) }
    }

    // MARK: - Digests

    private func isRight(_ claim: ClaimedDigest, _ key: SecretBytes, _ body: [UInt8]) -> Bool {
        guard let algorithm = claim.algorithm, !key.isEmpty else { return false }
        let message = claim.messagePrefix.isEmpty ? body : claim.messagePrefix + body
        return SecretBytes(key.hmac(algorithm, of: message)).matches(claim.digest)
    }

    /// A digest over secret and body that is no HMAC.
    private func plainDigest(_ claim: ClaimedDigest, _ secret: SecretBytes) -> String? {
        let body = request.body
        for (message, words) in [
            (secret.bytes + body, "the plain SHA-256 of secret and body"),
            (body + secret.bytes, "the plain SHA-256 of body and secret"),
            (body, "the plain SHA-256 of the body"),
        ] {
            var digest = [UInt8](repeating: 0, count: 32)
            // Sound: the digest has the 32 bytes that cc_sha256 writes.
            unsafe message.withUnsafeBytes { unsafe cc_sha256($0.baseAddress, $0.count, &digest) }
            if SecretBytes(digest).matches(claim.digest) { return words }
        }
        return nil
    }
}

extension DigestAlgorithm {
    fileprivate var words: String {
        switch self {
        case .sha1: "SHA-1"
        case .sha256: "SHA-256"
        case .sha512: "SHA-512"
        }
    }
}
