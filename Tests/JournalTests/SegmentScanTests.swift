// The format: golden bytes, cut everywhere, every bit flipped, and bytes that were never a segment.

import Glibc
import Testing

@testable import Journal

private func scan(_ bytes: [UInt8]) -> SegmentScan {
    bytes.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
}

private func verdict(_ bytes: [UInt8], bound: UInt64? = nil) -> SegmentVerdict {
    SegmentVerdict(scan: scan(bytes), number: 1, fileBytes: bytes.count, nextPreviousSequence: bound)
}

@Suite("Segment recovery")
struct SegmentScanTests {
    @Test("no bytes, few bytes, zeros and noise are no segment, and nothing happens")
    func noSegment() {
        #expect(scan([]).headerState == .unreadable)
        #expect(scan([1, 2, 3]).headerState == .unreadable)
        #expect(scan(Array(repeating: 0, count: 65536)).headerState == .unreadable)
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<50 {
            let count = Int.random(in: 0..<20000, using: &generator)
            let noise = (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            let result = verdict(noise)
            #expect(result.records.isEmpty)
            #expect(result.damage.map(\.kind) == [.segment])
        }
    }

    @Test("another format version is named, not guessed at")
    func unknownVersion() throws {
        var bytes = try SegmentSample.make()
        bytes[8] = 2
        bytes[2048 + 8] = 2
        #expect(scan(bytes).headerState == .unknownVersion(2))
        #expect(scan(bytes).records.isEmpty)
        let disk = SimulatedDisk(seed: 1)
        disk.place("0000000000000001.segment", bytes)
        let error = #expect(throws: JournalError.self) { try openJournal(disk) }
        #expect(error == .unknownVersion(segment: 1, version: 2, known: .current))
        #expect(error?.message.contains("version 2") == true)
        // Nothing was touched.
        #expect(disk.content("0000000000000001.segment") == bytes)
        // One copy alone is damage, and the other counts.
        bytes[2048 + 8] = 1
        #expect(scan(bytes).headerState == .damagedIdentityCopy)
        #expect(!scan(bytes).records.isEmpty)
    }

    @Test("the golden segment of version 1 is read as it was written, and is what is written today")
    func golden() throws {
        if getenv("GRAPNEL_WRITE_FIXTURES") != nil { SegmentSample.write(try SegmentSample.make(), as: .segment) }
        let bytes = try SegmentSample.golden(.segment)
        #expect(try SegmentSample.make() == bytes, "the writer's bytes have changed: that is another format version")
        let scan = scan(bytes)
        #expect(scan.headerState == .sound)
        let identity = try #require(scan.identity)
        #expect(identity.number == 1)
        #expect(identity.segmentBytes == 48 << 10)
        #expect(scan.start?.baseSequence == 1)
        #expect(scan.start?.previousSequence == 0)
        #expect(scan.start?.durability == .sync)
        let headers = scan.records.map(\.header)
        #expect(headers.map(\.sequence) == Array(1...8))
        #expect(headers.map(\.type) == Array(repeating: .delivery, count: 5) + [.plan, .outcome, .probe])
        #expect(headers.map(\.decision) == [.accepted, .duplicate, .accepted, .stored, .ignored, nil, nil, nil])
        #expect(headers[0].dedupeWindowSeconds == 600)
        #expect(headers[0].routeFingerprint == 7)
        #expect(headers[1].reference == 1)
        #expect(headers[1].bodyLength == 0)
        #expect(headers[1].receivedBodyLength == headers[0].bodyLength)
        #expect(headers[2].flags == .sameIDOtherBody)
        #expect(headers[4].ignoredReason == 4)
        #expect(headers[5].reference == 1)
        #expect(headers.map(\.durableMark) == [0, 0, 0, 0, 0, 5, 5, 7])
        #expect(!scan.records.contains { !$0.isPayloadIntact })
        try bytes.withUnsafeBytes { raw in
            let reader = ByteReader(raw)
            func payload(_ index: Int) -> ByteReader {
                reader.part(
                    from: scan.records[index].offset + headers[index].headOffset, count: Int(headers[index].headLength))
            }
            let meta = try #require(DeliveryMeta(reader, at: scan.records[0].offset, header: headers[0]))
            func text(_ field: DeliveryMeta.Field) -> String {
                reader.string(from: scan.records[0].offset + field.offset, count: field.count)
            }
            #expect(text(meta.cluster) == "local")
            #expect(text(meta.namespace) == "team-a")
            #expect(text(meta.name) == "webapp")
            #expect(text(meta.deliveryID) == "id-1")
            #expect(text(meta.eventName) == "push")
            #expect(
                PlanCoding.decode(payload(5)) == [
                    PlanEntry(actionKind: 1, target: [1, 2, 3]), PlanEntry(actionKind: 2, target: []),
                ])
            #expect(
                OutcomeCoding.decode(payload(6)) == [
                    OutcomeEntry(sequence: 1, planIndex: 0, outcome: .done),
                    OutcomeEntry(
                        sequence: 1, planIndex: 1, outcome: .failed, detail: 2, reason: "503 Service Unavailable"),
                    OutcomeEntry(sequence: 3, outcome: .merged, detail: 1),
                ])
        }
        // Recorded with the format: a route and id hash to this under the sample's key.
        #expect(headers[0].dedupeHash != .none)
        #expect(headers[0].dedupeHash == headers[1].dedupeHash)
    }

    @Test("the golden segment with copies and a keep record is read as it was written, and is what is written today")
    func goldenForward() throws {
        if getenv("GRAPNEL_WRITE_FIXTURES") != nil {
            SegmentSample.write(try SegmentSample.makeForward(), as: .forward)
        }
        let bytes = try SegmentSample.golden(.forward)
        #expect(
            try SegmentSample.makeForward() == bytes, "the writer's bytes have changed: that is another format version")
        let result = verdict(SegmentSample.whole(bytes))
        #expect(result.damage.isEmpty && result.voidRecords.isEmpty)
        let copies = result.records.filter(\.header.isCopied)
        #expect(copies.map(\.header.sequence) == [51])
        #expect(copies.map(\.header.decision) == [.accepted])
        let keep = try #require(result.records.first { $0.header.type == .keep })
        #expect(keep.header.reference == 1)
        let list = bytes.withUnsafeBytes { raw in
            KeepCoding.decode(
                ByteReader(raw).part(from: keep.offset + keep.header.headOffset, count: Int(keep.header.headLength)))
        }
        #expect(list?.sequences == Array(1...30))
        #expect(list?.lastSequence ?? 0 >= 30)
    }

    @Test("copies count with the record behind them, and not without it")
    func copiesAreClosed() throws {
        let bytes = try SegmentSample.golden(.forward)
        let whole = scan(bytes)
        let index = try #require(whole.records.firstIndex { $0.header.isCopied })
        let closing = whole.records[index + 1]
        #expect(!closing.header.isCopied)
        let previous = whole.records[..<index].last { !$0.header.isCopied }!.header.sequence
        // Void: the group of the copy was never acknowledged.
        #expect(!verdict(bytes, bound: previous).records.contains { $0.header.isCopied })
        #expect(verdict(bytes, bound: closing.header.sequence).records.contains { $0.header.isCopied })
        // Torn: the closing record did not make it.
        let torn = verdict(SegmentSample.whole(Array(bytes[0..<closing.offset])))
        #expect(!torn.records.contains { $0.header.isCopied })
        #expect(torn.damage.isEmpty)
        // Damaged, and known to have been durable.
        var damaged = bytes
        damaged[whole.records[index].offset + 200] ^= 1
        let result = verdict(damaged, bound: whole.records.last!.header.sequence)
        #expect(result.damage.map(\.missing) == [51...51])
    }

    @Test("cut at any byte, the records before the cut are there, and that it was cut is told")
    func cuts() throws {
        let bytes = try SegmentSample.make()
        let whole = scan(bytes)
        for length in stride(from: bytes.count, through: 0, by: -1) {
            let cut = verdict(Array(bytes[0..<length]))
            let expected = whole.records.filter { $0.offset + Int($0.header.totalLength) <= length }
            #expect(cut.records.map(\.header) == expected.map(\.header), "cut at \(length)")
            // At the end of a page, with nothing torn behind the last record, a start may have cut it.
            let isStarts = length == JournalFormat.segmentHeaderBytes
            let kind: [Damage.Kind] = length < JournalFormat.identityBytes ? [.segment] : isStarts ? [] : [.cut]
            #expect(cut.damage.map(\.kind) == kind, "cut at \(length)")
        }
    }

    @Test("cut at any byte and zeros behind, as a torn write leaves it, gives the same")
    func tornWithZeros() throws {
        let bytes = try SegmentSample.make()
        let whole = scan(bytes)
        for length in stride(from: bytes.count, to: JournalFormat.segmentHeaderBytes, by: -1) {
            let torn = SegmentSample.whole(Array(bytes[0..<length]))
            let result = verdict(torn)
            // The cut bytes may have been zeros themselves.
            #expect(result.records.count <= whole.records.count)
            #expect(
                result.records.map(\.header) == whole.records.prefix(result.records.count).map(\.header),
                "torn at \(length)")
            #expect(result.damage.isEmpty, "torn at \(length)")
        }
    }

    @Test("a flipped bit takes one record, says which, and leaves the others as they were")
    func flips() throws {
        let bytes = try SegmentSample.make()
        let whole = scan(bytes)
        let last = whole.records.last!.header.sequence
        for record in whole.records {
            let range = record.offset..<record.offset + Int(record.header.totalLength)
            let others = whole.records.filter { $0.offset != record.offset }.map(\.header)
            for position in range {
                for bit in 0..<8 {
                    var flipped = bytes
                    flipped[position] ^= 1 << bit
                    // A later segment says that all of this was durable.
                    let result = verdict(flipped, bound: last)
                    #expect(result.records.map(\.header) == others, "bit \(bit) of byte \(position)")
                    let missing = result.damage.compactMap(\.missing)
                    #expect(missing == [record.header.sequence...record.header.sequence], "byte \(position)")
                }
            }
        }
    }

    @Test("a flipped bit in the last segment is damage below the last durable mark and a torn tail above it")
    func flipsInTheTail() throws {
        let bytes = try SegmentSample.make()
        let whole = scan(bytes)
        for record in whole.records {
            var flipped = bytes
            flipped[record.offset + 20] ^= 1
            let result = verdict(SegmentSample.whole(flipped))
            if record.header.sequence <= 7 {
                // The probe carries mark 7.
                #expect(result.records.count == 7)
                #expect(result.damage.compactMap(\.missing) == [record.header.sequence...record.header.sequence])
                #expect(result.tornBytes == 0)
            } else {
                #expect(result.records.count == 7)
                #expect(result.damage.isEmpty)
                #expect(result.tornBytes > 0)
            }
        }
    }

    @Test("a flipped bit in the segment header costs nothing but a word")
    func headerFlips() throws {
        let bytes = try SegmentSample.make()
        let whole = scan(bytes)
        for base in [0, 2048, 4096, 6144] {
            for position in base..<base + 72 {
                for bit in 0..<8 {
                    var flipped = bytes
                    flipped[position] ^= 1 << bit
                    let result = verdict(flipped, bound: 8)
                    #expect(result.records.map(\.header) == whole.records.map(\.header), "byte \(position)")
                    let isUsed = position - base < (base < 4096 ? 72 : 64)
                    #expect(result.damage.map(\.kind) == (isUsed ? [.segmentHeader] : []), "byte \(position)")
                }
            }
        }
        var wrecked = bytes
        for position in 4096..<8192 { wrecked[position] = 0xFF }
        #expect(verdict(wrecked, bound: 8).records.count == 8)
        #expect(verdict(wrecked, bound: 8).damage.map(\.kind) == [.segmentHeader])
        for position in 0..<4096 { wrecked[position] = 0xFF }
        #expect(verdict(wrecked, bound: 8).damage.map(\.kind) == [.segment])
    }

    @Test("what the next segment calls void does not count, and what it calls durable is missed")
    func bounds() throws {
        let bytes = try SegmentSample.make()
        for bound in UInt64(0)...8 {
            let result = verdict(bytes, bound: bound)
            #expect(result.records.map(\.header.sequence) == Array(1..<bound + 1))
            #expect(result.damage.isEmpty)
        }
        let short = verdict(bytes, bound: 12)
        #expect(short.records.count == 8)
        #expect(short.damage.compactMap(\.missing) == [9...12])
        #expect(short.damage.first?.offset == bytes.count)
    }

    @Test("records of another incarnation are the end of data")
    func otherIncarnation() throws {
        let bytes = try SegmentSample.make()
        let whole = scan(bytes)
        var identity = try #require(whole.identity)
        identity.incarnation ^= 1
        var recycled = bytes
        recycled.withUnsafeMutableBytes { raw in
            memset(raw.baseAddress!, 0, 8192)
            identity.encode(
                into: ByteWriter(raw.baseAddress!, count: raw.count), checksum: Checksummer(tableChecksum))
        }
        let result = verdict(recycled)
        #expect(result.isUnstarted)
        #expect(result.records.isEmpty && result.damage.isEmpty)
        // Even with a start that counts.
        recycled.withUnsafeMutableBytes { raw in
            SegmentStart(
                incarnation: identity.incarnation, baseSequence: 20, previousSequence: 19, startedUnixNanoseconds: 0,
                durability: .sync
            ).encode(into: ByteWriter(raw.baseAddress! + 4096, count: 4096), checksum: Checksummer(tableChecksum))
        }
        #expect(verdict(recycled).records.isEmpty)
        #expect(verdict(recycled).stop == .otherData)
    }

    @Test("random damage of any size never crashes, never makes up a record")
    func randomDamage() throws {
        let bytes = try SegmentSample.make()
        let headers = scan(bytes).records.map(\.header)
        for seed in seeds(quick: 200) {
            var generator = SeededGenerator(seed: seed)
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let at = Int.random(in: 0..<damaged.count, using: &generator)
                let count = min(Int.random(in: 1...600, using: &generator), damaged.count - at)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: for index in at..<at + count { damaged[index] = UInt8(truncatingIfNeeded: generator.next()) }
                case 1: for index in at..<at + count { damaged[index] = 0 }
                default:
                    // A piece of the segment somewhere else.
                    let from = Int.random(in: 0..<damaged.count - count + 1, using: &generator)
                    damaged.replaceSubrange(at..<at + count, with: Array(bytes[from..<from + count]))
                }
            }
            for bound in [nil, UInt64(8)] {
                for record in verdict(damaged, bound: bound).records {
                    #expect(headers.contains(record.header), "seed \(seed)")
                }
            }
        }
    }

    @Test("bytes made to be expensive cost no more than linear work")
    func expensive() throws {
        // A record header every 112 bytes, each claiming the rest of the segment, none with a good checksum.
        let sample = try SegmentSample.make()
        var bytes = Array(sample[0..<8192])
        let header = Array(sample[8192..<8192 + 112])
        while bytes.count < 1 << 20 { bytes += header }
        let start = clock()
        let result = scan(bytes)
        #expect(result.records.count <= 1)
        #expect(Double(clock() - start) / Double(CLOCKS_PER_SEC) < 5)
    }
}

