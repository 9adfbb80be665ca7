// A journal that is wounded again and again, with a start between two wounds: each start says exactly what the wound before
// it took, and everything else is still there.
//
// A wound is one flipped bit, or a file that ends early. What it may take unsaid is what no log can tell from a group that was
// being written when the power went: of the segment that was written last, the records that no durable mark vouches for. A
// second without a delivery leaves none but the probe that carries the mark.

import Glibc
import Testing

@testable import Journal

@Suite("Wounds")
struct WoundTests {
    @Test("what a start has told stays told, and what lies behind it stays, when the mark that proved it is hit next")
    func markGone() throws {
        let disk = SimulatedDisk(seed: 1)
        var (writer, report) = try openJournal(disk)
        // One group: only the probe of the end carries a mark above its first record.
        for number in 0..<10 { _ = TestDelivery(body: Array(repeating: UInt8(number), count: 100)).append(to: writer) }
        #expect(writer.commit(now: seconds(1000)) == .durable(through: 10))
        writer.close(now: seconds(1000))
        let name = SegmentFileName.segment(1)
        let scan = disk.content(name)!.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
        for sequence in [5, 11] as [UInt64] {
            var bytes = disk.content(name)!
            bytes[scan.records.first { $0.header.sequence == sequence }!.offset + 20] ^= 1
            disk.kill()
            disk.place(name, bytes)
            (writer, report) = try openJournal(disk)
            #expect(report.damage.compactMap(\.missing).contains { $0.contains(5) }, "after \(sequence)")
            #expect(report.owed.count == 9, "after \(sequence)")
        }
    }

    @Test("a file that ends anywhere before its segment does is told, whichever it is, and the server starts")
    func cutFile() throws {
        for (number, length) in [(1, 4100), (1, 6000), (2, 100), (2, 4100), (2, 8200), (2, 20_000)] as [(UInt64, Int)] {
            let disk = SimulatedDisk(seed: 2)
            let (writer, _) = try openJournal(disk)
            for fill in 0..<15 { try store(TestDelivery(body: Array(repeating: UInt8(fill), count: 4000)), in: writer) }
            let next = writer.nextSequence
            disk.kill()
            let name = SegmentFileName.segment(number)
            disk.place(name, Array(disk.content(name)![..<length]))
            let (_, report) = try openJournal(disk)
            #expect(report.damage.contains { $0.kind == .cut && $0.segment == number }, "\(number) at \(length)")
            #expect(report.nextSequence >= next, "\(number) at \(length)")
        }
    }

    @Test(
        "a segment in the middle that is cut within its header: what it held is told, and what was merged into that is owed"
    )
    func cutHeader() throws {
        let disk = SimulatedDisk(seed: 3)
        var (writer, report) = try openJournal(disk)
        let directory = writer.reader.directory
        let old = try store(TestDelivery("old"), in: writer)
        var heir: UInt64 = 0
        while directory.segments.count < 3 {
            let sequence = try store(TestDelivery(body: Array(repeating: 65, count: 4000)), in: writer)
            if directory.segments.count == 2, heir == 0 { heir = sequence }
        }
        writer.appendOutcomes([OutcomeEntry(sequence: old, outcome: .merged, detail: heir)], now: 0)
        writer.close(now: 0)
        let lost = directory.segments[1].baseSequence...directory.segments[2].baseSequence - 1
        #expect(lost.contains(heir))
        disk.kill()
        let name = SegmentFileName.segment(2)
        disk.place(name, Array(disk.content(name)![..<5000]))
        (writer, report) = try openJournal(disk)
        #expect(report.damage.map(\.kind) == [.cut])
        #expect(report.damage.map(\.missing) == [lost])
        #expect(report.owed.contains { $0.sequence == old })
    }

    @Test("a whole segment with an unreadable one behind it is not cut, and both keep their size in the account")
    func unreadableEnd() throws {
        for isCut in [false, true] {
            let disk = SimulatedDisk(seed: 4)
            var (writer, report) = try openJournal(disk)
            // So long that a page is left over in the first segment.
            for _ in 0..<7 { try store(TestDelivery(body: Array(repeating: 65, count: 7000)), in: writer) }
            disk.kill()
            let whole = disk.content(SegmentFileName.segment(1))!
            let scan = whole.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
            #expect(SegmentVerdict.cutLength(scan.validLength) < whole.count)
            let newest = disk.content(SegmentFileName.segment(2))!
            disk.place(
                SegmentFileName.segment(2),
                isCut ? Array(newest[..<5000]) : Array(repeating: 0xEE, count: newest.count))
            (writer, report) = try openJournal(disk)
            #expect(report.damage.contains { $0.segment == 2 })
            #expect(disk.content(SegmentFileName.segment(1))! == whole)
            #expect(writer.bytesUsed == UInt64(disk.usedBytes))
        }
    }

