// Dispatcher: the shell around `DispatcherCore`. One thread owns the core; deliveries, results and the wish to stop come
// through the mailbox; actions run as tasks whose results come back the same way. The journal's plans and outcomes are
// written from this thread, in the core's order.

public import Delivery
import Foundation
public import Logging
import Synchronization

/// How a record's meaning is read, for the actions that tell it.
public typealias EventDecoder = @Sendable (DeliveryPayload) -> Event

/// A trigger that failed for now or for good, for whoever tells its team.
public struct TriggerTrouble: Sendable {
    public var route: RouteIdentity
    /// Empty when the delivery as a whole failed.
    public var action: String
    public var target: String
    /// Without secrets.
    public var reason: String
    /// No further attempt is made.
    public var isDead: Bool
}

public final class Dispatcher: Sendable {
    enum Message: Sendable {
        case deliveries([QueuedDelivery])
        /// `spilled` follows those.
        case recovered([RecoveredDelivery], spilled: [(route: RouteIdentity, range: SpilledRange)])
        case finished(TriggerID, ActionResult, AttemptReport? = nil)
        /// `ref`: of the event, where the order of its builds needs it.
        case planned(QueuedDelivery, PlanningResult, ref: String?)
        case paused(Set<PauseSubject>)
        case inspect(QueueQuestion, @Sendable (DispatcherSnapshot?) -> Void)
        case reread(SpillReading)
        case drain
        case stop
    }

    /// What the worker thread needs; fixed at the start.
    struct Parts: Sendable {
        var log: any DeliveryLog
        var routes: any RouteLookup
        var runners: ActionRunners
        var planner: (any DeliveryPlanner)?
        /// nil: nothing is left to the journal.
        var spilled: (any SpilledDeliveries)?
        var decodeEvent: EventDecoder
        var logger: Logger
        var metrics: TriggerMetrics
        var onTrouble: (@Sendable (TriggerTrouble) -> Void)?
        var load: Load
    }

    /// What the dispatcher holds, as whoever feeds it sees it.
    final class Load: Sendable {
        /// In the mailbox; written by both sides.
        let posted = Atomic<Int>(0)
        /// With the core and in planning; written by the dispatcher's thread.
        let held = Atomic<Int>(0)
    }

    public let metrics: TriggerMetrics
    private let mailbox = Mailbox<Message>()
    private let loadCount = Load()
    private let drained = Signal()
    private let stopped = Signal()
    private let pauses = Mutex<Set<PauseSubject>>([])

    /// Starts the thread. With `spilled` no more than `settings.heldDeliveriesMax` is held, and the rest read again from there. `onTrouble` hears of triggers that fail, on the dispatcher's thread: it must not wait. `seed` drives the jitter; nil takes a random one.
    public init(
        log: any DeliveryLog, routes: any RouteLookup, runners: ActionRunners, planner: (any DeliveryPlanner)? = nil,
        spilled: (any SpilledDeliveries)? = nil, decodeEvent: @escaping EventDecoder,
        settings: DispatcherSettings = DispatcherSettings(), metrics: TriggerMetrics = TriggerMetrics(),
        logger: Logger, seed: UInt64? = nil, onTrouble: (@Sendable (TriggerTrouble) -> Void)? = nil
    ) {
        self.metrics = metrics
        let parts = Parts(
            log: log, routes: routes, runners: runners, planner: planner, spilled: spilled, decodeEvent: decodeEvent,
            logger: logger,
            metrics: metrics, onTrouble: onTrouble, load: loadCount)
        let seed = seed ?? UInt64.random(in: .min ... .max)
        let core = DispatcherCore(settings: settings, seed: seed)
        let thread = Thread { [mailbox, drained, stopped] in
            var worker = DispatcherWorker(
                core: core,
                planning: PlanningDesk(
                    seed: ~seed, objectMissingAttemptsMax: settings.objectMissingAttemptsMax), parts: parts,
                mailbox: mailbox, drained: drained)
            worker.run()
            stopped.set()
        }
        thread.name = "dispatcher"
        thread.start()
    }

    /// Takes durable deliveries, each once, from any thread. Dropped after `drain`: they stay owed in the journal.
    public func enqueue(_ deliveries: [QueuedDelivery]) {
        guard !deliveries.isEmpty else { return }
        loadCount.posted.add(deliveries.count, ordering: .relaxed)
        mailbox.post(.deliveries(deliveries))
    }

    /// Deliveries that were given and have an entry that is not final; one whose actions are large counts for several. Any thread; never
    /// too low, so that who feeds the dispatcher can keep it within a bound.
    public var load: Int { loadCount.posted.load(ordering: .acquiring) + loadCount.held.load(ordering: .acquiring) }

    /// Deliveries that were given and not looked at yet: what is over the bound of those that are held waits in the journal, so whoever
    /// feeds the dispatcher need only bound this. Any thread.
    public var backlog: Int { loadCount.posted.load(ordering: .acquiring) }

    /// Takes what the journal still owes from before the start, in the order of the sequences. `spilled` is left to the journal and read
    /// when there is room: it follows those deliveries, and what is given after this call follows it.
    public func replay(
        _ deliveries: [RecoveredDelivery], spilled: [(route: RouteIdentity, range: SpilledRange)] = []
    ) {
        guard !deliveries.isEmpty || !spilled.isEmpty else { return }
        mailbox.post(.recovered(deliveries, spilled: spilled))
    }

    /// What is paused, as it was set last.
    public var paused: Set<PauseSubject> { pauses.withLock { $0 } }

    func changePauses(_ change: (inout Set<PauseSubject>) -> Void) {
        // Under the lock, so that the last one set is the last one heard.
        pauses.withLock { pauses in
            change(&pauses)
            mailbox.post(.paused(pauses))
        }
    }

    /// Posts a question; one that comes too late is answered here.
    func ask(_ question: Message) {
        if !mailbox.post(question) { question.answerStopped() }
    }

    /// Starts nothing any more, gives what runs until `deadline`, then cancels it and stops the thread. What has no
    /// final outcome stays owed in the journal. Outcomes recorded before this returns are with the journal.
    public func drain(deadline: ContinuousClock.Instant) async {
        mailbox.post(.drain)
        await drained.wait(until: deadline)
        mailbox.post(.stop)
        await stopped.wait(until: nil)
    }
}

extension Dispatcher.Message {
    /// What a question gets from a dispatcher that has ended.
    func answerStopped() {
        switch self {
        case .inspect(_, let answer): answer(nil)
        case .deliveries, .recovered, .reread, .finished, .planned, .paused, .drain, .stop: break
        }
    }
}

/// Something that happens once and may be waited for.
final class Signal: Sendable {
    private struct State {
        var isSet = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter: UInt64 = 0
    }
    private let state = Mutex(State())

    func set() {
        let waiters = state.withLock { state in
            state.isSet = true
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// Returns when it is set, at `deadline`, or when the task is cancelled.
    func wait(until deadline: ContinuousClock.Instant?) async {
        guard let deadline else { return await wait() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await Task.sleep(until: deadline, clock: .continuous) }
            await group.next()
            group.cancelAll()
        }
    }

    private func wait() async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isSet || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
