// SimulatedDispatcher: the dispatcher's worker without its thread, tasks and clock.
//
// Messages, plans, commands, what is left to the journal: all that is the worker's own. Attempts, plannings and readings, which it sends out
// and does not wait for, end when the simulated world says so. What is handed to it must come in order and once, within the room that it
// has; what it starts must not be paused.

import Delivery
import Logging

@testable import Grapnel
@testable import Trigger

/// Owned by the simulation; what `target` gives is for the hand-over, on the same thread.
final class SimulatedDispatcher {
    private enum Message: Sendable {
        case deliveries([QueuedDelivery])
        case recovered([RecoveredDelivery], spilled: [(route: RouteIdentity, range: SpilledRange)], isStart: Bool)
        case paused(Set<PauseSubject>)
        case reread(SpillReading)
    }

    /// What the simulation looks at.
    struct Probes {
        /// Before an attempt.
        var inspect: (StartedAction) -> Void
        /// What the record says, whatever the disk does to others.
        var ref: (QueuedDelivery) -> String?
        var isRedelivery: (UInt64) -> Bool
        var isDiskGone: () -> Bool
        /// What cannot be read at once comes later.
        var mayComeLate: () -> Bool
    }

    private struct NoPlanner: DeliveryPlanner {
        func plan(
            _ delivery: QueuedDelivery, _ definition: RouteDefinition, _ payload: DeliveryPayload
        ) async -> PlanningResult {
            preconditionFailure("the simulated world plans")
        }
    }

    private(set) var worker: DispatcherWorker
    var world: SimulatedWorld
    let ledger: TriggerLedger
    let routes: CurrentRoutes
    let time: SimulatedTime
    let settings: DispatcherSettings
    let probes: Probes
    private let waitingMax: Int
    private let inbox = Locked<[Message]>([])
    private let load = Locked(0)
    private let overfilled = Locked(0)
    private var handed: Set<UInt64> = []
    private var handedThrough: UInt64 = 0
    private(set) var paused: Set<PauseSubject> = []
    var attempts: [(at: UInt64, action: StartedAction, result: ActionResult)] = []
    var plannings: [(at: UInt64, delivery: QueuedDelivery, result: PlanningResult, ref: String?)] = []
    /// nil: nothing is left to the journal.
    let reader: SimulatedReader?
    private(set) var spills: SpillLedger
    private var openBreakers: Set<String> = []
    private(set) var breakersOpened = 0
    private(set) var heldMax = 0

