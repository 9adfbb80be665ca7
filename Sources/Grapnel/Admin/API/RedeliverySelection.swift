// RedeliverySelection: which deliveries a filter, a wish and a limit mean, and what of the matching ones is left out, and why.
//
// Two looks at the index: first for all redeliveries, then for what matches. A delivery is left out when it is, or has later, a redelivery
// of the same original that did, or is to do, what is wished, so that the same command can be given again after it was interrupted. Of an
// original and its redeliveries that died, the newest that matches is taken, whatever those were to do. A redelivery to another route, or of
// another part of the plan, stands for nothing else than that.
//
// Deliveries that were merged, one into the next, stand for one trigger: of such a chain the newest that matches is taken, and covers the
// others. What was left to one that is still owed is owed itself; what was left to one that was redelivered is redelivered.

internal import CLinuxIO
internal import Delivery
internal import Journal
internal import Trigger

struct RedeliverySelection: Sendable {
    /// Oldest first.
    var sequences: [UInt64] = []
    var matched = 0
    /// Not among `sequences` for the limit alone.
    var beyondLimit = 0
    /// The journal was looked through.
    var isSearched = false
    var owed = 0
    var duplicates = 0
    var redelivered = 0
    /// Merged deliveries for which another one that is among the chosen, or was left out itself, stands.
    var covered = 0
    var gone = 0
    var unfit = 0
    /// Why the newest of those does not fit.
    var misfit: RedeliveryRefusal?

    /// Sequences that are told.
    private static let toldMax = 1000

    func json(isDry: Bool) -> JSONValue {
        [
            "dryRun": .bool(isDry), "matched": .number("\(matched)"), "count": .number("\(sequences.count)"),
            "beyondLimit": .number("\(beyondLimit)"), "isComplete": .bool(isSearched && beyondLimit == 0),
            "skippedOwed": .number("\(owed)"), "skippedDuplicates": .number("\(duplicates)"),
            "skippedRedelivered": .number("\(redelivered)"), "skippedGone": .number("\(gone)"),
            "skippedUnfit": .number("\(unfit)"), "covered": .number("\(covered)"),
            "sequences": .array(sequences.prefix(Self.toldMax).map { .number("\($0)") }),
        ]
    }

    /// What was wished is for none of them: a misspelt target is not an empty selection.
    var refusal: RedeliveryRefusal? { sequences.isEmpty && redelivered + covered == 0 ? misfit : nil }

    mutating func leaveOut(_ refusal: RedeliveryRefusal) {
        switch refusal.code {
        case "still-owed": owed += 1
        case "body-not-kept": duplicates += 1
        case "route-gone": gone += 1
        default:
            unfit += 1
            misfit = misfit ?? refusal
        }
    }

    /// Takes what is found, newest first. No more than twice `limit` is kept.
    mutating func take(_ sequence: UInt64, limit: Int) {
        sequences.append(sequence)
        if sequences.count >= 2 * limit { cut(to: limit) }
    }

    private mutating func cut(to limit: Int) {
        let count = max(0, sequences.count - limit)
        sequences.removeFirst(count)
        beyondLimit += count
    }

    /// After the last was taken: the oldest `limit` are left, oldest first.
    mutating func finish(limit: Int) {
        cut(to: limit)
        sequences.reverse()
    }
}

extension RedeliveryAct {
    /// Whether this, to be done with a later redelivery, does what the other is to do with its original, or with one that was merged
    /// into it.
    func stands(for other: RedeliveryAct, isOfOneRoute: Bool, isMerged: Bool = false) -> Bool {
        switch (self, other) {
        case (.asConfigured, .asConfigured): isOfOneRoute
        case (.plan(let entries), .plan(let wanted)): wanted.contains { $0.isAmong(entries, isMerged: isMerged) }
        case (.route(let route), .route(let wanted)): route == wanted
        default: false
        }
    }
}

extension PlanEntry {
    /// `isMerged`: the entries are of deliveries that were merged, where a build's holds what its own delivery asks for.
    func isAmong(_ entries: [PlanEntry], isMerged: Bool) -> Bool {
        entries.contains(self) || isMerged && entries.contains { canMerge(with: $0) }
    }

    private func canMerge(with other: PlanEntry) -> Bool {
        let actions = [self, other].compactMap {
            PlannedAction(EncodedPlanEntry(actionKind: $0.actionKind, target: $0.target))
        }
        return actions.count == 2 && actions[0].canMerge(with: actions[1])
    }
}

extension AdminAPI {
    /// Chains of merged deliveries that one selection knows; who means more narrows the filter.
    private static let chainsMax = 200_000
    /// Less than clients wait for an answer.
    private static let selectionNanoseconds: UInt64 = 10_000_000_000

