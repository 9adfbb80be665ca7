// LogScanner: reads a whole log, segment by segment, the same way for the server's start, `inspect` and `verify`.
//
// The heads of all segments are read first, because the next segment's start says which records of this one count
// (`SegmentVerdict`). Then one segment at a time is read into memory and judged. Nothing is changed.

/// One segment file of the directory.
struct LogFile {
    var name: String
    var number: UInt64
    var byteCount: UInt64
    var headerState: SegmentHeaderState
    var identity: SegmentIdentity?
    var start: SegmentStart?

    /// It has its header.
    var isReadable: Bool { identity != nil && byteCount >= UInt64(JournalFormat.segmentHeaderBytes) }
}

struct LogScanner {
    private let disk: any Disk
    private let checksum: Checksummer
    private let formats: FormatVersions
    // One memory for all segments: fresh pages for each would cost more than reading them.
    private let buffer = SegmentBuffer()
    private let failures = ReadFailures()
    /// By number, oldest first.
    private(set) var files: [LogFile] = []
    /// Segments that were carried forward as a whole, by number.
    private(set) var kept: [LogFile] = []
    /// What preparations that were cut off left behind.
    private(set) var leftovers: [String] = []

    init(disk: any Disk, checksum: Checksummer, formats: FormatVersions = .current) throws(JournalError) {
        self.disk = disk
        self.checksum = checksum
        self.formats = formats
        var entries: [DiskEntry]
        do throws(DiskError) {
            entries = try disk.list()
        } catch {
            throw JournalError(error)
        }
        entries.sort { $0.name < $1.name }
        for entry in entries {
            if let number = SegmentFileName.segmentNumber(entry.name) {
                files.append(readHeader(number, entry))
            } else if let number = SegmentFileName.keptNumber(entry.name) {
                kept.append(readHeader(number, entry))
            } else if SegmentFileName.preparingNumber(entry.name) != nil {
                leftovers.append(entry.name)
            }
        }
    }

    /// The highest number of any file; 0 when there is none.
    var highestNumber: UInt64 {
        let numbers = (files + kept).map(\.number) + leftovers.compactMap { SegmentFileName.preparingNumber($0) }
        return numbers.max() ?? 0
    }

    /// Throws when a segment was written by a Grapnel that this one does not know.
    func checkVersions() throws(JournalError) {
        for file in files + kept {
            if case .unknownVersion(let version) = file.headerState {
                throw .unknownVersion(segment: file.number, version: version, known: formats)
            }
        }
    }

    /// What the data directory is in: the highest version of any segment; nil when there is none that can be read.
    var formatVersion: UInt32? { (files + kept).compactMap(\.identity?.version).max() }

    private func readHeader(_ number: UInt64, _ entry: DiskEntry) -> LogFile {
        var file = LogFile(name: entry.name, number: number, byteCount: entry.byteCount, headerState: .unreadable)
        let count = min(Int(entry.byteCount), JournalFormat.segmentHeaderBytes)
        guard let bytes = read(file, count: count) else { return file }
        let scan = recoverHeader(bytes.reader, checksum: checksum, formats: formats)
        file.headerState = scan.headerState
        file.identity = scan.identity
        file.start = scan.start
        return file
    }

    /// What the disk could not read, by segment. Not damage: it may be there again at the next attempt.
    var readFailures: [(segment: UInt64, error: DiskError)] { failures.all }

    /// nil when the disk cannot read it, twice: then it looks as if it were damaged.
    private func read(_ file: LogFile, count: Int) -> SegmentBytes? {
        for attempt in 1...Self.readAttempts {
            do throws(DiskError) {
                return try SegmentBytes(disk: disk, name: file.name, byteCount: count, in: buffer)
            } catch {
                if attempt == Self.readAttempts { failures.all.append((file.number, error)) }
            }
        }
        return nil
    }

    private static let readAttempts = 2

    /// Judges the segment at `index` of `files`. The bytes live during the call.
    func judge(_ index: Int, _ body: (SegmentVerdict, ByteReader) -> Void) {
        scan(files[index]) { scan, reader in body(judge(scan, index), reader) }
    }

