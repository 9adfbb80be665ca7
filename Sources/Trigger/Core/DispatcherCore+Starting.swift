// Who starts next. A trigger waits in its queue, the queue in the ready list of its namespace, the namespace in the round; each namespace
// starts as many as its weight, then the next has its turn. What cannot start now waits where it will be woken:
//
//     the breaker is open                      parked at the breaker, woken when that closes or lets a probe pass
//     the target's other refs take its places  in the target's list, woken when one ends or leaves its place unused
//     interval, or backoff of an ordered queue the queue's own timer
//     the namespace's places are taken         out of the round, back when one of its actions ends
//     the cluster's places are taken           the namespace in the cluster's list, the first of which is woken for each free place

import Delivery

extension DispatcherCore {
    /// A trigger may start as soon as its queue lets it.
    mutating func enqueue(_ slot: Int) {
        let queue = Int(triggers[slot].queue)
        triggers[slot].state = .queued
        queues[queue].waiting.append(slot, &triggers.links)
        listIfStartable(queue)
    }

    /// The same, before all that wait there.
    mutating func enqueueFirst(_ slot: Int) {
        let queue = Int(triggers[slot].queue)
        triggers[slot].state = .queued
        queues[queue].waiting.prepend(slot, &triggers.links)
        listIfStartable(queue)
    }

    /// The same for several of one queue, ascending: each behind what waits there of earlier deliveries.
    mutating func enqueueInOrder(_ slots: [Int], of queue: Int) {
        for slot in slots { triggers[slot].state = .queued }
        let all = triggers.slots
        queues[queue].waiting.merge(slots, &triggers.links) { all[$0].place < all[$1].place }
        listIfStartable(queue)
    }

    mutating func delay(_ slot: Int) {
        triggers[slot].state = .delayed
        timers.insert(
            .trigger(TriggerID(slot: Int32(slot), generation: triggers[slot].generation)), at: triggers[slot].notBefore)
    }

    mutating func becomeDue(_ id: TriggerID) {
        let slot = Int(id.slot)
        guard triggers[slot].generation == id.generation, triggers[slot].state == .delayed else { return }
        if triggers[slot].notBefore > now { delay(slot) } else { enqueue(slot) }
    }

    /// A queue's timer came; the slot may serve another target by now, which harms nothing.
    mutating func reopenQueue(_ index: Int) {
        guard queues[index].isInUse else { return }
        queues[index].isTimed = false
        if queues[index].notBefore > now { closeQueue(index) } else { listIfStartable(index) }
    }

    private mutating func closeQueue(_ index: Int) {
        guard !queues[index].isTimed else { return }
        queues[index].isTimed = true
        timers.insert(.queue(index: index), at: queues[index].notBefore)
    }

    /// Puts a queue that may start something into the ready list of its namespace.
    mutating func listIfStartable(_ index: Int) {
        guard !queues[index].isListed, !queues[index].waiting.isEmpty, queues[index].running < queues[index].runningMax,
            queues[index].notBefore <= now
        else { return }
        queues[index].isListed = true
        let namespace = Int(queues[index].namespace)
        namespaces[namespace].ready.append(index, &queues.links)
        joinRound(namespace)
    }

    private mutating func joinRound(_ index: Int) {
        guard !namespaces[index].isInRound, !namespaces[index].ready.isEmpty,
            namespaces[index].running < settings.runningPerNamespaceMax
        else { return }
        namespaces[index].isInRound = true
        namespaces[index].credit = namespaces[index].weight
        // Whoever had no turn for longer than the next in line goes before it: a storm then costs another namespace what runs, and no more.
        // As each has to have its turn in between, nobody is passed by twice by the same.
        if round.first != IndexList.none, namespaces[index].lastStart < namespaces[Int(round.first)].lastStart {
            round.prepend(index, &namespaces.links)
        } else {
            round.append(index, &namespaces.links)
        }
    }

