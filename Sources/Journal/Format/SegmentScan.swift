// SegmentScan: recovery of one segment as a pure function of its bytes.
//
// `recoverSegment` reads records from the front, as the writer laid them, and goes on behind damage:
//
//   - A position that holds no record of the segment's incarnation is skipped in steps of 8 until one does: a hole. If
//     none follows, it is the end. In a recycled segment the rest is what the file held before; its records carry
//     another incarnation and so do not count, without anything having to be zeroed.
//   - A record whose header holds but whose head or body does not is kept as damaged and stepped over by its length. Of a plan or an
//     outcome with a damaged body the entries still count: they stand in the head.
//   - Sequences must grow (copies excepted), so a stray record cannot be taken twice.
//
// Bounded for any bytes: a header is believed only behind magic, the 64-bit incarnation and a checksum; each position
// is tried once; head and body of a record are read once; accepted records do not overlap. So the work is linear in
// the length, and the list at most length / 112 long.
//
// What a hole means (damage, or the torn tail of the last group) depends on the rest of the log: `SegmentVerdict`.

/// One record of a scan.
public struct ScannedRecord: Sendable {
    /// From the start of the segment.
    public var offset: Int
    public var header: RecordHeader
    /// Head and body are what was written.
    public var isPayloadIntact: Bool
    /// What counts in it is what was written: all of it, or the entries of a plan or an outcome.
    public var doesCount: Bool
    /// Bytes between the record before (or the segment header) and this one that hold no record; 0 in a sound log.
    public var holeBytes: Int
}

/// Why a scan ended.
public enum ScanStop: String, Sendable {
    /// No room for another record.
    case endOfSegment
    /// Zeros: never written.
    case unwritten
    /// Something else: what the file held before it was recycled, or garbage.
    case otherData
    /// The beginning of a record of this segment that does not hold.
    case torn
    /// There is no readable segment header.
    case noHeader
}

/// What a segment's header says.
public enum SegmentHeaderState: Sendable, Equatable {
    case sound
    /// One copy of the identity does not hold; the other does.
    case damagedIdentityCopy
    /// One copy of the start does not hold; the other does. A torn write of the first group leaves this as well.
    case damagedStartCopy
    /// The identity holds, the start is there but does not: sequences are taken from the records.
    case damagedStart
    /// No identity: nothing can be read.
    case unreadable
    /// Written by a Grapnel that this one does not know.
    case unknownVersion(UInt32)
}

/// What one segment's bytes say by themselves.
public struct SegmentScan: Sendable {
    public var headerState: SegmentHeaderState
    /// nil when unreadable or of an unknown version.
    public var identity: SegmentIdentity?
    /// nil when the segment was never started, or its start does not hold.
    public var start: SegmentStart?
    public var records: [ScannedRecord]
    /// End of the last record.
    public var validLength: Int
    public var stop: ScanStop
    /// Bytes at `validLength` known to be a broken record: its length where that can be read, else the fixed part.
    public var tornBytes: Int

    /// Nothing was ever written here: a segment prepared ahead.
    public var isUnstarted: Bool { identity != nil && start == nil && headerState != .damagedStart }
}

/// Recovers what `bytes`, the content of a segment file, hold. Total for any bytes; time and memory linear in their
/// number. Reads nothing else; `bytes` need to live only during the call.
public func recoverSegment(_ bytes: UnsafeRawBufferPointer, checksum: Checksum) -> SegmentScan {
    unsafe recoverSegment(ByteReader(bytes), checksum: Checksummer(checksum))
}

func recoverSegment(
    _ reader: ByteReader, checksum: Checksummer, formats: FormatVersions = .current
) -> SegmentScan {
    var scan = recoverHeader(reader, checksum: checksum, formats: formats)
    guard let identity = scan.identity else { return scan }
    var cursor = SegmentCursor(incarnation: identity.incarnation, checksum: checksum)
    while let record = cursor.next(reader) { scan.records.append(record) }
    scan.validLength = cursor.validLength
    (scan.stop, scan.tornBytes) = cursor.stop(reader)
    return scan
}