    /// `again`: also what was redelivered before.
    func selection(
        _ filter: DeliveryFilter, _ wish: RedeliveryWish, limit: Int, again: Bool
    ) throws(JournalError) -> RedeliverySelection {
        let deadline = cl_now_monotonic() + Self.selectionNanoseconds
        var selection = RedeliverySelection()
        // A redelivery is received later than its original, but for the clock, so none is missed.
        var later = DeliveryFilter()
        later.since = filter.since.map { $0 - min($0, DeliveryIndex.clockStep) }
        var redeliveries: [UInt64: [IndexedDelivery]] = [:]
        guard
            try walk(
                later, deadline,
                { delivery in
                    if delivery.isRedelivery { redeliveries[delivery.original, default: []].append(delivery) }
                })
        else { return selection }

        var chosen: [UInt64: RedeliveryAct] = [:]
        // By the last delivery of each: what is done, or was, with one of those that it stands for.
        var chains: [UInt64: [RedeliveryAct]] = [:]
        var isWhole = true
        let isSearched = try walk(filter, deadline) { delivery in
            selection.matched += 1
            let act: RedeliveryAct
            switch choice(wish, delivery) {
            case .success(let found): act = found
            case .failure(let refusal): return selection.leaveOut(refusal)
            }
            let isDone = { (original: IndexedDelivery, isMerged: Bool) in
                (redeliveries[original.original] ?? []).contains { later in
                    guard later.sequence >= original.sequence else { return false }
                    if let other = chosen[later.sequence] {
                        return other.stands(
                            for: act, isOfOneRoute: isMerged || later.route == original.route, isMerged: isMerged)
                    }
                    return !again && self.isSettled(later, deadline)
                        && self.does(later, act, of: original, isMerged: isMerged)
                }
            }
            let isRedelivered = isDone(delivery, false)
            switch heir(of: delivery, filter, deadline) {
            case .unfinished: isWhole = false
            case .none:
                guard !isRedelivered else {
                    selection.redelivered += 1
                    return
                }
            case .found(let heir):
                if chains[heir.sequence] == nil {
                    guard chains.count < Self.chainsMax else {
                        isWhole = false
                        return
                    }
                    chains[heir.sequence] = self.act(wish, onMeant: heir, filter).map { [$0] } ?? []
                }
                let isCovered =
                    chains[heir.sequence]?.contains { $0.stands(for: act, isOfOneRoute: true, isMerged: true) } == true
                    || isDone(heir, true)
                // Of its plan an entry may be final: then it covers them, if it is meant. Else it is still to do what they wanted.
                if heir.isOwed, !isCovered {
                    selection.owed += 1
                    return
                }
                guard !isCovered || isRedelivered else {
                    selection.covered += 1
                    return
                }
                chains[heir.sequence]?.append(act)
                guard !isRedelivered else {
                    selection.redelivered += 1
                    return
                }
            }
            selection.take(delivery.sequence, limit: limit)
            if delivery.isRedelivery { chosen[delivery.sequence] = act }
        }
        selection.isSearched = isSearched && isWhole
        selection.finish(limit: limit)
        return selection
    }

    func choice(_ wish: RedeliveryWish, _ delivery: IndexedDelivery) -> RedeliveryChooser.Choice {
        guard wish.planIndex != nil, delivery.isRedelivery, delivery.flags.contains(.planned) else {
            return chooser.act(wish, on: delivery, lastSegment: .max)
        }
        return RedeliveryChooser.refused(
            "plan-other",
            "delivery \(delivery.sequence) carries out a part of the plan of delivery \(delivery.original), where planIndex names "
                + "another entry: redeliver that one, or this one by its number")
    }

    /// Whether a redelivery does what is wished, or a part of it.
    func does(
        _ later: IndexedDelivery, _ act: RedeliveryAct, of delivery: IndexedDelivery, isMerged: Bool = false
    ) -> Bool {
        let route = index.route(later)
        if case .route(let wanted) = act { return route == wanted }
        guard route == index.route(delivery) else { return false }
        if act == .asConfigured, !later.flags.contains(.planned) { return true }
        guard let plan = plan(of: later) else { return true }
        return (act.plan ?? self.plan(of: delivery) ?? []).contains { $0.isAmong(plan, isMerged: isMerged) }
    }

    private func plan(of delivery: IndexedDelivery) -> [PlanEntry]? {
        (try? DeliveryHistory(of: delivery, lastSegment: .max, journal: parts.history))?.plan
    }

    /// All deliveries that match, newest first. False when the time came first.
    private func walk(
        _ filter: DeliveryFilter, _ deadline: UInt64, _ take: (IndexedDelivery) -> Void
    ) throws(JournalError) -> Bool {
        var cursor: PageCursor?
        while cl_now_monotonic() < deadline {
            let page = try select(
                filter, before: cursor, limit: 1000, deadline: min(deadline, cl_now_monotonic() + Self.workNanoseconds))
            for delivery in page.deliveries {
                guard cl_now_monotonic() < deadline else { return false }
                take(delivery)
            }
            guard let next = page.next else { return true }
            cursor = next
        }
        return false
    }
}
