// Carrying out one entry once more, because somebody wants it. Such a trigger runs for itself: it is merged with nothing, its age counts
// from the wish, and what it is to do may be its own.

package import Delivery

extension DispatcherCore {
    /// What a trigger has that comes from a redelivery.
    struct Redelivered: Sendable {
        var requestedNanoseconds: UInt64
        /// Tells it from the first time; 0 where the record is a new one.
        var salt: UInt64
        /// What the route does not say; nil: as planned.
        var action: Action?
    }

    package mutating func redeliver(
        _ redelivery: Redelivery, definition: RouteDefinition?, ref: String?, now: UInt64
    ) -> RedeliveryAnswer {
        advance(to: now)
        guard !isDraining else { return .stopping }
        let delivery = redelivery.delivery
        var own: Action?
        let planned: PlannedAction
        switch redelivery.work {
        case .entry(let entry):
            guard let action = PlannedAction(entry) else { return .unreadable }
            if action.needsRoute, definition?.actions.contains(where: { action.matches($0) }) != true {
                return .routeRemoved
            }
            planned = action
        case .action(let action):
            if case .exec = action { return .notAllowed }
            planned = PlannedAction(action)
            own = action
        }
        if owed[delivery.sequence] != nil {
            let isOpen = triggers.slots.contains {
                $0.queue != IndexList.none && $0.sequence == delivery.sequence && $0.planIndex == redelivery.planIndex
            }
            if isOpen || redelivery.recordsPlan { return .stillOwed }
        }
        if redelivery.recordsPlan {
            commands.append(.recordPlan(sequence: delivery.sequence, [planned], encoded: [planned.encoded]))
        }
        let route = routes.retain(delivery.route)
        owe(delivery.sequence, entries: 1, route: route)
        let step = PlanStep(planned, route: route, delivery.route, coalesce: Coalesce(by: .none), settings, ref: ref)
        let trigger = Trigger(
            delivery, planIndex: Int(redelivery.planIndex), queue: queueIndex(for: step), route: route,
            policy: policies.retain(PolicyKey(definition?.retry ?? RetryPolicy())))
        add(
            trigger, step, ref: ref,
            redelivered: Redelivered(
                requestedNanoseconds: redelivery.requestedNanoseconds,
                salt: redelivery.recordsPlan ? 0 : redelivery.requestedNanoseconds, action: own))
        return .accepted
    }
}
