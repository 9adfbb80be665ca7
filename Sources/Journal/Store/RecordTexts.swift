// RecordTexts: the five texts of a delivery, as its record keeps them.

/// As they came, each cut to `JournalFormat.metaFieldBytesMax` bytes; nothing in them is escaped.
public struct RecordTexts: Sendable, Equatable {
    public var cluster: String
    public var namespace: String
    public var name: String
    public var deliveryID: String
    public var eventName: String

    /// Of the record whose fixed part and meta begin at `offset` of `reader`; nil when it is not a delivery.
    init?(_ reader: ByteReader, at offset: Int, header: RecordHeader) {
        guard header.type == .delivery, let meta = DeliveryMeta(reader, at: offset, header: header) else { return nil }
        func text(_ field: DeliveryMeta.Field) -> String {
            reader.string(from: offset + field.offset, count: field.count)
        }
        cluster = text(meta.cluster)
        namespace = text(meta.namespace)
        name = text(meta.name)
        deliveryID = text(meta.deliveryID)
        eventName = text(meta.eventName)
    }
}
