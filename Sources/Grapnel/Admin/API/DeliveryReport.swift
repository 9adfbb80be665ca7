// DeliveryReport: deliveries as the API tells them: a row of a list, and everything about one.
//
// What came with the request is told as it lies in the journal, where credentials are overwritten; as a last line of defence the texts
// of the route's own secrets are taken out as well, and of a path what is or may be a secret in it.

internal import CLinuxIO
internal import Delivery
internal import Foundation
internal import Journal
internal import Trigger

struct DeliveryReport: Sendable {
    let reader: JournalReader
    let journal: JournalHistory
    let index: DeliveryIndex
    let routes: CurrentRoutes
    let pauses: PauseBook

    /// Larger records are listed without what their body says.
    private static let rowBytesMax: UInt32 = 256 << 10
    /// More of a body is to be had as `?body=raw` only.
    static let bodyBytesMax = 1 << 20
    /// How long a chain of merged deliveries is followed.
    private static let mergedNanoseconds: UInt64 = 500_000_000
    /// Larger bodies are not planned again to show the match.
    private static let matchBytesMax = 1 << 20

    // MARK: - Rows

    /// `deadline`: behind it, rows go without what the body says.
    func row(_ delivery: IndexedDelivery, of identity: RouteIdentity?, deadline: UInt64) -> JSONValue {
        var texts: RecordTexts?
        var bodyBytes: UInt32?
        var event: Event?
        if delivery.length <= Self.rowBytesMax, cl_now_monotonic() < deadline,
            let record = try? reader.read(delivery.location, expecting: delivery.sequence)
        {
            texts = record.texts
            bodyBytes = record.header.receivedBodyLength
            if delivery.decision != .duplicate {
                event = DeliveryPayload(record).map { ActionSet.decodeEvent($0) }
            }
        } else if let glanced = glance(delivery) {
            texts = glanced.texts
            bodyBytes = glanced.header.receivedBodyLength
        }
        return .object(
            members(delivery, identity, texts, bodyBytes, deadline: deadline) + Self.members(of: event))
    }

    /// Its header and meta; nil when its record is gone.
    func glance(_ delivery: IndexedDelivery) -> GlancedRecord? {
        guard let segment = reader.segments.first(where: { $0.number == delivery.segment }) else { return nil }
        var found: GlancedRecord?
        _ = try? reader.glance(over: segment, from: delivery.offset, through: delivery.sequence) { record in
            found = record
            return false
        }
        return found?.sequence == delivery.sequence ? found : nil
    }

    /// What the index and the record's meta tell.
    private func members(
        _ delivery: IndexedDelivery, _ route: RouteIdentity?, _ texts: RecordTexts?, _ bodyBytes: UInt32?,
        plan: [PlanEntry]? = nil, deadline: UInt64
    ) -> [JSONValue.Member] {
        func optional(_ value: UInt64, _ isThere: Bool) -> JSONValue { isThere ? .number("\(value)") : .null }
        let reason =
            delivery.decision == .ignored
            ? Delivery.IgnoredReason(rawValue: delivery.ignoredReason)?.name ?? "reason-\(delivery.ignoredReason)"
            : index.ignoredReason(delivery).map { Plain.text($0) }
        let heir = try? index.last(mergedFrom: delivery, deadline: deadline)
        return [
            .init(name: "sequence", value: .number("\(delivery.sequence)")),
            .init(name: "received", value: .string(APITime.text(delivery.received))),
            .init(name: "route", value: route.map(Self.json) ?? .null),
            .init(name: "sender", value: .string(SenderType(rawValue: delivery.sender)?.name ?? "unknown")),
            .init(
                name: "deliveryID",
                value: texts.flatMap { $0.deliveryID.isEmpty ? nil : .string(Plain.text($0.deliveryID)) } ?? .null),
            .init(name: "event", value: .string(texts.map { Plain.text($0.eventName) } ?? "")),
            .init(name: "decision", value: .string(delivery.decision.name)),
            .init(name: "outcome", value: .string(delivery.state.rawValue)),
            .init(name: "reason", value: reason.map { .string($0) } ?? .null),
            .init(name: "duplicateOf", value: optional(delivery.reference, delivery.decision == .duplicate)),
            .init(
                name: "mergedInto",
                value: optional(delivery.progress.mergedInto, delivery.progress.mergedInto != 0)),
            .init(name: "mergedLast", value: heir.map { .number("\($0.sequence)") } ?? .null),
            .init(name: "mergedOutcome", value: heir.map { .string($0.state.rawValue) } ?? .null),
            .init(
                name: "redeliveryOf",
                value: optional(
                    delivery.reference, delivery.flags.contains(.redelivered) && !delivery.flags.contains(.adopted))),
            .init(
                name: "pausedBy",
                value: pauses.subject(holding: delivery, of: route, plan: plan).map(\.json) ?? .null),
            .init(name: "adopted", value: .bool(delivery.flags.contains(.adopted))),
            .init(name: "sameIDOtherBody", value: .bool(delivery.flags.contains(.sameIDOtherBody))),
            .init(name: "bodyBytes", value: bodyBytes.map { .number("\($0)") } ?? .null),
        ]
    }

