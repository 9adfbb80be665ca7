// DispatcherWorker: what runs on the dispatcher's thread. Takes messages, feeds the core, carries out its commands.
//
// The thread goes through `turn` over and over; a simulation does so itself.

import Delivery
import Logging
import Metrics
import Synchronization

struct DispatcherWorker: ~Copyable {
    var core: DispatcherCore
    let parts: Dispatcher.Parts
    let mailbox: Mailbox<Dispatcher.Message>
    let drained: Signal
    let clock: DispatcherClock
    /// Takes errands in the place of tasks; who gives it brings the messages.
    let simulation: ((Errand) -> Void)?
    var planning: PlanningDesk
    var spills = SpillBook()
    var spillTask: Task<Void, Never>?
    var spillNotedAt: UInt64 = 0
    private var tasks: [TriggerID: Task<Void, Never>] = [:]
    /// Deliveries of before the start that have no plan yet.
    var recoveredPlans: Set<UInt64> = []
    var planningTasks: [UInt64: Task<Void, Never>] = [:]
    private var isStopping = false
    var agesAt: UInt64 = 0

    /// How often the age of the oldest delivery is looked for; that looks at all that wait.
    static let ageIntervalNanoseconds: UInt64 = 1_000_000_000

    init(
        core: DispatcherCore, planning: PlanningDesk, parts: Dispatcher.Parts, mailbox: Mailbox<Dispatcher.Message>,
        drained: Signal, clock: DispatcherClock = DispatcherClock(), simulation: ((Errand) -> Void)? = nil
    ) {
        self.core = core
        self.planning = planning
        self.parts = parts
        self.mailbox = mailbox
        self.drained = drained
        self.clock = clock
        self.simulation = simulation
    }

    /// Until `.stop`.
    mutating func run() {
        while !isStopping { turn(mailbox.take(until: wakeAt.map { clock.monotonic(for: $0) })) }
        for message in mailbox.close() { message.answerStopped() }
        for task in tasks.values { task.cancel() }
        for task in planningTasks.values { task.cancel() }
        spillTask?.cancel()
        drained.set()
    }

    /// When there must be a turn though no message came; nil: nothing waits for the time.
    var wakeAt: UInt64? {
        var limit = core.wakeAt
        if !core.isDraining, let due = planning.wakeAt { limit = min(limit ?? .max, due) }
        if !core.isDraining, let due = spills.wakeAt { limit = min(limit ?? .max, due) }
        // Ages grow by themselves: look again while something is owed.
        if core.owedDeliveryCount + planning.count + spills.count > 0 {
            limit = min(limit ?? .max, agesAt &+ Self.ageIntervalNanoseconds)
        }
        return limit
    }

    /// Takes messages, and does what is to be done then.
    mutating func turn(_ messages: [Dispatcher.Message]) {
        var taken = 0
        for message in messages {
            if case .deliveries(let deliveries) = message { taken += deliveries.count }
            handle(message)
        }
        startPlanning()
        for command in core.takeCommands(now: clock.now) { carryOut(command) }
        readSpilled()
        updateFigures()
        if taken > 0 { parts.load.posted.subtract(taken, ordering: .releasing) }
        if core.isDraining, core.runningCount == 0, planningTasks.isEmpty { drained.set() }
    }

    mutating func handle(_ message: Dispatcher.Message) {
        let now = clock.now
        switch message {
        case .deliveries(let deliveries):
            // A drained dispatcher plans nothing: what comes now is planned after the restart.
            if core.isDraining { return }
            for delivery in deliveries where admits(delivery, isRecovered: false) { plan(delivery, now) }
        case .recovered(let deliveries, let spilled):
            if core.isDraining { return }
            for recovered in deliveries where admits(recovered.delivery, isRecovered: true) {
                recover(recovered, now)
            }
            for (route, range) in spilled { spills.spill(range, of: route) }
        case .reread(let reading): take(reading, now: now)
        case .finished(let id, let result, let attempt):
            tasks[id] = nil
            core.complete(id, result, attempt, now: now)
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
            show(&snapshot, question)
            answer(snapshot)
        case .drain: core.isDraining = true
        case .stop:
            core.isDraining = true
            isStopping = true
        }
    }

    private mutating func carryOut(_ command: DispatcherCommand) {
        switch command {
        case .recordPlan(let sequence, _, let encoded, let durable):
            parts.log.recordPlan(
                sequence: sequence, entries: encoded,
                times: PlanTimes(plannedNanoseconds: clock.wall, durableNanoseconds: durable))
        case .recordOutcomes(let settled):
            let wall = clock.wall
            parts.log.recordOutcomes(
                settled.map { outcome in
                    var entry = outcome.entry
                    // No attempt: it is so since this moment.
                    if entry.details.atNanoseconds == 0 { entry.details.atNanoseconds = wall }
                    return entry
                })
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
            tasks[started.id] = send(.attempt(started))
        }
    }
}
