// PlanTemplate: what a route's definition means for planning, worked out once and used for every delivery until the
// definition changes. So a delivery costs one look-up of its route and no text is put together or hashed for it.

import Delivery

/// One action of a route, ready to be planned.
struct PlanStep: Sendable {
    let action: PlannedAction
    let key: DispatcherCore.QueueKey
    /// `cluster/namespace` of the route.
    let namespace: String
    /// Of the target; for what acts on no object, of the route.
    let cluster: String
    /// Counts for the cluster's limit.
    let isOnCluster: Bool
    /// A later trigger waits until an earlier one has its final outcome.
    let isOrdered: Bool
    /// The breakers' keys; nil where no server can be away.
    let server: String?
    let resource: String?
    /// How many of the target's triggers may run at once.
    let runningMax: Int
    let coalesce: Coalesce
    /// How long what a callback follows may wait to be merged; nil for everything else.
    let followsWindow: UInt64?
    /// The target's queue as it was found last; to be checked before use.
    var queueHint: Int32 = IndexList.none

    init(
        _ action: PlannedAction, route: Int, _ identity: RouteIdentity, coalesce: Coalesce?,
        _ settings: DispatcherSettings, ref: String? = nil
    ) {
        self.action = action
        isOrdered = action.isBuild
        cluster = action.target?.cluster ?? identity.cluster
        isOnCluster = action.target != nil
        namespace = "\(identity.cluster)/\(identity.namespace)"
        if case .dockerHubCallback = action {
            self.coalesce = Coalesce(by: .none)
            followsWindow = coalesce?.windowNanoseconds ?? 0
        } else {
            self.coalesce = coalesce ?? Coalesce(by: action.isLevelTriggered ? .target : .none)
            followsWindow = nil
        }
        switch action {
        case .reconcile(let target), .openshiftBuild(let target, _), .s2iRun(let target, _),
            .kpackRefresh(let target, _, _), .openshiftRelay(let target, _):
            let group = FluxKinds.group(of: target)
            key = .object(
                cluster: target.cluster, group: group, kind: target.kind, namespace: target.namespace,
                name: target.name,
                // One lane for all where deliveries of any ref are merged.
                lane: isOrdered && self.coalesce.by != .target ? Self.lane(ref) : 0)
            server = "kubernetes/\(target.cluster)"
            resource = "kubernetes/\(target.cluster)/\(group)/\(target.kind)/\(target.namespace)"
            runningMax = 1
        case .http(let origin, _):
            key = .ofRoute(Int32(route), action)
            server = origin
            resource = nil
            runningMax = settings.runningPerTargetMax
        case .dockerHubCallback(let target, let request):
            // In the queue of the object, so that it follows the refresh; several at once where there is none.
            key =
                target.map {
                    .object(
                        cluster: $0.cluster, group: FluxKinds.group(of: $0), kind: $0.kind, namespace: $0.namespace,
                        name: $0.name, lane: 0)
                } ?? .ofRoute(Int32(route), action)
            server = target == nil ? PlannedAction.origin(of: request.url) : nil
            resource = nil
            runningMax = 1
        case .exec, .log:
            key = .ofRoute(Int32(route), action)
            server = nil
            resource = nil
            if case .log = action { runningMax = settings.runningPerNamespaceMax } else { runningMax = 1 }
        }
    }

    /// Refs that share a number by chance wait for each other needlessly, and no more.
    private static func lane(_ ref: String?) -> UInt32 {
        ref.map { UInt32(truncatingIfNeeded: $0.hashValue) | 1 } ?? 0
    }
}

struct PlanTemplate: Sendable {
    /// Held while the template exists.
    let route: Int
    let policy: Int
    let actions: [Action]
    let coalesce: Coalesce?
    let retry: RetryPolicy
    /// What is recorded.
    let plan: [PlannedAction]
    let encoded: [EncodedPlanEntry]
    var steps: [PlanStep]

    init(_ definition: RouteDefinition, route: Int, policy: Int, _ settings: DispatcherSettings) {
        self.route = route
        self.policy = policy
        actions = definition.actions
        coalesce = definition.coalesce
        retry = definition.retry
        var plan: [PlannedAction] = []
        for action in definition.actions {
            let planned = PlannedAction(action)
            // Twice the same level-triggered target in one delivery is one trigger.
            if !planned.needsRoute, plan.contains(planned) { continue }
            plan.append(planned)
        }
        self.plan = plan
        encoded = plan.map(\.encoded)
        steps = plan.map {
            PlanStep($0, route: route, definition.identity, coalesce: definition.coalesce, settings)
        }
    }

    /// Cheap when nothing changed: equal arrays that share their storage are equal at once.
    func isMade(of definition: RouteDefinition) -> Bool {
        actions == definition.actions && coalesce == definition.coalesce && retry == definition.retry
    }
}

/// Queues that have no trigger now but may soon have one again, oldest first. An entry may have become wrong: the queue
/// itself says whether it is idle.
struct IdleQueues: Sendable {
    private var entries: [Int32] = []
    private var head = 0

    var count: Int { entries.count - head }

    mutating func append(_ queue: Int) { entries.append(Int32(queue)) }

    mutating func popFirst() -> Int? {
        guard head < entries.count else { return nil }
        defer {
            head += 1
            if head > 1024, head * 2 > entries.count {
                entries.removeFirst(head)
                head = 0
            }
        }
        return Int(entries[head])
    }
}
