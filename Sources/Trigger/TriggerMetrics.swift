// TriggerMetrics: the dispatcher's figures. Written by its thread alone, read by whoever scrapes.

public import Metrics

public final class TriggerMetrics: Sendable {
    /// The values of the label `action`.
    public static let actions = [
        "reconcile", "openshift-build", "openshift-relay", "s2i-run", "kpack-refresh", "docker-hub-callback", "http",
        "exec",
        "log",
    ]

    /// Outcomes by action and code; `failed` counts failed attempts. A delivery without a plan counts under `none`.
    private let outcomes: [String: [OutcomeCode: Counter]]
    public let attempts = Counter()
    /// Attempts that were not a delivery's first.
    public let retries = Counter()
    public let running = Gauge()
    public let waiting = Gauge()
    /// Deliveries over their route's share: they wait in the journal alone.
    public let spilled = Gauge()
    /// Deliveries with an entry that is not final, the spilled ones left out.
    public let owedDeliveries = Gauge()
    /// What `owedDeliveries` is kept within; 0 until it is set.
    public let capacity = Gauge()
    public let oldestAgeSeconds = Gauge()
    /// Servers and resources that are left alone at the moment.
    public let openBreakers = Gauge()
    private let openClusters: [String: Gauge]
    /// From receipt to a `done` outcome.
    public let receiveToDoneSeconds = Histogram(bounds: Histogram.secondsBounds)

    /// `clusters` are the values of the label `cluster`.
    public init(clusters: [String] = ["local"]) {
        var outcomes: [String: [OutcomeCode: Counter]] = [:]
        for action in Self.actions + ["none"] {
            outcomes[action] = Dictionary(uniqueKeysWithValues: OutcomeCode.allCases.map { ($0, Counter()) })
        }
        self.outcomes = outcomes
        openClusters = Dictionary(clusters.map { ($0, Gauge()) }, uniquingKeysWith: { first, _ in first })
    }

    public func outcome(_ action: String, _ code: OutcomeCode) -> Counter {
        outcomes[action]?[code] ?? outcomes["none"]![code]!
    }

    /// 1 while the API server of `cluster` is left alone; nil for an unknown cluster.
    public func breakerState(cluster: String) -> Int64? { openClusters[cluster]?.value }

    func setOpenBreakers(_ keys: Set<String>) {
        openBreakers.set(Int64(keys.count))
        for (cluster, gauge) in openClusters { gauge.set(keys.contains("kubernetes/\(cluster)") ? 1 : 0) }
    }
}
