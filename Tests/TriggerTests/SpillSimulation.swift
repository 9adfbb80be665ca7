// SpillSimulation: a dispatcher's core with a small bound, its book of spilled routes, and a journal in memory that is read as the real
// one is: in order, a few records at a time, some of which are gone or unreadable now and then.

import Delivery
import Testing

@testable import Trigger

final class SpillSimulation {
    var random: SeededRandom
    let settings: DispatcherSettings
    private(set) var simulation: CoreSimulation
    private(set) var book = SpillBook()
    private(set) var log: [(sequence: UInt64, route: RouteIdentity, received: UInt64)] = []
    /// The order in which the core took deliveries since the start.
    private(set) var taken: [RouteIdentity: [UInt64]] = [:]
    private(set) var loadMax = 0
    private var asked: SpillQuestion?
    /// Of all lives of the core.
    private var plans: [UInt64: [PlannedAction]] = [:]
    private(set) var outcomes: [CoreSimulation.Key: OutcomeEntry] = [:]

    init(settings: DispatcherSettings, seed: UInt64) {
        self.settings = settings
        random = SeededRandom(seed: seed)
        simulation = CoreSimulation(settings: settings, seed: seed)
    }

    private var load: Int { simulation.core.load + book.reserved }

    func arrive(at route: RouteIdentity) {
        let sequence = (log.last?.sequence ?? 0) + UInt64.random(in: 1...3, using: &random)
        log.append((sequence, route, simulation.now))
        offer(sequence, route, isRecovered: false)
        step()
    }

    /// As the dispatcher's thread does.
    private func offer(_ sequence: UInt64, _ route: RouteIdentity, isRecovered: Bool) {
        let free = settings.heldDeliveriesMax - load
        let isTaken =
            book.isCalm(free: free, of: settings.heldDeliveriesMax)
            || !book.holds(route)
                && SpillBook.hasRoom(held: simulation.core.owedDeliveryCount(of: route), free: free)
        guard isTaken else {
            return book.spill(
                SpilledRange(simulation.delivery(sequence, route, simulation.now), isRecovered: isRecovered), of: route)
        }
        take(sequence, route, isRecovered: isRecovered)
    }

    private func take(_ sequence: UInt64, _ route: RouteIdentity, isRecovered: Bool) {
        taken[route, default: []].append(sequence)
        if isRecovered {
            let done = outcomes.filter { $0.key.sequence == sequence }.map(\.value)
            simulation.recover(
                sequence, of: route, plan: plans[sequence].map { $0.map(\.encoded) }, outcomes: done)
        } else {
            simulation.deliver(sequence, to: route)
        }
        loadMax = max(loadMax, load)
    }

    func step() {
        let core = simulation.core
        if asked == nil {
            asked = book.nextQuestion(now: simulation.now, free: settings.heldDeliveriesMax - load) {
                core.owedDeliveryCount(of: $0)
            }
        }
    }

    /// The answer to the question under way, if there is one.
    func answer(looks: Int, fails: Bool = false) {
        guard let question = asked else { return }
        asked = nil
        keep()
        let reading = fails ? failure : read(question, looks: looks)
        let found = reading.deliveries.map {
            ($0, isRecovered: book.isRecovered($0.delivery.sequence, of: $0.delivery.route))
        }
        book.take(reading, now: simulation.now)
        for (recovered, isRecovered) in found where !simulation.core.holds(recovered.delivery.sequence) {
            take(
                recovered.delivery.sequence, recovered.delivery.route,
                isRecovered: isRecovered || plans[recovered.delivery.sequence] != nil)
        }
        step()
    }

    private var failure: SpillReading {
        var reading = SpillReading()
        reading.failure = "the disk does not answer"
        return reading
    }

    private func read(_ question: SpillQuestion, looks: Int) -> SpillReading {
        var reading = SpillReading()
        var open = question.routes
        var looked = 0
        var position = question.from
        for record in log where record.sequence >= question.from {
            if looked == looks { break }
            looked += 1
            position = record.sequence + 1
            guard let wanted = open[record.route], (wanted.from...wanted.through).contains(record.sequence) else {
                continue
            }
            guard wanted.room > 0 else {
                open[record.route] = nil
                reading.positions[record.route] = .init(next: record.sequence, receivedNanoseconds: record.received)
                continue
            }
            open[record.route]?.room -= 1
            guard isOwed(record.sequence) else { continue }
            reading.deliveries.append(
                RecoveredDelivery(
                    delivery: simulation.delivery(record.sequence, record.route, record.received), plan: nil,
                    outcomes: []))
        }
        for (route, wanted) in open {
            let isWhole = position > wanted.through || looked < looks
            reading.positions[route] = .init(next: isWhole ? wanted.through + 1 : max(wanted.from, position))
        }
        return reading
    }

    func isOwed(_ sequence: UInt64) -> Bool {
        if outcomes[CoreSimulation.Key(sequence: sequence, index: OutcomeEntry.wholeDelivery)] != nil { return false }
        guard let plan = plans[sequence] else { return true }
        return plan.indices.contains {
            outcomes[CoreSimulation.Key(sequence: sequence, index: UInt16($0))] == nil
        }
    }

    /// What the core wrote so far.
    func keep() {
        plans.merge(simulation.plans) { old, _ in old }
        for (key, outcome) in simulation.outcomes where outcomes[key] == nil { outcomes[key] = outcome }
    }

    /// Ends without a word, and starts again on the same journal.
    func crash() {
        keep()
        let next = CoreSimulation(settings: settings, seed: random.next())
        next.now = simulation.now
        next.definitions = simulation.definitions
        next.world = simulation.world
        for (sequence, plan) in plans { next.know(sequence, plan) }
        simulation = next
        book = SpillBook()
        asked = nil
        taken = [:]
        for record in log where isOwed(record.sequence) { offer(record.sequence, record.route, isRecovered: true) }
        step()
    }

    func run(for duration: UInt64) {
        simulation.run(for: duration)
        step()
    }
}
