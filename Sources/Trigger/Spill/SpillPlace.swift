// SpillPlace: a segment of the journal that could not be read, with what of the spilled routes lies there. Pure.
//
//     waiting ── due ──> trying ── read ──> the dispatcher's
//        ^                 │
//        └── unreadable <──┘
//
// Each try reads all that is there, past what still cannot be read: that waits again, for longer, and the rest is done.

import Delivery

struct SpillPlace: Sendable {
    /// Where it is, and which sequences were looked for there.
    private(set) var name: SpillReading.Unread
    /// What is not looked at before `due`.
    private(set) var waiting = SpilledRoutes()
    /// What is read as soon as its routes have room.
    var trying = SpilledRoutes()
    private(set) var due: UInt64 = 0
    private var tries = 0

    init(_ name: SpillReading.Unread) { self.name = name }

    var isEmpty: Bool { waiting.isEmpty && trying.isEmpty }
    var count: Int { waiting.count + trying.count }

    /// How many sequences lie between this and another place.
    func distance(to other: SpillReading.Unread) -> UInt64 {
        if other.from > name.through { return other.from - name.through }
        return name.from > other.through ? name.from - other.through : 0
    }

    /// Keeps what could not be read. True when it lies beyond what was known to be here.
    mutating func wait(_ ranges: [RouteIdentity: SpilledRange], at unread: SpillReading.Unread, now: UInt64) -> Bool {
        if waiting.isEmpty {
            due = now &+ RereadDelay.nanoseconds(tries)
            tries += 1
        }
        for (route, range) in ranges { waiting.add(range, of: route) }
        let isNew = unread.from < name.from || unread.through > name.through
        name.from = min(name.from, unread.from)
        name.through = max(name.through, unread.through)
        return isNew
    }

    mutating func beginTrying(now: UInt64) {
        guard due <= now, !waiting.isEmpty else { return }
        trying.formUnion(waiting)
        waiting = SpilledRoutes()
    }

    /// Counted elsewhere, and perhaps here. False: nothing of the route is here.
    mutating func add(count: Int, of route: RouteIdentity) -> Bool {
        if waiting[route] != nil {
            waiting.add(count: count, of: route)
        } else if trying[route] != nil {
            trying.add(count: count, of: route)
        } else {
            return false
        }
        return true
    }
}

/// What became of places by one reading.
struct SpillPlaceNews: Sendable, Equatable {
    var began: SpillReading.Unread?
    var ended: [SpillReading.Unread] = []
}
