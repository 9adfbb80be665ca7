// ActionRunner: carries out one kind of action. Runs as a task; must end by itself (each has its timeout), and soon when
// its task is cancelled: then the process is about to end and the trigger stays owed.

public import Delivery

/// One attempt of one action.
public struct ActionAttempt: Sendable {
    public var sequence: UInt64
    public var planIndex: UInt16
    /// 1 for the first.
    public var number: Int
    public var route: RouteIdentity
    public var receivedNanoseconds: UInt64
    /// As the route says now; for `reconcile` as planned.
    public var action: Action
    /// The record's fields and body; nil for `reconcile`, which needs none.
    public var payload: DeliveryPayload?
    /// The decoded event; empty for `reconcile` and `http`.
    public var event: Event
    /// The rules of the route as it is now; nil where it has none, or is gone.
    public var rules: (any ReceiverRules)?
    /// Whether a tenant of a cluster wrote the route (`RouteDefinition.isOfTenant`).
    public var isOfTenant: Bool
    /// Objects without a namespace are not acted on (`RouteDefinition.isConfined`).
    public var isConfined: Bool
    /// By what a thing that is created is known again; nil: the journal has no name.
    public var key: RepeatKey?
    /// An earlier attempt may have done it: one before a restart, or one whose answer was lost.
    public var isRepeat: Bool

    public init(
        sequence: UInt64, planIndex: UInt16, number: Int, route: RouteIdentity, receivedNanoseconds: UInt64,
        action: Action, payload: DeliveryPayload?, event: Event,
        rules: (any ReceiverRules)? = nil, isOfTenant: Bool = false, isConfined: Bool = false,
        key: RepeatKey? = nil, isRepeat: Bool = false
    ) {
        self.sequence = sequence
        self.planIndex = planIndex
        self.number = number
        self.route = route
        self.receivedNanoseconds = receivedNanoseconds
        self.action = action
        self.payload = payload
        self.event = event
        self.rules = rules
        self.isOfTenant = isOfTenant
        self.isConfined = isConfined
        self.key = key
        self.isRepeat = isRepeat
    }
}

public protocol ActionRunner: Sendable {
    func run(_ attempt: ActionAttempt) async -> ActionResult
}

/// Which runner carries out which kind; nil: that kind is switched off.
public struct ActionRunners: Sendable {
    public var reconcile: (any ActionRunner)?
    public var http: (any ActionRunner)?
    public var exec: (any ActionRunner)?
    public var log: (any ActionRunner)?
    public var openshiftBuild: (any ActionRunner)?
    public var s2iRun: (any ActionRunner)?
    public var kpackRefresh: (any ActionRunner)?
    public var dockerHubCallback: (any ActionRunner)?
    public var openshiftRelay: (any ActionRunner)?
    /// Stands in for all of them.
    public var observer: (any ActionRunner)?

    public init(
        reconcile: (any ActionRunner)? = nil, http: (any ActionRunner)? = nil, exec: (any ActionRunner)? = nil,
        log: (any ActionRunner)? = nil, openshiftBuild: (any ActionRunner)? = nil,
        s2iRun: (any ActionRunner)? = nil, kpackRefresh: (any ActionRunner)? = nil,
        dockerHubCallback: (any ActionRunner)? = nil, openshiftRelay: (any ActionRunner)? = nil
    ) {
        self.reconcile = reconcile
        self.http = http
        self.exec = exec
        self.log = log
        self.openshiftBuild = openshiftBuild
        self.s2iRun = s2iRun
        self.kpackRefresh = kpackRefresh
        self.dockerHubCallback = dockerHubCallback
        self.openshiftRelay = openshiftRelay
    }

    subscript(_ action: PlannedAction) -> (any ActionRunner)? {
        if let observer { return observer }
        return switch action {
        case .reconcile: reconcile
        case .http: http
        case .exec: exec
        case .log: log
        case .openshiftBuild: openshiftBuild
        case .s2iRun: s2iRun
        case .kpackRefresh: kpackRefresh
        case .dockerHubCallback: dockerHubCallback
        case .openshiftRelay: openshiftRelay
        }
    }

    /// What a kind without a runner gives.
    static func switchedOff(_ action: PlannedAction) -> ActionResult {
        switch action {
        case .reconcile, .openshiftBuild, .s2iRun, .kpackRefresh, .openshiftRelay:
            // Healed by a restart with a cluster; until then it stays owed.
            .failed(
                ActionFailure(
                    .healable, scope: .server, reason: "no Kubernetes cluster is configured; start with --kubernetes"))
        case .exec:
            .failed(ActionFailure(.final, scope: .none, reason: "exec actions are off; start with --allow-exec"))
        case .http, .log, .dockerHubCallback:
            .failed(ActionFailure(.final, scope: .none, reason: "\(action.name) actions are off"))
        }
    }
}
