// RecordDetails: what is told beside plans and outcomes comes back as it was written, and its loss costs nothing that counts.

import Glibc
import Testing

@testable import Journal

@Suite("RecordDetails")
struct RecordDetailsTests {
    private func decoded(_ bytes: [UInt8], _ entries: [OutcomeEntry]) -> [OutcomeEntry] {
        var entries = entries
        bytes.withByteReader { OutcomeDetailsCoding.decode($0, into: &entries) }
        return entries
    }

    private func encoded(_ entries: [OutcomeEntry]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: OutcomeDetailsCoding.byteCount(entries[...]))
        bytes.withUnsafeMutableBytes {
            OutcomeDetailsCoding.encode(entries[...], into: ByteWriter($0.baseAddress!, count: $0.count))
        }
        return bytes
    }

    private func bare(_ entries: [OutcomeEntry]) -> [OutcomeEntry] {
        entries.map {
            var entry = $0
            entry.details = nil
            return entry
        }
    }

    private let sample = [
        OutcomeEntry(
            sequence: 1, planIndex: 0, outcome: .failed, detail: 1, reason: "answered 503",
            details: OutcomeDetails(
                timeUnixNanoseconds: seconds(1005), durationMicroseconds: 1_234_567, attempts: 7, merged: 3,
                status: 503,
                request: "PATCH /apis/source.toolkit.fluxcd.io/v1/namespaces/a/gitrepositories/b",
                answer: "ein Ärgernis")),
        OutcomeEntry(sequence: 2, outcome: .done),
        OutcomeEntry(
            sequence: 3, planIndex: 2, outcome: .merged, detail: 4,
            details: OutcomeDetails(
                timeUnixNanoseconds: .max, durationMicroseconds: .max, attempts: .max, merged: .max, status: .max)),
    ]

    @Test("details come back as they were written; entries without any stay so")
    func roundTrip() {
        #expect(decoded(encoded(sample), bare(sample)) == sample)
        #expect(OutcomeDetailsCoding.byteCount(bare(sample)[...]) == 0)
        let times = PlanDetails(plannedUnixNanoseconds: 5, durableUnixNanoseconds: .max)
        var bytes = [UInt8](repeating: 0, count: PlanDetailsCoding.byteCount)
        bytes.withUnsafeMutableBytes {
            PlanDetailsCoding.encode(times, into: ByteWriter($0.baseAddress!, count: $0.count))
        }
        #expect(bytes.withByteReader(PlanDetailsCoding.decode) == times)
        #expect((bytes + [1, 2, 3]).withByteReader(PlanDetailsCoding.decode) == times)
        for count in 0..<bytes.count { #expect(Array(bytes[..<count]).withByteReader(PlanDetailsCoding.decode) == nil) }
    }

    @Test("texts are cut to 255 bytes before a character, and not inside one")
    func longTexts() throws {
        var entries = [sample[0]]
        entries[0].details!.request = String(repeating: "a", count: 254) + "äb"
        entries[0].details!.answer = String(repeating: "x", count: 1000)
        let details = try #require(decoded(encoded(entries), bare(entries))[0].details)
        #expect(details.request == String(repeating: "a", count: 254))
        #expect(details.answer == String(repeating: "x", count: 255))
    }

    @Test(
        "bytes that are cut, grown or of another number of entries tell nothing, and a longer fixed part is passed over"
    )
    func wrongBytes() {
        let bytes = encoded(sample)
        let plain = bare(sample)
        for count in 0..<bytes.count { #expect(decoded(Array(bytes[..<count]), plain) == plain) }
        #expect(decoded(bytes + [0], plain) == plain)
        #expect(decoded(bytes, Array(plain.dropLast())) == Array(plain.dropLast()))
        #expect(decoded(bytes, plain + plain) == plain + plain)
        // A later version's: 8 bytes more in each.
        let one = [sample[0]]
        var longer = encoded(one)
        longer[2] += 8
        longer.insert(contentsOf: Array(repeating: 0xAB, count: 8), at: 4 + OutcomeDetailsCoding.fixedBytes)
        #expect(decoded(longer, bare(one)) == one)
    }

    @Test("any bytes are read without a trap, and never change what counts")
    func anyBytes() {
        var generator = SeededGenerator(seed: seeds(quick: 1)[0])
        let plain = bare(sample)
        for _ in 0..<20_000 {
            var bytes = encoded(sample)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0:
                bytes = (0..<Int.random(in: 0..<200, using: &generator)).map { _ in
                    .random(in: 0...255, using: &generator)
                }
            case 1: bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            default:
                bytes.replaceSubrange(0..<4, with: (0..<4).map { _ in .random(in: 0...255, using: &generator) })
            }
            #expect(bare(decoded(bytes, plain)) == plain)
        }
    }

    // MARK: - In a journal

    private let plan = [PlanEntry(actionKind: 1, target: [1]), PlanEntry(actionKind: 4, target: [])]
    private let told = OutcomeDetails(
        timeUnixNanoseconds: seconds(1000) + 7, durationMicroseconds: 40, attempts: 2, merged: 1, status: 200,
        request: "POST http://127.0.0.1:1", answer: "")

    /// One delivery with a plan and one of its two outcomes; the record's time is later than what it tells.
    private func wrote(_ writer: JournalWriter) throws -> UInt64 {
        let sequence = try store(TestDelivery("x"), in: writer)
        let times = PlanDetails(plannedUnixNanoseconds: seconds(1000) + 3, durableUnixNanoseconds: seconds(1000) + 1)
        #expect(writer.appendPlan(sequence: sequence, entries: plan, details: times, now: seconds(1001)))
        writer.appendOutcomes(
            [OutcomeEntry(sequence: sequence, planIndex: 0, outcome: .done, reason: "well", details: told)],
            now: seconds(1001))
        _ = writer.commit(now: seconds(1001))
        // Carries a durable mark behind all of it.
        try store(TestDelivery("y"), in: writer)
        return sequence
    }

    private func check(_ history: JournalHistory, _ sequence: UInt64, _ details: OutcomeDetails?) throws {
        let stories = try history.stories(of: [sequence])
        for story in [try #require(try history.story(of: sequence)), try #require(stories[sequence])] {
            #expect(story.plan == plan)
            #expect(story.plannedAtUnixNanoseconds == seconds(1000) + 3)
            #expect(story.durableAtUnixNanoseconds == seconds(1000) + 1)
            let event = try #require(story.events.first)
            #expect(event.details == details)
            #expect(event.timeUnixNanoseconds == details?.timeUnixNanoseconds ?? seconds(1001))
            #expect(event.reason == "well")
        }
    }

    @Test("a history tells when things happened and not when they were written, also behind a restart")
    func history() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk)
        let sequence = try wrote(writer)
        try check(writer.history, sequence, told)
        writer.close(now: seconds(1002))
        let (again, report) = try openJournal(disk)
        #expect(report.damage.isEmpty)
        try check(again.history, sequence, told)
    }

    @Test("a damaged body is said to be damage, and costs none of the entries in front of it")
    func damagedBody() throws {
        let disk = SimulatedDisk(seed: 2)
        let (writer, _) = try openJournal(disk)
        let sequence = try wrote(writer)
        writer.close(now: seconds(1002))
        let name = SegmentFileName.segment(1)
        var bytes = disk.content(name)!
        let scan = bytes.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
        let record = try #require(scan.records.first { $0.header.type == .outcome })
        #expect(record.header.bodyLength > 0)
        bytes[record.offset + record.header.bodyOffset + 5] ^= 1
        disk.place(name, bytes)
        let (again, report) = try openJournal(disk)
        #expect(report.damage.map(\.kind) == [.payload])
        #expect(report.damage.map(\.missing) == [nil])
        let owed = try #require(report.owed.first { $0.sequence == sequence })
        #expect(owed.progress.map(\.outcome) == [.done])
        try check(again.history, sequence, nil)
        // The rest of it is still to come, and then it is final.
        again.appendOutcomes([OutcomeEntry(sequence: sequence, planIndex: 1, outcome: .done)], now: seconds(1003))
        #expect(again.owed(sequence) == nil)
    }

    @Test(
        "what is carried forward keeps its details, and goes without a body that is damaged", arguments: [false, true])
    func carriedForward(isDamaged: Bool) throws {
        let disk = SimulatedDisk(seed: 3)
        var (writer, _) = try openJournal(disk, .small(maxBytes: 256 << 10))
        let sequence = try wrote(writer)
        if isDamaged {
            writer.close(now: seconds(1002))
            let name = SegmentFileName.segment(1)
            var bytes = disk.content(name)!
            let scan = bytes.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
            let record = try #require(scan.records.first { $0.header.type == .outcome })
            bytes[record.offset + record.header.bodyOffset + 5] ^= 1
            disk.place(name, bytes)
            (writer, _) = try openJournal(disk, .small(maxBytes: 256 << 10))
        }
        // Until the first segment is gone.
        for number in 0..<400 where writer.reader.directory.segments.first?.number == 1 {
            let delivery = TestDelivery(body: Array(repeating: UInt8(truncatingIfNeeded: number), count: 4000))
            let done = try store(delivery, in: writer)
            writer.appendOutcomes([OutcomeEntry(sequence: done, outcome: .done)], now: seconds(1010))
            _ = writer.commit(now: seconds(1010))
            writer.tick(now: seconds(1010 + number))
        }
        #expect(writer.reader.directory.segments.first?.number != 1)
        try check(writer.history, sequence, isDamaged ? nil : told)
        disk.crash()
        let (again, report) = try openJournal(disk, .small(maxBytes: 256 << 10))
        let owed = try #require(report.owed.first { $0.sequence == sequence })
        #expect(owed.plan == plan)
        #expect(owed.progress.map(\.outcome) == [.done])
        #expect(report.damage.isEmpty)
        try check(again.history, sequence, isDamaged ? nil : told)
    }

    @Test("outcomes with long details are written in records of bounded length")
    func manyLong() throws {
        let disk = SimulatedDisk(seed: 4)
        let (writer, _) = try openJournal(disk)
        var sequences: [UInt64] = []
        for _ in 0..<60 { sequences.append(try store(TestDelivery("x"), in: writer)) }
        var details = told
        details.request = String(repeating: "r", count: 255)
        details.answer = String(repeating: "a", count: 255)
        writer.appendOutcomes(
            sequences.map {
                OutcomeEntry(
                    sequence: $0, outcome: .dead, reason: String(repeating: "w", count: 255), details: details)
            }, now: seconds(1001))
        _ = writer.commit(now: seconds(1001))
        try store(TestDelivery("y"), in: writer)
        for sequence in sequences {
            let event = try #require(try writer.history.story(of: sequence)?.events.first)
            #expect(event.details == details)
        }
        for segment in writer.reader.segments {
            _ = try writer.reader.glance(over: segment, from: 0, through: .max) {
                #expect($0.header.type != .outcome || $0.header.totalLength <= 17 << 10)
                return true
            }
        }
    }

    @Test("a log that is full leaves details out: outcomes are what makes room in it")
    func fullLog() throws {
        let disk = SimulatedDisk(seed: 5)
        let (writer, _) = try openJournal(disk, .small(maxBytes: 256 << 10))
        var owed: [UInt64] = []
        while case .appended(let sequence) = TestDelivery(body: Array(repeating: 65, count: 4000)).append(to: writer) {
            _ = writer.commit(now: seconds(1000))
            owed.append(sequence)
        }
        #expect(writer.roomProblem == .full)
        writer.appendOutcomes([OutcomeEntry(sequence: owed[0], outcome: .dead, details: told)], now: seconds(1001))
        _ = writer.commit(now: seconds(1001))
        let event = try #require(try writer.history.story(of: owed[0])?.events.first)
        #expect(event.details == nil)
        #expect(event.outcome == .dead)
        #expect(event.timeUnixNanoseconds == seconds(1001))
        #expect(writer.owed(owed[0]) == nil)
    }
}
