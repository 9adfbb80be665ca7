// What a pause is of: whether the server knows it now, and which pause holds a delivery back.

internal import Delivery
internal import Journal
internal import Trigger

extension AdminAPI {
    /// nil: something is configured or waits that the subject means. Else what is not known, with the remedy; a subject may be paused
    /// before it comes, so this is a warning. Waits for the dispatcher.
    func warning(of subject: PauseSubject) -> String? {
        let table = parts.routes.table
        switch subject {
        case .route(let route):
            guard table.definition(of: route) == nil else { return nil }
            return clusterWarning(route.cluster)
                ?? "there is no such route now; `grapnel check` and GET \(Self.prefix)/routes name those there are"
        case .namespace(let cluster, let namespace):
            let isKnown = table.routes.contains { $0.identity.cluster == cluster && $0.identity.namespace == namespace }
            guard !isKnown else { return nil }
            return clusterWarning(cluster)
                ?? "no route is in that namespace now; GET \(Self.prefix)/routes names those there are"
        case .target(let cluster, let text):
            guard !table.routes.contains(where: { Self.names($0, cluster, text) }), !isQueued(cluster, text) else {
                return nil
            }
            return clusterWarning(cluster)
                ?? "no route names that target and nothing waits for it now; `grapnel queues` and a delivery's plan "
                + "(`grapnel deliveries show`) write targets as they are meant here"
        }
    }

    private func clusterWarning(_ cluster: String) -> String? {
        let known = Set(
            ["local"] + parts.settings.eachCluster.map(\.name) + parts.routes.table.routes.map(\.identity.cluster))
        guard !known.contains(cluster) else { return nil }
        return "there is no such cluster; there are: \(known.sorted().joined(separator: ", "))"
    }

    private static func names(_ route: RouteDefinition, _ cluster: String, _ text: String) -> Bool {
        // A BuildConfig's route acts on itself.
        if route.rules != nil, route.identity.cluster == cluster, route.identity.description == text { return true }
        let isInActions = route.actions.map { PlannedAction($0) }.contains {
            $0.targetText == text && ($0.targetCluster ?? route.identity.cluster) == cluster
        }
        return isInActions
            || route.selections.contains { selection in
                switch selection.targets {
                case .named(let target): target.description == text && target.cluster == cluster
                case .labelled(let target, _):
                    text.hasPrefix("\(target.kind)/\(target.namespace)/") && target.cluster == cluster
                case .ofRepository, .ofImage: false
                }
            }
    }

    private func isQueued(_ cluster: String, _ text: String) -> Bool {
        let dispatcher = parts.dispatcher
        let queues = Blocking.wait(seconds: 5) { await dispatcher.queues(limit: 10_000) }.flatMap { $0 }?.queues
        return queues?.contains { $0.cluster == cluster && $0.target == text } ?? false
    }
}

extension PauseBook {
    /// What holds a delivery back; nil: nothing does, or it is final. `plan` is needed to find pauses of targets.
    func subject(
        holding delivery: IndexedDelivery, of route: RouteIdentity?, plan: [PlanEntry]? = nil
    ) -> PauseSubject? {
        guard delivery.state == .owed || delivery.state == .failed, let route else { return nil }
        let paused = all
        guard !paused.isEmpty else { return nil }
        let candidates: [PauseSubject] = [
            .route(route), .namespace(cluster: route.cluster, namespace: route.namespace),
        ]
        if let found = candidates.first(where: paused.contains) { return found }
        for (index, entry) in (plan ?? []).enumerated() where !delivery.progress.isFinal(index) {
            guard let action = PlannedAction(EncodedPlanEntry(actionKind: entry.actionKind, target: entry.target))
            else { continue }
            let subject = PauseSubject.target(
                cluster: action.targetCluster ?? route.cluster, text: action.targetText)
            if paused.contains(subject) { return subject }
        }
        return nil
    }
}
