import Delivery
import Testing
import Trigger

@testable import Grapnel

private struct Routes: Trigger.RouteLookup {
    var definitions: [RouteIdentity: RouteDefinition] = [:]
    func definition(of route: RouteIdentity) -> RouteDefinition? { definitions[route] }
}

private func hook(_ name: String, cluster: String = "local") -> RouteIdentity {
    RouteIdentity(cluster: cluster, kind: .hook, namespace: "team-a", name: name)
}

private func delivery(_ sequence: UInt64, _ route: RouteIdentity) -> QueuedDelivery {
    QueuedDelivery(
        sequence: sequence, receivedNanoseconds: 0, route: route,
        location: DeliveryLocation(segment: 1, offset: 0, length: 0))
}

private func owed(_ sequence: UInt64, _ route: RouteIdentity) -> RecoveredDelivery {
    RecoveredDelivery(delivery: delivery(sequence, route), plan: nil, outcomes: [])
}

extension ListingGate {
    fileprivate func release(listed: Set<String>) -> Released {
        var all = Released()
        release(listed: listed) { all = $0 }
        return all
    }
}

@Suite("Deliveries that wait for a cluster")
struct ListingGateTests {
    /// A Hook whose targets are looked up in cluster b, one that names them, and an endpoint of Build Service of cluster b.
    private var routes: Routes {
        var routes = Routes()
        var matching = RouteDefinition(identity: hook("matching"), path: "/m", sender: .github, secrets: [])
        matching.selections = [Selection(.reconcile, .ofRepository(cluster: "b", kinds: [], namespaces: []))]
        let named = RouteDefinition(identity: hook("named"), path: "/n", sender: .github, secrets: [])
        let endpoint = RouteDefinition(identity: endpoint, path: "/e", sender: .dockerRegistry, secrets: [])
        for route in [matching, named, endpoint] { routes.definitions[route.identity] = route }
        return routes
    }
    private let endpoint = RouteIdentity(cluster: "b", kind: .buildService, namespace: "", name: "notification")

    @Test("what was owed waits for its own cluster alone, and is given once, in order")
    func replay() {
        let gate = ListingGate(
            [owed(1, hook("x", cluster: "b")), owed(2, hook("x")), owed(3, hook("y", cluster: "b"))],
            unlisted: ["local", "b"], routes: routes)
        #expect(gate.release(listed: []).isEmpty && gate.count == 3)
        #expect(gate.release(listed: ["local"]).deliveries.map(\.delivery.sequence) == [2])
        #expect(gate.release(listed: ["local"]).isEmpty && gate.count == 2)
        #expect(gate.release(listed: ["local", "b"]).deliveries.map(\.delivery.sequence) == [1, 3])
        #expect(gate.release(listed: ["local", "b"]).isEmpty && gate.count == 0)
    }

    @Test("what was owed to a cluster that is no longer known waits for nothing")
    func unknown() {
        let gate = ListingGate([owed(1, hook("x", cluster: "gone"))], unlisted: ["b"], routes: routes)
        #expect(gate.release(listed: []).deliveries.map(\.delivery.sequence) == [1])
    }

    @Test("a replay waits for the cluster in which its targets are looked up, too")
    func searched() {
        let gate = ListingGate([owed(1, hook("matching")), owed(2, hook("named"))], unlisted: ["b"], routes: routes)
        #expect(gate.release(listed: []).deliveries.map(\.delivery.sequence) == [2])
        #expect(gate.release(listed: ["b"]).deliveries.map(\.delivery.sequence) == [1])
    }

