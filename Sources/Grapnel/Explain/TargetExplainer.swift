// TargetExplainer: steps 5 and 6: what an accepted delivery leads to, filter by filter and target by target.
//
// Targets and their actions come from the server's own planner, asked for one entry at a time and without filters. The filters are
// evaluated here one by one, so that each has a result to show. Targets that a filter looks at are read from the API server when
// there is a client; without one the filter sees the target's names alone, and the result says so. Only reads are made.

import Delivery
import Foundation
import Kubernetes
import Logging
import Trigger

struct TargetExplainer: Sendable {
    /// By cluster.
    private let clients: [String: KubernetesClient]
    private let planner: TargetPlanner

    init(clients: [String: KubernetesClient], repositories: RepositoryIndex, images: [String: ImageIndex]) {
        self.clients = clients
        // What the planner would log is said in the explanation.
        planner = TargetPlanner(
            client: { clients[$0] }, repositories: { repositories }, images: { images[$0] },
            decodeEvent: ActionSet.decodeEvent, logger: Logger(label: "explain") { _ in SwiftLogNoOpLogHandler() })
    }

    func plan(
        _ definition: RouteDefinition, _ payload: DeliveryPayload, _ delivery: QueuedDelivery
    ) async -> Explanation.Planned {
        var work = Work(definition: definition)
        let request = FilterRequest(payload.request, sender: payload.sender)
        if definition.readsBody, request == nil {
            work.planned.notes.append(
                "nothing follows (body-unusable): the body is no JSON object that a filter could read")
            return work.planned
        }
        work.request = definition.readsBody ? request : nil

        var actions = definition.actions
        if let rules = definition.rules {
            let facts = DeliveryFacts(
                sequence: delivery.sequence, receivedNanoseconds: delivery.receivedNanoseconds,
                deliveryID: payload.deliveryID)
            switch rules.triggers(of: payload.request, facts) {
            case .actions(let found): actions += found.filter { !actions.contains($0) }
            case .ignored(let reason):
                work.planned.notes.append("nothing follows (\(reason.name))")
                return work.planned
            }
        }
        for action in actions { await add(action, own: nil, place: "", &work) }
        for selection in definition.selections { await add(selection, payload, delivery, &work) }
        for action in work.actions { work.planned.writes.append(await write(action)) }
        conclude(&work)
        return work.planned
    }

    private struct Work {
        let definition: RouteDefinition
        var request: FilterRequest?
        var planned = Explanation.Planned()
        var actions: [Action] = []
    }

    private func conclude(_ work: inout Work) {
        guard work.actions.isEmpty else {
            if clients.isEmpty, work.actions.contains(where: \.needsCluster) {
                work.planned.notes.append(
                    "no API server is configured: without --kubernetes these writes wait and are not made")
            }
            if let coalesce = work.definition.coalesce, coalesce.by != .none {
                work.planned.notes.append(
                    "deliveries of the same \(coalesce.by.rawValue) may be merged into one trigger")
            }
            return
        }
        if work.planned.filters.contains(where: { $0.outcome == .fails }) {
            work.planned.notes.append("nothing follows (filtered)")
        } else if work.definition.actions.isEmpty, work.definition.selections.isEmpty, work.definition.rules == nil {
            work.planned.notes.append(
                "the receiver has no actions: the delivery is stored and answered, and that is all")
        } else if work.planned.notes.isEmpty {
            work.planned.notes.append("nothing follows (no-target)")
        }
    }

    // MARK: - Targets

    private func add(
        _ selection: Selection, _ payload: DeliveryPayload, _ delivery: QueuedDelivery, _ work: inout Work
    ) async {
        var entry = selection
        var single = work.definition
        single.actions = []
        single.rules = nil
        let isOfImage = if case .ofImage = selection.targets { true } else { false }
        if !isOfImage {
            entry.filter = nil
            single.filter = nil
        }
        single.selections = [entry]
        switch await planner.plan(delivery, single, payload) {
        case .actions(let actions):
            for action in actions {
                if isOfImage {
                    if !work.actions.contains(action) { work.actions.append(action) }
                } else {
                    await add(action, own: selection.filter, place: selection.place, &work)
                }
            }
        case .ignored(let reason):
            work.planned.notes.append("\(selection.summary): no target (\(reason))")
        case .failed(let failure):
            work.planned.notes.append("\(selection.summary): targets not found out: \(failure.reason)")
        }
    }

