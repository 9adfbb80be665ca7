// Reading a log of which some cannot be read: past that, and again when it can be.

import Testing

@testable import Journal

@Suite("Places that cannot be read")
struct UnreadablePlaceTests {
    /// A log that has wrapped, in which some deliveries of segments that are gone are owed.
    private func wrapped(_ disk: SimulatedDisk, _ generator: inout SeededGenerator) throws -> JournalWriter {
        let (writer, _) = try openJournal(disk)
        for step in 0..<300 {
            let body = [UInt8](repeating: 65, count: Int.random(in: 0..<5000, using: &generator))
            let sequence = try store(TestDelivery(body: body), in: writer)
            if step % 50 > 1 {
                writer.appendOutcomes([OutcomeEntry(sequence: sequence, outcome: .done)], now: seconds(1001))
            }
            writer.tick(now: seconds(1001))
        }
        _ = writer.commit(now: seconds(1001))
        return writer
    }

    private enum Way: CaseIterable { case walking, following }

    /// All, past what cannot be read.
    private func read(
        _ way: Way, _ writer: JournalWriter, _ history: JournalHistory
    ) -> (found: [UInt64], places: [UnreadablePlace]) {
        var (found, places): ([UInt64], [UnreadablePlace]) = ([], [])
        var next: UInt64 = 1
        for _ in 0..<2_000 {
            do throws(UnreadablePlace) {
                switch way {
                case .walking:
                    _ = try history.walk(.forwards, from: next) {
                        found.append($0.sequence)
                        return true
                    }
                case .following:
                    try writer.reader.follow(from: next, through: history.durableThrough) {
                        found.append($0.sequence)
                        return true
                    }
                }
                return (found, places)
            } catch {
                #expect(error.from >= next && error.from <= error.through)
                places.append(error)
                next = error.through + 1
            }
        }
        Issue.record("reading does not end")
        return (found, places)
    }

    @Test("all else is given in its order, and what lies there when it can be read again")
    func goesOn() throws {
        for seed in seeds(quick: 4) {
            var generator = SeededGenerator(seed: seed)
            let disk = SimulatedDisk(seed: seed)
            let writer = try wrapped(disk, &generator)
            #expect(writer.metrics.copies.value > 0)
            let last = writer.history.durableThrough
            var history = writer.history
            let whole = Way.allCases.map { read($0, writer, history).found }
            #expect(whole.allSatisfy { $0.count > 20 && $0 == $0.sorted() })
            for _ in 0..<10 {
                if Bool.random(using: &generator) { history = JournalHistory(reader: writer.reader) }
                let names = disk.names.filter { !$0.hasSuffix(".preparing") }.shuffled(using: &generator)
                for name in names.prefix(Int.random(in: 1...3, using: &generator)) {
                    let from = Int.random(in: 0..<50_000, using: &generator)
                    let range = Bool.random(using: &generator) ? 0..<Int.max : from..<from + 2_000
                    disk.withFaults { $0.unreadable[name] = range }
                }
                for (way, all) in zip(Way.allCases, whole) {
                    let (found, places) = read(way, writer, history)
                    let expected = all.filter { sequence in
                        !places.contains { ($0.from...$0.through).contains(sequence) }
                    }
                    #expect(found == expected, "seed \(seed)")
                    #expect(places.allSatisfy { $0.cause != .closed && $0.through <= last }, "seed \(seed)")
                }
                disk.withFaults { $0.unreadable = [:] }
                for (way, all) in zip(Way.allCases, whole) {
                    #expect(read(way, writer, history).found == all, "seed \(seed)")
                }
            }
        }
    }

    @Test("a story that cannot be told names those whose it may be")
    func stories() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk)
        let stored = try (0..<9).map { _ in try store(TestDelivery("x"), in: writer) }
        for sequence in stored[3...5] {
            writer.appendPlan(
                sequence: sequence, entries: [PlanEntry(actionKind: 1, target: [1])], now: seconds(1001))
        }
        _ = writer.commit(now: seconds(1001))
        let name = try #require(disk.names.first { $0.hasSuffix(".segment") })
        // Without an index nothing is known of any.
        disk.withFaults { $0.unreadable = [name: 0..<Int.max] }
        let unknown = #expect(throws: UnreadablePlace.self) { try writer.history.stories(of: stored) }
        #expect(unknown.map { [$0.from, $0.through] } == [stored[0], stored[8]])
        disk.withFaults { $0.unreadable = [:] }
        #expect(try writer.history.stories(of: stored).values.filter { $0.plan != nil }.count == 3)
        // With it, only of those whose records they are.
        disk.withFaults { $0.unreadable = [name: 0..<Int.max] }
        let known = #expect(throws: UnreadablePlace.self) { try writer.history.stories(of: stored) }
        #expect(known.map { [$0.from, $0.through] } == [stored[3], stored[3]])
        #expect(try writer.history.stories(of: [stored[0], stored[8]]).count == 2)
    }
}
