// The index of deliveries over a journal: pages by time, the latest of each route, reasons.

import Delivery
import Journal
import Testing

@testable import Grapnel

@Suite("The index of deliveries")
struct DeliveryIndexTests {
    private static let hour = 3_600 * SampleJournal.second

    private func listed(_ index: DeliveryIndex, since: UInt64) throws -> [UInt64] {
        var filter = DeliveryFilter()
        filter.since = since
        return try index.page(filter, before: nil, limit: 100, deadline: .max).deliveries.map(\.sequence)
    }

    @Test("deliveries that were taken over with an old time hide nothing that came before them")
    func adoptedLater() throws {
        let (old, new) = (try SampleJournal(seed: 1), try SampleJournal(seed: 2))
        let taken = (0..<3).map { _ in old.deliver() }
        new.now += 5 * Self.hour
        let today = [new.deliver(), new.deliver()]
        for sequence in taken { try new.adopt(sequence, of: old) }
        let newest = new.deliver()
        #expect(try listed(new.index, since: new.now - Self.hour) == [newest] + today.reversed())
        #expect(try listed(new.index, since: new.now - 6 * Self.hour).count == 6)
    }

    @Test("a list ends at the first delivery of its own that is far too old")
    func ends() throws {
        let journal = try SampleJournal()
        for _ in 0..<50 { journal.deliver() }
        journal.now += 5 * Self.hour
        let newest = journal.deliver()
        var filter = DeliveryFilter()
        filter.since = journal.now - Self.hour
        let page = try journal.index.page(filter, before: nil, limit: 100, deadline: .max)
        #expect(page.deliveries.map(\.sequence) == [newest])
        #expect(page.examined == 2 && page.next == nil)
    }

    @Test("the latest of each route is found in whichever segment it lies, and told again as it changes")
    func latest() throws {
        let journal = try SampleJournal()
        let quiet = journal.deliver(to: "quiet")
        let received = journal.now
        journal.now += Self.hour
        while journal.writer.reader.segments.count < 4 { journal.conclude(journal.deliver(bytes: 100_000), .done) }
        let index = journal.index
        let routes = ["webapp", "quiet", "never"].map(SampleJournal.route)
        let found = try index.latest(of: routes, deadline: .max)
        #expect(found.isComplete)
        #expect(found.latest[routes[0]]?.delivery?.sequence == journal.last)
        #expect(found.latest[routes[0]]?.delivery?.state == .done)
        #expect(found.latest[routes[1]]?.delivery?.sequence == quiet)
        #expect(found.latest[routes[1]]?.delivery?.state == .owed)
        #expect(found.latest[routes[1]]?.received == received)
        #expect(found.latest[routes[2]] == nil)
        journal.conclude(quiet, .dead)
        let again = try index.latest(of: routes, deadline: .max).latest
        #expect(again[routes[1]]?.delivery?.state == .dead)
        let redelivered = try journal.redeliver(quiet)
        let third = try index.latest(of: routes, deadline: .max).latest
        #expect(third[routes[1]]?.delivery?.sequence == redelivered)
        #expect(third[routes[1]]?.received == received, "a redelivery is not received")
    }

    @Test("what could not be looked through in time is said, and goes on where it stopped")
    func unfinished() throws {
        let journal = try SampleJournal()
        let quiet = journal.deliver(to: "quiet")
        for _ in 0..<2000 { journal.deliver() }
        let index = journal.index
        let route = SampleJournal.route("quiet")
        var found = try index.latest(of: [route], deadline: 0)
        #expect(!found.isComplete)
        var looks = 1
        while !found.isComplete, looks < 100 {
            found = try index.latest(of: [route], deadline: 0)
            looks += 1
        }
        #expect(found.isComplete && looks > 2, "\(looks) looks, \(journal.writer.reader.segments)")
        #expect(found.latest[route]?.delivery?.sequence == quiet)
    }

