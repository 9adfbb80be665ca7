// Triggers in and out of their queues: coalescing, windows, the round over namespaces, starting.

import Delivery

extension DispatcherCore {
    /// Puts one entry of a plan into its target's queue, or merges it.
    mutating func add(_ new: Trigger, _ step: PlanStep, ref: String?) {
        var trigger = new
        let queue = Int(trigger.queue)
        let action = step.action
        let key: CoalesceKey? =
            switch step.coalesce.by {
            case .none: nil
            case .target: .target
            case .ref: ref.map { .ref($0.hashValue) }
            }
        trigger.coalesceKey = key
        if let key, let waiting = queues[queue].waitingByKey[key] {
            merge(&trigger, intoWaiting: Int(waiting), action)
            return
        }
        nextGeneration &+= 1
        trigger.generation = nextGeneration
        if key != nil, step.coalesce.windowNanoseconds > 0 {
            trigger.notBefore = now &+ step.coalesce.windowNanoseconds
            trigger.state = .delayed
        }
        if case .dockerHubCallback = action, let window = step.followsWindow {
            // Not before what it follows is due.
            trigger.notBefore = now &+ window &+ 1_000_000
            trigger.state = .delayed
        }
        let slot = triggers.insert(trigger)
        if action.isOfOneDelivery { ownActions[slot] = action }
        queues[queue].triggerCount += 1
        if !action.isOfOneDelivery || queues[queue].triggerCount == 1 { queues[queue].action = action }
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
        if action.isOfOneDelivery { ownActions[slot] = action }
        queues[Int(waiting.queue)].action = action
    }

    mutating func settleMerged(_ trigger: Trigger, into sequence: UInt64) {
        settle(
            OutcomeEntry(sequence: trigger.sequence, planIndex: trigger.planIndex, code: .merged, detail: sequence),
            of: trigger)
    }

    /// `slot` is the trigger's, where it has one: its action may not be its queue's.
    mutating func settle(_ entry: OutcomeEntry, of trigger: Trigger, slot: Int? = nil) {
        settle(
            entry, action: slot.flatMap { ownActions[$0] } ?? queues[Int(trigger.queue)].action,
            route: routes[Int(trigger.route)],
            receivedNanoseconds: trigger.receivedNanoseconds)
    }

    // MARK: - Slots and queues

    /// The template of a definition; made anew when the definition changed.
    mutating func templateIndex(_ definition: RouteDefinition) -> Int {
        if let index = templateIndexes[definition.identity] {
            if templates[index].isMade(of: definition) { return index }
            forgetTemplate(definition.identity, index)
        }
        if templateIndexes.count >= settings.templatesMax {
            for (identity, index) in templateIndexes { forgetTemplate(identity, index) }
        }
        let template = PlanTemplate(
            definition, route: routes.retain(definition.identity),
            policy: policies.retain(PolicyKey(definition.retry)), settings)
        let index = templates.insert(template)
        templateIndexes[definition.identity] = index
        return index
    }

    private mutating func forgetTemplate(_ identity: RouteIdentity, _ index: Int) {
        routes.release(templates[index].route)
        policies.release(templates[index].policy)
        templateIndexes[identity] = nil
        templates.remove(index)
    }

    /// The queue of a step's target.
    mutating func queueIndex(for step: PlanStep) -> Int {
        let hint = Int(step.queueHint)
        if hint >= 0, queues[hint].isInUse, queues[hint].key == step.key { return hint }
        if let index = queueIndexes[step.key] { return index }
        let namespace = namespaceIndex(step.namespace)
        namespaces[namespace].queueCount += 1
        // A queue of one route names that route by its index, which must not be given to another meanwhile.
        if case .ofRoute(let route, _) = step.key { routes.retain(Int(route)) }
        let index = queues.insert(
            Queue(
                key: step.key, action: step.action, namespace: Int32(namespace),
                breakers: BreakerPair(server: breakerIndex(step.server), resource: breakerIndex(step.resource)),
                runningMax: step.runningMax))
        queueIndexes[step.key] = index
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
        if !ownActions.isEmpty { ownActions[slot] = nil }
        triggers[slot].generation = 0
        let queue = Int(trigger.queue)
        triggers[slot].queue = IndexList.none
        triggers.remove(slot)
        queues[queue].triggerCount -= 1
        if queues[queue].triggerCount == 0 { becomeIdle(queue) }
    }

    /// A queue without triggers is kept for the next delivery; the one that is idle for longest goes when there are too many.
    mutating func becomeIdle(_ index: Int) {
        if !queues[index].isAmongIdle {
            queues[index].isAmongIdle = true
            idleQueues.append(index)
        }
        while idleQueues.count > settings.idleQueuesMax, let oldest = idleQueues.popFirst() {
            queues[oldest].isAmongIdle = false
            // In use again: it comes back when it is idle the next time.
            if queues[oldest].triggerCount == 0 { freeQueue(oldest) }
        }
    }

    private mutating func releaseNames(of trigger: Trigger) {
        routes.release(Int(trigger.route))
        policies.release(Int(trigger.policy))
    }

    mutating func freeQueue(_ index: Int) {
        let queue = queues[index]
        assert(!queue.isListed && queue.running == 0 && queue.waiting.isEmpty && queue.waitingByKey.isEmpty)
        queues[index].isInUse = false
        queueIndexes[queue.key] = nil
        if case .ofRoute(let route, _) = queue.key { routes.release(Int(route)) }
        queues.remove(index)
        releaseBreaker(queue.breakers.server)
        releaseBreaker(queue.breakers.resource)
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
        if let key = triggers[slot].coalesceKey { queues[index].waitingByKey[key] = nil }
        triggers[slot].state = .running
        nextGeneration &+= 1
        triggers[slot].generation = nextGeneration
        triggers[slot].tries = min(triggers[slot].tries, .max - 1) + 1
        beginProbes(slot, queues[index].breakers)
        queues[index].running += 1
        namespaces[Int(queues[index].namespace)].running += 1
        running += 1
        let trigger = triggers[slot]
        commands.append(
            .start(
                StartedAction(
                    id: TriggerID(slot: Int32(slot), generation: trigger.generation), sequence: trigger.sequence,
                    planIndex: trigger.planIndex, attempt: Int(trigger.tries),
                    action: ownActions[slot] ?? queues[index].action,
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
