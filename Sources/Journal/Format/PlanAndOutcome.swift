// Plans, outcomes and keep records: what says what is owed. All keep their entries in the record's head; what plans and outcomes tell
// beside them is in the body: `RecordDetails.swift`.
//
// Plan (the record's reference is the delivery):
//   offset  size  field
//        0     2  number of entries
//   then for each entry
//        0     1  action kind, a code of the caller's
//        1     2  target length
//        3     n  target, opaque to the journal
//
// Outcome:
//   offset  size  field
//        0     4  number of entries
//   then for each entry
//        0     8  delivery sequence
//        8     2  plan index; 0xFFFF: the whole delivery
//       10     1  outcome: 1 done, 2 ignored, 3 merged, 4 dead, 5 failed
//       11     1  reason length
//       12     8  detail: merged: the sequence merged into; failed: the attempt's number
//       20     n  reason
//
// Keep (the record's reference is the number of the segment):
//   offset  size  field
//        0     8  incarnation of the segment
//        8     8  the last sequence in it that counts
//       16     4  number of entries
//       20     8  sequence of a delivery that is owed, for each, ascending. Of the segment's deliveries only these count;
//                 a later list of the same segment takes the place of an earlier one

/// One action of a plan.
public struct PlanEntry: Sendable, Equatable {
    /// A code of the caller's.
    public var actionKind: UInt8
    /// At most 65,535 bytes; opaque to the journal.
    public var target: [UInt8]

    public init(actionKind: UInt8, target: [UInt8]) {
        self.actionKind = actionKind
        self.target = target
    }
}

/// What became of an action.
public enum Outcome: UInt8, Sendable, CaseIterable {
    case done = 1
    case ignored = 2
    case merged = 3
    case dead = 4
    /// An attempt; not final.
    case failed = 5

    public var isFinal: Bool { self != .failed }

    public var name: String {
        switch self {
        case .done: "done"
        case .ignored: "ignored"
        case .merged: "merged"
        case .dead: "dead"
        case .failed: "failed"
        }
    }
}

/// One entry of an outcome record.
public struct OutcomeEntry: Sendable, Equatable {
    /// The plan index that means the whole delivery.
    public static let wholeDelivery: UInt16 = 0xFFFF

    public var sequence: UInt64
    public var planIndex: UInt16
    public var outcome: Outcome
    /// merged: the sequence merged into; failed: the attempt's number; else 0.
    public var detail: UInt64
    /// At most 255 bytes of UTF-8 are kept.
    public var reason: String
    /// Decides nothing. nil: nothing more is known.
    public var details: OutcomeDetails?

    public init(
        sequence: UInt64, planIndex: UInt16 = OutcomeEntry.wholeDelivery, outcome: Outcome, detail: UInt64 = 0,
        reason: String = "", details: OutcomeDetails? = nil
    ) {
        self.sequence = sequence
        self.planIndex = planIndex
        self.outcome = outcome
        self.detail = detail
        self.reason = reason
        self.details = details
    }
}

enum PlanCoding {
    static let entriesMax = Int(UInt16.max) - 1

    static func byteCount(_ entries: [PlanEntry]) -> Int {
        entries.reduce(2) { $0 + 3 + min($1.target.count, Int(UInt16.max)) }
    }

    /// `writer` spans exactly `byteCount(entries)` bytes.
    static func encode(_ entries: [PlanEntry], into writer: ByteWriter) {
        writer.store(UInt16(entries.count), at: 0)
        var position = 2
        for entry in entries {
            let count = min(entry.target.count, Int(UInt16.max))
            writer.store(entry.actionKind, at: position)
            writer.store(UInt16(count), at: position + 1)
            unsafe entry.target.withUnsafeBytes {
                unsafe writer.copy(.init(rebasing: $0.prefix(count)), to: position + 3)
            }
            position += 3 + count
        }
    }

