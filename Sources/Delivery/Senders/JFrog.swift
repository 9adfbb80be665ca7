// JFrog Artifactory 7: `X-JFrog-Event-Auth` holds the secret itself, or the hexadecimal HMAC-SHA256 of the body when "use secret for
// payload signing" is on.
//
// Source: jfrog.com/help "Webhooks", "Docker webhook payload". The image comes from `path` without its last two parts: `image_name`
// can lack folders.

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
        return SenderEvent(event, images: [ImageEvent(image: name, tag: tag, digest: digest)])
    }

    /// `docker.pushed`.
    private static func name(of body: JSONValue) -> String {
        [body["domain"]?.plainText, body["event_type"]?.plainText].compactMap { $0 }.joined(separator: ".")
    }
}
