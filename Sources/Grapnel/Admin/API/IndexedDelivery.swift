// IndexedDelivery: one delivery as the index keeps it, without any text of its own.

internal import Delivery
internal import Journal

struct IndexedDelivery: Sendable {
    var sequence: UInt64
    /// Nanoseconds since 1970.
    var received: UInt64
    /// A duplicate: what it repeats; a redelivery: the first one; adopted: its sequence where it came from.
    var reference: UInt64
    var idHash: UInt64
    var segment: UInt64
    var offset: UInt32
    var length: UInt32
    /// In the index's table of routes.
    var route: UInt32
    var sender: UInt8
    var decision: Decision
    var ignoredReason: UInt8
    var flags: RecordFlags
    /// A later one of the chain that it was merged into, where a search for the last goes on; 0: none is known.
    var heir: UInt64 = 0
    var progress = DeliveryProgress()

    init?(_ record: GlancedRecord, route: UInt32, idHash: UInt64) {
        guard let decision = record.header.decision else { return nil }
        sequence = record.sequence
        received = record.header.timeUnixNanoseconds
        reference = record.header.reference
        self.idHash = idHash
        segment = record.location.segment
        offset = record.location.offset
        length = record.location.length
        self.route = route
        sender = record.header.senderType
        self.decision = decision
        ignoredReason = record.header.ignoredReason
        flags = record.header.flags
    }

    var location: RecordLocation { RecordLocation(segment: segment, offset: offset, length: length) }

    var state: DeliveryState {
        switch decision {
        // Concluded where it came from: nothing is owed here.
        case .accepted: flags.contains(.concluded) && !progress.isFinal ? .done : progress.state
        case .stored: .done
        case .ignored: .ignored
        case .duplicate: .duplicate
        }
    }

    /// The delivery that this one carries out again, or itself. Of what was taken over only the other journal knows.
    var original: UInt64 { isRedelivery ? reference : sequence }
    var isRedelivery: Bool { flags.contains(.redelivered) && !flags.contains(.adopted) }

    var isOwed: Bool { state == .owed || state == .failed }
    /// At least one action of it was left to another delivery.
    var isMerged: Bool { progress.mergedInto > sequence }

    /// By what the journal says of it alone.
    func matches(_ words: Set<DeliveryFilter.OutcomeWord>) -> Bool {
        guard !words.isEmpty else { return true }
        if words.contains(.accepted), decision == .accepted || decision == .stored { return true }
        // What failed and is tried again is owed too.
        if words.contains(.owed), state == .failed { return true }
        // An action was given up, though another one may be tried again.
        if words.contains(.dead), decision == .accepted, progress.hasDead { return true }
        return DeliveryFilter.OutcomeWord(rawValue: state.rawValue).map(words.contains) ?? false
    }
    /// By what became of `heir`, the last of those that it was merged into.
    func matches(_ words: Set<DeliveryFilter.OutcomeWord>, through heir: IndexedDelivery) -> Bool {
        if state == .merged { return heir.matches(words) }
        // Other actions of it were its own: only of what was given up one is enough.
        return words.contains(.dead) && heir.progress.hasDead
    }
}
