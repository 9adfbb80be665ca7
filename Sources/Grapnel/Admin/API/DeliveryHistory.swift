// DeliveryHistory: what the journal says of one delivery behind its record: the plan, and what became of each entry.

internal import Delivery
internal import Journal
internal import Trigger

struct DeliveryHistory: Sendable {
    struct Said: Sendable {
        /// When the journal took it, nanoseconds since 1970.
        var at: UInt64
        var entry: Journal.OutcomeEntry
    }

    /// nil: not planned yet.
    private(set) var plan: [PlanEntry]?
    private(set) var plannedAt: UInt64?
    private(set) var said: [Said] = []
    /// More is not told.
    private static let saidMax = 1000

    /// Reads from the delivery on to the end of `lastSegment`.
    init(of delivery: IndexedDelivery, lastSegment: UInt64, reader: JournalReader) throws(JournalError) {
        guard delivery.decision == .accepted else { return }
        var plan: [PlanEntry]?
        var plannedAt: UInt64?
        var said: [Said] = []
        for segment in reader.segments where segment.number >= delivery.segment && segment.number <= lastSegment {
            let offset = segment.number == delivery.segment ? delivery.offset : JournalReader.firstRecordOffset
            _ = try reader.glance(over: segment, from: offset, through: .max) { record in
                switch record.header.type {
                case .plan where record.header.reference == delivery.sequence:
                    plan = record.plan ?? plan
                    plannedAt = plannedAt ?? record.header.timeUnixNanoseconds
                case .outcome:
                    for entry in record.outcomes ?? [] where entry.sequence == delivery.sequence {
                        said.append(Said(at: record.header.timeUnixNanoseconds, entry: entry))
                    }
                default: break
                }
                return said.count < Self.saidMax
            }
        }
        self.plan = plan
        self.plannedAt = plannedAt
        self.said = said
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
        let own = said.filter { Int($0.entry.planIndex) == index || $0.entry.planIndex == Self.whole }
        let last = own.last?.entry
        let merged = own.last { $0.entry.outcome == .merged }?.entry.detail
        let attempts = own.count { $0.entry.outcome == .failed } + (last?.outcome == .done ? 1 : 0)
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

    /// In the order of the journal.
    var eventsJSON: JSONValue {
        .array(
            said.map { said in
                [
                    "time": .string(APITime.text(said.at)),
                    "planIndex": said.entry.planIndex == Self.whole
                        ? .null : .number("\(said.entry.planIndex)"),
                    "outcome": .string(said.entry.outcome.name),
                    "attempt": said.entry.outcome == .failed ? .number("\(said.entry.detail)") : .null,
                    "mergedInto": said.entry.outcome == .merged ? .number("\(said.entry.detail)") : .null,
                    "reason": said.entry.reason.isEmpty ? .null : .string(Plain.text(said.entry.reason)),
                ]
            })
    }

    /// Stages as far as they are recorded: when planned, when first and last something was said of it.
    func timing(received: UInt64) -> JSONValue {
        func text(_ time: UInt64?) -> JSONValue { time.map { .string(APITime.text($0)) } ?? .null }
        let last = said.last { $0.entry.outcome.isFinal }
        return [
            "received": .string(APITime.text(received)), "planned": text(plannedAt),
            "firstOutcome": text(said.first?.at), "lastFinalOutcome": text(last?.at),
            "seconds": last.map { .number("\(Double($0.at > received ? ($0.at - received) / 1_000_000 : 0) / 1000)") }
                ?? .null,
        ]
    }
}
