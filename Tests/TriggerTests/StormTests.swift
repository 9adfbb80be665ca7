import Delivery
import Logging
import Testing

@testable import Trigger

@Suite("Storms")
struct StormTests {
    @Test("100,000 triggers of one namespace delay another's by one running action at most")
    func fairness() {
        for places in [1, 4] {
            var settings = DispatcherSettings()
            settings.runningMax = places
            settings.runningPerNamespaceMax = 4
            let simulation = CoreSimulation(settings: settings)
            simulation.world = { _, _ in (.done, second) }
            simulation.define(route(hook("storm", namespace: "noisy"), [post("http://a.test/")]))
            for target in 0..<100 {
                let identity = hook("h\(target)", namespace: "noisy")
                simulation.define(route(identity, [.exec(command: ["./\(target)"], timeoutNanoseconds: second)]))
            }
            for index in 0..<100_000 {
                let name = index % 2 == 0 ? "storm" : "h\(index % 100)"
                let route = hook(name, namespace: "noisy")
                simulation.core.plan(
                    simulation.delivery(UInt64(index + 1), route, simulation.now),
                    definition: simulation.definitions[route], ref: nil, now: simulation.now)
            }
            simulation.pump()
            simulation.run(for: 5 * second / 2)
            #expect(simulation.core.waitingCount > 99_000 - 10 * places)
            simulation.define(route(hook("q", namespace: "quiet"), [reconcile("app", namespace: "quiet")]))
            for wait in 0..<10 {
                let asked = simulation.now
                let sequence = 200_000 + UInt64(wait)
                simulation.deliver(sequence, to: hook("q", namespace: "quiet"))
                simulation.run(for: 2 * second)
                let start = simulation.started.first { $0.action.sequence == sequence }?.at ?? .max
                #expect(start <= asked + second, "places \(places): started \(start - asked) ns later")
            }
        }
    }

    @Test(
        "However many deliveries are given while the API server is away, who keeps to `load` keeps the memory within its bound"
    )
    func bounded() async {
        let log = MemoryLog()
        let routes = MemoryRoutes()
        routes.define(route(hook("a"), [build("app")]))
        routes.define(route(hook("b"), [reconcile("app")], coalesce: Coalesce(by: .none)))
        var planned = route(hook("planned"), [])
        planned.selections = [
            Selection(
                .reconcile, .named(TargetReference(apiVersion: nil, kind: "GitRepository", namespace: "n", name: "x")))
        ]
        routes.define(planned)
        struct Away: DeliveryPlanner {
            func plan(_: QueuedDelivery, _: RouteDefinition, _: DeliveryPayload) async -> PlanningResult {
                .failed(ActionFailure(.healable, scope: .server, reason: "away"))
            }
        }
        let away = ClosureRunner { _ in connectionRefused }
        let dispatcher = Dispatcher(
            log: log, routes: routes, runners: ActionRunners(reconcile: away, openshiftBuild: away), planner: Away(),
            decodeEvent: { _ in Event() }, logger: Logger(label: "test"))
        let bound = 300
        var sequence: UInt64 = 0
        var loadMax = 0
        // A hundred looks without room, half a second or more in which all of them fail again and again.
        var looks = 0
        while sequence < 5_000, looks < 100 {
            guard dispatcher.load < bound else {
                loadMax = max(loadMax, dispatcher.load)
                looks += 1
                try? await Task.sleep(for: .milliseconds(5))
                continue
            }
            sequence += 1
            log.add(sequence)
            let name = ["a", "b", "planned"][Int(sequence % 3)]
            dispatcher.enqueue([
                QueuedDelivery(
                    sequence: sequence, receivedNanoseconds: DispatcherClock.wall, route: hook(name),
                    location: DeliveryLocation(segment: 0, offset: 0, length: 1))
            ])
        }
        let snapshot = await dispatcher.queues(limit: 1)
        #expect(sequence >= 290 && sequence <= 310, "\(sequence) were given")
        #expect((snapshot?.totals.owedDeliveries ?? 0) <= bound && loadMax <= bound)
        #expect((snapshot?.totals.planning ?? 0) > 50)
        await dispatcher.drain(deadline: .now)
    }

    @Test("Large actions count for as much as they take")
    func largeActions() {
        let simulation = CoreSimulation()
        let target = TargetReference(
            apiVersion: "build.openshift.io/v1", kind: "BuildConfig", namespace: "n", name: "app")
        let large = Action.openshiftBuild(target, buildRequest: [UInt8](repeating: 0x20, count: 10_240))
        simulation.define(route(hook("a"), [large]))
        simulation.world = { _, _ in (.done, second) }
        for sequence in 1...10 { simulation.deliver(UInt64(sequence), to: hook("a")) }
        #expect(simulation.core.load == 110)
        simulation.run(for: hour)
        #expect(simulation.core.load == 0 && simulation.core.ownBytes == 0)
    }
}
