// DeliveryHistory: what the journal says of one delivery behind its record: the plan, and what became of each entry.

internal import Delivery
internal import Journal
internal import Trigger

struct DeliveryHistory: Sendable {
    /// nil: not planned yet.
    let plan: [PlanEntry]?
    private let plannedAt: UInt64?
    private let said: [OutcomeEvent]
    /// Attempts that are not among `said`.
    private let attemptsLeftOut: Int

    /// `lastSegment`: later ones say nothing of it.
    init(of delivery: IndexedDelivery, lastSegment: UInt64, journal: JournalHistory) throws(JournalError) {
        let story = try journal.story(of: delivery.sequence, through: lastSegment)
        plan = story?.plan
        plannedAt = story?.plannedAtUnixNanoseconds
        said = story?.events ?? []
        attemptsLeftOut = story?.eventsLeftOut ?? 0
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
        let own = said.filter { Int($0.planIndex) == index || $0.planIndex == Self.whole }
        let last = own.last
        let merged = own.last { $0.outcome == .merged }?.detail
        let failed = own.filter { $0.outcome == .failed }
        // Where some are left out, the number of the latest one says how many there were.
        let failures = attemptsLeftOut > 0 ? max(failed.count, Int(clamping: failed.last?.detail ?? 0)) : failed.count
        let attempts = failures + (last?.outcome == .done ? 1 : 0)
        let reason = last.map(\.reason) ?? ""
        return [
            "index": .number("\(index)"), "action": .string(action), "target": .string(target),
            "outcome": .string(last?.outcome.name ?? "owed"),
            "reason": reason.isEmpty ? .null : .string(Plain.text(reason)),
            "attempts": .number("\(attempts)"),
            "mergedInto": merged.map { .number("\($0)") } ?? .null,
        ]
    }

    private static let whole = Journal.OutcomeEntry.wholeDelivery

    /// Oldest first.
    var eventsJSON: JSONValue {
        .array(
            said.map { said in
                [
                    "time": .string(APITime.text(said.timeUnixNanoseconds)),
                    "planIndex": said.planIndex == Self.whole
                        ? .null : .number("\(said.planIndex)"),
                    "outcome": .string(said.outcome.name),
                    "attempt": said.outcome == .failed ? .number("\(said.detail)") : .null,
                    "mergedInto": said.outcome == .merged ? .number("\(said.detail)") : .null,
                    "reason": said.reason.isEmpty ? .null : .string(Plain.text(said.reason)),
                ]
            })
    }

    /// Stages as far as they are recorded: when planned, when first and last something was said of it.
    func timing(received: UInt64) -> JSONValue {
        func text(_ time: UInt64?) -> JSONValue { time.map { .string(APITime.text($0)) } ?? .null }
        let last = said.last { $0.outcome.isFinal }
        return [
            "received": .string(APITime.text(received)), "planned": text(plannedAt),
            "firstOutcome": text(said.first?.timeUnixNanoseconds), "lastFinalOutcome": text(last?.timeUnixNanoseconds),
            "seconds": last.map {
                .number(
                    "\(Double($0.timeUnixNanoseconds > received ? ($0.timeUnixNanoseconds - received) / 1_000_000 : 0) / 1000)"
                )
            }
                ?? .null,
        ]
    }
}
