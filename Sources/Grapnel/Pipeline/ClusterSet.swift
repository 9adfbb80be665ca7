// ClusterSet: all clusters of this server by their names: the clients that act there, and the members that read the catalog there and write
// its status. One that cannot be reached keeps none of the others from their work.

internal import Catalog
internal import Cluster
internal import Delivery
internal import Kubernetes
internal import Logging
internal import Trigger

struct ClusterSet: Sendable {
    private let clients: [String: KubernetesClient]
    /// In the order of the settings; those that routes are read from.
    let members: [ClusterMember]
    private let membersByName: [String: ClusterMember]

    /// `changed` is called when the catalog of any may have changed. Nothing is asked of an API server yet.
    init(
        _ settings: ServerSettings, _ logger: Logger, changed: @escaping @Sendable () -> Void
    ) throws(CommandFailure) {
        var clients: [String: KubernetesClient] = [:]
        var members: [ClusterMember] = []
        for (name, settings) in settings.eachCluster {
            var logger = logger
            if name != ClusterSettings.local { logger[metadataKey: "cluster"] = "\(name)" }
            do throws(CommandFailure) {
                guard let client = try ClusterAccess.client(settings, logger) else { continue }
                clients[name] = client
                if let member = try ClusterAccess.member(client, name, settings, logger, changed: changed) {
                    members.append(member)
                }
            } catch {
                guard name != ClusterSettings.local else { throw error }
                throw CommandFailure(error.status, error.messages.map { "cluster \(name): \($0)" })
            }
        }
        self.clients = clients
        self.members = members
        membersByName = Dictionary(members.map { ($0.settings.source.cluster, $0) }) { first, _ in first }
    }

    var isEmpty: Bool { clients.isEmpty }
    /// Of all that are acted on, and of the manifests' own: the values of the label `cluster`.
    var names: [String] { Set(clients.keys).union([ClusterSettings.local]).sorted() }
    /// Names of those that routes are read from.
    var catalogNames: Set<String> { Set(membersByName.keys) }
    /// Where tenants' http actions may not go.
    var apiServerHosts: [String] { Set(clients.values.compactMap(\.kubeconfig.serverHost)).sorted() }
    /// For /readyz.
    var lines: [String] { members.flatMap(\.lines) }

    func client(_ name: String) -> KubernetesClient? { clients[name] }

    func start() { for member in members { member.start() } }

    /// Ends the members' work, each with its Lease given back.
    func stop() async {
        await withDiscardingTaskGroup { group in
            for member in members { group.addTask { await member.stop() } }
        }
    }

    func shutdown() async {
        await withDiscardingTaskGroup { group in
            for client in clients.values { group.addTask { await client.shutdown() } }
        }
    }

    /// Tells the status of each cluster's receivers what was made of the catalog.
    func publish(_ snapshot: CatalogSnapshot) { for member in members { member.publish(snapshot) } }

    /// To the cluster that the route is of.
    func warn(_ trouble: TriggerTrouble) { membersByName[trouble.route.cluster]?.warn(trouble) }
}
