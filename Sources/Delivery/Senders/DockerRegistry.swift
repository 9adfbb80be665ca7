// The CNCF distribution registry: an envelope of events, with whatever static headers its configuration names.
//
// It repeats an envelope for ever until it is answered 2xx or 3xx: what can never be valid is therefore taken and dropped. Blobs, pulls
// and pushes by digest come too; they say nothing new unless they are listed by name. Source: distribution.github.io "Work with notifications".

enum DockerRegistry: Sender {
    static let type = SenderType.dockerRegistry
    static let credentials: [SenderCredential] = [
        .bearer, .basic(username: nil), .header("authorization"), .query("token"), .pathSegment,
    ]
    static let hasDeliveryID = true

    /// An envelope holds what gathered while one was under way.
    static let eventsMax = 10_000

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        guard let events = events(of: request) else { return SenderReading(isUnusable: true) }
        var names: [String] = []
        for event in events {
            guard let action = event["action"]?.plainText, !names.contains(action), names.count < 16 else { continue }
            names.append(action)
        }
        // What was pulled is the least of it.
        if let pull = names.firstIndex(of: "pull") { names.append(names.remove(at: pull)) }
        return SenderReading(
            eventNames: names, deliveryID: events.first?["id"]?.deliveryID,
            isIrrelevant: pushed(request).isEmpty)
    }

    /// The images whose tags were pushed, named as the registry names itself.
    private static func pushed(_ request: InboundRequest) -> [ImageEvent] {
        guard let body = JSONValue(request.body),
            case .changes(let changes, _, _) = RegistryNotification.read(body, aliases: HostAliases())
        else { return [] }
        return changes.compactMap { change in
            guard case .named(let name) = change.repository else { return nil }
            return ImageEvent(image: name, tag: change.tag, digest: change.digest)
        }
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        let events = events(of: request) ?? []
        let meant = events.filter { eventName.isEmpty || $0["action"]?.text == eventName }
        let isPush = eventName.isEmpty || eventName == "push"
        let images =
            isPush
            ? pushed(request)
            : meant.compactMap { event -> ImageEvent? in
                guard let repository = event.at("target", "repository")?.plainText else { return nil }
                let host = event.at("request", "host")?.plainText.flatMap { $0.isEmpty ? nil : $0 }
                return ImageEvent(
                    image: host.map { $0 + "/" + repository } ?? repository, tag: event.at("target", "tag")?.plainText,
                    digest: event.at("target", "digest")?.plainText, registry: host == nil ? .unknown() : .named)
            }
        return SenderEvent(
            Event(
                kind: eventName.isEmpty ? meant.first?["action"]?.plainText : eventName,
                repository: meant.first?.at("target", "repository")?.plainText),
            images: images)
    }

    private static func events(of request: InboundRequest) -> [JSONValue]? {
        guard let events = JSONValue(request.body)?["events"]?.elements, !events.isEmpty,
            events.count <= eventsMax, events.allSatisfy({ $0.members != nil })
        else { return nil }
        return events
    }
}
