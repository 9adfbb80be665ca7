// CatalogOptions: what the server's settings mean for the catalog.

public import Delivery

/// A credential of a Build Service endpoint whose secret is looked up in the catalog.
public struct BuildServiceSecretReference: Sendable {
    public var endpoint: BuildServiceEndpoint
    public var namespace: String
    public var name: String
    public var key: String
    public var credential: @Sendable (SecretBytes) -> BuildServiceCredential

    public init(
        endpoint: BuildServiceEndpoint, namespace: String, name: String, key: String,
        credential: @escaping @Sendable (SecretBytes) -> BuildServiceCredential
    ) {
        self.endpoint = endpoint
        self.namespace = namespace
        self.name = name
        self.key = key
        self.credential = credential
    }
}

/// A cluster beside `local`, as the settings name it.
public struct CatalogCluster: Sendable {
    public var name: String
    /// Lower-case host names at which its routes are reached; empty: any.
    public var hosts: [String]
    /// Empty: all.
    public var watchNamespaces: [String]
    /// Whether its objects are read, so that they can be found by repository and image.
    public var isRead: Bool

    public init(name: String, hosts: [String] = [], watchNamespaces: [String] = [], isRead: Bool = true) {
        self.name = name
        self.hosts = hosts
        self.watchNamespaces = watchNamespaces
        self.isRead = isRead
    }
}

public struct CatalogOptions: Sendable {
    /// Who decides on the readiness and path of a Flux Receiver.
    public enum ReceiverStatus: String, Sendable, CaseIterable {
        /// This server: the path is computed from the Secret.
        case own
        /// Another controller: `status.webhookPath` and the conditions count.
        case given
    }

    /// Directories, or single files, in the order in which they were given.
    public var directories: [String]
    public var receiverStatus: ReceiverStatus
    /// Refuse targets outside of the receiver's own namespace.
    public var noCrossNamespaceRefs: Bool
    /// Only these namespaces; empty means all.
    public var watchNamespaces: [String]
    /// Whether `exec` actions may be used.
    public var allowExec: Bool
    /// The server's limit, which `maxBody` of a Hook may lower and not raise.
    public var bodyBytesMax: Int
    public var openShift = OpenShiftSettings()
    public var kubeSphere = KubeSphereSettings()
    public var buildService = BuildServiceSettings()
    /// Credentials of Build Service endpoints that stand in Secrets.
    public var buildServiceReferences: [BuildServiceSecretReference] = []
    /// The name of the cluster for identities and targets.
    public var cluster: String
    /// The others, which targets of Hooks in manifest files may name.
    public var clusters: [CatalogCluster] = []
    /// By namespace: what the paths of its Hooks may begin with, beside `/hooks/<namespace>/`. For Hooks from a cluster.
    public var hookPaths: [String: [String]] = [:]
    /// Namespaces whose Hooks may act on objects of others. For Hooks from a cluster.
    public var allowCrossNamespace: Set<String> = []
    /// Which hosts `http` actions may call.
    public var outboundAllow = OutboundAllowList()

    public init(
        directories: [String], receiverStatus: ReceiverStatus = .own, noCrossNamespaceRefs: Bool = false,
        watchNamespaces: [String] = [], allowExec: Bool = false, bodyBytesMax: Int = 25 << 20 + 64 << 10,
        cluster: String = "local"
    ) {
        // `dir/` and `dir` are one place; messages and comparisons use the latter.
        self.directories = directories.map { path in
            var path = Substring(path)
            while path.utf8.count > 1, path.hasSuffix("/") { path = path.dropLast() }
            return String(path)
        }
        self.receiverStatus = receiverStatus
        self.noCrossNamespaceRefs = noCrossNamespaceRefs
        self.watchNamespaces = watchNamespaces
        self.allowExec = allowExec
        self.bodyBytesMax = bodyBytesMax
        self.cluster = cluster
    }

    /// The options for what `contribution` gives.
    func options(for contribution: CatalogContribution) -> CatalogOptions {
        var options = self
        options.receiverStatus = contribution.receiverStatus ?? receiverStatus
        guard contribution.cluster != cluster else { return options }
        options.cluster = contribution.cluster
        options.watchNamespaces = clusters.first { $0.name == contribution.cluster }?.watchNamespaces ?? []
        return options
    }
}
