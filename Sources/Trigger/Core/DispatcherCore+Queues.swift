// Triggers in and out of their queues: coalescing, windows, the round over namespaces, starting.

import Delivery

extension DispatcherCore {
    /// Puts one entry of a plan into its target's queue, or merges it.
    mutating func add(
        _ action: PlannedAction, at planIndex: Int, of delivery: QueuedDelivery, definition: RouteDefinition?,
        ref: String?, attempts: UInt64
    ) {
        let route = routes.retain(delivery.route)
        let queue = queueIndex(for: action, route: route, delivery.route)
        let coalesce = definition?.coalesce ?? Self.coalesceByDefault(action)
        let key: CoalesceKey? =
            switch coalesce.by {
            case .none: nil
            case .target: .target
            case .ref: ref.map { .ref($0.hashValue) }
            }
        var trigger = Trigger(
            sequence: delivery.sequence, receivedNanoseconds: delivery.receivedNanoseconds,
            location: delivery.location, coalesceKey: key, queue: Int32(queue), route: Int32(route),
            policy: Int32(policies.retain(PolicyKey(definition?.retry ?? RetryPolicy()))), generation: 0,
            planIndex: UInt16(clamping: planIndex), attempts: UInt16(clamping: attempts))
        if let key, let waiting = queues[queue].waitingByKey[key] {
            merge(&trigger, intoWaiting: Int(waiting), action)
            return
        }
        nextGeneration &+= 1
        trigger.generation = nextGeneration
        if key != nil, coalesce.windowNanoseconds > 0 {
            trigger.notBefore = now &+ coalesce.windowNanoseconds
            trigger.state = .delayed
        }
        let slot = triggers.insert(trigger)
        queues[queue].triggerCount += 1
        queues[queue].action = action
        if let key { queues[queue].waitingByKey[key] = Int32(slot) }
        if trigger.state == .delayed {
            timers.insert(.trigger(TriggerID(slot: Int32(slot), generation: trigger.generation)), at: trigger.notBefore)
        } else {
            enqueue(slot)
        }
    }

    /// The newer of the two keeps the place; the older is final. `trigger` is not in any slot yet.
    private mutating func merge(_ trigger: inout Trigger, intoWaiting slot: Int, _ action: PlannedAction) {
        let waiting = triggers[slot]
        guard trigger.sequence > waiting.sequence else {
            settleMerged(trigger, into: waiting.sequence)
            releaseNames(of: trigger)
            return
        }
        settleMerged(waiting, into: trigger.sequence)
        releaseNames(of: waiting)
        trigger.generation = waiting.generation
        trigger.state = waiting.state
        trigger.notBefore = waiting.notBefore
        trigger.failures = waiting.failures
        triggers[slot] = trigger
        queues[Int(waiting.queue)].action = action
    }

    mutating func settleMerged(_ trigger: Trigger, into sequence: UInt64) {
        settle(
            OutcomeEntry(sequence: trigger.sequence, planIndex: trigger.planIndex, code: .merged, detail: sequence),
            of: trigger)
    }

    mutating func settle(_ entry: OutcomeEntry, of trigger: Trigger) {
        settle(
            entry, action: queues[Int(trigger.queue)].action, route: routes[Int(trigger.route)],
            receivedNanoseconds: trigger.receivedNanoseconds)
    }

    private static func coalesceByDefault(_ action: PlannedAction) -> Coalesce {
        Coalesce(by: action.needsRoute ? .none : .target)
    }

    // MARK: - Slots and queues

    private mutating func queueIndex(for action: PlannedAction, route: Int, _ identity: RouteIdentity) -> Int {
        let key: QueueKey
        var runningMax = 1
        var server: String?
        var resource: String?
        switch action {
        case .reconcile(let target):
            let group = FluxKinds.group(of: target)
            key = .object(
                cluster: target.cluster, group: group, kind: target.kind, namespace: target.namespace,
                name: target.name)
            server = "kubernetes/\(target.cluster)"
            resource = "kubernetes/\(target.cluster)/\(group)/\(target.kind)/\(target.namespace)"
        case .http(let origin, _):
            key = .ofRoute(Int32(route), action)
            runningMax = settings.runningPerHTTPTargetMax
            server = origin
        case .exec: key = .ofRoute(Int32(route), action)
        case .log:
            key = .ofRoute(Int32(route), action)
            runningMax = settings.runningPerNamespaceMax
        }
        if let index = queueIndexes[key] { return index }
        let namespace = namespaceIndex("\(identity.cluster)/\(identity.namespace)")
        namespaces[namespace].queueCount += 1
        // A queue of one route names that route by its index, which must not be given to another meanwhile.
        if case .ofRoute = key { _ = routes.retain(identity) }
        let index = queues.insert(
            Queue(
                key: key, action: action, namespace: Int32(namespace), serverBreaker: breakerIndex(server),
                resourceBreaker: breakerIndex(resource), runningMax: runningMax))
        queueIndexes[key] = index
        return index
    }

