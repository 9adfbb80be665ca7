// The head of a segment file: 8192 bytes in front of the first record.
//
// Two blocks, each in a page of its own and each stored twice, so that neither a flipped bit nor a torn write takes a
// segment away:
//
//   offset  size  content
//        0    72  identity: written once, before the file gets its segment name, and never touched again
//     2048    72  the identity again
//     4096    64  start: written together with the segment's first group
//     6144    64  the start again
//     8192        first record
//
// Everything between is zero. Integers are little endian.
//
// Identity:
//   offset  size  field             meaning
//        0     8  magic             "GRAPNELJ"
//        8     4  format version    1; what is not known is refused, see `FormatVersions`
//       12     4  header bytes      8192: where the first record begins
//       16     8  segment bytes     size of the file when it was prepared
//       24     8  incarnation       random, never 0; every record repeats it. A record of another incarnation is what
//                                   the file held before it was recycled: the end of data
//       32     8  segment number    grows by at least 1 from segment to segment, never reused; also the file's name
//       40     8  created           Unix nanoseconds
//       48     8  dedupe key, low   random per data directory and the same in all its segments: the key under which
//       56     8  dedupe key, high  delivery ids are hashed (see `DedupeKey`)
//       64     4  reserved          0
//       68     4  checksum          CRC-32 of bytes 0 ..< 68
//
// Start:
//   offset  size  field             meaning
//        0     8  magic             "GRJSTART"
//        8     8  incarnation       as in the identity: a start that stayed behind from an older use does not count
//       16     8  base sequence     sequence of the first record that is not a copy
//       24     8  previous          the last sequence that belongs to the log before this segment. What earlier
//                                   segments hold above it was never acknowledged and is void; what is missing below
//                                   it is damage
//       32     8  started           Unix nanoseconds
//       40     4  durability        0 sync, 1 async, 2 none
//       44    16  reserved          0
//       60     4  checksum          CRC-32 of bytes 0 ..< 60
//
// A prepared segment (identity, no start) holds nothing. Identity and start live in different pages because a page is
// what the kernel writes back: the identity of a segment in use is never part of a write again.

/// Numbers of the format, version 1.
public enum JournalFormat {
    /// The newest version.
    public static let version: UInt32 = 1
    /// Where the first record of a segment begins.
    public static let segmentHeaderBytes = 8192
    static let identityBytes = 72
    static let startOffset = 4096
    static let startBytes = 64
    /// Distance of the second copy from the first, for identity and start alike.
    static let copyDistance = 2048
    /// Fixed part of a record.
    public static let recordHeaderBytes = 112
    /// Records begin at multiples of this, and their lengths are multiples of it.
    public static let recordAlignment = 8
    /// Longest cluster, namespace, name, delivery id and event name that a record keeps; longer ones are cut.
    public static let metaFieldBytesMax = 255
    /// A record's sequence is below this, so that `sequence + 1` never overflows.
    public static let sequenceLimit: UInt64 = 1 << 62

    static let identityMagic: UInt64 = 0x4A4C_454E_5041_5247  // "GRAPNELJ", little endian
    static let startMagic: UInt64 = 0x5452_4154_534A_5247  // "GRJSTART", little endian
    static let recordMagic: UInt32 = 0x3152_4A47  // "GJR1", little endian

    /// Checksum seed of a segment's records: the incarnation folded to 32 bits.
    static func seed(incarnation: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: incarnation ^ (incarnation >> 32))
    }
}

/// How a commit becomes durable.
public enum Durability: UInt8, Sendable, CaseIterable {
    /// `commit` returns after fdatasync: what it reports durable survives a power cut.
    case sync = 0
    /// `commit` returns after the write; `tick` syncs. A power cut loses at most the last second, a crash of the
    /// process alone nothing.
    case async = 1
    /// Never synced. A power cut loses what the kernel had not written back by itself, a crash of the process nothing.
    case none = 2
}

/// Who a segment is. See the table at the top of this file.
public struct SegmentIdentity: Sendable, Equatable {
    /// Of the format, see `FormatVersions`.
    public var version: UInt32
    public var segmentBytes: UInt64
    public var incarnation: UInt64
    public var number: UInt64
    public var createdUnixNanoseconds: UInt64
    public var dedupeKey: DedupeKey

    /// Writes both copies; `writer` spans the whole segment header.
    func encode(into writer: ByteWriter, checksum: Checksummer) {
        for base in [0, JournalFormat.copyDistance] {
            writer.store(JournalFormat.identityMagic, at: base)
            writer.store(version, at: base + 8)
            writer.store(UInt32(JournalFormat.segmentHeaderBytes), at: base + 12)
            writer.store(segmentBytes, at: base + 16)
            writer.store(incarnation, at: base + 24)
            writer.store(number, at: base + 32)
            writer.store(createdUnixNanoseconds, at: base + 40)
            writer.store(dedupeKey.low, at: base + 48)
            writer.store(dedupeKey.high, at: base + 56)
            writer.store(UInt32(0), at: base + 64)
            writer.store(writer.checksum(checksum, seed: 0, from: base, count: 68), at: base + 68)
        }
    }