@Suite("DedupeKey")
struct DedupeKeyTests {
    @Test("hashes as the reference code of SipHash-2-4-128 does")
    func vectors() {
        let key = DedupeKey(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)
        // vectors_sip128 of the authors' vectors.h, first three.
        let expected: [[UInt8]] = [
            [0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93],
            [0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45],
            [0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff, 0xe4],
        ]
        for (count, bytes) in expected.enumerated() {
            let hash = (0..<count).map { UInt8($0) }.withUnsafeBytes { key.hash($0) }
            let found =
                withUnsafeBytes(of: hash.low.littleEndian) { Array($0) }
                + withUnsafeBytes(of: hash.high.littleEndian) { Array($0) }
            #expect(found == bytes)
        }
    }

    @Test("an empty id is no id; route and id do not run together")
    func parts() {
        let key = DedupeKey(low: 1, high: 2)
        func hash(_ route: String, _ id: String) -> DedupeHash {
            Array(route.utf8).withUnsafeBytes { route in
                Array(id.utf8).withUnsafeBytes { key.hash(route: route, deliveryID: $0) }
            }
        }
        #expect(hash("a", "") == .none)
        #expect(hash("ab", "c") != hash("a", "bc"))
        #expect(hash("a", "b") != hash("b", "a"))
        #expect(hash("a", "b") == hash("a", "b"))
        // Words and bytes take different ways through the hash.
        #expect(hash("", "0123456789abcdef") != hash("0", "123456789abcdef"))
        #expect("\(key)" == "<key>")
    }
}
