// CoreSimulation: drives a DispatcherCore with a simulated clock, a world that answers attempts, and a log that checks
// what must always hold: nothing runs that was not planned, every plan entry ends with exactly one final outcome.

import Delivery
import Testing

@testable import Trigger

let second: UInt64 = 1_000_000_000
let hour: UInt64 = 3600 * second

/// The start of simulated time: 2026-01-01, in nanoseconds since 1970.
let epoch: UInt64 = 1_767_225_600 * second

final class CoreSimulation {
    struct Key: Hashable, CustomStringConvertible {
        var sequence: UInt64
        var index: UInt16
        var description: String { "\(sequence)/\(index)" }
    }

    var core: DispatcherCore
    var now = epoch
    var definitions: [RouteIdentity: RouteDefinition] = [:]
    /// What an attempt made at `now` gives, and how long it takes.
    var world: (StartedAction, _ now: UInt64) -> (ActionResult, nanoseconds: UInt64) = { _, _ in (.done, 1_000_000) }

    private(set) var plans: [UInt64: [PlannedAction]] = [:]
    private(set) var outcomes: [Key: OutcomeEntry] = [:]
    /// Outcomes that are not final, in order.
    private(set) var attempts: [OutcomeEntry] = []
    private(set) var started: [(at: UInt64, action: StartedAction)] = []
    private(set) var runningMax = 0
    private(set) var refs: [UInt64: String] = [:]
    private var finishing: [(at: UInt64, id: TriggerID, result: ActionResult)] = []
    /// Attempts of builds, by target and ref, as they began and ended.
    enum BuildEvent {
        case started(String, UInt64)
        case ended(String)
    }
    private(set) var builds: [BuildEvent] = []
    private var lanes: [TriggerID: String] = [:]
    /// The most that ran at once on a cluster.
    private(set) var clusterMax: [String: Int] = [:]
    private var onCluster: [TriggerID: String] = [:]
    /// Last told state of each breaker.
    private(set) var breakers: [String: Bool] = [:]

    init(settings: DispatcherSettings = DispatcherSettings(), seed: UInt64 = 1) {
        core = DispatcherCore(settings: settings, seed: seed)
    }

    func define(_ definition: RouteDefinition) { definitions[definition.identity] = definition }

    func deliver(_ sequence: UInt64, to route: RouteIdentity, ref: String? = nil, received: UInt64? = nil) {
        refs[sequence] = ref
        core.plan(
            delivery(sequence, route, received ?? now), definition: definitions[route], ref: ref, now: now)
        pump()
    }

    func recover(
        _ sequence: UInt64, of route: RouteIdentity, plan: [EncodedPlanEntry]?, outcomes: [OutcomeEntry] = [],
        ref: String? = nil
    ) {
        refs[sequence] = ref
        if let plan { plans[sequence] = plan.compactMap { PlannedAction($0) } }
        core.recover(
            RecoveredDelivery(delivery: delivery(sequence, route, now), plan: plan, outcomes: outcomes),
            definition: definitions[route], ref: ref, now: now)
        pump()
    }

    /// A plan of before the start.
    func know(_ sequence: UInt64, _ plan: [PlannedAction]) { plans[sequence] = plan }

    func delivery(_ sequence: UInt64, _ route: RouteIdentity, _ received: UInt64) -> QueuedDelivery {
        QueuedDelivery(
            sequence: sequence, receivedNanoseconds: received, route: route,
            location: DeliveryLocation(segment: 1, offset: 0, length: 0))
    }