    /// Starts what limits and breakers allow, namespaces in turn.
    mutating func startReady() {
        guard !isDraining else { return }
        // Taken out for its turn: others may come to the front of the round meanwhile. It still counts as in the round.
        while running < settings.runningMax, let namespace = round.popFirst(namespaces.links) {
            let cluster = namespaces[namespace].key.cluster
            if cluster != IndexList.none, clusters[Int(cluster)].running >= settings.runningPerClusterMax {
                waitForCluster(namespace, Int(cluster))
                continue
            }
            guard let queue = namespaces[namespace].ready.popFirst(queues.links) else {
                preconditionFailure("a namespace in the round has a ready queue")
            }
            queues[queue].isListed = false
            let target = queues[queue].target
            if startNext(of: queue) { namespaces[namespace].credit -= 1 }
            offerPlaces(of: target)
            listIfStartable(queue)
            let isFull = namespaces[namespace].running >= settings.runningPerNamespaceMax
            if namespaces[namespace].ready.isEmpty || isFull {
                namespaces[namespace].isInRound = false
                wakeNamespace(of: cluster)
            } else if namespaces[namespace].credit <= 0 {
                namespaces[namespace].credit = namespaces[namespace].weight
                round.append(namespace, &namespaces.links)
                wakeNamespace(of: cluster)
            } else {
                round.prepend(namespace, &namespaces.links)
            }
        }
    }

    /// Steps aside until its cluster has a place; in the middle of its turn it stays the next.
    private mutating func waitForCluster(_ namespace: Int, _ cluster: Int) {
        let first = Int(clusters[cluster].waiting.first)
        if namespaces[namespace].credit < namespaces[namespace].weight
            || (first >= 0 && namespaces[namespace].lastStart < namespaces[first].lastStart)
        {
            clusters[cluster].waiting.prepend(namespace, &namespaces.links)
        } else {
            clusters[cluster].waiting.append(namespace, &namespaces.links)
        }
    }

    /// While the cluster has a free place, one of those that wait for it is in the round.
    private mutating func wakeNamespace(of cluster: Int32) {
        guard cluster != IndexList.none, clusters[Int(cluster)].running < settings.runningPerClusterMax,
            let next = clusters[Int(cluster)].waiting.popFirst(namespaces.links)
        else { return }
        round.append(next, &namespaces.links)
    }

    /// Starts the queue's first trigger, or puts it or the queue where it has to wait. Returns whether an action started.
    private mutating func startNext(of index: Int) -> Bool {
        let target = queues[index].target
        if target != IndexList.none, targets[Int(target)].claimant == Int32(index) {
            targets[Int(target)].claimant = IndexList.none
        }
        while !paused.isEmpty, queues[index].waiting.first != IndexList.none,
            isPaused(triggers[Int(queues[index].waiting.first)]),
            let slot = queues[index].waiting.popFirst(triggers.links)
        {
            hold(slot)
        }
        let first = Int(queues[index].waiting.first)
        if first < 0 || hasToWait(first, index) || waitsForTarget(index) {
            offerPassages(queues[index].breakers)
            return false
        }
        if let breaker = refusingBreaker(queues[index].breakers) {
            park(index, at: breaker)
            return false
        }
        guard let slot = queues[index].waiting.popFirst(triggers.links) else { return false }
        if triggers[slot].notBefore > now {
            // It inherited the backoff of one that failed while it waited in line.
            delay(slot)
            offerPassages(queues[index].breakers)
            return false
        }
        start(slot, index)
        return true
    }

    /// Whether the whole queue waits for the time: for the interval between two starts, or in order behind a backoff.
    private mutating func hasToWait(_ slot: Int, _ index: Int) -> Bool {
        var due: UInt64 = queues[index].isOrdered ? triggers[slot].notBefore : 0
        let interval = policies[Int(triggers[slot].policy)].minInterval
        if interval > 0, queues[index].startedAt > 0, !isCallback(slot, index) {
            due = max(due, queues[index].startedAt &+ interval)
        }
        guard due > now else { return false }
        queues[index].notBefore = due
        closeQueue(index)
        return true
    }

