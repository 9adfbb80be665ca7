// DeliverySummary: a delivery without its head and body, for lists.

public struct DeliverySummary: Sendable, Equatable {
    public var sequence: UInt64
    /// Of a redelivery: when it was asked for.
    public var receivedAtUnixNanoseconds: UInt64
    public var decision: Decision
    /// A code of the caller's, as the two kinds below.
    public var ignoredReason: UInt8
    public var receiverKind: UInt8
    public var senderType: UInt8
    /// The texts are as they came: nothing in them is escaped.
    public var cluster: String
    public var namespace: String
    public var name: String
    public var deliveryID: String
    public var eventName: String
    public var routeFingerprint: UInt64
    public var headBytes: Int
    /// Of the body as received.
    public var bodyBytes: Int
    /// False in a duplicate.
    public var isBodyKept: Bool
    /// This delivery id came before with another body.
    public var hasSameIDOtherBody: Bool
    public var duplicateOf: UInt64?
    /// The first delivery that this one carries out again.
    public var redeliveryOf: UInt64?
    public var adoptedFrom: RecordOrigin?

    /// Of the record whose fixed part and meta begin at `offset` of `reader`; nil when it is not a delivery.
    init?(_ reader: ByteReader, at offset: Int, header: RecordHeader) {
        guard header.type == .delivery, let decision = header.decision,
            let texts = RecordTexts(reader, at: offset, header: header)
        else { return nil }
        sequence = header.sequence
        receivedAtUnixNanoseconds = header.timeUnixNanoseconds
        self.decision = decision
        ignoredReason = header.ignoredReason
        receiverKind = header.receiverKind
        senderType = header.senderType
        cluster = texts.cluster
        namespace = texts.namespace
        name = texts.name
        deliveryID = texts.deliveryID
        eventName = texts.eventName
        routeFingerprint = header.routeFingerprint
        headBytes = Int(header.headLength)
        bodyBytes = Int(header.receivedBodyLength)
        isBodyKept = header.bodyLength == header.receivedBodyLength
        hasSameIDOtherBody = header.flags.contains(.sameIDOtherBody)
        duplicateOf = header.duplicateOf
        redeliveryOf = header.redeliveryOf
        adoptedFrom = RecordOrigin(header)
    }

    /// nil when the record is not a delivery.
    public init?(_ record: StoredRecord) {
        let summary = record.bytes.withByteReader { DeliverySummary($0, at: 0, header: record.header) }
        guard let summary else { return nil }
        self = summary
    }
}