    private static func members(of event: Event?) -> [JSONValue.Member] {
        func text(_ value: String?) -> JSONValue { value.map { .string(Plain.text($0)) } ?? .null }
        return [
            .init(name: "repository", value: text(event?.repository)),
            .init(name: "ref", value: text(event?.ref)),
            .init(name: "commit", value: text(event?.commit)),
            .init(name: "image", value: text(event?.image.map { $0 + (event?.tag.map { ":" + $0 } ?? "") })),
        ]
    }

    static func json(_ route: RouteIdentity) -> JSONValue {
        [
            "cluster": .string(route.cluster), "kind": .string(route.kind.name), "namespace": .string(route.namespace),
            "name": .string(route.name),
        ]
    }

    // MARK: - One delivery

    /// The decoded event of a delivery, for filters; nil when it cannot be read.
    func event(_ delivery: IndexedDelivery) -> Event? {
        guard delivery.decision != .duplicate,
            let record = try? reader.read(delivery.location, expecting: delivery.sequence)
        else { return nil }
        return DeliveryPayload(record).map { ActionSet.decodeEvent($0) }
    }

    /// Everything about one delivery; nil when its record is gone meanwhile. Throws when the disk cannot be read.
    func detail(_ delivery: IndexedDelivery, lastSegment: UInt64) throws(JournalError) -> JSONValue? {
        guard let record = try reader.read(delivery.location, expecting: delivery.sequence) else { return nil }
        let history = try DeliveryHistory(of: delivery, lastSegment: lastSegment, journal: journal)
        let stored = StoredDelivery(record.bytes)
        let identity = index.route(delivery)
        let redaction = try redaction(of: delivery, identity) { record }
        let definition = identity.flatMap { routes.definition(of: $0) }
        let texts = record.texts
        let payload = DeliveryPayload(record)
        let event = delivery.decision == .duplicate ? nil : payload.map { ActionSet.decodeEvent($0) }
        let more: [JSONValue.Member] = [
            .init(name: "origin", value: Self.origin(record)),
            .init(name: "request", value: stored.map { request($0, record, redaction) } ?? .null),
            .init(name: "verification", value: Self.verification(stored, definition)),
            .init(name: "merged", value: .number("\(history.mergedCount)")),
            .init(name: "plan", value: history.planJSON),
            .init(name: "history", value: history.eventsJSON),
            .init(name: "timing", value: history.timing(received: delivery.received)),
            .init(name: "routeExists", value: .bool(definition != nil)),
            .init(name: "match", value: match(delivery, definition, stored, payload)),
        ]
        let members =
            members(
                delivery, identity, texts, record.header.receivedBodyLength, plan: history.plan,
                deadline: cl_now_monotonic() + Self.mergedNanoseconds)
            + Self.members(of: event) + more
        return redaction(.object(members))
    }

    /// The body as it lies in the journal, without the route's own secrets; nil when the record is gone.
    func body(_ delivery: IndexedDelivery) throws(JournalError) -> (bytes: [UInt8], isKept: Bool)? {
        guard let record = try reader.read(delivery.location, expecting: delivery.sequence) else { return nil }
        return (
            try redaction(of: delivery, index.route(delivery)) { record }.masked(Array(record.body)),
            record.header.bodyLength == record.header.receivedBodyLength
        )
    }

    /// Takes out the secrets of its route and, of a redelivery, those of the route that the request came to. Where that is not known any
    /// more it may be each: then all that occur in the record.
    private func redaction(
        of delivery: IndexedDelivery, _ own: RouteIdentity?, record: () throws(JournalError) -> StoredRecord?
    ) throws(JournalError) -> Redaction {
        var identities: Set<RouteIdentity> = []
        var others: [String] = []
        if let own { identities.insert(own) }
        if delivery.flags.contains(.redelivered) {
            if delivery.isRedelivery, let first = try journal.route(of: delivery.original) {
                identities.insert(first)
            } else {
                let all = Redaction(secrets: routes.table.definitions.flatMap(\.secrets))
                others = try record().map { all.occurring(in: $0.bytes) } ?? []
            }
        }
        return Redaction(
            secrets: identities.flatMap { routes.definition(of: $0)?.secrets ?? [] }, values: others)
    }

