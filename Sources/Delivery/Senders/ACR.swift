// Azure Container Registry: push, delete, chart_push, chart_delete, quarantine, ping. No signature; custom headers can be configured.
//
// Source: learn.microsoft.com "Azure Container Registry webhook schema reference".

enum ACR: Sender {
    static let type = SenderType.acr
    static let credentials: [SenderCredential] = [
        .query("token"), .bearer, .basic(username: nil), .header("authorization"), .pathSegment,
    ]

    private static let shape = MemberShape.object([
        ("action", .text), ("target", .object([("repository", .text), ("tag", .text)])),
    ])

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        keys.isFlux ? .proven : keys.proveCredential(Self.self, request)
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        guard let body = request.json(isFlux: keys.isFlux), shape.fits(body) else { return nil }
        let action = body.member(ignoringCase: "action")?.plainText ?? ""
        return SenderReading(eventNames: [action], isPing: action == "ping")
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        guard let body = JSONValue.first(in: request.body) else { return SenderEvent() }
        let target = body["target"]
        let repository = target?["repository"]?.plainText
        let event = Event(kind: body["action"]?.plainText, repository: repository)
        guard let repository else { return SenderEvent(event) }
        let host = body.at("request", "host")?.plainText.flatMap { $0.isEmpty ? nil : $0 }
        return SenderEvent(
            event,
            images: [
                ImageEvent(
                    image: host.map { $0 + "/" + repository } ?? repository, tag: target?["tag"]?.plainText,
                    digest: target?["digest"]?.plainText, registry: host == nil ? .unknown() : .named)
            ])
    }
}
