// TargetPlanner: rules, filters and selections of a route, applied to one delivery.
//
//   rules' triggers + the route's actions ─┐
//   selections: by name, label, repository ┴─> read what a filter reads ─> route's filter ─> entry's filter ─> actions
//
// A target that a filter cannot judge is left out and the others are not harmed. What time heals (an API server that is away) fails
// the planning as a whole: nothing was planned, so nothing is done twice when it is tried again.

public import Delivery
public import Kubernetes
public import Logging

public struct TargetPlanner: DeliveryPlanner {
    private let client: @Sendable (String) -> KubernetesClient?
    private let repositories: @Sendable () -> RepositoryIndex
    private let images: @Sendable (String) -> ImageIndex?
    private let decodeEvent: EventDecoder
    private let logger: Logger

    /// `repositories` and `images` give the indexes of the configuration in use, `images` that of a cluster.
    public init(
        client: @escaping @Sendable (String) -> KubernetesClient?,
        repositories: @escaping @Sendable () -> RepositoryIndex, images: @escaping @Sendable (String) -> ImageIndex?,
        decodeEvent: @escaping EventDecoder, logger: Logger
    ) {
        self.client = client
        self.repositories = repositories
        self.images = images
        self.decodeEvent = decodeEvent
        self.logger = logger
    }

    public func plan(
        _ delivery: QueuedDelivery, _ definition: RouteDefinition, _ payload: DeliveryPayload
    ) async -> PlanningResult {
        var work = Work(delivery: delivery, definition: definition, request: payload.request)
        var actions = definition.actions
        if let rules = definition.rules {
            let facts = DeliveryFacts(
                sequence: delivery.sequence, receivedNanoseconds: delivery.receivedNanoseconds,
                deliveryID: payload.deliveryID)
            switch rules.triggers(of: work.request, facts) {
            case .actions(let found): actions += found.filter { !actions.contains($0) }
            case .ignored(let reason): return .ignored(reason: reason.name)
            }
        }
        if definition.readsBody {
            guard let request = FilterRequest(work.request, sender: payload.sender) else {
                return .ignored(reason: Delivery.IgnoredReason.bodyUnusable.name)
            }
            work.filterRequest = request
        }
        do throws(ActionFailure) {
            for action in actions { try await add(action, to: &work) }
            if !definition.selections.isEmpty {
                let event = decodeEvent(payload)
                for selection in definition.selections { try await add(selection, event, to: &work) }
            }
        } catch {
            return .failed(error)
        }
        return conclude(work)
    }

    /// What planning one delivery gathers.
    private struct Work {
        let delivery: QueuedDelivery
        let definition: RouteDefinition
        let request: InboundRequest
        var filterRequest: FilterRequest?
        var actions: [Action] = []
        var problems: [String] = []
        var missing: [String] = []
        var isFiltered = false
        var reason: Delivery.IgnoredReason?
    }

    private func conclude(_ work: Work) -> PlanningResult {
        for problem in work.problems + work.missing.map({ "\($0) does not exist" }) {
            logger.warning(
                "a target of a delivery is left out",
                metadata: [
                    "sequence": "\(work.delivery.sequence)", "route": "\(work.delivery.route)", "reason": "\(problem)",
                ])
        }
        if !work.actions.isEmpty { return .actions(work.actions) }
        if let missing = work.missing.first {
            return .failed(ActionFailure(.objectMissing, scope: .target, reason: "\(missing) does not exist"))
        }
        if let problem = work.problems.first { return .ignored(reason: "filter-error: \(problem)") }
        if work.isFiltered { return .ignored(reason: Delivery.IgnoredReason.filtered.name) }
        return .ignored(reason: work.reason?.name ?? Delivery.IgnoredReason.noTarget.name)
    }

    // MARK: - Targets

    /// An action that is planned unless the route's filter keeps it out.
    private func add(_ action: Action, to work: inout Work) async throws(ActionFailure) {
        guard work.definition.filter != nil else {
            work.actions.append(action)
            return
        }
        if case .reconcile(let target) = action {
            try await add(target, action, own: nil, to: &work)
            return
        }
        // What has no target is filtered as the receiver itself.
        let route = work.delivery.route
        let receiver = TargetReference(
            cluster: route.cluster, apiVersion: "grapnel.dev/v1alpha1", kind: route.kind.name,
            namespace: route.namespace, name: route.name)
        settle(action, FilterResource(receiver), own: nil, name: "\(route)", to: &work)
    }

