// SegmentVerdict: which records of a scanned segment belong to the log, and what is damage. Pure.
//
// Two facts decide, both written by the log itself:
//
//   - The *bound*: the `previous sequence` in the start of the next segment. Whatever this segment holds above it was
//     written but never acknowledged (its sync failed, or a crash tore it and recovery cut it) and is void for ever.
//     Whatever is missing at or below it was durable once: damage.
//   - The *mark*, for the last segment, which has no successor: the highest durable mark in any record of it. A hole
//     that begins above the mark is the torn tail of the group that was being written: the log is cut there, and nothing
//     is lost, because nobody was told. A hole at or below the mark is damage, and the records behind it count.
//
// Copies have old sequences, so neither bound nor mark says anything about them. They are always written in one run with a
// record that is no copy behind them, and count if that one does.
//
// So a torn tail stays a torn tail when it is read again after a hundred restarts: by then a later segment's bound
// says what the mark said first.

/// One place where the log does not hold what it once held, or a segment header that needs its second copy.
public struct Damage: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// Bytes that hold no record.
        case hole
        /// A record whose head or body is not what was written.
        case payload
        /// A segment header block that does not hold.
        case segmentHeader = "segment header"
        /// A segment that cannot be read at all.
        case segment
        /// A file ends before its segment does: the last one's, of which nobody knows how far it went, or within the header, of which
        /// that is known where its start can be read and another segment follows.
        case cut = "cut short"
    }

    public var kind: Kind
    public var segment: UInt64
    public var offset: Int
    public var length: Int
    /// The sequences that are gone; nil when none is known to be.
    public var missing: ClosedRange<UInt64>?

    public init(kind: Kind, segment: UInt64, offset: Int, length: Int, missing: ClosedRange<UInt64>?) {
        self.kind = kind
        self.segment = segment
        self.offset = offset
        self.length = length
        self.missing = missing
    }
}

public struct SegmentVerdict: Sendable {
    /// The file's name says it, whatever the header says.
    public var number: UInt64
    public var fileBytes: Int
    public var headerState: SegmentHeaderState
    public var identity: SegmentIdentity?
    public var start: SegmentStart?
    /// The records that count, in order of their place.
    public var records: [ScannedRecord]
    /// Records that hold by themselves but were never acknowledged, or lie behind the cut.
    public var voidRecords: [ScannedRecord]
    public var damage: [Damage]
    /// End of the last record that counts (or of the segment header).
    public var validLength: Int
    public var stop: ScanStop
    /// Bytes of broken or void records behind `validLength`.
    public var tornBytes: Int
    /// The last sequence that counts; nil when there is none.
    public var lastSequence: UInt64?
    /// Sequences up to here are proven to have been durable: by the bound, or by the highest mark.
    public var durableThrough: UInt64
    /// The highest sequence in the segment, void or not; the next one given out must be above it.
    public var highestSequence: UInt64

    /// Prepared ahead and never used.
    public var isUnstarted: Bool
}

extension SegmentVerdict {
    /// Judges a scan. `nextPreviousSequence` is the bound: from the next started segment, nil for the last.
    init(scan: SegmentScan, number: UInt64, fileBytes: Int, nextPreviousSequence: UInt64?) {
        self.number = number
        self.fileBytes = fileBytes
        headerState = scan.headerState
        identity = scan.identity
        start = scan.start
        records = []
        voidRecords = []
        damage = []
        validLength = min(JournalFormat.segmentHeaderBytes, fileBytes)
        stop = scan.stop
        tornBytes = 0
        lastSequence = nil
        durableThrough = 0
        highestSequence = 0
        isUnstarted = false

        guard scan.identity != nil else {
            damage.append(Damage(kind: .segment, segment: number, offset: 0, length: fileBytes, missing: nil))
            return
        }
        var judge = Judge(scan: scan, bound: nextPreviousSequence)
        highestSequence = judge.highestSequence
        durableThrough = judge.mark
        let wholeBytes = scan.identity.map { Int(clamping: $0.segmentBytes) } ?? fileBytes
        // Not even a segment that was only prepared ever ends there.
        if fileBytes < JournalFormat.segmentHeaderBytes {
            var missing: ClosedRange<UInt64>?
            if let base = scan.start?.baseSequence, let bound = nextPreviousSequence, base <= bound {
                missing = base...bound
            }
            noteCut(wholeBytes, missing: missing)
            return
        }
        guard judge.wasStarted else {
            isUnstarted = true
            voidRecords = scan.records
            return
        }
        judgeHeader(scan, mark: judge.mark)
        judge.run(number: number, fileBytes: fileBytes)
        records = judge.kept
        voidRecords = judge.void
        damage += judge.damage
        lastSequence = judge.lastKept
        validLength = judge.validLength
        let brokenEnd = max(scan.validLength + scan.tornBytes, validLength)
        let isCut = !voidRecords.isEmpty || judge.isCutAtPayload || scan.stop == .torn
        tornBytes = isCut ? brokenEnd - validLength : 0
        // A start cuts what the last run left behind the last record, at the next page, and leaves nothing torn there.
        if nextPreviousSequence == nil, fileBytes < wholeBytes,
            fileBytes != Self.cutLength(validLength) || scan.stop == .torn
        {
            noteCut(wholeBytes)
        }
    }

    /// The length to which a start cuts a segment whose records end at `validLength`.
    static func cutLength(_ validLength: Int) -> Int { (validLength + 4095) / 4096 * 4096 }

    private mutating func noteCut(_ wholeBytes: Int, missing: ClosedRange<UInt64>? = nil) {
        damage.append(
            Damage(
                kind: .cut, segment: number, offset: fileBytes, length: max(wholeBytes - fileBytes, 0), missing: missing
            )
        )
    }

