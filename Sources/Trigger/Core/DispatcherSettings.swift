// DispatcherSettings: how much may run at once and when a server counts as away.

/// The limits of a dispatcher. All are at least 1.
public struct DispatcherSettings: Sendable {
    /// Actions at once, in all.
    public var runningMax = 64
    /// Actions at once for the routes of one namespace.
    public var runningPerNamespaceMax = 16
    /// Actions at once on the objects of one cluster.
    public var runningPerClusterMax = 48
    /// Deliveries in memory, those without a plan included; large ones count for several. Beyond it each route still has one.
    public var heldDeliveriesMax = 200_000
    /// Requests at once to one URL of one route, builds at once of one BuildConfig or S2iBuilder (those of one ref follow each other).
    /// All other actions are always one at a time for a target.
    public var runningPerTargetMax = 8
    /// Starts in one round for a namespace, written `cluster/namespace`, or `namespace` for any cluster; 1 where none is given.
    public var namespaceWeights: [String: Int] = [:]
    /// How often an object that does not exist is tried.
    public var objectMissingAttemptsMax = 3
    /// Failures in a row after which a server is left alone.
    public var breakerFailuresMax = 5
    /// The first pause of an open breaker; doubled after each failed probe.
    public var breakerPauseNanoseconds: UInt64 = 1_000_000_000
    public var breakerPauseMaxNanoseconds: UInt64 = 30_000_000_000

    /// Targets without a trigger whose state is kept for their next delivery.
    var idleQueuesMax = 16_384
    /// Routes whose plan is kept ready.
    var templatesMax = 8192

    public init() {}
}
