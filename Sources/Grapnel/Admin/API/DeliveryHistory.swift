// DeliveryHistory: what the journal says of one delivery behind its record: the plan, and what became of each entry.

internal import Delivery
internal import Journal
internal import Trigger

struct DeliveryHistory: Sendable {
    /// nil: not planned yet.
    let plan: [PlanEntry]?
    private let plannedAt: UInt64?
    private let durableAt: UInt64?
    private let said: [OutcomeEvent]

    /// `lastSegment`: later ones say nothing of it.
    init(of delivery: IndexedDelivery, lastSegment: UInt64, journal: JournalHistory) throws(JournalError) {
        self.init(try journal.story(of: delivery.sequence, through: lastSegment))
    }

    init(_ story: DeliveryStory?) {
        plan = story?.plan
        plannedAt = story?.plannedAtUnixNanoseconds
        durableAt = story?.durableAtUnixNanoseconds
        said = story?.events ?? []
    }

    /// Whether nothing more will be done for that entry.
    func isFinal(_ index: Int) -> Bool {
        said.contains { $0.outcome.isFinal && ($0.planIndex == Self.whole || Int($0.planIndex) == index) }
    }

    static func action(_ entry: PlanEntry) -> (name: String, target: String) {
        guard let action = PlannedAction(EncodedPlanEntry(actionKind: entry.actionKind, target: entry.target)) else {
            return ("action-\(entry.actionKind)", "")
        }
        return (action.name, Plain.text(action.targetText))
    }

    /// null when it was not planned; each entry with what became of it last.
    var planJSON: JSONValue {
        guard let plan else { return .null }
        return .array(plan.enumerated().map { json($0, $1) })
    }

    private func json(_ index: Int, _ entry: PlanEntry) -> JSONValue {
        let (action, target) = Self.action(entry)
        let own = said.filter { Int($0.planIndex) == index }
        let whole = said.filter { $0.planIndex == Self.whole }
        // What was said of the entry itself tells more than what was said of all.
        let last = own.last { $0.outcome.isFinal } ?? whole.last { $0.outcome.isFinal } ?? own.last ?? whole.last
        let merged = (own + whole).last { $0.outcome == .merged }?.detail
        let reason = last.map(\.reason) ?? ""
        return [
            "index": .number("\(index)"), "action": .string(action), "target": .string(target),
            "outcome": .string(last?.outcome.name ?? "owed"),
            "reason": reason.isEmpty ? .null : .string(Plain.text(reason)),
            "attempts": .number("\(attempts(own))"), "merged": .number("\(Self.merged(own))"),
            "mergedInto": merged.map { .number("\($0)") } ?? .null,
        ]
    }

    private static let whole = Journal.OutcomeEntry.wholeDelivery

    /// Of what was said of one entry. Attempts that time heals are not recorded each, but the number of those that were made is; it
    /// begins anew with each start of the server.
    private func attempts(_ own: [OutcomeEvent]) -> Int {
        var before = 0
        var now = 0
        for event in own {
            let made = Int(event.details?.attempts ?? 0)
            if event.details == nil {
                if Self.isAttempt(event) { now = max(now + 1, Int(clamping: event.detail)) }
            } else if Self.isAttempt(event), made <= now {
                before += now
                now = made
            } else {
                now = max(now, made)
            }
        }
        return before + now
    }

    /// Whether it is what an attempt came to.
    private static func isAttempt(_ event: OutcomeEvent) -> Bool {
        guard let details = event.details else { return event.outcome != .merged && event.outcome != .ignored }
        return details.durationMicroseconds > 0
    }

    private static func merged(_ own: [OutcomeEvent]) -> UInt32 { own.compactMap { $0.details?.merged }.max() ?? 0 }

    /// Deliveries that were merged into this one: the most that one of its actions stood for.
    var mergedCount: UInt32 { Self.merged(said) }

    /// Oldest first.
    var eventsJSON: JSONValue { .array(said.map(Self.json)) }

    private static func json(_ event: OutcomeEvent) -> JSONValue { .object(members(of: event)) }

    /// What is told of one outcome or attempt, here and in the events. No text is longer than 400 characters.
    static func members(of event: OutcomeEvent) -> [JSONValue.Member] {
        func text(_ text: String?) -> JSONValue { text.flatMap { $0.isEmpty ? nil : .string(Plain.text($0)) } ?? .null }
        let details = event.details
        let isAttempt = isAttempt(event)
        // Of an older record: only of a failure, and only what counted.
        let number = details.map { UInt64($0.attempts) } ?? event.detail
        let hasNumber = isAttempt && (details != nil || event.outcome == .failed)
        let status = details.map(\.status) ?? 0
        let members: JSONValue = [
            "time": .string(APITime.text(event.timeUnixNanoseconds)),
            "planIndex": event.planIndex == whole ? .null : .number("\(event.planIndex)"),
            "outcome": .string(event.outcome.name), "attempt": hasNumber ? .number("\(number)") : .null,
            "began": began(event).map { .string(APITime.text($0)) } ?? .null,
            "seconds": isAttempt
                ? details.map { .number("\(Double($0.durationMicroseconds) / 1_000_000)") } ?? .null : .null,
            "request": text(details?.request), "status": status == 0 ? .null : .number("\(status)"),
            "answer": text(details?.answer), "merged": .number("\(details?.merged ?? 0)"),
            "mergedInto": event.outcome == .merged ? .number("\(event.detail)") : .null, "reason": text(event.reason),
        ]
        return members.members ?? []
    }

    /// When the attempt began that came to this; nil: none did, or it is not known.
    private static func began(_ event: OutcomeEvent) -> UInt64? {
        guard isAttempt(event), let details = event.details else { return nil }
        return event.timeUnixNanoseconds &- UInt64(details.durationMicroseconds) * 1000
    }

    /// Stages as far as they are recorded.
    func timing(received: UInt64) -> JSONValue {
        func text(_ time: UInt64?) -> JSONValue { time.map { .string(APITime.text($0)) } ?? .null }
        let last = said.last { $0.outcome.isFinal }
        return [
            "received": .string(APITime.text(received)), "durable": text(durableAt), "planned": text(plannedAt),
            "firstAttempt": text(said.compactMap(Self.began).min()),
            "firstOutcome": text(said.first?.timeUnixNanoseconds), "lastFinalOutcome": text(last?.timeUnixNanoseconds),
            "seconds": last.map { last in
                let nanoseconds = last.timeUnixNanoseconds > received ? last.timeUnixNanoseconds - received : 0
                return .number("\(Double(nanoseconds / 1_000_000) / 1000)")
            } ?? .null,
        ]
    }
}
