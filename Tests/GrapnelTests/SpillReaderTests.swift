// What the dispatcher left to the journal, read again from a journal that is written meanwhile.

import CCrypto
import Delivery
import Foundation
import Journal
import Logging
import Testing
import Trigger

@testable import Grapnel

private struct NoRoutes: Trigger.RouteLookup {
    func definition(of route: RouteIdentity) -> RouteDefinition? { nil }
}

private func hook(_ name: String) -> RouteIdentity { RouteIdentity(kind: .hook, namespace: "team-a", name: name) }

@Suite("Reading again what was left to the journal")
struct SpillReaderTests {
    private struct Parts {
        let desk: JournalDesk
        let thread: JournalThread
        let reader: SpillReader
        let writer: JournalWriter
    }

    private func parts(_ disk: SimulatedDisk, gated: [RecoveredDelivery] = []) throws -> (Parts, RecoveryReport) {
        let (writer, report) = try JournalWriter.open(
            options: JournalOptions(
                // The records are of 1970, the thread's clock is not: nothing must be too old, nor a segment a quarter of that.
                maxBytes: 3 << 20, maxAgeSeconds: 8_000_000_000, segmentBytes: 1 << 20, firstSegmentBytes: 256 << 10,
                recordBytesMax: 256 << 10,
                preparesInBackground: false), disk: disk, checksum: { cc_crc32($0, $1, $2) }, now: 1_000_000_000)
        let mailbox = HousekeepingMailbox()
        let desk = JournalDesk(writer: writer, mailbox: mailbox, hints: HintChannel(capacity: 1 << 12) {}) { _ in }
        let thread = try #require(JournalThread(desk: desk))
        let gate = ListingGate(gated, unlisted: gated.isEmpty ? [] : ["local"], routes: NoRoutes())
        let reader = SpillReader(
            history: writer.history, segments: writer.reader, mailbox: mailbox, gate: gate,
            logger: Logger(label: "test")
        ) { thread.wake() }
        return (Parts(desk: desk, thread: thread, reader: reader, writer: writer), report)
    }

    /// Before the thread is started. Gives the sequence.
    @discardableResult
    private func store(
        _ desk: JournalDesk, _ route: RouteIdentity, decision: Decision = .accepted, bytes: Int = 100
    ) -> UInt64 {
        let texts = [route.cluster, route.namespace, route.name].map { Array($0.utf8) }
        let body = [UInt8](repeating: 0x20, count: bytes)
        return texts[0].withUnsafeBytes { cluster in
            texts[1].withUnsafeBytes { namespace in
                texts[2].withUnsafeBytes { name in
                    body.withUnsafeBytes { body in
                        var append = DeliveryAppend()
                        append.cluster = cluster
                        append.namespace = namespace
                        append.name = name
                        append.receiverKind = route.kind.rawValue
                        append.body = body
                        append.bodyChecksum = cc_crc32(0, body.baseAddress, body.count)
                        append.decision = decision
                        append.receivedAtUnixNanoseconds = 1_000_000_000
                        guard case .appended(let sequence) = desk.append(append),
                            desk.commit(nowUnixNanoseconds: 1_000_000_000)
                        else { return 0 }
                        return sequence
                    }
                }
            }
        }
    }

    private func done(_ sequence: UInt64, _ index: UInt16 = Journal.OutcomeEntry.wholeDelivery) -> Housekeeping {
        .outcomes([Journal.OutcomeEntry(sequence: sequence, planIndex: index, outcome: .done)])
    }

    private func end(_ parts: Parts) async throws {
        parts.thread.stop()
        while !parts.thread.hasEnded.load(ordering: .acquiring) { try await Task.sleep(for: .milliseconds(2)) }
        parts.desk.close(nowUnixNanoseconds: 2_000_000_000)
    }

    private func question(
        _ routes: [(RouteIdentity, UInt64, UInt64, Int)], from: UInt64? = nil, looks: Int = 1000
    ) -> SpillQuestion {
        SpillQuestion(
            from: from ?? routes.map(\.1).min() ?? 1,
            routes: Dictionary(
                uniqueKeysWithValues: routes.map { ($0.0, SpillQuestion.Wanted(from: $0.1, through: $0.2, room: $0.3)) }
            ), looksMax: looks)
    }

