// Opening a journal: lock, recovery, and the segment to go on in.
//
// The writer never goes on in the segment the last run was writing. Behind the last record that counts there may be
// pieces of records that were torn: they carry the segment's incarnation, so if new records were laid in front of them,
// the end of a new record could meet the beginning of an old one and bring it back. A segment of its own costs nothing:
// the one that was prepared ahead is taken, under a new incarnation (the last run may have written to it without any
// of it having become durable), or a small one is made. The old one is cut to what counts, so that a server that
// restarts over and over does not fill its disk with half-empty segments, unless damage was found in it: then it is left
// as it is for whoever wants to look.

import Metrics

extension JournalWriter {
    /// Opens the journal below `options.directory`, or on `disk`, and recovers what is there. `now` in Unix nanoseconds.
    /// `progress` is called after each segment.
    public static func open(
        options: JournalOptions, disk: (any Disk)? = nil, checksum: Checksum, now: UInt64,
        progress: (RecoveryProgress) -> Void = { _ in }
    ) throws(JournalError) -> (JournalWriter, RecoveryReport) {
        if let problem = options.problem { throw .options(problem) }
        let started = monotonicNanoseconds()
        let disk = disk ?? RealDisk(dataDirectory: options.directory)
        do throws(DiskError) {
            try disk.open(.exclusive)
        } catch {
            throw JournalError(error)
        }
        do throws(JournalError) {
            let checksum = unsafe Checksummer(checksum)
            let scanner = try LogScanner(disk: disk, checksum: checksum, formats: options.formats)
            try scanner.checkVersions()
            if let found = scanner.formatVersion, let asked = options.formatVersion, asked < found {
                throw JournalError.formatInUse(found: found, asked: asked)
            }
            var opening = Opening(options: options, disk: disk, checksum: checksum, now: now, scanner: scanner)
            try opening.recover(progress)
            var report = opening.report
            let writer = try opening.makeWriter()
            report.nextSequence = writer.nextSequence
            report.durationNanoseconds = monotonicNanoseconds() - started
            return (writer, report)
        } catch {
            disk.close()
            throw error
        }
    }
}

private struct Opening: ~Copyable {
    let options: JournalOptions
    let disk: any Disk
    let checksum: Checksummer
    let now: UInt64
    private let scanner: LogScanner
    private var recovery: LogRecovery
    private var owed = OwedTable()
    private var namespaces = NamespaceTable()
    private var unstarted: [LogFile] = []
    // How far the log went is not known.
    private var hasUnknownEnd = false
    // The readable segment that was written last; nil when there is none.
    private var last: SegmentVerdict?
    private var moved: [(sequence: UInt64, location: RecordLocation)] = []

    /// After an unsynced run, or with a segment that cannot be read or was cut short, acknowledged sequences may be out of sight; the next
    /// ones begin this far above what was found, so that none is given out twice.
    private static let unknownSequencesGap: UInt64 = 1_000_000

    var report: RecoveryReport { recovery.report }

    init(options: JournalOptions, disk: any Disk, checksum: Checksummer, now: UInt64, scanner: LogScanner) {
        self.options = options
        self.disk = disk
        self.checksum = checksum
        self.now = now
        self.scanner = scanner
        recovery = LogRecovery(checksum: checksum, dedupeEntriesMax: options.dedupeEntriesMax)
    }

