// JournalSurvey: what a journal owes and what it has adopted, found without changing it.
//
// Reads with the code that a start reads with (`LogScanner`, `LogRecovery`), takes no lock, and goes on where something is
// damaged. The directory stays open, so that records can be read until the survey goes.

/// One look at a journal. Valid as long as nobody writes to it. One thread at a time.
public final class JournalSurvey {
    /// nil when no segment's header can be read.
    public let journal: UInt64?
    /// By sequence.
    public let owed: [OwedDelivery]
    /// Redeliveries whose own plan is not there: they are not owed, and would be with it.
    public let unplanned: Set<UInt64>
    /// Of each adopted delivery that is still there, owed or not: its sequence here.
    public let adopted: [RecordOrigin: UInt64]
    public let damage: [Damage]
    /// Bytes that were being written when the last run ended; nobody was told that they are durable.
    public let tornBytes: Int
    /// See `FormatVersions`; nil when no segment's header can be read.
    public let formatVersion: UInt32?
    private let disk: any Disk
    private let reader: JournalReader
    /// Everything that is there, as `damage` lets it be read.
    public let history: JournalHistory

    /// `onlyMarked`: a server is writing to it, and what is not known to be durable is not shown in `history`.
    /// Throws when the directory cannot be read, or holds a segment of a format that this version does not know.
    public init(disk: any Disk, checksum: Checksum, onlyMarked: Bool = false) throws(JournalError) {
        do throws(DiskError) {
            try disk.open(.readOnly)
        } catch {
            throw JournalError(error)
        }
        self.disk = disk
        do throws(JournalError) {
            let checksum = unsafe Checksummer(checksum)
            let scanner = try LogScanner(disk: disk, checksum: checksum)
            try scanner.checkVersions()
            var found = Finding(checksum: checksum)
            for index in scanner.files.indices { scanner.judge(index) { found.take($0, $1) } }
            for file in scanner.kept { scanner.scan(file) { found.takeKept(file, $0, $1) } }
            let moved = found.recovery.moved
            found.finish()
            journal = (scanner.files + scanner.kept).compactMap(\.identity).last?.dedupeKey.journalName
            formatVersion = scanner.formatVersion
            owed = found.recovery.report.owed
            unplanned = Set(found.recovery.report.unplanned)
            adopted = found.adopted
            damage = found.recovery.report.damage
            tornBytes = found.recovery.report.tornBytes
            let directory = SegmentDirectory()
            for segment in found.recovery.kept + found.recovery.segments {
                directory.begin(
                    SegmentDirectory.Known(
                        number: segment.number, baseSequence: segment.baseSequence, lastSequence: segment.lastSequence))
            }
            for record in moved { directory.move(record.sequence, to: record.location) }
            let last = found.recovery.lastSequence
            directory.durableThrough = onlyMarked ? min(last, found.markedThrough) : last
            reader = JournalReader(disk: disk, directory: directory, checksum: checksum)
            history = JournalHistory(reader: reader)
        } catch {
            disk.close()
            throw error
        }
    }

    deinit { disk.close() }

    /// The record of an owed delivery. Throws when it cannot be read, or is not what was written.
    public func record(of delivery: OwedDelivery) throws(JournalError) -> StoredRecord {
        guard let record = try reader.read(delivery.location, expecting: delivery.sequence) else {
            throw .failed(DiskError(code: Self.missing, operation: .read))
        }
        return record
    }

    /// Where a record of this journal was received first; nil when that cannot be said.
    public func origin(of record: StoredRecord) -> RecordOrigin? {
        RecordOrigin(record.header) ?? journal.map { RecordOrigin(journal: $0, sequence: record.sequence) }
    }

    /// One line for each damaged place: which file, where, and which sequences are lost.
    public var damageLines: [String] {
        damage.map { RecordLines(names: InspectionNames(), reader: .empty, segment: $0.segment).damage($0) }
    }

    /// ENOENT.
    private static let missing: Int32 = 2
}

/// What the segments say, while they are read.
private struct Finding: ~Copyable {
    var recovery: LogRecovery
    var adopted: [RecordOrigin: UInt64] = [:]
    var markedThrough: UInt64 = 0

    init(checksum: Checksummer) { recovery = LogRecovery(checksum: checksum, dedupeEntriesMax: 1) }

    mutating func take(_ verdict: SegmentVerdict, _ reader: ByteReader) {
        for record in verdict.records { note(record.header) }
        markedThrough = max(markedThrough, verdict.durableThrough)
        recovery.take(verdict, reader)
    }

    mutating func takeKept(_ file: LogFile, _ scan: SegmentScan, _ reader: ByteReader) {
        recovery.takeKept(file, scan, reader)
        // What lies behind the last sequence that counts was never acknowledged.
        guard let last = recovery.kept.last?.lastSequence else { return }
        for record in scan.records where record.header.sequence <= last { note(record.header) }
    }

    private mutating func note(_ header: RecordHeader) {
        guard let origin = RecordOrigin(header) else { return }
        adopted[origin] = header.sequence
    }

    mutating func finish() {
        var owed = OwedTable()
        var namespaces = NamespaceTable()
        recovery.finish(owed: &owed, namespaces: &namespaces)
    }
}
