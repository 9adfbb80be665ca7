import Delivery
import Testing

@testable import Trigger

@Suite("Fairness and breakers")
struct FairnessTests {
    @Test("No more run at once than the limits allow, in all and for a namespace")
    func limits() {
        var settings = DispatcherSettings()
        settings.runningMax = 10
        settings.runningPerNamespaceMax = 4
        let simulation = CoreSimulation(settings: settings)
        simulation.world = { _, _ in (.done, second) }
        var sequence: UInt64 = 0
        for team in 0..<5 {
            for index in 0..<20 {
                let identity = hook("h\(index)", namespace: "team-\(team)")
                simulation.define(route(identity, [reconcile("app-\(index)", namespace: "team-\(team)")]))
                sequence += 1
                simulation.deliver(sequence, to: identity)
            }
            if team == 0 { #expect(simulation.core.runningCount == 4) }
        }
        simulation.run(for: hour)
        #expect(simulation.runningMax == 10)
        #expect(simulation.count(.done) == 100)
    }

    @Test("A storm in one namespace does not delay another's delivery")
    func stormBeside() {
        var settings = DispatcherSettings()
        settings.runningMax = 4
        settings.runningPerNamespaceMax = 4
        let simulation = CoreSimulation(settings: settings)
        simulation.world = { _, _ in (.done, second) }
        for index in 0..<1000 {
            let identity = hook("h\(index)", namespace: "noisy")
            simulation.define(route(identity, [reconcile("app-\(index)", namespace: "noisy")]))
            simulation.deliver(UInt64(index + 1), to: identity)
        }
        simulation.define(route(hook("q", namespace: "quiet"), [reconcile("app", namespace: "quiet")]))
        simulation.deliver(5000, to: hook("q", namespace: "quiet"))
        simulation.run(for: 3 * second)
        #expect(simulation.outcome(5000)?.code == .done)
    }

    @Test(
        "Namespaces start in the ratio of their weights, whether all places or a cluster's are few",
        arguments: [false, true])
    func weights(areClusterPlacesFew: Bool) {
        var settings = DispatcherSettings()
        if areClusterPlacesFew { settings.runningPerClusterMax = 1 } else { settings.runningMax = 1 }
        // With and without the cluster's name.
        settings.namespaceWeights = [areClusterPlacesFew ? "heavy" : "local/heavy": 3]
        let simulation = CoreSimulation(settings: settings)
        simulation.world = { _, _ in (.done, second) }
        var sequence: UInt64 = 0
        for index in 0..<100 {
            for team in ["heavy", "light"] {
                let identity = hook("h\(index)", namespace: team)
                simulation.define(route(identity, [reconcile("app-\(index)", namespace: team)]))
                sequence += 1
                simulation.deliver(sequence, to: identity)
            }
        }
        simulation.run(for: 80 * second)
        let heavy = simulation.started.count { $0.action.route.namespace == "heavy" }
        let light = simulation.started.count - heavy
        #expect(heavy >= 58 && heavy <= 62 && light >= 19 && light <= 22, "\(heavy) to \(light)")
    }

    @Test("An open breaker lets one probe pass at a time, whatever waits")
    func oneProbe() {
        let simulation = CoreSimulation()
        simulation.world = { _, _ in (connectionRefused, 1_000_000) }
        for index in 0..<10_000 {
            let identity = hook("h\(index)", namespace: "team-\(index % 100)")
            simulation.define(route(identity, [reconcile("app-\(index)", namespace: "team-\(index % 100)")]))
            simulation.deliver(UInt64(index + 1), to: identity)
        }
        simulation.run(for: 60 * second)
        let before = simulation.started.count
        #expect(before < 120)
        simulation.run(for: hour)
        #expect(simulation.started.count - before < 260, "about one probe in 15 to 30 s")
        simulation.world = { _, _ in (.done, 1_000_000) }
        simulation.run(for: 120 * second)
        #expect(simulation.count(.done) == 10_000)
    }

    @Test("One cluster away does not hold up another")
    func clusters() {
        let simulation = CoreSimulation()
        simulation.world = { action, _ in
            guard case .reconcile(let target) = action.action, target.cluster == "east" else {
                return (.done, 1_000_000)
            }
            return (connectionRefused, 1_000_000)
        }
        for index in 0..<200 {
            let cluster = index % 2 == 0 ? "east" : "west"
            let identity = RouteIdentity(cluster: cluster, kind: .hook, namespace: "n", name: "h\(index)")
            simulation.define(route(identity, [reconcile("app-\(index)", cluster: cluster)]))
            simulation.deliver(UInt64(index + 1), to: identity)
        }
        simulation.run(for: 10 * second)
        #expect(simulation.count(.done) == 100)
        #expect(simulation.core.openBreakers.contains("kubernetes/east"))
        #expect(!simulation.core.openBreakers.contains("kubernetes/west"))
    }

    @Test("A tenant without rights opens its own breaker and not the cluster's")
    func tenantForbidden() {
        let simulation = CoreSimulation()
        simulation.world = { action, _ in (action.route.namespace == "no-rights" ? forbidden : .done, 1_000_000) }
        for index in 0..<200 {
            let identity = hook("h\(index)", namespace: "no-rights")
            simulation.define(route(identity, [reconcile("app-\(index)", namespace: "no-rights")]))
            simulation.deliver(UInt64(index + 1), to: identity)
        }
        simulation.run(for: 60 * second)
        #expect(simulation.core.openBreakers.count == 1)
        #expect(!simulation.core.openBreakers.contains("kubernetes/local"))
        let identity = hook("h", namespace: "team-a")
        simulation.define(route(identity, [reconcile("app")]))
        simulation.deliver(1000, to: identity)
        simulation.run(for: second)
        #expect(simulation.outcome(1000)?.code == .done)
        // Rights given: all of the tenant's are done.
        simulation.world = { _, _ in (.done, 1_000_000) }
        simulation.run(for: 120 * second)
        #expect(simulation.open.isEmpty)
        #expect(simulation.core.openBreakers.isEmpty)
        #expect(simulation.breakers.values.allSatisfy { !$0 } && simulation.breakers.count == 1)
    }

    @Test("Many resources that are refused at once open the cluster's breaker; the first success closes it")
    func startingServerRefusesAll() {
        let simulation = CoreSimulation()
        let ready = epoch + 300 * second
        simulation.world = { _, now in (now < ready ? forbidden : .done, 1_000_000) }
        for index in 0..<2000 {
            let identity = hook("h", namespace: "team-\(index)")
            simulation.define(route(identity, [reconcile("app", namespace: "team-\(index)")]))
            simulation.deliver(UInt64(index + 1), to: identity)
        }
        simulation.run(until: ready)
        #expect(simulation.core.openBreakers.contains("kubernetes/local"))
        #expect(simulation.started.count < 1000, "\(simulation.started.count)")
        simulation.run(for: 120 * second)
        #expect(simulation.count(.done) == 2000)
    }

    @Test("An http host that is away holds up its own deliveries only")
    func httpHosts() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("bad"), [post("http://away.test/x")]))
        simulation.define(route(hook("good"), [post("http://here.test/x")]))
        simulation.world = { action, _ in
            (action.action.targetText == "http://away.test" ? connectionRefused : .done, 1_000_000)
        }
        for sequence in 1...100 {
            simulation.deliver(UInt64(sequence), to: hook(sequence % 2 == 0 ? "bad" : "good"))
        }
        simulation.run(for: 10 * second)
        #expect(simulation.count(.done) == 50)
        #expect(simulation.core.openBreakers == ["http://away.test"])
    }

    @Test("While draining nothing starts and results are still taken")
    func draining() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app"), reconcile("other")]))
        simulation.world = { _, _ in (.done, second) }
        simulation.deliver(1, to: hook("a"))
        simulation.deliver(2, to: hook("a"))
        simulation.core.isDraining = true
        simulation.run(for: hour)
        #expect(simulation.started.count == 2)
        #expect(simulation.outcome(1, 0)?.code == .done)
        #expect(simulation.outcome(1, 1)?.code == .done)
        #expect(simulation.outcome(2) == nil)
        #expect(simulation.core.runningCount == 0)
    }
}
