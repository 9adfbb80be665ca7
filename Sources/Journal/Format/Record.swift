// A record: 112 fixed bytes, meta, head, body. Begins at a multiple of 8 and its length is one.
//
//   offset  size  field                meaning (little endian)
//        0     4  magic                "GJR1"
//        4     4  header checksum      CRC-32 of bytes 8 ..< 112 + meta length, seeded with the folded incarnation
//        8     8  incarnation          the segment's; anything else is an older use of the file: the end of data
//       16     8  sequence             1 ..< 2^62. One sequence for all types, without gaps inside a segment
//       24     8  durable mark         highest sequence known durable when the record's group was written: a hole below
//                                      the highest mark of the log is damage, a hole above it a torn tail
//       32     4  total length         fixed part + meta + head + body
//       36     1  type                 1 delivery, 2 plan, 3 outcome, 4 probe, 5 keep
//       37     1  flags                bit 0 copied: copied forward from an older segment under its old sequence;
//                                      counts only if the next record that is no copy does; bit 1 sameIDOtherBody: this delivery id came before with another body;
//                                      bit 2 adopted: received by another journal, see `RecordOrigin`; bit 3 redelivered: a copy of
//                                      an earlier delivery that is to be carried out again; bit 4 planned: counts only with its plan;
//                                      bit 5 concluded: was final when it was taken over, never owed here
//       38     2  meta length          including its padding
//       40     8  time                 delivery: when it was received; else when it was written; Unix nanoseconds
//       48     4  head length
//       52     4  head checksum        CRC-32 of the head, seed 0
//       56     4  body length          as stored: 0 in a duplicate
//       60     4  body checksum        CRC-32 of the body as received, seed 0
//       64     1  decision             delivery: 1 accepted, 2 stored (no actions: final), 3 ignored, 4 duplicate; else 0
//       65     1  ignored reason       a code of the caller's, for decision 3
//       66     1  receiver kind        a code of the caller's
//       67     1  sender type          a code of the caller's
//       68     4  dedupe window        seconds; 0: not deduplicated
//       72     8  route fingerprint    changes when the route or a target of it changes
//       80     8  dedupe hash, low     of (route, delivery id); both 0: no delivery id. Adopted: the journal it came from
//       88     8  dedupe hash, high    adopted: the reference that it had there
//       96     8  reference            duplicate: the sequence it repeats; redelivered: the sequence it carries out again; plan: the
//                                      delivery it is for; keep: the number of the segment; adopted: its sequence where it came
//                                      from; else 0
//      104     4  received body length of the body as received; equals body length except in a duplicate
//      108     4  reserved             0
//      112        meta                 delivery: cluster, namespace, name, delivery id, event name, each one length byte
//                                      and that many bytes, then 0 to 7 zero bytes so that the whole record is a
//                                      multiple of 8; others: only the zero bytes
//      ...        head                 delivery: the request head as received; plan, outcome, keep: their entries
//      ...        body                 delivery: the decoded body; plan, outcome: what is told of it (`RecordDetails.swift`), or nothing
//
// The header checksum bounds what a reader must believe before it knows a record is one: at most 112 + 1287 bytes.
// Head and body have checksums of their own, so that a damaged body still says exactly which record it was.

/// What a record is.
public enum RecordType: UInt8, Sendable, CaseIterable {
    case delivery = 1
    /// What is to be done for a delivery.
    case plan = 2
    /// What became of deliveries.
    case outcome = 3
    /// Written to find out whether the disk works, and to carry a durable mark.
    case probe = 4
    /// What is still owed in a segment that was carried forward as a whole.
    case keep = 5

    public var name: String {
        switch self {
        case .delivery: "delivery"
        case .plan: "plan"
        case .outcome: "outcome"
        case .probe: "probe"
        case .keep: "keep"
        }
    }
}

/// What was decided about a delivery when it was received.
public enum Decision: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    /// Owed: actions follow.
    case accepted = 1
    /// Final: the route has no actions.
    case stored = 2
    /// Final: authenticated, but not for us.
    case ignored = 3
    /// Final: repeats an earlier delivery.
    case duplicate = 4

    public var name: String {
        switch self {
        case .accepted: "accepted"
        case .stored: "stored"
        case .ignored: "ignored"
        case .duplicate: "duplicate"
        }
    }
}

