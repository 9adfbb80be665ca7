// SpillSimulation: a dispatcher's core with a small bound, its book of spilled routes, and a journal in memory that is read as the real
// one is: in order, a few records at a time, now and then not at all or not to the end. Things happen between the steps of a reading (the
// question, the walk over the log, what is owed, the taking), and some deliveries are handed over after younger ones.

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
    /// In the log and not handed over yet.
    private var unread: [(sequence: UInt64, route: RouteIdentity)] = []
    /// Where the log cannot be read.
    private var places: [SpillReading.Unread] = []
    private var placeNumber: UInt64 = 0
    /// All that were not handed over in their order, or were looked for where the log could not be read.
    private(set) var late: Set<UInt64> = []

    private enum Reading {
        case asked(SpillQuestion)
        /// Whether it is owed was not looked at yet.
        case walked(SpillReading)
        case answered(SpillReading)
    }
    private var reading: Reading?
    /// Of all lives of the core.
    private var plans: [UInt64: [PlannedAction]] = [:]
    private(set) var outcomes: [CoreSimulation.Key: OutcomeEntry] = [:]

    init(settings: DispatcherSettings, seed: UInt64) {
        self.settings = settings
        random = SeededRandom(seed: seed)
        simulation = CoreSimulation(settings: settings, seed: seed)
    }

    private var load: Int { simulation.core.load + book.reserved }

    /// `isLate`: its record cannot be read when it comes.
    func arrive(at route: RouteIdentity, isLate: Bool = false) {
        let sequence = (log.last?.sequence ?? 0) + UInt64.random(in: 1...3, using: &random)
        log.append((sequence, route, simulation.now))
        if isLate {
            late.insert(sequence)
            unread.append((sequence, route))
        } else {
            offer(sequence, route, isRecovered: false)
        }
        step()
    }

    /// Some of the log cannot be read from now on.
    func spoil() {
        guard let first = log.randomElement(using: &random)?.sequence else { return }
        spoil(first...first + UInt64.random(in: 0...60, using: &random))
    }

    func spoil(_ range: ClosedRange<UInt64>) {
        placeNumber += 1
        places.append(
            SpillReading.Unread(
                segment: placeNumber, from: range.lowerBound, through: range.upperBound, reason: "EIO"))
    }

    /// One of these places can be read again, or all.
    func heal(all: Bool = false) {
        if all { return places.removeAll() }
        if let index = places.indices.randomElement(using: &random) { places.remove(at: index) }
    }

    /// Hands over one whose record can be read by now. False: there is none.
    @discardableResult
    func handOverLate() -> Bool {
        guard let index = unread.indices.randomElement(using: &random) else { return false }
        let (sequence, route) = unread.remove(at: index)
        offer(sequence, route, isRecovered: false)
        step()
        return true
    }

    /// As the dispatcher's thread does.
    private func offer(_ sequence: UInt64, _ route: RouteIdentity, isRecovered: Bool) {
        let free = settings.heldDeliveriesMax - load
        let isTaken =
            sequence > book.rereadThrough
            && (book.isCalm(free: free, of: settings.heldDeliveriesMax)
                || !book.holds(route)
                    && SpillBook.hasRoom(held: simulation.core.owedDeliveryCount(of: route), free: free))
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
        guard reading == nil else { return }
        let question = book.nextQuestion(now: simulation.now, free: settings.heldDeliveriesMax - load) {
            core.owedDeliveryCount(of: $0)
        }
        guard let question else { return }
        simulation.core.watchEnds(through: question.through)
        reading = .asked(question)
    }

    /// All steps of the reading under way, if there is one.
    func answer(looks: Int) {
        for _ in 0..<3 { advance(looks: looks) }
    }

    /// The next step of the reading under way.
    func advance(looks: Int, fails: Bool = false) {
        switch reading {
        case nil: break
        case .asked(let question): reading = .walked(walk(question, looks: looks, fails: fails))
        case .walked(var walked):
            keep()
            walked.deliveries.removeAll { !isOwed($0.delivery.sequence) }
            reading = .answered(walked)
        case .answered(let answered):
            reading = nil
            take(answered)
        }
    }

    private func take(_ reading: SpillReading) {
        let ended = simulation.core.takeEnds()
        let found = reading.deliveries.map {
            ($0, isRecovered: book.isRecovered($0.delivery.sequence, of: $0.delivery.route))
        }
        book.take(reading, now: simulation.now)
        for (recovered, isRecovered) in found
        where !simulation.core.holds(recovered.delivery.sequence) && !ended.contains(recovered.delivery.sequence) {
            take(
                recovered.delivery.sequence, recovered.delivery.route,
                isRecovered: isRecovered || plans[recovered.delivery.sequence] != nil)
        }
        step()
    }

    /// `fails`: after so many looks the disk does not answer; else the reading ends there.
    private func walk(_ question: SpillQuestion, looks: Int, fails: Bool) -> SpillReading {
        var reading = SpillReading()
        if fails { reading.failure = "the disk does not answer" }
        var open = question.routes
        var looked = 0
        var position = question.from
        for record in log where record.sequence >= question.from {
            if looked == looks { break }
            let unread = places.filter { ($0.from...$0.through).contains(record.sequence) }.min { $0.from < $1.from }
            if let unread {
                reading.unread = unread
                reading.unread?.from = max(unread.from, question.from)
                position = max(unread.from, question.from)
                late.formUnion(log.lazy.map(\.sequence).filter { (unread.from...unread.through).contains($0) })
                break
            }
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
            reading.deliveries.append(
                RecoveredDelivery(
                    delivery: simulation.delivery(record.sequence, record.route, record.received), plan: nil,
                    outcomes: []))
        }
        for (route, wanted) in open {
            // It may have looked beyond the end of what was asked for of the route.
            let isWhole = looked < looks && reading.unread == nil
            reading.positions[route] = .init(
                next: isWhole ? wanted.through + 1 : max(wanted.from, min(position, wanted.through + 1)))
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
        reading = nil
        unread = []
        taken = [:]
        for record in log where isOwed(record.sequence) { offer(record.sequence, record.route, isRecovered: true) }
        step()
    }

    func run(for duration: UInt64) {
        simulation.run(for: duration)
        step()
    }
}

/// Of any route.
func spilledRange(_ from: UInt64, _ through: UInt64, count: Int) -> SpilledRange {
    var range = SpilledRange(
        QueuedDelivery(
            sequence: from, receivedNanoseconds: from * second, route: hook("x"),
            location: DeliveryLocation(segment: 1, offset: 0, length: 0)), isRecovered: false)
    range.through = through
    range.count = count
    return range
}
