// Action: what a verified delivery causes. Defined here, beside the route that carries it; carried out by `Trigger`.

/// An object that is acted on.
public struct TargetReference: Hashable, Sendable, CustomStringConvertible {
    public var cluster: String
    /// nil: the default version of the kind (spec/flux.md section 5), or what discovery says.
    public var apiVersion: String?
    public var kind: String
    public var namespace: String
    public var name: String

    public init(cluster: String = "local", apiVersion: String?, kind: String, namespace: String, name: String) {
        self.cluster = cluster
        self.apiVersion = apiVersion
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    public var description: String { "\(kind)/\(namespace)/\(name)" }
}

/// One thing to do for a delivery.
public enum Action: Sendable, Equatable {
    /// Annotate the object with `reconcile.fluxcd.io/requestedAt` (spec/flux.md section 6).
    case reconcile(TargetReference)
    /// POST a BuildRequest (JSON, complete) to the instantiate sub-resource of a BuildConfig.
    case openshiftBuild(TargetReference, buildRequest: [UInt8])
    /// POST the delivery as it came to the API server's own webhook of a BuildConfig; the trigger's secret is looked up then. `type` is
    /// the webhook's, and behind `#` the number of the trigger that accepted the delivery where it is not the first.
    case openshiftRelay(TargetReference, type: String)
    /// Create an S2iRun (JSON, complete); the target is its S2iBuilder.
    case s2iRun(TargetReference, run: [UInt8])
    /// Have kpack look at an object again. `image` is the normalised reference that changed.
    case kpackRefresh(TargetReference, image: String, forceBuild: Bool)
    /// Tell Docker Hub that its webhook was heard (spec: webhook chains). Waits in the queue of `after`, so that it follows the refresh.
    case dockerHubCallback(after: TargetReference?, DockerHubCallback.Request)
    /// POST the delivery's body; re-signed as Standard Webhooks when `signingSecret` is given.
    case http(url: String, timeoutNanoseconds: UInt64, signingSecret: SecretBytes?)
    /// Run a command without a shell; the delivery as JSON on standard input.
    case exec(command: [String], timeoutNanoseconds: UInt64)
    /// One line in the log.
    case log

    /// The word used in manifests, logs, the journal and as the metric label `action`.
    public var name: String {
        switch self {
        case .reconcile: "reconcile"
        case .openshiftBuild: "openshift-build"
        case .openshiftRelay: "openshift-relay"
        case .s2iRun: "s2i-run"
        case .kpackRefresh: "kpack-refresh"
        case .dockerHubCallback: "docker-hub-callback"
        case .http: "http"
        case .exec: "exec"
        case .log: "log"
        }
    }
}

/// Which deliveries may be merged into one trigger (DESIGN section 7).
public struct Coalesce: Sendable, Equatable {
    public enum Key: String, Sendable { case none, target, ref }
    public var by: Key
    /// How long deliveries are gathered before the trigger; from the first of them on, and with a longest delay from the last.
    public var windowNanoseconds: UInt64
    /// Between two starts at one target.
    public var minIntervalNanoseconds: UInt64
    /// After its first delivery a trigger is due, however often the window begins anew; 0: the window does not begin anew.
    public var maxDelayNanoseconds: UInt64

    public init(
        by: Key = .none, windowNanoseconds: UInt64 = 0, minIntervalNanoseconds: UInt64 = 0,
        maxDelayNanoseconds: UInt64 = 0
    ) {
        self.by = by
        self.windowNanoseconds = windowNanoseconds
        self.minIntervalNanoseconds = minIntervalNanoseconds
        self.maxDelayNanoseconds = maxDelayNanoseconds
    }
}

/// How long and how often a failing action is tried again (DESIGN section 7).
public struct RetryPolicy: Sendable, Equatable {
    /// Attempts judged by a working API server before the delivery is dead. At least 1.
    public var attempts: Int
    public var backoffNanoseconds: UInt64
    public var maxBackoffNanoseconds: UInt64
    /// Age of the delivery at which even what time heals is given up.
    public var maxAgeNanoseconds: UInt64

    public init(
        attempts: Int = 10, backoffNanoseconds: UInt64 = 1_000_000_000,
        maxBackoffNanoseconds: UInt64 = 300_000_000_000, maxAgeNanoseconds: UInt64 = 72 * 3600 * 1_000_000_000
    ) {
        self.attempts = attempts
        self.backoffNanoseconds = backoffNanoseconds
        self.maxBackoffNanoseconds = maxBackoffNanoseconds
        self.maxAgeNanoseconds = maxAgeNanoseconds
    }
}