    private func add(_ action: Action, own: Filter?, place: String, _ work: inout Work) async {
        let filters = [(work.definition.filter, "the receiver's filter"), (own, place)].compactMap { filter, place in
            filter.map { (filter: $0, place: place) }
        }
        guard !filters.isEmpty, let request = work.request else {
            if !work.actions.contains(action) { work.actions.append(action) }
            return
        }
        // What has no target is filtered as the receiver itself.
        let identity = work.definition.identity
        let receiver = TargetReference(
            cluster: identity.cluster, apiVersion: "grapnel.dev/v1alpha1", kind: identity.kind.name,
            namespace: identity.namespace, name: identity.name)
        let isOwnAction = own == nil && place.isEmpty
        let target: TargetReference
        if case .reconcile(let named) = action {
            target = named
        } else {
            target = isOwnAction ? receiver : action.target ?? receiver
        }
        var resource = FilterResource(target)
        var basis = Explanation.FilterResult.Basis.request
        if filters.contains(where: { $0.filter.readsResource }) {
            basis = .names
            if let client = clients[target.cluster], target != receiver {
                switch await Self.read(target, client) {
                case .success(let found):
                    resource = FilterResource(
                        apiVersion: found.apiVersion, kind: found.kind, metadata: found.json)
                    basis = .api
                case .failure(let error):
                    if error.isObjectMissing {
                        work.planned.notes.append("\(target) does not exist: it is left out")
                        return
                    }
                    work.planned.notes.append("\(target) could not be read: \(error)")
                }
            } else if target == receiver {
                basis = .request
            }
        }
        var isKept = true
        for (filter, place) in filters {
            var outcome = Explanation.FilterResult.Outcome.notAsked
            if isKept {
                do throws(FilterError) {
                    outcome = try filter.accepts(request, resource) ? .holds : .fails
                } catch {
                    outcome = .error(error.message)
                }
                isKept = outcome == .holds
            }
            let result = Explanation.FilterResult(
                place: place, filter: filter.source, target: target.description, outcome: outcome,
                basis: filter.readsResource ? basis : .request)
            // Actions without targets are all filtered as the receiver.
            if !work.planned.filters.contains(result) { work.planned.filters.append(result) }
        }
        if isKept, !work.actions.contains(action) { work.actions.append(action) }
    }

    // MARK: - The API server

    private static func read(
        _ target: TargetReference, _ client: KubernetesClient
    ) async -> Result<ObjectMetadata, KubernetesError> {
        do throws(KubernetesError) {
            let resource = try await Self.resource(of: target, client)
            return .success(
                try await client.getMetadata(resource, namespace: target.namespace, name: target.name))
        } catch {
            return .failure(error)
        }
    }

    private static func resource(
        of target: TargetReference, _ client: KubernetesClient
    ) async throws(KubernetesError) -> APIResource {
        let guessed = APIPath(target)
        return try await client.resource(group: guessed.group, version: guessed.version, kind: target.kind)
    }

    // MARK: - Writes

    private func write(_ action: Action) async -> Explanation.Write {
        var write = PlannedWrite.of(action)
        guard let target = action.target, action.isDiscovered else { return write }
        guard let client = clients[target.cluster] else {
            write.notes.append("the path is a guess from the kind: an API server was not asked")
            return write
        }
        do throws(KubernetesError) {
            let resource = try await Self.resource(of: target, client)
            write.path = APIPath(target, resource).text
        } catch {
            write.notes.append("the path is a guess from the kind: \(error)")
        }
        return write
    }
}
