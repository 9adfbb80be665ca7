// ClusterAccess: the client of the API server that the settings name.

internal import Catalog
internal import Cluster
internal import Foundation
internal import Glibc
internal import Kubernetes
internal import Logging

enum ClusterAccess {
    /// nil when the server runs without a cluster.
    static func client(_ settings: ServerSettings, _ logger: Logger) throws(CommandFailure) -> KubernetesClient? {
        do {
            guard let kubeconfig = try kubeconfig(settings) else { return nil }
            var limits = KubernetesClient.Settings(version: Version.number)
            // Flux's own --kube-api-burst: a start lists and watches everything at once.
            limits.requestsBurst = 300
            return try KubernetesClient(kubeconfig, settings: limits, logger: logger)
        } catch {
            throw .input("\(error)")
        }
    }

    /// nil when the server runs without a cluster.
    static func kubeconfig(_ settings: ServerSettings) throws(KubeconfigError) -> Kubeconfig? {
        switch settings.kubernetes {
        case .off: return nil
        case .kubeconfig:
            guard let path = settings.kubeconfig else {
                // As kubectl: the files of $KUBECONFIG merged, else ~/.kube/config.
                return try Kubeconfig.load(context: settings.kubernetesContext)
            }
            return try Kubeconfig.load(path: path, context: settings.kubernetesContext)
        case .inCluster: return try Kubeconfig.inCluster()
        }
    }

    /// What this server does in the cluster of that name beside acting on targets; nil when the catalog does not come from there. `settings`
    /// are those of the cluster alone (`ServerSettings.eachCluster`).
    static func member(
        _ client: KubernetesClient, _ name: String, _ settings: ServerSettings, _ logger: Logger,
        changed: @escaping @Sendable () -> Void
    ) throws(CommandFailure) -> ClusterMember? {
        guard settings.catalogSource != .manifests else { return nil }
        var source = ClusterSource.Settings(cluster: name)
        source.namespaces = settings.watchNamespaces
        source.secretAccess = settings.secretAccess
        source.secretSelector = settings.secretSelector
        source.secrets = settings.systems.buildServiceReferences.map {
            SecretName(namespace: $0.namespace, name: $0.name)
        }
        var member = ClusterMember.Settings(source: source, identity: identity, host: host)
        member.statusOwner =
            switch settings.receiverStatus {
            case .auto: .auto
            case .own: .own
            case .given: .given
            }
        member.leaseNamespace = client.kubeconfig.namespace
        member.fluxNamespace = settings.fluxNamespace
        member.graceSeconds = Int(settings.pathGraceNanoseconds / ServerSettings.second)
        member.retiredPathsFile =
            settings.dataDirectory + "/retired-paths" + (name == ClusterSettings.local ? "" : ".\(name)")
        member.isObserver = settings.observes
        member.executor = executor
        do {
            return try ClusterMember(client, settings: member, logger: logger, changed: changed)
        } catch {
            throw .environment("\(error)")
        }
    }

    /// One thread, however many clusters there are.
    private static let executor: WatchExecutor? = {
        let executor = WatchExecutor()
        executor?.start()
        return executor
    }()

    /// Of this replica: the pod's name and something that no earlier process of that name had.
    private static let identity = host + "_" + UUID().uuidString.lowercased()
    private static let host = ProcessInfo.processInfo.hostName
}
