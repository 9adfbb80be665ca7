// PlanningDesk: deliveries that wait for their plan, which takes reading their record and perhaps asking an API server.
//
// A state machine without I/O, as the core: deliveries, results and the time go in; what to plan now comes out. Namespaces take
// turns, one delivery each, so that a storm on one does not keep the others waiting. Clusters do not take from each other: the plans of one
// whose API server does not answer, each waiting for it, leave the others all of their room. What failed waits with backoff and jitter;
// nothing is given up before the delivery's age reaches the route's `retry.maxAge`, except what no repetition can help. Attempts are
// counted as those of actions are (DispatcherCore+Results), missing objects too.

import Delivery

struct PlanningDesk: Sendable {
    struct Waiting: Sendable {
        var delivery: QueuedDelivery
        var retry: RetryPolicy
        /// Attempts so far, and those that counted.
        var tries = 0
        var counted = 0
        /// Attempts that found no target at all.
        var objectMissing = 0
        var notBefore: UInt64 = 0
    }

    /// Plans at once for one cluster: each may hold a call to an API server.
    static let runningMax = 32
    /// Bytes of records under way for one cluster: what a filter reads takes many times its text. One that is larger has its turn alone.
    static let runningBytesMax = 16 << 20

    private var namespaces: [String: [Waiting]] = [:]
    private var heads: [String: Int] = [:]
    private var turn: [String] = []
    private var delayed: [UInt64: Waiting] = [:]
    private var timers = TimerHeap()
    private var running: [UInt64: Waiting] = [:]
    /// By cluster, where there are any.
    private var runningOf: [String: (count: Int, bytes: Int)] = [:]
    private(set) var waitingCount = 0
    /// Of all that are here.
    private var sequences: Set<UInt64> = []
    private var countOfRoute: [RouteIdentity: Int] = [:]
    private var random: SeededRandom

    private let objectMissingAttemptsMax: Int

    /// `objectMissingAttemptsMax`: as for actions (`DispatcherSettings`).
    init(seed: UInt64, objectMissingAttemptsMax: Int = DispatcherSettings().objectMissingAttemptsMax) {
        random = SeededRandom(seed: seed)
        self.objectMissingAttemptsMax = objectMissingAttemptsMax
    }

    /// Deliveries that have no plan yet.
    var count: Int { waitingCount + delayed.count + running.count }
    var runningCount: Int { running.count }
    /// When `next` must be asked again if nothing else happens.
    var wakeAt: UInt64? { timers.earliest }
    /// When the oldest delivery without a plan was received. Looks at all.
    var oldestReceivedNanoseconds: UInt64? {
        var oldest: UInt64?
        func take(_ waiting: Waiting) { oldest = min(oldest ?? .max, waiting.delivery.receivedNanoseconds) }
        for (key, list) in namespaces { list[(heads[key] ?? 0)...].forEach(take) }
        delayed.values.forEach(take)
        running.values.forEach(take)
        return oldest
    }

    /// Whether a delivery is here.
    func holds(_ sequence: UInt64) -> Bool { sequences.contains(sequence) }

    /// How many of a route are here.
    func count(of route: RouteIdentity) -> Int { countOfRoute[route] ?? 0 }

    mutating func add(_ delivery: QueuedDelivery, retry: RetryPolicy) {
        guard sequences.insert(delivery.sequence).inserted else { return }
        countOfRoute[delivery.route, default: 0] += 1
        enqueue(Waiting(delivery: delivery, retry: retry))
    }

    private mutating func forget(_ delivery: QueuedDelivery) {
        sequences.remove(delivery.sequence)
        let count = countOfRoute[delivery.route] ?? 1
        countOfRoute[delivery.route] = count > 1 ? count - 1 : nil
    }

    private mutating func enqueue(_ waiting: Waiting) {
        let key = "\(waiting.delivery.route.cluster)/\(waiting.delivery.route.namespace)"
        if namespaces[key] == nil {
            namespaces[key] = []
            heads[key] = 0
            turn.append(key)
        }
        namespaces[key]?.append(waiting)
        waitingCount += 1
    }