    private mutating func namespaceIndex(_ name: String) -> Int {
        if let index = namespaceIndexes[name] { return index }
        let weight = max(1, settings.namespaceWeights[name] ?? 1)
        let index = namespaces.insert(Namespace(name: name, weight: weight, credit: weight))
        namespaceIndexes[name] = index
        return index
    }

    /// Gives back a trigger's slot; it must be in no list and have no waiting entry.
    mutating func free(_ slot: Int) {
        let trigger = triggers[slot]
        releaseNames(of: trigger)
        triggers[slot].generation = 0
        let queue = Int(trigger.queue)
        triggers[slot].queue = IndexList.none
        triggers.remove(slot)
        queues[queue].triggerCount -= 1
        if queues[queue].triggerCount == 0 { freeQueue(queue) }
    }

    private mutating func releaseNames(of trigger: Trigger) {
        routes.release(Int(trigger.route))
        policies.release(Int(trigger.policy))
    }

    mutating func freeQueue(_ index: Int) {
        let queue = queues[index]
        assert(!queue.isListed && queue.running == 0 && queue.waiting.isEmpty && queue.waitingByKey.isEmpty)
        queueIndexes[queue.key] = nil
        if case .ofRoute(let route, _) = queue.key { routes.release(Int(route)) }
        queues.remove(index)
        releaseBreaker(queue.serverBreaker)
        releaseBreaker(queue.resourceBreaker)
        let namespace = Int(queue.namespace)
        namespaces[namespace].queueCount -= 1
        if namespaces[namespace].queueCount == 0 {
            // Not in the round: a namespace there has a ready queue.
            namespaceIndexes[namespaces[namespace].name] = nil
            namespaces.remove(namespace)
        }
    }

    // MARK: - Waiting and starting

    /// A trigger may start as soon as its queue lets it.
    mutating func enqueue(_ slot: Int) {
        let queue = Int(triggers[slot].queue)
        triggers[slot].state = .queued
        queues[queue].waiting.append(slot, &triggers.links)
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

    /// Puts a queue that may start something into the ready list of its namespace.
    mutating func listIfStartable(_ index: Int) {
        guard !queues[index].isListed, !queues[index].waiting.isEmpty, queues[index].running < queues[index].runningMax
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
        round.append(index, &namespaces.links)
    }

    /// Weighted round over the namespaces: each starts as many as its weight, then the next has its turn.
    mutating func startReady() {
        guard !isDraining else { return }
        while running < settings.runningMax, round.first != IndexList.none {
            let namespace = Int(round.first)
            guard let queue = namespaces[namespace].ready.popFirst(queues.links) else {
                preconditionFailure("a namespace in the round has a ready queue")
            }
            queues[queue].isListed = false
            if startNext(of: queue) { namespaces[namespace].credit -= 1 }
            listIfStartable(queue)
            let isFull = namespaces[namespace].running >= settings.runningPerNamespaceMax
            if namespaces[namespace].ready.isEmpty || isFull {
                _ = round.popFirst(namespaces.links)
                namespaces[namespace].isInRound = false
            } else if namespaces[namespace].credit <= 0 {
                _ = round.popFirst(namespaces.links)
                namespaces[namespace].credit = namespaces[namespace].weight
                round.append(namespace, &namespaces.links)
            }
        }
    }

    /// Starts the queue's first trigger, or parks the queue at a breaker. Returns whether an action started.
    private mutating func startNext(of index: Int) -> Bool {
        if let breaker = refusingBreaker(of: queues[index]) {
            park(index, at: breaker)
            return false
        }
        guard let slot = queues[index].waiting.popFirst(triggers.links) else { return false }
        if triggers[slot].notBefore > now {
            // It inherited the backoff of one that failed while it waited in line.
            delay(slot)
            offerPassages(of: queues[index])
            return false
        }
        if let key = triggers[slot].coalesceKey { queues[index].waitingByKey[key] = nil }
        triggers[slot].state = .running
        nextGeneration &+= 1
        triggers[slot].generation = nextGeneration
        triggers[slot].tries = min(triggers[slot].tries, .max - 1) + 1
        beginProbes(slot, queues[index])
        queues[index].running += 1
        namespaces[Int(queues[index].namespace)].running += 1
        running += 1
        let trigger = triggers[slot]
        commands.append(
            .start(
                StartedAction(
                    id: TriggerID(slot: Int32(slot), generation: trigger.generation), sequence: trigger.sequence,
                    planIndex: trigger.planIndex, attempt: Int(trigger.tries), action: queues[index].action,
                    route: routes[Int(trigger.route)], receivedNanoseconds: trigger.receivedNanoseconds,
                    location: trigger.location)))
        return true
    }

    /// The places that a finished attempt held are free again.
    mutating func release(_ slot: Int) {
        let queue = Int(triggers[slot].queue)
        running -= 1
        queues[queue].running -= 1
        let namespace = Int(queues[queue].namespace)
        namespaces[namespace].running -= 1
        joinRound(namespace)
    }
}
