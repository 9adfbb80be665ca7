// DispatcherWorker: what runs on the dispatcher's thread. Takes messages, feeds the core, carries out its commands.

import Delivery
import Logging
import Metrics
import Synchronization

struct DispatcherWorker: ~Copyable {
    private var core: DispatcherCore
    private let parts: Dispatcher.Parts
    private let mailbox: Mailbox<Dispatcher.Message>
    private let drained: Signal
    private let clock = DispatcherClock()
    private var planning: PlanningDesk
    private var tasks: [TriggerID: Task<Void, Never>] = [:]
    /// Deliveries of before the start that have no plan yet.
    private var recoveredPlans: Set<UInt64> = []
    private var planningTasks: [UInt64: Task<Void, Never>] = [:]
    private var isStopping = false
    private var agesAt: UInt64 = 0

    /// How often the age of the oldest delivery is looked for; that looks at all that wait.
    private static let ageIntervalNanoseconds: UInt64 = 1_000_000_000

    init(
        core: DispatcherCore, planning: PlanningDesk, parts: Dispatcher.Parts, mailbox: Mailbox<Dispatcher.Message>,
        drained: Signal
    ) {
        self.core = core
        self.planning = planning
        self.parts = parts
        self.mailbox = mailbox
        self.drained = drained
    }

    /// Until `.stop`.
    mutating func run() {
        while !isStopping {
            var limit = core.wakeAt
            if !core.isDraining, let due = planning.wakeAt { limit = min(limit ?? .max, due) }
            // Ages grow by themselves: look again while something is owed.
            if core.owedDeliveryCount + planning.count > 0 {
                limit = min(limit ?? .max, agesAt &+ Self.ageIntervalNanoseconds)
            }
            let messages = mailbox.take(until: limit.map { clock.monotonic(for: $0) })
            var taken = 0
            for message in messages {
                if case .deliveries(let deliveries) = message { taken += deliveries.count }
                handle(message)
            }
            startPlanning()
            for command in core.takeCommands(now: clock.now) { carryOut(command) }
            updateFigures()
            if taken > 0 { parts.load.posted.subtract(taken, ordering: .releasing) }
            if core.isDraining, core.runningCount == 0, planningTasks.isEmpty { drained.set() }
        }
        for message in mailbox.close() { message.answerStopped() }
        for task in tasks.values { task.cancel() }
        for task in planningTasks.values { task.cancel() }
        drained.set()
    }

    private mutating func handle(_ message: Dispatcher.Message) {
        let now = clock.now
        switch message {
        case .deliveries(let deliveries):
            // A drained dispatcher plans nothing: what comes now is planned after the restart.
            if core.isDraining { return }
            for delivery in deliveries { plan(delivery, now) }
        case .recovered(let deliveries):
            if core.isDraining { return }
            for delivery in deliveries { recover(delivery, now) }
        case .finished(let id, let result):
            tasks[id] = nil
            core.complete(id, result, now: now)
        case .planned(let delivery, let result, let ref): take(result, of: delivery, ref, now)
        case .paused(let subjects): core.setPaused(subjects, now: now)
        case .inspect(let question, let answer):
            var snapshot = core.snapshot(question, now: now)
            snapshot.totals.planning = planning.count
            if let oldest = planning.oldestReceivedNanoseconds {
                let known = snapshot.totals.oldestReceivedNanoseconds ?? .max
                snapshot.totals.oldestReceivedNanoseconds = min(known, oldest)
            }
            snapshot.totals.owedDeliveries += planning.count
            snapshot.totals.waiting += planning.count
            answer(snapshot)
        case .redeliver(let redelivery, let answer):
            if planning.holds(redelivery.delivery.sequence) { return answer(.stillOwed) }
            let definition = parts.routes.definition(of: redelivery.delivery.route)
            answer(
                core.redeliver(
                    redelivery, definition: definition,
                    ref: try? ref(of: redelivery.delivery, definition, isBuild: true), now: now))
        case .drain: core.isDraining = true
        case .stop:
            core.isDraining = true
            isStopping = true
        }
    }

    // MARK: - Planning

    private mutating func plan(_ delivery: QueuedDelivery, _ now: UInt64) {
        let definition = parts.routes.definition(of: delivery.route)
        var ref: String?
        if leavesToPlanning(delivery, definition, ref: &ref) { return }
        core.plan(delivery, definition: definition, ref: ref, now: now)
    }

