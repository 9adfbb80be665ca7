// WatchedKind: the kinds that routes and indexes are made of, and who defines them.

/// One kind that is listed and watched where the API server serves it.
public struct WatchedKind: Hashable, Sendable {
    /// Empty for the core group.
    public var group: String
    public var kind: String
    /// Versions that are understood, the preferred first; another one that is served is taken when none of these is.
    public var versions: [String]
    /// Its objects are receivers: whether there is a path depends on them.
    public var isReceiver: Bool
    public var isNamespaced: Bool

    init(_ group: String, _ kind: String, _ versions: [String], isReceiver: Bool = false, isNamespaced: Bool = true) {
        self.group = group
        self.kind = kind
        self.versions = versions
        self.isReceiver = isReceiver
        self.isNamespaced = isNamespaced
    }

    /// `Receiver.notification.toolkit.fluxcd.io`.
    public var name: String { group.isEmpty ? kind : "\(kind).\(group)" }

    static let secret = WatchedKind("", "Secret", ["v1"])
    static let receiver = WatchedKind(
        "notification.toolkit.fluxcd.io", "Receiver", ["v1", "v1beta2", "v1beta1", "v1alpha1"], isReceiver: true)
    static let hook = WatchedKind("grapnel.dev", "Hook", ["v1alpha1"], isReceiver: true)

    /// All of them but Secrets, receivers first.
    public static let all: [WatchedKind] = [
        receiver,
        WatchedKind("notification.fluxcd.io", "Receiver", ["v1alpha1"], isReceiver: true),
        hook,
        WatchedKind("build.openshift.io", "BuildConfig", ["v1"], isReceiver: true),
        WatchedKind("devops.kubesphere.io", "S2iBuilder", ["v1alpha1"], isReceiver: true),
        WatchedKind("source.toolkit.fluxcd.io", "GitRepository", ["v1", "v1beta2", "v1beta1"]),
        WatchedKind("source.toolkit.fluxcd.io", "OCIRepository", ["v1", "v1beta2"]),
        WatchedKind(
            "image.toolkit.fluxcd.io", "ImageRepository", ["v1", "v1beta2", "v1beta1", "v1alpha2", "v1alpha1"]),
        WatchedKind("kpack.io", "Image", ["v1alpha2", "v1alpha1"]),
        WatchedKind("kpack.io", "Builder", ["v1alpha2", "v1alpha1"]),
        WatchedKind("kpack.io", "ClusterBuilder", ["v1alpha2", "v1alpha1"], isNamespaced: false),
        WatchedKind("kpack.io", "ClusterStack", ["v1alpha2", "v1alpha1"], isNamespaced: false),
        WatchedKind("kpack.io", "ClusterStore", ["v1alpha2", "v1alpha1"], isNamespaced: false),
        WatchedKind("kpack.io", "ClusterLifecycle", ["v1alpha2"], isNamespaced: false),
        WatchedKind("kpack.io", "Buildpack", ["v1alpha2"]),
        WatchedKind("kpack.io", "ClusterBuildpack", ["v1alpha2"], isNamespaced: false),
        WatchedKind("build.pivotal.io", "Image", ["v1alpha1"]),
        WatchedKind("build.pivotal.io", "Builder", ["v1alpha1"]),
        WatchedKind("build.pivotal.io", "ClusterBuilder", ["v1alpha1"], isNamespaced: false),
    ]
}
