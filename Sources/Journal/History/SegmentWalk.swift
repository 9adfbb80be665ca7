// SegmentWalk: one segment's records one after the other, through a window of bounded size, beside its writer.
//
// Goes by the same rules as `SegmentCursor`: what holds no record is skipped in steps of 8, sequences grow, copies excepted. It ends
// at the last sequence that counts, so that it never looks for records in what was not written yet.

struct SegmentWalk {
    /// Bytes read at once; a longer record is passed over by its length, or read by itself where it is needed.
    private static let windowBytes = 256 << 10
    // Fixed part and the longest meta of a delivery: 112 + 5 * 256 + 7.
    private static let headerBytesMax = 1408

    private let reader: JournalReader
    let handle: JournalReader.Handle
    // The bytes of the file from `windowOffset` on.
    private var window: [UInt8] = []
    private var windowOffset = 0
    private var isAtEnd = false
    /// Where the next record is looked for.
    private(set) var offset: Int
    /// The last sequence that is not a copy's; 0 before the first.
    private(set) var lastSequence: UInt64

    init(
        _ reader: JournalReader, _ handle: JournalReader.Handle, from offset: Int = JournalFormat.segmentHeaderBytes,
        after lastSequence: UInt64 = 0
    ) {
        self.reader = reader
        self.handle = handle
        self.offset = offset
        self.lastSequence = lastSequence
    }

    /// Goes on at `offset`, where a record lies, as a new walk from there would.
    mutating func skip(to offset: Int) {
        self.offset = offset
        lastSequence = 0
    }

    /// The next record up to `limit`, and where it is; nil at the end.
    mutating func next(through limit: UInt64) throws(DiskError) -> (header: RecordHeader, offset: Int)? {
        guard lastSequence < limit else { return nil }
        while true {
            guard try load(offset, count: JournalFormat.recordHeaderBytes) else { return nil }
            // Near the end of the file there may be less than the longest header.
            _ = try load(offset, count: Self.headerBytesMax)
            if let header = header(at: offset) {
                if !header.isCopied {
                    guard header.sequence <= limit else { return nil }
                    if header.sequence > lastSequence {
                        lastSequence = header.sequence
                        defer { offset += Int(header.totalLength) }
                        return (header, offset)
                    }
                } else {
                    defer { offset += Int(header.totalLength) }
                    return (header, offset)
                }
            }
            offset += JournalFormat.recordAlignment
            try skipToMagic()
        }
    }

    /// Calls `body` with a reader in which the record's fixed part and meta begin at the offset that it gets.
    func withHeader<Result>(at offset: Int, _ body: (ByteReader, Int) -> Result) -> Result {
        let start = offset - windowOffset
        return window.withByteReader { body($0, start) }
    }

    /// The record's head, verified; nil when it is not what was written.
    mutating func head(of header: RecordHeader, at offset: Int) throws(DiskError) -> [UInt8]? {
        let place = UInt64(offset + header.headOffset)
        let bytes = try reader.read(handle.file, at: place, count: Int(header.headLength))
        guard bytes.count == Int(header.headLength) else { return nil }
        let sum = bytes.withByteReader { $0.checksum(reader.checksum, seed: 0, from: 0, count: bytes.count) }
        return sum == header.headChecksum ? bytes : nil
    }

    /// The record's head, verified, and its body where that is what was written; nil when the head is not.
    mutating func payload(
        of header: RecordHeader, at offset: Int
    ) throws(DiskError) -> (head: [UInt8], body: [UInt8]?)? {
        let (headBytes, bodyBytes) = (Int(header.headLength), Int(header.bodyLength))
        let place = UInt64(offset + header.headOffset)
        // The head may be readable where the body is not.
        guard bodyBytes > 0, let bytes = try? reader.read(handle.file, at: place, count: headBytes + bodyBytes),
            bytes.count == headBytes + bodyBytes
        else { return try head(of: header, at: offset).map { ($0, nil) } }
        let (isHeadIntact, isBodyIntact) = bytes.withByteReader {
            (
                $0.checksum(reader.checksum, seed: 0, from: 0, count: headBytes) == header.headChecksum,
                $0.checksum(reader.checksum, seed: 0, from: headBytes, count: bodyBytes) == header.bodyChecksum
            )
        }
        guard isHeadIntact else { return nil }
        return (Array(bytes[..<headBytes]), isBodyIntact ? Array(bytes[headBytes...]) : nil)
    }

    private func header(at offset: Int) -> RecordHeader? {
        window.withByteReader {
            RecordHeader.decode(
                $0, at: offset - windowOffset, incarnation: handle.incarnation, checksum: reader.checksum,
                isWhole: false)
        }
    }

    /// To the next place from `offset` on where a record may begin.
    private mutating func skipToMagic() throws(DiskError) {
        while try load(offset, count: JournalFormat.recordHeaderBytes) {
            let start = offset - windowOffset
            let found = window.withByteReader {
                $0.firstIndex(of: JournalFormat.recordMagic, from: start, leaving: JournalFormat.recordHeaderBytes)
            }
            if let found {
                offset = windowOffset + found
                return
            }
            let looked = (window.count - start - JournalFormat.recordHeaderBytes) / 8 * 8 + 8
            offset += max(looked, JournalFormat.recordAlignment)
        }
    }

    /// Has `count` bytes from `offset` in the window; false when the file ends before.
    private mutating func load(_ offset: Int, count: Int) throws(DiskError) -> Bool {
        if offset >= windowOffset, offset + count <= windowOffset + window.count { return true }
        if isAtEnd, offset >= windowOffset { return false }
        window = try reader.read(handle.file, at: UInt64(offset), count: Self.windowBytes)
        windowOffset = offset
        isAtEnd = window.count < Self.windowBytes
        return count <= window.count
    }
}
