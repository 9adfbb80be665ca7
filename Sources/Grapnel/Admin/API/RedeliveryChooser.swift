// RedeliveryChooser: from a wish and a delivery to what its redelivery does, or why there is none.
//
// The same for one delivery, a dry run, and each delivery of a selection, there both when it is selected and when its turn comes.
// What may be done is what some configuration allows: a route's actions were checked when the route was compiled, a planned object when
// it was planned. An object in its place has the same kind, namespace and cluster, so that those checks hold for it too, and the
// attempt asks the route once more.

internal import Delivery
internal import Journal
internal import NIOHTTP1
internal import Trigger

struct RedeliveryChooser: Sendable {
    let index: DeliveryIndex
    let routes: CurrentRoutes
    let history: JournalHistory

    typealias Choice = Result<RedeliveryAct, RedeliveryRefusal>

    /// Reads the plan from the disk where the wish is about a part of it.
    func act(_ wish: RedeliveryWish, on delivery: IndexedDelivery, lastSegment: UInt64) -> Choice {
        if delivery.decision == .duplicate {
            return Self.refused(
                "body-not-kept",
                "delivery \(delivery.sequence) repeats \(delivery.reference), which has the body: redeliver that")
        }
        if delivery.isOwed, !wish.isOfPlan {
            return Self.refused(
                "still-owed",
                "delivery \(delivery.sequence) is not final: its actions are still carried out or tried again. "
                    + "Of those that are final, one can be redelivered by its planIndex")
        }
        let own = index.route(delivery)
        if case .route = wish.to { return canary(wish, of: delivery, own) }
        guard let own, let definition = routes.definition(of: own) else {
            return Self.refused(
                "route-gone",
                "delivery \(delivery.sequence) came to \(own.map { "\($0)" } ?? "a route"), which is gone (or, after a "
                    + "start, not read from its cluster yet): nothing says what is to be done for it. Bring the route back, or "
                    + "redeliver to another one with `to`")
        }
        return wish.isOfPlan ? part(wish, of: delivery, definition, lastSegment) : .success(.asConfigured)
    }

    static func refused(_ code: String, _ message: String) -> Choice {
        .failure(RedeliveryRefusal(status: .conflict, code: code, message: message))
    }

    // MARK: - Another route

    /// The route that is meant for deliveries of `own`.
    func identity(_ aim: RedeliveryWish.Aim?, for own: RouteIdentity?) -> RouteIdentity? {
        guard case .route(let cluster, let kind, let namespace, let name) = aim else { return nil }
        return RouteIdentity(
            cluster: cluster ?? own?.cluster ?? "local", kind: kind, namespace: namespace, name: name)
    }

    private func canary(_ wish: RedeliveryWish, of delivery: IndexedDelivery, _ own: RouteIdentity?) -> Choice {
        guard let wanted = identity(wish.to, for: own) else { return .success(.asConfigured) }
        guard let definition = routes.definition(of: wanted) else {
            return Self.refused(
                "to-unknown",
                "there is no \(wanted) in cluster \(wanted.cluster); GET \(AdminAPI.prefix)/routes lists the routes")
        }
        if let trouble = Self.trouble(definition) { return Self.refused("to-unusable", "\(wanted) \(trouble)") }
        guard definition.isOfTenant else { return .success(.route(wanted)) }
        let first: RouteIdentity?
        do throws(JournalError) {
            first = try firstRoute(of: delivery, own)
        } catch {
            return .failure(
                RedeliveryRefusal(
                    status: .internalServerError, code: "journal-unreadable",
                    message: "the first delivery cannot be read: \(error.message)"))
        }
        guard let first, first.namespace == wanted.namespace, first.cluster == wanted.cluster else {
            return Self.refused(
                "to-not-allowed",
                "\(wanted) belongs to its namespace, and takes deliveries of routes of that namespace and cluster alone; "
                    + "delivery \(delivery.sequence) came to "
                    + (first.map { "\($0)" } ?? "one that is not known any more: the first delivery is gone"))
        }
        return .success(.route(wanted))
    }

    /// Where the request came to at first: a redelivery's record names the route it was redelivered to. nil: not known any more.
    private func firstRoute(of delivery: IndexedDelivery, _ own: RouteIdentity?) throws(JournalError) -> RouteIdentity?
    {
        guard delivery.flags.contains(.redelivered) else { return own }
        return delivery.isRedelivery ? try history.route(of: delivery.original) : nil
    }

