// RouteDefinition: one receiver as the catalog understood it, before it is compiled into the route table.
//
// Cold data: strings and arrays, made when the configuration changes and never touched on the way of a delivery.
// `RouteTable` compiles an array of these into what the loops use.

/// What kind of resource defines a route.
public enum ReceiverKind: UInt8, Sendable, CaseIterable {
    case receiver = 1  // Flux `Receiver`
    case hook = 2  // Grapnel `Hook`
    case buildConfig = 3  // OpenShift `BuildConfig`
    case s2iBuilder = 4  // KubeSphere `S2iBuilder`
    case buildService = 5  // Build Service endpoint

    /// The resource's kind as it is written in a manifest; also the metric label `kind`.
    public var name: String {
        switch self {
        case .receiver: "Receiver"
        case .hook: "Hook"
        case .buildConfig: "BuildConfig"
        case .s2iBuilder: "S2iBuilder"
        case .buildService: "BuildService"
        }
    }
}

/// Which sender's rules prove a delivery (spec/flux.md section 4, spec/senders.md section 1).
public enum SenderType: UInt8, Sendable, CaseIterable {
    case generic = 1
    case genericHMAC = 2
    case github = 3
    case gitlab = 4
    case hmac = 5
    case bitbucket = 6
    case harbor = 7
    case dockerHub = 8
    case quay = 9
    case gcr = 10
    case nexus = 11
    case acr = 12
    case cdEvents = 13
    case genericOIDC = 14
    case gitea = 15
    case standardWebhooks = 16
    case jfrog = 17
    case dockerRegistry = 18
    case azureDevOps = 19
    case token = 20
    case basic = 21
    case unverified = 22

    /// The word used in `spec.type`, in logs and as the metric label `sender`.
    public var name: String {
        switch self {
        case .generic: "generic"
        case .genericHMAC: "generic-hmac"
        case .github: "github"
        case .gitlab: "gitlab"
        case .hmac: "hmac"
        case .bitbucket: "bitbucket"
        case .harbor: "harbor"
        case .dockerHub: "dockerhub"
        case .quay: "quay"
        case .gcr: "gcr"
        case .nexus: "nexus"
        case .acr: "acr"
        case .cdEvents: "cdevents"
        case .genericOIDC: "generic-oidc"
        case .gitea: "gitea"
        case .standardWebhooks: "standard-webhooks"
        case .jfrog: "jfrog"
        case .dockerRegistry: "docker-registry"
        case .azureDevOps: "azure-devops"
        case .token: "token"
        case .basic: "basic"
        case .unverified: "none"
        }
    }
}

/// Names a receiver for ever: journal records, metrics and logs use it, so it outlives the route itself.
public struct RouteIdentity: Hashable, Sendable, CustomStringConvertible {
    /// The cluster's name; `local` when none is configured.
    public var cluster: String
    public var kind: ReceiverKind
    public var namespace: String
    public var name: String

    public init(cluster: String = "local", kind: ReceiverKind, namespace: String, name: String) {
        self.cluster = cluster
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    /// `Hook/team-a/webapp`: what operators type and read.
    public var description: String { "\(kind.name)/\(namespace)/\(name)" }
}

/// Whether a route may answer deliveries, and if not, why. `reason` texts go to operators, never to senders.
public enum RouteReadiness: Sendable, Equatable {
    case ready
    /// `spec.suspend` is true: 503.
    case suspended
    /// Not usable as configured (conditions of `--receiver-status given`, an unsupported field …): 503.
    case notReady(reason: String)
    /// The Secret is missing, unreadable, lacks its key or is empty: 400 on a Flux route, 503 on a Hook.
    case secretUnusable(reason: String)
}

/// How a `Hook` of type `hmac` carries its signature.
public struct HMACScheme: Sendable, Equatable {
    public enum Algorithm: String, Sendable { case sha256, sha512 }
    public enum Encoding: String, Sendable { case hex, base64 }

    /// Field name in lower case.
    public var header: String
    public var algorithm: Algorithm
    public var encoding: Encoding
    /// Must stand before the encoded digest, exactly; may be empty.
    public var prefix: String

