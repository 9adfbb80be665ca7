// A delivery of the journal: it was proven and answered when it was received; what follows from it is found with the configuration as it
// is now.

import Catalog
import Delivery
import Journal
import Trigger

extension Explainer {
    func explain(_ stored: StoredDelivery) async -> Explanation {
        var explanation = Explanation(
            request: Explanation.Request(
                source: "delivery \(stored.sequence) of the journal",
                method: Plain.text(stored.request.method, max: 32),
                path: shownPath(stored.request) + (stored.request.query == nil ? "" : "?…"),
                host: Plain.text(stored.host, max: 255), bodyBytes: stored.receivedBodyBytes))
        explanation.verification.status = .earlier
        explanation.judgement.notes = stored.history.map { "journal: \(Plain.text($0))" }
        switch stored.decision {
        case .accepted, .stored, .duplicate: explanation.outcome = .accepted
        case .ignored:
            explanation.outcome = .ignored
            explanation.judgement.reason = stored.ignoredReason?.name ?? "unknown"
        }
        let payload = DeliveryPayload(
            sender: stored.sender, deliveryID: stored.deliveryID, eventKind: stored.eventName, stored.request)
        explanation.decoded = Explanation.Decoded(
            event: ActionSet.decodeEvent(payload), sender: stored.sender.name, deliveryID: stored.deliveryID,
            dedupeWindowSeconds: stored.dedupeWindowSeconds, masked: Self.masked(stored.request))
        guard let number = table.route(of: stored.route) else {
            explanation.outcome = .noRoute
            explanation.route.reasons =
                [
                    "\(stored.route), for which it was accepted, is not in the configuration: what is owed is given up (route-removed)"
                ]
                + snapshot.unserved.filter { $0.identity == stored.route }.map { "\($0.place): \($0.reason)" }
            return explanation
        }
        let definition = table.definitions[number]
        explanation.route = Self.route(definition, bodyBytesMax: table.bodyBytesMax(of: number))
        if stored.decision == .duplicate {
            explanation.judgement.notes.insert(
                "a duplicate of delivery \(stored.original), which says what follows: its own body is not kept", at: 0)
            return explanation
        }
        guard stored.decision != .ignored else { return explanation }
        explanation.planned = await targets.plan(
            definition, payload,
            QueuedDelivery(
                sequence: stored.sequence, receivedNanoseconds: stored.receivedNanoseconds, route: stored.route,
                location: DeliveryLocation(segment: 0, offset: 0, length: 0)))
        return explanation
    }

    /// What is overwritten already.
    private static func masked(_ request: InboundRequest) -> [String] {
        var found = request.fields.filter { $0.value.utf8.count > 1 && $0.value.allSatisfy { $0 == "*" } }.map {
            "the field \($0.name)"
        }
        if request.path.contains("**") { found.append("a part of the path") }
        if request.query?.contains("**") ?? false { found.append("a part of the query") }
        return found
    }
}
