// What is told of plans and outcomes beside what counts. It lies in the record's body: a reader that does not know it, or cannot read
// it, reads the entries in the head as ever, and a record without a body tells nothing more.
//
// Plan:
//   offset  size  field
//        0     8  when it was planned; Unix nanoseconds, 0: not known
//        8     8  when its delivery was durable; 0: not known
//
// Outcome:
//   offset  size  field
//        0     2  number of entries: as many as in the head
//        2     2  length of the fixed part of each: 24; what is longer has members that this version does not know
//   then for each entry
//        0     8  when it happened; Unix nanoseconds, 0: not known
//        8     4  how long the attempt took that ended so, microseconds; 0: none did
//       12     4  attempts made so far, whether they counted or not
//       16     4  deliveries that were merged into this one
//       20     2  HTTP status of the answer; 0: none
//       22     1  request length
//       23     1  answer length
//       24     n  request, UTF-8
//              m  answer, UTF-8

/// When a delivery came how far. Unix nanoseconds; 0: not known.
public struct PlanDetails: Sendable, Equatable {
    public var plannedUnixNanoseconds: UInt64
    /// The sync of the delivery's record had returned.
    public var durableUnixNanoseconds: UInt64

    public init(plannedUnixNanoseconds: UInt64, durableUnixNanoseconds: UInt64 = 0) {
        self.plannedUnixNanoseconds = plannedUnixNanoseconds
        self.durableUnixNanoseconds = durableUnixNanoseconds
    }
}

/// What is told of an outcome or an attempt.
public struct OutcomeDetails: Sendable, Equatable {
    /// When it happened; Unix nanoseconds, 0: not known.
    public var timeUnixNanoseconds: UInt64
    /// How long the attempt took that ended so; 0: none did.
    public var durationMicroseconds: UInt32
    /// Made so far, whether they counted or not.
    public var attempts: UInt32
    /// Deliveries that were merged into this one.
    public var merged: UInt32
    /// HTTP status of the answer; 0: none.
    public var status: UInt16
    /// What was asked for, without secrets. At most 255 bytes of UTF-8 are kept.
    public var request: String
    /// The beginning of an answer that refused, or what was made; without secrets. At most 255 bytes of UTF-8 are kept.
    public var answer: String

    public init(
        timeUnixNanoseconds: UInt64, durationMicroseconds: UInt32 = 0, attempts: UInt32 = 0, merged: UInt32 = 0,
        status: UInt16 = 0, request: String = "", answer: String = ""
    ) {
        self.timeUnixNanoseconds = timeUnixNanoseconds
        self.durationMicroseconds = durationMicroseconds
        self.attempts = attempts
        self.merged = merged
        self.status = status
        self.request = request
        self.answer = answer
    }
}

enum PlanDetailsCoding {
    static let byteCount = 16

    static func encode(_ details: PlanDetails, into writer: ByteWriter) {
        writer.store(details.plannedUnixNanoseconds, at: 0)
        writer.store(details.durableUnixNanoseconds, at: 8)
    }

    /// nil when the bytes tell nothing. What stands behind is a later version's.
    static func decode(_ reader: ByteReader) -> PlanDetails? {
        guard reader.contains(0, byteCount) else { return nil }
        return PlanDetails(
            plannedUnixNanoseconds: reader.uint64(at: 0), durableUnixNanoseconds: reader.uint64(at: 8))
    }
}

enum OutcomeDetailsCoding {
    static let fixedBytes = 24

    /// 0 where no entry has any.
    static func byteCount(_ entries: ArraySlice<OutcomeEntry>) -> Int {
        guard entries.contains(where: { $0.details != nil }) else { return 0 }
        return entries.reduce(4) { $0 + byteCount($1.details) }
    }

    static func byteCount(_ details: OutcomeDetails?) -> Int {
        guard let details else { return fixedBytes }
        return fixedBytes + ShortText.byteCount(details.request) + ShortText.byteCount(details.answer)
    }

    /// `writer` spans exactly `byteCount(entries)` bytes, which is not 0; `entries` are those of the head.
    static func encode(_ entries: ArraySlice<OutcomeEntry>, into writer: ByteWriter) {
        writer.store(UInt16(truncatingIfNeeded: entries.count), at: 0)
        writer.store(UInt16(fixedBytes), at: 2)
        var position = 4
        for entry in entries {
            let details = entry.details ?? OutcomeDetails(timeUnixNanoseconds: 0)
            let (requestBytes, answerBytes) = (
                ShortText.byteCount(details.request), ShortText.byteCount(details.answer)
            )
            writer.store(details.timeUnixNanoseconds, at: position)
            writer.store(details.durationMicroseconds, at: position + 8)
            writer.store(details.attempts, at: position + 12)
            writer.store(details.merged, at: position + 16)
            writer.store(details.status, at: position + 20)
            writer.store(UInt8(requestBytes), at: position + 22)
            writer.store(UInt8(answerBytes), at: position + 23)
            position += fixedBytes
            ShortText.store(details.request, requestBytes, into: writer, at: position)
            position += requestBytes
            ShortText.store(details.answer, answerBytes, into: writer, at: position)
            position += answerBytes
        }
    }

    /// The entries with what the bytes tell of them: nothing when these are not the details of so many. Linear in `reader.count`.
    static func decode(_ reader: ByteReader, into entries: inout [OutcomeEntry]) {
        guard reader.contains(0, 4), Int(reader.uint16(at: 0)) == entries.count else { return }
        let fixed = Int(reader.uint16(at: 2))
        guard fixed >= fixedBytes else { return }
        var told: [OutcomeDetails] = []
        told.reserveCapacity(entries.count)
        var position = 4
        for _ in entries {
            guard reader.contains(position, fixed) else { return }
            let requestBytes = Int(reader.uint8(at: position + 22))
            let answerBytes = Int(reader.uint8(at: position + 23))
            guard reader.contains(position + fixed, requestBytes + answerBytes) else { return }
            told.append(
                OutcomeDetails(
                    timeUnixNanoseconds: reader.uint64(at: position),
                    durationMicroseconds: reader.uint32(at: position + 8),
                    attempts: reader.uint32(at: position + 12), merged: reader.uint32(at: position + 16),
                    status: reader.uint16(at: position + 20),
                    request: reader.string(from: position + fixed, count: requestBytes),
                    answer: reader.string(from: position + fixed + requestBytes, count: answerBytes)))
            position += fixed + requestBytes + answerBytes
        }
        guard position == reader.count else { return }
        for index in entries.indices where told[index].timeUnixNanoseconds != 0 { entries[index].details = told[index] }
    }
}

/// Texts with a length of one byte.
enum ShortText {
    /// At most 255 bytes, cut before a character and not inside one.
    static func byteCount(_ text: String) -> Int {
        let utf8 = text.utf8
        guard utf8.count > 255 else { return utf8.count }
        var index = utf8.index(utf8.startIndex, offsetBy: 255)
        while utf8[index] & 0xC0 == 0x80 { utf8.formIndex(before: &index) }
        return utf8.distance(from: utf8.startIndex, to: index)
    }

    /// The first `count` bytes of `text`.
    static func store(_ text: String, _ count: Int, into writer: ByteWriter, at position: Int) {
        // Sound: `count` is at most the text's.
        let isCopied: Void? = unsafe text.utf8.withContiguousStorageIfAvailable {
            unsafe writer.copy(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: $0[..<count])), to: position)
        }
        guard isCopied == nil else { return }
        for (offset, byte) in text.utf8.prefix(count).enumerated() { writer.store(byte, at: position + offset) }
    }
}
