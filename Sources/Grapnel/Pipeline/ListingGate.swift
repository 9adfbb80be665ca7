// ListingGate: deliveries that must wait until their cluster was listed.
//
// What an earlier run owed waits for its route's cluster: before that, a route that is not known yet would be taken for one that is gone
// (DESIGN section 7). So does each redelivery. A delivery of this run waits also where its targets are looked up among a
// cluster's objects and these are not known yet: nobody could say that there are none. Clusters are waited for one by one, so that one that
// is away holds up its own deliveries alone.
//
// What waits here is shared among the routes as what the dispatcher holds is (SpillBook); the rest of a route is known as a range of the
// journal, which the dispatcher is given when the route is released. After a restart all of it is owed again.

internal import Delivery
internal import Synchronization
internal import Trigger

/// Safe from any thread.
final class ListingGate: Sendable {
    private struct State {
        /// In the order of the sequences.
        var waiting: [RecoveredDelivery] = []
        var waitingOfRoute: [RouteIdentity: Int] = [:]
        var spilled: [RouteIdentity: SpilledRange] = [:]
        var unlisted: Set<String>

        func holds(_ route: RouteIdentity) -> Bool { waitingOfRoute[route] != nil || spilled[route] != nil }

        mutating func keep(_ recovered: RecoveredDelivery, heldMax: Int, isRecovered: Bool) {
            let route = recovered.delivery.route
            let held = waitingOfRoute[route] ?? 0
            if spilled[route] == nil, held < max(heldMax - waiting.count, 1) {
                waiting.append(recovered)
                waitingOfRoute[route] = held + 1
                return
            }
            let range = SpilledRange(recovered.delivery, isRecovered: isRecovered)
            if spilled[route] == nil { spilled[route] = range } else { spilled[route]?.formUnion(range) }
        }
    }

    /// What the dispatcher is to have.
    struct Released {
        var deliveries: [RecoveredDelivery] = []
        /// They follow those.
        var spilled: [(route: RouteIdentity, range: SpilledRange)] = []

        var isEmpty: Bool { deliveries.isEmpty && spilled.isEmpty }
    }

    private let state: Mutex<State>
    private let routes: any Trigger.RouteLookup

    private let heldMax: Int
    /// As the dispatcher takes them up in one go, before it looks at anything that comes now: some tenths of a second.
    static let heldMax = 16_384

    /// `owed` by an earlier run, in the order of the sequences. `unlisted`: all clusters that routes are read from.
    init(
        _ owed: some Sequence<RecoveredDelivery>, unlisted: Set<String>, routes: any Trigger.RouteLookup,
        heldMax: Int = ListingGate.heldMax
    ) {
        var kept = State(unlisted: unlisted)
        for recovered in owed { kept.keep(recovered, heldMax: heldMax, isRecovered: true) }
        state = Mutex(kept)
        self.routes = routes
        self.heldMax = heldMax
    }

    /// Those that may be planned now; the others are kept. One follows what waits of its route, whatever it needs itself.
    func admit(_ deliveries: [QueuedDelivery]) -> [QueuedDelivery] {
        state.withLock { state in
            guard !state.unlisted.isEmpty else { return deliveries }
            return deliveries.filter {
                admits(RecoveredDelivery(delivery: $0, plan: nil, outcomes: []), &state)
            }
        }
    }

    /// The same of one that has a plan.
    func admits(_ recovered: RecoveredDelivery) -> Bool { state.withLock { admits(recovered, &$0) } }

    private func admits(_ recovered: RecoveredDelivery, _ state: inout State) -> Bool {
        let route = recovered.delivery.route
        guard !state.unlisted.isEmpty, state.holds(route) || needs(route, anyOf: state.unlisted) else { return true }
        state.keep(recovered, heldMax: heldMax, isRecovered: false)
        return false
    }

    /// These clusters were listed, and the routes in use know it: gives what waited for that alone, each once, if there is anything. What
    /// `admit` gives that was called later comes after the end of `give`, which must not wait.
    func release(listed: Set<String>, _ give: (Released) -> Void) {
        state.withLock { state in
            state.unlisted.subtract(listed)
            guard !state.waiting.isEmpty || !state.spilled.isEmpty else { return }
            let waits = Set(state.waitingOfRoute.keys).union(state.spilled.keys).filter { mustWait($0, state.unlisted) }
            var released = Released()
            if waits.isEmpty {
                released.deliveries = state.waiting
                state.waiting = []
            } else {
                released.deliveries = state.waiting.filter { !waits.contains($0.delivery.route) }
                state.waiting.removeAll { !waits.contains($0.delivery.route) }
            }
            released.spilled = state.spilled.filter { !waits.contains($0.key) }.map { ($0.key, $0.value) }
            state.spilled = state.spilled.filter { waits.contains($0.key) }
            state.waitingOfRoute = state.waitingOfRoute.filter { waits.contains($0.key) }
            if !released.isEmpty { give(released) }
        }
    }

    /// How many wait.
    var count: Int { state.withLock { $0.waiting.count + $0.spilled.values.reduce(0) { $0 + $1.count } } }

    /// Which of some deliveries wait here.
    func held(among deliveries: [(route: RouteIdentity, sequence: UInt64)]) -> Set<UInt64> {
        state.withLock { state in
            guard !state.waiting.isEmpty || !state.spilled.isEmpty else { return [] }
            let asked = Set(deliveries.map(\.sequence))
            var held = Set(state.waiting.lazy.map(\.delivery.sequence).filter { asked.contains($0) })
            for (route, sequence) in deliveries {
                guard let range = state.spilled[route] else { continue }
                if (range.from...range.through).contains(sequence) { held.insert(sequence) }
            }
            return held
        }
    }

    private func mustWait(_ route: RouteIdentity, _ unlisted: Set<String>) -> Bool {
        guard !unlisted.isEmpty else { return false }
        return unlisted.contains(route.cluster) || needs(route, anyOf: unlisted)
    }

    /// Whether its targets are looked up among the objects of one of these clusters, or it may become known with one.
    private func needs(_ route: RouteIdentity, anyOf clusters: Set<String>) -> Bool {
        guard let definition = routes.definition(of: route) else { return clusters.contains(route.cluster) }
        return !definition.searchedClusters.isDisjoint(with: clusters)
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
