// JournalReader+Glance: what the records of one segment say of themselves, without their payloads.
//
// For those who list deliveries while the server runs. A segment is read from an offset on, in windows: of a delivery only header and
// meta are looked at, of a plan or an outcome everything. Behind damage the next record of the segment's incarnation is looked for,
// as recovery does. Bodies and heads of deliveries are neither read as a whole nor checked; who wants one calls `read`.

/// One record as it is passed by. Valid beyond the call.
public struct GlancedRecord: Sendable {
    public let header: RecordHeader
    public let location: RecordLocation
    /// Header and meta; the whole record when it is a plan, an outcome or a list.
    let bytes: [UInt8]

    public var sequence: UInt64 { header.sequence }

    /// nil in other records than deliveries.
    public var texts: RecordTexts? { bytes.withByteReader { RecordTexts($0, at: 0, header: header) } }

    /// The delivery that an adopted record was elsewhere; nil for every other.
    public var origin: RecordOrigin? { RecordOrigin(header) }

    /// The entries of a plan; nil in other records, and where they cannot be read.
    public var plan: [PlanEntry]? {
        guard header.type == .plan, let payload else { return nil }
        return payload.withByteReader { PlanCoding.decode($0) }
    }

    /// The entries of an outcome, without what is told of them; nil in other records, and where they cannot be read.
    public var outcomes: [OutcomeEntry]? {
        guard header.type == .outcome, let payload else { return nil }
        return payload.withByteReader { OutcomeCoding.decode($0) }
    }

    /// Of a segment that stays for what is owed in it: its number, and what was owed then. Of all else in it was said what became of it, in
    /// records that may be gone. nil in other records, and where it cannot be read.
    public var keptSegment: (number: UInt64, owed: [UInt64])? {
        guard header.type == .keep, let payload, let list = payload.withByteReader({ KeepCoding.decode($0) }) else {
            return nil
        }
        return (header.reference, list.sequences)
    }

    private var payload: [UInt8]? {
        let end = header.headOffset + Int(header.headLength)
        return end <= bytes.count ? Array(bytes[header.headOffset..<end]) : nil
    }
}

/// A segment as readers know it.
public struct SegmentSpan: Sendable, Equatable {
    /// Never used again.
    public var number: UInt64
    /// No delivery that was first recorded in it has a smaller sequence.
    public var baseSequence: UInt64
    /// The last that counts; nil in the segment being written.
    public var lastSequence: UInt64?
}

extension JournalReader {
    /// Oldest first. Any thread.
    public var segments: [SegmentSpan] {
        directory.segments.map {
            SegmentSpan(number: $0.number, baseSequence: $0.baseSequence, lastSequence: $0.lastSequence)
        }
    }

    /// The entries of an outcome with what is told of each; none in other records. What is not what was written is left out.
    public func tellingOutcomes(of record: GlancedRecord) -> [OutcomeEntry] {
        guard record.header.type == .outcome else { return [] }
        let header = record.header
        let (head, body) =
            record.bytes.withByteReader { bytes -> ([UInt8], [UInt8]?)? in
                guard header.isHeadIntact(bytes, at: 0, checksum: checksum) else { return nil }
                let head = bytes.bytes(from: header.headOffset, count: Int(header.headLength))
                guard header.bodyLength > 0, header.isBodyIntact(bytes, at: 0, checksum: checksum) else {
                    return (head, nil)
                }
                return (head, bytes.bytes(from: header.bodyOffset, count: Int(header.bodyLength)))
            } ?? ([], nil)
        return JournalHistory.outcomes((head, body))
    }

    /// Where the first record of a segment lies.
    public static var firstRecordOffset: UInt32 { UInt32(JournalFormat.segmentHeaderBytes) }

