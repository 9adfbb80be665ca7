// What of the dispatcher's work waits in the journal alone, and how it is read again: the words that both sides share.

public import Delivery

/// Deliveries of one route that wait in the journal alone: whatever the journal owes of that route from `from` through `through` and
/// nobody holds. The size of this does not depend on how many they are.
public struct SpilledRange: Sendable, Equatable {
    public var from: UInt64
    public var through: UInt64
    /// About how many: damaged records count until they were passed.
    public var count: Int
    /// Of the first, nanoseconds since 1970; of one before it until that was read.
    public var oldestReceivedNanoseconds: UInt64
    /// The last one that is of before the start, and may have been acted on; 0: none is.
    public var recoveredThrough: UInt64

    /// One delivery.
    public init(_ delivery: QueuedDelivery, isRecovered: Bool) {
        from = delivery.sequence
        through = delivery.sequence
        count = 1
        oldestReceivedNanoseconds = delivery.receivedNanoseconds
        recoveredThrough = isRecovered ? delivery.sequence : 0
    }

    /// Takes up what others of the same route are.
    public mutating func formUnion(_ other: SpilledRange) {
        if other.from < from {
            from = other.from
            oldestReceivedNanoseconds = other.oldestReceivedNanoseconds
        }
        through = max(through, other.through)
        count += other.count
        recoveredThrough = max(recoveredThrough, other.recoveredThrough)
    }
}

/// Asks for the next deliveries of some routes.
public struct SpillQuestion: Sendable, Equatable {
    public struct Wanted: Sendable, Equatable {
        /// Nothing of the route below this is asked for; at least `SpillQuestion.from`.
        public var from: UInt64
        public var through: UInt64
        /// At most this many, at least 1.
        public var room: Int

        public init(from: UInt64, through: UInt64, room: Int) {
            self.from = from
            self.through = through
            self.room = room
        }
    }

    /// Where to begin; the `from` of one of the routes.
    public var from: UInt64
    public var routes: [RouteIdentity: Wanted]
    /// Records to look at.
    public var looksMax: Int

    /// The last sequence that is asked for.
    public var through: UInt64 { routes.values.lazy.map(\.through).max() ?? 0 }

    public init(from: UInt64, routes: [RouteIdentity: Wanted], looksMax: Int) {
        self.from = from
        self.routes = routes
        self.looksMax = looksMax
    }
}

/// What was found.
public struct SpillReading: Sendable {
    public struct Position: Sendable, Equatable {
        /// Nothing of the route that was asked for lies before this sequence. What was spilled since is not meant by that.
        public var next: UInt64
        /// When the delivery at `next` was received; nil: none is known to be there.
        public var receivedNanoseconds: UInt64?

        public init(next: UInt64, receivedNanoseconds: UInt64? = nil) {
            self.next = next
            self.receivedNanoseconds = receivedNanoseconds
        }
    }

    /// What the disk does not give.
    public struct Unread: Sendable, Equatable {
        /// Where the bytes lie.
        public var segment: UInt64
        /// The deliveries that it concerns have sequences from here on ...
        public var from: UInt64
        /// ... through here.
        public var through: UInt64
        /// Without secrets.
        public var reason: String

        public init(segment: UInt64, from: UInt64, through: UInt64, reason: String) {
            self.segment = segment
            self.from = from
            self.through = through
            self.reason = reason
        }
    }

    /// In the order of the sequences, with what the journal knows of their plans and outcomes.
    public var deliveries: [RecoveredDelivery] = []
    /// How far it was looked, for each route of the question.
    public var positions: [RouteIdentity: Position] = [:]
    /// The first place that could not be read: the reading ended before it. What lies behind it can be asked for.
    public var unread: Unread?
    /// Why there is no more, and asking again at once is of no use; without secrets.
    public var failure: String?

    public init() {}
}

/// The journal, as far as it holds what the dispatcher does not. From any thread; may wait for the disk and for a commit.
public protocol SpilledDeliveries: Sendable {
    /// Deliveries that are owed; those that the dispatcher holds as well, and none that waits elsewhere.
    func read(_ question: SpillQuestion) async -> SpillReading
}
