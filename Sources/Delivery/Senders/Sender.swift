// Sender: what one kind of sender's deliveries look like: how they prove themselves, what they are called, what they say.
//
// One type per sender, one file each, one line in `SenderTable`. GitHub, GitLab and the plain signed types are not among them: they
// are proven on the loop, out of the head (Verify/Judge.swift). Everything here is pure and total.

/// A kind of sender with rules of its own.
protocol Sender: Sendable {
    static var type: SenderType { get }

    /// How a Hook of this type may be proven; the first is the default. A Flux Receiver has what its specification says.
    static var credentials: [SenderCredential] { get }

    /// Whether a Flux Receiver of this type looks at `spec.events`; the others ignore them.
    static var filtersEventsForFlux: Bool { get }

    /// What a Hook's deliveries tell about the event's name.
    static var eventNaming: EventNaming { get }

    /// Whether deliveries have an id that the sender repeats.
    static var hasDeliveryID: Bool { get }

    /// Whether a delivery of that name is one that `entry` of `spec.events` lists.
    static func isListed(_ eventName: String, as entry: String, isFlux: Bool) -> Bool

    /// Whether the request is proven. Looks at the body's bytes, never into them.
    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof

    /// The parts of a proven request that decide the answer; nil when it is not what this sender sends.
    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading?

    /// Whether the claims of a genuine ID token are those of this route.
    static func judge(claims: JSONValue, _ keys: SenderKeys) -> Result<Void, ClaimsFailure>

    /// What a proven delivery says. `eventName` is what `read` found.
    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent

    /// What filters see as `req` instead of the body; nil: the body itself.
    static func filterBody(_ request: InboundRequest) -> JSONValue?
}

extension Sender {
    static var filtersEventsForFlux: Bool { false }
    static var eventNaming: EventNaming { .each }
    static var hasDeliveryID: Bool { false }

    static func isListed(_ eventName: String, as entry: String, isFlux: Bool) -> Bool {
        eventName.lowercased() == entry.lowercased()
    }

    static func filterBody(_ request: InboundRequest) -> JSONValue? { nil }

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        keys.proveCredential(Self.self, request)
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? { SenderReading() }

    static func judge(claims: JSONValue, _ keys: SenderKeys) -> Result<Void, ClaimsFailure> {
        .failure(ClaimsFailure("this sender bears no ID token"))
    }
}

/// What the deliveries of a type tell about the event's name.
public enum EventNaming: Sendable, Equatable {
    /// Each delivery names its event.
    case each
    /// There is one event, of this name.
    case always(String)
    /// Deliveries name no event.
    case never
}

/// What a request is measured with.
struct SenderKeys: Sendable {
    var isFlux: Bool
    /// Any one may prove a delivery; none is empty.
    var secrets: [SecretBytes]
    var configuration: SenderConfiguration
    /// Accepted event names; empty accepts all.
    var events: [String]
    /// Nanoseconds since 1970.
    var now: UInt64

    /// Whether a Hook's delivery bears the route's secret as configured. What the type does not know proves nothing: no
    /// configuration opens a Hook.
    func proveCredential(_ sender: any Sender.Type, _ request: InboundRequest) -> SenderProof {
        guard let credential = credential(of: sender) else { return .refused(.secretUnusable) }
        return credential.prove(request, secrets)
    }

    /// What a Hook's delivery must present; nil when the type does not know what is configured.
    func credential(of sender: any Sender.Type) -> SenderCredential? {
        guard let wanted = configuration.credential else { return sender.credentials.first }
        return sender.credentials.contains { $0.name == wanted.name } ? wanted : nil
    }
}

/// What became of the proof.
enum SenderProof: Sendable, Equatable {
    case proven
    case refused(VerifyCause)
    /// The ID token is missing or cannot even be asked about.
    case refusedToken(IDTokenFailure)
    case awaitsToken(IDTokenDemand)
}

/// What decides the answer to a proven request.
struct SenderReading: Sendable, Equatable {
    /// The sender's name for what happened; empty when it has none. An envelope of several events has several.
    var eventNames: [String] = []
    /// Names the delivery, identical when the sender repeats it; nil when it has none.
    var deliveryID: String?
    /// Says only that the hook exists.
    var isPing = false
    /// Says nothing a route could act on, unless it is listed by name.
    var isIrrelevant = false
    /// A body that can never be valid from a sender that would repeat it for ever: taken and dropped.
    var isUnusable = false
}

/// What a delivery says, with what only image registries say.
public struct SenderEvent: Sendable, Equatable {
    public var event: Event
    /// The images it names, in order; empty for git hosts.
    public var images: [ImageEvent]

    public init(_ event: Event = Event(), images: [ImageEvent] = []) {
        self.event = event
        self.images = images
    }
}

/// An image as a registry names it. Every member may be absent.
public struct ImageEvent: Sendable, Equatable {
    /// Host and repository without tag: `quay.io/team/app`; without a host where the sender does not say it.
    public var image: String?
    public var tag: String?
    /// `sha256:` and 64 hexadecimal digits.
    public var digest: String?
    /// Where the image lies, where `image` alone does not say it.
    public var registry: ImageRegistry

    public init(
        image: String? = nil, tag: String? = nil, digest: String? = nil, registry: ImageRegistry = .named
    ) {
        self.image = image
        self.tag = tag
        self.digest = digest
        self.registry = registry
    }

    /// Takes `host/repository:tag` or `host/repository@digest` apart. A port's colon stands before the last slash.
    init(reference: String) {
        registry = .named
        var name = Substring(reference)
        if let at = name.firstIndex(of: "@") {
            digest = String(name[name.index(after: at)...])
            name = name[..<at]
        }
        let afterSlash = name.lastIndex(of: "/").map { name.index(after: $0) } ?? name.startIndex
        if let colon = name[afterSlash...].firstIndex(of: ":") {
            tag = String(name[name.index(after: colon)...])
            name = name[..<colon]
        }
        image = name.isEmpty ? nil : String(name)
    }
}

/// What is known of the registry that holds an image. A repository without a host is never one of Docker Hub.
public enum ImageRegistry: Sendable, Equatable {
    /// `image` is a whole name, host included, as one pulls it.
    case named
    /// The sender does not say its host: `image` is the repository alone, or one of these is.
    case unknown(otherNames: [String] = [])
    /// Artifactory: the place within the repository of that key. The names under which it is pulled are the operator's choice
    /// (`buildService.artifactory.repositories`), else guessed.
    case artifactory(repositoryKey: String, image: String)
}

/// Why the claims of a genuine ID token are refused. For the log; may name claims, never the token.
public struct ClaimsFailure: Error, Sendable, Equatable {
    public var text: String
    public init(_ text: String) { self.text = text }
}
