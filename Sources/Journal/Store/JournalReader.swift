// JournalReader: records for the other threads.
//
// Reads through descriptors of its own, so it shares nothing with the writer but the file and the segment directory.
// Whatever it returns was verified: incarnation, sequence, header, head and body. A segment may be recycled while it is
// read; then the bytes belong to another incarnation, fail the check, and the answer is nil.

import Synchronization

/// May be used by any number of threads at once.
public final class JournalReader: Sendable {
    /// An open segment; closed when the last reader lets go of it.
    final class Handle: Sendable {
        let disk: any Disk
        let file: DiskFile
        let incarnation: UInt64
        let number: UInt64

        init(disk: any Disk, file: DiskFile, identity: SegmentIdentity) {
            self.disk = disk
            self.file = file
            incarnation = identity.incarnation
            number = identity.number
        }

        deinit { disk.close(file) }
    }

    private static let handlesMax = 32

    let disk: any Disk
    let directory: SegmentDirectory
    let checksum: Checksummer
    private let formats: FormatVersions
    private let handles = Mutex<[UInt64: Handle]>([:])

    init(
        disk: any Disk, directory: SegmentDirectory, checksum: Checksummer, formats: FormatVersions = .current
    ) {
        self.disk = disk
        self.directory = directory
        self.checksum = checksum
        self.formats = formats
    }

    /// The record at `location`, which must be `sequence`. nil: its segment was recycled or removed since, so it is not
    /// owed any more. A record that was copied forward is found where it is now. Throws when the disk cannot be read, or
    /// what it holds is not what was written (EBADMSG).
    public func read(_ location: RecordLocation, expecting sequence: UInt64) throws(JournalError) -> StoredRecord? {
        if let record = try readOnce(location, sequence) { return record }
        guard let moved = directory.movedLocation(of: sequence), moved != location else { return nil }
        return try readOnce(moved, sequence)
    }

    private func readOnce(_ location: RecordLocation, _ sequence: UInt64) throws(JournalError) -> StoredRecord? {
        do throws(DiskError) {
            guard let handle = try handle(of: location.segment) else { return nil }
            let record = try record(location, handle)
            if let record, record.header.sequence == sequence { return record }
            // Not what is asked for: because the segment has been recycled under us, or because it is damaged.
            guard try isCurrent(handle) else {
                handles.withLock { $0[location.segment] = nil }
                return nil
            }
            throw DiskError(code: Self.damaged, operation: .read)
        } catch {
            throw JournalError(error)
        }
    }

    /// EBADMSG: the bytes are not what was written.
    private static let damaged: Int32 = 74

    /// Calls `body` with each delivery from sequence `first` through `last`, in order of sequence; stops when it returns
    /// false. Deliveries that were copied forward are found in their old place while it exists, and where they were copied
    /// to afterwards. `last` must be durable. What is damaged is left out; recovery has reported it. `place`: where the record
    /// `first - 1` lies, so that what stands before it need not be looked at again. Throws where the disk cannot be read: what lies
    /// before that place was given.
    public func follow(
        from first: UInt64, through last: UInt64, after place: RecordLocation? = nil, _ body: (StoredRecord) -> Bool
    ) throws(UnreadablePlace) {
        guard first <= last else { return }
        var next = first
        for segment in directory.segments {
            if let end = segment.lastSequence, end < next { continue }
            // What was copied forward out of segments that are gone, also while this was under way.
            let before = min(last, segment.baseSequence &- 1)
            guard try followMoved(&next, before, body), segment.baseSequence <= last else { return }
            // The rest of the segment, or the record that is being read.
            var through = min(last, segment.lastSequence ?? last)
            do throws(DiskError) {
                guard let handle = try handle(of: segment.number) else { continue }
                let start = try start(after: place, first, handle)
                guard try follow(handle, from: start, &next, &through, body) else { return }
            } catch {
                throw UnreadablePlace(
                    segment: segment.number, from: max(next, segment.baseSequence), through: through, cause: error)
            }
        }
    }

    /// False: `body` has had enough.
    private func followMoved(
        _ next: inout UInt64, _ last: UInt64, _ body: (StoredRecord) -> Bool
    ) throws(UnreadablePlace) -> Bool {
        guard next <= last else { return true }
        for (sequence, location) in directory.moved(between: next...last) {
            let record: StoredRecord?
            do throws(JournalError) {
                record = try read(location, expecting: sequence)
            } catch {
                throw UnreadablePlace(segment: location.segment, from: sequence, through: sequence, cause: error)
            }
            guard let record else { continue }
            next = sequence + 1
            if !body(record) { return false }
        }
        return true
    }

