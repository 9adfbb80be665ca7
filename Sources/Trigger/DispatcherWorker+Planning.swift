// From a delivery to its plan: at once, or by looking into it beside the dispatcher's thread.

import Delivery
import Logging

extension DispatcherWorker {
    mutating func plan(_ delivery: QueuedDelivery, _ now: UInt64) {
        let definition = parts.routes.definition(of: delivery.route)
        var ref: String?
        if leavesToPlanning(delivery, definition, ref: &ref) { return }
        core.plan(delivery, definition: definition, ref: ref, now: now)
    }

    mutating func recover(_ recovered: RecoveredDelivery, _ now: UInt64) {
        let delivery = recovered.delivery
        let definition = parts.routes.definition(of: delivery.route)
        let isConcluded = recovered.outcomes.contains {
            $0.code.isFinal && $0.planIndex == OutcomeEntry.wholeDelivery
        }
        var ref: String?
        if let plan = recovered.plan {
            let isBuild = plan.contains { PlannedAction.isBuild(kindCode: $0.actionKind) }
            ref = try? self.ref(of: delivery, definition, isBuild: isBuild)
        } else if !isConcluded, leavesToPlanning(delivery, definition, ref: &ref) {
            recoveredPlans.insert(delivery.sequence)
            return
        }
        core.recover(recovered, definition: definition, ref: ref, now: now)
    }

    /// True: planning has it, because its route wants that or because its record cannot be read now. False: it is to be planned at
    /// once, by `ref`.
    private mutating func leavesToPlanning(
        _ delivery: QueuedDelivery, _ definition: RouteDefinition?, ref: inout String?
    ) -> Bool {
        guard let definition else { return false }
        let isLookedInto = definition.isPlannedPerDelivery && parts.planner != nil
        if !isLookedInto {
            let isBuild = definition.actions.contains { PlannedAction.isBuild($0) }
            do throws(DeliveryLogError) {
                ref = try self.ref(of: delivery, definition, isBuild: isBuild)
                return false
            } catch {
                if parts.planner == nil { return false }
            }
        }
        planning.add(delivery, retry: definition.retry)
        return true
    }

    /// The event's ref, read from the record only where the route coalesces by it or the order of builds needs it. Without one a
    /// delivery is merged with nothing, and builds next to nothing else of its target.
    func ref(
        of delivery: QueuedDelivery, _ definition: RouteDefinition?, isBuild: Bool
    ) throws(DeliveryLogError) -> String? {
        guard definition?.coalesce?.by == .ref || isBuild,
            let payload = try parts.log.payload(sequence: delivery.sequence, location: delivery.location)
        else { return nil }
        return parts.decodeEvent(payload).ref
    }

    mutating func startPlanning() {
        guard !core.isDraining, let planner = parts.planner else { return }
        while let delivery = planning.next(now: clock.now) {
            planningTasks[delivery.sequence] = send(.planning(delivery, planner))
        }
    }

    static func plan(
        _ delivery: QueuedDelivery, _ planner: any DeliveryPlanner, _ parts: Dispatcher.Parts
    ) async -> (PlanningResult, ref: String?) {
        guard let definition = parts.routes.definition(of: delivery.route) else {
            return (.ignored(reason: IgnoredReason.routeRemoved), nil)
        }
        let record: DeliveryPayload
        do throws(ActionFailure) {
            record = try payload(delivery.sequence, delivery.location, parts)
        } catch {
            return (.failed(error), nil)
        }
        let result = await planner.plan(delivery, definition, record)
        guard case .actions(let actions) = result,
            definition.coalesce?.by == .ref || actions.contains(where: { PlannedAction.isBuild($0) })
        else { return (result, nil) }
        return (result, parts.decodeEvent(record).ref)
    }

    mutating func take(
        _ result: PlanningResult, of delivery: QueuedDelivery, _ ref: String?, _ now: UInt64
    ) {
        planningTasks[delivery.sequence] = nil
        // What a drained dispatcher finds out is found out again after the restart.
        guard let verdict = planning.complete(delivery.sequence, result, now: now), !core.isDraining else { return }
        var isRecovered = false
        if case .waits = verdict {} else { isRecovered = recoveredPlans.remove(delivery.sequence) != nil }
        switch verdict {
        case .planned(let actions):
            guard let definition = parts.routes.definition(of: delivery.route) else {
                return core.conclude(delivery, .ignored, reason: IgnoredReason.routeRemoved, now: now)
            }
            core.plan(
                delivery, definition: definition, actions: actions, ref: ref, mayHaveActed: isRecovered, now: now)
        case .ignored(let reason): core.conclude(delivery, .ignored, reason: reason, now: now)
        case .dead(let reason): core.conclude(delivery, .dead, reason: reason, now: now)
        case .waits(let isFirst):
            guard isFirst, case .failed(let failure) = result else { return }
            parts.logger.notice(
                "the targets of a delivery cannot be found yet, will be tried again",
                metadata: [
                    "sequence": "\(delivery.sequence)", "route": "\(delivery.route)", "reason": "\(failure.reason)",
                ])
        }
    }
}
