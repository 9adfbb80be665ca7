import Delivery
import Testing

@testable import Trigger

@Suite("Order of builds, places of targets and clusters")
struct BuildOrderTests {
    @Test("Builds of one ref follow each other, through failures and backoff; other refs go on meanwhile")
    func order() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [build("app")], retry: RetryPolicy(backoffNanoseconds: 60 * second)))
        simulation.world = { action, _ in (action.sequence == 1 && action.attempt < 4 ? conflict : .done, second) }
        simulation.deliver(1, to: hook("a"), ref: "main")
        simulation.deliver(2, to: hook("a"), ref: "main")
        simulation.deliver(3, to: hook("a"), ref: "dev")
        simulation.deliver(4, to: hook("a"))
        simulation.deliver(5, to: hook("a"), ref: "main")
        simulation.run(for: 2 * second)
        #expect(simulation.outcome(3)?.code == .done && simulation.outcome(4)?.code == .done)
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.sequence).filter { ![3, 4].contains($0) } == [1, 1, 1, 1, 2, 5])
        #expect(simulation.open.isEmpty)
    }

    @Test("A build that is given up lets the next of its ref go")
    func givenUp() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [build("app")], retry: RetryPolicy(attempts: 2)))
        simulation.world = { action, _ in (action.sequence == 1 ? conflict : .done, second) }
        simulation.deliver(1, to: hook("a"), ref: "main")
        simulation.deliver(2, to: hook("a"), ref: "main")
        simulation.run(for: hour)
        #expect(simulation.outcome(1)?.code == .dead && simulation.outcome(2)?.code == .done)
        #expect(simulation.started.map(\.action.sequence) == [1, 1, 2])
    }

    @Test("After a restart the order of a ref is that of its deliveries")
    func recovered() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [build("app")]))
        simulation.world = { _, _ in (.done, second) }
        let plan = [PlannedAction(build("app")).encoded]
        simulation.recover(1, of: hook("a"), plan: plan, ref: "main")
        simulation.recover(2, of: hook("a"), plan: plan, ref: "main")
        simulation.deliver(3, to: hook("a"), ref: "main")
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.sequence) == [1, 2, 3])
        #expect(simulation.started.map(\.action.isRepeat) == [true, true, false])
    }

    @Test("What a pause held goes on in the order of the deliveries, beside what waited all the while")
    func resumed() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [build("app")]))
        simulation.world = { _, _ in (.done, 10 * second) }
        for sequence in [1, 2] as [UInt64] { simulation.deliver(sequence, to: hook("a"), ref: "main") }
        simulation.core.setPaused([.route(hook("a"))], now: simulation.now)
        for sequence in [3, 4] as [UInt64] { simulation.deliver(sequence, to: hook("a"), ref: "main") }
        simulation.core.setPaused([], now: simulation.now)
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.sequence) == [1, 2, 3, 4])
    }

    @Test(
        "Whatever of some routes is paused and resumed, the builds of a ref that wait go on in the order of their deliveries"
    )
    func resumedOfSeveral() {
        for seed in testSeeds(20) {
            var random = SeededRandom(seed: seed)
            let simulation = CoreSimulation(seed: seed)
            let routes = (0..<3).map { hook("h\($0)") }
            for identity in routes { simulation.define(route(identity, [build("app")])) }
            simulation.world = { _, _ in (.done, 1_000 * second) }
            var sequence: UInt64 = 0
            for _ in 0..<30 {
                let paused = routes.filter { _ in Bool.random(using: &random) }
                simulation.core.setPaused(Set(paused.map { .route($0) }), now: simulation.now)
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    sequence += 1
                    simulation.deliver(sequence, to: routes.randomElement(using: &random)!, ref: "main")
                }
            }
            simulation.core.setPaused([], now: simulation.now)
            simulation.pump()
            simulation.world = { _, _ in (.done, second) }
            let running = simulation.started.count
            simulation.run(for: 24 * hour)
            let order = simulation.started.dropFirst(running).map(\.action.sequence)
            #expect(simulation.open.isEmpty && order.count + running == Int(sequence), "seed \(seed)")
            #expect(order == order.sorted(), "seed \(seed)")
        }
    }

    @Test("A build that was paused in its backoff is not overtaken when it goes on")
    func resumedInBackoff() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [build("app")]))
        simulation.world = { [unowned simulation] _, _ in
            guard simulation.started.count == 1 else { return (.done, second) }
            let failure = ActionFailure(
                .healable, scope: .none, retryAfterNanoseconds: 60 * second, reason: "429")
            return (.failed(failure), second)
        }
        for sequence in [1, 2] as [UInt64] { simulation.deliver(sequence, to: hook("a"), ref: "main") }
        simulation.core.setPaused([.route(hook("a"))], now: simulation.now)
        simulation.run(for: 2 * second)
        simulation.core.setPaused([], now: simulation.now)
        simulation.run(for: 20 * second)
        simulation.core.setPaused([.route(hook("a"))], now: simulation.now)
        simulation.deliver(3, to: hook("a"), ref: "main")
        simulation.run(for: 60 * second)
        simulation.core.setPaused([], now: simulation.now)
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.sequence) == [1, 1, 2, 3])
    }

    @Test("The refs of one target share its places, and all of them get one")
    func targetPlaces() {
        var settings = DispatcherSettings()
        settings.runningPerTargetMax = 3
        let simulation = CoreSimulation(settings: settings)
        simulation.define(route(hook("a"), [build("app")]))
        simulation.define(route(hook("b"), [build("other")]))
        simulation.world = { _, _ in (.done, second) }
        for sequence in 1...60 { simulation.deliver(UInt64(sequence), to: hook("a"), ref: "ref-\(sequence % 20)") }
        #expect(simulation.core.runningCount == 3)
        simulation.deliver(100, to: hook("b"), ref: "main")
        #expect(simulation.core.runningCount == 4)
        simulation.run(for: hour)
        #expect(simulation.count(.done) == 61 && simulation.runningMax == 4)
        #expect(simulation.core.targets.count <= 2)
    }

    @Test("Queues, targets and breakers of many refs are given back")
    func givenBack() {
        var settings = DispatcherSettings()
        settings.idleQueuesMax = 0
        let simulation = CoreSimulation(settings: settings)
        simulation.define(route(hook("a"), [build("app")]))
        for sequence in 1...500 { simulation.deliver(UInt64(sequence), to: hook("a"), ref: "ref-\(sequence)") }
        simulation.run(for: hour)
        #expect(simulation.core.queueIndexes.isEmpty && simulation.core.targetIndexes.isEmpty)
        #expect(simulation.core.breakerIndexes.isEmpty && simulation.core.namespaceIndexes.isEmpty)
    }

    @Test("Only an attempt that may be a repetition says so: after a lost answer, and not after a refusal")
    func repeats() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [build("app")]))
        let lost = ActionResult.failed(
            ActionFailure(.healable, scope: .server, reason: "timeout", mayHaveActed: true))
        var results = [conflict, lost, conflict, .done, .done]
        simulation.world = { _, _ in (results.removeFirst(), 1) }
        simulation.deliver(1, to: hook("a"), ref: "main")
        simulation.run(for: hour)
        simulation.deliver(2, to: hook("a"), ref: "main")
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.isRepeat) == [false, false, true, true, false])
    }

    @Test("No more run at once on a cluster than it may have; another cluster and calls elsewhere go on")
    func clusterPlaces() {
        var settings = DispatcherSettings()
        settings.runningMax = 20
        settings.runningPerClusterMax = 4
        let simulation = CoreSimulation(settings: settings)
        simulation.world = { _, _ in (.done, second) }
        for index in 0..<200 {
            let team = "team-\(index % 10)"
            let cluster = index % 4 == 0 ? "west" : "east"
            let identity = hook("h\(index)", namespace: team)
            simulation.define(
                route(identity, [reconcile("app-\(index)", namespace: team, cluster: cluster), post("http://a.test/")]))
            simulation.deliver(UInt64(index + 1), to: identity)
        }
        #expect(simulation.core.runningCount == 20)
        simulation.run(for: hour)
        #expect(simulation.open.isEmpty && simulation.clusterMax == ["east": 4, "west": 4])
    }

    @Test("A place of a cluster whose namespace cannot use it goes to the next")
    func unusedPlace() {
        var settings = DispatcherSettings()
        settings.runningPerClusterMax = 1
        settings.breakerFailuresMax = 1
        let simulation = CoreSimulation(settings: settings)
        simulation.world = { action, _ in (action.route.namespace == "no-rights" ? forbidden : .done, second) }
        for index in 0..<50 {
            for team in ["no-rights", "team-a", "team-b"] {
                let identity = hook("h\(index)", namespace: team)
                simulation.define(route(identity, [reconcile("app-\(index)", namespace: team)]))
                simulation.deliver(UInt64(simulation.plans.count + 1), to: identity)
            }
        }
        simulation.run(for: hour)
        #expect(simulation.count(.done) == 100)
    }
}
