// Merged deliveries in the index: the last of a chain, and lists by what became of it.

import Delivery
import Journal
import Testing

@testable import Grapnel

@Suite("Merged deliveries in the index")
struct MergedDeliveryTests {
    private func listed(
        _ index: DeliveryIndex, _ words: DeliveryFilter.OutcomeWord..., route: String? = nil
    ) throws -> [UInt64] {
        var filter = DeliveryFilter()
        filter.outcomes = Set(words)
        filter.route = route.flatMap { DeliveryFilter.RoutePattern($0) }
        return try index.page(filter, before: nil, limit: 1000, deadline: .max).deliveries.map(\.sequence)
    }

    private func last(_ index: DeliveryIndex, _ sequence: UInt64) throws -> UInt64? {
        guard case .found(let delivery, _) = try index.find(sequence, deadline: .max) else { return nil }
        return try index.last(mergedFrom: delivery, deadline: .max)?.sequence
    }

    @Test("what became of the last of a chain is found of all of it, and changes as that does")
    func chain() throws {
        let journal = try SampleJournal()
        let index = journal.index
        let chain = (0..<4).map { _ in journal.deliver() }
        let other = journal.deliver()
        for (one, next) in zip(chain, chain.dropFirst()) { journal.merge(one, into: next) }
        #expect(try listed(index, .dead) == [] && listed(index, .done) == [])
        #expect(try listed(index, .owed) == [other] + chain.reversed())
        #expect(try listed(index, .merged) == chain.dropLast().reversed())
        journal.conclude(other, .done)
        journal.conclude(chain[3], .failed)
        #expect(try listed(index, .failed) == chain.reversed())
        journal.conclude(chain[3], .dead)
        #expect(try listed(index, .dead) == chain.reversed())
        #expect(try listed(index, .dead, .merged) == chain.reversed() && listed(index, .done) == [other])
        #expect(try listed(index, .owed) == [] && listed(index, .failed) == [])
        #expect(try chain.map { try last(index, $0) } == [chain[3], chain[3], chain[3], nil])
    }

    @Test("a chain that goes on after it was followed is followed to its new end")
    func grows() throws {
        let journal = try SampleJournal()
        let index = journal.index
        let first = (0..<3).map { _ in journal.deliver() }
        journal.merge(first[0], into: first[1])
        journal.merge(first[1], into: first[2])
        #expect(try last(index, first[0]) == first[2])
        let end = journal.deliver()
        journal.merge(first[2], into: end)
        #expect(try first.map { try last(index, $0) } == [end, end, end])
        journal.conclude(end, .dead)
        #expect(try listed(index, .dead) == [end] + first.reversed())
    }

    @Test("a chain over many segments is found by an index that begins anew")
    func segments() throws {
        let journal = try SampleJournal()
        var chain = [journal.deliver(to: "busy")]
        while journal.writer.reader.segments.count < 5 {
            chain.append(journal.deliver(to: "busy"))
            journal.merge(chain[chain.count - 2], into: chain[chain.count - 1])
            journal.conclude(journal.deliver(bytes: 100_000), .done)
        }
        journal.conclude(chain[chain.count - 1], .dead)
        #expect(chain.count > 10)
        #expect(try listed(journal.index, .dead) == chain.reversed())
        #expect(try listed(journal.index, .dead, route: "webapp") == [])
        #expect(try last(journal.index, chain[0]) == chain.last)
    }

    @Test("each of a long chain remembers where it ends")
    func remembered() throws {
        let journal = try SampleJournal()
        let index = journal.index
        let chain = (0..<2000).map { _ in journal.deliver(bytes: 8) }
        journal.writer.appendOutcomes(
            zip(chain, chain.dropFirst()).map {
                Journal.OutcomeEntry(sequence: $0, outcome: .merged, detail: $1)
            }, now: journal.now)
        journal.conclude(chain[1999], .dead)
        #expect(try listed(index, .dead).count == 1000)
        for sequence in [chain[1000], chain[1500]] {
            guard case .found(let delivery, _) = try index.find(sequence, deadline: .max) else {
                Issue.record("delivery \(sequence) is gone")
                continue
            }
            #expect(delivery.heir == chain[1999], "delivery \(sequence)")
        }
    }

    @Test("a page that ends before a chain was followed goes on with the same delivery")
    func unfinished() throws {
        let journal = try SampleJournal()
        let index = journal.index
        let (one, two) = (journal.deliver(), journal.deliver())
        journal.merge(one, into: two)
        journal.conclude(two, .dead)
        _ = try listed(index, .dead)
        var filter = DeliveryFilter()
        filter.outcomes = [.dead]
        let short = try index.page(filter, before: nil, limit: 10, deadline: 0)
        #expect(short.deliveries.map(\.sequence) == [two])
        let next = try #require(short.next)
        let rest = try index.page(filter, before: next, limit: 10, deadline: .max)
        #expect(rest.deliveries.map(\.sequence) == [one] && rest.next == nil)
    }

    @Test("of a delivery with actions of its own, the merged one counts only where it was given up")
    func mixed() throws {
        let journal = try SampleJournal()
        let index = journal.index
        let (one, two) = (journal.deliver(), journal.deliver())
        for sequence in [one, two] {
            let plan = [PlanEntry(actionKind: 4, target: []), PlanEntry(actionKind: 4, target: [1])]
            _ = journal.writer.appendPlan(sequence: sequence, entries: plan, now: journal.now)
        }
        journal.merge(one, into: two, planIndex: 0)
        for sequence in [one, two] {
            journal.writer.appendOutcomes(
                [Journal.OutcomeEntry(sequence: sequence, planIndex: 1, outcome: .done)], now: journal.now)
        }
        journal.writer.appendOutcomes(
            [Journal.OutcomeEntry(sequence: two, planIndex: 0, outcome: .failed, detail: 1)], now: journal.now)
        _ = journal.writer.commit(now: journal.now)
        #expect(try listed(index, .failed) == [two] && listed(index, .done) == [one])
        journal.writer.appendOutcomes(
            [Journal.OutcomeEntry(sequence: two, planIndex: 0, outcome: .dead)], now: journal.now)
        _ = journal.writer.commit(now: journal.now)
        #expect(try listed(index, .dead) == [two, one] && listed(index, .done) == [one])
    }

    @Test("what names itself, an earlier one or none as the one that it was merged into is no chain")
    func damaged() throws {
        let journal = try SampleJournal()
        let index = journal.index
        let all = (0..<3).map { _ in journal.deliver() }
        journal.merge(all[0], into: all[0])
        journal.merge(all[1], into: all[0])
        journal.merge(all[2], into: 4_000_000)
        journal.conclude(all[0], .dead)
        #expect(try all.map { try last(index, $0) } == [nil, nil, nil])
        #expect(try listed(index, .merged).sorted() == [all[1], all[2]])
    }
}
