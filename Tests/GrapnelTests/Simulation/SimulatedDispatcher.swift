// SimulatedDispatcher: the dispatcher's core and planning desk in a shell without thread, tasks and clock.
//
// It does what `DispatcherWorker` does, in the same order: messages, plans, commands. Attempts and plannings end when the simulated
// world says so.

import Delivery

@testable import Grapnel
@testable import Trigger

/// What the simulated API server and the other targets answer, and when.
struct SimulatedWorld {
    var random: SeededGenerator
    /// Everything works at once.
    var isCalm = false
    /// Nothing answers.
    var isAway = false

    mutating func attempt() -> (milliseconds: Int, result: ActionResult) {
        func failed(
            _ verdict: ActionFailure.Verdict, _ scope: ActionFailure.Scope, _ reason: String, after: UInt64? = nil
        ) -> ActionResult {
            .failed(ActionFailure(verdict, scope: scope, retryAfterNanoseconds: after, reason: reason))
        }
        if isCalm { return (Int.random(in: 1...20, using: &random), .done) }
        if isAway { return (Int.random(in: 1...50, using: &random), failed(.healable, .server, "connection refused")) }
        let soon = Int.random(in: 1...300, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<55: return (soon, .done)
        case 55..<62: return (Int.random(in: 2_000...15_000, using: &random), .done)
        case 62..<72: return (soon, failed(.judged, .target, "409"))
        case 72..<79: return (soon, failed(.healable, .server, "500"))
        case 79..<84:
            let asked = UInt64.random(in: 1...3, using: &random) * SimulatedRoutes.second
            return (soon, failed(.healable, .server, "429", after: asked))
        case 84..<90: return (soon, failed(.objectMissing, .target, "404"))
        case 90..<92: return (soon, failed(.healable, .resource, "403"))
        case 92..<95: return (soon, failed(.final, .target, "422"))
        case 95..<97: return (soon, .ignored(reason: "nothing to do"))
        // Never: the client gives up.
        default: return (30_000, failed(.healable, .server, "timeout"))
        }
    }

    mutating func planning(_ definition: RouteDefinition) -> (milliseconds: Int, result: PlanningResult) {
        let soon = Int.random(in: 0...40, using: &random)
        if isCalm { return (soon, .actions(definition.actions)) }
        switch Int.random(in: 0..<20, using: &random) {
        case 0: return (soon, .ignored(reason: "filter"))
        case 1, 2: return (soon, .failed(ActionFailure(.healable, scope: .server, reason: "500")))
        case 3: return (soon, .failed(ActionFailure(.objectMissing, scope: .none, reason: "404")))
        default: return (soon, .actions(definition.actions))
        }
    }
}

/// Owned by the simulation; `enqueue` and `load` are for the hand-over, on the same thread.
final class SimulatedDispatcher {
    private enum Message: Sendable {
        case deliveries([QueuedDelivery])
        case recovered([RecoveredDelivery])
    }

    private(set) var core: DispatcherCore
    private var planning: PlanningDesk
    var world: SimulatedWorld
    private let ledger: TriggerLedger
    private let routes: CurrentRoutes
    private let time: SimulatedTime
    /// Looks at each attempt before it runs.
    private let inspect: (StartedAction) -> Void
    private let inbox = Locked<[Message]>([])
    private let load = Locked(0)
    private var attempts: [(at: UInt64, action: StartedAction, result: ActionResult)] = []
    private var plannings: [(at: UInt64, delivery: QueuedDelivery, result: PlanningResult)] = []
    private(set) var breakersOpened = 0

    init(
        _ world: SimulatedWorld, _ ledger: TriggerLedger, _ routes: CurrentRoutes, _ time: SimulatedTime,
        inspect: @escaping (StartedAction) -> Void
    ) {
        self.world = world
        self.ledger = ledger
        self.routes = routes
        self.time = time
        self.inspect = inspect
        var settings = DispatcherSettings()
        settings.runningMax = 8
        settings.runningPerNamespaceMax = 4
        let seed = self.world.random.next()
        core = DispatcherCore(settings: settings, seed: seed)
        planning = PlanningDesk(seed: ~seed)
    }

    var target: Handoff.Target {
        let (inbox, load) = (inbox, load)
        return Handoff.Target(
            load: { load.withLock { $0 } },
            enqueue: { deliveries in
                guard !deliveries.isEmpty else { return }
                load.withLock { $0 += deliveries.count }
                inbox.withLock { $0.append(.deliveries(deliveries)) }
            },
            replay: { delivery in inbox.withLock { $0.append(.recovered([delivery])) } })
    }

