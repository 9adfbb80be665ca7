// SimulatedDispatcher: the dispatcher's core and planning desk in a shell without thread, tasks and clock.
//
// It does what `DispatcherWorker` does, in the same order: messages, plans, commands. Attempts and plannings end when the simulated
// world says so. What is handed to it must come in order and once, within the room that it has; what it starts must not be paused.

import Delivery

@testable import Grapnel
@testable import Trigger

/// Owned by the simulation; `enqueue` and `load` are for the hand-over, on the same thread.
final class SimulatedDispatcher {
    private enum Message: Sendable {
        case deliveries([QueuedDelivery])
        case recovered([RecoveredDelivery], isStart: Bool)
        case paused(Set<PauseSubject>)
    }

    /// What the simulation looks at.
    struct Probes {
        /// Before an attempt.
        var inspect: (StartedAction) -> Void
        /// What the record says, whatever the disk does to others.
        var ref: (QueuedDelivery) -> String?
        var isDiskGone: () -> Bool
        /// What cannot be read at once comes later.
        var mayComeLate: () -> Bool
    }

    private(set) var core: DispatcherCore
    private var planning: PlanningDesk
    var world: SimulatedWorld
    private let ledger: TriggerLedger
    private let routes: CurrentRoutes
    private let time: SimulatedTime
    private let probes: Probes
    private let waitingMax: Int
    private let inbox = Locked<[Message]>([])
    private let load = Locked(0)
    private let overfilled = Locked(0)
    private var handed: Set<UInt64> = []
    private var handedThrough: UInt64 = 0
    private var paused: Set<PauseSubject> = []
    private var attempts: [(at: UInt64, action: StartedAction, result: ActionResult)] = []
    private var plannings: [(at: UInt64, delivery: QueuedDelivery, result: PlanningResult, ref: String?)] = []
    /// Deliveries of before the start that have no plan yet.
    private var recoveredPlans: Set<UInt64> = []
    private(set) var breakersOpened = 0
    private(set) var heldMax = 0

    init(
        _ world: SimulatedWorld, _ ledger: TriggerLedger, _ routes: CurrentRoutes, _ time: SimulatedTime,
        _ settings: DispatcherSettings, waitingMax: Int, _ probes: Probes
    ) {
        self.world = world
        self.ledger = ledger
        self.routes = routes
        self.time = time
        self.probes = probes
        self.waitingMax = waitingMax
        let seed = self.world.random.next()
        core = DispatcherCore(settings: settings, seed: seed)
        planning = PlanningDesk(seed: ~seed, objectMissingAttemptsMax: settings.objectMissingAttemptsMax)
    }

    var target: Handoff.Target {
        let (inbox, load, overfilled, waitingMax) = (inbox, load, overfilled, waitingMax)
        return Handoff.Target(
            load: { load.withLock { $0 } },
            enqueue: { deliveries in
                guard !deliveries.isEmpty else { return }
                let sum = load.withLock { load in
                    load += deliveries.count
                    return load
                }
                if sum > waitingMax { overfilled.withLock { $0 = sum } }
                inbox.withLock { $0.append(.deliveries(deliveries)) }
            },
            replay: { delivery in inbox.withLock { $0.append(.recovered([delivery], isStart: false)) } })
    }

    func replay(_ deliveries: [RecoveredDelivery]) {
        inbox.withLock { $0.append(.recovered(deliveries, isStart: true)) }
    }

