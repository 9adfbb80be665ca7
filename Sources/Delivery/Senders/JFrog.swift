// JFrog Artifactory 7: `X-JFrog-Event-Auth` holds the secret itself, or the hexadecimal HMAC-SHA256 of the body when "use secret for
// payload signing" is on.
//
// Source: jfrog.com/help "Webhooks", "Docker webhook payload". The image comes from `path` without its last two parts: `image_name`
// can lack folders. `jpd_origin` is the platform's address, where it is configured; the repository's key stands before the image.

enum JFrog: Sender {
    static let type = SenderType.jfrog
    static let credentials: [SenderCredential] = [
        .signature, .header("x-jfrog-event-auth"), .bearer, .basic(username: nil), .query("token"), .pathSegment,
    ]

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        guard keys.credential(of: Self.self) == .signature else { return keys.proveCredential(Self.self, request) }
        let (value, isRepeated) = SenderSignature.single(request, "x-jfrog-event-auth")
        if isRepeated { return .refused(.signatureRepeated) }
        guard let value else { return .refused(.signatureMissing) }
        return SenderSignature.proveHex(value.utf8, .sha256, of: request.body, keys.secrets)
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        guard let body = JSONValue(request.body), case .object = body else { return nil }
        return SenderReading(eventNames: [name(of: body)])
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        guard let body = JSONValue(request.body) else { return SenderEvent() }
        let data = body["data"]
        let event = Event(kind: eventName.isEmpty ? nil : eventName, repository: data?["repo_key"]?.plainText)
        guard body["domain"]?.text == "docker" else { return SenderEvent(event) }
        let parts = (data?["path"]?.plainText ?? "").split(separator: "/")
        let name = parts.count > 2 ? parts.dropLast(2).joined(separator: "/") : data?["image_name"]?.plainText
        guard let name else { return SenderEvent(event) }
        let digest = data?["sha256"]?.plainText.map { "sha256:" + $0 }
        let tag = data?["tag"]?.plainText ?? (parts.count > 2 ? String(parts[parts.count - 2]) : nil)
        var image = ImageEvent(image: name, tag: tag, digest: digest, registry: .unknown())
        if let key = event.repository {
            image.registry = .artifactory(repositoryKey: key, image: name)
            if let host = host(of: body["jpd_origin"]?.plainText) { image.image = "\(host)/\(key)/\(name)" }
        }
        return SenderEvent(event, images: [image])
    }

    /// `art.example.com:8082` of `https://art.example.com:8082/artifactory`.
    private static func host(of origin: String?) -> String? {
        guard let origin, let scheme = origin.firstRange(of: "://") else { return nil }
        return RegistryHost.normalised(String(origin[scheme.upperBound...].prefix { $0 != "/" }))
    }

    /// `docker.pushed`.
    private static func name(of body: JSONValue) -> String {
        [body["domain"]?.plainText, body["event_type"]?.plainText].compactMap { $0 }.joined(separator: ".")
    }
}
