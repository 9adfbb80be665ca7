// CDEvents over CloudEvents' HTTP binding: binary mode (the event is the body, its type in `Ce-Type`) and structured mode (the event is
// `data` of an envelope).
//
// Judged as the schemas of spec 0.4.1 and 0.5 do, after members that they do not know were dropped: what must be there must be
// there and be of its type (CDEvents+Types.swift). A `schemaUri` is not fetched. Each request is judged alone. Sources:
// cdevents.dev specification and schemas; cloudevents.io HTTP protocol binding 1.0 sections 3.1 and 3.2.

enum CDEvents: Sender {
    static let type = SenderType.cdEvents
    static let credentials: [SenderCredential] = [
        .query("token"), .bearer, .basic(username: nil), .header("authorization"), .pathSegment,
    ]
    static let hasDeliveryID = true
    static let filtersEventsForFlux = true

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        keys.isFlux ? .proven : keys.proveCredential(Self.self, request)
    }

    /// A Hook's entry may leave the version out: `dev.cdevents.change.merged`. A Flux Receiver's is compared with the field as it is.
    static func isListed(_ eventName: String, as entry: String, isFlux: Bool) -> Bool {
        let (name, entry) = (eventName.lowercased(), entry.lowercased())
        if name == entry { return true }
        guard !isFlux, name.hasPrefix(entry + "."), let type = CDEventType(name) else { return false }
        return type.unversioned == entry
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        guard let body = JSONValue(request.body), let event = event(in: body), isValid(event) else { return nil }
        var name = request.field("ce-type") ?? ""
        // Upstream knows no structured mode, so its envelope's type is ours to take; a Hook falls back to the event's own.
        if name.isEmpty, isEnvelope(body) { name = body["type"]?.plainText ?? "" }
        if name.isEmpty, !keys.isFlux { name = event.at("context", "type")?.plainText ?? "" }
        // CloudEvents' own id where there is one: repeats of one event bear the same.
        let id = request.field("ce-id") ?? (isEnvelope(body) ? body["id"]?.plainText : nil)
        return SenderReading(
            eventNames: [name],
            deliveryID: (id ?? event.at("context", "id")?.plainText).flatMap(SenderTable.deliveryID))
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        guard let body = JSONValue(request.body), let event = event(in: body) else { return SenderEvent() }
        var result = Event(kind: event.at("context", "type")?.plainText)
        let subject = event["subject"]
        let repository = subject?.at("content", "repository")
        result.repository = repository?["id"]?.plainText
        if subject?.at("content", "name") != nil, result.kind?.contains(".repository.") == true {
            result.repository = subject?["id"]?.plainText
            result.repositoryURL = subject?.at("content", "url")?.plainText
        }
        guard result.kind?.contains(".artifact.") == true, let purl = subject?["id"]?.plainText,
            let image = image(of: purl)
        else { return SenderEvent(result) }
        return SenderEvent(result, images: [image])
    }

    /// A package URL `pkg:oci/name@sha256%3A…?repository_url=host/path&tag=v1` (package-url specification, type oci).
    private static func image(of purl: String) -> ImageEvent? {
        guard purl.hasPrefix("pkg:oci/") else { return nil }
        let parts = purl.dropFirst(8).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let nameAndDigest = (parts.first ?? "").split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let query = QueryParameters(parts.count == 2 ? String(parts[1]) : nil)
        let value = { (name: String) in
            query.values(of: name).first?.value.flatMap {
                JSONValue.string(String(decoding: $0, as: UTF8.self)).plainText
            }
        }
        let digest = nameAndDigest.count == 2 ? QueryParameters.decoded(nameAndDigest[1].utf8, plusIsSpace: false) : nil
        let place = value("repository_url")
        return ImageEvent(
            image: place ?? nameAndDigest.first.map(String.init), tag: value("tag"),
            digest: digest.map { String(decoding: $0, as: UTF8.self) }, registry: place == nil ? .unknown() : .named)
    }

    private static func isEnvelope(_ body: JSONValue) -> Bool {
        body["specversion"]?.text != nil && body["context"] == nil && body["data"]?.members != nil
    }

    private static func event(in body: JSONValue) -> JSONValue? {
        guard case .object = body else { return nil }
        return isEnvelope(body) ? body["data"] : body
    }

    static func isValid(_ event: JSONValue) -> Bool {
        guard let context = event["context"], let subject = event["subject"], context.members != nil,
            subject.members != nil, let name = filled(context["type"]), filled(context["id"]) != nil,
            filled(context["source"]) != nil, filled(subject["id"]) != nil
        else { return false }
        for member in ["chainId", "schemaUri"] where !isAbsentOr(context[member], { filled($0) != nil }) {
            return false
        }
        guard isAbsentOr(context["timestamp"], { $0.text.map(DateTime.isRFC3339) ?? false }),
            isAbsentOr(context["links"], areLinks), isAbsentOr(subject["source"], { $0.text != nil }),
            isAbsentOr(event["customData"], { $0.members != nil || $0.text != nil })
        else { return false }
        // Spec 0.5 renamed the member that names the spec's version; an event has one of them.
        let isNewer = filled(context["specversion"]) != nil
        guard isNewer || filled(context["version"]) != nil, let type = CDEventType(name) else { return false }
        return type.isCustom
            ? isCustomSubject(subject, type, isNewer: isNewer) : isKnownSubject(subject, type, isNewer: isNewer)
    }

    /// Not empty.
    static func filled(_ value: JSONValue?) -> String? { value?.text.flatMap { $0.isEmpty ? nil : $0 } }

    static func isAbsentOr(_ value: JSONValue?, _ isRight: (JSONValue) -> Bool) -> Bool {
        guard let value, !value.isNull else { return true }
        return isRight(value)
    }

    private static func areLinks(_ value: JSONValue) -> Bool {
        guard let links = value.elements else { return false }
        return links.allSatisfy { link in
            let names = { (member: String) in
                filled(link.at(member, "contextId")) != nil || filled(link.at(member, "domainId")) != nil
            }
            guard isAbsentOr(link["tags"], { $0.members != nil }) else { return false }
            switch link["linkType"]?.text {
            case "RELATION": return filled(link["linkKind"]) != nil && names("target")
            case "PATH": return names("from")
            case "END": return isAbsentOr(link["from"]) { _ in names("from") }
            default: return false
            }
        }
    }

    private static func isCustomSubject(_ subject: JSONValue, _ type: CDEventType, isNewer: Bool) -> Bool {
        isAbsentOr(subject["content"]) { $0.members != nil }
            && (isNewer ? isAbsentOr(subject["type"]) { $0.text != nil } : filled(subject["type"]) != nil)
    }

    private static func isKnownSubject(_ subject: JSONValue, _ type: CDEventType, isNewer: Bool) -> Bool {
        guard let rule = CDEventRule.of(type), type.version == (isNewer ? rule.version05 : rule.version04) else {
            return false
        }
        let named = subject["type"]?.text
        guard named == rule.subjectType || isNewer && (subject["type"]?.isNull ?? true) else { return false }
        // Missing content counts as empty.
        let content = subject["content"].flatMap { $0.isNull ? nil : $0 } ?? .object([])
        return content.members != nil && rule.accepts(content)
    }
}