    public init(
        header: String = "x-signature", algorithm: Algorithm = .sha256, encoding: Encoding = .hex, prefix: String = ""
    ) {
        self.header = header
        self.algorithm = algorithm
        self.encoding = encoding
        self.prefix = prefix
    }
}

/// Raw secret bytes. Never printed: `description` says only how many there are.
public struct SecretBytes: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable
{
    public let bytes: [UInt8]
    public init(_ bytes: [UInt8]) { self.bytes = bytes }
    public var isEmpty: Bool { bytes.isEmpty }
    public var description: String { "<secret of \(bytes.count) bytes>" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// One receiver, ready to be compiled into the route table.
public struct RouteDefinition: Sendable {
    public var identity: RouteIdentity
    /// Lower-case host without port, or nil for any host.
    public var host: String?
    /// Absolute path, compared byte for byte with the request's path.
    public var path: String
    public var sender: SenderType
    /// Any one of these may prove a delivery. Empty only where `sender` needs none, or `readiness` says why.
    public var secrets: [SecretBytes]
    /// For `sender == .hmac` only.
    public var hmac: HMACScheme?
    /// Verifies and judges instead of `sender`'s table where path and signature alone do not decide.
    public var rules: (any ReceiverRules)?
    /// Accepted event names (compared ignoring ASCII case); empty accepts all.
    public var events: [String]
    public var readiness: RouteReadiness
    /// What every delivery causes, whatever it says.
    public var actions: [Action]
    /// What is chosen and filtered for each delivery, off the way to the answer.
    public var selections: [Selection] = []
    /// Must hold for any action or selection: CEL over `req` and, for each target, `res`. Applies to `actions` as well.
    public var filter: Filter?
    /// Overrides the default coalescing of every action of this route; nil keeps each action's own.
    public var coalesce: Coalesce?
    public var retry: RetryPolicy
    /// nil: the server's `--max-body`. Flux routes have 3 MiB.
    public var bodyBytesMax: Int?
    /// nil: the sender's own window (DESIGN section 6); 0 turns deduplication off.
    public var dedupeWindowSeconds: UInt32?
    /// A path that a rotation left behind: the same receiver, found by another path and proven by another secret.
    public var isRetiredPath = false
    /// Written by whoever may write to the cluster, not by the operator of this server: its http actions are held to
    /// `OutboundAllowList`.
    public var isOfTenant = false
    /// It acts on objects of its own namespace only; which kinds have none, the API server tells.
    public var isConfined = false
    /// Where the resource is written: `file:line`, for messages.
    public var source: String

    /// Whether an accepted delivery leads to anything.
    public var causesTriggers: Bool {
        // The rules of a sender verify only; those of the other receivers say what follows.
        let isOfSender = identity.kind == .hook || identity.kind == .receiver
        return !actions.isEmpty || !selections.isEmpty || (rules != nil && !isOfSender)
    }
    /// Whether a filter looks into the body.
    public var readsBody: Bool { filter != nil || selections.contains { $0.filter != nil } }
    /// Whether the triggers of a delivery are found only by looking at it or at the cluster.
    public var isPlannedPerDelivery: Bool { rules != nil || filter != nil || !selections.isEmpty }

    public init(
        identity: RouteIdentity, host: String? = nil, path: String, sender: SenderType, secrets: [SecretBytes],
        hmac: HMACScheme? = nil, rules: (any ReceiverRules)? = nil,
        events: [String] = [], readiness: RouteReadiness = .ready, actions: [Action] = [],
        coalesce: Coalesce? = nil, retry: RetryPolicy = RetryPolicy(), bodyBytesMax: Int? = nil,
        dedupeWindowSeconds: UInt32? = nil, source: String = ""
    ) {
        self.identity = identity
        self.host = host
        self.path = path
        self.sender = sender
        self.secrets = secrets
        self.hmac = hmac
        self.rules = rules
        self.events = events
        self.readiness = readiness
        self.actions = actions
        self.coalesce = coalesce
        self.retry = retry
        self.bodyBytesMax = bodyBytesMax
        self.dedupeWindowSeconds = dedupeWindowSeconds
        self.source = source
    }
}
