// SpillBook: which routes have more deliveries than the dispatcher takes, and whose are read again next. A state machine without I/O, as
// the core: what is over goes in, questions to the journal come out, answers go in.
//
// What the dispatcher may hold is shared by a dynamic threshold (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory
// packet switches", IEEE/ACM Transactions on Networking 6(2), 1998): a route takes more while it holds less than is free in all. One
// alone gets half, two get a third each; what is free does not run out, so that another route's delivery is taken at once, however many
// wait for a target that is down. One delivery of a route is always taken.
//
//     taken ── over the share ──> spilled: kept as a range, dropped from memory
//       ^                            │ the route holds few, and no more than half of what is free
//       └──────── read again <───────┘
//
// Once a delivery of a route is spilled, all later ones are, until the last of them was read: so a route's deliveries keep their order.
// One reading at a time serves the route that waits for longest, and with it all others that have room and nothing before its place.

import Delivery

struct SpillBook: Sendable {
    /// Deliveries of one reading: what is read again is in memory twice for a moment.
    static let batchMax = 1_024
    static let looksMax = 4_096
    /// A route that holds more is not read again: readings follow each other faster than its actions can.
    static let refillBelow = 4_096
    /// A look at who has room costs a fraction of a microsecond for each route.
    private static let lookNanosecondsOfOne: UInt64 = 2_000
    private static let failurePauseNanoseconds: UInt64 = 1_000_000_000

    private struct Entry: Sendable {
        var range: SpilledRange
        /// The reading that began at its place last.
        var turn: UInt64
        /// The first of what was spilled since its route was asked for: the reading may have passed that place already.
        var arrived: SpilledRange?
    }

    private var entries: [RouteIdentity: Entry] = [:]
    /// The question under way.
    private var asked: SpillQuestion?
    private var turns: UInt64 = 0
    private var lookAt: UInt64 = 0
    private var isLookDue = false

    /// How many deliveries are spilled.
    private(set) var count = 0
    /// How many the question under way asked for.
    private(set) var reserved = 0
    /// The highest sequence that was read again. One at or below it that comes from elsewhere may have been taken and done by then:
    /// it is left to the journal, which knows.
    private(set) var rereadThrough: UInt64 = 0
    /// The last reading failed.
    private(set) var isFailing = false

    var isEmpty: Bool { entries.isEmpty }
    var routeCount: Int { entries.count }
    /// When `nextQuestion` must be asked again if nothing else happens.
    var wakeAt: UInt64? { isLookDue && asked == nil && !entries.isEmpty ? lookAt : nil }

    func holds(_ route: RouteIdentity) -> Bool { entries[route] != nil }

    /// Whether a delivery of before the start may have been acted on.
    func isRecovered(_ sequence: UInt64, of route: RouteIdentity) -> Bool {
        sequence <= entries[route]?.range.recoveredThrough ?? 0
    }

    /// Looks at all.
    var oldestReceivedNanoseconds: UInt64? { entries.values.lazy.map(\.range.oldestReceivedNanoseconds).min() }

    var ranges: [(route: RouteIdentity, range: SpilledRange)] { entries.map { ($0.key, $0.value.range) } }

    /// Whether any delivery may be taken without a look at its route: nothing is spilled, and below half of all no route can hold more
    /// than is free.
    func isCalm(free: Int, of max: Int) -> Bool { entries.isEmpty && free * 2 > max }

    /// Whether a route that has nothing spilled and holds `held` may hold one more.
    static func hasRoom(held: Int, free: Int) -> Bool { held < max(free, 1) }

    mutating func spill(_ range: SpilledRange, of route: RouteIdentity) {
        count += range.count
        if entries[route] == nil {
            entries[route] = Entry(range: range, turn: turns)
        } else {
            entries[route]?.range.formUnion(range)
        }
        if asked?.routes[route] != nil, range.from < entries[route]?.arrived?.from ?? .max {
            entries[route]?.arrived = range
        }
        isLookDue = true
    }

    /// What to read now; nil: nothing, or not yet. `free` is what the dispatcher may still hold, `held` what it holds of a route.
    mutating func nextQuestion(now: UInt64, free: Int, held: (RouteIdentity) -> Int) -> SpillQuestion? {
        guard asked == nil, !entries.isEmpty else { return nil }
        guard now >= lookAt else {
            isLookDue = true
            return nil
        }
        isLookDue = false
        lookAt = now &+ UInt64(entries.count) &* Self.lookNanosecondsOfOne
        var ready: [(route: RouteIdentity, range: SpilledRange, held: Int)] = []
        var first: (turn: UInt64, from: UInt64)?
        for (route, entry) in entries {
            let held = held(route)
            guard held == 0 || held <= Self.refillBelow && held * 2 <= free else { continue }
            ready.append((route, entry.range, held))
            let place = (entry.turn, entry.range.from)
            if first.map({ place < $0 }) ?? true { first = place }
        }
        guard let from = first?.from else { return nil }
        // Who begins there has its room first; the others in the order of their places.
        ready = ready.filter { $0.range.from >= from }.sorted { $0.range.from < $1.range.from }
        var question = SpillQuestion(from: from, routes: [:], looksMax: Self.looksMax)
        var rest = min(free, Self.batchMax)
        turns += 1
        for (route, range, held) in ready {
            guard rest > 0 || (held == 0 && reserved < Self.batchMax) else { continue }
            let room = max(1, min((free - held) / 2, rest))
            rest -= room
            reserved += room
            question.routes[route] = SpillQuestion.Wanted(from: range.from, through: range.through, room: room)
            // The others may not be reached.
            if range.from == from { entries[route]?.turn = turns }
        }
        asked = question
        return question
    }

    /// The end of the reading under way: what was found is the dispatcher's now, except for what it holds already.
    mutating func take(_ reading: SpillReading, now: UInt64) {
        guard let asked else { return }
        self.asked = nil
        reserved = 0
        isFailing = reading.failure != nil
        if isFailing { lookAt = now &+ Self.failurePauseNanoseconds }
        isLookDue = true
        var found: [RouteIdentity: Int] = [:]
        for delivery in reading.deliveries {
            found[delivery.delivery.route, default: 0] += 1
            rereadThrough = max(rereadThrough, delivery.delivery.sequence)
        }
        for (route, wanted) in asked.routes {
            guard var entry = entries[route] else { continue }
            let before = entry.range.count
            entry.range.count = max(1, before - (found[route] ?? 0))
            if let position = reading.positions[route] {
                entry.range.from = max(wanted.from, position.next)
                if let received = position.receivedNanoseconds { entry.range.oldestReceivedNanoseconds = received }
            }
            // Something before that came meanwhile: it is next, and what was found now is passed by then.
            if let arrived = entry.arrived, arrived.from <= entry.range.from {
                entry.range.from = arrived.from
                entry.range.oldestReceivedNanoseconds = arrived.oldestReceivedNanoseconds
            }
            entry.arrived = nil
            if entry.range.from > entry.range.through {
                entries[route] = nil
                count -= before
            } else {
                entries[route] = entry
                count -= before - entry.range.count
            }
        }
    }
}
