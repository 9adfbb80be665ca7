import Delivery
import Logging
import Synchronization
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

    // MARK: - Redelivery

    private func redelivery(
        _ simulation: CoreSimulation, _ sequence: UInt64, _ index: UInt16, _ work: Redelivery.Work,
        received: UInt64 = epoch, recordsPlan: Bool = false
    ) -> Redelivery {
        Redelivery(
            delivery: simulation.delivery(sequence, hook("a"), received), planIndex: index, work: work,
            recordsPlan: recordsPlan, requestedNanoseconds: simulation.now)
    }

    private func redeliver(_ simulation: CoreSimulation, _ redelivery: Redelivery) -> RedeliveryAnswer {
        defer { simulation.pump() }
        return simulation.core.redeliver(
            redelivery, definition: simulation.definitions[hook("a")], ref: nil, now: simulation.now)
    }

    @Test("What cannot be carried out again is refused, each for its reason, and leaves nothing owed")
    func refused() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        let entry = { (action: Action) in Redelivery.Work.entry(PlannedAction(action).encoded) }
        #expect(redeliver(simulation, redelivery(simulation, 1, 0, entry(.log))) == .routeRemoved)
        #expect(
            redeliver(simulation, redelivery(simulation, 1, 0, .entry(EncodedPlanEntry(actionKind: 99, target: []))))
                == .unreadable)
        let command = Action.exec(command: ["/bin/sh"], timeoutNanoseconds: second)
        #expect(redeliver(simulation, redelivery(simulation, 1, 0, .action(command))) == .notAllowed)
        simulation.world = { _, _ in (.done, second) }
        simulation.deliver(2, to: hook("a"))
        #expect(redeliver(simulation, redelivery(simulation, 2, 0, entry(reconcile("app")))) == .stillOwed)
        simulation.run(for: hour)
        simulation.core.isDraining = true
        #expect(redeliver(simulation, redelivery(simulation, 2, 0, entry(reconcile("app")))) == .stopping)
        #expect(simulation.core.owedDeliveryCount == 0)
    }

    @Test("An old dead entry is carried out again with a life of its own, whatever waits at the target")
    func again() {
        let simulation = CoreSimulation()
        simulation.define(
            route(hook("a"), [reconcile("app")], retry: RetryPolicy(attempts: 3, maxAgeNanoseconds: hour)))
        simulation.run(for: 100 * hour)
        var answers = [connectionRefused, conflict, .done]
        simulation.world = { _, _ in (answers.removeFirst(), 1) }
        let entry = Redelivery.Work.entry(PlannedAction(reconcile("app")).encoded)
        // A record of before the start: its plan is in the journal already.
        simulation.know(1, [PlannedAction(reconcile("app"))])
        #expect(redeliver(simulation, redelivery(simulation, 1, 0, entry)) == .accepted)
        #expect(redeliver(simulation, redelivery(simulation, 1, 0, entry)) == .stillOwed)
        simulation.run(for: hour)
        #expect(simulation.outcome(1)?.code == .done && simulation.started.count == 3)
        #expect(simulation.core.owedDeliveryCount == 0)
    }

    @Test("A new record is carried out on another target alone, and its plan says so")
    func canary() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app"), .log]))
        let canary = redelivery(simulation, 7, 0, .action(reconcile("canary")), recordsPlan: true)
        #expect(redeliver(simulation, canary) == .accepted)
        simulation.run(for: second)
        #expect(simulation.plans[7] == [PlannedAction(reconcile("canary"))])
        #expect(simulation.started.map(\.action.action) == [PlannedAction(reconcile("canary"))])
        #expect(simulation.open.isEmpty)
    }

    @Test("Through the mailbox: pauses, snapshots and redeliveries, also of a dispatcher that has ended")
    func throughDispatcher() async {
        let log = MemoryLog()
        let routes = MemoryRoutes()
        routes.define(route(hook("a"), [.log]))
        log.add(1)
        let seen = ResultList()
        let dispatcher = Dispatcher(
            log: log, routes: routes,
            runners: ActionRunners(
                http: ClosureRunner { attempt in
                    seen.add(attempt.action)
                    return .done
                }, log: ClosureRunner { _ in .done }),
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
        let elsewhere = post("http://127.0.0.1:1/canary")
        #expect(
            await dispatcher.redeliver(
                Redelivery(
                    delivery: delivery, planIndex: 0, work: .action(elsewhere),
                    requestedNanoseconds: DispatcherClock.wall)) == .accepted)
        #expect(await log.waitForFinals(2))
        #expect(seen.actions == [elsewhere])
        await dispatcher.drain(deadline: .now + .seconds(5))
        #expect(await dispatcher.queues(limit: 1) == nil)
        #expect(
            await dispatcher.redeliver(
                Redelivery(delivery: delivery, planIndex: 0, work: .action(.log), requestedNanoseconds: 0))
                == .stopping)
    }
}

/// What runners saw, from any thread.
final class ResultList: Sendable {
    private let list = Mutex<[Action]>([])
    func add(_ action: Action) { list.withLock { $0.append(action) } }
    var actions: [Action] { list.withLock { $0 } }
}
