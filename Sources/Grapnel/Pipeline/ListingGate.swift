// ListingGate: deliveries that must wait until their cluster was listed.
//
// What an earlier run owed waits for its route's cluster: before that, a route that is not known yet would be taken for one that is gone
// (DESIGN section 7). What comes now waits where its targets are looked up among a cluster's objects and these are not known yet: nobody
// could say that there are none. Clusters are waited for one by one, so that one that is away holds up its own deliveries alone.
//
// No more is held than the journal owes; after a restart it is owed again.

internal import Delivery
internal import Synchronization
internal import Trigger

/// Safe from any thread.
final class ListingGate: Sendable {
    private struct State {
        /// In the order of the sequences.
        var waiting: [RecoveredDelivery]
        var unlisted: Set<String>
    }

    private let state: Mutex<State>
    private let routes: any Trigger.RouteLookup

    /// `owed` by an earlier run. `unlisted`: all clusters that routes are read from.
    init(_ owed: [RecoveredDelivery], unlisted: Set<String>, routes: any Trigger.RouteLookup) {
        state = Mutex(State(waiting: owed, unlisted: unlisted))
        self.routes = routes
    }

    /// Those that may be planned now; the others are kept.
    func admit(_ deliveries: [QueuedDelivery]) -> [QueuedDelivery] {
        state.withLock { state in
            guard !state.unlisted.isEmpty else { return deliveries }
            return deliveries.filter { delivery in
                guard let definition = routes.definition(of: delivery.route),
                    !definition.searchedClusters.isDisjoint(with: state.unlisted)
                else { return true }
                state.waiting.append(RecoveredDelivery(delivery: delivery, plan: nil, outcomes: []))
                return false
            }
        }
    }

    /// These clusters were listed, and the routes in use know it: gives what waited for that alone, each once.
    func release(listed: Set<String>) -> [RecoveredDelivery] {
        state.withLock { state in
            state.unlisted.subtract(listed)
            guard !state.waiting.isEmpty else { return [] }
            let all = state.waiting
            state.waiting = all.filter { mustWait($0.delivery.route, state.unlisted) }
            return state.waiting.isEmpty ? all : all.filter { !mustWait($0.delivery.route, state.unlisted) }
        }
    }

    /// How many wait.
    var count: Int { state.withLock { $0.waiting.count } }

    private func mustWait(_ route: RouteIdentity, _ unlisted: Set<String>) -> Bool {
        guard !unlisted.isEmpty else { return false }
        if unlisted.contains(route.cluster) { return true }
        guard let definition = routes.definition(of: route) else { return false }
        return !definition.searchedClusters.isDisjoint(with: unlisted)
    }
}

extension RouteDefinition {
    /// The clusters among whose objects the targets of a delivery are looked up.
    var searchedClusters: Set<String> {
        var clusters: Set<String> = identity.kind == .buildService ? [identity.cluster] : []
        for selection in selections {
            switch selection.targets {
            case .ofRepository(let cluster, _, _), .ofImage(let cluster, _): clusters.insert(cluster)
            case .named, .labelled: break
            }
        }
        return clusters
    }
}
