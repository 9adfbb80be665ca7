// PinnedRecord: a stored delivery in memory that stays where it is, so that the writer can send head and body to the disk from there.

/// Made by any thread, then read by the one that owns the writer.
///
/// `@unchecked Sendable`: nothing in it changes after `init`.
@safe public final class PinnedRecord: @unchecked Sendable {
    public let header: RecordHeader
    // `count` bytes, written once in `init`, freed in `deinit`.
    private let memory: UnsafeMutableRawPointer
    private let count: Int

    /// Copies the record's bytes.
    public init(_ record: StoredRecord) {
        header = record.header
        count = record.bytes.count
        unsafe memory = .allocate(byteCount: max(count, 16), alignment: 16)
        let (memory, count) = unsafe (memory, count)
        // In bounds: `memory` has room for `count` bytes.
        unsafe record.bytes.withUnsafeBytes { source in
            if count > 0 { unsafe memory.copyMemory(from: source.baseAddress!, byteCount: count) }
        }
    }

    deinit { unsafe memory.deallocate() }

    /// The whole record; not to be used after this object is gone.
    var reader: ByteReader { unsafe ByteReader(UnsafeRawBufferPointer(start: memory, count: count)) }
}
