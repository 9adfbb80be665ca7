// ReceiverRules: what a receiver says to a request, where path and signature alone do not decide.
//
// `rule` decides the answer and runs before anything is stored: verification first, the body after it. `triggers` runs later, on a
// worker, on the stored record of an accepted delivery, in which the credentials are overwritten. Both are pure: the same request and
// time give the same result; no I/O, no clock, any thread. Neither traps, whatever the bytes are.

public protocol ReceiverRules: Sendable {
    /// Verifies and judges. `now` is nanoseconds since 1970.
    func rule(on request: InboundRequest, now: UInt64) -> Ruling

    /// What an accepted delivery causes, in order.
    func triggers(of request: InboundRequest, _ facts: DeliveryFacts) -> Triggers
}

/// What is known of a stored delivery beside its request.
public struct DeliveryFacts: Sendable {
    public var sequence: UInt64
    /// Nanoseconds since 1970.
    public var receivedNanoseconds: UInt64
    /// Empty when the request had none.
    public var deliveryID: String

    public init(sequence: UInt64, receivedNanoseconds: UInt64, deliveryID: String) {
        self.sequence = sequence
        self.receivedNanoseconds = receivedNanoseconds
        self.deliveryID = deliveryID
    }
}

/// What an accepted delivery causes.
public enum Triggers: Sendable, Equatable {
    case actions([Action])
    /// Nothing after all.
    case ignored(IgnoredReason)
}

/// What a receiver's rules make of one request.
public struct Ruling: Sendable {
    public enum Decision: Sendable, Equatable {
        /// Stored; its triggers follow.
        case accepted
        /// Proven, stored with its reason, answered 2xx; nothing follows.
        case ignored(IgnoredReason)
        /// Not proven, or malformed: counted by its cause, not stored.
        case refused(VerifyCause)
        /// The request bears an ID token whose issuer's keys may have to be fetched first. Once it is found good,
        /// `rule(on:claims:now:)` of `TokenRules` decides.
        case awaitsToken(IDTokenDemand)
    }

    public var decision: Decision
    /// What is answered if the record becomes durable (or at once when refused).
    public var answer: Answer
    /// What is answered when the delivery id was seen before; nil: `answer`.
    public var duplicateAnswer: Answer?
    /// The sender type for the record, metrics and event decoding; nil: the route's.
    public var sender: SenderType?
    /// The sender's event name; may be empty.
    public var eventName: String
    /// Names the delivery for deduplication; nil: never deduplicated.
    public var deliveryID: String?
    /// Overrides the route's window when not nil.
    public var dedupeWindowSeconds: UInt32?
    /// What must not reach the disk.
    public var credentials: [CredentialPlace]

    public init(
        _ decision: Decision, answer: Answer, duplicateAnswer: Answer? = nil, sender: SenderType? = nil,
        eventName: String = "", deliveryID: String? = nil, dedupeWindowSeconds: UInt32? = nil,
        credentials: [CredentialPlace] = []
    ) {
        self.decision = decision
        self.answer = answer
        self.duplicateAnswer = duplicateAnswer
        self.sender = sender
        self.eventName = eventName
        self.deliveryID = deliveryID
        self.dedupeWindowSeconds = dedupeWindowSeconds
        self.credentials = credentials
    }
}

/// Status, body and fields beside Date, Content-Length, Connection and Grapnel-*.
public struct Answer: Sendable, Equatable {
    public var status: UInt16
    public var contentType: String?
    public var body: [UInt8]
    /// `Allow`, `Retry-After` …; nothing that came with the request.
    public var fields: [Field]

    public struct Field: Sendable, Equatable {
        public var name: String
        public var value: String
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public init(_ status: UInt16, contentType: String? = nil, body: [UInt8] = [], fields: [Field] = []) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.fields = fields
    }
}

/// An ID token to be verified: signature, expiry, issuer and audience.
public struct IDTokenDemand: Sendable, Equatable {
    /// Where the keys come from.
    public enum Keys: Sendable, Equatable {
        /// OpenID Connect discovery of the issuer.
        case discovery(issuer: String)
        /// Fixed key sets; the token's algorithm and key id choose.
        case fixed(urls: [String])
    }

    public var token: String
    public var keys: Keys
    /// The `iss` values that are accepted.
    public var issuers: [String]
    public var audience: String
    /// Algorithms that are accepted; empty: what the issuer's discovery document advertises, RS256 without it.
    public var algorithms: [String]

    public init(token: String, keys: Keys, issuers: [String], audience: String, algorithms: [String] = []) {
        self.token = token
        self.keys = keys
        self.issuers = issuers
        self.audience = audience
        self.algorithms = algorithms
    }
}

/// Rules that answer `awaitsToken`.
public protocol TokenRules: ReceiverRules {
    /// The token is genuine, in time, and has the wanted issuer and audience: decide with its claims (a JSON object).
    func rule(on request: InboundRequest, claims: JSONValue, now: UInt64) -> Ruling
    /// The token is not: the answer for it, the same for every reason.
    func refuseToken(_ request: InboundRequest) -> Ruling
}

/// Paths that are not compared byte for byte: one shape of URL that leads to many receivers.
public protocol PathFamily: Sendable {
    /// Paths that begin with one of these belong to the family.
    var prefixes: [String] { get }
    /// The path under which the receiver that is meant has its route, or nil when none can be meant. `path` is still
    /// percent-encoded, and so is `query`, what followed the `?`; the result is compared with `RouteDefinition.path`.
    func routePath(of path: String, query: String?) -> String?
    /// Takes what belongs to the family and has no route: it refuses, in the family's own words.
    var fallback: RouteDefinition { get }
}

extension PathFamily {
    /// For paths without a query.
    public func routePath(of path: String) -> String? { routePath(of: path, query: nil) }
}