    /// The same for what is told of it elsewhere; nil: its record cannot be read, so that they are not known.
    func redaction(of delivery: IndexedDelivery, _ own: RouteIdentity?) -> Redaction? {
        try? redaction(of: delivery, own) { () throws(JournalError) in
            try reader.read(delivery.location, expecting: delivery.sequence)
        }
    }

    private static func origin(_ record: StoredRecord) -> JSONValue {
        guard let origin = record.origin else { return .null }
        let text = "\(origin)"
        return ["journal": .string(String(text.prefix { $0 != "#" })), "sequence": .number("\(origin.sequence)")]
    }

    private func request(_ stored: StoredDelivery, _ record: StoredRecord, _ redaction: Redaction) -> JSONValue {
        let tokenRoutes = routes.definition(of: stored.route).map { $0.identity.kind == .hook ? [$0.path] : [] } ?? []
        let body = Array(record.body.prefix(Self.bodyBytesMax))
        let isKept = record.header.bodyLength == record.header.receivedBodyLength
        let text = String(validating: body, as: UTF8.self)
        let encoding = !isKept ? "none" : text == nil ? "base64" : "text"
        return [
            "method": .string(Plain.text(stored.request.method, max: 32)),
            "path": .string(Plain.path(stored.request.path, tokenRoutes: tokenRoutes)),
            "query": stored.request.query.map { .string(Plain.text($0, max: 4096)) } ?? .null,
            "host": .string(Plain.text(stored.host, max: 255)),
            "fields": .array(
                stored.request.fields.map {
                    ["name": .string(Plain.text($0.name)), "value": .string(Plain.text($0.value, max: 8192))]
                }),
            "body": [
                "encoding": .string(encoding),
                "content": .string(!isKept ? "" : text ?? Data(redaction.masked(body)).base64EncodedString()),
                "bytes": .number("\(record.header.receivedBodyLength)"),
                "isTruncated": .bool(record.body.count > body.count),
            ],
        ]
    }

    private static func verification(_ stored: StoredDelivery?, _ definition: RouteDefinition?) -> JSONValue {
        let proof = stored.map { RecordedProof($0.route, $0.sender, $0.request.fields, definition) }
        return [
            // What is in the journal was proven when it was received, where anything had to be.
            "status": proof == RecordedProof.none ? "none" : "proven",
            "proof": proof.map { .string($0.rawValue) } ?? .null,
            "masked": .array(
                (stored?.request.fields ?? []).filter { !$0.value.isEmpty && $0.value.allSatisfy { $0 == "*" } }
                    .map { .string(Plain.text($0.name)) }),
        ]
    }

    // MARK: - Match

    /// What the present configuration makes of it: filters, targets. Targets that filters look at are not read from an API server.
    private func match(
        _ delivery: IndexedDelivery, _ definition: RouteDefinition?, _ stored: StoredDelivery?,
        _ payload: DeliveryPayload?
    ) -> JSONValue {
        guard let definition, let stored, let payload, delivery.decision == .accepted || delivery.decision == .stored,
            payload.body.count <= Self.matchBytesMax
        else { return .null }
        let explainer = TargetExplainer(
            clients: [:], repositories: routes.repositories, images: routes.allImages)
        let queued = QueuedDelivery(
            sequence: delivery.sequence, receivedNanoseconds: delivery.received, route: stored.route,
            location: DeliveryLocation(segment: delivery.segment, offset: delivery.offset, length: delivery.length))
        let planned = Blocking.wait(seconds: 2) { await explainer.plan(definition, payload, queued) }
        guard let planned else { return .null }
        var explanation = Explanation(request: Explanation.Request(source: ""))
        explanation.planned = planned
        let json = explanation.json
        return [
            "filters": json["filters"] ?? [], "writes": json["writes"] ?? [], "notes": json["notes"] ?? [],
        ]
    }
}

/// Times as the API writes them: RFC 3339 in UTC, to the millisecond.
enum APITime {
    static func text(_ nanoseconds: UInt64) -> String {
        Date(timeIntervalSince1970: Double(nanoseconds / 1_000_000) / 1000)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
