// EventFeed: records of the journal as events, and which listener means which.
//
//   delivery    a Delivery, as it is when it is received
//   outcome     what an action came to, with what it is of; meant by a filter when the delivery is, or one that was merged into it, and its
//               `outcome` names it
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
            case outcome(sequence: UInt64, OutcomeEvent)
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
    /// Of those that an outcome stands for, how many are asked whether a filter means them, and how far back they are looked for.
    private static let mergedMax = 100
    private static let mergedLooksMax = 5000

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
            let entries = report.reader.tellingOutcomes(of: record)
            return entries.enumerated().map { number, entry in
                let count = number + 1 < entries.count ? number + 1 : nil
                let event = OutcomeEvent(entry, at: record.header.timeUnixNanoseconds)
                return Item(
                    what: .outcome(sequence: entry.sequence, event),
                    place: EventPlace(record.sequence, entryCount: count))
            }
        case .plan, .probe, .keep: return []
        }
    }

    /// What an item is of; `.some(nil)`: it is gone from the journal, or cannot be read; nil: the deadline came first.
    mutating func subject(of item: Item, deadline: UInt64) -> Subject?? {
        guard case .outcome(let sequence, _) = item.what else {
            if case .delivery(let subject) = item.what { return .some(subject) }
            return .some(nil)
        }
        if let known = recent[sequence] { return .some(known) }
        switch try? index.find(sequence, deadline: deadline) {
        case .found(let delivery, _):
            let subject = subject(of: delivery)
            recent.note(subject)
            return .some(subject)
        case .unfinished: return nil
        case .unknown, nil: return .some(nil)
        }
    }

    private func subject(of delivery: IndexedDelivery) -> Subject {
        let texts = report.glance(delivery)?.texts
        return Subject(
            delivery: delivery, route: index.route(delivery), deliveryID: texts?.deliveryID ?? "",
            event: texts?.eventName ?? "")
    }

    /// The deliveries that were merged into what an outcome is of, as many as are asked.
    func merged(into subject: Subject?, _ item: Item, deadline: UInt64) -> [Subject] {
        guard let subject, case .outcome(_, let event) = item.what, let count = event.details?.merged, count > 0
        else { return [] }
        let found = try? index.merged(
            into: subject.delivery, countMax: min(Int(count), Self.mergedMax), looksMax: Self.mergedLooksMax,
            deadline: deadline)
        return (found ?? []).map { self.subject(of: $0) }
    }

    // MARK: - Filters

    /// Whether a listener is meant. `event` decodes the delivery's body, and is asked last.
    static func isMeant(
        _ item: Item, _ subject: Subject?, by filter: DeliveryFilter, event: () -> Event?
    ) -> Bool {
        var rest = filter
        if case .outcome(_, let event) = item.what {
            guard names(filter.outcomes, event) else { return false }
            rest.outcomes = []
        }
        guard let subject else { return rest == DeliveryFilter() }
        if let id = rest.deliveryID, id != subject.deliveryID { return false }
        guard rest.matches(subject.delivery, of: subject.route) else { return false }
        return !rest.readsBody || event().map { rest.matches($0) } ?? false
    }

    /// Whether a filter that does not mean an outcome for its delivery may mean it for one that was merged into that.
    static func mayMeanMerged(_ filter: DeliveryFilter, _ item: Item) -> Bool {
        guard case .outcome(_, let event) = item.what else { return false }
        return event.details?.merged ?? 0 > 0 && names(filter.outcomes, event)
    }

    /// An outcome is found by its own word; `owed` finds the attempts that are followed by another, `accepted` all.
    private static func names(
        _ words: Set<DeliveryFilter.OutcomeWord>, _ event: OutcomeEvent
    ) -> Bool {
        guard !words.isEmpty else { return true }
        if words.contains(.accepted) { return true }
        if words.contains(.owed), event.outcome == .failed { return true }
        return DeliveryFilter.OutcomeWord(rawValue: event.outcome.name).map(words.contains) ?? false
    }

    func event(of subject: Subject?) -> Event? { subject.flatMap { report.event($0.delivery) } }

    // MARK: - Texts

    /// `deadline`: behind it, rows go without what the body says. `merged`: what a filter means in the place of the subject.
    func text(_ item: Item, _ subject: Subject?, for merged: Subject? = nil, deadline: UInt64) -> String {
        switch item.what {
        case .delivery(let subject):
            Self.text(
                "delivery", id: item.place, report.row(subject.delivery, of: subject.route, deadline: deadline))
        case .outcome(let sequence, let event):
            Self.text("outcome", id: item.place, json(sequence, event, subject, merged))
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

    /// About 4 KiB at most: texts are cut where they are written and again where they are told.
    private func json(
        _ sequence: UInt64, _ event: OutcomeEvent, _ subject: Subject?, _ merged: Subject?
    ) -> JSONValue {
        func text(_ value: String?) -> JSONValue {
            value.flatMap { $0.isEmpty ? nil : .string(Plain.text($0)) } ?? .null
        }
        var event = event
        var redaction: Redaction?
        if let subject { redaction = report.redaction(of: subject.delivery, subject.route) }
        // Nobody knows what secrets the route of one that is gone had.
        if redaction == nil {
            event.details?.request = ""
            event.details?.answer = ""
        }
        let whose: [JSONValue.Member] = [
            .init(name: "sequence", value: .number("\(sequence)")),
            .init(
                name: "received", value: subject.map { .string(APITime.text($0.delivery.received)) } ?? .null),
            .init(name: "route", value: subject?.route.map(DeliveryReport.json) ?? .null),
            .init(name: "deliveryID", value: text(subject?.deliveryID)),
            .init(name: "event", value: text(subject?.event)),
            .init(name: "mergedFrom", value: merged.map { .number("\($0.delivery.sequence)") } ?? .null),
        ]
        let told = JSONValue.object(DeliveryHistory.members(of: event))
        return .object(whose + ((redaction?(told) ?? told).members ?? []))
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
