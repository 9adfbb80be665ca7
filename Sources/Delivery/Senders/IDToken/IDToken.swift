// IDToken: a signed JSON Web Token (RFC 7515 compact form, RFC 7519), read and verified.
//
// Reading believes nothing: `unverifiedIssuer` only says whose keys to ask for. `verify` then checks, in this order, that the
// algorithm is one of the asymmetric ones that the issuer uses, that a key of that issuer made the signature, and
// that issuer, audience and time are right. `none` and the HMAC algorithms do not exist here, so no public key can
// ever serve as a secret. The arithmetic is OpenSSL's. Sources: RFC 8725; OpenID Connect Core section 3.1.3.7; coreos/go-oidc's
// rules for times (spec: generic-oidc).

public struct IDToken: Sendable {
    /// Real tokens stay below 4 KiB.
    public static let bytesMax = 16_384
    /// How far `nbf` may lie in the future.
    public static let notBeforeLeewaySeconds: Double = 300
    /// Keys of one issuer that are tried for one token.
    private static let keysTriedMax = 8

    /// The algorithms that can be verified at all (RFC 7518 section 3.1).
    enum Algorithm: String, CaseIterable {
        case rs256 = "RS256"
        case rs384 = "RS384"
        case rs512 = "RS512"
        case es256 = "ES256"
        case es384 = "ES384"

        var digestBits: Int32 {
            switch self {
            case .rs256, .es256: 256
            case .rs384, .es384: 384
            case .rs512: 512
            }
        }
    }

    let header: JSONValue
    /// Believed only after `verify`.
    let unverifiedClaims: JSONValue
    private let signedBytes: [UInt8]
    private let signature: [UInt8]

    /// Takes a token apart.
    public init(_ text: String) throws(IDTokenFailure) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.bytesMax else { throw .malformed }
        let parts = bytes.split(separator: UInt8(ascii: "."), maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count == 3, let first = SenderBase64.url(parts[0]), let second = SenderBase64.url(parts[1]),
            let third = SenderBase64.url(parts[2]), let header = JSONValue(first), case .object = header,
            let claims = JSONValue(second), case .object = claims
        else { throw .malformed }
        self.header = header
        unverifiedClaims = claims
        signature = third
        signedBytes = Array(bytes[..<(parts[0].count + 1 + parts[1].count)])
    }

    var algorithm: String? { header["alg"]?.text }
    var keyID: String? { header["kid"]?.text }
    var unverifiedIssuer: String? { unverifiedClaims["iss"]?.text }

    /// The `iss` claim of a token that nobody has verified: good for choosing whose keys to ask for, and for nothing else.
    public static func unverifiedIssuer(_ token: String) -> Result<String, IDTokenFailure> {
        do throws(IDTokenFailure) {
            guard let issuer = try IDToken(token).unverifiedIssuer, !issuer.isEmpty else { throw .issuerMissing }
            return .success(issuer)
        } catch {
            return .failure(error)
        }
    }

    /// The claims, if the token is genuine, in time, and has the demanded issuer and audience.
    ///
    /// - Parameters:
    ///   - keys: of the issuer that the demand names, and of no other.
    ///   - advertised: algorithms of the issuer's discovery document; used when the demand names none, RS256 when there is none either.
    ///   - now: nanoseconds since 1970.
    public func verify(
        keys: JWKS, demand: IDTokenDemand, advertised: [String] = [], now: UInt64
    ) throws(IDTokenFailure) -> JSONValue {
        let named = demand.algorithms.isEmpty ? advertised : demand.algorithms
        let allowed = named.isEmpty ? [Algorithm.rs256] : named.compactMap(Algorithm.init(rawValue:))
        guard let name = algorithm, let algorithm = Algorithm(rawValue: name), allowed.contains(algorithm) else {
            throw .algorithmRefused
        }
        // An extension that we do not understand must be (RFC 7515 section 4.1.11).
        guard header["crit"] == nil else { throw .malformed }
        try verifySignature(algorithm, keys)
        try verifyClaims(demand, now: Double(now) / 1_000_000_000)
        return unverifiedClaims
    }

    private func verifySignature(_ algorithm: Algorithm, _ keys: JWKS) throws(IDTokenFailure) {
        let candidates = keys.keys.filter { $0.serves(algorithm, keyID: keyID) }
        guard !candidates.isEmpty else { throw .keyUnknown }
        for key in candidates.prefix(Self.keysTriedMax)
        where key.verifies(signature, of: signedBytes, digestBits: algorithm.digestBits) { return }
        throw .signatureWrong
    }

    private func verifyClaims(_ demand: IDTokenDemand, now: Double) throws(IDTokenFailure) {
        let claims = unverifiedClaims
        guard let issuer = claims["iss"]?.text, demand.issuers.contains(where: { $0.utf8.elementsEqual(issuer.utf8) })
        else { throw .issuerWrong }
        let audiences = claims["aud"].map { $0.elements?.compactMap(\.text) ?? [$0].compactMap(\.text) } ?? []
        guard !demand.audience.isEmpty,
            audiences.contains(where: { $0.utf8.elementsEqual(demand.audience.utf8) })
        else { throw .audienceWrong }
        // A missing expiry counts as expired.
        guard let expiry = try Self.time(claims["exp"]), now <= expiry else { throw .expired }
        if let notBefore = try Self.time(claims["nbf"]), now + Self.notBeforeLeewaySeconds < notBefore {
            throw .notYetValid
        }
        _ = try Self.time(claims["iat"])
    }

    /// Seconds since 1970 (RFC 7519 section 2, NumericDate); nil when absent.
    private static func time(_ value: JSONValue?) throws(IDTokenFailure) -> Double? {
        guard let value, !value.isNull else { return nil }
        guard case .number(let text) = value, let seconds = Double(text), seconds.isFinite else { throw .malformed }
        return seconds
    }
}
