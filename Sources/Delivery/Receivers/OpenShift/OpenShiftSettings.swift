// OpenShiftSettings: how far the BuildConfig receiver goes beyond what the API server's own webhook does.

/// What is done where the API server's webhook is wanting.
public enum OpenShiftProfile: String, Sendable, CaseIterable {
    /// As the API server does it, but for crashes and echoed secrets.
    case upstream
    /// What users ask for beside it: the default branch of the payload, all changes of a push, no build of a deleted branch,
    /// 2xx for pings and unrelated events, no second build for a repeated delivery.
    case grapnel
}

/// What is off in both profiles until a BuildConfig asks for it.
public enum OpenShiftOption: String, Sendable, CaseIterable {
    /// `source.git.ref` may hold `*` (also across `/`) and `?`.
    case refPatterns = "ref-patterns"
    /// GitHub deliveries as application/x-www-form-urlencoded.
    case formBodies = "form-bodies"
    /// The sender's signature or token must be right for the secret that the path bears.
    case verifySignature = "verify-signature"
    /// The repository in the payload must be that of `source.git.uri`.
    case verifyRepository = "verify-repository"
    /// A provider's push on the generic URL obeys the branch rule.
    case providerHeaders = "provider-headers"
    /// A generic payload with `git.commit` and without `git.ref` builds that commit.
    case commitWithoutRef = "commit-without-ref"
    /// `dockerStrategyOptions` of a generic payload are dropped.
    case gateDockerOptions = "gate-docker-options"
    /// One line break at the end of a stored secret does not count.
    case trimNewline = "trim-newline"
}

/// How a verified delivery becomes a Build.
public enum OpenShiftMode: String, Sendable, CaseIterable {
    /// By a BuildRequest made here, for the `instantiate` sub-resource. The secret never travels.
    case instantiate
    /// By the same request, relayed to the API server's own webhook with a bearer token: its semantics, quirks and all. Needs only
    /// `create` on `buildconfigs/webhooks`, which every account has by default, and no right to the build strategy.
    case relay
}

public struct OpenShiftSettings: Sendable, Equatable {
    /// For every BuildConfig that names none itself.
    public var profile: OpenShiftProfile
    /// For every BuildConfig that names none itself.
    public var mode: OpenShiftMode
    /// In place of each sender's own window, in profile `grapnel`; nil: the sender's own, 0: nothing is a duplicate. The API server knows
    /// no duplicates, so profile `upstream` has none either.
    public var dedupeWindowSeconds: UInt32?

    public init(
        profile: OpenShiftProfile = .upstream, mode: OpenShiftMode = .instantiate, dedupeWindowSeconds: UInt32? = nil
    ) {
        self.profile = profile
        self.mode = mode
        self.dedupeWindowSeconds = dedupeWindowSeconds
    }
}
