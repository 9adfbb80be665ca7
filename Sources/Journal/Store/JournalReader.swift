// JournalReader: records for the other threads.
//
// Reads through descriptors of its own, so it shares nothing with the writer but the file and the segment directory.
// Whatever it returns was verified: incarnation, sequence, header, head and body. A segment may be recycled while it is
// read; then the bytes belong to another incarnation, fail the check, and the answer is nil.

import Synchronization

/// A record, with bytes of its own.
public struct StoredRecord: Sendable {
    public var header: RecordHeader
    public var location: RecordLocation
    /// The whole record as it is on disk.
    public let bytes: [UInt8]

    public var sequence: UInt64 { header.sequence }
    /// The request head (or the entries of a plan or outcome).
    public var head: ArraySlice<UInt8> { bytes[header.headOffset..<header.bodyOffset] }
    public var body: ArraySlice<UInt8> { bytes[header.bodyOffset..<header.bodyOffset + Int(header.bodyLength)] }

    /// The fixed part and the meta.
    public var fixedAndMeta: ArraySlice<UInt8> { bytes[..<header.headOffset] }

    init(header: RecordHeader, location: RecordLocation, bytes: [UInt8]) {
        self.header = header
        self.location = location
        self.bytes = bytes
    }

    /// A delivery out of an archive: nil when the bytes are not, as a whole, what was in a journal once. It lies nowhere.
    public init?(archived bytes: [UInt8], checksum: Checksum) {
        let checksum = unsafe Checksummer(checksum)
        let header = bytes.withByteReader { reader -> RecordHeader? in
            guard reader.contains(0, JournalFormat.recordHeaderBytes),
                let header = RecordHeader.decode(
                    reader, at: 0, incarnation: reader.uint64(at: 8), checksum: checksum),
                header.type == .delivery, Int(header.totalLength) == reader.count,
                header.isPayloadIntact(reader, at: 0, checksum: checksum)
            else { return nil }
            return header
        }
        guard let header else { return nil }
        self.init(
            header: header, location: RecordLocation(segment: 0, offset: 0, length: header.totalLength), bytes: bytes)
    }

    /// All texts of a delivery at once; nil in other records.
    public var texts: RecordTexts? { bytes.withByteReader { RecordTexts($0, at: 0, header: header) } }

    /// The texts of a delivery; empty in other records.
    public var cluster: String { text(\.cluster) }
    public var namespace: String { text(\.namespace) }
    public var name: String { text(\.name) }
    public var deliveryID: String { text(\.deliveryID) }
    public var eventName: String { text(\.eventName) }

    /// The delivery that an adopted record was elsewhere; nil for every other.
    public var origin: RecordOrigin? { RecordOrigin(header) }

    /// The entries of a plan; nil in other records.
    public var plan: [PlanEntry]? {
        guard header.type == .plan else { return nil }
        return Array(head).withByteReader { PlanCoding.decode($0) }
    }

    /// The entries of an outcome; nil in other records.
    public var outcomes: [OutcomeEntry]? {
        guard header.type == .outcome else { return nil }
        return Array(head).withByteReader { OutcomeCoding.decode($0) }
    }

    private func text(_ field: KeyPath<DeliveryMeta, DeliveryMeta.Field>) -> String {
        guard header.type == .delivery else { return "" }
        return bytes.withByteReader { reader in
            guard let meta = DeliveryMeta(reader, at: 0, header: header) else { return "" }
            return reader.string(from: meta[keyPath: field].offset, count: meta[keyPath: field].count)
        }
    }
}

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
    /// to afterwards. `last` must be durable. What is damaged is left out; recovery has reported it.
    public func follow(
        from first: UInt64, through last: UInt64, _ body: (StoredRecord) -> Bool
    ) throws(JournalError) {
        guard first <= last else { return }
        var next = first
        for segment in directory.segments {
            if let end = segment.lastSequence, end < next { continue }
            guard segment.baseSequence <= last else { return }
            do throws(DiskError) {
                guard let handle = try handle(of: segment.number) else { continue }
                guard try follow(handle, &next, min(last, segment.lastSequence ?? last), body) else { return }
            } catch {
                throw JournalError(error)
            }
        }
    }

    /// False: `body` has had enough.
    private func follow(
        _ handle: Handle, _ next: inout UInt64, _ last: UInt64, _ body: (StoredRecord) -> Bool
    ) throws(DiskError) -> Bool {
        var offset = UInt64(JournalFormat.segmentHeaderBytes)
        while true {
            guard let header = try header(at: offset, handle) else { return true }
            let here = offset
            offset += UInt64(header.totalLength)
            if header.isCopied { continue }
            guard header.sequence <= last else { return true }
            guard header.type == .delivery, header.sequence >= next else { continue }
            next = header.sequence + 1
            let location = RecordLocation(segment: handle.number, offset: UInt32(here), length: header.totalLength)
            guard let record = try record(location, handle) else { continue }
            if !body(record) { return false }
        }
    }

    // MARK: Bytes

    /// nil: the segment is not part of the log any more.
    func handle(of number: UInt64) throws(DiskError) -> Handle? {
        guard directory.contains(number) else {
            handles.withLock { $0[number] = nil }
            return nil
        }
        if let handle = handles.withLock({ $0[number] }) { return handle }
        guard let file = try openFile(number) else { return nil }
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

    private static let noSuchFile: Int32 = 2

    /// nil when there is no such segment (any more).
    private func openFile(_ number: UInt64) throws(DiskError) -> DiskFile? {
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