    @Test(
        "a redelivery waits for the cluster that may have its route, and follows what waits there; its plan stays with it"
    )
    func redelivery() {
        let gate = ListingGate([owed(1, hook("named"))], unlisted: ["local", "b"], routes: routes)
        let plan = [EncodedPlanEntry(actionKind: 1, target: [1])]
        func planned(_ sequence: UInt64, _ route: RouteIdentity) -> RecoveredDelivery {
            RecoveredDelivery(delivery: delivery(sequence, route), plan: plan, outcomes: [])
        }
        #expect(gate.admit([delivery(2, hook("x", cluster: "b")), delivery(3, hook("x", cluster: "gone"))]).count == 1)
        #expect(!gate.admits(planned(4, hook("x", cluster: "b"))))
        #expect(!gate.admits(planned(5, hook("named"))))
        #expect(gate.admits(planned(6, hook("x", cluster: "gone"))))
        #expect(
            gate.release(listed: ["b"]).deliveries == [
                owed(2, hook("x", cluster: "b")), planned(4, hook("x", cluster: "b")),
            ])
        #expect(gate.admits(planned(7, hook("x", cluster: "b"))))
        #expect(
            gate.release(listed: ["local", "b"]).deliveries == [owed(1, hook("named")), planned(5, hook("named"))])
        #expect(gate.admits(planned(8, hook("named"))))
    }

    @Test("of what comes now only that waits whose targets are looked up among objects that are not known yet")
    func admission() {
        let gate = ListingGate([], unlisted: ["b"], routes: routes)
        let all = [
            delivery(1, hook("named")), delivery(2, hook("matching")), delivery(3, endpoint), delivery(4, hook("gone")),
        ]
        #expect(gate.admit(all).map(\.sequence) == [1, 4])
        #expect(gate.count == 2)
        #expect(gate.release(listed: ["b"]).deliveries.map(\.delivery.sequence) == [2, 3])
        #expect(gate.admit(all).map(\.sequence) == [1, 2, 3, 4])
    }

    @Test(
        "no route has more here than its share; the rest of it is a range of the journal, and follows when the cluster is listed"
    )
    func spilled() {
        let far = hook("x", cluster: "b")
        let gate = ListingGate((1...30).map { owed($0, far) }, unlisted: ["b"], routes: routes, heldMax: 20)
        #expect(gate.count == 30)
        _ = gate.admit((31...60).map { delivery($0, endpoint) })
        #expect(gate.count == 60)
        #expect(gate.held(among: [(far, 5), (far, 25), (hook("named"), 70), (endpoint, 60)]) == [5, 25, 60])
        #expect(gate.release(listed: []).isEmpty)
        let released = gate.release(listed: ["b"])
        #expect(released.deliveries.map(\.delivery.sequence) == Array(1...10) + Array(31...35))
        let ranges = Dictionary(uniqueKeysWithValues: released.spilled.map { ($0.route, $0.range) })
        #expect(ranges[far]?.from == 11 && ranges[far]?.through == 30 && ranges[far]?.count == 20)
        #expect(ranges[far]?.recoveredThrough == 30)
        #expect(ranges[endpoint]?.from == 36 && ranges[endpoint]?.through == 60 && ranges[endpoint]?.count == 25)
        #expect(ranges[endpoint]?.recoveredThrough == 0)
        #expect(gate.count == 0 && gate.release(listed: ["b"]).isEmpty)
        #expect(gate.held(among: [(far, 5)]).isEmpty)
    }

    @Test("what comes now waits behind what its route has waiting, whatever it needs itself")
    func behind() {
        let gate = ListingGate(
            [owed(1, hook("gone", cluster: "b"))] + (2...12).map { owed($0, hook("named", cluster: "b")) },
            unlisted: ["b"], routes: routes, heldMax: 4)
        let new = [delivery(20, hook("gone", cluster: "b")), delivery(21, hook("named", cluster: "b"))]
        #expect(gate.admit(new + [delivery(22, hook("named"))]).map(\.sequence) == [22])
        let released = gate.release(listed: ["b"])
        #expect(released.deliveries.map(\.delivery.sequence) == [1, 2, 3])
        let ranges = released.spilled.map { [$0.range.from, $0.range.through] }.sorted { $0[0] < $1[0] }
        #expect(ranges == [[4, 21], [20, 20]])
        #expect(gate.admit(new).map(\.sequence) == [20, 21])
    }

    @Test("what waits is given before anything that is let through afterwards")
    func givenFirst() async {
        let gate = ListingGate(
            (1...50).map { owed($0, hook("matching")) }, unlisted: ["b"], routes: routes, heldMax: 10)
        let given = Locked<[UInt64]>([])
        let isGiving = Locked(false)
        let handoff = Task.detached {
            while !isGiving.withLock({ $0 }) { await Task.yield() }
            let admitted = gate.admit([delivery(60, hook("matching"))])
            given.withLock { $0 += admitted.map(\.sequence) }
        }
        gate.release(listed: ["b"]) { released in
            isGiving.withLock { $0 = true }
            // As long as somebody has to overtake.
            for _ in 0..<50_000 { isGiving.withLock { _ in } }
            given.withLock {
                $0 += released.deliveries.map(\.delivery.sequence) + released.spilled.map(\.range.through)
            }
        }
        await handoff.value
        let order = given.withLock { $0 }
        #expect(order.last == 60 && order.count == 7, "\(order)")
    }
}
