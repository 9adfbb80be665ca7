// JournalHistory: against a dictionary of what was stored, with an index cache that is too small, while the log wraps.

import Glibc
import Metrics
import Testing

@testable import Journal

@Suite("JournalHistory")
struct HistoryTests {
    private func sequences(
        _ history: JournalHistory, _ direction: JournalHistory.Direction, from: UInt64? = nil, looksMax: Int = 10_000,
        limit: Int = .max
    ) throws -> ([UInt64], JournalHistory.WalkEnd) {
        var found: [UInt64] = []
        let end = try history.walk(direction, from: from, looksMax: looksMax) {
            found.append($0.sequence)
            return found.count < limit
        }
        return (found, end)
    }

    @Test("an empty journal has nothing, and what is not there is not found")
    func empty() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 1))
        let history = writer.history
        #expect(try sequences(history, .backwards).0.isEmpty)
        #expect(try sequences(history, .forwards).1 == .end)
        #expect(history.oldestSequence == nil)
        for sequence: UInt64 in [0, 1, 7, .max] {
            #expect(try history.record(of: sequence) == nil)
            #expect(try history.story(of: sequence) == nil)
        }
        // A plan and an outcome are no deliveries.
        let first = try store(TestDelivery("a"), in: writer)
        writer.appendPlan(sequence: first, entries: [], now: seconds(1001))
        _ = writer.commit(now: seconds(1001))
        #expect(try history.record(of: first) != nil)
        #expect(try history.summary(of: first + 1) == nil)
        #expect(history.holds(first + 1))
        #expect(!history.holds(first + 2))
    }

    @Test("what is appended and not committed is not shown")
    func durable() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 2))
        let first = try store(TestDelivery("a"), in: writer)
        _ = TestDelivery("b").append(to: writer)
        #expect(writer.history.durableThrough == first)
        #expect(try sequences(writer.history, .backwards).0 == [first])
        #expect(try writer.history.record(of: first + 1) == nil)
        _ = writer.commit(now: seconds(1000))
        #expect(try sequences(writer.history, .backwards).0 == [first + 1, first])
    }

    @Test("stories: owed, then each end, with plan, attempts and reasons, also behind a restart")
    func stories() throws {
        let disk = SimulatedDisk(seed: 3)
        let (writer, _) = try openJournal(disk)
        let plan = [PlanEntry(actionKind: 1, target: [1]), PlanEntry(actionKind: 4, target: [])]
        var expected: [UInt64: DeliveryStory.State] = [:]
        for outcome in [nil, Outcome.done, .ignored, .merged, .dead, .failed] {
            let sequence = try store(TestDelivery("x"), in: writer)
            writer.appendPlan(sequence: sequence, entries: plan, now: seconds(1001))
            if let outcome {
                for index in 0..<2 {
                    writer.appendOutcomes(
                        [
                            OutcomeEntry(
                                sequence: sequence, planIndex: UInt16(index), outcome: outcome, detail: 3, reason: "why"
                            )
                        ], now: seconds(1002 + index))
                }
            }
            expected[sequence] =
                switch outcome {
                case nil, .failed: .owed
                case .done, .merged: .done
                case .ignored: .ignored
                case .dead: .dead
                }
        }
        for decision in [Decision.stored, .ignored] {
            let delivery = TestDelivery("y")
            delivery.decision = decision
            expected[try store(delivery, in: writer)] = decision == .stored ? .stored : .ignored
        }
        let unplanned = try store(TestDelivery("z"), in: writer)
        _ = writer.commit(now: seconds(1003))
        expected[unplanned] = .owed
        func check(_ history: JournalHistory) throws {
            for (sequence, state) in expected {
                let story = try #require(try history.story(of: sequence))
                #expect(story.state == state, "#\(sequence)")
                if !story.events.isEmpty {
                    #expect(story.plan == plan)
                    #expect(story.plannedAtUnixNanoseconds == seconds(1001))
                    #expect(story.events.map(\.planIndex) == [0, 1])
                    #expect(story.events.map(\.reason) == ["why", "why"])
                    #expect(story.events.map(\.timeUnixNanoseconds) == [seconds(1002), seconds(1003)])
                }
            }
            #expect(try history.story(of: unplanned)?.plan == nil)
            // All at once, and one that is not there.
            let all = try history.stories(of: Array(expected.keys) + [unplanned, unplanned + 1_000])
            #expect(all.count == expected.count + 1)
            for (sequence, story) in all {
                let single = try history.story(of: sequence)
                #expect(story.plan == single?.plan && story.events == single?.events ?? [], "#\(sequence)")
                #expect(story.plannedAtUnixNanoseconds == single?.plannedAtUnixNanoseconds)
            }
            #expect(try history.stories(of: []).isEmpty)
        }
        try check(writer.history)
        writer.close(now: seconds(1004))
        let (again, _) = try openJournal(disk)
        try check(again.history)
        again.close(now: seconds(1005))
        try check(JournalSurvey(disk: disk, checksum: tableChecksum).history)
    }

    @Test("of many attempts the first and the latest are kept, and the number of the others is told")
    func manyAttempts() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 4))
        let sequence = try store(TestDelivery("x"), in: writer)
        for attempt in 1...450 {
            writer.appendOutcomes(
                [OutcomeEntry(sequence: sequence, planIndex: 0, outcome: .failed, detail: UInt64(attempt))],
                now: seconds(1000 + attempt))
        }
        _ = writer.commit(now: seconds(2000))
        let story = try #require(try writer.history.story(of: sequence))
        #expect(story.events.count == 200)
        #expect(story.eventsLeftOut == 250)
        #expect(story.events.map(\.detail) == Array(1...100) + Array(351...450))
    }

    @Test("walks both ways, in pages, and goes on where a page ended; a look is bounded")
    func pages() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 5))
        var stored: [UInt64] = []
        for index in 0..<150 {
            stored.append(try store(TestDelivery(body: Array(repeating: 65, count: index * 10)), in: writer))
            if index % 3 == 0 { writer.appendPlan(sequence: stored.last!, entries: [], now: seconds(1001)) }
        }
        #expect(try sequences(writer.history, .forwards).0 == stored)
        #expect(try sequences(writer.history, .backwards).0 == stored.reversed())
        for direction in [JournalHistory.Direction.backwards, .forwards] {
            var all: [UInt64] = []
            var from: UInt64?
            var isMore = true
            while isMore {
                let (page, end) = try sequences(writer.history, direction, from: from, limit: 7)
                all += page
                switch end {
                case .stopped(let next): from = next
                case .end: isMore = false
                }
            }
            #expect(all == (direction == .forwards ? stored : stored.reversed()))
        }
        #expect(try sequences(writer.history, .backwards, from: stored[60], limit: 1).0 == [stored[60]])
        #expect(try sequences(writer.history, .forwards, from: stored[60] + 1, limit: 1).0 == [stored[61]])
        let (looked, end) = try sequences(writer.history, .backwards, looksMax: 20)
        #expect(looked == Array(stored.suffix(20).reversed()))
        #expect(end == .stopped(next: looked.last! - 1))
    }

    @Test("answers as a dictionary would while the log wraps, with a cache that is too small, over restarts")
    func wraps() throws {
        for seed in seeds(quick: 6) {
            var generator = SeededGenerator(seed: seed)
            let disk = SimulatedDisk(seed: seed)
            var (writer, _) = try openJournal(disk)
            var history = JournalHistory(reader: writer.reader, indexBytesMax: 3000)
            var bodies: [UInt64: [UInt8]] = [:]
            var owed: Set<UInt64> = []
            var recycled: UInt64 = 0
            for step in 0..<400 {
                let body = Array(
                    repeating: UInt8(truncatingIfNeeded: step), count: Int.random(in: 0..<7000, using: &generator))
                let sequence = try store(TestDelivery(body: body), in: writer)
                bodies[sequence] = body
                owed.insert(sequence)
                let plan = [PlanEntry(actionKind: 4, target: Array("\(sequence)".utf8))]
                if generator.chance(50) { writer.appendPlan(sequence: sequence, entries: plan, now: seconds(1001)) }
                // Most are done at once, a few stay for long and are carried forward.
                for old in owed.sorted().prefix(owed.count > 5 ? 2 : 0) where generator.chance(70) {
                    writer.appendOutcomes([OutcomeEntry(sequence: old, outcome: .done)], now: seconds(1001))
                    owed.remove(old)
                }
                if generator.chance(50), let last = owed.max() {
                    writer.appendOutcomes([OutcomeEntry(sequence: last, outcome: .dead)], now: seconds(1001))
                    owed.remove(last)
                }
                writer.tick(now: seconds(1001))
                if step % 97 == 96 {
                    _ = writer.commit(now: seconds(1001))
                    recycled += writer.metrics.segmentsRecycled.value
                    disk.kill()
                    (writer, _) = try openJournal(disk)
                    history = JournalHistory(reader: writer.reader, indexBytesMax: 3000)
                }
                guard step % 20 == 0 else { continue }
                _ = writer.commit(now: seconds(1001))
                let shown = try sequences(history, .backwards).0
                #expect(shown == shown.sorted().reversed(), "seed \(seed) step \(step)")
                #expect(
                    Set(shown).isSuperset(of: owed), "seed \(seed) step \(step): \(owed.subtracting(shown)) missing")
                #expect(try sequences(history, .forwards).0 == shown.reversed())
                for (sequence, story) in try history.stories(of: shown) {
                    let single = try history.story(of: sequence)
                    #expect(story.plan == single?.plan && story.events == single?.events, "seed \(seed): \(sequence)")
                }
                for sequence in [shown.first!, shown.last!, shown.randomElement(using: &generator)!] {
                    let record = try #require(try history.record(of: sequence))
                    #expect(Array(record.body) == bodies[sequence])
                    #expect((try history.story(of: sequence)?.state == .owed) == owed.contains(sequence))
                }
            }
            #expect(recycled > 0)
        }
    }

    @Test("a hole in the log is passed over, and what lies behind it is found")
    func damage() throws {
        let disk = SimulatedDisk(seed: 6)
        let (writer, _) = try openJournal(disk)
        var stored: [UInt64] = []
        for _ in 0..<80 { stored.append(try store(TestDelivery(body: Array(repeating: 65, count: 300)), in: writer)) }
        writer.close(now: seconds(1001))
        let name = disk.names.first { $0.hasSuffix(".segment") }!
        var bytes = disk.content(name)!
        // Three records' headers, among them a marked one's: the 33rd.
        var position = 8192
        for index in 0..<40 {
            let length = Int(bytes[position + 32]) | Int(bytes[position + 33]) << 8
            if (31...33).contains(index) { bytes[position + 20] ^= 1 }
            position += length
        }
        disk.place(name, bytes)
        let survey = try JournalSurvey(disk: disk, checksum: tableChecksum)
        #expect(survey.damage.count == 1)
        let expected = stored.enumerated().filter { !(31...33).contains($0.offset) }.map(\.element)
        #expect(try sequences(survey.history, .forwards).0 == expected)
        #expect(try sequences(survey.history, .backwards).0 == expected.reversed())
        for sequence in expected { #expect(try survey.history.record(of: sequence) != nil) }
        #expect(try survey.history.record(of: stored[32]) == nil)
    }

    @Test("readers on other threads see every durable delivery and nothing else while the writer goes on")
    func threads() throws {
        let directory = TemporaryDirectory()
        var options = JournalOptions(
            maxBytes: 4 << 20, segmentBytes: 1 << 20, firstSegmentBytes: 256 << 10, recordBytesMax: 256 << 10)
        options.directory = directory.path
        let (writer, _) = try JournalWriter.open(options: options, checksum: tableChecksum, now: seconds(1000))
        let history = writer.history
        let isOver = Locked(false)
        let problems = Locked<[String]>([])
        let readers = (0..<3).map { _ in
            TestThread {
                var last: UInt64 = 0
                while !isOver.withLock({ $0 }) {
                    do {
                        let durable = history.durableThrough
                        if durable < last { problems.withLock { $0.append("durable went back") } }
                        last = durable
                        var previous = UInt64.max
                        _ = try history.walk(.backwards, looksMax: 50) { summary in
                            if summary.sequence >= previous { problems.withLock { $0.append("order") } }
                            previous = summary.sequence
                            return true
                        }
                        if durable > 0, let record = try history.record(of: durable), record.sequence != durable {
                            problems.withLock { $0.append("another record") }
                        }
                    } catch {
                        problems.withLock { $0.append("\(error)") }
                    }
                }
            }
        }
        for index in 0..<3000 {
            let sequence = try store(TestDelivery(body: Array(repeating: 65, count: 100 + index)), in: writer)
            writer.appendOutcomes([OutcomeEntry(sequence: sequence, outcome: .done)], now: seconds(1001))
        }
        #expect(writer.metrics.segmentsRecycled.value > 0)
        isOver.withLock { $0 = true }
        for reader in readers { reader.join() }
        #expect(problems.withLock { Array($0.prefix(3)) } == [])
        writer.close(now: seconds(1001))
    }

    @Test("a reader that looks while a segment begins finds later all that is in it")
    func beginning() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 32), .small(maxBytes: 4 << 20))
        let directory = writer.reader.directory
        let first = try store(TestDelivery("x"), in: writer)
        var stored = [first]
        while directory.segments.count < 2 {
            stored.append(try store(TestDelivery(body: Array(repeating: 65, count: 4000)), in: writer))
        }
        writer.appendOutcomes([OutcomeEntry(sequence: first, outcome: .done)], now: seconds(1001))
        _ = writer.commit(now: seconds(1001))
        // The new segment is known, and how far the log is durable is not yet raised.
        let durable = directory.durableThrough
        directory.durableThrough = directory.segments[1].baseSequence - 1
        #expect(try writer.history.story(of: first)?.state == .owed)
        directory.durableThrough = durable
        #expect(try writer.history.story(of: first)?.state == .done)
        #expect(try sequences(writer.history, .forwards).0 == stored)
    }

    @Test("what could not be read once is known when it can be read again")
    func unreadableOnce() throws {
        let disk = SimulatedDisk(seed: 9)
        let (writer, _) = try openJournal(disk)
        let sequence = try store(TestDelivery("x"), in: writer)
        writer.appendPlan(sequence: sequence, entries: [PlanEntry(actionKind: 1, target: [1])], now: seconds(1001))
        writer.appendOutcomes(
            [OutcomeEntry(sequence: sequence, planIndex: 0, outcome: .failed, detail: 1, reason: "503")],
            now: seconds(1002))
        writer.appendOutcomes([OutcomeEntry(sequence: sequence, planIndex: 0, outcome: .done)], now: seconds(1003))
        _ = writer.commit(now: seconds(1004))
        let expected = try #require(try writer.history.story(of: sequence))
        #expect(expected.state == .done && expected.events.count == 2)
        var failed = 0
        for place in 0..<20 {
            let history = JournalHistory(reader: writer.reader)
            disk.withFaults { $0.failReadAt = place }
            if (try? history.stories(of: [sequence])) == nil { failed += 1 }
            disk.withFaults { $0.failReadAt = .max }
            #expect(try history.stories(of: [sequence])[sequence]?.events == expected.events, "read \(place) failed")
        }
        #expect(failed > 3)
    }

    @Test("a story ends with the segment that is known to speak of it last")
    func throughSegment() throws {
        let (writer, _) = try openJournal(SimulatedDisk(seed: 31), .small(maxBytes: 4 << 20))
        let first = try store(TestDelivery("x"), in: writer)
        writer.appendOutcomes(
            [OutcomeEntry(sequence: first, planIndex: 0, outcome: .failed, detail: 1)], now: seconds(1001))
        for _ in 0..<15 { try store(TestDelivery(body: Array(repeating: 65, count: 4000)), in: writer) }
        writer.appendOutcomes([OutcomeEntry(sequence: first, outcome: .done)], now: seconds(1002))
        _ = writer.commit(now: seconds(1002))
        #expect(try writer.history.story(of: first)?.events.map(\.outcome) == [.failed, .done])
        #expect(try writer.history.story(of: first, through: 1)?.events.map(\.outcome) == [.failed])
        #expect(try writer.history.record(of: first)?.texts?.name == "webapp")
    }
}
