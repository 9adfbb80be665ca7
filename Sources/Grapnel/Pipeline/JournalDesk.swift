// JournalDesk: the journal's writer with what comes to it from the dispatcher and what goes from it to the dispatcher.
//
//   loop or lanes ---> append, commit ---> [hints ring] ---> Handoff thread ---> Dispatcher
//                          ^                                                      |
//                          +------------------- mailbox: plans, outcomes ---------+
//
// Owned by one thread: by the loop in inline mode, by the journal's thread otherwise; handed over once, when the loop finds its
// disk slow. Plans and outcomes force no sync of their own: they ride with the next group, or go within a second.

internal import CLinuxIO
internal import Journal
internal import Ring
internal import Synchronization
internal import Trigger

/// A plan or an outcome on its way into the log.
enum Housekeeping: Sendable {
    case plan(sequence: UInt64, entries: [PlanEntry], _ details: PlanDetails? = nil)
    case outcomes([Journal.OutcomeEntry])
    case redelivery(RedeliveryRequest)
    case owed(OwedQuestion)
    case lost(LostQuestion)

    /// Nobody takes it any more.
    fileprivate func refuse() {
        switch self {
        case .redelivery(let request): request.answer(.failure(.stopping))
        case .owed(let question): question.answer(nil)
        case .lost(let question): question.answer(nil)
        case .plan, .outcomes: break
        }
    }
}

/// Where the dispatcher leaves plans and outcomes. Off the way of a delivery, so a lock serves; its flag spares the owner the lock.
final class HousekeepingMailbox: Sendable {
    private struct State {
        var items: [Housekeeping] = []
        var isClosed = false
    }
    private let state = Mutex(State())
    private let hasItems = Atomic<Bool>(false)

    /// After `close`, nobody takes it: who waits for an answer has it at once.
    func post(_ item: Housekeeping) {
        let isTaken = state.withLock { state in
            guard !state.isClosed else { return false }
            state.items.append(item)
            return true
        }
        if isTaken {
            hasItems.store(true, ordering: .releasing)
        } else {
            item.refuse()
        }
    }

    /// The journal is closed.
    func close() {
        let left = state.withLock { state in
            state.isClosed = true
            defer { state.items = [] }
            return state.items
        }
        for item in left { item.refuse() }
    }

    /// Everything posted so far, in order.
    func take() -> [Housekeeping] {
        guard hasItems.load(ordering: .acquiring) else { return [] }
        hasItems.store(false, ordering: .relaxed)
        return state.withLock { state in
            defer { state.items = [] }
            return state.items
        }
    }

    var isEmpty: Bool { !hasItems.load(ordering: .acquiring) }
}

/// What the dispatcher is told of a durable delivery. The ring is a hint, the journal the truth.
struct DeliveryHint: BitwiseCopyable {
    var sequence: UInt64
    var segment: UInt64
    var offset: UInt32
    var length: UInt32
    /// When the group's sync had returned; nanoseconds since 1970.
    var durable: UInt64 = 0
}

/// The ring of hints, and what was lost when it was full.
final class HintChannel: Sendable {
    let ring: SPSCRing<DeliveryHint>
    let bell: Doorbell
    /// Sequence of the first delivery that did not fit, 0 when none is missing. Set by the writer, cleared by the handoff.
    let overflowFrom = Atomic<UInt64>(0)
    let overflows = Atomic<UInt64>(0)
    // What redeliveries that are on their way are to do instead of what is configured.
    private let plans = Mutex<[UInt64: [PlanEntry]]>([:])

    init(capacity: Int, wake: @escaping @Sendable () -> Void) {
        ring = SPSCRing(capacity: capacity)
        bell = Doorbell(signal: wake)
    }

    /// The writer's side, before the hint.
    func keepPlan(_ plan: [PlanEntry], of sequence: UInt64) { plans.withLock { $0[sequence] = plan } }

    /// The reader's side.
    func takePlan(of sequence: UInt64) -> [PlanEntry]? { plans.withLock { $0.removeValue(forKey: sequence) } }

