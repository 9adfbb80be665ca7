// Bitbucket Cloud, Server and Data Center: `X-Hub-Signature: sha256=` and hexadecimal digits, HMAC over the raw body.
//
// A Flux Receiver follows go-github as type github does: either signature field, the algorithm by its prefix, a content type of JSON or
// form. Sources: support.atlassian.com "Manage webhooks", "Event payloads"; confluence.atlassian.com "Event payload" (Server).

enum Bitbucket: Sender {
    static let type = SenderType.bitbucket
    static let credentials: [SenderCredential] = [.signature]
    static let hasDeliveryID = true
    static let filtersEventsForFlux = true

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        guard keys.isFlux else {
            let (value, isRepeated) = SenderSignature.single(request, "x-hub-signature")
            if isRepeated { return .refused(.signatureRepeated) }
            guard let value else { return .refused(.signatureMissing) }
            guard value.hasPrefix("sha256=") else { return .refused(.signaturePrefix) }
            return SenderSignature.proveHex(value.utf8.dropFirst(7), .sha256, of: request.body, keys.secrets)
        }
        let mediaType = request.mediaType
        guard mediaType == "application/json" || mediaType == "application/x-www-form-urlencoded" else {
            return .refused(.contentTypeWrong)
        }
        let value = request.field("x-hub-signature-256").flatMap { $0.isEmpty ? nil : $0 }
        guard let value = value ?? request.field("x-hub-signature"), !value.isEmpty else {
            return .refused(.signatureMissing)
        }
        return SenderSignature.proveAnyAlgorithm(value, of: request.body, keys.secrets)
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        let event = request.field("x-event-key") ?? ""
        return SenderReading(
            eventNames: [event], deliveryID: request.field("x-request-uuid").flatMap(SenderTable.deliveryID),
            isPing: event == "diagnostics:ping")
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        var event = Event(kind: eventName.isEmpty ? nil : eventName)
        guard let body = JSONValue(request.body), let repository = body["repository"] else { return SenderEvent(event) }
        if let change = body.at("push", "changes")?.elements?.first {
            readCloud(change, repository, into: &event)
        } else {
            readServer(body, repository, into: &event)
        }
        return SenderEvent(event)
    }

    /// `new` is null when a branch or tag was deleted: then `old` says which.
    private static func readCloud(_ change: JSONValue, _ repository: JSONValue, into event: inout Event) {
        event.repository = repository["full_name"]?.plainText
        event.repositoryURL = repository.at("links", "html", "href")?.plainText.map { $0 + ".git" }
        let now = change["new"].flatMap { $0.isNull ? nil : $0 }
        guard let place = now ?? change["old"], let name = place["name"]?.plainText else { return }
        event.ref = (place["type"]?.text == "branch" ? "refs/heads/" : "refs/tags/") + name
        event.commit = now?.at("target", "hash")?.plainText
    }

    private static func readServer(_ body: JSONValue, _ repository: JSONValue, into event: inout Event) {
        if let project = repository.at("project", "key")?.plainText, let slug = repository["slug"]?.plainText {
            event.repository = project + "/" + slug
        }
        let clones = repository.at("links", "clone")?.elements ?? []
        let http = clones.first { $0["name"]?.text == "http" || $0["name"]?.text == "https" } ?? clones.first
        event.repositoryURL = http?["href"]?.plainText
        guard let change = body["changes"]?.elements?.first else { return }
        event.ref = change["refId"]?.plainText ?? change.at("ref", "id")?.plainText
        // The all-zero hash says that there is no commit after it.
        let commit = change["toHash"]?.plainText
        event.commit = commit.flatMap { $0.allSatisfy { $0 == "0" } ? nil : $0 }
    }
}
