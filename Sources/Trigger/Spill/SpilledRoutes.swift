// SpilledRoutes: one range of spilled deliveries for each of some routes, and whose is read next. Pure.
//
// A reading begins where the route begins that waits for longest, and serves with it all others that have room and nothing before that
// place. Then each range begins where the reading ended for its route.

import Delivery

struct SpilledRoutes: Sendable {
    private struct Entry: Sendable {
        var range: SpilledRange
        /// The reading that began at its place last.
        var turn: UInt64
        /// The first of what was spilled since its route was asked for: the reading may have passed that place already.
        var arrived: SpilledRange?
    }

    /// What a reading leaves to be put elsewhere.
    struct Rest {
        /// What lies where the journal could not be read.
        var unread: [RouteIdentity: SpilledRange] = [:]
        /// Routes that have nothing here any more, with how many deliveries were counted and not met.
        var ended: [RouteIdentity: Int] = [:]
    }

    private var entries: [RouteIdentity: Entry] = [:]
    private var turns: UInt64 = 0
    /// How many deliveries, more or less.
    private(set) var count = 0

    var isEmpty: Bool { entries.isEmpty }
    var routeCount: Int { entries.count }
    /// Looks at all.
    var oldestReceivedNanoseconds: UInt64? { entries.values.lazy.map(\.range.oldestReceivedNanoseconds).min() }
    var ranges: some Sequence<(route: RouteIdentity, range: SpilledRange)> {
        entries.lazy.map { (route: $0.key, range: $0.value.range) }
    }

    subscript(_ route: RouteIdentity) -> SpilledRange? { entries[route]?.range }

    /// `isAsked`: a reading of this route is under way.
    mutating func add(_ range: SpilledRange, of route: RouteIdentity, isAsked: Bool = false) {
        count += range.count
        if entries[route] == nil {
            entries[route] = Entry(range: range, turn: turns)
        } else {
            entries[route]?.range.formUnion(range)
        }
        if isAsked, range.from < entries[route]?.arrived?.from ?? .max { entries[route]?.arrived = range }
    }

    mutating func formUnion(_ other: SpilledRoutes) {
        for (route, range) in other.ranges { add(range, of: route) }
    }

    /// Deliveries of a route that is here may be more than was thought.
    mutating func add(count more: Int, of route: RouteIdentity) {
        guard entries[route] != nil else { return }
        entries[route]?.range.count += more
        count += more
    }

    /// What to read next; nil: no route has room. `free` is what the dispatcher may still hold, `held` what it holds of a route.
    mutating func question(free: Int, held: (RouteIdentity) -> Int) -> SpillQuestion? {
        // Small, as there may be thousands: names are copied of those that are asked for.
        var ready: [(from: UInt64, held: Int, index: Dictionary<RouteIdentity, Entry>.Index)] = []
        var first: (turn: UInt64, from: UInt64)?
        for index in entries.indices {
            let held = held(entries[index].key)
            guard held == 0 || held <= SpillBook.refillBelow && held * 2 <= free else { continue }
            let place = (entries.values[index].turn, entries.values[index].range.from)
            ready.append((place.1, held, index))
            if first.map({ place < $0 }) ?? true { first = place }
        }
        guard let from = first?.from else { return nil }
        // Who begins there has its room first; the others in the order of their places. Several may have the same place: then in
        // an order of their own, so that one seed means one run.
        ready.removeAll { $0.from < from }
        ready.sort { $0.from != $1.from ? $0.from < $1.from : isBefore($0.index, $1.index) }
        var question = SpillQuestion(from: from, routes: [:], looksMax: SpillBook.looksMax)
        var rest = min(free, SpillBook.batchMax)
        var reserved = 0
        turns += 1
        for (place, held, index) in ready {
            guard reserved < SpillBook.batchMax else { break }
            guard rest > 0 || held == 0 else { continue }
            let room = max(1, min((free - held) / 2, rest))
            rest -= room
            reserved += room
            question.routes[entries[index].key] = SpillQuestion.Wanted(
                from: place, through: entries.values[index].range.through, room: room)
            // The others may not be reached.
            if place == from { entries.values[index].turn = turns }
        }
        return question
    }

    private func isBefore(
        _ left: Dictionary<RouteIdentity, Entry>.Index, _ right: Dictionary<RouteIdentity, Entry>.Index
    ) -> Bool {
        let ends = (entries.values[left].range.through, entries.values[right].range.through)
        if ends.0 != ends.1 { return ends.0 < ends.1 }
        let (left, right) = (entries[left].key, entries[right].key)
        return (left.name, left.namespace, left.cluster, left.kind.rawValue)
            < (right.name, right.namespace, right.cluster, right.kind.rawValue)
    }

    /// What was read is here no more.
    mutating func take(_ reading: SpillReading, of question: SpillQuestion) -> Rest {
        var found: [RouteIdentity: Int] = [:]
        for delivery in reading.deliveries { found[delivery.delivery.route, default: 0] += 1 }
        var rest = Rest()
        for (route, wanted) in question.routes {
            guard var entry = entries[route] else { continue }
            count -= entry.range.count
            let notMet = max(0, entry.range.count - (found[route] ?? 0))
            entry.range.count = max(1, notMet)
            if let position = reading.positions[route] {
                entry.range.from = max(wanted.from, position.next)
                if let received = position.receivedNanoseconds { entry.range.oldestReceivedNanoseconds = received }
            }
            if let place = reading.unread, let part = entry.range.takeStart(in: place) { rest.unread[route] = part }
            // Something before that came meanwhile: it is next, and what was found now is passed by then.
            if let arrived = entry.arrived, arrived.from <= entry.range.from {
                entry.range.from = arrived.from
                entry.range.oldestReceivedNanoseconds = arrived.oldestReceivedNanoseconds
            }
            entry.arrived = nil
            if entry.range.from > entry.range.through {
                entries[route] = nil
                if rest.unread[route] == nil { rest.ended[route] = notMet }
            } else {
                entries[route] = entry
                count += entry.range.count
            }
        }
        return rest
    }
}

extension SpilledRange {
    /// Takes off what lies in a place where the range begins; nil when it does not begin there. All that is left of the range may be
    /// empty then.
    fileprivate mutating func takeStart(in place: SpillReading.Unread) -> SpilledRange? {
        guard from <= through, place.from <= from, from <= place.through else { return nil }
        var part = self
        part.through = min(through, place.through)
        from = place.through + 1
        // How many of them lie there nobody knows.
        if from <= through { part.count = 1 }
        return part
    }
}
