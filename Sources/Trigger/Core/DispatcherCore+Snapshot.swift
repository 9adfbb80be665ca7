// What an operator is shown: one look at every trigger, gathered by queue, the oldest first.

import Delivery

extension DispatcherCore {
    /// What died last is kept for this many.
    static let deadMax = 1_000

    fileprivate struct Gathered {
        var oldest = Int32(-1)
        var due: UInt64?
        var isDueNow = false
        var waiting = 0
        var running = 0
        var paused = 0
        var merged = 0
    }

    /// `now` decides what is due; nothing is changed.
    package func snapshot(_ question: QueueQuestion, now: UInt64) -> DispatcherSnapshot {
        var result = DispatcherSnapshot()
        result.takenNanoseconds = now
        result.paused = paused
        var gathered = [Gathered](repeating: Gathered(), count: queues.slots.count)
        for (slot, trigger) in triggers.slots.enumerated() where trigger.queue != IndexList.none {
            let isPaused = trigger.state != .running && isPaused(trigger)
            gathered[Int(trigger.queue)].take(trigger, slot, isPaused: isPaused, oldest: triggers.slots)
            if isPaused { result.totals.paused += 1 }
            let oldest = result.totals.oldestReceivedNanoseconds ?? .max
            result.totals.oldestReceivedNanoseconds = min(oldest, trigger.receivedNanoseconds)
        }
        var covered: [Int] = []
        for (index, entry) in gathered.enumerated() where entry.oldest >= 0 {
            let route = routes[Int(triggers[Int(entry.oldest)].route)]
            if question.covers(cluster: route.cluster, namespace: route.namespace) { covered.append(index) }
        }
        result.queueCount = covered.count
        covered.sort {
            let (one, other) = (triggers[Int(gathered[$0].oldest)], triggers[Int(gathered[$1].oldest)])
            return (one.receivedNanoseconds, one.sequence) < (other.receivedNanoseconds, other.sequence)
        }
        result.queues = covered.prefix(question.limit).map { show(queues[$0], gathered[$0], now) }
        result.openBreakers = shownBreakers()
        let dead = dead.reversed().lazy.filter {
            question.covers(cluster: $0.route.cluster, namespace: $0.route.namespace)
        }
        result.dead = Array(dead.prefix(question.limit))
        result.totals.running = running
        result.totals.waiting = waitingCount
        result.totals.owedDeliveries = owed.count
        result.totals.dead = deadCount
        return result
    }

    private func show(_ queue: Queue, _ gathered: Gathered, _ now: UInt64) -> QueueSnapshot {
        let oldest = triggers[Int(gathered.oldest)]
        let route = routes[Int(oldest.route)]
        var due = gathered.isDueNow ? nil : gathered.due
        if queue.notBefore > now { due = max(due ?? 0, queue.notBefore) }
        var result = QueueSnapshot(
            action: queue.action.name, target: queue.action.targetText, cluster: queue.cluster,
            namespace: route.namespace, route: route, oldestSequence: oldest.sequence,
            oldestReceivedNanoseconds: oldest.receivedNanoseconds, waiting: gathered.waiting,
            running: gathered.running, paused: gathered.paused, merged: gathered.merged,
            nextDueNanoseconds: due.flatMap { $0 > now ? $0 : nil },
            lastFailure: queue.lastFailure?.reason, lastFailureNanoseconds: queue.lastFailure?.at, breaker: .closed,
            breakerKey: nil)
        for index in [queue.breakers.server, queue.breakers.resource] where index != IndexList.none {
            let breaker = breakers[Int(index)]
            guard breaker.isOpen else { continue }
            result.breaker = breaker.shownState
            result.breakerKey = breaker.key
            break
        }
        return result
    }

    private func shownBreakers() -> [BreakerSnapshot] {
        openBreakers.sorted().compactMap { key in
            guard let index = breakerIndexes[key] else { return nil }
            let breaker = breakers[index]
            return BreakerSnapshot(
                key: key, state: breaker.shownState, reason: breaker.reason, waitingQueues: breaker.parked.count)
        }
    }

    /// Keeps what died for operators; the oldest go.
    mutating func noteDead(_ entry: OutcomeEntry, _ action: PlannedAction?, _ route: RouteIdentity, received: UInt64) {
        deadCount += 1
        if dead.count >= Self.deadMax { dead.removeFirst(Self.deadMax / 2) }
        dead.append(
            DeadTrigger(
                sequence: entry.sequence, planIndex: entry.planIndex, route: route, action: action?.name ?? "",
                target: action?.targetText ?? "", reason: entry.reason, attempts: entry.detail,
                receivedNanoseconds: received, diedNanoseconds: now))
    }
}

extension DispatcherCore.Gathered {
    fileprivate mutating func take(
        _ trigger: DispatcherCore.Trigger, _ slot: Int, isPaused: Bool, oldest slots: [DispatcherCore.Trigger]
    ) {
        if oldest < 0 || trigger.sequence < slots[Int(oldest)].sequence { oldest = Int32(slot) }
        merged += Int(trigger.merged)
        guard trigger.state != .running else {
            running += 1
            return
        }
        waiting += 1
        if isPaused {
            paused += 1
        } else if trigger.state == .delayed {
            due = min(due ?? .max, trigger.notBefore)
        } else {
            isDueNow = true
        }
    }
}

extension Breaker {
    fileprivate var shownState: QueueSnapshot.BreakerState {
        switch state {
        case .closed: .closed
        case .open(let until): .open(untilNanoseconds: until)
        case .halfOpen: .halfOpen
        }
    }
}
