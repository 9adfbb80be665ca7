// Plan: what a run does. Measurement: what came of it.

public import Histogram

/// What a run does. Times are in nanoseconds.
public struct Plan: Sendable {
    public var connectionCount = 64
    /// Deliveries per second (open loop); nil sends the next delivery as soon as the last one is answered (closed loop).
    public var rate: Double?
    public var arrivals = Arrivals.fixed
    public var warmUpNanoseconds: UInt64 = 1_000_000_000
    public var measuredNanoseconds: UInt64 = 10_000_000_000
    /// How long answers that are still owed are waited for at the end.
    public var drainNanoseconds: UInt64 = 10_000_000_000
    /// The share of deliveries with a wrong signature, 0 ... 1.
    public var badShare = 0.0
    /// Whether each delivery has a body and signature of its own; else each connection has.
    public var signsEach = true
    /// Whether each delivery comes on a connection of its own.
    public var opensEach = false
    /// Processes whose processor time is measured.
    public var serverProcesses: [Int32] = []
    /// Where the numbers in delivery ids begin: runs must not repeat each other's.
    public var firstID: UInt64 = 0
    public var seed: UInt64 = 1

    public init() {}
}

/// What was measured: of deliveries that arrived within the measured time.
public struct Measurement {
    /// From the scheduled time (open loop) or the time of sending (closed loop) to the whole answer, in nanoseconds.
    public var latency = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: 600_000_000_000, numberOfSignificantValueDigits: .three)
    /// Answers by status; the index is the status.
    public var statuses = [UInt64](repeating: 0, count: 1000)
    /// Deliveries that arrived within the measured time.
    public var arrived: UInt64 = 0
    /// Answers within the measured time, whenever their deliveries arrived: what processor time is divided by.
    public var answeredInTime: UInt64 = 0
    public var errors = Errors()
    /// Open loop: the most deliveries that waited for a free connection at one moment.
    public var waitingMost: UInt64 = 0
    public var elapsedNanoseconds: UInt64 = 0
    /// The server's processor time within the measured time; nil without processes, or when one ended.
    public var serverProcessorNanoseconds: UInt64?
    public var serverResidentBytes: UInt64?
    public var ownProcessorNanoseconds: UInt64 = 0

    public init() {}

    /// Why deliveries got no answer.
    public struct Errors: Sendable, Equatable {
        public var connect: UInt64 = 0
        /// Closed or reset by the peer before the answer was whole.
        public var closed: UInt64 = 0
        /// The answer was no HTTP.
        public var malformed: UInt64 = 0
        /// Not answered when the drain time was over.
        public var unanswered: UInt64 = 0
        public var total: UInt64 { connect + closed + malformed + unanswered }
        public init() {}
    }

    public var answered: UInt64 { statuses.reduce(0, +) }
}