    func setPaused(_ subjects: Set<PauseSubject>) { inbox.withLock { $0.append(.paused(subjects)) } }

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
        let over = overfilled.withLock { $0 }
        ledger.verify(over == 0, "the dispatcher was given up to \(over), \(waitingMax) may wait")
        for message in messages { take(message) }
        finishWhatIsDue()
        startPlanning()
        for command in core.takeCommands(now: time.now) { carryOut(command) }
        load.withLock { $0 = core.load + planning.count }
        if !paused.isEmpty { heldMax = max(heldMax, core.triggers.slots.count { $0.state == .held }) }
    }

    private func take(_ message: Message) {
        let now = time.now
        switch message {
        case .deliveries(let deliveries):
            if core.isDraining { return }
            for delivery in deliveries { plan(delivery, now) }
        case .recovered(let deliveries, let isStart):
            if core.isDraining { return }
            for delivery in deliveries { recover(delivery, isStart: isStart, now) }
        case .paused(let subjects):
            paused = subjects
            core.setPaused(subjects, now: now)
        }
    }

    private func plan(_ delivery: QueuedDelivery, _ now: UInt64) {
        noteHanded(delivery)
        let definition = routes.definition(of: delivery.route)
        var ref: String?
        if leavesToPlanning(delivery, definition, ref: &ref) { return }
        ledger.noteOrder(delivery.sequence)
        core.plan(delivery, definition: definition, ref: ref, now: now)
    }

    private func recover(_ recovered: RecoveredDelivery, isStart: Bool, _ now: UInt64) {
        let delivery = recovered.delivery
        noteHanded(delivery, isStart: isStart)
        let definition = routes.definition(of: delivery.route)
        let isConcluded = recovered.outcomes.contains {
            $0.code.isFinal && $0.planIndex == Trigger.OutcomeEntry.wholeDelivery
        }
        var ref: String?
        var isOrdered = true
        if let plan = recovered.plan {
            let isBuild = plan.contains { PlannedAction.isBuild(kindCode: $0.actionKind) }
            do throws(DeliveryLogError) {
                ref = try self.ref(of: delivery, definition, isBuild: isBuild)
            } catch {
                // Its builds go by themselves, in no order.
                isOrdered = false
            }
        } else if !isConcluded, leavesToPlanning(delivery, definition, ref: &ref) {
            recoveredPlans.insert(delivery.sequence)
            return
        }
        if isOrdered { ledger.noteOrder(delivery.sequence) }
        core.recover(recovered, definition: definition, ref: ref, now: now)
    }

    private func leavesToPlanning(
        _ delivery: QueuedDelivery, _ definition: RouteDefinition?, ref: inout String?
    ) -> Bool {
        guard let definition else { return false }
        if !definition.isPlannedPerDelivery {
            let isBuild = definition.actions.contains { PlannedAction.isBuild($0) }
            do throws(DeliveryLogError) {
                ref = try self.ref(of: delivery, definition, isBuild: isBuild)
                return false
            } catch {}
        }
        planning.add(delivery, retry: definition.retry)
        return true
    }

    /// In the order of the journal, and once.
    private func noteHanded(_ delivery: QueuedDelivery, isStart: Bool = false) {
        let sequence = delivery.sequence
        ledger.note(delivery, ref: probes.ref(delivery))
        ledger.verify(handed.insert(sequence).inserted, "\(sequence) was handed over twice")
        ledger.verify(
            sequence > handedThrough || (!isStart && probes.mayComeLate()), "\(sequence) came behind \(handedThrough)")
        handedThrough = max(handedThrough, sequence)
    }

    private func ref(
        of delivery: QueuedDelivery, _ definition: RouteDefinition?, isBuild: Bool
    ) throws(DeliveryLogError) -> String? {
        guard definition?.coalesce?.by == .ref || isBuild,
            let payload = try ledger.payload(sequence: delivery.sequence, location: delivery.location)
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
        for (_, delivery, result, ref) in planned { take(result, of: delivery, ref, now) }
    }

    private func take(_ result: PlanningResult, of delivery: QueuedDelivery, _ ref: String?, _ now: UInt64) {
        guard let verdict = planning.complete(delivery.sequence, result, now: now), !core.isDraining else { return }
        var isRecovered = false
        if case .waits = verdict {} else { isRecovered = recoveredPlans.remove(delivery.sequence) != nil }
        switch verdict {
        case .planned(let actions):
            guard let definition = routes.definition(of: delivery.route) else { return }
            ledger.noteOrder(delivery.sequence)
            core.plan(
                delivery, definition: definition, actions: actions, ref: ref, mayHaveActed: isRecovered, now: now)
        case .ignored(let reason): core.conclude(delivery, .ignored, reason: reason, now: now)
        case .dead(let reason): core.conclude(delivery, .dead, reason: reason, now: now)
        case .waits: break
        }
    }

    private func startPlanning() {
        guard !core.isDraining else { return }
        while let delivery = planning.next(now: time.now) {
            guard let definition = routes.definition(of: delivery.route) else { continue }
            var (milliseconds, result) = world.planning(definition)
            var ref: String?
            switch record(delivery.sequence, delivery.location) {
            case .success(let payload): ref = ActionSet.decodeEvent(payload).ref
            case .failure(let failure): (milliseconds, result) = (0, .failed(failure))
            }
            plannings.append((time.now + UInt64(milliseconds) * 1_000_000, delivery, result, ref))
        }
    }

    /// What is owed has its record: where it cannot be read now it can be later.
    private func record(_ sequence: UInt64, _ location: DeliveryLocation) -> Result<DeliveryPayload, ActionFailure> {
        do throws(DeliveryLogError) {
            if let payload = try ledger.payload(sequence: sequence, location: location) { return .success(payload) }
        } catch {
            return .failure(ActionFailure(.healable, scope: .none, reason: error.reason))
        }
        ledger.verify(probes.isDiskGone(), "the record of \(sequence), which is owed, is gone")
        return .failure(ActionFailure(.final, scope: .none, reason: "gone"))
    }

    private func carryOut(_ command: DispatcherCommand) {
        switch command {
        case .recordPlan(let sequence, _, let encoded): ledger.recordPlan(sequence: sequence, entries: encoded)
        case .recordOutcomes(let settled): ledger.recordOutcomes(settled.map(\.entry))
        case .breakerChanged(_, let isOpen, _): breakersOpened += isOpen ? 1 : 0
        case .start(let action):
            checkLimits(action)
            ledger.start(action)
            probes.inspect(action)
            var (milliseconds, result) = world.attempt()
            // Those that need the record.
            if action.action.needsRoute || action.action.isBuild,
                case .failure(let failure) = record(action.sequence, action.location)
            {
                (milliseconds, result) = (0, .failed(failure))
            }
            attempts.append((time.now + UInt64(milliseconds) * 1_000_000, action, result))
        }
    }

    private func checkLimits(_ action: StartedAction) {
        let text = "\(action.sequence)/\(action.planIndex) was started"
        let cluster = action.action.target?.cluster ?? action.route.cluster
        let subjects: [PauseSubject] = [
            .route(action.route), .namespace(cluster: action.route.cluster, namespace: action.route.namespace),
            .target(cluster: cluster, text: action.action.targetText),
        ]
        ledger.verify(paused.isDisjoint(with: subjects), "\(text) while it was paused")
        let settings = core.settings
        ledger.verify(attempts.count < settings.runningMax, "\(text) beside \(attempts.count) others")
        guard let target = action.action.target else { return }
        let onCluster = attempts.count { $0.action.action.target?.cluster == cluster }
        ledger.verify(onCluster < settings.runningPerClusterMax, "\(text) beside \(onCluster) others of its cluster")
        let onTarget = attempts.count { $0.action.action.target == target }
        let onTargetMax = action.action.isBuild ? settings.runningPerTargetMax : 1
        ledger.verify(onTarget < onTargetMax, "\(text) beside \(onTarget) others of its target")
    }
}