    mutating func recover(_ progress: (RecoveryProgress) -> Void) throws(JournalError) {
        let files = scanner.files
        var state = RecoveryProgress(
            segmentsDone: 0, segmentCount: files.count, bytesDone: 0,
            byteCount: files.reduce(0) { $0 + $1.byteCount })
        for index in files.indices {
            scanner.judge(index) { verdict, reader in
                recovery.take(verdict, reader)
                if verdict.isUnstarted {
                    unstarted.append(files[index])
                } else {
                    let isCut = verdict.damage.contains { $0.kind == .cut }
                    if files[index].isReadable {
                        last = verdict
                        // Its start says how far the log went before it.
                        hasUnknownEnd = isCut || hasUnknownEnd && verdict.start == nil
                    } else {
                        hasUnknownEnd = true
                    }
                }
            }
            state.segmentsDone += 1
            state.bytesDone += files[index].byteCount
            progress(state)
        }
        for file in scanner.kept { scanner.scan(file) { recovery.takeKept(file, $0, $1) } }
        // Before anything is changed: the first record that was written now would void what could not be seen.
        if let failure = scanner.readFailures.first {
            throw .unreadableSegment(failure.segment, code: failure.error.code)
        }
        do throws(DiskError) {
            if let last { try settle(last) }
            for name in scanner.leftovers { try disk.remove(name) }
            if !scanner.leftovers.isEmpty { try disk.syncDirectory() }
        } catch {
            throw JournalError(error)
        }
        moved = recovery.moved
        recovery.finish(owed: &owed, namespaces: &namespaces)
    }

    /// Makes what was found in the last segment durable, and cuts it there, unless one that cannot be read stands behind it.
    ///
    /// A process that was killed between write and sync leaves records that only the page cache has. From here on they
    /// count, and repeats of them are answered as duplicates: so they must be on the disk first. A sync alone would not
    /// do: if the last run's sync had failed, their pages count as clean and would not be written. So what is not proven
    /// durable is written again where it is, byte for byte, and then synced.
    private mutating func settle(_ last: SegmentVerdict) throws(DiskError) {
        let file = try disk.open(SegmentFileName.segment(last.number), writable: true)
        defer { disk.close(file) }
        try rewriteUnproven(last, file)
        try disk.syncFile(file)
        let kept = SegmentVerdict.cutLength(last.validLength)
        guard last.damage.isEmpty, kept < last.fileBytes, last.number == recovery.segments.last?.number else { return }
        if last.tornBytes > 0 { try clearTorn(last.validLength..<kept, file) }
        try disk.truncate(file, to: UInt64(kept))
        try disk.syncFile(file)
        recovery.resizeLastSegment(to: UInt64(kept))
    }

    private func rewriteUnproven(_ last: SegmentVerdict, _ file: DiskFile) throws(DiskError) {
        var offset = last.validLength
        if let start = last.start, last.durableThrough < start.baseSequence {
            offset = JournalFormat.startOffset
        } else if let first = last.records.first(where: {
            $0.header.isCopied ? $0.header.durableMark >= last.durableThrough : $0.header.sequence > last.durableThrough
        }) {
            offset = first.offset
        }
        guard offset < last.validLength else { return }
        let bytes = try SegmentBytes(
            disk: disk, name: SegmentFileName.segment(last.number), byteCount: last.validLength)
        // Of a start that was torn, one copy may be missing.
        if offset == JournalFormat.startOffset, let start = last.start { bytes.renewStart(start, checksum: checksum) }
        var vectors = VectorWriter(capacity: 1)
        unsafe vectors.append(bytes.reader.part(from: offset, count: last.validLength - offset).bytes)
        try vectors.write(to: file, at: UInt64(offset), disk: disk)
    }

