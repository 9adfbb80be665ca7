// DeliveryProgress: what the journal's plans and outcomes have said of one delivery so far, in 32 bytes.

internal import Journal

struct DeliveryProgress: Sendable, Equatable {
    static let noPlan: UInt16 = 0xffff

    /// Entries of the plan; `noPlan` until one was seen.
    var planCount = DeliveryProgress.noPlan
    /// An outcome named the whole delivery.
    private(set) var isWholeFinal = false
    /// The last attempt failed.
    private(set) var isFailing = false
    private(set) var hasDone = false
    private(set) var hasMerged = false
    private(set) var hasDead = false
    private(set) var hasIgnored = false
    /// Bit per plan index below 64: final.
    private var finals: UInt64 = 0
    /// Final indexes from 64 up, which no plan should have: counted once each, as the journal writes one final outcome an index.
    private var highFinals: UInt16 = 0
    /// The delivery it was merged into last; 0: none.
    private(set) var mergedInto: UInt64 = 0
    /// Of the last `ignored` that had one, in the index's table of reasons; 0: none.
    var reason: UInt16 = 0

    mutating func take(_ entry: OutcomeEntry) {
        guard entry.outcome.isFinal else {
            isFailing = true
            return
        }
        isFailing = false
        switch entry.outcome {
        case .done: hasDone = true
        case .merged:
            hasMerged = true
            mergedInto = entry.detail
        case .dead: hasDead = true
        case .ignored: hasIgnored = true
        case .failed: break
        }
        if entry.planIndex == OutcomeEntry.wholeDelivery {
            isWholeFinal = true
        } else if entry.planIndex < 64 {
            finals |= 1 << UInt64(entry.planIndex)
        } else {
            highFinals = highFinals == .max ? .max : highFinals + 1
        }
    }

    /// What was said later than all that is here.
    mutating func add(_ later: DeliveryProgress) {
        if later.planCount != Self.noPlan { planCount = later.planCount }
        isWholeFinal = isWholeFinal || later.isWholeFinal
        isFailing = later.isFailing
        hasDone = hasDone || later.hasDone
        hasMerged = hasMerged || later.hasMerged
        hasDead = hasDead || later.hasDead
        hasIgnored = hasIgnored || later.hasIgnored
        finals |= later.finals
        highFinals = max(highFinals, later.highFinals)
        if later.mergedInto != 0 { mergedInto = later.mergedInto }
        if later.reason != 0 { reason = later.reason }
    }

    /// Of an index below 64; others count as open.
    func isFinal(_ index: Int) -> Bool { index < 64 && finals & 1 << UInt64(index) != 0 }

    var isFinal: Bool {
        isWholeFinal || (planCount != Self.noPlan && finals.nonzeroBitCount + Int(highFinals) >= Int(planCount))
    }

    /// In the words of the API, for a delivery that was accepted.
    var state: DeliveryState {
        guard isFinal else { return isFailing ? .failed : .owed }
        if hasDead { return .dead }
        if hasDone { return .done }
        return hasMerged ? .merged : hasIgnored || isWholeFinal ? .ignored : .done
    }
}

/// What has become of a delivery.
enum DeliveryState: String, Sendable, CaseIterable {
    /// Waits for its actions, or they run.
    case owed
    /// An attempt failed; another follows.
    case failed
    case done, merged, dead, ignored, duplicate
}
