// JournalHistory: deliveries by their sequence, in lists, and with what became of them, while the server writes.
//
//   sequence ──> segment (directory) ──> mark (index) ──> record
//   delivery ──> its segment and those behind it ──> mentions (index) ──> plan, outcomes
//
// Reads through descriptors of its own and takes no lock that a loop or the journal's thread takes for long: the directory's, to
// copy its list. Shows only what is durable. Segments may go while they are read: then what was in them is gone.

import Synchronization

/// May be used by any number of threads at once; calls block while they read the disk. Not for a loop.
public final class JournalHistory: Sendable {
    public enum Direction: Sendable { case backwards, forwards }

    public enum WalkEnd: Sendable, Equatable {
        /// There is nothing more in this direction, or nothing durable yet.
        case end
        /// To go on, walk from `next`.
        case stopped(next: UInt64)
    }

    /// Memory of all indexes together.
    static let indexBytesMax = 32 << 20

    let reader: JournalReader
    private let cache: Mutex<SegmentIndexCache>
    private var directory: SegmentDirectory { reader.directory }

    init(reader: JournalReader, indexBytesMax: Int = JournalHistory.indexBytesMax) {
        self.reader = reader
        cache = Mutex(SegmentIndexCache(bytesMax: indexBytesMax))
    }

    /// The last sequence that is shown.
    public var durableThrough: UInt64 { directory.durableThrough }

    /// The lowest sequence that may still be there; nil: there is none.
    public var oldestSequence: UInt64? {
        let first = directory.segments.first?.baseSequence
        guard let moved = directory.moved(between: 0...UInt64.max).first?.sequence else { return first }
        return min(first ?? moved, moved)
    }

    // MARK: One delivery

    /// nil: not a delivery, not there any more, or not durable yet. Throws when the disk cannot be read, or what it holds is not
    /// what was written (EBADMSG).
    public func record(of sequence: UInt64) throws(JournalError) -> StoredRecord? {
        guard let location = try location(of: sequence) else { return nil }
        return try reader.read(location, expecting: sequence)
    }

    /// As `record(of:)`, for one that was found at that place: also where that is a copy of one that is not owed any more, which is known by
    /// its place alone.
    public func record(of sequence: UInt64, at location: RecordLocation) throws(JournalError) -> StoredRecord? {
        try reader.read(location, expecting: sequence)
    }

    /// Whether there is a record of this sequence, a delivery or not, as far as segments tell: what is damaged counts.
    public func holds(_ sequence: UInt64) -> Bool {
        let limit = durableThrough
        return sequence <= limit
            && directory.segments.contains { $0.baseSequence <= sequence && $0.lastSequence ?? limit >= sequence }
    }

    /// As `record`, without the bytes.
    public func summary(of sequence: UInt64) throws(JournalError) -> DeliverySummary? {
        var summary: DeliverySummary?
        if try locate(sequence, { summary = DeliverySummary($0, at: $1, header: $2) }) != nil { return summary }
        return try record(of: sequence).flatMap { DeliverySummary($0) }
    }

    /// nil as in `record`. `lastSegment`: later ones are known to say nothing of it, and are not looked at.
    public func story(of sequence: UInt64, through lastSegment: UInt64 = .max) throws(JournalError) -> DeliveryStory? {
        var header: RecordHeader?
        if try locate(sequence, { header = $2 }) == nil { header = try record(of: sequence)?.header }
        guard let header, header.type == .delivery else { return nil }
        var story = DeliveryStory(header)
        guard header.decision == .accepted else { return story }
        let limit = durableThrough
        // Copies of a plan or an outcome stand beside their originals for a while.
        var seen: Set<UInt64> = []
        for segment in directory.segments
        where segment.baseSequence <= limit && segment.lastSequence ?? limit >= sequence
            && segment.number <= lastSegment
        {
            try takeMentions(of: sequence, in: segment, limit, &seen, &story)
            if story.isSettled { break }
        }
        story.conclude(header)
        return story
    }

