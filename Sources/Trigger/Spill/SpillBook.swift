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
// One reading at a time serves the route that waits for longest, and with it all others that have room (SpilledRoutes).
//
// Where the journal cannot be read, what may lie there is put aside (SpillPlace) and tried again later, and its routes go on behind it:
// what lies behind such a place overtakes what lies in it. A place may reach over more than what cannot be read, and over what is done:
// the journal says what is owed, so that nothing is done twice.

import Delivery

struct SpillBook: Sendable {
    /// Deliveries of one reading: what is read again is in memory twice for a moment.
    static let batchMax = 1_024
    static let looksMax = 4_096
    /// A route that holds more is not read again: readings follow each other faster than its actions can.
    static let refillBelow = 4_096
    /// Places that cannot be read and are known one by one. Each may have a range for each spilled route; what is beyond goes to the nearest.
    static let placesMax = 16
    /// A look at who has room costs up to half a microsecond for each route: with thousands it takes a tenth of the time, no more.
    private static let lookNanosecondsOfOne: UInt64 = 5_000
    private static let failurePauseNanoseconds: UInt64 = 1_000_000_000

    /// What is read on and on.
    private var ahead = SpilledRoutes()
    private var places: [SpillPlace] = []
    /// The question under way; it is of `ahead`, or of `places[place]`.
    private var asked: (question: SpillQuestion, place: Int?)?
    private var lookAt: UInt64 = 0
    private var isLookDue = false
    /// Whose turn was last.
    private var lane = 0

    /// How many the question under way asked for.
    private(set) var reserved = 0
    /// The highest sequence that was read again. One at or below it that comes from elsewhere may have been taken and done by then:
    /// it is left to the journal, which knows.
    private(set) var rereadThrough: UInt64 = 0
    /// The last reading failed.
    private(set) var isFailing = false

    var isEmpty: Bool { ahead.isEmpty && places.isEmpty }
    /// How many deliveries are spilled, more or less.
    var count: Int { places.reduce(ahead.count) { $0 + $1.count } }
    var placeCount: Int { places.count }

    /// When `nextQuestion` must be asked again if nothing else happens.
    var wakeAt: UInt64? {
        guard asked == nil else { return nil }
        let due = places.lazy.filter { !$0.waiting.isEmpty }.map { max($0.due, lookAt) }.min()
        guard isLookDue, !isEmpty else { return due }
        return min(due ?? .max, lookAt)
    }

    /// Whether a delivery that comes now belongs behind others of its route.
    func holds(_ route: RouteIdentity) -> Bool { ahead[route] != nil }

    /// Whether a delivery of the reading under way is of before the start, and may have been acted on.
    func isRecovered(_ sequence: UInt64, of route: RouteIdentity) -> Bool {
        let routes = asked?.place.map { places[$0].trying } ?? ahead
        return sequence <= routes[route]?.recoveredThrough ?? 0
    }

    /// Looks at all.
    var oldestReceivedNanoseconds: UInt64? { lanes.compactMap(\.oldestReceivedNanoseconds).min() }

    /// One for each route.
    var ranges: [(route: RouteIdentity, range: SpilledRange)] {
        var all = ahead
        for lane in lanes.dropFirst() { all.formUnion(lane) }
        return Array(all.ranges)
    }

    private var lanes: [SpilledRoutes] { [ahead] + places.flatMap { [$0.waiting, $0.trying] } }

    /// Whether any delivery may be taken without a look at its route: none waits behind others, and below half of all no route can hold
    /// more than is free.
    func isCalm(free: Int, of max: Int) -> Bool { ahead.isEmpty && free * 2 > max }

    /// Whether a route that has nothing spilled and holds `held` may hold one more.
    static func hasRoom(held: Int, free: Int) -> Bool { held < max(free, 1) }

    mutating func spill(_ range: SpilledRange, of route: RouteIdentity) {
        let isAsked = asked.map { $0.place == nil && $0.question.routes[route] != nil } ?? false
        ahead.add(range, of: route, isAsked: isAsked)
        isLookDue = true
    }

    /// What to read now; nil: nothing, or not yet. `free` is what the dispatcher may still hold, `held` what it holds of a route.
    mutating func nextQuestion(now: UInt64, free: Int, held: (RouteIdentity) -> Int) -> SpillQuestion? {
        guard asked == nil, !isEmpty else { return nil }
        guard now >= lookAt else {
            isLookDue = true
            return nil
        }
        isLookDue = false
        for index in places.indices { places[index].beginTrying(now: now) }
        let routeCount = places.reduce(ahead.routeCount) { $0 + $1.trying.routeCount }
        lookAt = now &+ UInt64(routeCount) &* Self.lookNanosecondsOfOne
        // All in turn: 0 is what lies ahead, the others are the places.
        for _ in 0...places.count {
            lane = (lane + 1) % (places.count + 1)
            let place = lane == 0 ? nil : lane - 1
            let question =
                if let place { places[place].trying.question(free: free, held: held) } else {
                    ahead.question(free: free, held: held)
                }
            guard let question else { continue }
            reserved = question.routes.values.reduce(0) { $0 + $1.room }
            asked = (question, place)
            return question
        }
        return nil
    }

    /// The end of the reading under way, and what it tells of places: what was found is the dispatcher's now, except for what it holds already.
    @discardableResult
    mutating func take(_ reading: SpillReading, now: UInt64) -> SpillPlaceNews {
        var news = SpillPlaceNews()
        guard let (question, place) = asked else { return news }
        asked = nil
        reserved = 0
        isFailing = reading.failure != nil
        if isFailing { lookAt = now &+ Self.failurePauseNanoseconds }
        isLookDue = true
        for delivery in reading.deliveries { rereadThrough = max(rereadThrough, delivery.delivery.sequence) }
        let rest =
            if let place { places[place].trying.take(reading, of: question) } else {
                ahead.take(reading, of: question)
            }
        if let unread = reading.unread, !rest.unread.isEmpty { news.began = putAside(rest.unread, unread, now) }
        // Those that were counted and not met may lie where it cannot be read.
        for (route, count) in rest.ended where count > 0 {
            for index in places.indices {
                if places[index].add(count: count, of: route) { break }
            }
        }
        news.ended = places.filter(\.isEmpty).map(\.name)
        places.removeAll(where: \.isEmpty)
        return news
    }

    /// Gives the place when it is news.
    private mutating func putAside(
        _ ranges: [RouteIdentity: SpilledRange], _ unread: SpillReading.Unread, _ now: UInt64
    ) -> SpillReading.Unread? {
        if let index = places.firstIndex(where: { $0.name.segment == unread.segment }) {
            _ = places[index].wait(ranges, at: unread, now: now)
            return nil
        }
        if places.count >= Self.placesMax,
            let nearest = places.indices.min(by: { places[$0].distance(to: unread) < places[$1].distance(to: unread) })
        {
            return places[nearest].wait(ranges, at: unread, now: now) ? unread : nil
        }
        var place = SpillPlace(unread)
        _ = place.wait(ranges, at: unread, now: now)
        places.append(place)
        return unread
    }
}
