// SenderConfiguration: what a Hook may say about its sender beyond type and secrets.

/// How a delivery presents the route's secret.
public enum SenderCredential: Sendable, Equatable {
    /// The sender's own signature over the body; the secret is its key.
    case signature
    /// `Authorization: Bearer <secret>`.
    case bearer
    /// `Authorization: Basic`; the secret is the password. nil: any user name.
    case basic(username: String?)
    /// The whole value of that field (lower case) is the secret.
    case header(String)
    /// The query parameter of that name is the secret.
    case query(String)
    /// The last segment of the path is the secret.
    case pathSegment
    /// An ID token of a trusted issuer.
    case idToken
    /// Nothing: the path alone leads here.
    case nothing

    /// The word in manifests and messages.
    public var name: String {
        switch self {
        case .signature: "signature"
        case .bearer: "bearer"
        case .basic: "basic"
        case .header: "header"
        case .query: "query"
        case .pathSegment: "path"
        case .idToken: "id-token"
        case .nothing: "none"
        }
    }
}

/// A trusted issuer of ID tokens (spec.oidcProviders of a Flux Receiver).
public struct OIDCProvider: Sendable {
    /// Compared byte for byte with the token's `iss`.
    public var issuerURL: String
    public var audience: String
    /// Variables, then validations, over the claims of a genuine token.
    public var evaluate: @Sendable (_ claims: JSONValue) -> Result<Void, ClaimsFailure>

    /// Of a Flux Receiver that names no audience.
    public static let audienceDefault = "notification-controller"

    public init(
        issuerURL: String, audience: String = OIDCProvider.audienceDefault,
        evaluate: @escaping @Sendable (_ claims: JSONValue) -> Result<Void, ClaimsFailure>
    ) {
        self.issuerURL = issuerURL
        self.audience = audience.isEmpty ? Self.audienceDefault : audience
        self.evaluate = evaluate
    }
}

public struct SenderConfiguration: Sendable {
    /// nil: the type's own (`SenderTable.credentials(of:)`, the first).
    public var credential: SenderCredential?
    /// How far a signed timestamp may lie from now, both ways.
    public var toleranceSeconds: UInt32
    /// gcr: the service account that the token must name.
    public var email: String?
    /// gcr: the audience that the token must have.
    public var audience: String?
    /// generic-oidc: trusted issuers, each once.
    public var providers: [OIDCProvider]

    /// Svix's tolerance, which the senders of Standard Webhooks expect.
    public static let toleranceSecondsDefault: UInt32 = 300

    public init(
        credential: SenderCredential? = nil, toleranceSeconds: UInt32 = SenderConfiguration.toleranceSecondsDefault,
        email: String? = nil, audience: String? = nil, providers: [OIDCProvider] = []
    ) {
        self.credential = credential
        self.toleranceSeconds = toleranceSeconds
        self.email = email
        self.audience = audience
        self.providers = providers
    }
}
