// PinnedRecord: a stored delivery in memory that stays where it is, so that the writer can send head and body to the disk from there.

/// A route as a record names it. `receiverKind` is a code of the caller's.
public struct RecordRoute: Sendable, Equatable {
    public var cluster: String
    public var namespace: String
    public var name: String
    public var receiverKind: UInt8

    public init(cluster: String, namespace: String, name: String, receiverKind: UInt8) {
        self.cluster = cluster
        self.namespace = namespace
        self.name = name
        self.receiverKind = receiverKind
    }
}

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

    /// Copies the delivery as one of another route; all else stays as it was. nil when a text is longer than a record keeps.
    public convenience init?(_ record: StoredRecord, as route: RecordRoute) {
        var header = record.header
        guard header.type == .delivery, let texts = record.identifierBytes else { return nil }
        var meta: [UInt8] = []
        for text in [Array(route.cluster.utf8), Array(route.namespace.utf8), Array(route.name.utf8)] + texts {
            guard text.count <= JournalFormat.metaFieldBytesMax else { return nil }
            meta.append(UInt8(text.count))
            meta += text
        }
        header.receiverKind = route.receiverKind
        // Only deduplication asks for it.
        header.routeFingerprint = 0
        let padding = header.setLengths(metaBytes: meta.count)
        var bytes = [UInt8](repeating: 0, count: JournalFormat.recordHeaderBytes)
        bytes.reserveCapacity(Int(header.totalLength))
        bytes += meta
        bytes += repeatElement(0, count: padding)
        bytes += record.head
        bytes += record.body
        guard bytes.count == Int(header.totalLength) else { return nil }
        self.init(StoredRecord(header: header, location: record.location, bytes: bytes))
    }

    deinit { unsafe memory.deallocate() }

    /// The whole record; not to be used after this object is gone.
    var reader: ByteReader { unsafe ByteReader(UnsafeRawBufferPointer(start: memory, count: count)) }
}
