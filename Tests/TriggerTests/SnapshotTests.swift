import Delivery
import Logging
import Testing

@testable import Trigger

@Suite("What an operator sees, and asks for")
struct SnapshotTests {
    @Test("Queues tell target, route, counts, ages, the last failure and the breaker; the oldest come first")
    func queues() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")], retry: RetryPolicy(backoffNanoseconds: 60 * second)))
        simulation.define(route(hook("b", namespace: "team-b"), [post("http://away.test/x?token=s3cret")]))
        simulation.world = { action, _ in
            (action.route.namespace == "team-b" ? connectionRefused : conflict, second)
        }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: 2 * second)
        for sequence in 2...9 { simulation.deliver(UInt64(sequence), to: hook("b", namespace: "team-b")) }
        // The pause of the breaker is half a second at least.
        simulation.run(for: 1_200_000_000)
        simulation.deliver(10, to: hook("a"))
        let all = simulation.core.snapshot(QueueQuestion(limit: 10), now: simulation.now)
        #expect(all.queueCount == 2 && all.queues.map(\.target) == ["http://away.test", "GitRepository/team-a/app"])
        guard all.queues.count == 2 else { return }
        let (away, app) = (all.queues[0], all.queues[1])
        #expect(away.action == "http" && away.namespace == "team-b" && away.route == hook("b", namespace: "team-b"))
        #expect(away.waiting == 8 && away.running == 0 && away.oldestSequence == 2 && away.cluster == "local")
        #expect(away.lastFailure == "connection refused" && away.breakerKey == "http://away.test")
        guard case .open = away.breaker else {
            Issue.record("\(away.breaker)")
            return
        }
        #expect(app.waiting == 1 && app.merged == 1 && app.lastFailure == "409" && app.breaker == .closed)
        #expect(app.oldestSequence == 10, "1 was merged into it")
        #expect(all.openBreakers.map(\.key) == ["http://away.test"])
        #expect(all.openBreakers.first?.reason == "connection refused")
        #expect(all.totals.waiting == 9 && all.totals.owedDeliveries == 9 && all.totals.running == 0)

        let one = simulation.core.snapshot(QueueQuestion(limit: 1, namespace: "team-a"), now: simulation.now)
        #expect(one.queues.map(\.namespace) == ["team-a"] && one.queueCount == 1 && one.totals.waiting == 9)
        let none = simulation.core.snapshot(QueueQuestion(limit: 0), now: simulation.now)
        #expect(none.queues.isEmpty && none.queueCount == 2)
    }

    @Test("A window, a backoff and an interval tell when the queue is due next")
    func due() {
        let simulation = CoreSimulation()
        simulation.define(
            route(hook("a"), [reconcile("app")], coalesce: Coalesce(by: .target, windowNanoseconds: 10 * second)))
        simulation.deliver(1, to: hook("a"))
        let snapshot = simulation.core.snapshot(QueueQuestion(limit: 1), now: simulation.now)
        #expect(snapshot.queues.first?.nextDueNanoseconds == epoch + 10 * second)
    }

    @Test("The dead are listed newest first, as many as are kept, with what they died of")
    func dead() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.world = { _, _ in (unprocessable, 1) }
        for sequence in 1...3000 {
            simulation.deliver(UInt64(sequence), to: hook("a"))
            simulation.run(for: second)
        }
        let snapshot = simulation.core.snapshot(QueueQuestion(limit: 2), now: simulation.now)
        #expect(snapshot.dead.map(\.sequence) == [3000, 2999] && snapshot.totals.dead == 3000)
        #expect(snapshot.dead.first?.reason == "422" && snapshot.dead.first?.target == "GitRepository/team-a/app")
        let all = simulation.core.snapshot(QueueQuestion(limit: 10_000), now: simulation.now)
        #expect(all.dead.count >= 500 && all.dead.count <= 1000)
    }

    @Test("Through the mailbox: pauses and snapshots, also of a dispatcher that has ended")
    func throughDispatcher() async {
        let log = MemoryLog()
        let routes = MemoryRoutes()
        routes.define(route(hook("a"), [.log]))
        log.add(1)
        let dispatcher = Dispatcher(
            log: log, routes: routes,
            runners: ActionRunners(log: ClosureRunner { _ in .done }),
            decodeEvent: { _ in Event() }, logger: Logger(label: "test"))
        let delivery = QueuedDelivery(
            sequence: 1, receivedNanoseconds: DispatcherClock.wall, route: hook("a"),
            location: DeliveryLocation(segment: 0, offset: 0, length: 0))
        dispatcher.setPaused(.route(hook("a")), true)
        #expect(dispatcher.paused == [.route(hook("a"))])
        dispatcher.enqueue([delivery])
        let held = await dispatcher.queues(limit: 10)
        #expect(held?.totals.paused == 1 && held?.paused == [.route(hook("a"))] && held?.queues.count == 1)
        dispatcher.setPaused(.route(hook("a")), false)
        #expect(await log.waitForFinals(1))
        await dispatcher.drain(deadline: .distant)
        #expect(await dispatcher.queues(limit: 1) == nil)
    }
}
