// DispatcherSnapshot: what an operator sees of the dispatcher at one moment. Plain values, made on the dispatcher's thread.

public import Delivery

/// All that waits and runs, at one moment. Times are nanoseconds since 1970.
public struct DispatcherSnapshot: Sendable, Equatable {
    public var takenNanoseconds: UInt64 = 0
    /// The queues that were asked for, those with the oldest delivery first.
    public var queues: [QueueSnapshot] = []
    /// Queues with something in them that the question covers; more than `queues` when its limit was reached.
    public var queueCount = 0
    /// The breakers that are not closed, by key.
    public var openBreakers: [BreakerSnapshot] = []
    public var paused: Set<PauseSubject> = []
    /// What died last, newest first. In memory only: of the time before the start the journal alone tells.
    public var dead: [DeadTrigger] = []
    /// Routes with deliveries that wait in the journal alone, those with the oldest first, as many as were asked for.
    public var spilled: [SpilledRoute] = []
    public var totals = Totals()

    /// Figures of the whole dispatcher, whatever was asked for.
    public struct Totals: Sendable, Equatable {
        public var running = 0
        /// Triggers that are owed and do not run, the paused ones included.
        public var waiting = 0
        public var paused = 0
        /// Of those that wait, deliveries over their route's share, which wait in the journal alone.
        public var spilled = 0
        /// Deliveries with an entry that is not final.
        public var owedDeliveries = 0
        /// Deliveries whose targets are still to be found, those under way included.
        public var planning = 0
        /// Triggers that died since the start.
        public var dead: UInt64 = 0
        public var oldestReceivedNanoseconds: UInt64?

        public init() {}
    }

    public init() {}
}

/// What of a route waits in the journal alone.
public struct SpilledRoute: Sendable, Equatable {
    public var route: RouteIdentity
    public var count: Int
    public var oldestReceivedNanoseconds: UInt64
}

/// One target's queue; builds have one for each ref.
public struct QueueSnapshot: Sendable, Equatable {
    public enum BreakerState: Sendable, Equatable {
        case closed
        case open(untilNanoseconds: UInt64)
        /// One attempt at a time may pass.
        case halfOpen
    }

    /// The word for the kind of action, as in logs and metrics.
    public var action: String
    /// What is acted on, as in logs; empty for `log`. With `cluster` it makes a `PauseSubject.target`.
    public var target: String
    /// Of the target; for what acts on no object, of the route.
    public var cluster: String
    /// Of the route in whose share of the places it runs.
    public var namespace: String
    /// Of the oldest delivery; others of the same target may come from other routes.
    public var route: RouteIdentity
    public var oldestSequence: UInt64
    public var oldestReceivedNanoseconds: UInt64
    public var waiting: Int
    public var running: Int
    /// How many of those that wait are paused.
    public var paused: Int
    /// Deliveries that were merged into those that wait and run.
    public var merged: Int
    /// When the first of those that wait may start, as far as windows, intervals and backoff say; nil: as soon as there is a place.
    public var nextDueNanoseconds: UInt64?
    /// Without secrets; nil when the last attempt went well or none was made since the queue was made.
    public var lastFailure: String?
    public var lastFailureNanoseconds: UInt64?
    /// The state of the first breaker that is not closed, and its key.
    public var breaker: BreakerState
    public var breakerKey: String?
}

/// A server, or a resource in one namespace of it, that is left alone.
public struct BreakerSnapshot: Sendable, Equatable {
    /// `kubernetes/<cluster>`, `kubernetes/<cluster>/<group>/<kind>/<namespace>` or a URL's origin.
    public var key: String
    public var state: QueueSnapshot.BreakerState
    /// Why it opened; without secrets.
    public var reason: String
    /// Queues that wait for it.
    public var waitingQueues: Int
}

/// A trigger that was given up.
public struct DeadTrigger: Sendable, Equatable {
    public var sequence: UInt64
    /// `OutcomeEntry.wholeDelivery` when its targets could not be found.
    public var planIndex: UInt16
    public var route: RouteIdentity
    /// Empty when the delivery as a whole died.
    public var action: String
    public var target: String
    /// Without secrets.
    public var reason: String
    /// Attempts that counted.
    public var attempts: UInt64
    public var receivedNanoseconds: UInt64
    public var diedNanoseconds: UInt64
}
