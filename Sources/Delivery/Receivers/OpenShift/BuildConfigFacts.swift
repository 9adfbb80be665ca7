// BuildConfigFacts: what a BuildConfig says about its webhooks (build.openshift.io/v1, `spec.triggers` and `spec.source`).

/// The kind of a webhook: the last segment of its path.
public enum BuildHookType: String, Sendable, CaseIterable {
    case github, gitlab, bitbucket, generic

    /// From `spec.triggers[].type`. The API takes `github` and `generic` too, from before the names were settled.
    public init?(triggerType: String) {
        switch triggerType {
        case "GitHub", "github": self = .github
        case "GitLab": self = .gitlab
        case "Bitbucket": self = .bitbucket
        case "Generic", "generic": self = .generic
        default: return nil
        }
    }

    /// As it stands in causes: `GitHub WebHook`.
    var causeMessage: String {
        switch self {
        case .github: "GitHub WebHook"
        case .gitlab: "GitLab WebHook"
        case .bitbucket: "Bitbucket WebHook"
        case .generic: "Generic WebHook"
        }
    }

    var causeField: String { rawValue + "WebHook" }
}

public struct BuildConfigFacts: Sendable, Equatable {
    /// What a reference to a Secret leads to.
    public enum ReferencedSecret: Sendable, Equatable {
        case none
        /// `data.WebHookSecretKey`, decoded.
        case found(SecretBytes)
        /// No such Secret, or not that key in it.
        case missing
        /// Whether it exists is not known.
        case unreadable
    }

    public struct Trigger: Sendable, Equatable {
        public var type: BuildHookType
        /// The deprecated `secret`; nil or empty when it is not set.
        public var inlineSecret: SecretBytes?
        public var referencedSecret: ReferencedSecret
        public var allowsEnv: Bool

        public init(
            type: BuildHookType, inlineSecret: SecretBytes? = nil, referencedSecret: ReferencedSecret = .none,
            allowsEnv: Bool = false
        ) {
            self.type = type
            self.inlineSecret = inlineSecret
            self.referencedSecret = referencedSecret
            self.allowsEnv = allowsEnv
        }
    }

    /// `spec.source.git`.
    public struct GitSource: Sendable, Equatable {
        public var uri: String
        /// Empty when unset.
        public var ref: String

        public init(uri: String, ref: String = "") {
            self.uri = uri
            self.ref = ref
        }
    }

    public var cluster: String
    public var namespace: String
    public var name: String
    /// Webhook triggers only, in the order of the object.
    public var triggers: [Trigger]
    /// nil: the config has no git source.
    public var git: GitSource?
    /// nil: that of the settings.
    public var profile: OpenShiftProfile?
    public var options: Set<OpenShiftOption>
    /// nil: that of the settings.
    public var mode: OpenShiftMode?

    public init(
        cluster: String = "local", namespace: String, name: String, triggers: [Trigger], git: GitSource?,
        profile: OpenShiftProfile? = nil, options: Set<OpenShiftOption> = [], mode: OpenShiftMode? = nil
    ) {
        self.cluster = cluster
        self.namespace = namespace
        self.name = name
        self.triggers = triggers
        self.git = git
        self.profile = profile
        self.options = options
        self.mode = mode
    }

    /// Annotation that overrides the settings' profile.
    public static let profileAnnotation = "grapnel.dev/webhook-profile"
    /// Annotation that overrides the settings' mode.
    public static let modeAnnotation = "grapnel.dev/webhook-mode"
    /// Annotation that lists options, separated by commas.
    public static let optionsAnnotation = "grapnel.dev/webhook-options"
    /// The key of a referenced Secret.
    public static let secretKey = "WebHookSecretKey"

    /// The path of its route: what the URLs of all its webhooks begin with.
    public var routePath: String { OpenShiftPath.routePath(namespace: namespace, name: name) }
}