    private func add(_ selection: Selection, _ event: Event, to work: inout Work) async throws(ActionFailure) {
        if let reason = Self.nothingToBuild(selection, event) {
            work.reason = work.reason ?? reason
            return
        }
        switch selection.targets {
        case .named(let target):
            try await add(
                target, Self.action(selection.act, on: target, event, work.delivery), own: selection.filter, to: &work)
        case .labelled(let pattern, let labels):
            guard let selector = LabelSelector(labels)?.text else { return }
            let resource = try await resource(of: pattern)
            let objects: [ObjectMetadata]
            do throws(KubernetesError) {
                objects = try await cluster(pattern.cluster).listMetadata(
                    resource, namespace: pattern.namespace, labelSelector: selector.isEmpty ? nil : selector)
            } catch {
                throw ReconcileAction.failure(error)
            }
            if objects.isEmpty { work.reason = work.reason ?? .noTarget }
            for object in objects {
                var target = pattern
                target.apiVersion = object.apiVersion
                target.name = object.name
                settle(
                    Self.action(selection.act, on: target, event, work.delivery), FilterResource(object),
                    own: selection.filter, name: "\(target)", to: &work)
            }
        case .ofRepository(let cluster, let kinds, let namespaces):
            switch repositories().match(event, cluster: cluster, kinds: kinds, namespaces: namespaces) {
            case .targets(let targets):
                for target in targets {
                    try await add(
                        target, Self.action(selection.act, on: target, event, work.delivery), own: selection.filter,
                        to: &work)
                }
            // Of several entries the one that came nearest tells the reason.
            case .unknown: work.reason = work.reason ?? .repositoryUnknown
            case .otherRef: work.reason = .refMismatch
            }
        case .ofImage(let cluster, let namespaces):
            let refreshes = (images(cluster)?.refreshes(of: event) ?? []).filter {
                namespaces.isEmpty || namespaces.contains($0.target.namespace)
            }
            if refreshes.isEmpty { work.reason = work.reason ?? .noTarget }
            for refresh in refreshes {
                try await add(
                    refresh.target, .kpackRefresh(refresh.target, image: refresh.image, forceBuild: false),
                    own: selection.filter, to: &work)
            }
        }
    }

    /// A build needs something to build: not a branch that was deleted, and of all followers of a repository only where the event is
    /// about a commit. A comment that was written rebuilds nothing.
    private static func nothingToBuild(_ selection: Selection, _ event: Event) -> Delivery.IgnoredReason? {
        let isByRepository = if case .ofRepository = selection.targets { true } else { false }
        if isByRepository, event.ref == nil, event.image == nil { return .eventIrrelevant }
        guard selection.act == .openshiftBuild || selection.act == .s2iRun else { return nil }
        if event.isDeletion { return .branchDeleted }
        return isByRepository && event.commit == nil ? .eventIrrelevant : nil
    }

    /// What is done with one named object; the object is read only when a filter looks at it.
    private func add(
        _ target: TargetReference, _ action: Action, own: Filter?, to work: inout Work
    ) async throws(ActionFailure) {
        let readsResource = work.definition.filter?.readsResource == true || own?.readsResource == true
        guard readsResource else {
            settle(action, FilterResource(target), own: own, name: "\(target)", to: &work)
            return
        }
        let resource = try await resource(of: target)
        let object: ObjectMetadata
        do throws(KubernetesError) {
            object = try await cluster(target.cluster).getMetadata(
                resource, namespace: target.namespace, name: target.name)
        } catch {
            if error.isObjectMissing {
                work.missing.append("\(target)")
                return
            }
            throw ReconcileAction.failure(error)
        }
        settle(action, FilterResource(object), own: own, name: "\(target)", to: &work)
    }

    private func settle(
        _ action: Action, _ resource: FilterResource, own: Filter?, name: String, to work: inout Work
    ) {
        guard passes(resource, own: own, name: name, &work) else { return }
        if !work.actions.contains(action) { work.actions.append(action) }
    }

    private static func action(
        _ act: Selection.Act, on target: TargetReference, _ event: Event, _ delivery: QueuedDelivery
    ) -> Action {
        switch act {
        case .reconcile: .reconcile(target)
        case .openshiftBuild:
            .openshiftBuild(target, buildRequest: BuildObjects.buildRequest(for: target, event, delivery))
        case .s2iRun: .s2iRun(target, run: BuildObjects.s2iRun(of: target, event))
        case .kpackRefresh: .kpackRefresh(target, image: event.image ?? "", forceBuild: false)
        }
    }

    /// The route's filter, then the entry's: the second is not looked at when the first says no.
    private func passes(_ resource: FilterResource, own: Filter?, name: String, _ work: inout Work) -> Bool {
        guard let request = work.filterRequest else { return true }
        do throws(FilterError) {
            for filter in [work.definition.filter, own].compactMap({ $0 }) {
                guard try filter.accepts(request, resource) else {
                    work.isFiltered = true
                    return false
                }
            }
            return true
        } catch {
            work.problems.append("filter on \(name): \(error.message)")
            return false
        }
    }

    // MARK: - The API server

    private func cluster(_ name: String) throws(KubernetesError) -> KubernetesClient {
        guard let client = client(name) else {
            throw KubernetesError(
                call: KubernetesCall(verb: "get", group: "", resource: "clusters", name: name),
                cause: .connection("cluster \"\(name)\" is not configured; start with --kubernetes"))
        }
        return client
    }

    private func resource(of target: TargetReference) async throws(ActionFailure) -> APIResource {
        do throws(KubernetesError) {
            return try await ReconcileAction.resource(of: target, try cluster(target.cluster))
        } catch {
            throw ReconcileAction.failure(error)
        }
    }
}

extension FilterResource {
    init(_ object: ObjectMetadata) {
        self.init(apiVersion: object.apiVersion, kind: object.kind, metadata: object.json)
    }
}