    /// nil when the bytes are not a plan. Linear in `reader.count`.
    static func decode(_ reader: ByteReader) -> [PlanEntry]? {
        guard reader.contains(0, 2) else { return nil }
        let count = Int(reader.uint16(at: 0))
        var entries: [PlanEntry] = []
        entries.reserveCapacity(min(count, reader.count / 3))
        var position = 2
        for _ in 0..<count {
            guard reader.contains(position, 3) else { return nil }
            let length = Int(reader.uint16(at: position + 1))
            guard reader.contains(position + 3, length) else { return nil }
            entries.append(
                PlanEntry(
                    actionKind: reader.uint8(at: position), target: reader.bytes(from: position + 3, count: length)))
            position += 3 + length
        }
        return position == reader.count ? entries : nil
    }
}

enum OutcomeCoding {
    static let entryBytes = 20

    static func byteCount(_ entries: ArraySlice<OutcomeEntry>) -> Int {
        entries.reduce(4) { $0 + byteCount($1) }
    }

    static func byteCount(_ entry: OutcomeEntry) -> Int { entryBytes + ShortText.byteCount(entry.reason) }

    /// `writer` spans exactly `byteCount(entries)` bytes.
    static func encode(_ entries: ArraySlice<OutcomeEntry>, into writer: ByteWriter) {
        writer.store(UInt32(entries.count), at: 0)
        var position = 4
        for entry in entries {
            let count = ShortText.byteCount(entry.reason)
            writer.store(entry.sequence, at: position)
            writer.store(entry.planIndex, at: position + 8)
            writer.store(entry.outcome.rawValue, at: position + 10)
            writer.store(UInt8(count), at: position + 11)
            writer.store(entry.detail, at: position + 12)
            ShortText.store(entry.reason, count, into: writer, at: position + entryBytes)
            position += entryBytes + count
        }
    }

    /// nil when the bytes are not outcomes. Linear in `reader.count`.
    static func decode(_ reader: ByteReader) -> [OutcomeEntry]? {
        guard reader.contains(0, 4) else { return nil }
        let count = Int(reader.uint32(at: 0))
        guard count <= reader.count / entryBytes else { return nil }
        var entries: [OutcomeEntry] = []
        entries.reserveCapacity(count)
        var position = 4
        for _ in 0..<count {
            guard reader.contains(position, entryBytes) else { return nil }
            let length = Int(reader.uint8(at: position + 11))
            guard reader.contains(position + entryBytes, length),
                let outcome = Outcome(rawValue: reader.uint8(at: position + 10))
            else { return nil }
            entries.append(
                OutcomeEntry(
                    sequence: reader.uint64(at: position), planIndex: reader.uint16(at: position + 8),
                    outcome: outcome, detail: reader.uint64(at: position + 12),
                    reason: reader.string(from: position + entryBytes, count: length)))
            position += entryBytes + length
        }
        return position == reader.count ? entries : nil
    }
}

enum KeepCoding {
    struct List {
        var incarnation: UInt64
        var lastSequence: UInt64
        var sequences: [UInt64]
    }

    static func byteCount(_ count: Int) -> Int { 20 + 8 * count }

    /// `writer` spans exactly `byteCount(list.sequences.count)` bytes.
    static func encode(_ list: List, into writer: ByteWriter) {
        writer.store(list.incarnation, at: 0)
        writer.store(list.lastSequence, at: 8)
        writer.store(UInt32(list.sequences.count), at: 16)
        var position = 20
        for sequence in list.sequences {
            writer.store(sequence, at: position)
            position += 8
        }
    }

    /// nil when the bytes are not a list.
    static func decode(_ reader: ByteReader) -> List? {
        guard reader.contains(0, 20) else { return nil }
        let count = Int(reader.uint32(at: 16))
        guard byteCount(count) == reader.count else { return nil }
        return List(
            incarnation: reader.uint64(at: 0), lastSequence: reader.uint64(at: 8),
            sequences: (0..<count).map { reader.uint64(at: 20 + 8 * $0) })
    }
}