    private static func trouble(_ definition: RouteDefinition) -> String? {
        guard definition.identity.kind == .hook || definition.identity.kind == .receiver else {
            return "takes its own senders' requests only; redeliver to a Hook or a Receiver"
        }
        switch definition.readiness {
        case .ready: break
        case .suspended: return "is suspended"
        case .notReady(let reason), .secretUnusable(let reason): return "is not ready: \(reason)"
        }
        return definition.causesTriggers ? nil : "has no actions"
    }

    // MARK: - A part of the plan

    private func part(
        _ wish: RedeliveryWish, of delivery: IndexedDelivery, _ definition: RouteDefinition, _ lastSegment: UInt64
    ) -> Choice {
        let told: DeliveryHistory
        do throws(JournalError) {
            told = try DeliveryHistory(of: delivery, lastSegment: lastSegment, journal: history)
        } catch {
            return .failure(
                RedeliveryRefusal(
                    status: .internalServerError, code: "journal-unreadable",
                    message: "the plan cannot be read: \(error.message)"))
        }
        let chosen = (told.plan ?? []).enumerated().filter { index, entry in
            (wish.planIndex ?? index) == index
                && (wish.target ?? DeliveryHistory.action(entry).target)
                    == DeliveryHistory.action(entry).target
        }
        guard !chosen.isEmpty else {
            return Self.refused(
                "target-unknown",
                "the plan of delivery \(delivery.sequence) has no such entry; "
                    + "GET \(AdminAPI.prefix)/deliveries/\(delivery.sequence) shows its plan")
        }
        var entries = chosen
        if case .object(let kind, let namespace, let name) = wish.to {
            entries = chosen.compactMap { index, entry in
                Self.moved(entry, to: kind, namespace, name).map { (index, $0) }
            }
            guard !entries.isEmpty else {
                return Self.refused(
                    "to-unknown",
                    "what was planned for delivery \(delivery.sequence) reconciles no \(kind) of namespace \(namespace). An object "
                        + "takes the place of one of its kind, namespace and cluster; for everything else name a route")
            }
        }
        if let (open, _) = entries.first(where: { index, _ in !told.isFinal(index) }) {
            return Self.refused(
                "still-owed",
                "entry \(open) of the plan of delivery \(delivery.sequence) is not final: it is still carried out or tried "
                    + "again. planIndex names one that is")
        }
        if let (lost, _) = entries.first(where: { !Self.isStillThere($0.1, definition) }) {
            return Self.refused(
                "action-gone",
                "\(definition.identity) does not have the action any more that entry \(lost) of the plan of delivery "
                    + "\(delivery.sequence) is. Redeliver all of it, as the route says now")
        }
        var plan: [PlanEntry] = []
        for (_, entry) in entries where wish.to == nil || !plan.contains(entry) { plan.append(entry) }
        return .success(.plan(plan))
    }

    /// The entry at another object of the kind and namespace; nil when it is about something else.
    private static func moved(_ entry: PlanEntry, to kind: String, _ namespace: String, _ name: String) -> PlanEntry? {
        guard
            case .reconcile(var target)? = PlannedAction(
                EncodedPlanEntry(actionKind: entry.actionKind, target: entry.target)),
            target.kind == kind, target.namespace == namespace
        else { return nil }
        target.name = name
        let moved = PlannedAction.reconcile(target).encoded
        return PlanEntry(actionKind: moved.actionKind, target: moved.target)
    }

    /// Of a call or a command the plan holds no more than by what it is found in the route.
    private static func isStillThere(_ entry: PlanEntry, _ definition: RouteDefinition) -> Bool {
        guard let action = PlannedAction(EncodedPlanEntry(actionKind: entry.actionKind, target: entry.target)) else {
            return true
        }
        switch action {
        case .http, .exec, .log: return definition.actions.contains { action.matches($0) }
        default: return true
        }
    }
}

extension JournalHistory {
    /// The route of a delivery's record; nil when that is gone.
    func route(of sequence: UInt64) throws(JournalError) -> RouteIdentity? {
        try summary(of: sequence).map {
            RouteIdentity(
                cluster: $0.cluster, kind: ReceiverKind(rawValue: $0.receiverKind) ?? .hook, namespace: $0.namespace,
                name: $0.name)
        }
    }
}