    func replay(_ deliveries: [RecoveredDelivery]) { inbox.withLock { $0.append(.recovered(deliveries)) } }

    var isQuiet: Bool {
        inbox.withLock { $0.isEmpty } && core.owedDeliveryCount == 0 && core.runningCount == 0 && planning.count == 0
            && attempts.isEmpty && plannings.isEmpty
    }

    var unplannedCount: Int { planning.count }

    func drain() { core.isDraining = true }

    /// When there is something to do: now, later, or not before something comes.
    var wakeAt: UInt64? {
        if inbox.withLock({ !$0.isEmpty }) { return time.now }
        var times = (attempts.map(\.at) + plannings.map(\.at))
        if let wake = core.wakeAt { times.append(wake) }
        if !core.isDraining, let wake = planning.wakeAt { times.append(wake) }
        return times.min()
    }

    func turn() {
        let messages = inbox.withLock { inbox in
            defer { inbox = [] }
            return inbox
        }
        for message in messages where !core.isDraining { take(message) }
        finishWhatIsDue()
        startPlanning()
        for command in core.takeCommands(now: time.now) { carryOut(command) }
        load.withLock { $0 = core.load + planning.count }
    }

    private func take(_ message: Message) {
        let now = time.now
        switch message {
        case .deliveries(let deliveries):
            for delivery in deliveries {
                let definition = routes.definition(of: delivery.route)
                if let definition, definition.isPlannedPerDelivery {
                    planning.add(delivery, retry: definition.retry)
                    continue
                }
                core.plan(delivery, definition: definition, ref: ref(of: delivery, definition), now: now)
            }
        case .recovered(let deliveries):
            for recovered in deliveries {
                let definition = routes.definition(of: recovered.delivery.route)
                let isConcluded = recovered.outcomes.contains {
                    $0.code.isFinal && $0.planIndex == Trigger.OutcomeEntry.wholeDelivery
                }
                if recovered.plan == nil, !isConcluded, let definition, definition.isPlannedPerDelivery {
                    planning.add(recovered.delivery, retry: definition.retry)
                    continue
                }
                core.recover(
                    recovered, definition: definition, ref: ref(of: recovered.delivery, definition), now: now)
            }
        }
    }

    private func ref(of delivery: QueuedDelivery, _ definition: RouteDefinition?) -> String? {
        guard definition?.coalesce?.by == .ref,
            let payload = try? ledger.payload(sequence: delivery.sequence, location: delivery.location)
        else { return nil }
        return ActionSet.decodeEvent(payload).ref
    }

    private func finishWhatIsDue() {
        let now = time.now
        let done = attempts.filter { $0.at <= now }
        attempts.removeAll { $0.at <= now }
        for attempt in done {
            ledger.end(attempt.action)
            core.complete(attempt.action.id, attempt.result, now: now)
        }
        let planned = plannings.filter { $0.at <= now }
        plannings.removeAll { $0.at <= now }
        for (_, delivery, result) in planned {
            guard let verdict = planning.complete(delivery.sequence, result, now: now), !core.isDraining else {
                continue
            }
            switch verdict {
            case .planned(let actions):
                guard let definition = routes.definition(of: delivery.route) else { continue }
                core.plan(
                    delivery, definition: definition, actions: actions, ref: ref(of: delivery, definition), now: now)
            case .ignored(let reason): core.conclude(delivery, .ignored, reason: reason, now: now)
            case .dead(let reason): core.conclude(delivery, .dead, reason: reason, now: now)
            case .waits: break
            }
        }
    }

    private func startPlanning() {
        guard !core.isDraining else { return }
        while let delivery = planning.next(now: time.now) {
            guard let definition = routes.definition(of: delivery.route) else { continue }
            let (milliseconds, result) = world.planning(definition)
            plannings.append((time.now + UInt64(milliseconds) * 1_000_000, delivery, result))
        }
    }

    private func carryOut(_ command: DispatcherCommand) {
        switch command {
        case .recordPlan(let sequence, _, let encoded): ledger.recordPlan(sequence: sequence, entries: encoded)
        case .recordOutcomes(let settled): ledger.recordOutcomes(settled.map(\.entry))
        case .breakerChanged(_, let isOpen, _): breakersOpened += isOpen ? 1 : 0
        case .start(let action):
            ledger.start(action)
            inspect(action)
            let (milliseconds, result) = world.attempt()
            attempts.append((time.now + UInt64(milliseconds) * 1_000_000, action, result))
        }
    }
}