    /// The writer's side.
    func push(_ hint: DeliveryHint) {
        // Once something was missed, everything behind it is read from the journal, in order, until the reader caught up.
        if overflowFrom.load(ordering: .acquiring) == 0 {
            if ring.push(hint) { return }
            overflowFrom.store(hint.sequence, ordering: .releasing)
        }
        overflows.wrappingAdd(1, ordering: .relaxed)
    }
}

/// Appends, commits and keeps house. Not Sendable by itself: exactly one thread uses it at a time.
final class JournalDesk: @unchecked Sendable {
    // Protocol behind @unchecked Sendable: made on the main thread, then used by its owner alone; ownership moves from the loop
    // to the journal's thread by starting that thread.

    let writer: JournalWriter
    let mailbox: HousekeepingMailbox
    let hints: HintChannel
    private var lastTick: UInt64 = 0
    /// Journal state as other threads may see it.
    let isAcceptingFlag = Atomic<Bool>(true)
    private let refusal = Mutex<JournalError?>(nil)
    /// When a delivery last found no room; 0 never.
    private let fullAt = Atomic<UInt64>(0)
    /// One line per change of state: nil when the journal accepts again.
    private let report: @Sendable (JournalError?) -> Void
    let shareRefusals = ShareRefusals()
    private let reportShare: @Sendable (ShareRefusals.Line) -> Void
    let durableSequence = Atomic<UInt64>(0)
    private let realtime: @Sendable () -> UInt64
    /// Until the next tick.
    private var lost: [LostQuestion] = []
    /// In the group under way, with their sequences.
    private var redeliveries: [(request: RedeliveryRequest, sequence: UInt64)] = []

    init(
        writer: JournalWriter, mailbox: HousekeepingMailbox, hints: HintChannel,
        realtime: @escaping @Sendable () -> UInt64 = { cl_now_realtime() },
        reportShare: @escaping @Sendable (ShareRefusals.Line) -> Void = { _ in },
        report: @escaping @Sendable (JournalError?) -> Void
    ) {
        self.realtime = realtime
        self.report = report
        self.reportShare = reportShare
        self.writer = writer
        self.mailbox = mailbox
        self.hints = hints
    }

    var isAccepting: Bool { writer.isAccepting }

    /// How long a delivery that found no room keeps the server unready, though smaller ones may still fit.
    private static let fullNanoseconds: UInt64 = 3_000_000_000

    /// Adds a delivery to the group; see `JournalWriter.append`.
    func append(_ delivery: borrowing DeliveryAppend) -> AppendResult {
        let result = writer.append(delivery)
        if case .refused(let reason) = result {
            switch reason {
            case .full: noteFull()
            case .namespaceShare: noteShare(delivery)
            case .sealed, .tooLarge: break
            }
        }
        return result
    }

    private func noteShare(_ delivery: borrowing DeliveryAppend) {
        // Sound: both texts are the caller's for the length of this call.
        let namespace = ShareRefusals.Namespace(
            cluster: unsafe String(decoding: delivery.cluster, as: UTF8.self),
            name: unsafe String(decoding: delivery.namespace, as: UTF8.self))
        if let line = shareRefusals.note(namespace, now: delivery.receivedAtUnixNanoseconds) { reportShare(line) }
    }

    private func noteFull() {
        let now = cl_now_monotonic()
        if now &- fullAt.load(ordering: .relaxed) > Self.fullNanoseconds {
            let problem = writer.roomProblem
            refusal.withLock { $0 = problem }
            report(problem)
        }
        fullAt.store(now, ordering: .releasing)
    }

    /// Makes the journal's state known to other threads, and to the log, when it changed.
    private func publishState() {
        let reason = writer.refusalReason
        guard (reason == nil) != isAcceptingFlag.load(ordering: .relaxed) else { return }
        if let reason { refusal.withLock { $0 = reason } }
        isAcceptingFlag.store(reason == nil, ordering: .releasing)
        report(reason)
    }

    /// Why deliveries are not acknowledged now, or nil. From any thread.
    var currentRefusal: JournalError? {
        let isFull = cl_now_monotonic() &- fullAt.load(ordering: .acquiring) <= Self.fullNanoseconds
        return isAcceptingFlag.load(ordering: .acquiring) && !isFull ? nil : refusal.withLock { $0 }
    }

