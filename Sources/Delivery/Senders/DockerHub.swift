// Docker Hub: no signature, no header of one's own, no event name. The address is the only thing that a sender can keep secret.
//
// A Flux Receiver's path is secret by itself; a Hook wants a token in the query or as the path's end. Sources: docs.docker.com
// "Webhooks"; the payload's `callback_url` and `repo_url` are never used.

enum DockerHub: Sender {
    static let type = SenderType.dockerHub
    static let credentials: [SenderCredential] = [.query("token"), .pathSegment]
    static let eventNaming = EventNaming.always("push")

    private static let shape = MemberShape.object([
        ("push_data", .object([("tag", .text)])), ("repository", .object([("repo_url", .text)])),
    ])

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        keys.isFlux ? .proven : keys.proveCredential(Self.self, request)
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        guard let body = request.json(isFlux: keys.isFlux), shape.fits(body) else { return nil }
        return SenderReading(eventNames: ["push"])
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        let body = JSONValue.first(in: request.body)
        let repository = body?["repository"]
        var name = repository?["repo_name"]?.plainText
        if name == nil, let owner = repository?["namespace"]?.plainText, let last = repository?["name"]?.plainText {
            name = owner + "/" + last
        }
        guard let name else { return SenderEvent(Event(kind: "push")) }
        let path = name.contains("/") ? name : "library/" + name
        return SenderEvent(
            Event(kind: "push", repository: path),
            images: [ImageEvent(image: "index.docker.io/" + path, tag: body?.at("push_data", "tag")?.plainText)])
    }
}
