// OIDCDiscovery: the document in which an issuer says where its keys are (OpenID Connect Discovery 1.0 section 3).

/// What an issuer's discovery document says.
public struct OIDCDiscovery: Sendable, Equatable {
    public let issuer: String
    public let keysURL: String
    /// `id_token_signing_alg_values_supported`; empty when absent.
    public let algorithms: [String]

    /// Where an issuer's document is. One trailing slash of the issuer is not doubled.
    public static func url(of issuer: String) -> String {
        (issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer) + "/.well-known/openid-configuration"
    }

    /// The document must name the issuer that was asked, byte for byte.
    public init(_ document: JSONValue, issuer: String) throws(IDTokenFailure) {
        guard let named = document["issuer"]?.text, named.utf8.elementsEqual(issuer.utf8),
            let keysURL = document["jwks_uri"]?.text,
            keysURL.hasPrefix("https://") || keysURL.hasPrefix("http://") && issuer.hasPrefix("http://")
        else { throw .discoveryWrong }
        self.issuer = issuer
        self.keysURL = keysURL
        algorithms = document["id_token_signing_alg_values_supported"]?.elements?.compactMap(\.text) ?? []
    }
}
