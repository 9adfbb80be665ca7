// What `grapnel journal inspect` and `verify` print, of sound and of damaged journals.

import Glibc
import Testing

@testable import Journal

@Suite("Journal inspection")
struct InspectionTests {
    private func sampleDisk() throws -> SimulatedDisk {
        let disk = SimulatedDisk(seed: 2)
        disk.place("0000000000000001.segment", SegmentSample.whole(try SegmentSample.make()))
        return disk
    }

    private func inspect(_ disk: SimulatedDisk) throws -> (InspectionSummary, [String]) {
        var lines: [String] = []
        let summary = try JournalInspection.inspect(disk: disk, checksum: tableChecksum) { lines.append($0) }
        return (summary, lines)
    }

    private func verify(_ disk: SimulatedDisk) throws -> (InspectionSummary, [String]) {
        var lines: [String] = []
        let summary = try JournalInspection.verify(disk: disk, checksum: tableChecksum) { lines.append($0) }
        return (summary, lines)
    }

    @Test("a sound journal is listed record by record, and changed in nothing")
    func sound() throws {
        let disk = try sampleDisk()
        let before = disk.content("0000000000000001.segment")
        let (summary, lines) = try inspect(disk)
        #expect(summary.isSound)
        #expect(
            lines == [
                "0000000000000001.segment 49152 bytes created 2023-11-14T22:13:20.000Z from #1 after #0 sync",
                "  8192 #1 2023-11-14T22:13:20.000Z delivery accepted kind-2/team-a/webapp sender-3 id=\"id-1\" "
                    + "event=\"push\" head 20 body 14",
                "  8368 #2 2023-11-14T22:13:20.000Z delivery duplicate(of #1) kind-2/team-a/webapp sender-3 "
                    + "id=\"id-1\" event=\"push\" head 20 body 14 (body not kept)",
                "  8536 #3 2023-11-14T22:13:20.000Z delivery accepted kind-2/team-a/webapp sender-3 id=\"id-1\" "
                    + "event=\"push\" same-id-other-body head 20 body 14",
                "  8712 #4 2023-11-14T22:13:20.000Z delivery stored :kind-2// sender-3 id=\"\" event=\"push\" head 0 "
                    + "body 0",
                "  8840 #5 2023-11-14T22:13:20.000Z delivery ignored(reason-4) kind-2/team-a/webapp sender-3 id=\"\" "
                    + "event=\"ping\" head 33 body 4",
                "  9016 #6 2023-11-14T22:13:20.000Z plan for #1: action-1, action-2",
                "  9144 #7 2023-11-14T22:13:20.000Z outcome #1[0] done, #1[1] failed(2) \"503 Service Unavailable\", "
                    + "#3 merged(into #1)",
                "  9344 #8 2023-11-14T22:13:22.000Z probe durable through #7",
                "1 segments, 8 records, 5 deliveries, 1 owed, 0 damaged",
            ])
        #expect(try verify(disk).1 == [lines.last!])
        #expect(disk.content("0000000000000001.segment") == before)
        #expect(disk.writeCount == 0 && disk.syncCount == 0)
    }

    @Test("it needs no lock, so a running server is no obstacle")
    func besideAServer() throws {
        let disk = SimulatedDisk(seed: 3)
        let (writer, _) = try openJournal(disk)
        try store(TestDelivery("x"), in: writer)
        var lines: [String] = []
        let reading = SharedReading(disk)
        let summary = try JournalInspection.inspect(disk: reading, checksum: tableChecksum) { lines.append($0) }
        #expect(summary.records == 1)
        #expect(lines.contains { $0.contains("prepared, not used") })
        writer.close(now: 0)
    }

    @Test("damage is named by file, offset and sequence, and makes verify fail")
    func damaged() throws {
        let disk = try sampleDisk()
        var bytes = try #require(disk.content("0000000000000001.segment"))
        bytes[8536 + 170] ^= 1
        disk.place("0000000000000001.segment", bytes)
        let (summary, lines) = try verify(disk)
        #expect(!summary.isSound)
        #expect(summary.missing == 1)
        #expect(
            lines == [
                "damage: 0000000000000001.segment offset 8536 length 176 (payload): record #3 is lost",
                "1 segments, 7 records, 4 deliveries, 1 owed, 1 damaged, 1 records lost",
            ])
        disk.place("0000000000000001.segment", [1, 2, 3])
        #expect(
            try verify(disk).1.first
                == "damage: 0000000000000001.segment offset 0 length 3 (segment): nothing of it can be read")
    }

    @Test("another version is named, and what can be read is read")
    func unknownVersion() throws {
        let disk = try sampleDisk()
        var bytes = try #require(disk.content("0000000000000001.segment"))
        bytes[8] = 9
        bytes[2048 + 8] = 9
        disk.place("0000000000000002.segment", bytes)
        let (summary, lines) = try inspect(disk)
        #expect(!summary.isSound)
        #expect(summary.unknownVersions == 1)
        #expect(summary.records == 8)
        #expect(lines.contains { $0.contains("format version 9") })
    }

    @Test("what came with a request is printed so that a terminal does nothing about it")
    func escapes() {
        #expect(RecordLines.escaped("a\u{1B}[2J\n\"\\ü\u{202E}") == "a\\u{1b}[2J\\u{a}\\\"\\\\ü\\u{202e}")
    }

    @Test(
        "times are the calendar's",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ])
    func times(_ milliseconds: UInt64, _ text: String) {
        #expect(UnixTime.text(milliseconds * 1_000_000) == text)
    }
}

/// Another process's view of a simulated disk: it neither takes nor gives the lock.
final class SharedReading: Disk {
    private let disk: SimulatedDisk
    init(_ disk: SimulatedDisk) { self.disk = disk }

    func open(_ access: DiskAccess) throws(DiskError) {
        guard access == .readOnly else { throw DiskError(code: 11, operation: .lock) }
    }
    func close() {}
    func list() throws(DiskError) -> [DiskEntry] { try disk.list() }
    func create(_ name: String) throws(DiskError) -> DiskFile { throw DiskError(code: 30, operation: .create) }
    func open(_ name: String, writable: Bool) throws(DiskError) -> DiskFile {
        guard !writable else { throw DiskError(code: 30, operation: .open) }
        return try disk.open(name, writable: false)
    }
    func close(_ file: DiskFile) { disk.close(file) }
    func write(
        _ vectors: UnsafePointer<iovec>, count: Int, to file: DiskFile, at offset: UInt64
    ) throws(DiskError) -> Int { throw DiskError(code: 30, operation: .write) }
    func reserve(_ file: DiskFile, byteCount: UInt64) throws(DiskError) {
        throw DiskError(code: 30, operation: .reserve)
    }
    func read(_ file: DiskFile, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int
    {
        try disk.read(file, at: offset, into: buffer)
    }
    func syncData(_ file: DiskFile) throws(DiskError) { throw DiskError(code: 30, operation: .sync) }
    func syncFile(_ file: DiskFile) throws(DiskError) { throw DiskError(code: 30, operation: .sync) }
    func syncDirectory() throws(DiskError) { throw DiskError(code: 30, operation: .syncDirectory) }
    func rename(_ name: String, to newName: String) throws(DiskError) { throw DiskError(code: 30, operation: .rename) }
    func remove(_ name: String) throws(DiskError) { throw DiskError(code: 30, operation: .remove) }
    func truncate(_ file: DiskFile, to byteCount: UInt64) throws(DiskError) {
        throw DiskError(code: 30, operation: .truncate)
    }
    func randomBits() -> UInt64 { 1 }
}