    /// Takes plans and outcomes into the group under way.
    private func takeMail(_ now: UInt64) {
        guard !mailbox.isEmpty else { return }
        for item in mailbox.take() {
            switch item {
            case .plan(let sequence, let entries, let details):
                writer.appendPlan(sequence: sequence, entries: entries, details: details, now: now)
            case .outcomes(let outcomes): writer.appendOutcomes(outcomes, now: now)
            case .redelivery(let request): take(request, now)
            case .owed(let question): question.answer(question.sequences.map { writer.owed($0) })
            case .lost(let question): lost.append(question)
            }
        }
    }

    private func take(_ request: RedeliveryRequest, _ now: UInt64) {
        switch writer.redeliver(request.pinned, plan: request.plan, now: now) {
        case .appended(let sequence): redeliveries.append((request, sequence))
        case .duplicate: preconditionFailure("a redelivery is not deduplicated")
        case .refused(let reason): request.answer(.failure(refusal(reason, request)))
        }
    }

    /// The group is written: `isDurable`, or else only what is among `committed`.
    private func answerRedeliveries(isDurable: Bool, _ committed: UnsafeBufferPointer<CommittedDelivery>) {
        for (request, sequence) in redeliveries {
            let isSafe = unsafe isDurable || committed.contains { $0.sequence == sequence }
            guard isSafe else {
                request.answer(.failure(refusal(.sealed, request)))
                continue
            }
            if let plan = request.plan { hints.keepPlan(plan, of: sequence) }
            request.answer(.success(sequence))
        }
        redeliveries.removeAll()
    }

    /// Writes and syncs the group. True when everything appended since the last commit is as durable as was asked for.
    func commit(nowUnixNanoseconds: UInt64) -> Bool {
        takeMail(nowUnixNanoseconds)
        guard writer.groupRecordCount > 0 else { return true }
        let result = writer.commit(now: nowUnixNanoseconds)
        let isDurable = if case .durable = result { true } else { false }
        // A failed group may have made some deliveries durable before it failed: they are owed like any other.
        let committed = unsafe writer.committedDeliveries
        if !redeliveries.isEmpty { unsafe answerRedeliveries(isDurable: isDurable, committed) }
        // Behind the plans of redeliveries: who follows the journal needs them.
        if case .durable(let through) = result { durableSequence.store(through, ordering: .releasing) }
        // Once for all: nothing is written down here, each hint carries it.
        let durable = isDurable && committed.count > 0 ? realtime() : 0
        for index in 0..<committed.count {
            let delivery = unsafe committed[index]
            if !isDurable { durableSequence.store(delivery.sequence, ordering: .releasing) }
            hints.push(
                DeliveryHint(
                    sequence: delivery.sequence, segment: delivery.location.segment, offset: delivery.location.offset,
                    length: delivery.location.length, durable: durable))
        }
        if committed.count > 0 { hints.bell.ring() }
        publishState()
        return isDurable
    }

    /// When nothing else is to do: mail, and what is due once a second.
    func keepHouse(nowUnixNanoseconds: UInt64) {
        if !mailbox.isEmpty || writer.groupRecordCount > 0 { _ = commit(nowUnixNanoseconds: nowUnixNanoseconds) }
        tickIfDue(nowUnixNanoseconds: nowUnixNanoseconds)
    }

    /// Probe, retention, asynchronous sync: once a second, also while every turn has deliveries.
    func tickIfDue(nowUnixNanoseconds: UInt64) {
        guard nowUnixNanoseconds &- lastTick >= 1_000_000_000 else { return }
        lastTick = nowUnixNanoseconds
        takeLost(nowUnixNanoseconds)
        writer.tick(now: nowUnixNanoseconds)
        publishState()
    }

    /// No group is under way now.
    private func takeLost(_ now: UInt64) {
        for question in lost {
            if question.isBack { writer.regain(segment: question.segment) }
            question.answer(question.isBack ? nil : writer.lose(segment: question.segment, now: now))
        }
        lost.removeAll()
    }

    /// At the end: everything posted is written and synced.
    func close(nowUnixNanoseconds: UInt64) {
        _ = commit(nowUnixNanoseconds: nowUnixNanoseconds)
        writer.close(now: nowUnixNanoseconds)
        for question in lost { question.answer(nil) }
        mailbox.close()
    }
}
