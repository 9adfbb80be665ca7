// Readiness: whether deliveries should be sent here, and why not. What /readyz says.

internal import Synchronization

/// The server's state as load balancers should see it. Safe from any thread.
final class Readiness: Sendable {
    /// A cluster whose catalog is not known yet.
    struct UnlistedCluster: Sendable, Equatable {
        var name: String
        /// Nobody should send here before it is.
        var isWaitedFor: Bool
    }

    struct State: Sendable {
        var isStarted = false
        var isDraining = false
        /// Clusters whose routes are in the table.
        var listedClusters: Set<String> = []
        /// Errors of the catalog: the last good version of what is wrong stays in use, so they do not make the server unready.
        var catalogProblems: [String] = []
    }

    private let state = Mutex(State())

    func update(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    var listedClusters: Set<String> { state.withLock { $0.listedClusters } }

    /// Ready or not, and the lines that say why. `journalRefusal`: nil while the journal accepts.
    /// `journalLines`: what is wrong with the journal though it accepts. `clusterLines`: what the clusters' lists are waited for, or out of step with.
    func report(
        journalRefusal: String?, unlisted: [UnlistedCluster] = [], journalLines: [String] = [],
        clusterLines: [String] = []
    ) -> (isReady: Bool, text: String) {
        let now = state.withLock { $0 }
        var lines: [String] = []
        if !now.isStarted { lines.append("not ready: starting") }
        if now.isDraining { lines.append("not ready: shutting down") }
        if let journalRefusal { lines.append("not ready: journal: \(journalRefusal)") }
        for cluster in unlisted where cluster.isWaitedFor {
            let name = cluster.name == ClusterSettings.local ? "the cluster" : "cluster \(cluster.name)"
            lines.append("not ready: the catalog of \(name) is not known yet")
        }
        let isReady = lines.isEmpty
        if isReady { lines.append("ready") }
        for cluster in unlisted where !cluster.isWaitedFor {
            lines.append(
                "cluster \(cluster.name): its catalog is not known yet: until then an unknown path is answered 503")
        }
        lines += journalLines
        lines += clusterLines.prefix(20)
        if clusterLines.count > 20 { lines.append("cluster: and \(clusterLines.count - 20) more") }
        for problem in now.catalogProblems.prefix(20) { lines.append("catalog: \(problem)") }
        if now.catalogProblems.count > 20 { lines.append("catalog: and \(now.catalogProblems.count - 20) more") }
        return (isReady, lines.joined(separator: "\n") + "\n")
    }
}
