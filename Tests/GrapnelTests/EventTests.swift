// Events: places, what a listener that comes again is told, bounds.

import Delivery
import Foundation
import Journal
import Synchronization
import Testing

@testable import Grapnel

@Suite("Events")
struct EventTests {
    /// A listener that keeps what it is told. `isSlow`: it takes nothing.
    private final class Listener: Sendable {
        let text = Mutex("")
        let isEnded = Atomic<Bool>(false)

        func client(_ filter: DeliveryFilter = DeliveryFilter(), after: EventPlace? = nil, isSlow: Bool = false)
            -> EventClient
        {
            EventClient(filter: filter, after: after) { [self] bytes, isLast, taken in
                text.withLock { $0 += String(decoding: bytes, as: UTF8.self) }
                if isLast { isEnded.store(true, ordering: .relaxed) }
                if !isSlow { taken(bytes.count) }
            }
        }

        /// Names and ids, in their order.
        var told: [String] {
            text.withLock { $0 }.components(separatedBy: "\n\n").filter { !$0.isEmpty }.map { block in
                let lines = block.components(separatedBy: "\n")
                func value(_ name: String) -> String? {
                    lines.first { $0.hasPrefix(name + ": ") }.map { String($0.dropFirst(name.count + 2)) }
                }
                return [value("event") ?? "", value("id") ?? ""].joined(separator: " ")
            }
        }
    }

    private struct Parts {
        let journal: SampleJournal
        var feed: EventFeed
        let folder: URL

        init() throws {
            journal = try SampleJournal(maxBytes: 64 << 20)
            folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
            let routes = CurrentRoutes(
                CurrentRoutes.Configuration(
                    table: RouteTable([], bodyBytesMax: 1 << 20), repositories: RepositoryIndex([]), images: [:]))
            feed = EventFeed(
                report: DeliveryReport(
                    reader: journal.writer.reader, journal: journal.writer.history, index: journal.index,
                    routes: routes,
                    pauses: try PauseBook(dataDirectory: folder.path) { _ in }))
        }

        var last: UInt64 { journal.writer.history.durableThrough }

        func follower(_ client: EventClient) -> EventFollower {
            let (place, gap) = EventFollower.begin(of: client, last: last, oldest: 1)
            var follower = EventFollower(
                client, at: place, tail: JournalTail(reader: journal.writer.reader, through: place.wholeThrough))
            if let gap { follower.offerAll(EventFeed.gap(gap, id: place)) }
            return follower
        }

        mutating func look(_ follower: inout EventFollower, times: Int = 1) {
            for _ in 0..<times { follower.look(&feed, through: last, deadline: .max) }
        }
    }

    @Test("a place is its text, and no other text is one")
    func places() {
        for place in [EventPlace(0), EventPlace(17), EventPlace(17, entryCount: 3), EventPlace((1 << 62) - 1)] {
            #expect(EventPlace(place.text) == place)
        }
        for text in [
            "", "x", ".", "1.", ".1", "1.0", "1.65536", "01", "+1", "-1", "1.2.3", "1 ", "4611686018427387904",
            String(repeating: "1", count: 40),
        ] { #expect(EventPlace(text) == nil, "\(text)") }
        #expect(EventPlace(17, entryCount: 3) < EventPlace(17, entryCount: 4))
        #expect(EventPlace(17, entryCount: 9) < EventPlace(17) && EventPlace(17) < EventPlace(18, entryCount: 1))
        #expect(EventPlace(17, entryCount: 1).wholeThrough == 16 && EventPlace(17).wholeThrough == 17)
    }

    @Test("whoever comes again at any place is told the rest, and nothing twice")
    func comesAgain() throws {
        var parts = try Parts()
        let whole = Listener()
        var follower = parts.follower(whole.client())
        let sequences = (0..<5).map { _ in parts.journal.deliver() }
        parts.journal.writer.appendOutcomes(
            sequences.map { Journal.OutcomeEntry(sequence: $0, outcome: .done) }, now: parts.journal.now)
        _ = parts.journal.writer.commit(now: parts.journal.now)
        parts.look(&follower)
        let all = whole.told
        #expect(
            all == ["1", "2", "3", "4", "5"].map { "delivery \($0)" }
                + ["6.1", "6.2", "6.3", "6.4", "6"].map { "outcome \($0)" })
        for count in 0...all.count {
            let id = count == 0 ? "0" : String(all[count - 1].split(separator: " ")[1])
            let again = Listener()
            var follower = parts.follower(again.client(after: EventPlace(id)))
            parts.look(&follower)
            #expect(again.told == Array(all[count...]), "behind \(id)")
            // Both have told everything: they become one, which goes on for both.
            parts.look(&follower)
        }
    }