    enum Decoded {
        /// `isDamaged`: one of the two copies does not hold.
        case identity(SegmentIdentity, isDamaged: Bool)
        case unknownVersion(UInt32)
        case unreadable
    }

    /// Reads the identity at the front of `reader`, from whichever copy holds.
    static func decode(_ reader: ByteReader, checksum: Checksummer, formats: FormatVersions) -> Decoded {
        let first = decodeCopy(reader, at: 0, checksum, formats)
        let second = decodeCopy(reader, at: JournalFormat.copyDistance, checksum, formats)
        switch (first, second) {
        case (.identity(let identity, _), .identity(let other, _)):
            return .identity(identity, isDamaged: identity != other)
        case (.identity(let identity, _), _), (_, .identity(let identity, _)):
            return .identity(identity, isDamaged: true)
        case (.unknownVersion(let version), .unknownVersion(let other)) where version == other:
            return .unknownVersion(version)
        default: return .unreadable
        }
    }

    private static func decodeCopy(
        _ reader: ByteReader, at base: Int, _ checksum: Checksummer, _ formats: FormatVersions
    ) -> Decoded {
        guard reader.contains(base, JournalFormat.identityBytes) else { return .unreadable }
        guard reader.uint64(at: base) == JournalFormat.identityMagic else { return .unreadable }
        let version = reader.uint32(at: base + 8)
        // Of another version only magic and version are known to mean anything.
        guard formats.contains(version) else { return .unknownVersion(version) }
        guard reader.uint32(at: base + 68) == reader.checksum(checksum, seed: 0, from: base, count: 68),
            reader.uint32(at: base + 12) == UInt32(JournalFormat.segmentHeaderBytes)
        else { return .unreadable }
        let identity = SegmentIdentity(
            version: version, segmentBytes: reader.uint64(at: base + 16), incarnation: reader.uint64(at: base + 24),
            number: reader.uint64(at: base + 32), createdUnixNanoseconds: reader.uint64(at: base + 40),
            dedupeKey: DedupeKey(low: reader.uint64(at: base + 48), high: reader.uint64(at: base + 56)))
        return .identity(identity, isDamaged: false)
    }
}

/// Where a segment begins in the log. See the table at the top of this file.
public struct SegmentStart: Sendable, Equatable {
    public var incarnation: UInt64
    public var baseSequence: UInt64
    public var previousSequence: UInt64
    public var startedUnixNanoseconds: UInt64
    public var durability: Durability

    /// Writes both copies; `writer` spans the 4096 bytes of the start's page.
    func encode(into writer: ByteWriter, checksum: Checksummer) {
        for base in [0, JournalFormat.copyDistance] {
            writer.store(JournalFormat.startMagic, at: base)
            writer.store(incarnation, at: base + 8)
            writer.store(baseSequence, at: base + 16)
            writer.store(previousSequence, at: base + 24)
            writer.store(startedUnixNanoseconds, at: base + 32)
            writer.store(UInt32(durability.rawValue), at: base + 40)
            writer.zero(from: base + 44, count: 16)
            writer.store(writer.checksum(checksum, seed: 0, from: base, count: 60), at: base + 60)
        }
    }

    enum Decoded {
        /// `isDamaged`: one of the two copies does not hold.
        case start(SegmentStart, isDamaged: Bool)
        /// The page is zero: nothing was ever started here.
        case none
        case unreadable
    }

    /// Reads the start of a segment of `incarnation`; `reader` spans the segment.
    static func decode(_ reader: ByteReader, incarnation: UInt64, checksum: Checksummer) -> Decoded {
        let base = JournalFormat.startOffset
        let first = decodeCopy(reader, at: base, incarnation, checksum)
        let second = decodeCopy(reader, at: base + JournalFormat.copyDistance, incarnation, checksum)
        if let start = first ?? second {
            // One copy of two is what a torn write leaves as well: no harm, but worth a word.
            return .start(start, isDamaged: first != second)
        }
        let pageBytes = min(JournalFormat.segmentHeaderBytes, reader.count) - base
        guard pageBytes > 0, !reader.isZero(from: base, count: pageBytes) else { return .none }
        return .unreadable
    }

    private static func decodeCopy(
        _ reader: ByteReader, at base: Int, _ incarnation: UInt64, _ checksum: Checksummer
    ) -> SegmentStart? {
        guard reader.contains(base, JournalFormat.startBytes),
            reader.uint64(at: base) == JournalFormat.startMagic,
            reader.uint64(at: base + 8) == incarnation,
            reader.uint32(at: base + 60) == reader.checksum(checksum, seed: 0, from: base, count: 60),
            let durability = Durability(rawValue: UInt8(truncatingIfNeeded: reader.uint32(at: base + 40)))
        else { return nil }
        let start = SegmentStart(
            incarnation: incarnation, baseSequence: reader.uint64(at: base + 16),
            previousSequence: reader.uint64(at: base + 24), startedUnixNanoseconds: reader.uint64(at: base + 32),
            durability: durability)
        guard start.baseSequence > start.previousSequence, start.baseSequence < JournalFormat.sequenceLimit
        else { return nil }
        return start
    }
}