    /// Carries out commands until none is left at this moment.
    func pump() {
        for command in core.takeCommands(now: now) {
            switch command {
            case .recordPlan(let sequence, let plan, let encoded, _):
                #expect(encoded == plan.map(\.encoded))
                #expect(plans[sequence] == nil, "delivery \(sequence) was planned twice")
                plans[sequence] = plan
            case .recordOutcomes(let settled): for outcome in settled { record(outcome.entry) }
            case .breakerChanged(let key, let isOpen, _):
                // One that nobody waits for is forgotten in silence, and may open anew.
                #expect(isOpen || breakers[key] == true, "breaker \(key) was closed twice")
                breakers[key] = isOpen
            case .start(let action):
                let key = Key(sequence: action.sequence, index: action.planIndex)
                #expect(outcomes[key] == nil, "\(key) was started after its final outcome")
                #expect(
                    plans[action.sequence].map { Int(action.planIndex) < $0.count } == true,
                    "\(key) was started without a plan")
                started.append((now, action))
                if action.action.isBuild {
                    let lane = "\(action.action.targetText) \(refs[action.sequence] ?? "")"
                    lanes[action.id] = lane
                    builds.append(.started(lane, action.sequence))
                }
                if let cluster = action.action.target?.cluster {
                    onCluster[action.id] = cluster
                    clusterMax[cluster] = max(
                        clusterMax[cluster] ?? 0, onCluster.values.count { $0 == cluster })
                }
                let (result, duration) = world(action, now)
                finishing.append((now + duration, action.id, result))
                runningMax = max(runningMax, finishing.count)
            }
        }
    }

    private func record(_ entry: OutcomeEntry) {
        guard entry.code.isFinal else {
            attempts.append(entry)
            return
        }
        let key = Key(sequence: entry.sequence, index: entry.planIndex)
        #expect(outcomes[key] == nil, "\(key) has a second final outcome")
        outcomes[key] = entry
        if entry.planIndex != OutcomeEntry.wholeDelivery {
            #expect(plans[entry.sequence] != nil, "\(key) has an outcome without a plan")
        }
        if entry.code == .merged {
            #expect(plans[entry.detail] != nil, "\(key) was merged into a delivery without a plan")
        }
    }

    /// Lets time pass until `end`, stopping at everything that happens.
    func run(until end: UInt64) {
        pump()
        while true {
            let nextFinish = finishing.map(\.at).min()
            guard let next = [nextFinish, core.wakeAt].compactMap({ $0 }).min(), next <= end else { break }
            now = max(now, next)
            let done = finishing.filter { $0.at <= now }
            finishing.removeAll { $0.at <= now }
            for entry in done {
                if let lane = lanes.removeValue(forKey: entry.id) { builds.append(.ended(lane)) }
                onCluster[entry.id] = nil
                core.complete(entry.id, entry.result, now: now)
            }
            pump()
        }
        now = max(now, end)
        pump()
    }

    func run(for duration: UInt64) { run(until: now + duration) }

    /// Plan entries without a final outcome.
    var open: [Key] {
        plans.flatMap { sequence, plan in
            plan.indices.map { Key(sequence: sequence, index: UInt16($0)) }
        }.filter { outcomes[$0] == nil }
    }

    func count(_ code: OutcomeCode) -> Int { outcomes.values.count { $0.code == code } }

    func outcome(_ sequence: UInt64, _ index: UInt16 = 0) -> OutcomeEntry? {
        outcomes[Key(sequence: sequence, index: index)]
    }
}

// MARK: - Shorthand

func hook(_ name: String, namespace: String = "team-a") -> RouteIdentity {
    RouteIdentity(kind: .hook, namespace: namespace, name: name)
}

func reconcile(_ name: String, namespace: String = "team-a", cluster: String = "local") -> Action {
    .reconcile(
        TargetReference(cluster: cluster, apiVersion: nil, kind: "GitRepository", namespace: namespace, name: name))
}

func build(_ name: String, namespace: String = "team-a", cluster: String = "local") -> Action {
    .openshiftBuild(
        TargetReference(
            cluster: cluster, apiVersion: "build.openshift.io/v1", kind: "BuildConfig", namespace: namespace, name: name
        ),
        buildRequest: Array("{}".utf8))
}

func post(_ url: String) -> Action { .http(url: url, timeoutNanoseconds: second, signingSecret: nil) }

func route(
    _ identity: RouteIdentity, _ actions: [Action], coalesce: Coalesce? = nil, retry: RetryPolicy = RetryPolicy()
) -> RouteDefinition {
    RouteDefinition(
        identity: identity, path: "/hooks/\(identity.namespace)/\(identity.name)", sender: .github,
        secrets: [SecretBytes([1])], actions: actions, coalesce: coalesce, retry: retry)
}

let connectionRefused = ActionResult.failed(ActionFailure(.healable, scope: .server, reason: "connection refused"))
let forbidden = ActionResult.failed(ActionFailure(.healable, scope: .resource, reason: "403"))
let objectMissing = ActionResult.failed(ActionFailure(.objectMissing, scope: .target, reason: "404 no such object"))
let conflict = ActionResult.failed(ActionFailure(.judged, scope: .target, reason: "409"))
let unprocessable = ActionResult.failed(ActionFailure(.final, scope: .target, reason: "422"))

/// The seed of a property test: printed by the caller, taken from GRAPNEL_SEED when that is set.
func testSeeds(_ count: Int) -> [UInt64] {
    if let text = ProcessEnvironment.value("GRAPNEL_SEED"), let seed = UInt64(text) { return [seed] }
    return (0..<count).map { _ in UInt64.random(in: 1...UInt64.max) }
}
