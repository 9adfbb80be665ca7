// EventFeed: records of the journal as events, and which listener means which.
//
//   delivery    a Delivery, as it is when it is received
//   outcome     what an action came to, with what it is of; meant by a filter when the delivery is, and its `outcome` names it
//   gap         something is missing here, and why
//
// What an outcome is of is known when the delivery came by here; else it is looked up in the index. For the events' thread alone.

internal import CLinuxIO
internal import Delivery
internal import Journal

struct EventFeed {
    /// What an outcome is of.
    struct Subject {
        var delivery: IndexedDelivery
        var route: RouteIdentity?
        var deliveryID: String
        var event: String
    }

    struct Item {
        enum What {
            case delivery(Subject)
            case outcome(Journal.OutcomeEntry)
        }

        var what: What
        /// Behind it.
        var place: EventPlace
    }

    /// Why something is missing.
    enum Gap: String {
        case slowClient = "slow-client"
        case serverEnds = "server-ends"
        case tooMany = "too-many"
        case tooOld = "too-old"
        case unknownID = "unknown-id"
    }

    /// Deliveries that are remembered, for outcomes that follow.
    private static let recentMax = 10_000

    private let report: DeliveryReport
    private let index: DeliveryIndex
    private var recent = Recent(capacity: recentMax)

    init(report: DeliveryReport) {
        self.report = report
        index = report.index
    }

    // MARK: - Records

    /// What a record tells, in its order.
    mutating func items(of record: GlancedRecord) -> [Item] {
        switch record.header.type {
        case .delivery:
            guard let texts = record.texts, let kind = ReceiverKind(rawValue: record.header.receiverKind),
                let delivery = IndexedDelivery(record, route: 0, idHash: 0)
            else { return [] }
            let route = RouteIdentity(
                cluster: texts.cluster, kind: kind, namespace: texts.namespace, name: texts.name)
            let subject = Subject(
                delivery: delivery, route: route, deliveryID: texts.deliveryID, event: texts.eventName)
            recent.note(subject)
            return [Item(what: .delivery(subject), place: EventPlace(record.sequence))]
        case .outcome:
            let entries = record.outcomes ?? []
            return entries.enumerated().map { number, entry in
                let count = number + 1 < entries.count ? number + 1 : nil
                return Item(what: .outcome(entry), place: EventPlace(record.sequence, entryCount: count))
            }
        case .plan, .probe, .keep: return []
        }
    }

    /// What an item is of; `.some(nil)`: it is gone from the journal, or cannot be read; nil: the deadline came first.
    mutating func subject(of item: Item, deadline: UInt64) -> Subject?? {
        guard case .outcome(let entry) = item.what else {
            if case .delivery(let subject) = item.what { return .some(subject) }
            return .some(nil)
        }
        if let known = recent[entry.sequence] { return .some(known) }
        switch try? index.find(entry.sequence, deadline: deadline) {
        case .found(let delivery, _):
            let texts = report.glance(delivery)?.texts
            let subject = Subject(
                delivery: delivery, route: index.route(delivery), deliveryID: texts?.deliveryID ?? "",
                event: texts?.eventName ?? "")
            recent.note(subject)
            return .some(subject)
        case .unfinished: return nil
        case .unknown, nil: return .some(nil)
        }
    }

    // MARK: - Filters

    /// Whether a listener is meant. `event` decodes the delivery's body, and is asked last.
    static func isMeant(
        _ item: Item, _ subject: Subject?, by filter: DeliveryFilter, event: () -> Event?
    ) -> Bool {
        var rest = filter
        if case .outcome(let entry) = item.what {
            guard names(filter.outcomes, entry, of: subject?.delivery) else { return false }
            rest.outcomes = []
        }
        guard let subject else { return rest == DeliveryFilter() }
        if let id = rest.deliveryID, id != subject.deliveryID { return false }
        guard rest.matches(subject.delivery, of: subject.route) else { return false }
        return !rest.readsBody || event().map { rest.matches($0) } ?? false
    }

    /// An outcome is found by its own word; `owed` finds the attempts that are followed by another, `accepted` all.
    private static func names(
        _ words: Set<DeliveryFilter.OutcomeWord>, _ entry: Journal.OutcomeEntry, of delivery: IndexedDelivery?
    ) -> Bool {
        guard !words.isEmpty else { return true }
        if words.contains(.accepted) { return true }
        if words.contains(.owed), entry.outcome == .failed { return true }
        return DeliveryFilter.OutcomeWord(rawValue: entry.outcome.name).map(words.contains) ?? false
    }

    func event(of subject: Subject?) -> Event? { subject.flatMap { report.event($0.delivery) } }

    // MARK: - Texts

    /// `deadline`: behind it, rows go without what the body says.
    func text(_ item: Item, _ subject: Subject?, deadline: UInt64) -> String {
        switch item.what {
        case .delivery(let subject):
            Self.text(
                "delivery", id: item.place, report.row(subject.delivery, of: subject.route, deadline: deadline))
        case .outcome(let entry): Self.text("outcome", id: item.place, Self.json(entry, subject))
        }
    }

    static func gap(_ reason: Gap, skipped: Int? = nil, id: EventPlace? = nil) -> String {
        text(
            "gap", id: id,
            ["reason": .string(reason.rawValue), "skipped": skipped.map { .number("\($0)") } ?? .null])
    }

    /// Keeps the connection alive, and says how far the listener is: an `id` without data is taken and tells nothing.
    static func stillHere(_ place: EventPlace) -> String { ": still here\nid: \(place.text)\n\n" }

    private static func text(_ name: String, id: EventPlace?, _ data: JSONValue) -> String {
        let data = String(decoding: data.serialized, as: UTF8.self)
        return "event: \(name)\n" + (id.map { "id: \($0.text)\n" } ?? "") + "data: \(data)\n\n"
    }

    private static func json(_ outcome: Journal.OutcomeEntry, _ subject: Subject?) -> JSONValue {
        func text(_ value: String?) -> JSONValue {
            value.flatMap { $0.isEmpty ? nil : .string(Plain.text($0)) } ?? .null
        }
        let isWhole = outcome.planIndex == Journal.OutcomeEntry.wholeDelivery
        return [
            "sequence": .number("\(outcome.sequence)"),
            "received": subject.map { .string(APITime.text($0.delivery.received)) } ?? .null,
            "route": subject?.route.map(DeliveryReport.json) ?? .null, "deliveryID": text(subject?.deliveryID),
            "event": text(subject?.event), "planIndex": isWhole ? .null : .number("\(outcome.planIndex)"),
            "outcome": .string(outcome.outcome.name),
            "attempt": outcome.outcome == .failed ? .number("\(outcome.detail)") : .null,
            "mergedInto": outcome.outcome == .merged ? .number("\(outcome.detail)") : .null,
            "reason": text(outcome.reason),
        ]
    }
}

extension EventFeed {
    /// The latest deliveries, by sequence.
    private struct Recent {
        let capacity: Int
        private var subjects: [UInt64: Subject] = [:]
        private var order: [UInt64] = []
        private var next = 0

        init(capacity: Int) { self.capacity = capacity }

        mutating func note(_ subject: Subject) {
            let sequence = subject.delivery.sequence
            guard subjects.updateValue(subject, forKey: sequence) == nil else { return }
            guard order.count >= capacity else {
                order.append(sequence)
                return
            }
            subjects[order[next]] = nil
            order[next] = sequence
            next = (next + 1) % capacity
        }

        subscript(_ sequence: UInt64) -> Subject? { subjects[sequence] }
    }
}