    init(
        _ world: SimulatedWorld, _ ledger: TriggerLedger, _ routes: CurrentRoutes, _ time: SimulatedTime,
        _ settings: DispatcherSettings, waitingMax: Int, spilled: SpillReader?, seed: UInt64, _ probes: Probes
    ) {
        self.world = world
        self.ledger = ledger
        self.routes = routes
        self.time = time
        self.settings = settings
        self.probes = probes
        self.waitingMax = waitingMax
        reader = spilled.map { SimulatedReader($0, time, seed: seed) }
        spills = SpillLedger(ledger)
        let coreSeed = self.world.random.next()
        let parts = Dispatcher.Parts(
            log: ledger, routes: routes, runners: ActionRunners(), planner: NoPlanner(), spilled: spilled,
            decodeEvent: ActionSet.decodeEvent, logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() },
            metrics: TriggerMetrics(), load: Dispatcher.Load())
        var begin: (DispatcherWorker.Errand) -> Void = { _ in }
        worker = DispatcherWorker(
            core: DispatcherCore(settings: settings, seed: coreSeed),
            planning: PlanningDesk(seed: ~coreSeed, objectMissingAttemptsMax: settings.objectMissingAttemptsMax),
            parts: parts, mailbox: Mailbox(), drained: Signal(), clock: DispatcherClock(simulated: { time.now }),
            simulation: { begin($0) })
        begin = { [unowned self] in self.begin($0) }
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
            replay: { delivery in
                inbox.withLock { $0.append(.recovered([delivery], spilled: [], isStart: false)) }
            })
    }

    func replay(
        _ deliveries: [RecoveredDelivery], spilled: [(route: RouteIdentity, range: SpilledRange)] = []
    ) {
        spills.see(.gated, spilled.count)
        inbox.withLock { $0.append(.recovered(deliveries, spilled: spilled, isStart: true)) }
    }

    func setPaused(_ subjects: Set<PauseSubject>) { inbox.withLock { $0.append(.paused(subjects)) } }

    var isQuiet: Bool {
        inbox.withLock { $0.isEmpty } && worker.core.owedDeliveryCount == 0 && worker.core.runningCount == 0
            && worker.planning.count == 0 && attempts.isEmpty && plannings.isEmpty && worker.spills.isEmpty
            && reader?.question == nil
    }

    /// What is left, in words.
    var leftovers: String {
        "\(worker.core.owedDeliveryCount) with the dispatcher, \(worker.planning.count) unplanned, "
            + "\(worker.spills.count) spilled, \(worker.spills.placeCount) places that cannot be read"
            + (isReading ? ", a reading" : "")
    }

    /// Deliveries that are left to the journal.
    var spilledCount: Int { worker.spills.count }

    var runningCount: Int { worker.core.runningCount }

    func drain() { worker.core.isDraining = true }

    /// When there is something to do: now, later, or not before something comes.
    var wakeAt: UInt64? {
        if inbox.withLock({ !$0.isEmpty }) { return time.now }
        var times = (attempts.map(\.at) + plannings.map(\.at))
        if let wake = worker.wakeAt { times.append(wake) }
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
        worker.turn([])
        // Where something may be left to the journal, what is held keeps nobody waiting.
        let held = reader == nil ? worker.core.load + worker.planning.count : 0
        load.withLock { $0 = held }
        spills.checkHeld(worker)
        noteFigures()
    }

    private func noteFigures() {
        let open = worker.core.openBreakers
        if open != openBreakers {
            breakersOpened += open.subtracting(openBreakers).count
            openBreakers = open
        }
        if !paused.isEmpty { heldMax = max(heldMax, worker.core.triggers.slots.count { $0.state == .held }) }
    }

    // MARK: Messages

    private func take(_ message: Message) {
        switch message {
        case .deliveries(let deliveries):
            if worker.core.isDraining { return }
            for delivery in deliveries {
                noteHanded(delivery)
                offer(.deliveries([delivery]), delivery)
            }
        case .recovered(let deliveries, let spilled, let isStart):
            if worker.core.isDraining { return }
            for recovered in deliveries {
                noteHanded(recovered.delivery, isStart: isStart)
                offer(.recovered([recovered], spilled: []), recovered.delivery, isStart: isStart)
            }
            worker.handle(.recovered([], spilled: spilled))
            handedThrough = spilled.reduce(handedThrough) { max($0, $1.range.through) }
        case .paused(let subjects):
            paused = subjects
            worker.handle(.paused(subjects))
        case .reread(let reading): take(reading)
        }
    }

    /// One delivery, so that what becomes of it can be seen.
    private func offer(_ message: Dispatcher.Message, _ delivery: QueuedDelivery, isStart: Bool = false) {
        let before = SpillLedger.Look(delivery, worker)
        ledger.unreadable = []
        worker.handle(message)
        let after = SpillLedger.Look(delivery, worker)
        noteOrder(before, after)
        spills.offered(
            before, after, isStart: isStart, isRedelivery: probes.isRedelivery(delivery.sequence),
            during: reader?.question)
    }

    private func take(_ reading: SpillReading) {
        spills.read(reading)
        // Of a range of those that waited for their cluster: nobody saw in what order they came there.
        for recovered in reading.deliveries where !handed.contains(recovered.delivery.sequence) {
            ledger.note(recovered.delivery, ref: probes.ref(recovered.delivery))
            if probes.mayComeLate() { spills.noteLate(recovered.delivery.sequence) }
        }
        let before = reading.deliveries.map { SpillLedger.Look($0.delivery, worker) }
        ledger.unreadable = []
        worker.handle(.reread(reading))
        for (before, recovered) in zip(before, reading.deliveries) {
            let after = SpillLedger.Look(before.delivery, worker)
            noteOrder(before, after)
            spills.reread(before, after, hasPlan: recovered.plan != nil)
        }
    }

    /// The order in which the core took them; one whose ref could not be read has builds that go by themselves, in no order.
    private func noteOrder(_ before: SpillLedger.Look, _ after: SpillLedger.Look) {
        let sequence = before.delivery.sequence
        guard !before.isPlanned, after.isPlanned, !ledger.unreadable.contains(sequence) else { return }
        ledger.noteOrder(sequence)
    }

    /// In the order of the journal, and once.
    private func noteHanded(_ delivery: QueuedDelivery, isStart: Bool = false) {
        let sequence = delivery.sequence
        ledger.note(delivery, ref: probes.ref(delivery))
        ledger.verify(handed.insert(sequence).inserted, "\(sequence) was handed over twice")
        let isLate = sequence < handedThrough
        ledger.verify(!isLate || isStart || probes.mayComeLate(), "\(sequence) came behind \(handedThrough)")
        if isLate { spills.noteLate(sequence) }
        handedThrough = max(handedThrough, sequence)
    }

    private func finishWhatIsDue() {
        let now = time.now
        let done = attempts.filter { $0.at <= now }
        attempts.removeAll { $0.at <= now }
        for attempt in done {
            ledger.end(attempt.action)
            worker.handle(.finished(attempt.action.id, attempt.result))
        }
        let planned = plannings.filter { $0.at <= now }
        plannings.removeAll { $0.at <= now }
        for (_, delivery, result, ref) in planned {
            let before = SpillLedger.Look(delivery, worker)
            ledger.unreadable = []
            worker.handle(.planned(delivery, result, ref: ref))
            noteOrder(before, SpillLedger.Look(delivery, worker))
        }
    }

    // MARK: Readings

    var isReading: Bool { reader?.question != nil }
    /// When it goes on by itself.
    var readsAt: UInt64? { reader?.wakeAt }

    /// A piece of the reading under way.
    func read() {
        guard let reading = reader?.step() else { return }
        inbox.withLock { $0.append(.reread(reading)) }
    }

    /// The process is gone.
    func vanish() {
        if isReading || inbox.withLock({ $0.contains { if case .reread = $0 { true } else { false } } }) {
            spills.see(.cut)
        }
        reader?.vanish()
    }
}