    @Test("wound after wound, each start tells exactly what is gone, and the rest is there")
    func many() throws {
        var seen = WoundModel.Seen()
        let seeds = seeds(quick: 60)
        for seed in seeds {
            let model = WoundModel(seed: seed)
            try model.run(rounds: 8)
            #expect(model.problems.isEmpty, "GRAPNEL_SEED=\(seed): \(model.problems.joined(separator: "; "))")
            seen.add(model.seen)
        }
        guard seeds.count > 1 else { return }
        #expect(seen.flips > 0 && seen.cuts > 0 && seen.told > 0 && seen.silent > 0 && seen.quietRounds > 0)
    }
}

/// One journal and its wounds, from one seed.
private final class WoundModel {
    struct Seen {
        var flips = 0
        var cuts = 0
        /// Records that were gone and told of; and torn tails.
        var told = 0
        var silent = 0
        /// Starts after which nothing was written before the next wound.
        var quietRounds = 0

        mutating func add(_ other: Seen) {
            flips += other.flips
            cuts += other.cuts
            told += other.told
            silent += other.silent
            quietRounds += other.quietRounds
        }
    }

    /// A record that counts.
    struct Held {
        var segment: UInt64
        var offset: Int
        var end: Int
        var mark: UInt64
        var type: RecordType
    }

    /// What the segments hold, as a start would read them.
    struct Content {
        var records: [UInt64: Held] = [:]
        /// The one written last, and what its start says.
        var lastSegment: UInt64 = 0
        var lastPrevious: UInt64 = 0
    }

    /// What a wound touched; `from`: the first byte that is not what it was, `through` the last.
    struct Wound {
        var text: String
        var name: String
        var number: UInt64
        var bytes: ClosedRange<Int>
        var isCut: Bool
    }

    private(set) var problems: [String] = []
    private(set) var seen = Seen()
    private let disk: SimulatedDisk
    private var generator: SeededGenerator
    // So large that nothing makes way.
    private let options = JournalOptions.small(maxBytes: 16 << 20)
    private var told: Set<UInt64> = []
    private var clock = seconds(1000)

    init(seed: UInt64) {
        disk = SimulatedDisk(seed: seed &* 17 &+ 3)
        generator = SeededGenerator(seed: seed)
    }

    func run(rounds: Int) throws {
        var (writer, _) = try openJournal(disk, options, now: clock)
        live(writer, steps: 12)
        end(writer)
        for round in 0..<rounds {
            let before = content()
            guard let wound = wound(before) else { continue }
            let report: RecoveryReport
            (writer, report) = try openJournal(disk, options, now: clock)
            check(before, wound, report, round)
            let steps = generator.chance(50) ? 0 : Int.random(in: 1...10, using: &generator)
            if steps == 0 { seen.quietRounds += 1 }
            live(writer, steps: steps)
            end(writer)
        }
    }

    // MARK: Life