    /// The next delivery to be planned, or nil when none is due or enough are under way.
    mutating func next(now: UInt64) -> QueuedDelivery? {
        var due: [Waiting] = []
        while case .delivery(let sequence)? = timers.popDue(now) {
            if let waiting = delayed.removeValue(forKey: sequence) { due.append(waiting) }
        }
        for waiting in due.sorted(by: { $0.delivery.sequence < $1.delivery.sequence }) { enqueue(waiting) }
        guard let position = nextTurn(), let list = namespaces[turn[position]], let head = heads[turn[position]] else {
            return nil
        }
        let waiting = list[head]
        let under = runningOf[waiting.delivery.route.cluster] ?? (0, 0)
        runningOf[waiting.delivery.route.cluster] = (
            under.count + 1, under.bytes + Int(waiting.delivery.location.length)
        )
        let key = turn.remove(at: position)
        waitingCount -= 1
        if head + 1 == list.count {
            namespaces[key] = nil
            heads[key] = nil
        } else {
            heads[key] = head + 1
            if head > 1024 {
                namespaces[key]?.removeFirst(head + 1)
                heads[key] = 0
            }
            turn.append(key)
        }
        running[waiting.delivery.sequence] = waiting
        return waiting.delivery
    }

    /// The first in turn whose cluster has room. One that finds none keeps its cluster's others behind it, or the large would never
    /// come to their turn.
    private func nextTurn() -> Int? {
        var full: Set<String> = []
        for (position, key) in turn.enumerated() {
            guard let list = namespaces[key], let head = heads[key], head < list.count else { continue }
            let delivery = list[head].delivery
            guard !full.contains(delivery.route.cluster) else { continue }
            guard let under = runningOf[delivery.route.cluster] else { return position }
            if under.count < Self.runningMax,
                under.bytes + Int(delivery.location.length) <= Self.runningBytesMax
            {
                return position
            }
            full.insert(delivery.route.cluster)
        }
        return nil
    }

    enum Verdict: Sendable, Equatable {
        case planned([Action])
        case ignored(reason: String)
        case dead(reason: String)
        /// Comes back by itself; the first failure is worth a line in the log.
        case waits(isFirst: Bool)
    }

    /// The end of an attempt.
    mutating func complete(_ sequence: UInt64, _ result: PlanningResult, now: UInt64) -> Verdict? {
        guard let waiting = running.removeValue(forKey: sequence) else { return nil }
        let verdict = judge(waiting, result, now: now)
        if case .waits = verdict {} else { forget(waiting.delivery) }
        return verdict
    }

    private mutating func judge(_ attempt: Waiting, _ result: PlanningResult, now: UInt64) -> Verdict {
        var waiting = attempt
        let sequence = waiting.delivery.sequence
        let cluster = waiting.delivery.route.cluster
        let under = runningOf[cluster] ?? (1, 0)
        runningOf[cluster] =
            under.count <= 1 ? nil : (under.count - 1, under.bytes - Int(waiting.delivery.location.length))
        switch result {
        case .actions(let actions): return .planned(actions)
        case .ignored(let reason): return .ignored(reason: reason)
        case .failed(let failure):
            waiting.tries += 1
            if failure.verdict == .final { return .dead(reason: failure.reason) }
            if failure.verdict != .healable { waiting.counted += 1 }
            if failure.verdict == .objectMissing { waiting.objectMissing += 1 }
            let received = waiting.delivery.receivedNanoseconds
            let age = now > received ? now - received : 0
            if waiting.counted >= waiting.retry.attempts || waiting.objectMissing >= objectMissingAttemptsMax
                || age >= waiting.retry.maxAgeNanoseconds
            {
                return .dead(reason: failure.reason)
            }
            let ceiling = min(
                waiting.retry.backoffNanoseconds << UInt64(min(waiting.tries - 1, 20)),
                waiting.retry.maxBackoffNanoseconds)
            let wait = max(ceiling == 0 ? 0 : random.next() % (ceiling + 1), failure.retryAfterNanoseconds ?? 0)
            waiting.notBefore = now &+ wait
            delayed[sequence] = waiting
            timers.insert(.delivery(sequence), at: waiting.notBefore)
            return .waits(isFirst: waiting.tries == 1)
        }
    }
}
