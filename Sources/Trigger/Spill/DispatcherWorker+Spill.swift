// What the dispatcher does not take now, and takes up again (SpillBook says when).

import Delivery
import Logging

extension DispatcherWorker {
    /// Deliveries that are here or on their way from the journal; what is large counts for several.
    private var load: Int { core.load + planning.count + spills.reserved }

    /// True: the delivery is taken now. False: it waits in the journal.
    mutating func admits(_ delivery: QueuedDelivery, isRecovered: Bool) -> Bool {
        guard parts.spilled != nil else { return true }
        let free = core.settings.heldDeliveriesMax - load
        if delivery.sequence > spills.rereadThrough {
            if spills.isCalm(free: free, of: core.settings.heldDeliveriesMax) { return true }
            if !spills.holds(delivery.route) {
                let held = heldCount(of: delivery.route)
                if SpillBook.hasRoom(held: held, free: free) { return true }
                noteSpill(delivery.route, held: held)
            }
        }
        spills.spill(SpilledRange(delivery, isRecovered: isRecovered), of: delivery.route)
        return false
    }

    /// A route that goes over its share again and again has a line now and then.
    private mutating func noteSpill(_ route: RouteIdentity, held: Int) {
        let now = clock.now
        guard now >= spillNotedAt &+ 10_000_000_000 else { return }
        spillNotedAt = now
        parts.logger.notice(
            "a route owes more than its share of what is held in memory: the rest waits in the journal",
            metadata: ["route": "\(route)", "held": "\(held)"])
    }

    private func heldCount(of route: RouteIdentity) -> Int {
        core.owedDeliveryCount(of: route) + planning.count(of: route)
    }

    /// Has the journal read again where there is room.
    mutating func readSpilled() {
        guard !core.isDraining, !spills.isEmpty, let reader = parts.spilled else { return }
        let (core, planning) = (core, planning)
        let question = spills.nextQuestion(now: clock.now, free: core.settings.heldDeliveriesMax - load) {
            core.owedDeliveryCount(of: $0) + planning.count(of: $0)
        }
        guard let question else { return }
        self.core.watchEnds(through: question.through)
        spillTask = send(.reading(question, reader))
    }

    mutating func take(_ reading: SpillReading, now: UInt64) {
        spillTask = nil
        let ended = core.takeEnds()
        // What a drained dispatcher is given is read again after the restart.
        if core.isDraining { return }
        if let failure = reading.failure, !spills.isFailing {
            parts.logger.warning(
                "what waits in the journal cannot be read now, will be tried again", metadata: ["reason": "\(failure)"])
        } else if reading.failure == nil, spills.isFailing {
            parts.logger.notice("what waits in the journal can be read again")
        }
        let found = reading.deliveries.map {
            (delivery: $0, isRecovered: spills.isRecovered($0.delivery.sequence, of: $0.delivery.route))
        }
        report(spills.take(reading, now: now))
        for (recovered, isRecovered) in found {
            let sequence = recovered.delivery.sequence
            // It may have ended since the journal was asked.
            guard !core.holds(sequence), !planning.holds(sequence), !ended.contains(sequence) else { continue }
            if isRecovered || recovered.plan != nil {
                recover(recovered, now)
            } else {
                plan(recovered.delivery, now)
            }
        }
    }

    /// One line when a place cannot be read, and one when all that waited there was read.
    private func report(_ news: SpillPlaceNews) {
        func metadata(_ place: SpillReading.Unread) -> Logger.Metadata {
            ["segment": "\(place.segment)", "sequences": "\(place.from)-\(place.through)"]
        }
        if let place = news.began {
            var metadata = metadata(place)
            metadata["reason"] = "\(place.reason)"
            parts.logger.warning(
                "a place in the journal cannot be read: what waits there is tried again, what waits behind it goes on",
                metadata: metadata)
        }
        for place in news.ended {
            parts.logger.notice("what waited at a place in the journal could be read", metadata: metadata(place))
        }
    }

    /// Adds what waits in the journal to what is shown.
    func show(_ snapshot: inout DispatcherSnapshot, _ question: QueueQuestion) {
        guard !spills.isEmpty else { return }
        snapshot.totals.spilled = spills.count
        snapshot.totals.owedDeliveries += spills.count
        snapshot.totals.waiting += spills.count
        if let oldest = spills.oldestReceivedNanoseconds {
            snapshot.totals.oldestReceivedNanoseconds = min(
                snapshot.totals.oldestReceivedNanoseconds ?? .max, oldest)
        }
        let covered = spills.ranges
            .filter { question.covers(cluster: $0.route.cluster, namespace: $0.route.namespace) }
            .sorted { $0.range.from < $1.range.from }
        snapshot.spilled = covered.prefix(question.limit).map {
            SpilledRoute(
                route: $0.route, count: $0.range.count, oldestReceivedNanoseconds: $0.range.oldestReceivedNanoseconds)
        }
    }
}
