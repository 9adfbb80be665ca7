// DispatcherCore: which action runs when. A state machine without I/O, clock or threads: deliveries, results and the time
// go in, commands come out. The shell (`Dispatcher`) carries them out; tests drive it with a simulated clock.
//
//     plan/recover ──> queue of the target ──> ready list of the namespace ──> round over namespaces ──> start
//                        │   ^      │                     ^                            │
//                 window │   │ due  │ behind an open      │ breaker closes             │ complete
//                        v   │      │ breaker             │                            v
//                       delayed     └────> parked ────────┘            done, dead … or delayed (backoff)
//
// A *trigger* is one entry of a plan that has no final outcome yet. Its target has a *queue*: at most `runningMax` of its
// triggers run at once, in the order in which they came; one that waits for its backoff steps aside. Where coalescing
// applies, a trigger that waits (in the queue, in its window or in its backoff) is replaced in place by a newer one of
// the same key: the older one is final as merged, the newer one takes over place, due time and backoff, but not the
// attempts. So there is at most one running and one waiting, and no storm can push a target back in the line.
//
// Everything is in slabs and lists of indexes; a trigger costs about 120 bytes, whatever its delivery's size.
// Time is nanoseconds since 1970 that never go back (the shell takes care of that).

package import Delivery

package struct DispatcherCore: Sendable {
    let settings: DispatcherSettings
    var random: SeededRandom

    var triggers = Slab<Trigger>()
    var queues = Slab<Queue>()
    var namespaces = Slab<Namespace>()
    var breakers = Slab<Breaker>()
    var routes = Interned<RouteIdentity>()
    var policies = Interned<PolicyKey>()
    var queueIndexes: [QueueKey: Int] = [:]
    var namespaceIndexes: [NamespaceKey: Int] = [:]
    var targets = Slab<Target>()
    var targetIndexes: [QueueKey: Int] = [:]
    var clusters: [Cluster] = []
    var clusterIndexes: [String: Int] = [:]
    var breakerIndexes: [String: Int] = [:]
    var templates = Slab<PlanTemplate>()
    var templateIndexes: [RouteIdentity: Int] = [:]
    /// What triggers are to do whose queue-mates may have other things to do, by slot.
    var ownActions: [Int: PlannedAction] = [:]
    /// By slot: when a window that is prolonged ends at the latest.
    var windowEnds: [Int: UInt64] = [:]
    var paused: Set<PauseSubject> = []
    /// What is held for a target, by what it would be merged by.
    var heldByKey: [HeldKey: Int32] = [:]
    var dead: [DeadTrigger] = []
    var deadCount: UInt64 = 0
    var idleQueues = IdleQueues()
    var timers = TimerHeap()
    /// Namespaces with something ready and a free place.
    var round = IndexList()
    /// Plan entries without a final outcome, by delivery.
    var owed: [UInt64: Int] = [:]
    /// See `watchEnds`; 0: nobody wants to know.
    var endsWatchedThrough: UInt64 = 0
    var ends: Set<UInt64> = []
    /// Deliveries in `owed`, by the index of their route.
    var owedOfRoute: [Int] = []
    var now: UInt64 = 0
    var running = 0
    /// Starts so far.
    var startCount: UInt64 = 0
    /// The latest turn of a namespace that was forgotten: a new one may be that.
    var forgottenStart: UInt64 = 0
    /// Bytes in `ownActions`.
    var ownBytes = 0
    var nextGeneration: UInt32 = 0
    var settled: [SettledOutcome] = []
    var commands: [DispatcherCommand] = []

    /// The keys of the breakers that are not closed.
    package internal(set) var openBreakers: Set<String> = []

    /// While true nothing starts; results are still taken.
    package var isDraining = false

    package init(settings: DispatcherSettings = DispatcherSettings(), seed: UInt64) {
        precondition(
            settings.runningMax >= 1 && settings.runningPerNamespaceMax >= 1 && settings.runningPerTargetMax >= 1
                && settings.runningPerClusterMax >= 1 && settings.breakerFailuresMax >= 1
                && settings.objectMissingAttemptsMax >= 1,
            "a dispatcher's limits are at least 1")
        self.settings = settings
        random = SeededRandom(seed: seed)
    }

    // MARK: - Inputs

    /// Plans a delivery by the current definition of its route; nil: the route is gone.
    ///
    /// `ref` is the event's ref; needed only when the route coalesces by ref or builds. A sequence that is already owed is left out.
    /// `mayHaveActed`: the delivery was here before a restart, and its plan was lost.
    package mutating func plan(
        _ delivery: QueuedDelivery, definition: RouteDefinition?, ref: String?, mayHaveActed: Bool = false, now: UInt64
    ) {
        advance(to: now)
        guard owed[delivery.sequence] == nil else { return }
        guard let definition else { return settleWhole(delivery, IgnoredReason.routeRemoved) }
        let template = templateIndex(definition)
        let plan = templates[template].plan
        guard !plan.isEmpty else { return settleWhole(delivery, IgnoredReason.noActions) }
        commands.append(
            .recordPlan(
                sequence: delivery.sequence, plan, encoded: templates[template].encoded,
                durable: delivery.durableNanoseconds))
        owe(delivery.sequence, entries: plan.count, route: templates[template].route)
        for index in plan.indices {
            var step = templates[template].steps[index]
            if step.isOrdered, ref != nil {
                step = PlanStep(
                    step.action, route: templates[template].route, delivery.route, coalesce: definition.coalesce,
                    settings, ref: ref)
            }
            let queue = queueIndex(for: step)
            if step.queueHint != queue { templates[template].steps[index].queueHint = Int32(queue) }
            routes.retain(templates[template].route)
            policies.retain(templates[template].policy)
            var trigger = Trigger(
                delivery, planIndex: index, queue: queue, route: templates[template].route,
                policy: templates[template].policy)
            trigger.mayHaveActed = mayHaveActed
            add(trigger, step, ref: ref)
        }
    }

    /// Plans a delivery whose triggers were found by looking at it. None: nothing is to be done after all.
    package mutating func plan(
        _ delivery: QueuedDelivery, definition: RouteDefinition, actions: [Action], ref: String?,
        mayHaveActed: Bool = false, now: UInt64
    ) {
        advance(to: now)
        guard owed[delivery.sequence] == nil else { return }
        var plan: [PlannedAction] = []
        for action in actions.map({ PlannedAction($0) }) where action.needsRoute || !plan.contains(action) {
            plan.append(action)
        }
        guard !plan.isEmpty else { return settleWhole(delivery, IgnoredReason.noActions) }
        commands.append(
            .recordPlan(
                sequence: delivery.sequence, plan, encoded: plan.map(\.encoded), durable: delivery.durableNanoseconds))
        let held = routes.retain(delivery.route)
        defer { routes.release(held) }
        owe(delivery.sequence, entries: plan.count, route: held)
        for (index, action) in plan.enumerated() {
            let route = routes.retain(delivery.route)
            let step = PlanStep(action, route: route, delivery.route, coalesce: definition.coalesce, settings, ref: ref)
            var trigger = Trigger(
                delivery, planIndex: index, queue: queueIndex(for: step), route: route,
                policy: policies.retain(PolicyKey(definition.retry, definition.coalesce)))
            trigger.mayHaveActed = mayHaveActed
            add(trigger, step, ref: ref)
        }
    }

    /// Ends a delivery without a plan: `code` is final.
    package mutating func conclude(_ delivery: QueuedDelivery, _ code: OutcomeCode, reason: String, now: UInt64) {
        advance(to: now)
        guard owed[delivery.sequence] == nil else { return }
        settle(
            OutcomeEntry(
                sequence: delivery.sequence, planIndex: OutcomeEntry.wholeDelivery, code: code, reason: reason),
            action: nil, delivery)
    }

    /// Takes up a delivery that the journal still owes. With a plan the plan holds; what needs the route's current
    /// settings and no longer finds them there is ignored. Entries with a final outcome are not run again.
    package mutating func recover(
        _ recovered: RecoveredDelivery, definition: RouteDefinition?, ref: String?, now: UInt64
    ) {
        let delivery = recovered.delivery
        guard let plan = recovered.plan else {
            if !recovered.outcomes.contains(where: { $0.code.isFinal && $0.planIndex == OutcomeEntry.wholeDelivery }) {
                self.plan(delivery, definition: definition, ref: ref, mayHaveActed: true, now: now)
            }
            return
        }
        advance(to: now)
        guard owed[delivery.sequence] == nil else { return }
        var attempts: [UInt16: UInt64] = [:]
        var finished: Set<UInt16> = []
        for outcome in recovered.outcomes where outcome.sequence == delivery.sequence {
            if outcome.code.isFinal {
                finished.insert(outcome.planIndex)
            } else {
                attempts[outcome.planIndex] = max(attempts[outcome.planIndex] ?? 0, outcome.detail)
            }
        }
        guard !finished.contains(OutcomeEntry.wholeDelivery) else { return }
        let open = plan.indices.filter { !finished.contains(UInt16(clamping: $0)) }
        guard !open.isEmpty else { return }
        let held = routes.retain(delivery.route)
        defer { routes.release(held) }
        owe(delivery.sequence, entries: open.count, route: held)
        for index in open {
            guard let action = PlannedAction(plan[index]) else {
                settle(
                    OutcomeEntry(
                        sequence: delivery.sequence, planIndex: UInt16(clamping: index), code: .dead,
                        reason: "the plan entry cannot be read by this version"),
                    action: nil, delivery, routeIndex: held)
                continue
            }
            if action.needsRoute, definition?.actions.contains(where: { action.matches($0) }) != true {
                settle(
                    OutcomeEntry(
                        sequence: delivery.sequence, planIndex: UInt16(clamping: index), code: .ignored,
                        reason: IgnoredReason.routeRemoved),
                    action: action, delivery, routeIndex: held)
                continue
            }
            let route = routes.retain(delivery.route)
            let step = PlanStep(
                action, route: route, delivery.route, coalesce: definition?.coalesce, settings, ref: ref)
            var trigger = Trigger(
                delivery, planIndex: index, queue: queueIndex(for: step), route: route,
                policy: policies.retain(PolicyKey(definition?.retry ?? RetryPolicy(), definition?.coalesce)))
            trigger.mayHaveActed = true
            trigger.attempts = UInt16(clamping: attempts[UInt16(clamping: index)] ?? 0)
            add(trigger, step, ref: ref)
        }
    }

    /// Moves the clock; it never goes back. Fires what is due.
    package mutating func advance(to time: UInt64) {
        now = max(now, time)
        while let subject = timers.popDue(now) {
            switch subject {
            case .trigger(let id): becomeDue(id)
            case .breaker(let index, let generation): reopenPassage(index, generation)
            case .queue(let index): reopenQueue(index)
            case .delivery: assertionFailure("deliveries are the planning's")
            }
        }
    }

    /// What is to be done now. Starts as many actions as limits and breakers allow.
    package mutating func takeCommands(now: UInt64) -> [DispatcherCommand] {
        advance(to: now)
        startReady()
        flushSettled()
        defer { commands = [] }
        return commands
    }

    /// When `takeCommands` must be called next if nothing else happens; nil: nothing waits for the time.
    package var wakeAt: UInt64? { isDraining ? nil : timers.earliest }

    // MARK: - Figures

    package var runningCount: Int { running }
    /// Triggers that are owed and do not run.
    package var waitingCount: Int { triggers.count - running }
    package var owedDeliveryCount: Int { owed.count }
    func holds(_ sequence: UInt64) -> Bool { owed[sequence] != nil }
    /// Deliveries of one route that are owed.
    package func owedDeliveryCount(of route: RouteIdentity) -> Int {
        guard let index = routes.index(of: route), index < owedOfRoute.count else { return 0 }
        return owedOfRoute[index]
    }
    /// What is owed, in deliveries: those whose actions are large count for as many as would fill the same memory.
    package var load: Int { owed.count + ownBytes / Self.ownBytesOfOne }
    private static let ownBytesOfOne = 1_024
    /// When the oldest owed delivery was received. Looks at every trigger.
    package var oldestReceivedNanoseconds: UInt64? {
        triggers.slots.lazy.filter { $0.queue != IndexList.none }.map(\.receivedNanoseconds).min()
    }
}