public struct RecordFlags: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let copied = RecordFlags(rawValue: 1)
    public static let sameIDOtherBody = RecordFlags(rawValue: 2)
    public static let adopted = RecordFlags(rawValue: 4)
    // A reader that does not know the next three reads a delivery like any other, without deduplication. It carries a
    // redelivery out; a planned one by its plan, which is lost only if a crash tore the group in which both stood before
    // anyone was told of it; a concluded one is final by the outcomes behind it.
    /// See `WriterCore+Redeliver.swift`.
    public static let redelivered = RecordFlags(rawValue: 8)
    /// Owed only if its plan is there: what was to be done instead of what is configured must not be forgotten.
    public static let planned = RecordFlags(rawValue: 16)
    /// Taken over with its final outcomes: not owed, whatever of these is lost.
    public static let concluded = RecordFlags(rawValue: 32)
}

/// The fixed part of a record. See the table at the top of this file.
public struct RecordHeader: Sendable, Equatable {
    public var sequence: UInt64 = 0
    public var durableMark: UInt64 = 0
    public var totalLength: UInt32 = 0
    public var type: RecordType = .probe
    public var flags: RecordFlags = []
    public var metaLength: UInt16 = 0
    public var timeUnixNanoseconds: UInt64 = 0
    public var headLength: UInt32 = 0
    public var headChecksum: UInt32 = 0
    public var bodyLength: UInt32 = 0
    public var bodyChecksum: UInt32 = 0
    /// nil in everything but a delivery.
    public var decision: Decision?
    public var ignoredReason: UInt8 = 0
    public var receiverKind: UInt8 = 0
    public var senderType: UInt8 = 0
    public var dedupeWindowSeconds: UInt32 = 0
    public var routeFingerprint: UInt64 = 0
    public var dedupeHash: DedupeHash = .none
    public var reference: UInt64 = 0
    public var receivedBodyLength: UInt32 = 0

    public init() {}

    public var isCopied: Bool { flags.contains(.copied) }
    /// What its writer decided is that actions follow, and nothing says that they are over.
    var isAccepted: Bool { decision == .accepted && !flags.contains(.concluded) }
    /// Of a redelivery: the first delivery that it carries out again. nil as well when that was another journal's.
    public var redeliveryOf: UInt64? {
        flags.contains(.redelivered) && !flags.contains(.adopted) ? reference : nil
    }
    /// Of a duplicate: what it repeats. nil as well when that was another journal's.
    public var duplicateOf: UInt64? { decision == .duplicate && !flags.contains(.adopted) ? reference : nil }
    /// Offsets from the record's first byte.
    var headOffset: Int { JournalFormat.recordHeaderBytes + Int(metaLength) }
    var bodyOffset: Int { headOffset + Int(headLength) }

    /// Sets `metaLength` and `totalLength` for a meta of `metaBytes` bytes without padding; returns the padding.
    mutating func setLengths(metaBytes: Int) -> Int {
        let unpadded = JournalFormat.recordHeaderBytes + metaBytes + Int(headLength) + Int(bodyLength)
        let padding = -unpadded & (JournalFormat.recordAlignment - 1)
        metaLength = UInt16(metaBytes + padding)
        totalLength = UInt32(unpadded + padding)
        return padding
    }

    /// Writes everything but incarnation, durable mark and header checksum: these follow in `seal`.
    func encode(into writer: ByteWriter) {
        writer.store(JournalFormat.recordMagic, at: 0)
        writer.store(UInt32(0), at: 4)
        writer.store(UInt64(0), at: 8)
        writer.store(sequence, at: 16)
        writer.store(durableMark, at: 24)
        writer.store(totalLength, at: 32)
        writer.store(type.rawValue, at: 36)
        writer.store(flags.rawValue, at: 37)
        writer.store(metaLength, at: 38)
        writer.store(timeUnixNanoseconds, at: 40)
        writer.store(headLength, at: 48)
        writer.store(headChecksum, at: 52)
        writer.store(bodyLength, at: 56)
        writer.store(bodyChecksum, at: 60)
        writer.store(decision?.rawValue ?? 0, at: 64)
        writer.store(ignoredReason, at: 65)
        writer.store(receiverKind, at: 66)
        writer.store(senderType, at: 67)
        writer.store(dedupeWindowSeconds, at: 68)
        writer.store(routeFingerprint, at: 72)
        writer.store(dedupeHash.low, at: 80)
        writer.store(dedupeHash.high, at: 88)
        writer.store(reference, at: 96)
        writer.store(receivedBodyLength, at: 104)
        writer.store(UInt32(0), at: 108)
    }