    /// What is torn in the last page that stays would look like a file that somebody else cut.
    private func clearTorn(_ range: Range<Int>, _ file: DiskFile) throws(DiskError) {
        guard !range.isEmpty else { return }
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 8)
        defer { unsafe zeros.deallocate() }
        unsafe zeros.initializeMemory(as: UInt8.self, repeating: 0)
        var vectors = VectorWriter(capacity: 1)
        unsafe vectors.append(UnsafeRawBufferPointer(zeros))
        try vectors.write(to: file, at: UInt64(range.lowerBound), disk: disk)
        try disk.syncFile(file)
    }

    /// What a start has found, and says, must not depend on the few bytes that prove it: the next damage to the last segment
    /// could take these. The start of the segment behind it says it for good; without damage and with nothing unproven it can
    /// wait for the first delivery.
    private var mustBeBound: Bool {
        // Of sequences above those that count there may be no other trace than the segment that is taken now.
        if hasUnknownEnd || recovery.highestSequence > recovery.lastSequence { return true }
        guard let last else { return false }
        return !last.damage.isEmpty || last.lastWorthMarking > last.durableThrough
    }

    /// The segment to go on in: the one prepared by the last run, or a small new one.
    private func takePrepared(
        _ preparation: SegmentPreparation, _ key: DedupeKey, formatVersion: UInt32
    ) throws(DiskError) -> PreparedSegment {
        let lastStarted = recovery.segments.last?.number ?? 0
        var taken: LogFile?
        for file in unstarted {
            if taken == nil, file.number > lastStarted, file.byteCount >= options.firstSegmentBytes,
                file.identity?.number == file.number
            {
                taken = file
            } else {
                try disk.remove(SegmentFileName.segment(file.number))
            }
        }
        if let taken {
            let file = try disk.open(SegmentFileName.segment(taken.number), writable: true)
            let identity = SegmentIdentity(
                version: formatVersion, segmentBytes: taken.byteCount, incarnation: disk.newIncarnation(),
                number: taken.number,
                createdUnixNanoseconds: now, dedupeKey: key)
            try preparation.renew(file, identity)
            try disk.syncDirectory()
            return PreparedSegment(
                number: taken.number, incarnation: identity.incarnation, fileBytes: taken.byteCount, file: file)
        }
        let job = PreparationJob(
            kind: .create(number: scanner.highestNumber + 1, bytes: options.firstSegmentBytes),
            formatVersion: formatVersion, dedupeKey: key, nowUnixNanoseconds: now)
        switch preparation.run(job) {
        case .prepared(let prepared, _): return prepared
        case .failed(_, let error, _): throw error
        case .removed, .kept: preconditionFailure("a creation creates")
        }
    }

    consuming func makeWriter() throws(JournalError) -> JournalWriter {
        let preparation = SegmentPreparation(disk: disk, checksum: checksum)
        let key =
            (scanner.files + scanner.kept).compactMap(\.identity).last?.dedupeKey
            ?? DedupeKey(low: disk.randomBits(), high: disk.randomBits())
        let formatVersion = options.formatVersion ?? scanner.formatVersion ?? options.formats.newest
        let prepared: PreparedSegment
        do throws(DiskError) {
            prepared = try takePrepared(preparation, key, formatVersion: formatVersion)
        } catch {
            throw JournalError(error)
        }
        let metrics = JournalMetrics()
        metrics.damage.increment(by: UInt64(recovery.report.damage.count))
        let directory = SegmentDirectory()
        for segment in recovery.kept + recovery.segments {
            directory.begin(
                SegmentDirectory.Known(
                    number: segment.number, baseSequence: segment.baseSequence, lastSequence: segment.lastSequence))
        }
        for record in moved where owed.contains(record.sequence) {
            directory.move(record.sequence, to: record.location)
        }
        directory.durableThrough = recovery.lastSequence
        let isSynced = scanner.files.last { $0.start != nil }?.start?.durability ?? .sync == .sync
        let gap = isSynced && !hasUnknownEnd ? 0 : Self.unknownSequencesGap
        let highest = max(recovery.highestSequence, recovery.lastSequence)
        let background = options.preparesInBackground
        let reader = JournalReader(disk: disk, directory: directory, checksum: checksum, formats: options.formats)
        let now = now
        let isBound = mustBeBound
        let core = WriterCore(
            options: options, disk: disk, checksum: checksum, metrics: metrics, directory: directory,
            preparer: SegmentPreparer(preparation: preparation, inBackground: background), dedupeKey: key,
            formatVersion: formatVersion, nextSequence: highest + 1 + gap, lastSequence: recovery.lastSequence,
            segments: recovery.segments, kept: recovery.kept,
            nextSegmentNumber: max(scanner.highestNumber, prepared.number) + 1,
            dedupe: recovery.dedupe, owed: owed, namespaces: namespaces, movedCount: directory.movedCount)
        let writer = JournalWriter(core: core, reader: reader)
        writer.begin(prepared, isBound: isBound, now: now)
        return writer
    }
}
