// DeliveryStory: what was planned for a delivery, and what became of it.

/// One recorded outcome or attempt.
public struct OutcomeEvent: Sendable, Equatable {
    /// When it happened, or was written down where that is all that is known.
    public var timeUnixNanoseconds: UInt64
    /// `OutcomeEntry.wholeDelivery`: all of it.
    public var planIndex: UInt16
    public var outcome: Outcome
    /// merged: the sequence merged into; failed: the attempt's number; else 0.
    public var detail: UInt64
    public var reason: String
    /// nil: nothing more is known.
    public var details: OutcomeDetails?

    /// `time`: when it was written.
    public init(_ entry: OutcomeEntry, at time: UInt64) {
        let happened = entry.details?.timeUnixNanoseconds ?? 0
        timeUnixNanoseconds = happened == 0 ? time : happened
        planIndex = entry.planIndex
        outcome = entry.outcome
        detail = entry.detail
        reason = entry.reason
        details = entry.details
    }
}

public struct DeliveryStory: Sendable, Equatable {
    public enum State: String, Sendable, CaseIterable {
        case owed, done, ignored, dead, stored, duplicate
    }

    public var state: State
    /// nil: not planned (yet).
    public var plan: [PlanEntry]?
    public var plannedAtUnixNanoseconds: UInt64?
    /// When its record was durable; nil: not known.
    public private(set) var durableAtUnixNanoseconds: UInt64?
    /// Oldest first. Of many attempts the first and the latest are kept; final outcomes always are.
    public internal(set) var events: [OutcomeEvent] = []
    /// Between those.
    public internal(set) var eventsLeftOut = 0

    static let eventsKept = 100

    // Plan indexes with a final outcome.
    private var finals: Set<UInt16> = []
    private var isWholeFinal = false
    private var hasDead = false
    private var hasEffect = false

    /// Before anything is known but the delivery.
    public init(_ header: RecordHeader) {
        state =
            switch header.decision {
            case .stored: .stored
            case .ignored: .ignored
            case .duplicate: .duplicate
            case .accepted, nil: .owed
            }
    }

    /// An accepted delivery of which nothing else is known.
    init() { state = .owed }

    /// Nothing that follows can change the state.
    var isSettled: Bool { state != .owed }

    /// `time`: when it was written.
    public mutating func take(plan entries: [PlanEntry], _ details: PlanDetails? = nil, at time: UInt64) {
        guard plan == nil else { return }
        plan = entries
        plannedAtUnixNanoseconds = details.flatMap { Self.known($0.plannedUnixNanoseconds) } ?? time
        durableAtUnixNanoseconds = details.flatMap { Self.known($0.durableUnixNanoseconds) }
        settle()
    }

    private static func known(_ time: UInt64) -> UInt64? { time == 0 ? nil : time }

    /// `time`: when it was written.
    public mutating func take(_ entry: OutcomeEntry, at time: UInt64) {
        events.append(OutcomeEvent(entry, at: time))
        if events.count > 2 * Self.eventsKept,
            let attempt = events[Self.eventsKept...].firstIndex(where: { !$0.outcome.isFinal })
        {
            events.remove(at: attempt)
            eventsLeftOut += 1
        }
        guard entry.outcome.isFinal else { return }
        if entry.planIndex == OutcomeEntry.wholeDelivery {
            isWholeFinal = true
        } else {
            finals.insert(entry.planIndex)
        }
        switch entry.outcome {
        case .dead: hasDead = true
        case .done, .merged: hasEffect = true
        case .ignored, .failed: break
        }
        settle()
    }

    /// What the delivery's own record says about its state, once all that is known was taken.
    mutating func conclude(_ header: RecordHeader) {
        if state == .owed, header.flags.contains(.concluded) { state = .done }
        sortEvents()
    }

    mutating func sortEvents() { events.sort { $0.timeUnixNanoseconds < $1.timeUnixNanoseconds } }

    /// As `OwedTable` does.
    private mutating func settle() {
        guard state == .owed || state == .done || state == .dead || state == .ignored else { return }
        guard isWholeFinal || plan.map({ finals.count >= $0.count }) ?? false else { return }
        state = hasDead ? .dead : hasEffect || plan?.isEmpty == true ? .done : .ignored
    }
}
