// Readiness: whether deliveries should be sent here, and why not. What /readyz says.

internal import Synchronization

/// The server's state as load balancers should see it. Safe from any thread.
final class Readiness: Sendable {
    struct State: Sendable {
        var isStarted = false
        var isDraining = false
        /// Errors of the catalog: the last good version of what is wrong stays in use, so they do not make the server unready.
        var catalogProblems: [String] = []
    }

    private let state = Mutex(State())

    func update(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    /// Ready or not, and the lines that say why. `journalRefusal`: nil while the journal accepts.
    func report(journalRefusal: String?) -> (isReady: Bool, text: String) {
        let now = state.withLock { $0 }
        var lines: [String] = []
        if !now.isStarted { lines.append("not ready: starting") }
        if now.isDraining { lines.append("not ready: shutting down") }
        if let journalRefusal { lines.append("not ready: journal: \(journalRefusal)") }
        let isReady = lines.isEmpty
        if isReady { lines.append("ready") }
        for problem in now.catalogProblems.prefix(20) { lines.append("catalog: \(problem)") }
        if now.catalogProblems.count > 20 { lines.append("catalog: and \(now.catalogProblems.count - 20) more") }
        return (isReady, lines.joined(separator: "\n") + "\n")
    }
}