/// The part of `recoverSegment` that reads only the segment header; `reader` may end behind it.
func recoverHeader(
    _ reader: ByteReader, checksum: Checksummer, formats: FormatVersions = .current
) -> SegmentScan {
    var scan = SegmentScan(
        headerState: .sound, identity: nil, start: nil, records: [],
        validLength: min(JournalFormat.segmentHeaderBytes, reader.count), stop: .noHeader, tornBytes: 0)
    switch SegmentIdentity.decode(reader, checksum: checksum, formats: formats) {
    case .unreadable:
        scan.headerState = .unreadable
        return scan
    case .unknownVersion(let version):
        scan.headerState = .unknownVersion(version)
        return scan
    case .identity(let identity, let isDamaged):
        scan.identity = identity
        if isDamaged { scan.headerState = .damagedIdentityCopy }
    }
    switch SegmentStart.decode(reader, incarnation: scan.identity!.incarnation, checksum: checksum) {
    case .none: break
    case .unreadable: scan.headerState = .damagedStart
    case .start(let start, let isDamaged):
        scan.start = start
        if isDamaged, scan.headerState == .sound { scan.headerState = .damagedStartCopy }
    }
    scan.stop = .unwritten
    return scan
}

/// Walks the records of one segment.
struct SegmentCursor {
    private let incarnation: UInt64
    private let checksum: Checksummer
    // Multiple of 8: end of the last record.
    private(set) var validLength = JournalFormat.segmentHeaderBytes
    // The last sequence that is not a copy's; 0 before the first.
    private var lastSequence: UInt64 = 0

    init(incarnation: UInt64, checksum: Checksummer) {
        self.incarnation = incarnation
        self.checksum = checksum
    }

    /// The next record, behind a hole if need be; nil at the end.
    mutating func next(_ reader: ByteReader) -> ScannedRecord? {
        var position = validLength
        while true {
            guard
                let candidate = reader.firstIndex(
                    of: JournalFormat.recordMagic, from: position, leaving: JournalFormat.recordHeaderBytes)
            else { return nil }
            position = candidate
            let header = RecordHeader.decode(reader, at: position, incarnation: incarnation, checksum: checksum)
            if let header, header.isCopied || header.sequence > lastSequence {
                let isHeadIntact = header.isHeadIntact(reader, at: position, checksum: checksum)
                let isIntact = isHeadIntact && header.isBodyIntact(reader, at: position, checksum: checksum)
                let record = ScannedRecord(
                    offset: position, header: header, isPayloadIntact: isIntact,
                    doesCount: isIntact || isHeadIntact && header.isBodyExtra, holeBytes: position - validLength)
                if !header.isCopied { lastSequence = header.sequence }
                validLength = position + Int(header.totalLength)
                return record
            }
            position += JournalFormat.recordAlignment
        }
    }

    /// Why there is no next record, and how many bytes are known to be a broken one.
    func stop(_ reader: ByteReader) -> (ScanStop, tornBytes: Int) {
        let fixed = JournalFormat.recordHeaderBytes
        guard reader.contains(validLength, fixed) else { return (.endOfSegment, 0) }
        if reader.uint64(at: validLength + 8) == incarnation {
            let claimed = Int(reader.uint32(at: validLength + 32))
            return (.torn, min(max(claimed, fixed), reader.count - validLength))
        }
        return (reader.isZero(from: validLength, count: fixed) ? .unwritten : .otherData, 0)
    }
}

extension RecordHeader {
    /// All that counts stands in the head; the body may be lost.
    var isBodyExtra: Bool { type == .plan || type == .outcome }

    /// Whether the head of the record at `offset` is what was written.
    func isHeadIntact(_ reader: ByteReader, at offset: Int, checksum: Checksummer) -> Bool {
        reader.checksum(checksum, seed: 0, from: offset + headOffset, count: Int(headLength)) == headChecksum
    }

    /// Whether the body of the record at `offset` is what was written.
    func isBodyIntact(_ reader: ByteReader, at offset: Int, checksum: Checksummer) -> Bool {
        // A body that was left out (a duplicate's) keeps the checksum of what was received.
        guard bodyLength == receivedBodyLength else { return bodyLength == 0 }
        return reader.checksum(checksum, seed: 0, from: offset + bodyOffset, count: Int(bodyLength)) == bodyChecksum
    }

    /// Whether head and body of the record at `offset` are what was written.
    func isPayloadIntact(_ reader: ByteReader, at offset: Int, checksum: Checksummer) -> Bool {
        isHeadIntact(reader, at: offset, checksum: checksum) && isBodyIntact(reader, at: offset, checksum: checksum)
    }
}
