// Quay: a notification of type "Repository Push". No signature and no event name.
//
// Source: docs.projectquay.io "Repository notifications".

enum Quay: Sender {
    static let type = SenderType.quay
    static let credentials: [SenderCredential] = [.query("token"), .pathSegment, .basic(username: nil)]
    static let eventNaming = EventNaming.always("push")

    private static let shape = MemberShape.object([("docker_url", .text), ("updated_tags", .texts)])

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        keys.isFlux ? .proven : keys.proveCredential(Self.self, request)
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        guard let body = request.json(isFlux: keys.isFlux), shape.fits(body) else { return nil }
        return SenderReading(eventNames: ["push"])
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        guard let body = JSONValue.first(in: request.body) else { return SenderEvent() }
        let event = Event(kind: "push", repository: body["repository"]?.plainText)
        guard let image = body["docker_url"]?.plainText else { return SenderEvent(event) }
        let tags = (body["updated_tags"]?.elements ?? []).compactMap(\.plainText)
        if tags.isEmpty { return SenderEvent(event, images: [ImageEvent(image: image)]) }
        return SenderEvent(event, images: tags.map { ImageEvent(image: image, tag: $0) })
    }
}