    /// Scans a file, without a judgement: of a kept segment its list decides. The bytes live during the call.
    func scan(_ file: LogFile, _ body: (SegmentScan, ByteReader) -> Void) {
        guard let bytes = read(file, count: Int(file.byteCount)) else {
            body(recoverSegment(.empty, checksum: checksum, formats: formats), .empty)
            return
        }
        body(recoverSegment(bytes.reader, checksum: checksum, formats: formats), bytes.reader)
    }

    private func judge(_ scan: SegmentScan, _ index: Int) -> SegmentVerdict {
        let file = files[index]
        let next = files[(index + 1)...].firstIndex { $0.start != nil }
        var bound = next.flatMap { files[$0].start?.previousSequence }
        if next == nil, files[(index + 1)...].contains(where: { !$0.isReadable }) {
            // What the segment behind said of this one is lost. Rather all that is there counts than that a hole, which it
            // vouched for, is taken for the end.
            bound = scan.records.last { !$0.header.isCopied }?.header.sequence
        }
        var verdict = SegmentVerdict(
            scan: scan, number: file.number, fileBytes: Int(file.byteCount), nextPreviousSequence: bound)
        // What is missing before the next segment was in the unreadable ones between, if there are any.
        let following = (index + 1)..<(next ?? files.count)
        if let lost = files[following].first(where: { !$0.isReadable }), let last = verdict.damage.last,
            last.kind == .hole, last.offset == verdict.validLength, last.missing != nil
        {
            verdict.damage[verdict.damage.count - 1] = Damage(
                kind: .segment, segment: lost.number, offset: 0, length: Int(lost.byteCount), missing: last.missing)
        }
        return verdict
    }
}

/// Collected while files are only read.
private final class ReadFailures {
    var all: [(segment: UInt64, error: DiskError)] = []
}

/// Memory for one segment at a time. One thread at a time.
@safe final class SegmentBuffer {
    // `capacity` bytes, owned.
    fileprivate private(set) var memory: UnsafeMutableRawPointer
    private var capacity: Int
    // Some `SegmentBytes` uses it.
    fileprivate var isTaken = false

    init() {
        capacity = 8192
        unsafe memory = .allocate(byteCount: capacity, alignment: 4096)
    }

    deinit { unsafe memory.deallocate() }

    fileprivate func take(_ byteCount: Int) {
        precondition(!isTaken, "one segment at a time")
        isTaken = true
        guard byteCount > capacity else { return }
        unsafe memory.deallocate()
        capacity = byteCount
        unsafe memory = .allocate(byteCount: byteCount, alignment: 4096)
    }
}

/// The content of a segment file.
@safe struct SegmentBytes: ~Copyable {
    // Taken for the life of this value; `count` bytes were read, no more than it has.
    private let buffer: SegmentBuffer
    private let count: Int

    init(
        disk: any Disk, name: String, byteCount: Int, in buffer: SegmentBuffer = SegmentBuffer()
    ) throws(DiskError) {
        let file = try disk.open(name, writable: false)
        defer { disk.close(file) }
        buffer.take(byteCount)
        do throws(DiskError) {
            count = unsafe try disk.read(
                file, at: 0, into: UnsafeMutableRawBufferPointer(start: buffer.memory, count: byteCount))
        } catch {
            buffer.isTaken = false
            throw error
        }
        self.buffer = buffer
    }

    deinit { buffer.isTaken = false }

    /// Writes both copies of `start` to their places.
    func renewStart(_ start: SegmentStart, checksum: Checksummer) {
        precondition(count >= JournalFormat.segmentHeaderBytes)
        let page = JournalFormat.segmentHeaderBytes - JournalFormat.startOffset
        // In bounds: the page ends with the segment header.
        unsafe start.encode(
            into: ByteWriter(buffer.memory + JournalFormat.startOffset, count: page), checksum: checksum)
    }

    var reader: ByteReader { unsafe ByteReader(UnsafeRawBufferPointer(start: buffer.memory, count: count)) }
}
