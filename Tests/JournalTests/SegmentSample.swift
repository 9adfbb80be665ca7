// SegmentSample: a small segment with every kind of record in it, made by the writer on a seeded disk: the same bytes
// each time. The golden file of format version 1 is this, kept for ever.

import Glibc
import Journal

enum SegmentSample {
    static let time = seconds(1_700_000_000)
    /// A file of format version 1.
    enum Golden: String, CaseIterable {
        /// Deliveries of every decision, plan, outcome, probe.
        case segment = "segment.bin"
        /// Copies and a keep record, as they are written when an old segment must make way.
        case forward = "forward.bin"

        var path: String {
            String(#filePath.dropLast("SegmentSample.swift".count)) + "../Fixtures/journal/v1/" + rawValue
        }
    }

    /// The file, cut behind its last record.
    static func make() throws -> [UInt8] {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk, now: time)
        let first = TestDelivery(head: Array("POST /a HTTP/1.1\r\n\r\n".utf8), body: Array("{\"ref\":\"main\"}".utf8))
            .identified("id-1", by: writer)
        let repeated = TestDelivery(head: first.head, body: first.body).identified("id-1", by: writer)
        let other = TestDelivery(head: first.head, body: Array("{\"ref\":\"next\"}".utf8)).identified(
            "id-1", by: writer)
        let stored = TestDelivery(head: [], body: [])
        (stored.decision, stored.cluster, stored.namespace, stored.name) = (.stored, "", "", "")
        let ignored = TestDelivery("ping")
        (ignored.decision, ignored.ignoredReason, ignored.eventName) = (.ignored, 4, "ping")
        for delivery in [first, repeated, other, stored, ignored] {
            delivery.receivedAt = time
            _ = delivery.append(to: writer)
        }
        _ = writer.commit(now: time)
        writer.appendPlan(
            sequence: 1, entries: [PlanEntry(actionKind: 1, target: [1, 2, 3]), PlanEntry(actionKind: 2, target: [])],
            now: time)
        writer.appendOutcomes(
            [
                OutcomeEntry(sequence: 1, planIndex: 0, outcome: .done),
                OutcomeEntry(sequence: 1, planIndex: 1, outcome: .failed, detail: 2, reason: "503 Service Unavailable"),
                OutcomeEntry(sequence: 3, outcome: .merged, detail: 1),
            ], now: time)
        _ = writer.commit(now: time)
        // Idle for a second: a probe carries the mark of the last group.
        writer.tick(now: time + seconds(1))
        writer.tick(now: time + seconds(2))
        let bytes = disk.content("0000000000000001.segment")!
        let scan = bytes.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
        return Array(bytes[0..<scan.validLength])
    }

    /// A segment into which another one's owed deliveries were copied, and that lists what is owed in a kept one.
    static func makeForward() throws -> [UInt8] {
        let disk = SimulatedDisk(seed: 2)
        let (writer, _) = try openJournal(disk, .small(maxBytes: 256 << 10), now: time)
        for number in 0..<200 {
            let delivery = TestDelivery(body: Array(repeating: UInt8(number), count: 1000))
            // Much is owed in the first segment, little in the second, nothing later.
            delivery.decision = number < 30 || number == 50 ? .accepted : .stored
            delivery.receivedAt = time
            try store(delivery, in: writer, now: time)
            for name in disk.names where name.hasSuffix(".segment") {
                let bytes = disk.content(name)!
                let scan = bytes.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
                let types = Set(scan.records.map(\.header.type))
                if types.contains(.keep), scan.records.contains(where: \.header.isCopied) {
                    return Array(bytes[0..<scan.validLength])
                }
            }
        }
        throw TestFailure.refused
    }

    /// As the file was before it was cut behind its last record.
    static func whole(_ bytes: [UInt8]) -> [UInt8] {
        let scan = bytes.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
        return bytes + Array(repeating: 0, count: max(0, Int(scan.identity?.segmentBytes ?? 0) - bytes.count))
    }

    static func golden(_ golden: Golden) throws -> [UInt8] {
        guard let file = fopen(golden.path, "rb") else { throw DiskError(code: errno, operation: .open) }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes[0..<count])
    }

    static func write(_ bytes: [UInt8], as golden: Golden) {
        guard let file = fopen(golden.path, "wb") else { return }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}