    @Test("followers that have told everything become one")
    func joined() throws {
        var parts = try Parts()
        let (first, second) = (Listener(), Listener())
        var (one, two) = (parts.follower(first.client()), parts.follower(second.client()))
        parts.journal.deliver()
        parts.look(&one)
        let isJoinedTooEarly = one.join(&two)
        #expect(!isJoinedTooEarly)
        parts.look(&two)
        let isJoined = one.join(&two)
        #expect(isJoined && two.isEmpty)
        parts.journal.deliver()
        parts.look(&one)
        #expect(first.told == ["delivery 1", "delivery 2"] && second.told == first.told)
    }

    @Test("what is too long ago, gone, or of another journal is a gap")
    func gaps() {
        func begin(_ after: String?, last: UInt64, oldest: UInt64) -> (EventPlace, EventFeed.Gap?) {
            let client = Listener().client(after: after.flatMap { EventPlace($0) })
            return EventFollower.begin(of: client, last: last, oldest: oldest)
        }
        let most = EventFollower.replayRecordsMax
        #expect(begin(nil, last: 9, oldest: 1) == (EventPlace(9), nil))
        #expect(begin("9", last: 9, oldest: 1) == (EventPlace(9), nil))
        #expect(begin("10", last: 9, oldest: 1) == (EventPlace(9), .unknownID))
        #expect(begin("0", last: most, oldest: 1) == (EventPlace(0), nil))
        #expect(begin("0", last: most + 100, oldest: 1) == (EventPlace(99), .tooOld))
        #expect(begin("99", last: most + 100, oldest: 1) == (EventPlace(99), nil))
        #expect(begin("5", last: 900, oldest: 800) == (EventPlace(799), .tooOld))
        #expect(begin("799", last: 900, oldest: 800) == (EventPlace(799), nil))
        #expect(begin("800.2", last: 900, oldest: 800) == (EventPlace(800, entryCount: 2), nil))
    }

    @Test("a listener that nothing is meant for learns how far it is, without an event")
    func quiet() throws {
        var parts = try Parts()
        var filter = DeliveryFilter()
        filter.namespace = "nowhere"
        let listener = Listener()
        var follower = parts.follower(listener.client(filter))
        for _ in 0..<20 { parts.journal.deliver() }
        parts.look(&follower, times: 49)
        #expect(listener.told.isEmpty)
        parts.look(&follower)
        #expect(listener.told == [" 20"])
    }

    @Test("a listener that is alone and does not read is waited for, then dropped; what it was not told it can ask for")
    func slow() throws {
        var parts = try Parts()
        let listener = Listener()
        var follower = parts.follower(listener.client(isSlow: true))
        for _ in 0..<2000 { parts.journal.deliver() }
        parts.look(&follower, times: 20)
        let told = listener.told
        #expect(told.count > 100 && told.count < 2000 && !listener.isEnded.load(ordering: .relaxed))
        // Far more than it may be behind.
        parts.journal.writer.appendOutcomes([], now: parts.journal.now)
        for _ in 0..<31_000 { parts.journal.deliver(bytes: 8) }
        parts.look(&follower)
        #expect(listener.isEnded.load(ordering: .relaxed) && listener.told.last == "gap ")
        #expect(listener.told.dropLast() == told[...])
    }

    @Test(
        "listeners that read, and are further behind than may be, go on at the end with a gap that says how much is missing"
    )
    func behind() throws {
        var parts = try Parts()
        let listener = Listener()
        var follower = parts.follower(listener.client())
        for _ in 0..<30_100 { parts.journal.deliver(bytes: 8) }
        parts.look(&follower)
        #expect(listener.told == ["gap 30100"])
        #expect(listener.text.withLock { $0 }.contains("\"skipped\":30100"))
        parts.journal.deliver()
        parts.look(&follower)
        #expect(listener.told == ["gap 30100", "delivery 30101"])
    }

    @Test("an outcome whose delivery is gone is told to those alone who ask for nothing of it")
    func gone() throws {
        var parts = try Parts()
        let (all, some) = (Listener(), Listener())
        var filter = DeliveryFilter()
        filter.route = DeliveryFilter.RoutePattern("webapp")
        var (one, two) = (parts.follower(all.client()), parts.follower(some.client(filter)))
        parts.journal.conclude(4_000_000, .done)
        parts.look(&one)
        parts.look(&two)
        #expect(all.told == ["outcome 1"] && some.told.isEmpty)
        #expect(all.text.withLock { $0 }.contains("\"route\":null"))
    }
}
