// EventFollower: listeners that are at one place of the journal, and what lies before them.
//
//   tail ──(so many records a look)──> items that wait ──> each listener whose filter means them
//
// A listener that comes again begins where it was, with a follower of its own; followers that have told everything are joined. What is
// told at one look is bounded, and the rest waits for the next; who is further behind than `lagRecordsMax` gets `gap` and goes
// on at the end. One listener alone is told no faster than it reads.

internal import CLinuxIO
internal import Delivery
internal import Journal

struct EventFollower {
    /// What a listener that comes again is told at most: records of deliveries, plans and outcomes.
    static let replayRecordsMax: UInt64 = 20_000
    private static let lagRecordsMax: UInt64 = 30_000
    /// At one look.
    private static let deliveriesMax = 500
    private static let itemsMax = 2000
    /// Bytes under way behind which a listener alone is waited for.
    private static let pendingBytesMax = 256 << 10
    /// Looks without anything to tell before a comment keeps the connection alive: 10 s.
    private static let quietLooksMax = 50
    private static let lookupNanoseconds: UInt64 = 100_000_000

    private struct Listener {
        let client: EventClient
        var quietLooks = 0
    }

    private var listeners: [Listener]
    private var tail: JournalTail
    /// Everything through it was told.
    private var place: EventPlace
    /// Read and not told.
    private var waiting: ArraySlice<EventFeed.Item> = []
    private var isAtEnd = false

    /// `tail` must not have passed `place`.
    init(_ client: EventClient, at place: EventPlace, tail: JournalTail) {
        listeners = [Listener(client: client)]
        self.place = place
        self.tail = tail
    }

    /// Where a client begins, and why not where it asks to: `last` is what is durable, `oldest` the first that may still be there.
    static func begin(of client: EventClient, last: UInt64, oldest: UInt64) -> (EventPlace, EventFeed.Gap?) {
        guard let after = client.after else { return (EventPlace(last), nil) }
        // Of another journal, or of one that was put back.
        guard after.sequence <= last else { return (EventPlace(last), .unknownID) }
        let first = max(oldest, last > replayRecordsMax ? last - replayRecordsMax : 0)
        guard after.wholeThrough + 1 < first else { return (after, nil) }
        return (EventPlace(first - 1), .tooOld)
    }

    var isEmpty: Bool { listeners.isEmpty }

    /// One that begins at `place` may begin with this tail: it has not passed it.
    func tail(before place: EventPlace) -> JournalTail? { tail.passed <= place.wholeThrough ? tail : nil }

    mutating func keep(_ isThere: (EventClient) -> Bool) {
        listeners.removeAll { !isThere($0.client) || $0.client.isOver }
    }

    /// Takes the listeners of another that is at the same place: both have told everything.
    mutating func join(_ other: inout EventFollower) -> Bool {
        guard isAtEnd, other.isAtEnd, place == other.place else { return false }
        listeners += other.listeners
        other.listeners = []
        return true
    }

    // MARK: - A look

    /// Tells what became durable through `last`, as far as the bounds and the deadline allow.
    mutating func look(_ feed: inout EventFeed, through last: UInt64, deadline: UInt64) {
        isAtEnd = false
        for index in listeners.indices { listeners[index].quietLooks += 1 }
        if last > place.sequence, last - place.sequence > Self.lagRecordsMax {
            guard !isHeldUp else { return listeners[0].client.drop() }
            skip(&feed, through: last)
        }
        var hasEnded = false
        if waiting.isEmpty { hasEnded = read(&feed, through: last) }
        guard tell(&feed, deadline), hasEnded else { return stayAlive() }
        isAtEnd = true
        place = EventPlace(tail.passed)
        stayAlive()
    }

    private var isHeldUp: Bool { listeners.count == 1 && listeners[0].client.pendingBytes > Self.pendingBytesMax }

    /// True when nothing more is there.
    private mutating func read(_ feed: inout EventFeed, through last: UInt64) -> Bool {
        var items: [EventFeed.Item] = []
        var deliveries = 0
        let end = tail.advance(through: last) { record in
            if record.header.type == .delivery { deliveries += 1 }
            items += feed.items(of: record).filter { $0.place > place }
            return deliveries < Self.deliveriesMax && items.count < Self.itemsMax
        }
        waiting = items[...]
        return end == .reached
    }

    /// True when all that waits was told.
    private mutating func tell(_ feed: inout EventFeed, _ deadline: UInt64) -> Bool {
        while let item = waiting.first {
            let now = cl_now_monotonic()
            guard now < deadline, !isHeldUp else { return false }
            guard let subject = feed.subject(of: item, deadline: now + Self.lookupNanoseconds) else { return false }
            waiting.removeFirst()
            tell(item, subject, feed, deadline)
            place = item.place
        }
        return true
    }

    private mutating func tell(
        _ item: EventFeed.Item, _ subject: EventFeed.Subject?, _ feed: EventFeed, _ deadline: UInt64
    ) {
        var text: String?
        var event: Event??
        var merged: [EventFeed.Subject]?
        for index in listeners.indices {
            let filter = listeners[index].client.filter
            let isMeant = EventFeed.isMeant(item, subject, by: filter) {
                let known = event ?? feed.event(of: subject)
                event = .some(known)
                return known
            }
            guard isMeant else {
                guard EventFeed.mayMeanMerged(filter, item) else { continue }
                let all =
                    merged
                    ?? feed.merged(
                        into: subject, item, deadline: min(deadline, cl_now_monotonic() + Self.lookupNanoseconds))
                merged = all
                let other = all.first { other in EventFeed.isMeant(item, other, by: filter) { feed.event(of: other) } }
                if let other { offer(feed.text(item, subject, for: other, deadline: deadline), to: index) }
                continue
            }
            let known = text ?? feed.text(item, subject, deadline: deadline)
            text = known
            offer(known, to: index)
        }
    }

    /// Goes to the end, and says how much was left out.
    private mutating func skip(_ feed: inout EventFeed, through last: UInt64) {
        var skipped = waiting.count
        waiting = []
        let end = tail.advance(through: last) { record in
            skipped += record.header.type == .delivery ? 1 : record.outcomes?.count ?? 0
            return true
        }
        guard end == .reached else { return }
        place = EventPlace(tail.passed)
        for index in listeners.indices { offer(EventFeed.gap(.tooMany, skipped: skipped, id: place), to: index) }
    }

    private mutating func stayAlive() {
        for index in listeners.indices where listeners[index].quietLooks >= Self.quietLooksMax {
            offer(EventFeed.stillHere(place), to: index)
        }
    }

    mutating func offerAll(_ text: String) { for index in listeners.indices { offer(text, to: index) } }

    private mutating func offer(_ text: String, to index: Int) {
        listeners[index].quietLooks = 0
        listeners[index].client.offer(text)
    }
}
