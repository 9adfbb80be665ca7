// Queues and their breakers: who may pass, who waits, what a result says about a server.

extension DispatcherCore {
    /// At most once in this time what waits behind an open breaker is searched for deliveries that are too old.
    private static let sweepIntervalNanoseconds: UInt64 = 60_000_000_000

    mutating func breakerIndex(_ key: String?) -> Int32 {
        guard let key else { return IndexList.none }
        if let index = breakerIndexes[key] {
            breakers[index].users += 1
            return Int32(index)
        }
        nextGeneration &+= 1
        var breaker = Breaker(key: key, generation: nextGeneration)
        breaker.users = 1
        let index = breakers.insert(breaker)
        breakerIndexes[key] = index
        return Int32(index)
    }

    mutating func releaseBreaker(_ index: Int32) {
        guard index != IndexList.none else { return }
        let index = Int(index)
        breakers[index].users -= 1
        guard breakers[index].users == 0 else { return }
        breakerIndexes[breakers[index].key] = nil
        openBreakers.remove(breakers[index].key)
        breakers.remove(index)
    }

    /// The breaker that keeps the queue from starting now, if there is one.
    mutating func refusingBreaker(_ pair: BreakerPair) -> Int? {
        if pair.server != IndexList.none, !breakers[Int(pair.server)].admits(now) { return Int(pair.server) }
        if pair.resource != IndexList.none, !breakers[Int(pair.resource)].admits(now) { return Int(pair.resource) }
        return nil
    }

    mutating func park(_ queue: Int, at breaker: Int) {
        queues[queue].isListed = true
        breakers[breaker].parked.append(queue, &queues.links)
        offerPassages(queues[queue].breakers)
    }

    /// A passage that this queue did not use goes to the next in line: else all behind it could wait for ever.
    mutating func offerPassages(_ pair: BreakerPair) {
        if pair.server != IndexList.none { offerPassage(Int(pair.server)) }
        if pair.resource != IndexList.none { offerPassage(Int(pair.resource)) }
    }

    mutating func beginProbes(_ slot: Int, _ pair: BreakerPair) {
        if pair.server != IndexList.none {
            triggers[slot].isProbeOfServer = breakers[Int(pair.server)].beginProbe()
        }
        if pair.resource != IndexList.none {
            triggers[slot].isProbeOfResource = breakers[Int(pair.resource)].beginProbe()
        }
    }

    /// A breaker's pause is over.
    mutating func reopenPassage(_ index: Int, _ generation: UInt32) {
        guard breakers[index].generation == generation, breakers[index].users > 0 else { return }
        _ = breakers[index].admits(now)
        offerPassage(index)
    }

    /// While a half-open breaker has no probe, the first that waits there may try.
    private mutating func offerPassage(_ index: Int) {
        guard breakers[index].state == .halfOpen(isProbing: false),
            let queue = breakers[index].parked.popFirst(queues.links)
        else { return }
        queues[queue].isListed = false
        listIfStartable(queue)
    }

    /// Tells both breakers of a trigger's queue how the attempt went.
    mutating func report(_ result: ActionResult, of slot: Int) {
        let trigger = triggers[slot]
        let pair = queues[Int(trigger.queue)].breakers
        triggers[slot].isProbeOfServer = false
        triggers[slot].isProbeOfResource = false
        var scope = ActionFailure.Scope.target
        var failure: ActionFailure?
        switch result {
        case .done: break
        case .ignored: scope = .none
        case .failed(let value):
            scope = value.scope
            failure = value
        }
        if pair.server != IndexList.none {
            let index = Int(pair.server)
            switch scope {
            case .target: close(index)
            case .none: passOn(index, trigger.isProbeOfServer)
            case .server: open(index, failure, resource: nil, wasProbe: trigger.isProbeOfServer)
            case .resource:
                open(index, failure, resource: Int(pair.resource), wasProbe: trigger.isProbeOfServer)
            }
        }
        if pair.resource != IndexList.none {
            let index = Int(pair.resource)
            switch scope {
            case .target: close(index)
            case .none, .server: passOn(index, trigger.isProbeOfResource)
            case .resource: open(index, failure, resource: nil, wasProbe: trigger.isProbeOfResource)
            }
        }
    }

    private mutating func passOn(_ index: Int, _ wasProbe: Bool) {
        guard wasProbe else { return }
        breakers[index].endProbe()
        offerPassage(index)
    }

    private mutating func close(_ index: Int) {
        guard breakers[index].succeed() else { return }
        openBreakers.remove(breakers[index].key)
        commands.append(.breakerChanged(key: breakers[index].key, isOpen: false, reason: ""))
        while let queue = breakers[index].parked.popFirst(queues.links) {
            queues[queue].isListed = false
            listIfStartable(queue)
        }
    }

    private mutating func open(_ index: Int, _ failure: ActionFailure?, resource: Int?, wasProbe: Bool) {
        let until = breakers[index].fail(
            failure?.reason ?? "", resource: resource, wasProbe: wasProbe,
            retryAfter: failure?.retryAfterNanoseconds, now: now, settings: settings, random: &random)
        guard let until else { return }
        if openBreakers.insert(breakers[index].key).inserted {
            commands.append(
                .breakerChanged(key: breakers[index].key, isOpen: true, reason: breakers[index].reason))
        }
        timers.insert(.breaker(index: index, generation: breakers[index].generation), at: until)
        if now - breakers[index].sweptAt >= Self.sweepIntervalNanoseconds {
            breakers[index].sweptAt = now
            sweep(index)
        }
    }

    /// Gives up what waits behind this breaker and is older than its policy allows.
    private mutating func sweep(_ index: Int) {
        let reason = breakers[index].reason
        for _ in 0..<breakers[index].parked.count {
            guard let queue = breakers[index].parked.popFirst(queues.links) else { return }
            var isLeft = false
            // The queue itself goes with its last trigger: hold it until all were looked at.
            queues[queue].triggerCount += 1
            for _ in 0..<queues[queue].waiting.count {
                guard let slot = queues[queue].waiting.popFirst(triggers.links) else { break }
                let trigger = triggers[slot]
                let age = now - min(now, triggers[slot].receivedNanoseconds)
                if age >= policies[Int(trigger.policy)].maxAge, !isPaused(trigger) {
                    if let key = trigger.coalesceKey { queues[queue].waitingByKey[key] = nil }
                    end(slot, .dead, detail: UInt64(trigger.attempts), reason: reason)
                } else {
                    queues[queue].waiting.append(slot, &triggers.links)
                    isLeft = true
                }
            }
            queues[queue].triggerCount -= 1
            queues[queue].isListed = false
            if isLeft {
                queues[queue].isListed = true
                breakers[index].parked.append(queue, &queues.links)
            } else if queues[queue].triggerCount == 0 {
                becomeIdle(queue)
            }
        }
    }
}
