// BuildServiceProof: whether a request bears one of an endpoint's credentials, and where in it credentials stand.
//
// Everything is compared on raw bytes in constant time over equal lengths. The body is hashed for a signature that has the form of one,
// and never parsed.

struct BuildServiceProof: Sendable {
    private let endpoint: BuildServiceEndpoint
    private let bearers: [SecretBytes]
    /// `user:password`.
    private let basics: [SecretBytes]
    private let headers: [(name: String, value: SecretBytes)]
    private let urlTokens: [SecretBytes]
    private let signatures: [SecretBytes]
    private let plainTokens: [SecretBytes]
    private let isOpen: Bool

    /// A sender's configuration may make a field out of a list, and a proxy may add one; more are not looked at.
    private static let candidatesMax = 4
    private static let jfrogField = "x-jfrog-event-auth"

    init(_ endpoint: BuildServiceEndpoint, _ settings: BuildServiceSettings) {
        self.endpoint = endpoint
        var bearers: [SecretBytes] = []
        var basics: [SecretBytes] = []
        var headers: [(name: String, value: SecretBytes)] = []
        var urlTokens: [SecretBytes] = []
        var signatures: [SecretBytes] = []
        var plainTokens: [SecretBytes] = []
        var isOpen = false
        for credential in settings.usableCredentials(of: endpoint) {
            switch credential {
            case .bearer(let token): bearers.append(token)
            case .basic(let username, let password):
                basics.append(SecretBytes(Array(username.utf8) + [UInt8(ascii: ":")] + password.bytes))
            case .header(let name, let value): headers.append((name.lowercased(), value))
            case .urlToken(let token): urlTokens.append(token)
            case .jfrogSignature(let secret): signatures.append(secret)
            case .jfrogToken(let secret): plainTokens.append(secret)
            case .unauthenticated: isOpen = true
            }
        }
        self.bearers = bearers
        self.basics = basics
        self.headers = headers
        self.urlTokens = urlTokens
        self.signatures = signatures
        self.plainTokens = plainTokens
        self.isOpen = isOpen
    }

    /// Whether anything can be proven at all.
    var isUsable: Bool {
        isOpen || !bearers.isEmpty || !basics.isEmpty || !headers.isEmpty || !urlTokens.isEmpty || !signatures.isEmpty
            || !plainTokens.isEmpty
    }

    /// `.none` when the request is proven.
    func cause(_ request: InboundRequest) -> VerifyCause {
        if isOpen { return .none }
        var isPresent = false
        let authorizations = request.allFields("authorization").prefix(Self.candidatesMax)
        for field in authorizations {
            isPresent = true
            if isBearer(field) || isBasic(field) { return .none }
        }
        for header in headers {
            for value in request.allFields(header.name).prefix(Self.candidatesMax) {
                isPresent = true
                if header.value.matches(value) { return .none }
            }
        }
        if !urlTokens.isEmpty {
            for token in tokens(of: request) {
                isPresent = true
                let decoded = CredentialText.percentDecoded(token)
                if urlTokens.contains(where: { $0.matches(token) || $0.matches(decoded) }) { return .none }
            }
        }
        for value in request.allFields(Self.jfrogField).prefix(Self.candidatesMax) {
            isPresent = true
            if plainTokens.contains(where: { $0.matches(value) }) || isSignature(value, of: request.body) {
                return .none
            }
        }
        if !signatures.isEmpty { return isPresent ? .signatureWrong : .signatureMissing }
        if !urlTokens.isEmpty || !plainTokens.isEmpty { return isPresent ? .tokenWrong : .tokenMissing }
        return isPresent ? .credentialsWrong : .credentialsMissing
    }

    /// What must not reach the disk, of a proven request. A signature says nothing about its secret and stays.
    func places(_ request: InboundRequest) -> [CredentialPlace] {
        var places: [CredentialPlace] = []
        for (index, field) in request.fields.enumerated() {
            switch field.name {
            case "authorization", "proxy-authorization", "cookie": places.append(.field(index))
            case Self.jfrogField:
                // Hashed again rather than guessed from its form: a plain secret may look like a digest.
                if !isSignature(field.value, of: request.body) { places.append(.field(index)) }
            case let name where headers.contains { $0.name == name }: places.append(.field(index))
            default: break
            }
        }
        if let range = pathToken(request.path) { places.append(.path(range)) }
        places += CredentialText.values(of: "token", in: request.query ?? "").map { .query($0) }
        return places
    }

    private func isBearer(_ field: String) -> Bool {
        guard !bearers.isEmpty, let token = CredentialText.parameter(of: field, scheme: "bearer") else { return false }
        return bearers.contains { $0.matches(token) }
    }

    private func isBasic(_ field: String) -> Bool {
        guard !basics.isEmpty, let text = CredentialText.parameter(of: field, scheme: "basic"),
            let pair = CredentialText.base64(text)
        else { return false }
        if basics.contains(where: { $0.matches(pair) }) { return true }
        // The Artifactory plugin takes `user:password` out of its URL with the percent-escapes as they stand.
        guard endpoint == .artifactory, pair.contains(UInt8(ascii: "%")) else { return false }
        let decoded = CredentialText.percentDecoded(pair)
        return basics.contains { $0.matches(decoded) }
    }

    private func isSignature(_ value: String, of body: [UInt8]) -> Bool {
        guard !signatures.isEmpty, let digest = CredentialText.sha256Digest(value) else { return false }
        return signatures.contains { SecretBytes($0.hmac(.sha256, of: body)).matches(digest) }
    }

    private func tokens(of request: InboundRequest) -> [[UInt8]] {
        var tokens: [[UInt8]] = []
        if let range = pathToken(request.path) { tokens.append(Array(Array(request.path.utf8)[range])) }
        let query = Array((request.query ?? "").utf8)
        for range in CredentialText.values(of: "token", in: request.query ?? "").prefix(Self.candidatesMax) {
            tokens.append(Array(query[range]))
        }
        return tokens.filter { !$0.isEmpty }
    }

    /// What stands behind the endpoint's own path.
    private func pathToken(_ path: String) -> Range<Int>? {
        guard endpoint == .dockerHub, path.utf8.starts(with: (endpoint.path + "/").utf8) else { return nil }
        let start = endpoint.path.utf8.count + 1
        return start < path.utf8.count ? start..<path.utf8.count : nil
    }
}
