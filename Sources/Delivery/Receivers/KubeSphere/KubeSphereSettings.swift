// KubeSphereSettings: what differs from the S2I trigger service that is replaced.

public struct KubeSphereSettings: Sendable, Equatable {
    /// Refuse builders without a `secretCode`.
    public var requireSecret: Bool
    /// Do not ask for the secret on the GitHub route, as the service replaced did.
    public var githubUnauthenticated: Bool
    /// A GitHub ping on the general route starts nothing.
    public var ignorePing: Bool
    /// A push on the general route starts a run only for the builder's branch.
    public var branchFilter: Bool
    /// A JSON body on the general route may say what to build.
    public var overrides: Bool
    /// How long a delivery id counts as seen; 0 turns deduplication off.
    public var dedupeWindowSeconds: UInt32

    public init(
        requireSecret: Bool = false, githubUnauthenticated: Bool = false, ignorePing: Bool = true,
        branchFilter: Bool = false, overrides: Bool = false, dedupeWindowSeconds: UInt32 = 600
    ) {
        self.requireSecret = requireSecret
        self.githubUnauthenticated = githubUnauthenticated
        self.ignorePing = ignorePing
        self.branchFilter = branchFilter
        self.overrides = overrides
        self.dedupeWindowSeconds = dedupeWindowSeconds
    }
}

/// What an S2iBuilder says about its trigger (devops.kubesphere.io/v1alpha1, `spec.config`).
public struct S2iBuilderFacts: Sendable, Equatable {
    public var cluster: String
    public var namespace: String
    public var name: String
    /// nil: none is set. An empty one is none.
    public var secretCode: SecretBytes?
    /// The branch; empty counts as `master`.
    public var revisionID: String
    /// A regular expression that stands in for `revisionID` when not empty.
    public var branchExpression: String
    /// Builds an uploaded artifact, not a repository.
    public var isBinaryURL: Bool

    public init(
        cluster: String = "local", namespace: String, name: String, secretCode: SecretBytes? = nil,
        revisionID: String = "", branchExpression: String = "", isBinaryURL: Bool = false
    ) {
        self.cluster = cluster
        self.namespace = namespace
        self.name = name
        self.secretCode = secretCode.flatMap { $0.isEmpty ? nil : $0 }
        self.revisionID = revisionID
        self.branchExpression = branchExpression
        self.isBinaryURL = isBinaryURL
    }

    /// The path of its route: the general URL without a slash at its end.
    public var routePath: String { KubeSpherePath.routePath(namespace: namespace, name: name) }

    /// Why `branchExpression` is no regular expression; nil when it is one or empty. For operators.
    public var branchExpressionTrouble: String? {
        if case .invalid(let trouble) = BranchRule(self).kind { trouble } else { nil }
    }
}
