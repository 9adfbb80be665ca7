// What the dispatcher needs of the journal and of the catalog, as small protocols: the wiring gives them. So this room
// is tested without a disk and knows nothing of record formats.

public import Delivery

/// Where a delivery's record lies in the journal.
public struct DeliveryLocation: Sendable, Equatable {
    public var segment: UInt64
    public var offset: UInt32
    public var length: UInt32

    public init(segment: UInt64, offset: UInt32, length: UInt32) {
        self.segment = segment
        self.offset = offset
        self.length = length
    }
}

/// A durable delivery that waits for its triggers.
public struct QueuedDelivery: Sendable, Equatable {
    public var sequence: UInt64
    /// Nanoseconds since 1970.
    public var receivedNanoseconds: UInt64
    public var route: RouteIdentity
    public var location: DeliveryLocation
    /// When its record was durable; nanoseconds since 1970, 0: not known.
    public var durableNanoseconds: UInt64 = 0

    public init(
        sequence: UInt64, receivedNanoseconds: UInt64, route: RouteIdentity, location: DeliveryLocation
    ) {
        self.sequence = sequence
        self.receivedNanoseconds = receivedNanoseconds
        self.route = route
        self.location = location
    }
}

/// A delivery found in the journal at the start, with what was written about it.
public struct RecoveredDelivery: Sendable, Equatable {
    public var delivery: QueuedDelivery
    /// nil: the crash came before the plan. Then the current configuration says what to do.
    public var plan: [EncodedPlanEntry]?
    /// In the order of the journal; attempts included.
    public var outcomes: [OutcomeEntry]

    public init(delivery: QueuedDelivery, plan: [EncodedPlanEntry]?, outcomes: [OutcomeEntry]) {
        self.delivery = delivery
        self.plan = plan
        self.outcomes = outcomes
    }
}

/// A delivery's record, read back when an action needs it.
public struct DeliveryPayload: Sendable {
    public struct Field: Sendable, Equatable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    public var sender: SenderType
    /// Empty when the request had none.
    public var deliveryID: String
    /// The sender's event name as it stood in the request; may be empty.
    public var eventKind: String
    public var contentType: String
    public var method: String
    /// Path and query as they were sent.
    public var target: String
    /// Credentials are already overwritten (DESIGN section 7).
    public var headers: [Field]
    public var body: [UInt8]

    public init(
        sender: SenderType, deliveryID: String, eventKind: String, contentType: String, method: String = "POST",
        target: String = "/", headers: [Field], body: [UInt8]
    ) {
        self.sender = sender
        self.deliveryID = deliveryID
        self.eventKind = eventKind
        self.contentType = contentType
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
    }
}

extension DeliveryPayload {
    /// The request, as a receiver's rules and filters read it.
    public var request: InboundRequest {
        let query = target.firstIndex(of: "?")
        return InboundRequest(
            method: method, path: String(target[..<(query ?? target.endIndex)]),
            query: query.map { String(target[target.index(after: $0)...]) },
            fields: headers.map { InboundRequest.Field(name: $0.name, value: $0.value) }, body: body)
    }
}

/// A record could not be read now; it may well be there. So nothing that waits for it is given up.
public struct DeliveryLogError: Error, Sendable {
    /// Without secrets.
    public var reason: String

    public init(reason: String) { self.reason = reason }
}

/// The journal, as the dispatcher uses it.
///
/// `recordPlan` and `recordOutcomes` come from the dispatcher's thread alone, in the order in which they must stand in
/// the log; neither may block for long, neither needs a sync of its own. The order matters: an outcome `merged` of one
/// delivery follows the plan of the delivery that it names, so that no crash keeps the first and loses the second.
/// `payload` and `origin` come from any thread.
public protocol DeliveryLog: Sendable {
    func recordPlan(sequence: UInt64, entries: [EncodedPlanEntry], times: PlanTimes)
    func recordOutcomes(_ outcomes: [OutcomeEntry])
    /// Head fields and body; nil when the record is gone.
    func payload(sequence: UInt64, location: DeliveryLocation) throws(DeliveryLogError) -> DeliveryPayload?
    /// Which journal received the delivery first; nil when the record is gone or journals have no names.
    func origin(sequence: UInt64, location: DeliveryLocation) throws(DeliveryLogError) -> DeliveryOrigin?
}

extension DeliveryLog {
    public func origin(sequence: UInt64, location: DeliveryLocation) -> DeliveryOrigin? { nil }
}

/// A delivery's name in the world: the journal that received it and its sequence there.
public struct DeliveryOrigin: Sendable, Hashable {
    public var journal: UInt64
    public var sequence: UInt64

    public init(journal: UInt64, sequence: UInt64) {
        self.journal = journal
        self.sequence = sequence
    }
}

/// The current configuration. Called from any thread.
public protocol RouteLookup: Sendable {
    /// nil: there is no such route (any more).
    func definition(of route: RouteIdentity) -> RouteDefinition?
}
