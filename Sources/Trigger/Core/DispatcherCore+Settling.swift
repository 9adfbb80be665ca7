// What became of triggers and deliveries: final outcomes end what is owed, and all are gathered to be recorded in order.

import Delivery

extension DispatcherCore {
    /// The delivery was not planned.
    mutating func settleWhole(_ delivery: QueuedDelivery, _ reason: String) {
        settle(
            OutcomeEntry(
                sequence: delivery.sequence, planIndex: OutcomeEntry.wholeDelivery, code: .ignored, reason: reason),
            action: nil, delivery)
    }

    mutating func settle(
        _ entry: OutcomeEntry, action: PlannedAction?, _ delivery: QueuedDelivery, routeIndex: Int? = nil
    ) {
        settle(
            entry, action: action, route: delivery.route, routeIndex: routeIndex,
            receivedNanoseconds: delivery.receivedNanoseconds)
    }

    /// `routeIndex` of `route`; nil for a delivery that is not in `owed`.
    mutating func settle(
        _ entry: OutcomeEntry, action: PlannedAction?, route: RouteIdentity, routeIndex: Int?,
        receivedNanoseconds: UInt64, merged: UInt32 = 0
    ) {
        settled.append(
            SettledOutcome(
                entry: entry, action: action, route: route, receivedNanoseconds: receivedNanoseconds, merged: merged))
        if entry.code == .dead { noteDead(entry, action, route, received: receivedNanoseconds) }
        guard entry.code.isFinal else { return }
        if entry.sequence <= endsWatchedThrough { ends.insert(entry.sequence) }
        guard let left = owed[entry.sequence] else { return }
        owed[entry.sequence] = left > 1 ? left - 1 : nil
        if left <= 1, let routeIndex { owedOfRoute[routeIndex] -= 1 }
    }

    /// Enters a delivery, or adds to one. Something else holds the route while it is owed: its triggers.
    mutating func owe(_ sequence: UInt64, entries: Int, route: Int) {
        while owedOfRoute.count <= route { owedOfRoute.append(0) }
        if owed[sequence] == nil { owedOfRoute[route] += 1 }
        owed[sequence, default: 0] += entries
    }

    /// Outcomes leave as one batch, behind the plans that came before them and before the plans that come after.
    mutating func flushSettled() {
        guard !settled.isEmpty else { return }
        commands.append(.recordOutcomes(settled))
        settled = []
    }
}