    private func takeMentions(
        of sequence: UInt64, in segment: SegmentDirectory.Known, _ limit: UInt64, _ seen: inout Set<UInt64>,
        _ story: inout DeliveryStory
    ) throws(JournalError) {
        do throws(DiskError) {
            guard let (handle, index) = try indexIfThere(segment, limit) else { return }
            for offset in index.mentions(of: sequence) {
                var walk = SegmentWalk(reader, handle, from: offset)
                guard let (header, place) = try walk.next(through: limit), place == offset,
                    seen.insert(header.sequence).inserted, let payload = try walk.payload(of: header, at: offset)
                else { continue }
                if header.type == .plan, let entries = payload.head.withByteReader(PlanCoding.decode) {
                    story.take(
                        plan: entries, payload.body?.withByteReader(PlanDetailsCoding.decode),
                        at: header.timeUnixNanoseconds)
                } else if header.type == .outcome {
                    for entry in Self.outcomes(payload) where entry.sequence == sequence {
                        story.take(entry, at: header.timeUnixNanoseconds)
                    }
                }
            }
        } catch {
            throw JournalError(error)
        }
    }

    /// The entries of an outcome record with what is told of them; none when they cannot be read.
    static func outcomes(_ payload: (head: [UInt8], body: [UInt8]?)) -> [OutcomeEntry] {
        var entries = payload.head.withByteReader(OutcomeCoding.decode) ?? []
        payload.body?.withByteReader { OutcomeDetailsCoding.decode($0, into: &entries) }
        return entries
    }

    /// Where a delivery lies now.
    private func location(of sequence: UInt64) throws(JournalError) -> RecordLocation? {
        try locate(sequence) { _, _, _ in } ?? directory.movedLocation(of: sequence)
    }

    /// Calls `body` with the delivery's header where it was first written, and says where that is; nil when that is gone.
    private func locate(
        _ sequence: UInt64, _ body: (ByteReader, Int, RecordHeader) -> Void
    ) throws(JournalError) -> RecordLocation? {
        let limit = durableThrough
        guard sequence > 0, sequence <= limit,
            let segment = directory.segments.first(where: { $0.lastSequence ?? limit >= sequence }),
            segment.baseSequence <= sequence
        else { return nil }
        do throws(DiskError) {
            guard let (handle, index) = try indexIfThere(segment, limit), let mark = index.markIndex(of: sequence)
            else {
                return nil
            }
            var walk = SegmentWalk(
                reader, handle, from: index.marks[mark].offset, after: index.marks[mark].sequence - 1)
            while let (header, offset) = try walk.next(through: sequence) {
                guard !header.isCopied, header.sequence == sequence else { continue }
                guard header.type == .delivery else { return nil }
                walk.withHeader(at: offset) { body($0, $1, header) }
                return RecordLocation(segment: segment.number, offset: UInt32(offset), length: header.totalLength)
            }
            return nil
        } catch {
            throw JournalError(error)
        }
    }

    // MARK: Parts

    /// nil: the segment is gone, from the log or from the disk.
    private func indexIfThere(
        _ segment: SegmentDirectory.Known, _ limit: UInt64
    ) throws(DiskError) -> (JournalReader.Handle, SegmentIndex)? {
        do throws(DiskError) { return try index(of: segment, limit) } catch {
            guard error == JournalReader.lost else { throw error }
            return nil
        }
    }

    /// nil: the segment is gone from the log.
    func index(
        of segment: SegmentDirectory.Known, _ limit: UInt64
    ) throws(DiskError) -> (JournalReader.Handle, SegmentIndex)? {
        guard let handle = try reader.handle(of: segment.number) else { return nil }
        let index = try cache.withLock { cache throws(DiskError) in
            try cache.index(
                of: handle, reader, through: segment.lastSequence ?? limit, isEnded: segment.lastSequence != nil)
        }
        return (handle, index)
    }
}
