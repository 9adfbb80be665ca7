// SpillLedger: what the dispatcher takes, leaves to the journal and reads again, in one life of the simulated server.
//
// It looks at each delivery before and after the dispatcher was given it, and checks what must always hold:
//   - one that was taken is not taken again;
//   - those of a route are taken in their order, except for what came late itself, and behind a place that could not be read;
//   - a route of which nothing waits in the journal, and that holds nothing or less than is free, is not sent there;
//   - no more is held than may be, and one for each route.

import Delivery

@testable import Grapnel
@testable import Trigger

/// What simulated runs must reach.
enum SpillSight: CaseIterable {
    case spilled, redeliverySpilled
    /// Read again, and taken; with a plan of before the restart; from another segment than at first.
    case reread, rereadPlanned, rereadElsewhere
    /// Read again, though it was held or had ended meanwhile.
    case passed
    case reading, failure
    /// Some was found before it failed.
    case partialFailure
    /// Spilled while its route was being read; before the place from which it was.
    case arrival, lateArrival
    /// The life ended in the middle of a reading.
    case cut
    /// A range of what waited for its cluster.
    case gated
}

typealias SpillCoverage = [SpillSight: Int]

struct SpillLedger {
    /// What there is of one delivery at a moment.
    struct Look {
        var delivery: QueuedDelivery
        var isHeld: Bool
        var isPlanned: Bool
        var routeHasSpilled: Bool
        var heldOfRoute: Int
        var free: Int
        var rereadThrough: UInt64
        var spilledCount: Int

        init(_ delivery: QueuedDelivery, _ worker: borrowing DispatcherWorker) {
            self.delivery = delivery
            let sequence = delivery.sequence
            isPlanned = worker.core.holds(sequence)
            isHeld = isPlanned || worker.planning.holds(sequence)
            routeHasSpilled = worker.spills.holds(delivery.route)
            heldOfRoute =
                worker.core.owedDeliveryCount(of: delivery.route) + worker.planning.count(of: delivery.route)
            free =
                worker.core.settings.heldDeliveriesMax - worker.core.load - worker.planning.count
                - worker.spills.reserved
            rereadThrough = worker.spills.rereadThrough
            spilledCount = worker.spills.count
        }
    }

    private let ledger: TriggerLedger
    private var taken: Set<UInt64> = []
    private var lastOfRoute: [RouteIdentity: UInt64] = [:]
    /// Handed over behind later ones.
    private var late: Set<UInt64> = []
    /// Where they lay when they were first seen.
    private var segments: [UInt64: UInt64] = [:]
    private(set) var coverage = SpillCoverage()

    init(_ ledger: TriggerLedger) { self.ledger = ledger }

    mutating func see(_ sight: SpillSight, _ count: Int = 1) { coverage[sight, default: 0] += count }

    mutating func noteLate(_ sequence: UInt64) { late.insert(sequence) }

    /// `isStart`: of what the last run owed.
    mutating func offered(
        _ before: Look, _ after: Look, isStart: Bool, isRedelivery: Bool, during question: SpillQuestion?
    ) {
        let delivery = before.delivery
        segments[delivery.sequence] = delivery.location.segment
        note(before, after)
        guard after.spilledCount > before.spilledCount else { return }
        ledger.wasSpilled = true
        see(.spilled)
        if isRedelivery { see(.redeliverySpilled) }
        if let wanted = question?.routes[delivery.route] {
            see(.arrival)
            if delivery.sequence < wanted.from { see(.lateArrival) }
        }
        let mayGoFirst = isStart || late.contains(delivery.sequence) || before.isHeld
        if !before.routeHasSpilled, !mayGoFirst {
            ledger.verify(
                before.heldOfRoute > 0 && before.heldOfRoute >= before.free,
                "\(delivery.sequence) was left to the journal beside \(before.heldOfRoute) of its route, and \(before.free) free"
            )
        }
    }

    mutating func reread(_ before: Look, _ after: Look, hasPlan: Bool) {
        note(before, after)
        if before.isHeld || !after.isHeld {
            see(.passed)
        } else {
            see(.reread)
            if hasPlan { see(.rereadPlanned) }
            let location = before.delivery.location
            if location.segment != segments[before.delivery.sequence] ?? location.segment { see(.rereadElsewhere) }
        }
    }

    mutating func read(_ reading: SpillReading) {
        see(.reading)
        if reading.unread != nil { ledger.wasUnreadable = true }
        guard reading.failure != nil || reading.unread != nil else { return }
        see(.failure)
        if !reading.deliveries.isEmpty { see(.partialFailure) }
    }

    private mutating func note(_ before: Look, _ after: Look) {
        guard !before.isHeld, after.isHeld else { return }
        let (sequence, route) = (before.delivery.sequence, before.delivery.route)
        ledger.verify(taken.insert(sequence).inserted, "\(sequence) was taken twice")
        let last = lastOfRoute[route] ?? 0
        ledger.verify(
            sequence > last || late.contains(sequence) || ledger.wasUnreadable,
            "\(sequence) of \(route) was taken behind \(last)")
        lastOfRoute[route] = max(last, sequence)
    }

    func checkHeld(_ worker: borrowing DispatcherWorker) {
        let held = worker.core.owedDeliveryCount + worker.planning.count
        let bound = worker.core.settings.heldDeliveriesMax + SimulatedRoutes.configured.count
        ledger.verify(held <= bound, "\(held) deliveries are held, no more than \(bound) may be")
    }
}