    /// Completes an encoded header in front of its meta for the segment it goes to.
    static func seal(
        _ writer: ByteWriter, incarnation: UInt64, durableMark: UInt64, metaLength: Int, checksum: Checksummer
    ) {
        writer.store(incarnation, at: 8)
        writer.store(durableMark, at: 24)
        let seed = JournalFormat.seed(incarnation: incarnation)
        let covered = JournalFormat.recordHeaderBytes - 8 + metaLength
        writer.store(writer.checksum(checksum, seed: seed, from: 8, count: covered), at: 4)
    }

    /// The header of the record at `offset`, or nil when there is no whole record of `incarnation` there. Head and
    /// body are not looked at; without `isWhole` they need not be in `reader`. Costs at most one checksum of 112 + 65535 bytes, and that only behind a matching
    /// incarnation.
    static func decode(
        _ reader: ByteReader, at offset: Int, incarnation: UInt64, checksum: Checksummer, isWhole: Bool = true
    ) -> RecordHeader? {
        let fixed = JournalFormat.recordHeaderBytes
        guard reader.contains(offset, fixed),
            reader.uint32(at: offset) == JournalFormat.recordMagic,
            reader.uint64(at: offset + 8) == incarnation
        else { return nil }
        let metaLength = reader.uint16(at: offset + 38)
        let totalLength = reader.uint32(at: offset + 32)
        guard Int(totalLength) >= fixed + Int(metaLength),
            reader.contains(offset, isWhole ? Int(totalLength) : fixed + Int(metaLength)),
            Int(totalLength) % JournalFormat.recordAlignment == 0
        else { return nil }
        let seed = JournalFormat.seed(incarnation: incarnation)
        let covered = fixed - 8 + Int(metaLength)
        guard reader.uint32(at: offset + 4) == reader.checksum(checksum, seed: seed, from: offset + 8, count: covered),
            let type = RecordType(rawValue: reader.uint8(at: offset + 36))
        else { return nil }

        var header = RecordHeader()
        header.sequence = reader.uint64(at: offset + 16)
        header.durableMark = reader.uint64(at: offset + 24)
        header.totalLength = totalLength
        header.type = type
        header.flags = RecordFlags(rawValue: reader.uint8(at: offset + 37))
        header.metaLength = metaLength
        header.timeUnixNanoseconds = reader.uint64(at: offset + 40)
        header.headLength = reader.uint32(at: offset + 48)
        header.headChecksum = reader.uint32(at: offset + 52)
        header.bodyLength = reader.uint32(at: offset + 56)
        header.bodyChecksum = reader.uint32(at: offset + 60)
        header.decision = Decision(rawValue: reader.uint8(at: offset + 64))
        header.ignoredReason = reader.uint8(at: offset + 65)
        header.receiverKind = reader.uint8(at: offset + 66)
        header.senderType = reader.uint8(at: offset + 67)
        header.dedupeWindowSeconds = reader.uint32(at: offset + 68)
        header.routeFingerprint = reader.uint64(at: offset + 72)
        header.dedupeHash = DedupeHash(low: reader.uint64(at: offset + 80), high: reader.uint64(at: offset + 88))
        header.reference = reader.uint64(at: offset + 96)
        header.receivedBodyLength = reader.uint32(at: offset + 104)

        guard header.sequence > 0, header.sequence < JournalFormat.sequenceLimit,
            header.durableMark < header.sequence || header.isCopied,
            fixed + Int(metaLength) + Int(header.headLength) + Int(header.bodyLength) == Int(totalLength),
            (header.decision != nil) == (type == .delivery),
            type != .delivery || DeliveryMeta(reader, at: offset, header: header) != nil
        else { return nil }
        return header
    }
}

/// Where the texts of a delivery's meta lie: offsets from the record's first byte.
struct DeliveryMeta {
    struct Field {
        var offset: Int
        var count: Int
    }

    var cluster: Field
    var namespace: Field
    var name: Field
    var deliveryID: Field
    var eventName: Field

    /// nil when the five fields do not fit the meta.
    init?(_ reader: ByteReader, at record: Int, header: RecordHeader) {
        var position = JournalFormat.recordHeaderBytes
        let end = position + Int(header.metaLength)
        func next() -> Field? {
            guard position < end else { return nil }
            let count = Int(reader.uint8(at: record + position))
            guard count <= end - position - 1 else { return nil }
            let field = Field(offset: position + 1, count: count)
            position += 1 + count
            return field
        }
        guard let cluster = next(), let namespace = next(), let name = next(), let deliveryID = next(),
            let eventName = next(), end - position < JournalFormat.recordAlignment
        else { return nil }
        self.cluster = cluster
        self.namespace = namespace
        self.name = name
        self.deliveryID = deliveryID
        self.eventName = eventName
    }
}
