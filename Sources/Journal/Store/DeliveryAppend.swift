// DeliveryAppend: a delivery as the loop hands it to the journal. Pointers only, so that nothing is copied or counted.

/// What `JournalWriter.append` records.
///
/// `head` and `body` must stay as they are until the `commit` that follows has returned: they go to the disk from
/// where they lie. The five texts are copied by `append` and cut at 255 bytes; the dedupe hash must be made of the
/// whole delivery id before.
@safe public struct DeliveryAppend: BitwiseCopyable {
    // Each is readable from the moment this value is passed to `append`: the texts until it returns, head and body
    // until `commit` returns.
    public var cluster = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    public var namespace = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    public var name = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// As sent; may be empty.
    public var deliveryID = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    public var eventName = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The request head as received, proof already overwritten.
    public var head = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The decoded body.
    public var body = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// CRC-32 of `body`, seed 0.
    public var bodyChecksum: UInt32 = 0
    /// Codes of the caller's; the journal only keeps them.
    public var receiverKind: UInt8 = 0
    public var senderType: UInt8 = 0
    /// `accepted`, `stored` or `ignored`; `duplicate` is the journal's own finding.
    public var decision: Decision = .accepted
    public var ignoredReason: UInt8 = 0
    public var receivedAtUnixNanoseconds: UInt64 = 0
    /// From `JournalWriter.dedupeKey`; both 0: no delivery id, no deduplication.
    public var dedupeKeyHigh: UInt64 = 0
    public var dedupeKeyLow: UInt64 = 0
    /// 0: no deduplication.
    public var dedupeWindowSeconds: UInt32 = 0
    /// Changes when the route or a target of it changes.
    public var routeFingerprint: UInt64 = 0
    /// Comes back in `CommittedDelivery`.
    public var routeToken: UInt64 = 0

    public init() {}

    var dedupeHash: DedupeHash { DedupeHash(low: dedupeKeyLow, high: dedupeKeyHigh) }
}

public enum RefusalReason: String, Sendable {
    /// A write or sync failed; a probe a second finds out when the disk works again.
    case sealed
    /// Everything the log may hold is owed.
    case full
    /// The owed deliveries of this namespace fill their share.
    case namespaceShare
    /// The record would be longer than `recordBytesMax`.
    case tooLarge
}

public enum AppendResult: Sendable, Equatable {
    /// In the group; durable when `commit` says so.
    case appended(sequence: UInt64)
    /// A repeat of `of`, recorded as such under `sequence`; durable when `commit` says so.
    case duplicate(of: UInt64, sequence: UInt64)
    /// Not recorded: answer 503 (`tooLarge`: 413).
    case refused(RefusalReason)
}

public enum CommitResult: Sendable, Equatable {
    /// Every appended record up to `through` may be answered.
    case durable(through: UInt64)
    /// No record of the group may be answered 2xx. Deliveries that were durable before the failure hit (a group larger
    /// than what was left of its segment) are in `committedDeliveries` all the same; a repeat of them is a duplicate.
    case failed(JournalError)
}
