// RecoveryReport: what a start found in the journal.

/// How far an action of an owed delivery came.
public struct ActionProgress: Sendable, Equatable {
    /// 0xFFFF: the delivery as a whole.
    public var planIndex: UInt16
    /// The final outcome; nil while there is none.
    public var outcome: Outcome?
    /// The highest attempt number recorded.
    public var attempts: UInt64
    /// The latest reason recorded.
    public var reason: String

    public init(planIndex: UInt16, outcome: Outcome? = nil, attempts: UInt64 = 0, reason: String = "") {
        self.planIndex = planIndex
        self.outcome = outcome
        self.attempts = attempts
        self.reason = reason
    }
}

/// A delivery that was answered and still waits for its actions.
public struct OwedDelivery: Sendable {
    public var sequence: UInt64
    public var location: RecordLocation
    public var receivedAtUnixNanoseconds: UInt64
    public var cluster: String
    public var receiverKind: UInt8
    public var namespace: String
    public var name: String
    public var senderType: UInt8
    public var deliveryID: String
    public var eventName: String
    public var routeFingerprint: UInt64
    /// nil: not planned yet.
    public var plan: [PlanEntry]?
    /// Only indexes that have come anywhere; ascending.
    public var progress: [ActionProgress]
}

public struct RecoveryProgress: Sendable {
    public var segmentsDone: Int
    public var segmentCount: Int
    public var bytesDone: UInt64
    public var byteCount: UInt64
}

public struct RecoveryReport: Sendable {
    /// The sequence that the next record gets.
    public var nextSequence: UInt64 = 1
    /// By sequence.
    public var owed: [OwedDelivery] = []
    public var damage: [Damage] = []
    /// Redeliveries whose own plan is not there, torn or damaged: they are not carried out.
    public var unplanned: [UInt64] = []
    /// Bytes of records that were being written when the last run ended; nobody was told that they are durable.
    public var tornBytes = 0
    public var segmentCount = 0
    public var recordCount = 0
    public var byteCount: UInt64 = 0
    public var dedupeEntries = 0
    public var durationNanoseconds: UInt64 = 0
}
