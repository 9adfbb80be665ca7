// BuildServiceSettings: what an operator decides about the three Build Service endpoints.

/// One of the three endpoints.
public enum BuildServiceEndpoint: Sendable, CaseIterable {
    case notification
    case artifactory
    case dockerHub

    /// The path of its route.
    public var path: String {
        switch self {
        case .notification: "/v1/docker/notification"
        case .artifactory: "/v1/artifactory/webhook"
        case .dockerHub: "/v1/docker/webhook"
        }
    }

    /// Its name in the route's identity.
    public var name: String {
        switch self {
        case .notification: "notification"
        case .artifactory: "artifactory"
        case .dockerHub: "docker-hub"
        }
    }

    /// Who is expected to call it.
    public var sender: SenderType {
        switch self {
        case .notification: .dockerRegistry
        case .artifactory: .jfrog
        case .dockerHub: .dockerHub
        }
    }

    public var bodyBytesMax: Int { self == .notification ? 8 << 20 : 1 << 20 }

    public func identity(cluster: String = "local") -> RouteIdentity {
        RouteIdentity(cluster: cluster, kind: .buildService, namespace: "", name: name)
    }
}

/// How one tenant's sender proves itself.
public enum BuildServiceCredential: Sendable, Equatable {
    /// `Authorization: Bearer <token>`.
    case bearer(SecretBytes)
    /// `Authorization: Basic`, which senders make of `user:password@` in a URL.
    case basic(username: String, password: SecretBytes)
    /// A field of any name with exactly this value.
    case header(name: String, value: SecretBytes)
    /// `?token=`, at Docker Hub's endpoint also the last segment of the path.
    case urlToken(SecretBytes)
    /// `X-JFrog-Event-Auth`: hexadecimal HMAC-SHA256 of the body.
    case jfrogSignature(SecretBytes)
    /// `X-JFrog-Event-Auth`: the secret itself.
    case jfrogToken(SecretBytes)
    /// Nothing at all. Counts only with `BuildServiceSettings.allowUnauthenticated`.
    case unauthenticated

    /// Whether it can prove anything: an empty secret proves nothing.
    public var isUsable: Bool {
        switch self {
        case .bearer(let secret), .urlToken(let secret), .jfrogSignature(let secret), .jfrogToken(let secret):
            !secret.isEmpty
        case .basic(_, let password): !password.isEmpty
        case .header(let name, let value): !name.isEmpty && !value.isEmpty
        case .unauthenticated: true
        }
    }

    /// Whether the endpoint's sender is able to send it (specification, section 7; native JFrog webhooks can send any field).
    public func isSendable(to endpoint: BuildServiceEndpoint) -> Bool {
        switch (self, endpoint) {
        case (.unauthenticated, _), (.urlToken, _): true
        case (_, .dockerHub): false
        case (.jfrogSignature, _), (.jfrogToken, _): endpoint == .artifactory
        default: true
        }
    }
}

/// The references under which the images of an Artifactory repository are pulled.
public struct ArtifactoryRepository: Sendable, Equatable {
    public var repoKey: String
    /// Host, or host and path, without scheme: `art.example.com/docker-local`, `docker-local.art.example.com`.
    public var prefixes: [String]

    public init(repoKey: String, prefixes: [String]) {
        self.repoKey = repoKey
        self.prefixes = prefixes
    }
}

public struct BuildServiceSettings: Sendable, Equatable {
    /// Any one proves a request: one for each tenant, two while one is rotated. Without a usable one the endpoint answers 503.
    public var notification: [BuildServiceCredential]
    public var artifactory: [BuildServiceCredential]
    public var dockerHub: [BuildServiceCredential]
    /// The opt-in without which `unauthenticated` counts for nothing.
    public var allowUnauthenticated: Bool
    /// Other names of registries, to the names that objects use.
    public var hostAliases: [String: String]
    /// Also mark the latest Build of each Image behind a refreshed object.
    public var forceBuild: Bool
    /// How long changes of one image are merged for one object where no digest is known.
    public var coalesceSeconds: Int
    /// Empty: the references are guessed.
    public var repositories: [ArtifactoryRepository]
    /// Whether Docker Hub's `callback_url` is called.
    public var dockerHubCallback: Bool
    /// How long the id of an event is remembered; 0: not at all.
    public var dedupeWindowSeconds: UInt32

    public init(
        notification: [BuildServiceCredential] = [], artifactory: [BuildServiceCredential] = [],
        dockerHub: [BuildServiceCredential] = [], allowUnauthenticated: Bool = false,
        hostAliases: [String: String] = [:], forceBuild: Bool = false, coalesceSeconds: Int = 1,
        repositories: [ArtifactoryRepository] = [], dockerHubCallback: Bool = false, dedupeWindowSeconds: UInt32 = 600
    ) {
        self.notification = notification
        self.artifactory = artifactory
        self.dockerHub = dockerHub
        self.allowUnauthenticated = allowUnauthenticated
        self.hostAliases = hostAliases
        self.forceBuild = forceBuild
        self.coalesceSeconds = coalesceSeconds
        self.repositories = repositories
        self.dockerHubCallback = dockerHubCallback
        self.dedupeWindowSeconds = dedupeWindowSeconds
    }

    /// As they are configured, usable or not.
    public func credentials(of endpoint: BuildServiceEndpoint) -> [BuildServiceCredential] {
        switch endpoint {
        case .notification: notification
        case .artifactory: artifactory
        case .dockerHub: dockerHub
        }
    }

    public mutating func add(_ credential: BuildServiceCredential, to endpoint: BuildServiceEndpoint) {
        switch endpoint {
        case .notification: notification.append(credential)
        case .artifactory: artifactory.append(credential)
        case .dockerHub: dockerHub.append(credential)
        }
    }

    /// Those that can prove something.
    public func usableCredentials(of endpoint: BuildServiceEndpoint) -> [BuildServiceCredential] {
        credentials(of: endpoint).filter { $0.isUsable && ($0 != .unauthenticated || allowUnauthenticated) }
    }

    /// Whether the endpoint can be served.
    public func isServed(_ endpoint: BuildServiceEndpoint) -> Bool { !usableCredentials(of: endpoint).isEmpty }

    /// What an operator should know about an endpoint, in sentences without secrets.
    public func warnings(of endpoint: BuildServiceEndpoint) -> [String] {
        var warnings: [String] = []
        for credential in credentials(of: endpoint) {
            if !credential.isSendable(to: endpoint) {
                warnings.append("the sender of \(endpoint.path) cannot send a credential of this type")
            }
            if !credential.isUsable { warnings.append("an empty credential of \(endpoint.path) proves nothing") }
            switch credential {
            case .urlToken(let token) where token.bytes.count < Self.tokenBytesMin:
                warnings.append(
                    "a token of \(endpoint.path) is shorter than \(Self.tokenBytesMin) characters and may be guessed; "
                        + "make one with: openssl rand -hex 32")
            case .unauthenticated:
                warnings.append(
                    allowUnauthenticated
                        ? "\(endpoint.path) takes requests from anybody"
                        : "type none of \(endpoint.path) counts for nothing without the opt-in to it")
            default: break
            }
        }
        return warnings
    }

    /// 128 bit in base64.
    private static let tokenBytesMin = 22
}