    private func live(_ writer: JournalWriter, steps: Int) {
        for _ in 0..<steps {
            clock += 1_000_000
            var sequences: [UInt64] = []
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let delivery = TestDelivery(
                    body: Array(repeating: 65, count: Int.random(in: 0...4000, using: &generator)))
                delivery.receivedAt = clock
                if case .appended(let sequence) = delivery.append(to: writer) { sequences.append(sequence) }
            }
            guard case .durable = writer.commit(now: clock) else {
                problems.append("a commit failed")
                return
            }
            for sequence in sequences where generator.chance(60) {
                writer.appendPlan(sequence: sequence, entries: [PlanEntry(actionKind: 1, target: [1])], now: clock)
                writer.appendOutcomes([OutcomeEntry(sequence: sequence, outcome: .done)], now: clock)
            }
        }
    }

    /// Closed, killed after a quiet second, or killed at once.
    private func end(_ writer: JournalWriter) {
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: writer.close(now: clock)
        case 1:
            for _ in 0..<3 {
                clock += seconds(1)
                writer.tick(now: clock)
            }
        default: break
        }
        if generator.chance(30) { disk.crash() } else { disk.kill() }
    }

    // MARK: Wounds

    private func wound(_ content: Content) -> Wound? {
        let names = disk.names.filter { SegmentFileName.segmentNumber($0) != nil }
        guard !content.records.isEmpty, var name = names.randomElement(using: &generator) else { return nil }
        var bytes = disk.content(name)!
        if generator.chance(25) {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            disk.place(name, Array(bytes[..<at]))
            seen.cuts += 1
            let number = SegmentFileName.segmentNumber(name)!
            return Wound(text: "\(name) cut at \(at)", name: name, number: number, bytes: at...Int.max - 1, isCut: true)
        }
        var at = Int.random(in: 0..<bytes.count, using: &generator)
        if generator.chance(80) {
            // Mostly in a record, and often among the last ones, where the marks are.
            var held = content.records.values.sorted { ($0.segment, $0.offset) < ($1.segment, $1.offset) }
            if generator.chance(50) { held = held.suffix(8) }
            let record = held.randomElement(using: &generator)!
            name = SegmentFileName.segment(record.segment)
            bytes = disk.content(name)!
            let end = generator.chance(50) ? min(record.end, record.offset + 112) : record.end
            at = Int.random(in: record.offset..<end, using: &generator)
        } else if generator.chance(30) {
            at = Int.random(in: 0..<min(8192, bytes.count), using: &generator)
        }
        bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        disk.place(name, bytes)
        seen.flips += 1
        let number = SegmentFileName.segmentNumber(name)!
        return Wound(text: "\(name) flipped at \(at)", name: name, number: number, bytes: at...at, isCut: false)
    }

    private func content() -> Content {
        var content = Content()
        let scanner = try! LogScanner(disk: disk, checksum: Checksummer(tableChecksum))
        for index in scanner.files.indices {
            scanner.judge(index) { verdict, _ in
                if verdict.isUnstarted { return }
                content.lastSegment = verdict.number
                content.lastPrevious = verdict.start?.previousSequence ?? 0
                for record in verdict.records where !record.header.isCopied {
                    content.records[record.header.sequence] = Held(
                        segment: verdict.number, offset: record.offset,
                        end: record.offset + Int(record.header.totalLength), mark: record.header.durableMark,
                        type: record.header.type)
                }
            }
        }
        return content
    }

    // MARK: The judge

    private func check(_ before: Content, _ wound: Wound, _ report: RecoveryReport, _ round: Int) {
        let after = content()
        let gone = Set(before.records.keys).subtracting(after.records.keys)
        let missing = Set(report.damage.flatMap { $0.missing.map(Array.init) ?? [] })
        let news = missing.subtracting(told)
        // Of a segment without its header, or cut at the end of the log, it is told that nobody knows what is gone.
        // Its own start and the one of the next segment tell what it held.
        let isBounded = wound.isCut && wound.number < before.lastSegment && holdsStart(wound.name)
        let isToldWhole =
            !isBounded
            && report.damage.contains {
                $0.segment == wound.number && ($0.kind == .cut || $0.kind == .segment) && $0.missing == nil
            }
        let inSegment = Set(before.records.filter { $0.value.segment == wound.number }.keys)
        let silent = gone.subtracting(missing)
        var tail = tornTail(before, wound)
        if isToldWhole { tail.formUnion(inSegment) }
        func complain(_ text: String) {
            problems.append("round \(round), \(wound.text): \(text); told \(report.damage)")
        }
        if !silent.isSubset(of: tail) { complain("gone and not told: \(silent.subtracting(tail).sorted().prefix(9))") }
        if !news.isSubset(of: gone), !isHeaderGone(wound.name) {
            complain("told and not gone: \(news.subtracting(gone).sorted().prefix(9))")
        }
        // Of the records themselves only those that the wound touches can go.
        let touched = before.records.filter {
            $0.value.segment == wound.number && $0.value.offset <= wound.bytes.upperBound
                && $0.value.end > wound.bytes.lowerBound
        }
        let collateral = gone.subtracting(touched.keys).subtracting(tail)
        if !collateral.isEmpty, !isHeaderGone(wound.name) {
            complain("gone untouched: \(collateral.sorted().prefix(9))")
        }
        if wound.isCut, !silent.isEmpty, report.damage.isEmpty { complain("a cut that nobody is told of") }
        seen.told += gone.intersection(missing).count
        seen.silent += silent.count
        told.formUnion(missing)
    }

    private func holdsStart(_ name: String) -> Bool {
        disk.content(name)!.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }.start != nil
    }

    private func isHeaderGone(_ name: String) -> Bool {
        let bytes = disk.content(name)!
        let scan = bytes.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
        return bytes.count < JournalFormat.segmentHeaderBytes || scan.identity == nil
            || scan.headerState == .damagedStart
    }

    /// What may go unsaid: the records of the last segment that no mark in what is left of it vouches for.
    private func tornTail(_ before: Content, _ wound: Wound) -> Set<UInt64> {
        guard wound.number == before.lastSegment else { return [] }
        let left = before.records.values.filter {
            $0.segment == wound.number && ($0.end <= wound.bytes.lowerBound || $0.offset > wound.bytes.upperBound)
        }
        let proven = left.map(\.mark).reduce(before.lastPrevious, max)
        return Set(before.records.filter { $0.value.segment == wound.number && $0.key > proven }.keys)
    }
}
