// DedupeIndex against a plain dictionary, and the rules one by one through the writer.

import Metrics
import Testing

@testable import Journal

@Suite("DedupeIndex")
struct DedupeIndexTests {
    private struct Known {
        var sequence: UInt64
        var body: UInt32
        var fingerprint: UInt64
        var received: UInt32
        var window: UInt32
        var state: DedupeIndex.State
    }

    @Test("answers as a dictionary would, whatever comes and goes")
    func model() {
        for seed in seeds(quick: 60) {
            var generator = SeededGenerator(seed: seed)
            var index = DedupeIndex(entriesMax: 1 << 20, initialCapacity: 16)
            var model: [UInt64: Known] = [:]
            var now: UInt32 = 1000
            var sequence: UInt64 = 0
            let ids = UInt64(Int.random(in: 1...400, using: &generator))
            // Few home slots, so that probes run into each other.
            func hash(_ id: UInt64) -> DedupeHash { DedupeHash(low: id % 7, high: id + 1) }
            var undo: [(UInt64, UInt64, DedupeIndex.Entry?, Known?)] = []
            for _ in 0..<1500 {
                now += UInt32.random(in: 0...3, using: &generator)
                let id = UInt64.random(in: 0..<ids, using: &generator)
                switch Int.random(in: 0..<10, using: &generator) {
                case 0..<6:
                    sequence += 1
                    let body = UInt32.random(in: 0..<2, using: &generator)
                    let fingerprint: UInt64 = generator.chance(90) ? 1 : 2
                    let window = UInt32.random(in: 1...300, using: &generator)
                    let known = model[id].flatMap { now - $0.received > $0.window ? nil : $0 }
                    let expected = known.flatMap { known -> UInt64? in
                        known.body == body && known.fingerprint == fingerprint && known.state != .failing
                            ? known.sequence : nil
                    }
                    let admission = index.admit(
                        DedupeIndex.Entry(
                            hash: hash(id), sequence: sequence, routeFingerprint: fingerprint, receivedSeconds: now,
                            windowSeconds: window, state: .writing, bodyLength: 10, bodyChecksum: body))
                    switch admission {
                    case .duplicate(let earlier): #expect(earlier == expected, "seed \(seed)")
                    case .new(let sameIDOtherBody, let replaced):
                        #expect(expected == nil, "seed \(seed)")
                        #expect(sameIDOtherBody == (known.map { $0.body != body } ?? false), "seed \(seed)")
                        #expect((replaced == nil) == (known == nil), "seed \(seed)")
                        undo.append((id, sequence, replaced, known))
                        model[id] = Known(
                            sequence: sequence, body: body, fingerprint: fingerprint, received: now, window: window,
                            state: .writing)
                    }
                case 6:
                    // The group fails: the latest first.
                    for (id, sequence, replaced, known) in undo.reversed() {
                        index.withdraw(hash(id), sequence: sequence, replaced: replaced)
                        if model[id]?.sequence == sequence { model[id] = known }
                    }
                    undo = []
                case 7:
                    for (id, sequence, _, _) in undo where model[id]?.sequence == sequence {
                        index.mark(hash(id), sequence: sequence, .pending)
                        model[id]!.state = .pending
                    }
                    undo = []
                default:
                    guard let known = model[id], known.state != .writing else { break }
                    let state: DedupeIndex.State = [.done, .failing, .removed, .pending].randomElement(
                        using: &generator)!
                    index.mark(hash(id), sequence: known.sequence, state)
                    if state == .removed { model[id] = nil } else { model[id]!.state = state }
                    // Another delivery's outcome does not touch the id.
                    index.mark(hash(id), sequence: known.sequence + 1_000_000, .removed)
                }
                let checked = UInt64.random(in: 0..<ids, using: &generator)
                let expected = model[checked].flatMap { now > $0.received && now - $0.received > $0.window ? nil : $0 }
                let found = index.state(of: hash(checked), at: now)
                #expect(found?.sequence == expected?.sequence, "seed \(seed)")
                #expect(found?.1 == expected?.state, "seed \(seed)")
            }
        }
    }