    @Test("what is owed of a route comes in order, as many as there is room for; others are passed by")
    func order() async throws {
        let (parts, _) = try parts(SimulatedDisk(seed: 1))
        var own: [UInt64] = []
        for index in 0..<40 {
            switch index % 4 {
            case 0: own.append(store(parts.desk, hook("a")))
            case 1: store(parts.desk, hook("b"))
            case 2: store(parts.desk, hook("a"), decision: .ignored)
            default: store(parts.desk, RouteIdentity(kind: .receiver, namespace: "team-a", name: "a"))
            }
        }
        // Done, and the journal has not been told when the question comes.
        parts.desk.mailbox.post(done(own[1]))
        parts.thread.start()
        let last = try #require(own.last)
        let first = await parts.reader.read(question([(hook("a"), own[0], last, 4)]))
        #expect(first.failure == nil && first.deliveries.map(\.delivery.sequence) == [own[0], own[2], own[3]])
        #expect(first.deliveries.allSatisfy { $0.plan == nil && $0.outcomes.isEmpty && $0.delivery.route == hook("a") })
        #expect(
            first.positions == [hook("a"): .init(next: own[4], receivedNanoseconds: 1_000_000_000)],
            "\(first.positions)")
        let location = first.deliveries[0].delivery.location
        let record = try parts.writer.reader.read(
            RecordLocation(segment: location.segment, offset: location.offset, length: location.length),
            expecting: own[0])
        #expect(record?.name == "a")
        // Two routes at once, one of which begins later; the looks end before the last.
        let both = await parts.reader.read(
            question([(hook("a"), own[4], last, 100), (hook("b"), own[6], last, 100)], looks: 12))
        #expect(both.deliveries.map(\.delivery.sequence) == both.deliveries.map(\.delivery.sequence).sorted())
        #expect(both.deliveries.filter { $0.delivery.route == hook("a") }.map(\.delivery.sequence) == Array(own[4...6]))
        #expect(both.deliveries.filter { $0.delivery.route == hook("b") }.allSatisfy { $0.delivery.sequence > own[6] })
        #expect(both.positions[hook("a")] == .init(next: own[4] + 12))
        // All of it.
        let rest = await parts.reader.read(question([(hook("a"), own[7], last, 100)]))
        #expect(rest.deliveries.map(\.delivery.sequence) == Array(own[7...]))
        #expect(rest.positions[hook("a")] == .init(next: last + 1))
        try await end(parts)
        #expect(await parts.reader.read(question([(hook("a"), own[0], last, 4)])).failure != nil)
    }

    @Test("what was planned and tried before a restart comes with that; what waits for its cluster is left out")
    func planned() async throws {
        let disk = SimulatedDisk(seed: 2)
        let (before, _) = try parts(disk)
        let sequences = (0..<6).map { _ in store(before.desk, hook("a")) }
        let entries = [PlanEntry(actionKind: 4, target: [1]), PlanEntry(actionKind: 4, target: [2])]
        for sequence in sequences.prefix(3) { before.desk.mailbox.post(.plan(sequence: sequence, entries: entries)) }
        before.desk.mailbox.post(done(sequences[0], 0))
        before.desk.mailbox.post(done(sequences[1], 0))
        before.desk.mailbox.post(done(sequences[1], 1))
        before.desk.mailbox.post(
            .outcomes([
                Journal.OutcomeEntry(
                    sequence: sequences[2], planIndex: 1, outcome: .failed, detail: 3, reason: "503")
            ]))
        before.desk.close(nowUnixNanoseconds: 2_000_000_000)
        let gated = RecoveredDelivery(
            delivery: QueuedDelivery(
                sequence: sequences[4], receivedNanoseconds: 0, route: hook("a"),
                location: DeliveryLocation(segment: 1, offset: 0, length: 0)), plan: nil, outcomes: [])
        let (parts, report) = try parts(disk, gated: [gated])
        #expect(report.owed.map(\.sequence) == [0, 2, 3, 4, 5].map { sequences[$0] })
        parts.thread.start()
        let reading = await parts.reader.read(question([(hook("a"), sequences[0], sequences[5], 100)]))
        #expect(reading.deliveries.map(\.delivery.sequence) == [0, 2, 3, 5].map { sequences[$0] })
        // The same as a start gives.
        let recovered = report.owed.compactMap { RecoveredDelivery($0) }.filter {
            $0.delivery.sequence != sequences[4]
        }
        #expect(reading.deliveries == recovered)
        try await end(parts)
    }

    @Test("what was carried out of the way of newer segments is found where it is now")
    func carried() async throws {
        let (parts, _) = try parts(SimulatedDisk(seed: 3))
        var own: [UInt64] = []
        var now: UInt64 = 1_000_000_000
        // Two laps over the log: one in a hundred stays owed.
        for index in 0..<800 {
            let isOwn = index % 100 == 0
            let sequence = store(parts.desk, hook(isOwn ? "a" : "b"), bytes: 8_000)
            try #require(sequence > 0, "the journal is full at \(index)")
            if isOwn { own.append(sequence) } else { parts.desk.mailbox.post(done(sequence)) }
            now += 1_100_000_000
            parts.desk.keepHouse(nowUnixNanoseconds: now)
        }
        #expect(parts.writer.metrics.copies.value > 0)
        parts.thread.start()
        let last = try #require(own.last)
        var found: [UInt64] = []
        var next = own[0]
        for _ in 0..<50 where next <= last {
            let reading = await parts.reader.read(question([(hook("a"), next, last, 3)], looks: 150))
            #expect(reading.failure == nil)
            found += reading.deliveries.map(\.delivery.sequence)
            next = reading.positions[hook("a")]?.next ?? last + 1
        }
        #expect(found == own)
        try await end(parts)
    }

    @Test("a disk that cannot be read is said so, and nothing is passed by")
    func unreadable() async throws {
        let disk = SimulatedDisk(seed: 4)
        let (parts, _) = try parts(disk)
        let own = (0..<10).map { _ in store(parts.desk, hook("a")) }
        parts.thread.start()
        disk.withFaults { $0.failReads = 1000 }
        let failed = await parts.reader.read(question([(hook("a"), own[0], own[9], 100)]))
        #expect(failed.unread?.from == own[0] && failed.deliveries.isEmpty)
        #expect(failed.positions == [hook("a"): .init(next: own[0])])
        disk.withFaults { $0.failReads = 0 }
        let reading = await parts.reader.read(question([(hook("a"), own[0], own[9], 100)]))
        #expect(reading.deliveries.map(\.delivery.sequence) == own && reading.unread == nil)
        try await end(parts)
    }

    @Test("a segment that cannot be read is named with its sequences; what lies behind it can be asked for meanwhile")
    func unreadableSegment() async throws {
        let disk = SimulatedDisk(seed: 7)
        let (parts, _) = try parts(disk)
        let own = (0..<170).map { _ in store(parts.desk, hook("a"), bytes: 8_000) }
        try #require(own.last ?? 0 > 0)
        let segments = parts.writer.reader.segments
        try #require(segments.count >= 3)
        let bad = segments[1]
        let last = try #require(bad.lastSequence)
        let name = try #require(disk.name(ofSegment: bad.number))
        parts.thread.start()
        disk.withFaults { $0.unreadable = [name: 0..<Int.max] }
        let before = await parts.reader.read(question([(hook("a"), own[0], own[169], 1000)]))
        let unread = try #require(before.unread)
        #expect(unread.segment == bad.number && unread.from == bad.baseSequence && unread.through == last)
        #expect(before.deliveries.map(\.delivery.sequence) == own.filter { $0 < bad.baseSequence })
        #expect(before.positions == [hook("a"): .init(next: bad.baseSequence)] && before.failure == nil)
        let behind = await parts.reader.read(question([(hook("a"), last + 1, own[169], 1000)]))
        #expect(behind.deliveries.map(\.delivery.sequence) == own.filter { $0 > last } && behind.unread == nil)
        disk.withFaults { $0.unreadable = [:] }
        let healed = await parts.reader.read(question([(hook("a"), bad.baseSequence, last, 1000)]))
        #expect(healed.deliveries.map(\.delivery.sequence) == own.filter { bad.baseSequence...last ~= $0 })
        try await end(parts)
    }

    @Test("a few bytes that cannot be read cost those around them, no more")
    func unreadableBytes() async throws {
        let disk = SimulatedDisk(seed: 8)
        let (parts, _) = try parts(disk)
        let own = (0..<100).map { _ in store(parts.desk, hook("a"), bytes: 8_000) }
        let segment = try #require(parts.writer.reader.segments.last { $0.baseSequence < own[50] })
        let name = try #require(disk.name(ofSegment: segment.number))
        parts.thread.start()
        // So that the index is there.
        _ = try parts.writer.history.walk(.forwards) { _ in true }
        let offset = 600_000
        disk.withFaults { $0.unreadable = [name: offset..<offset + 1] }
        var found: [UInt64] = []
        var missing: [ClosedRange<UInt64>] = []
        var next = own[0]
        for _ in 0..<50 where next <= own[99] {
            let reading = await parts.reader.read(question([(hook("a"), next, own[99], 1000)]))
            found += reading.deliveries.map(\.delivery.sequence)
            guard let unread = reading.unread else { break }
            missing.append(unread.from...unread.through)
            next = unread.through + 1
        }
        #expect(!missing.isEmpty && missing.allSatisfy { $0.count <= 64 })
        #expect(found == own.filter { sequence in !missing.contains { $0.contains(sequence) } })
        #expect(found.count >= 30)
        try await end(parts)
    }

    @Test("deliveries whose plans cannot be read wait; those around them do not")
    func unreadablePlans() async throws {
        let disk = SimulatedDisk(seed: 9)
        let (before, _) = try parts(disk)
        let sequences = (0..<8).map { _ in store(before.desk, hook("a")) }
        for sequence in sequences[2...4] {
            before.desk.mailbox.post(.plan(sequence: sequence, entries: [PlanEntry(actionKind: 4, target: [1])]))
        }
        before.desk.close(nowUnixNanoseconds: 2_000_000_000)
        let (parts, _) = try parts(disk)
        // Each is in the first segment; its records of deliveries are looked at first, by an index.
        parts.thread.start()
        _ = try parts.writer.history.walk(.forwards) { _ in true }
        let all = question([(hook("a"), sequences[0], sequences[7], 100)])
        var isPartial = false
        for index in 0..<12 {
            disk.withFaults {
                $0.failReadAt = index
                $0.failReadCount = 1000
            }
            let reading = await parts.reader.read(all)
            disk.withFaults { $0.failReadAt = .max }
            guard let unread = reading.unread, unread.from > sequences[0] else { continue }
            isPartial = true
            #expect(unread.from == sequences[2] && unread.through <= sequences[4], "\(unread)")
            #expect(reading.deliveries.map(\.delivery.sequence) == Array(sequences[0..<2]))
            #expect(reading.positions[hook("a")]?.next == sequences[2])
        }
        #expect(isPartial)
        let whole = await parts.reader.read(all)
        #expect(whole.deliveries.map(\.delivery.sequence) == sequences)
        #expect(whole.deliveries.filter { $0.plan != nil }.map(\.delivery.sequence) == Array(sequences[2...4]))
        try await end(parts)
    }

    @Test("of a route whose end was passed nothing beyond that end is said")
    func passedEnd() async throws {
        let (parts, _) = try parts(SimulatedDisk(seed: 5))
        let short = (0..<3).map { _ in store(parts.desk, hook("b")) }
        let long = (0..<40).map { _ in store(parts.desk, hook("a")) }
        parts.thread.start()
        let reading = await parts.reader.read(
            question([(hook("b"), short[0], short[2], 100), (hook("a"), short[0], long[39], 100)], looks: 20))
        #expect(reading.failure == nil && reading.deliveries.count == 20)
        #expect(
            reading.positions == [hook("b"): .init(next: short[2] + 1), hook("a"): .init(next: long[16] + 1)],
            "\(reading.positions)")
        try await end(parts)
    }

    @Test("what lies before a place that cannot be read is given, and the place is where it goes on")
    func partly() async throws {
        let disk = SimulatedDisk(seed: 6)
        let (parts, _) = try parts(disk)
        let own = (0..<200).map { _ in store(parts.desk, hook("a")) }
        parts.thread.start()
        // So that the index is there.
        _ = try parts.writer.history.walk(.forwards) { _ in true }
        var isPartial = false
        for index in 0..<20 {
            disk.withFaults {
                $0.failReadAt = index
                $0.failReadCount = 1000
            }
            let reading = await parts.reader.read(question([(hook("a"), own[0], own[199], 1000)]))
            disk.withFaults { $0.failReadAt = .max }
            let found = reading.deliveries.map(\.delivery.sequence)
            #expect(found == Array(own.prefix(found.count)))
            if reading.unread != nil {
                #expect(reading.positions == [hook("a"): .init(next: (found.last ?? own[0] - 1) + 1)])
            } else {
                #expect(found == own)
            }
            if !found.isEmpty, found.count < own.count { isPartial = true }
        }
        #expect(isPartial)
        try await end(parts)
    }
}
