// OperatorCoverage: which of the things that operators do, and are told, simulated runs reached.

/// What simulated runs must reach.
enum OperatorSight: CaseIterable {
    /// Redelivered as its route says now, to another route, some of its plan, that at another object.
    case asConfigured, toRoute, ofPlan, toObject
    /// What was a redelivery itself, to another route too.
    case again, againElsewhere
    /// By a selection; what a selection left out, or found redelivered when its turn came.
    case selected, leftOut, meanwhile
    /// Asked for without doing it.
    case dry
    /// Nobody waited for the answer any more; it came after that.
    case slow, late
    /// The life ended before the answer came.
    case cut
    /// The power went, and a redelivery had no answer.
    case powerCut
    /// Refused: its delivery is owed; unknown; has no body; its route is gone, or not listed yet.
    case refusedOwed, refusedUnknown, refusedDuplicate, refusedGone, refusedUnlisted
    /// Refused: there is no such route, it is suspended or has no actions, it is a tenant's, there is no such entry.
    case refusedRoute, refusedUnusable, refusedTenant, refusedEntry
    /// Refused: a job runs, the disk fails, the log is full, the namespace is over its share, the disk cannot be read.
    case refusedRunning, refusedSealed, refusedFull, refusedShare, refusedUnreadable
    /// A route of which redeliveries are owed was taken away.
    case removed
    case pausedRoute, pausedNamespace, pausedTarget, resumedRoute, resumedNamespace, resumedTarget, resumedAll
    /// The same, while deliveries of it were left to the journal.
    case pausedSpilled, resumedSpilled

    /// Few seeds come there.
    var isRare: Bool { [.refusedFull, .refusedShare, .meanwhile].contains(self) }
}

struct OperatorCoverage: Equatable, CustomStringConvertible {
    private var counts: [OperatorSight: Int] = [:]

    subscript(_ sight: OperatorSight) -> Int { counts[sight] ?? 0 }

    mutating func see(_ sight: OperatorSight, _ count: Int = 1) { counts[sight, default: 0] += count }
    mutating func add(_ other: OperatorCoverage) { counts.merge(other.counts, uniquingKeysWith: +) }

    var description: String {
        OperatorSight.allCases.filter { self[$0] > 0 }.map { "\($0) \(self[$0])" }.joined(separator: ", ")
    }
}
