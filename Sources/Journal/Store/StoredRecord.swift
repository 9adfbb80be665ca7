// StoredRecord: a record as it was read back, checked, with what it says.

/// A record, with bytes of its own.
public struct StoredRecord: Sendable {
    public var header: RecordHeader
    public var location: RecordLocation
    /// The whole record as it is on disk.
    public let bytes: [UInt8]

    public var sequence: UInt64 { header.sequence }
    /// The request head (or the entries of a plan or outcome).
    public var head: ArraySlice<UInt8> { bytes[header.headOffset..<header.bodyOffset] }
    public var body: ArraySlice<UInt8> { bytes[header.bodyOffset..<header.bodyOffset + Int(header.bodyLength)] }

    /// The fixed part and the meta.
    public var fixedAndMeta: ArraySlice<UInt8> { bytes[..<header.headOffset] }

    init(header: RecordHeader, location: RecordLocation, bytes: [UInt8]) {
        self.header = header
        self.location = location
        self.bytes = bytes
    }

    /// A delivery out of an archive: nil when the bytes are not, as a whole, what was in a journal once. It lies nowhere.
    public init?(archived bytes: [UInt8], checksum: Checksum) {
        let checksum = unsafe Checksummer(checksum)
        let header = bytes.withByteReader { reader -> RecordHeader? in
            guard reader.contains(0, JournalFormat.recordHeaderBytes),
                let header = RecordHeader.decode(
                    reader, at: 0, incarnation: reader.uint64(at: 8), checksum: checksum),
                header.type == .delivery, Int(header.totalLength) == reader.count,
                header.isPayloadIntact(reader, at: 0, checksum: checksum)
            else { return nil }
            return header
        }
        guard let header else { return nil }
        self.init(
            header: header, location: RecordLocation(segment: 0, offset: 0, length: header.totalLength), bytes: bytes)
    }

    /// All texts of a delivery at once; nil in other records.
    public var texts: RecordTexts? { bytes.withByteReader { RecordTexts($0, at: 0, header: header) } }

    /// The texts of a delivery; empty in other records.
    public var cluster: String { text(\.cluster) }
    public var namespace: String { text(\.namespace) }
    public var name: String { text(\.name) }
    public var deliveryID: String { text(\.deliveryID) }
    public var eventName: String { text(\.eventName) }

    /// A delivery's id and event name as they lie there; nil in other records.
    var identifierBytes: [[UInt8]]? {
        bytes.withByteReader { reader in
            guard header.type == .delivery, let meta = DeliveryMeta(reader, at: 0, header: header) else { return nil }
            return [meta.deliveryID, meta.eventName].map { reader.bytes(from: $0.offset, count: $0.count) }
        }
    }

    /// The delivery that an adopted record was elsewhere; nil for every other.
    public var origin: RecordOrigin? { RecordOrigin(header) }

    /// The entries of a plan; nil in other records.
    public var plan: [PlanEntry]? {
        guard header.type == .plan else { return nil }
        return Array(head).withByteReader { PlanCoding.decode($0) }
    }

    /// The entries of an outcome; nil in other records.
    public var outcomes: [OutcomeEntry]? {
        guard header.type == .outcome else { return nil }
        guard var entries = Array(head).withByteReader({ OutcomeCoding.decode($0) }) else { return nil }
        Array(body).withByteReader { OutcomeDetailsCoding.decode($0, into: &entries) }
        return entries
    }

    private func text(_ field: KeyPath<DeliveryMeta, DeliveryMeta.Field>) -> String {
        guard header.type == .delivery else { return "" }
        return bytes.withByteReader { reader in
            guard let meta = DeliveryMeta(reader, at: 0, header: header) else { return "" }
            return reader.string(from: meta[keyPath: field].offset, count: meta[keyPath: field].count)
        }
    }
}