    @Test("forgets the oldest when it is full, and never holds more")
    func bounded() {
        var index = DedupeIndex(entriesMax: 1000, initialCapacity: 16)
        for id in UInt64(1)...5000 {
            _ = index.admit(entry(id))
            #expect(index.count <= 1000)
        }
        #expect(index.state(of: DedupeHash(low: 4000, high: 0), at: 0) == nil)
        #expect(index.state(of: DedupeHash(low: 4001, high: 0), at: 0)?.sequence == 4001)
        #expect(index.state(of: DedupeHash(low: 5000, high: 0), at: 0)?.sequence == 5000)
        #expect(index.memoryBytes <= 1024 * 2 * 64)
    }

    @Test("an id costs at most 112 bytes, 56 when the table is full")
    func memory() {
        var index = DedupeIndex(entriesMax: 1 << 20)
        for id in UInt64(1)...65536 { _ = index.admit(entry(id)) }
        #expect(index.memoryBytes / index.count == 56)
        _ = index.admit(entry(65537))
        #expect(index.memoryBytes / index.count <= 112)
    }

    private func entry(_ id: UInt64) -> DedupeIndex.Entry {
        DedupeIndex.Entry(
            hash: DedupeHash(low: id, high: 0), sequence: id, routeFingerprint: 0, receivedSeconds: 0,
            windowSeconds: 600, state: .pending, bodyLength: 0, bodyChecksum: 0)
    }
}

@Suite("Deduplication")
struct DeduplicationTests {
    private let disk = SimulatedDisk(seed: 1)

    private func delivery(_ writer: JournalWriter, _ text: String = "x", id: String = "id") -> TestDelivery {
        TestDelivery(text).identified(id, by: writer)
    }

    private func duplicateOf(_ delivery: TestDelivery, _ writer: JournalWriter) -> UInt64? {
        defer { _ = writer.commit(now: 0) }
        if case .duplicate(let earlier, _) = delivery.append(to: writer) { return earlier }
        return nil
    }

    @Test("without an id or a window nothing is a duplicate")
    func noID() throws {
        let (writer, _) = try openJournal(disk)
        #expect(duplicateOf(TestDelivery("x"), writer) == nil)
        #expect(duplicateOf(TestDelivery("x"), writer) == nil)
        let off = { self.delivery(writer).identified("id", by: writer, window: 0) }
        #expect(duplicateOf(off(), writer) == nil)
        #expect(duplicateOf(off(), writer) == nil)
    }

