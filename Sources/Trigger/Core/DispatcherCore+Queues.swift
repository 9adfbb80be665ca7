// Triggers in and out of their queues: coalescing, windows, the slots and names that they hold.

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
        let isHeld = isPaused(trigger)
        let waiting = key.flatMap { key in
            isHeld
                ? heldByKey[HeldKey(queue: trigger.queue, key: key)] : queues[queue].waitingByKey[key]
        }
        if let waiting {
            merge(&trigger, intoWaiting: Int(waiting), action)
            prolongWindow(of: Int(waiting), step.coalesce)
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
        if action.isOfOneDelivery { setOwnAction(action, of: slot) }
        queues[queue].triggerCount += 1
        if !action.isOfOneDelivery || queues[queue].triggerCount == 1 { queues[queue].action = action }
        if isHeld { return hold(slot) }
        if trigger.state == .delayed, step.coalesce.maxDelayNanoseconds > 0 {
            windowEnds[slot] = now &+ step.coalesce.maxDelayNanoseconds
        }
        if let key { queues[queue].waitingByKey[key] = Int32(slot) }
        if trigger.state == .delayed {
            timers.insert(.trigger(TriggerID(slot: Int32(slot), generation: trigger.generation)), at: trigger.notBefore)
        } else {
            enqueue(slot)
        }
    }

    /// With a longest delay a window begins anew with each delivery, until that is reached.
    private mutating func prolongWindow(of slot: Int, _ coalesce: Coalesce) {
        guard let end = windowEnds[slot], triggers[slot].state == .delayed, triggers[slot].failures == 0 else { return }
        triggers[slot].notBefore = max(triggers[slot].notBefore, min(now &+ coalesce.windowNanoseconds, end))
    }

    /// The newer of the two keeps the place; the older is final. `trigger` is not in any slot yet.
    private mutating func merge(_ trigger: inout Trigger, intoWaiting slot: Int, _ action: PlannedAction) {
        let waiting = triggers[slot]
        guard trigger.sequence > waiting.sequence else {
            triggers[slot].merged = sum(waiting.merged, trigger.merged)
            settleMerged(trigger, into: waiting.sequence)
            releaseNames(of: trigger)
            return
        }
        settleMerged(waiting, into: trigger.sequence)
        releaseNames(of: waiting)
        trigger.merged = sum(waiting.merged, trigger.merged)
        trigger.generation = waiting.generation
        trigger.state = waiting.state
        trigger.notBefore = waiting.notBefore
        trigger.failures = waiting.failures
        triggers[slot] = trigger
        if action.isOfOneDelivery { setOwnAction(action, of: slot) }
        queues[Int(waiting.queue)].action = action
    }

    mutating func settleMerged(_ trigger: Trigger, into sequence: UInt64) {
        settle(
            OutcomeEntry(sequence: trigger.sequence, planIndex: trigger.planIndex, code: .merged, detail: sequence),
            of: trigger)
    }

    /// `slot` is the trigger's, where it has one: its action may not be its queue's.
    mutating func settle(
        _ entry: OutcomeEntry, of trigger: Trigger, slot: Int? = nil, _ attempt: AttemptReport? = nil
    ) {
        var entry = entry
        entry.details = OutcomeDetails(attempt, attempts: UInt32(trigger.tries), merged: trigger.merged)
        settle(
            entry, action: slot.flatMap { ownActions[$0] } ?? queues[Int(trigger.queue)].action,
            route: routes[Int(trigger.route)], routeIndex: Int(trigger.route),
            receivedNanoseconds: trigger.receivedNanoseconds, merged: trigger.merged)
    }

    // MARK: - Slots and queues

    private mutating func setOwnAction(_ action: PlannedAction?, of slot: Int) {
        ownBytes += (action?.byteCount ?? 0) - (ownActions[slot]?.byteCount ?? 0)
        ownActions[slot] = action
    }

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
            policy: policies.retain(PolicyKey(definition.retry, definition.coalesce)), settings)
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
        let namespace = namespaceIndex(
            NamespaceKey(
                name: step.namespace, cluster: step.isOnCluster ? clusterIndex(step.cluster) : IndexList.none))
        namespaces[namespace].queueCount += 1
        // A queue of one route names that route by its index, which must not be given to another meanwhile.
        if case .ofRoute(let route, _) = step.key { routes.retain(Int(route)) }
        var queue = Queue(
            key: step.key, action: step.action, namespace: Int32(namespace), target: targetIndex(step),
            cluster: step.cluster, isOrdered: step.isOrdered,
            breakers: BreakerPair(server: breakerIndex(step.server), resource: breakerIndex(step.resource)),
            runningMax: step.runningMax)
        queue.isPaused = isTargetPaused(queue)
        let index = queues.insert(queue)
        queueIndexes[step.key] = index
        return index
    }

    private mutating func namespaceIndex(_ key: NamespaceKey) -> Int {
        if let index = namespaceIndexes[key] { return index }
        let bare = key.name.split(separator: "/", maxSplits: 1).last.map(String.init) ?? ""
        let weight = max(1, settings.namespaceWeights[key.name] ?? settings.namespaceWeights[bare] ?? 1)
        let index = namespaces.insert(Namespace(key: key, weight: weight, credit: weight, lastStart: forgottenStart))
        namespaceIndexes[key] = index
        return index
    }

    /// Clusters are few and stay.
    private mutating func clusterIndex(_ name: String) -> Int32 {
        if let index = clusterIndexes[name] { return Int32(index) }
        clusters.append(Cluster())
        clusterIndexes[name] = clusters.count - 1
        return Int32(clusters.count - 1)
    }

    /// What the lanes of one target share.
    private mutating func targetIndex(_ step: PlanStep) -> Int32 {
        guard step.isOrdered,
            case .object(let cluster, let group, let kind, let namespace, let name, _) = step.key
        else { return IndexList.none }
        let key = QueueKey.object(
            cluster: cluster, group: group, kind: kind, namespace: namespace, name: name, lane: 0)
        let index = targetIndexes[key] ?? targets.insert(Target(key: key))
        targetIndexes[key] = index
        targets[index].users += 1
        return Int32(index)
    }

    /// Gives back a trigger's slot; it must be in no list and have no waiting entry.
    mutating func free(_ slot: Int) {
        let trigger = triggers[slot]
        releaseNames(of: trigger)
        if !ownActions.isEmpty { setOwnAction(nil, of: slot) }
        if !windowEnds.isEmpty { windowEnds[slot] = nil }
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
        if queue.target != IndexList.none {
            let target = Int(queue.target)
            targets[target].users -= 1
            if targets[target].users == 0 {
                targetIndexes[targets[target].key] = nil
                targets.remove(target)
            }
        }
        let namespace = Int(queue.namespace)
        namespaces[namespace].queueCount -= 1
        if namespaces[namespace].queueCount == 0 {
            // Not in the round: a namespace there has a ready queue.
            namespaceIndexes[namespaces[namespace].key] = nil
            forgottenStart = max(forgottenStart, namespaces[namespace].lastStart)
            namespaces.remove(namespace)
        }
    }
}