    /// The highest sequence of a record that is more than a probe, or that copies count with; 0 when there is none.
    var lastWorthMarking: UInt64 {
        var highest: UInt64 = 0
        var closesCopies = false
        for record in records {
            if record.header.isCopied {
                closesCopies = true
            } else {
                if closesCopies || record.header.type != .probe { highest = record.header.sequence }
                closesCopies = false
            }
        }
        return highest
    }

    private mutating func judgeHeader(_ scan: SegmentScan, mark: UInt64) {
        func note(_ offset: Int, _ length: Int) {
            damage.append(
                Damage(kind: .segmentHeader, segment: number, offset: offset, length: length, missing: nil))
        }
        let page = JournalFormat.startOffset
        switch scan.headerState {
        case .damagedIdentityCopy: note(0, page)
        case .damagedStart: note(page, page)
        case .damagedStartCopy:
            // Torn with the first group, unless that group is known to have been durable.
            if let start = scan.start, mark >= start.baseSequence { note(page, page) }
        case .sound, .unreadable, .unknownVersion: break
        }
    }
}

/// The walk over a scan's records.
private struct Judge {
    private let scan: SegmentScan
    /// nil in the last segment.
    private let bound: UInt64?
    /// Sequences up to here were durable.
    private(set) var mark: UInt64
    private(set) var highestSequence: UInt64 = 0
    private(set) var wasStarted: Bool
    // The sequence that the next record which is no copy must have.
    private var expected: UInt64

    private(set) var kept: [ScannedRecord] = []
    // Copies whose closing record has not come yet, and the damage among them.
    private var openCopies: [ScannedRecord] = []
    private var openDamage: [Damage] = []
    private(set) var void: [ScannedRecord] = []
    private(set) var damage: [Damage] = []
    private(set) var lastKept: UInt64?
    private(set) var validLength = JournalFormat.segmentHeaderBytes
    private(set) var isCutAtPayload = false

    init(scan: SegmentScan, bound: UInt64?) {
        self.scan = scan
        self.bound = bound
        var first: UInt64?
        var highestMark: UInt64 = scan.start?.previousSequence ?? 0
        for record in scan.records {
            highestSequence = max(highestSequence, record.header.sequence)
            highestMark = max(highestMark, record.header.durableMark)
            if first == nil, !record.header.isCopied { first = record.header.sequence }
        }
        mark = bound ?? highestMark
        expected = scan.start?.baseSequence ?? first ?? 0
        // Without a start, records are the torn remains of a first group, unless a later record proves that this group
        // was durable, or the start is there but damaged. A damaged start without records is what a write leaves that
        // failed in the middle of it: the records come behind it in the same write.
        let isProven = first.map { highestMark >= $0 } ?? false
        let isDamaged = scan.headerState == .damagedStart && !scan.records.isEmpty
        wasStarted = scan.start != nil || isDamaged || isProven
    }

    mutating func run(number: UInt64, fileBytes: Int) {
        var index = 0
        while index < scan.records.count, keep(scan.records[index], number: number) { index += 1 }
        void = openCopies + Array(scan.records[index...])
        // What the next segment says was durable and is nowhere here.
        if let bound, expected > 0, expected <= bound {
            damage.append(
                Damage(
                    kind: .hole, segment: number, offset: validLength, length: max(fileBytes - validLength, 0),
                    missing: expected...bound))
        }
    }

    /// False: the log is cut before this record.
    private mutating func keep(_ record: ScannedRecord, number: UInt64) -> Bool {
        let sequence = record.header.sequence
        let holeOffset = record.offset - record.holeBytes
        // Below where the segment begins nothing was ever written to it.
        if !record.header.isCopied, sequence < expected { return true }
        if !record.header.isCopied {
            if sequence > expected {
                guard expected <= mark else { return false }
                let last = bound.map { min(sequence - 1, $0) } ?? sequence - 1
                damage.append(
                    Damage(
                        kind: .hole, segment: number, offset: holeOffset, length: record.holeBytes,
                        missing: expected...last))
                expected = last + 1
            } else if record.holeBytes > 0, !keepHole(at: holeOffset, length: record.holeBytes, number) {
                return false
            }
            if let bound, sequence > bound { return false }
        } else if record.holeBytes > 0, !keepHole(at: holeOffset, length: record.holeBytes, number) {
            return false
        }

        if !record.isPayloadIntact {
            // A copy has no place in the sequence; what follows it tells whether it was durable.
            let wasDurable = record.header.isCopied ? expected <= mark : sequence <= mark
            guard wasDurable else {
                isCutAtPayload = true
                return false
            }
            openDamage.append(
                Damage(
                    kind: .payload, segment: number, offset: record.offset, length: Int(record.header.totalLength),
                    missing: record.doesCount ? nil : sequence...sequence))
        }
        if record.doesCount { openCopies.append(record) }
        if !record.header.isCopied { close(record) }
        return true
    }

    /// `record` is no copy and counts: so do the copies in front of it.
    private mutating func close(_ record: ScannedRecord) {
        kept += openCopies
        damage += openDamage
        openCopies.removeAll(keepingCapacity: true)
        openDamage.removeAll(keepingCapacity: true)
        expected = record.header.sequence + 1
        lastKept = record.header.sequence
        validLength = record.offset + Int(record.header.totalLength)
    }

    /// A hole that swallowed no sequence: only copies, whose originals stayed until the copies were durable.
    private mutating func keepHole(at offset: Int, length: Int, _ number: UInt64) -> Bool {
        guard expected <= mark else { return false }
        damage.append(Damage(kind: .hole, segment: number, offset: offset, length: length, missing: nil))
        return true
    }
}