    @Test("an outcome's reason is kept, also where it stands in a later segment")
    func reasons() throws {
        let journal = try SampleJournal()
        let (filtered, gone, other) = (journal.deliver(), journal.deliver(), journal.deliver())
        journal.conclude(filtered, .ignored, reason: "filtered")
        while journal.writer.reader.segments.count < 3 { journal.conclude(journal.deliver(bytes: 100_000), .done) }
        journal.conclude(gone, .ignored, reason: "route-removed")
        let index = journal.index
        func reason(_ sequence: UInt64) throws -> String? {
            guard case .found(let delivery, _) = try index.find(sequence, deadline: .max) else { return "unknown" }
            return index.ignoredReason(delivery)
        }
        #expect(try reason(filtered) == "filtered")
        #expect(try reason(gone) == "route-removed")
        #expect(try reason(other) == nil)
    }

    @Test("of a segment that stays for what is owed in it, nothing else is told as owed once what became of it is gone")
    func kept() throws {
        let journal = try SampleJournal(maxBytes: 4 << 20)
        let dead = journal.deliver(to: "quiet")
        let owed = (0..<2).map { _ in journal.deliver(bytes: 60_000) }
        func segments() -> [UInt64] { journal.writer.reader.segments.map(\.number) }
        let first = segments()[0]
        while segments().count < 2 { journal.conclude(journal.deliver(bytes: 60_000), .done) }
        journal.conclude(dead, .dead)
        let said = try #require(segments().last)
        let early = journal.index
        func state(_ sequence: UInt64, _ index: DeliveryIndex) throws -> DeliveryState? {
            if case .found(let found, _) = try index.find(sequence, deadline: .max) { found.state } else { nil }
        }
        #expect(try state(dead, early) == .dead)
        for _ in 0..<300 where segments().contains(said) {
            journal.now += SampleJournal.second
            journal.conclude(journal.deliver(bytes: 60_000), .done)
        }
        #expect(
            segments().first == first && !segments().contains(said) && journal.writer.metrics.segmentsKept.value > 0)
        #expect(try state(dead, early) == .dead, "it was read in time")
        let late = journal.index
        #expect(try state(dead, late) == nil)
        #expect(try owed.map { try state($0, late) } == [.owed, .owed])
        var filter = DeliveryFilter()
        filter.outcomes = [.owed]
        #expect(
            try late.page(filter, before: nil, limit: 100, deadline: .max).deliveries.map(\.sequence) == owed.reversed()
        )
        let quiet = SampleJournal.route("quiet")
        #expect(try late.latest(of: [quiet], deadline: .max).latest[quiet]?.delivery == nil)
    }

    @Test("a dead delivery that was copied forward while it was owed is redelivered by the place where it was found")
    func copied() throws {
        let journal = try SampleJournal(maxBytes: 4 << 20)
        let long = journal.deliver(to: "quiet")
        for _ in 0..<300 where journal.writer.metrics.copies.value == 0 {
            journal.conclude(journal.deliver(bytes: 60_000), .done)
        }
        #expect(journal.writer.metrics.copies.value > 0)
        #expect(try journal.writer.history.record(of: long) != nil)
        journal.conclude(long, .dead)
        guard case .found(let found, _) = try journal.index.find(long, deadline: .max) else {
            Issue.record("it is not listed")
            return
        }
        #expect(found.state == .dead)
        let redelivery = Redelivery(history: journal.writer.history, mailbox: HousekeepingMailbox()) {}
        let answers = Locked<[RedeliveryRequest.Answer]>([])
        func redeliver(_ sequence: UInt64, at place: RecordLocation?) {
            redelivery.redeliver(sequence, .asConfigured, at: place) { answer in answers.withLock { $0.append(answer) }
            }
        }
        redeliver(long, at: nil)
        #expect(answers.withLock { $0 } == [.failure(.unknown)])
        redeliver(long, at: found.location)
        #expect(answers.withLock { $0.count } == 1, "the journal's owner has it to do")
        redeliver(long + 1_000_000, at: found.location)
        guard case .failure(.unreadable)? = answers.withLock({ $0.last }) else {
            Issue.record("another delivery's place")
            return
        }
    }

    @Test("reasons are bounded")
    func manyReasons() {
        var reasons = DeliveryIndex.ReasonTexts()
        #expect(reasons[0] == nil && reasons[1] == nil)
        #expect(reasons.number("") == 0)
        for number in 1...DeliveryIndex.ReasonTexts.countMax { #expect(reasons.number("r\(number)") == UInt16(number)) }
        #expect(reasons.number("one more") == 0)
        #expect(reasons.number("r1") == 1 && reasons[1000] == "r1000" && reasons[1001] == nil)
    }
}