    /// Where following begins in a segment: at its first record, or at `place` when the record `first - 1` lies there.
    private func start(
        after place: RecordLocation?, _ first: UInt64, _ handle: Handle
    ) throws(DiskError) -> UInt64 {
        guard let place, place.segment == handle.number,
            let header = try header(at: UInt64(place.offset), handle), !header.isCopied, header.sequence + 1 == first
        else { return UInt64(JournalFormat.segmentHeaderBytes) }
        return UInt64(place.offset)
    }

    /// False: `body` has had enough. When it throws, what cannot be read lies from `next` through `last`.
    private func follow(
        _ handle: Handle, from start: UInt64, _ next: inout UInt64, _ last: inout UInt64, _ body: (StoredRecord) -> Bool
    ) throws(DiskError) -> Bool {
        var offset = start
        while true {
            guard let header = try header(at: offset, handle) else { return true }
            let here = offset
            offset += UInt64(header.totalLength)
            if header.isCopied { continue }
            guard header.sequence <= last else { return true }
            guard header.type == .delivery, header.sequence >= next else { continue }
            next = header.sequence
            let location = RecordLocation(segment: handle.number, offset: UInt32(here), length: header.totalLength)
            let record: StoredRecord?
            do throws(DiskError) {
                record = try self.record(location, handle)
            } catch {
                // What stands behind it can be found.
                last = header.sequence
                throw error
            }
            next = header.sequence + 1
            if let record, !body(record) { return false }
        }
    }

    // MARK: Bytes

    /// nil: the segment is not part of the log any more. Throws `lost` when it is, and has no file.
    func handle(of number: UInt64) throws(DiskError) -> Handle? {
        guard directory.contains(number) else {
            handles.withLock { $0[number] = nil }
            return nil
        }
        if let handle = handles.withLock({ $0[number] }) { return handle }
        guard let file = try openFile(number) else {
            guard directory.contains(number) else { return nil }
            throw Self.lost
        }
        let identity: SegmentIdentity?
        do throws(DiskError) {
            identity = try self.identity(of: file)
        } catch {
            disk.close(file)
            throw error
        }
        guard let identity, identity.number == number else {
            disk.close(file)
            return nil
        }
        let handle = Handle(disk: disk, file: file, identity: identity)
        handles.withLock { handles in
            // The oldest are the first to be done with.
            if handles.count >= Self.handlesMax, let oldest = handles.keys.min() { handles[oldest] = nil }
            handles[number] = handle
        }
        return handle
    }

    static let noSuchFile: Int32 = 2

    /// nil when there is no such segment (any more).
    func openFile(_ number: UInt64) throws(DiskError) -> DiskFile? {
        // A file that is kept changes its name once: looked for under both, it is found under one.
        for name in [SegmentFileName.segment(number), SegmentFileName.kept(number)] {
            do throws(DiskError) {
                return try disk.open(name, writable: false)
            } catch {
                guard error.code == Self.noSuchFile else { throw error }
            }
        }
        return nil
    }

    func isCurrent(_ handle: Handle) throws(DiskError) -> Bool {
        try identity(of: handle.file)?.incarnation == handle.incarnation
    }

    private func identity(of file: DiskFile) throws(DiskError) -> SegmentIdentity? {
        let bytes = try read(file, at: 0, count: JournalFormat.startOffset)
        let decoded = bytes.withByteReader { SegmentIdentity.decode($0, checksum: checksum, formats: formats) }
        if case .identity(let identity, _) = decoded { return identity }
        return nil
    }

    private func header(at offset: UInt64, _ handle: Handle) throws(DiskError) -> RecordHeader? {
        // Enough for every delivery's meta: 112 + 5 * 256 + 7 bytes.
        let bytes = try read(handle.file, at: offset, count: 1408)
        return bytes.withByteReader {
            RecordHeader.decode($0, at: 0, incarnation: handle.incarnation, checksum: checksum, isWhole: false)
        }
    }

    /// nil: there is no whole, undamaged record.
    func record(_ location: RecordLocation, _ handle: Handle) throws(DiskError) -> StoredRecord? {
        let bytes = try read(handle.file, at: UInt64(location.offset), count: Int(location.length))
        let header = bytes.withByteReader { reader -> RecordHeader? in
            guard
                let header = RecordHeader.decode(reader, at: 0, incarnation: handle.incarnation, checksum: checksum),
                header.isPayloadIntact(reader, at: 0, checksum: checksum)
            else { return nil }
            return header
        }
        guard let header else { return nil }
        return StoredRecord(header: header, location: location, bytes: bytes)
    }

    func read(_ file: DiskFile, at offset: UInt64, count: Int) throws(DiskError) -> [UInt8] {
        var failure: DiskError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(DiskError) {
                initialized = unsafe try disk.read(file, at: offset, into: UnsafeMutableRawBufferPointer(buffer))
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }
}
