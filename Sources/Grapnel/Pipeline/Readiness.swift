// Readiness: whether deliveries should be sent here, and why not. What /readyz says.

internal import Synchronization

/// The server's state as load balancers should see it. Safe from any thread.
final class Readiness: Sendable {
    struct State: Sendable {
        var isStarted = false
        var isDraining = false
        /// Every source of routes was read.
        var isCatalogComplete = true
        /// Errors of the catalog: the last good version of what is wrong stays in use, so they do not make the server unready.
        var catalogProblems: [String] = []
    }

    private let state = Mutex(State())

    func update(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    /// Ready or not, and the lines that say why. `journalRefusal`: nil while the journal accepts.
    /// `clusterLines`: what the cluster's lists are waited for, or out of step with.
    func report(journalRefusal: String?, clusterLines: [String] = []) -> (isReady: Bool, text: String) {
        let now = state.withLock { $0 }
        var lines: [String] = []
        if !now.isStarted { lines.append("not ready: starting") }
        if now.isDraining { lines.append("not ready: shutting down") }
        if let journalRefusal { lines.append("not ready: journal: \(journalRefusal)") }
        if !now.isCatalogComplete { lines.append("not ready: the catalog of the cluster is not known yet") }
        let isReady = lines.isEmpty
        if isReady { lines.append("ready") }
        lines += clusterLines.prefix(20)
        if clusterLines.count > 20 { lines.append("cluster: and \(clusterLines.count - 20) more") }
        for problem in now.catalogProblems.prefix(20) { lines.append("catalog: \(problem)") }
        if now.catalogProblems.count > 20 { lines.append("catalog: and \(now.catalogProblems.count - 20) more") }
        return (isReady, lines.joined(separator: "\n") + "\n")
    }
}
