// Times of a leader election, as client-go's defaults have them.

/// How a leader election behaves.
public struct LeaderElectionSettings: Sendable {
    /// A leader that has not renewed for so long may be replaced. Whole seconds, at least 1.
    public var leaseSeconds: Int = 15
    /// A leader that could not renew for so long gives up. Less than `leaseSeconds`.
    public var renewDeadline: Duration = .seconds(10)
    /// Between two attempts; candidates wait up to 1.2 times as much more. Less than `renewDeadline`.
    public var retryInterval: Duration = .seconds(2)
    /// At the end the lease is given back, so that the next leader need not wait for it to run out.
    public var releasesOnStop = true
    /// How long giving it back may take.
    public var releaseDeadline: Duration = .seconds(2)

    public init() {}
}