    /// A callback follows its refresh and triggers nothing.
    private func isCallback(_ slot: Int, _ index: Int) -> Bool {
        if case .dockerHubCallback = ownActions[slot] ?? queues[index].action { return true }
        return false
    }

    private mutating func waitsForTarget(_ index: Int) -> Bool {
        guard queues[index].target != IndexList.none else { return false }
        let target = Int(queues[index].target)
        let isWhole = queues[index].isWhole
        let hasRoom =
            targets[target].claimant == IndexList.none && !targets[target].isTakenWhole
            && targets[target].running < (isWhole ? 1 : settings.runningPerTargetMax)
        guard !hasRoom else { return false }
        queues[index].isListed = true
        if isWhole {
            // The first, and nobody starts before it: it needs the target when all others have ended.
            targets[target].claimant = Int32(index)
            targets[target].waiting.prepend(index, &queues.links)
        } else {
            targets[target].waiting.append(index, &queues.links)
        }
        return true
    }

    /// Wakes one of those that wait for a place at a target while there is one. Whoever was woken before may have left it unused: it was
    /// paused, has to wait, or its server is away.
    private mutating func offerPlaces(of target: Int32) {
        guard target != IndexList.none else { return }
        let target = Int(target)
        while !targets[target].isTakenWhole, targets[target].running < settings.runningPerTargetMax,
            targets[target].claimant == IndexList.none
                || targets[target].running == 0 && targets[target].waiting.first == targets[target].claimant,
            let next = targets[target].waiting.popFirst(queues.links)
        {
            queues[next].isListed = false
            listIfStartable(next)
            if queues[next].isListed { return }
            if targets[target].claimant == Int32(next) { targets[target].claimant = IndexList.none }
        }
    }

    private mutating func start(_ slot: Int, _ index: Int) {
        if let key = triggers[slot].coalesceKey { queues[index].waitingByKey[key] = nil }
        triggers[slot].state = .running
        nextGeneration &+= 1
        triggers[slot].generation = nextGeneration
        triggers[slot].tries = min(triggers[slot].tries, .max - 1) + 1
        if !windowEnds.isEmpty { windowEnds[slot] = nil }
        beginProbes(slot, queues[index].breakers)
        queues[index].running += 1
        if !isCallback(slot, index) { queues[index].startedAt = now }
        let namespace = Int(queues[index].namespace)
        namespaces[namespace].running += 1
        startCount += 1
        namespaces[namespace].lastStart = startCount
        if namespaces[namespace].key.cluster != IndexList.none {
            clusters[Int(namespaces[namespace].key.cluster)].running += 1
        }
        if queues[index].target != IndexList.none {
            targets[Int(queues[index].target)].running += 1
            targets[Int(queues[index].target)].isTakenWhole = queues[index].isWhole
        }
        running += 1
        let trigger = triggers[slot]
        commands.append(
            .start(
                StartedAction(
                    id: TriggerID(slot: Int32(slot), generation: trigger.generation), sequence: trigger.sequence,
                    planIndex: trigger.planIndex, attempt: Int(trigger.tries),
                    action: ownActions[slot] ?? queues[index].action,
                    route: routes[Int(trigger.route)], receivedNanoseconds: trigger.receivedNanoseconds,
                    location: trigger.location, merged: trigger.merged,
                    isRepeat: trigger.mayHaveActed)))
    }

    /// The places that a finished attempt held are free again.
    mutating func release(_ slot: Int) {
        let queue = Int(triggers[slot].queue)
        running -= 1
        queues[queue].running -= 1
        if queues[queue].target != IndexList.none {
            let target = Int(queues[queue].target)
            targets[target].running -= 1
            targets[target].isTakenWhole = false
            offerPlaces(of: Int32(target))
        }
        let namespace = Int(queues[queue].namespace)
        namespaces[namespace].running -= 1
        let cluster = namespaces[namespace].key.cluster
        if cluster != IndexList.none { clusters[Int(cluster)].running -= 1 }
        joinRound(namespace)
        wakeNamespace(of: cluster)
    }
}
