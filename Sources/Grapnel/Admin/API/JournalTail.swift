// JournalTail: the journal's records in their order from a place on, as they become durable.

internal import Journal

struct JournalTail: Sendable {
    enum End: Sendable, Equatable {
        /// There is nothing more through the sequence that was asked for.
        case reached
        /// `body` has had enough.
        case stopped
        /// The disk cannot be read now; the next call tries again.
        case unreadable
    }

    private let reader: JournalReader
    private var segment: UInt64?
    private var offset = JournalReader.firstRecordOffset
    /// Every record through it was passed.
    private(set) var passed: UInt64

    /// Begins behind `through`.
    init(reader: JournalReader, through: UInt64) {
        self.reader = reader
        passed = through
        let segments = reader.segments
        segment = (segments.last { $0.baseSequence <= through &+ 1 } ?? segments.first)?.number
    }

    /// Calls `body` with every record above the last one passed, through `last`, which must be durable; copies are left out, and what
    /// is damaged or gone. Linear in what lies between; the first call reads its segment from the begin.
    mutating func advance(through last: UInt64, _ body: (GlancedRecord) -> Bool) -> End {
        for span in reader.segments where span.number >= segment ?? 0 {
            if span.number != segment {
                segment = span.number
                offset = JournalReader.firstRecordOffset
            }
            var newest = passed
            var isEnough = false
            do throws(JournalError) {
                let end = try reader.glance(over: span, from: offset, through: last) { record in
                    guard !record.header.isCopied, record.sequence > newest else { return true }
                    newest = record.sequence
                    isEnough = !body(record)
                    return !isEnough
                }
                if let end { offset = end }
            } catch {
                // What was passed before it failed is not read again.
                passed = newest
                return .unreadable
            }
            passed = newest
            if isEnough { return .stopped }
        }
        passed = max(passed, last)
        return .reached
    }
}