    /// Calls `body` with each record of `segment` from `offset` on whose sequence is at most `last`, in order of their place, copies
    /// included; stops behind the one for which it returns false. `last` must be durable. Gives the offset where to go on; nil when
    /// the segment is gone, from the log or from the disk. Linear in what lies between.
    public func glance(
        over segment: SegmentSpan, from offset: UInt32, through last: UInt64, _ body: (GlancedRecord) -> Bool
    ) throws(JournalError) -> UInt32? {
        do throws(DiskError) {
            let open: Handle?
            do throws(DiskError) { open = try handle(of: segment.number) } catch {
                // Lists go on without it.
                guard error == Self.lost else { throw error }
                return nil
            }
            guard let handle = open else { return nil }
            var window = Window(disk: disk, file: handle.file)
            var offset = UInt64(max(offset, Self.firstRecordOffset))
            let last = min(last, segment.lastSequence ?? last)
            while true {
                guard let record = try record(at: offset, &window, handle, mayBeTorn: segment.lastSequence == nil)
                else { break }
                // What lies behind the last one that counts was never acknowledged.
                guard record.header.isCopied || record.sequence <= last else { break }
                offset = UInt64(record.location.offset) + UInt64(record.header.totalLength)
                if !body(record) || record.sequence == segment.lastSequence { break }
            }
            guard directory.contains(segment.number) else { return nil }
            return UInt32(clamping: offset)
        } catch {
            throw JournalError(error)
        }
    }

    /// The record at `offset`, or behind a hole; nil when there is none.
    private func record(
        at offset: UInt64, _ window: inout Window, _ handle: Handle, mayBeTorn: Bool
    ) throws(DiskError) -> GlancedRecord? {
        if let record = try decode(at: offset, &window, handle) { return record }
        // In the segment being written this is where the next record comes.
        guard !mayBeTorn else { return nil }
        var position = offset + 8
        while true {
            let bytes = try window.bytes(
                from: position, count: Window.byteCount, atLeast: JournalFormat.recordHeaderBytes)
            guard bytes.count >= JournalFormat.recordHeaderBytes else { return nil }
            let found = bytes.withByteReader {
                $0.firstIndex(of: JournalFormat.recordMagic, from: 0, leaving: JournalFormat.recordHeaderBytes)
            }
            guard let found else {
                let step = (bytes.count - JournalFormat.recordHeaderBytes) / 8 * 8 + 8
                position += UInt64(step)
                continue
            }
            position += UInt64(found)
            if let record = try decode(at: position, &window, handle) { return record }
            position += 8
        }
    }

    private func decode(
        at offset: UInt64, _ window: inout Window, _ handle: Handle
    ) throws(DiskError) -> GlancedRecord? {
        // Enough for every delivery's meta: 112 + 5 * 256 + 7 bytes.
        var bytes = try window.bytes(from: offset, count: 1408, atLeast: JournalFormat.recordHeaderBytes)
        let header = bytes.withByteReader {
            RecordHeader.decode($0, at: 0, incarnation: handle.incarnation, checksum: checksum, isWhole: false)
        }
        guard let header else { return nil }
        let end = header.type == .delivery ? header.headOffset : Int(header.totalLength)
        if end > bytes.count { bytes = try window.bytes(from: offset, count: end, atLeast: end) }
        guard end <= bytes.count else { return nil }
        let location = RecordLocation(
            segment: handle.number, offset: UInt32(clamping: offset), length: header.totalLength)
        return GlancedRecord(header: header, location: location, bytes: Array(bytes.prefix(end)))
    }
}

/// A part of a file in memory, read anew when something outside of it is asked for.
private struct Window {
    static let byteCount = 16 << 10

    let disk: any Disk
    let file: DiskFile
    private var start: UInt64 = 0
    private var held: [UInt8] = []

    init(disk: any Disk, file: DiskFile) {
        self.disk = disk
        self.file = file
    }

    /// Up to `count` bytes from `offset`: fewer at the end of the file, or when `atLeast` are at hand.
    mutating func bytes(from offset: UInt64, count: Int, atLeast: Int) throws(DiskError) -> [UInt8] {
        if offset >= start, offset - start + UInt64(max(count, atLeast)) <= UInt64(held.count) {
            let from = Int(offset - start)
            return Array(held[from..<from + count])
        }
        held = try load(offset, max(count, Self.byteCount))
        start = offset
        return Array(held.prefix(count))
    }

    private func load(_ offset: UInt64, _ count: Int) throws(DiskError) -> [UInt8] {
        var failure: DiskError?
        // Sound: the disk writes at most the buffer's own bytes and says how many.
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
