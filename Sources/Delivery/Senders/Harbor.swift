// Harbor: what is configured as "auth header" comes back as the whole Authorization value.
//
// Sources: goharbor.io "Configure Webhook Notifications"; payloads of version 1, 2 and in CloudEvents form.

enum Harbor: Sender {
    static let type = SenderType.harbor
    static let credentials: [SenderCredential] = [
        .header("authorization"), .bearer, .basic(username: nil), .query("token"), .pathSegment,
    ]

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        guard keys.isFlux else { return keys.proveCredential(Self.self, request) }
        guard !keys.secrets.isEmpty else { return .refused(.secretUnusable) }
        guard let value = request.field("authorization"), !value.isEmpty else { return .refused(.credentialsMissing) }
        return SenderCredential.anyOf(keys.secrets, matches: value.utf8) ? .proven : .refused(.credentialsWrong)
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        if keys.isFlux { return SenderReading() }
        guard let body = JSONValue(request.body), case .object = body else { return nil }
        return SenderReading(eventNames: [body["type"]?.plainText ?? ""])
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        guard let body = JSONValue(request.body) else { return SenderEvent() }
        let data = body["event_data"] ?? body["data"]
        let images = (data?["resources"]?.elements ?? []).map { resource in
            var image = resource["resource_url"]?.plainText.map { ImageEvent(reference: $0) } ?? ImageEvent()
            image.tag = resource["tag"]?.plainText ?? image.tag
            image.digest = resource["digest"]?.plainText ?? image.digest
            return image
        }
        return SenderEvent(
            Event(kind: body["type"]?.plainText, repository: data?.at("repository", "repo_full_name")?.plainText),
            images: images)
    }
}