    @Test("a repeat is a duplicate in the same group, while pending and when done, and is recorded without its body")
    func repeats() throws {
        let (writer, _) = try openJournal(disk)
        _ = delivery(writer).append(to: writer)
        #expect(duplicateOf(delivery(writer), writer) == 1)
        #expect(duplicateOf(delivery(writer), writer) == 1)
        writer.appendOutcomes([OutcomeEntry(sequence: 1, outcome: .done)], now: 0)
        #expect(duplicateOf(delivery(writer), writer) == 1)
        #expect(writer.owedCount == 0)
        #expect(writer.metrics.duplicates.value == 3)
        var bodies: [Int] = []
        try writer.reader.follow(from: 1, through: writer.nextSequence) { record in
            bodies.append(record.body.count)
            if record.sequence > 1 { #expect(record.header.decision == .duplicate && record.header.reference == 1) }
            return true
        }
        #expect(bodies == [1, 0, 0, 0])
    }

    @Test("what was ignored, failed or died may come again", arguments: [Outcome.ignored, .failed, .dead])
    func again(_ outcome: Outcome) throws {
        let (writer, _) = try openJournal(disk)
        #expect(duplicateOf(delivery(writer), writer) == nil)
        writer.appendPlan(sequence: 1, entries: [PlanEntry(actionKind: 1, target: [])], now: 0)
        writer.appendOutcomes([OutcomeEntry(sequence: 1, planIndex: 0, outcome: outcome, detail: 1)], now: 0)
        #expect(duplicateOf(delivery(writer), writer) == nil)
        // The new one stands for the id now; what becomes of the old one does not matter any more.
        writer.appendOutcomes([OutcomeEntry(sequence: 1, outcome: .dead)], now: 0)
        #expect(duplicateOf(delivery(writer), writer) != nil)
    }

    @Test("a decision to ignore is not remembered")
    func ignoredAtOnce() throws {
        let (writer, _) = try openJournal(disk)
        let ignored = delivery(writer)
        ignored.decision = .ignored
        #expect(duplicateOf(ignored, writer) == nil)
        #expect(duplicateOf(delivery(writer), writer) == nil)
    }

    @Test("another body is a new delivery and says so; another route fingerprint is new and does not")
    func changes() throws {
        let (writer, _) = try openJournal(disk)
        #expect(duplicateOf(delivery(writer), writer) == nil)
        #expect(duplicateOf(delivery(writer, "other"), writer) == nil)
        let moved = delivery(writer, "other")
        moved.fingerprint = 8
        #expect(duplicateOf(moved, writer) == nil)
        var flags: [RecordFlags] = []
        try writer.reader.follow(from: 1, through: writer.nextSequence) {
            flags.append($0.header.flags)
            return true
        }
        #expect(flags == [[], .sameIDOtherBody, []])
    }

    @Test("the window ends to the second")
    func window() throws {
        let (writer, _) = try openJournal(disk)
        #expect(duplicateOf(delivery(writer), writer) == nil)
        let inside = delivery(writer)
        inside.receivedAt = seconds(1600)
        #expect(duplicateOf(inside, writer) == 1)
        let outside = delivery(writer)
        outside.receivedAt = seconds(1601)
        #expect(duplicateOf(outside, writer) == nil)
        let earlier = delivery(writer)
        earlier.receivedAt = seconds(900)
        #expect(duplicateOf(earlier, writer) != nil, "a clock that goes back makes nothing new")
    }

    @Test("all of this survives a restart")
    func restart() throws {
        var (writer, _) = try openJournal(disk)
        for id in ["pending", "done", "dead", "failed", "ignored"] {
            #expect(duplicateOf(delivery(writer, id: id), writer) == nil)
        }
        let stored = delivery(writer, id: "stored")
        stored.decision = .stored
        #expect(duplicateOf(stored, writer) == nil)
        writer.appendOutcomes(
            [
                OutcomeEntry(sequence: 2, outcome: .done), OutcomeEntry(sequence: 3, outcome: .dead),
                OutcomeEntry(sequence: 4, planIndex: 0, outcome: .failed, detail: 1),
                OutcomeEntry(sequence: 5, outcome: .ignored),
            ], now: 0)
        let key = writer.dedupeKey
        writer.close(now: seconds(1001))
        disk.crash()
        var report: RecoveryReport
        (writer, report) = try openJournal(disk)
        #expect(writer.dedupeKey == key)
        #expect(report.dedupeEntries == 4)
        #expect(duplicateOf(delivery(writer, id: "pending"), writer) == 1)
        #expect(duplicateOf(delivery(writer, id: "done"), writer) == 2)
        #expect(duplicateOf(delivery(writer, id: "dead"), writer) == nil)
        #expect(duplicateOf(delivery(writer, id: "failed"), writer) == nil)
        #expect(duplicateOf(delivery(writer, id: "ignored"), writer) == nil)
        #expect(duplicateOf(delivery(writer, id: "stored"), writer) == 6)
        #expect(duplicateOf(delivery(writer, "other body", id: "done"), writer) == nil)
    }
}
