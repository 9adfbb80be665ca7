// Gitea and Forgejo: a bare hexadecimal HMAC-SHA256 in a field of their own and the same with a prefix in `X-Hub-Signature-256`.
//
// They send both; a proxy may drop one. Whatever is there must be right: a request whose fields disagree comes from nobody we know.
// The SHA-1 field is never looked at. Source: go-gitea/gitea services/webhook/deliver.go.

enum Gitea: Sender {
    static let type = SenderType.gitea
    static let credentials: [SenderCredential] = [.signature]
    static let hasDeliveryID = true

    private static let bareFields = ["x-gitea-signature", "x-forgejo-signature", "x-gogs-signature"]
    private static let eventFields = ["x-gitea-event", "x-forgejo-event", "x-github-event", "x-gogs-event"]
    private static let deliveryFields = [
        "x-gitea-delivery", "x-forgejo-delivery", "x-github-delivery", "x-gogs-delivery",
    ]

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        var digits: [Substring] = []
        for name in bareFields {
            let values = request.allFields(name)
            if values.count > 1 { return .refused(.signatureRepeated) }
            if let value = values.first { digits.append(value[...]) }
        }
        let prefixed = request.allFields("x-hub-signature-256")
        if prefixed.count > 1 { return .refused(.signatureRepeated) }
        if let value = prefixed.first {
            guard value.hasPrefix("sha256=") else { return .refused(.signaturePrefix) }
            digits.append(value.dropFirst(7))
        }
        guard !digits.isEmpty else { return .refused(.signatureMissing) }
        // One digest is computed for equal texts: a secret costs one pass over the body.
        for claimed in Set(digits) {
            let proof = SenderSignature.proveHex(claimed.utf8, .sha256, of: request.body, keys.secrets)
            guard proof == .proven else { return proof }
        }
        return .proven
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        let event = first(eventFields, of: request) ?? ""
        return SenderReading(
            eventNames: [event], deliveryID: first(deliveryFields, of: request).flatMap(SenderTable.deliveryID),
            isPing: event == "ping")
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        // Its payloads have GitHub's members.
        let event = unsafe request.body.withUnsafeBytes { body in
            unsafe decodeEvent(
                sender: .github, eventKind: eventName, contentType: request.field("content-type"), body: body)
        }
        return SenderEvent(event)
    }

    private static func first(_ names: [String], of request: InboundRequest) -> String? {
        for name in names { if let value = request.field(name), !value.isEmpty { return value } }
        return nil
    }
}