    private mutating func recover(_ recovered: RecoveredDelivery, _ now: UInt64) {
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
    private func ref(
        of delivery: QueuedDelivery, _ definition: RouteDefinition?, isBuild: Bool
    ) throws(DeliveryLogError) -> String? {
        guard definition?.coalesce?.by == .ref || isBuild,
            let payload = try parts.log.payload(sequence: delivery.sequence, location: delivery.location)
        else { return nil }
        return parts.decodeEvent(payload).ref
    }

    private mutating func startPlanning() {
        guard !core.isDraining, let planner = parts.planner else { return }
        while let delivery = planning.next(now: clock.now) {
            let (parts, mailbox) = (parts, mailbox)
            planningTasks[delivery.sequence] = Task {
                let (result, ref) = await Self.plan(delivery, planner, parts)
                mailbox.post(.planned(delivery, result, ref: ref))
            }
        }
    }

    private static func plan(
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

    private mutating func take(
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

    private mutating func carryOut(_ command: DispatcherCommand) {
        switch command {
        case .recordPlan(let sequence, _, let encoded):
            parts.log.recordPlan(sequence: sequence, entries: encoded)
        case .recordOutcomes(let settled):
            parts.log.recordOutcomes(settled.map(\.entry))
            for outcome in settled { count(outcome) }
        case .breakerChanged(let key, let isOpen, let reason):
            if isOpen {
                parts.logger.warning(
                    "server left alone after failures", metadata: ["server": "\(key)", "reason": "\(reason)"])
            } else {
                parts.logger.notice("server works again", metadata: ["server": "\(key)"])
            }
        case .start(let started):
            parts.metrics.attempts.increment()
            if started.attempt > 1 { parts.metrics.retries.increment() }
            let parts = parts
            let mailbox = mailbox
            tasks[started.id] = Task {
                let result = await Self.attempt(started, parts)
                mailbox.post(.finished(started.id, result))
            }
        }
    }

    /// One attempt, from the current route and the record to the runner.
    private static func attempt(_ started: StartedAction, _ parts: Dispatcher.Parts) async -> ActionResult {
        guard let runner = parts.runners[started.action] else { return ActionRunners.switchedOff(started.action) }
        // Looked up once: the action and who wrote it belong together.
        let definition = parts.routes.definition(of: started.route)
        var action: Action
        var payload: DeliveryPayload?
        var event = Event()
        var key: RepeatKey?
        switch started.action {
        case .openshiftBuild, .s2iRun:
            // Without it a repetition would not find what an attempt before has made.
            do throws(DeliveryLogError) {
                key = try parts.log.origin(sequence: started.sequence, location: started.location).map {
                    RepeatKey($0, started.action.encoded, salt: started.salt)
                }
            } catch {
                return .failed(Self.unreadable(error))
            }
        case .reconcile, .kpackRefresh, .http, .exec, .log, .dockerHubCallback, .openshiftRelay: break
        }
        switch started.action {
        case .reconcile, .openshiftBuild, .s2iRun, .dockerHubCallback:
            guard let whole = started.action.selfContained else { return ActionRunners.switchedOff(started.action) }
            action = whole
        case .kpackRefresh(let target, let image, let forceBuild):
            action = .kpackRefresh(target, image: image, forceBuild: forceBuild)
            // Says which digest the image has now. The refresh does without, too.
            payload = try? parts.log.payload(sequence: started.sequence, location: started.location)
            if let payload, !(definition?.rules is BuildServiceRules) { event = parts.decodeEvent(payload) }
        case .openshiftRelay(let target, let type):
            action = .openshiftRelay(target, type: type)
            do throws(ActionFailure) {
                payload = try Self.payload(started.sequence, started.location, parts)
            } catch {
                return .failed(error)
            }
        case .http, .exec, .log:
            let current = started.redelivered ?? definition?.actions.first { started.action.matches($0) }
            guard let current else {
                return .ignored(reason: IgnoredReason.routeRemoved)
            }
            action = current
            do throws(ActionFailure) {
                let record = try Self.payload(started.sequence, started.location, parts)
                if case .http = started.action {} else { event = parts.decodeEvent(record) }
                payload = record
            } catch {
                return .failed(error)
            }
        }
        return await runner.run(
            ActionAttempt(
                sequence: started.sequence, planIndex: started.planIndex, number: started.attempt,
                route: started.route, receivedNanoseconds: started.receivedNanoseconds, action: action,
                payload: payload, event: event, rules: definition?.rules, isOfTenant: definition?.isOfTenant ?? false,
                // Of a Hook that is gone nobody can say what it was allowed.
                isConfined: definition?.isConfined ?? (started.route.kind == .hook), key: key,
                isRepeat: started.isRepeat))
    }

    /// The record of a delivery. A disk or a process that is short of something may recover; a record that is gone does not.
    private static func payload(
        _ sequence: UInt64, _ location: DeliveryLocation, _ parts: Dispatcher.Parts
    ) throws(ActionFailure) -> DeliveryPayload {
        do throws(DeliveryLogError) {
            if let payload = try parts.log.payload(sequence: sequence, location: location) { return payload }
        } catch {
            throw unreadable(error)
        }
        throw ActionFailure(.final, scope: .none, reason: "the delivery's record is no longer in the journal")
    }

    private static func unreadable(_ error: DeliveryLogError) -> ActionFailure {
        ActionFailure(.healable, scope: .none, reason: "the delivery's record cannot be read now: \(error.reason)")
    }

    // MARK: - Figures and log

    private func count(_ settled: SettledOutcome) {
        let entry = settled.entry
        parts.metrics.outcome(settled.action?.name ?? "none", entry.code).increment()
        switch entry.code {
        case .done:
            let wall = DispatcherClock.wall
            let nanoseconds = wall > settled.receivedNanoseconds ? wall - settled.receivedNanoseconds : 0
            parts.metrics.receiveToDoneSeconds.observe(Double(nanoseconds) / 1e9)
            parts.logger.debug("trigger done", metadata: fields(settled))
        case .merged: parts.logger.debug("trigger merged", metadata: fields(settled))
        case .ignored: parts.logger.notice("delivery ignored", metadata: fields(settled))
        case .failed:
            parts.logger.notice("trigger failed, will be tried again", metadata: fields(settled))
            tell(settled, isDead: false)
        case .dead:
            parts.logger.warning("trigger dead", metadata: fields(settled))
            tell(settled, isDead: true)
        }
    }

    /// A trigger that only stumbled is not worth an Event.
    private static let longFailingNanoseconds: UInt64 = 60_000_000_000

    private func tell(_ settled: SettledOutcome, isDead: Bool) {
        let now = DispatcherClock.wall
        let age = now > settled.receivedNanoseconds ? now - settled.receivedNanoseconds : 0
        guard isDead || age >= Self.longFailingNanoseconds else { return }
        parts.onTrouble?(
            TriggerTrouble(
                route: settled.route, action: settled.action?.name ?? "", target: settled.action?.targetText ?? "",
                reason: settled.entry.reason, isDead: isDead))
    }

    private func fields(_ settled: SettledOutcome) -> Logger.Metadata {
        var fields: Logger.Metadata = [
            "sequence": "\(settled.entry.sequence)", "route": "\(settled.route)",
            "action": "\(settled.action?.name ?? "none")",
        ]
        if settled.route.cluster != "local" { fields["cluster"] = "\(settled.route.cluster)" }
        if let target = settled.action?.targetText, !target.isEmpty { fields["target"] = "\(target)" }
        switch settled.entry.code {
        case .merged: fields["merged_into"] = "\(settled.entry.detail)"
        case .done, .failed, .dead: fields["attempts"] = "\(settled.entry.detail)"
        case .ignored: break
        }
        if settled.merged > 0 { fields["merged"] = "\(settled.merged)" }
        if !settled.entry.reason.isEmpty, settled.entry.code != .done { fields["reason"] = "\(settled.entry.reason)" }
        return fields
    }

    private mutating func updateFigures() {
        let metrics = parts.metrics
        metrics.running.set(Int64(core.runningCount))
        metrics.waiting.set(Int64(core.waitingCount + planning.count))
        metrics.owedDeliveries.set(Int64(core.owedDeliveryCount + planning.count))
        metrics.setOpenBreakers(core.openBreakers)
        parts.load.held.store(core.load + planning.count, ordering: .releasing)
        let now = clock.now
        guard core.owedDeliveryCount + planning.count > 0 else {
            metrics.oldestAgeSeconds.set(0)
            return
        }
        guard now >= agesAt &+ Self.ageIntervalNanoseconds else { return }
        agesAt = now
        let oldest = min(core.oldestReceivedNanoseconds ?? now, planning.oldestReceivedNanoseconds ?? now)
        metrics.oldestAgeSeconds.set(Int64((now > oldest ? now - oldest : 0) / 1_000_000_000))
    }
}
