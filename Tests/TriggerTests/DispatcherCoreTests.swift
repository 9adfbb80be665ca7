import Delivery
import Testing

@testable import Trigger

@Suite("Dispatcher core")
struct DispatcherCoreTests {
    @Test("A delivery to a route that is gone is ignored as a whole and never started")
    func routeGone() {
        let simulation = CoreSimulation()
        simulation.deliver(1, to: hook("gone"))
        simulation.run(for: hour)
        #expect(simulation.outcome(1, OutcomeEntry.wholeDelivery)?.code == .ignored)
        #expect(simulation.outcome(1, OutcomeEntry.wholeDelivery)?.reason == IgnoredReason.routeRemoved)
        #expect(simulation.started.isEmpty)
        #expect(simulation.core.owedDeliveryCount == 0)
    }

    @Test("A route without actions ignores with that reason")
    func noActions() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), []))
        simulation.deliver(1, to: hook("a"))
        #expect(simulation.outcome(1, OutcomeEntry.wholeDelivery)?.reason == IgnoredReason.noActions)
        #expect(simulation.plans.isEmpty)
    }

    @Test("A sequence that is already owed is not planned again")
    func sequenceTwice() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [.log]))
        simulation.world = { _, _ in (.done, second) }
        simulation.deliver(1, to: hook("a"))
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: hour)
        #expect(simulation.started.count == 1)
    }

    @Test("A result for an attempt that does not run is left out")
    func strayResult() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.deliver(1, to: hook("a"))
        let id = simulation.started[0].action.id
        simulation.run(for: second)
        simulation.core.complete(id, connectionRefused, now: simulation.now)
        simulation.core.complete(TriggerID(slot: 99, generation: 1), .done, now: simulation.now)
        simulation.run(for: hour)
        #expect(simulation.outcomes.count == 1)
        #expect(simulation.outcome(1)?.code == .done)
    }

    @Test("Each action of a route is planned in order and ends as done")
    func allActions() {
        let simulation = CoreSimulation()
        simulation.define(
            route(
                hook("a"),
                [
                    reconcile("app"), post("http://127.0.0.1:1/x"), .exec(command: ["./x"], timeoutNanoseconds: second),
                    .log,
                ]))
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: second)
        #expect(simulation.plans[1]?.map(\.name) == ["reconcile", "http", "exec", "log"])
        #expect((0..<4).allSatisfy { simulation.outcome(1, $0)?.code == .done })
        #expect(simulation.core.owedDeliveryCount == 0)
        #expect(simulation.core.waitingCount == 0)
    }

    @Test("A target named twice in one delivery is planned once")
    func targetTwice() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app"), reconcile("app"), reconcile("other")]))
        simulation.deliver(1, to: hook("a"))
        #expect(simulation.plans[1]?.count == 2)
    }

    @Test("A changed definition counts from the next delivery on")
    func definitionChanges() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("old")]))
        simulation.deliver(1, to: hook("a"))
        simulation.define(route(hook("a"), [reconcile("new"), .log]))
        simulation.deliver(2, to: hook("a"))
        simulation.define(route(hook("a"), [reconcile("new"), .log], coalesce: Coalesce(by: .none)))
        simulation.world = { _, _ in (.done, second) }
        for sequence in UInt64(3)...5 { simulation.deliver(sequence, to: hook("a")) }
        simulation.run(for: hour)
        #expect(simulation.plans[1] == [PlannedAction(reconcile("old"))])
        #expect(simulation.plans[2] == [PlannedAction(reconcile("new")), .log])
        #expect(simulation.count(.merged) == 0)
        #expect(simulation.open.isEmpty)
    }

    @Test("A target's state is kept while it is idle: its server stays left alone for the next delivery")
    func idleTarget() {
        let simulation = CoreSimulation()
        simulation.define(
            route(hook("a"), [post("http://away.test/")], retry: RetryPolicy(maxAgeNanoseconds: 60 * second)))
        simulation.world = { _, _ in (connectionRefused, 1_000_000) }
        for sequence in UInt64(1)...10 { simulation.deliver(sequence, to: hook("a")) }
        simulation.run(for: 600 * second)
        #expect(simulation.count(.dead) == 10)
        #expect(simulation.core.openBreakers == ["http://away.test"])
        simulation.world = { _, _ in (.done, 1_000_000) }
        simulation.deliver(11, to: hook("a"))
        simulation.run(for: 120 * second)
        #expect(simulation.outcome(11)?.code == .done)
        #expect(simulation.core.openBreakers.isEmpty)
    }

    // MARK: - Retry

    @Test("The API server away for two hours: nothing is dead, no attempt is used, all is done when it is back")
    func twoHoursAway() {
        let simulation = CoreSimulation(seed: 7)
        let back = epoch + 2 * hour
        simulation.world = { _, now in now < back ? (connectionRefused, 1_000_000) : (.done, 1_000_000) }
        let count = 500
        for index in 0..<count {
            let identity = hook("hook-\(index)", namespace: "team-\(index % 20)")
            simulation.define(route(identity, [reconcile("app-\(index)", namespace: "team-\(index % 20)")]))
            simulation.deliver(UInt64(index + 1), to: identity)
        }
        simulation.run(until: back)
        #expect(simulation.outcomes.isEmpty)
        #expect(simulation.attempts.allSatisfy { $0.code == .failed && $0.detail == 0 })
        #expect(simulation.core.openBreakers.contains("kubernetes/local"))
        // One probe in up to 30 s, not 500 targets each by themselves.
        #expect(simulation.started.count < 600, "\(simulation.started.count) attempts in two hours")
        simulation.run(for: 60 * second)
        #expect(simulation.count(.done) == count)
        #expect(simulation.core.openBreakers.isEmpty)
        #expect(simulation.core.wakeAt == nil || simulation.core.waitingCount == 0)
    }

    @Test("What time heals is given up at the age of the policy, with one last attempt")
    func maxAge() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")], retry: RetryPolicy(maxAgeNanoseconds: hour)))
        simulation.world = { _, _ in (connectionRefused, 1_000_000) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: hour - second)
        #expect(simulation.outcomes.isEmpty)
        simulation.run(for: 120 * second)
        #expect(simulation.outcome(1)?.code == .dead)
        #expect(simulation.outcome(1)?.reason == "connection refused")
        #expect(simulation.outcome(1)?.detail == 0)
    }

    @Test("What waits behind an open breaker is given up at its age too")
    func maxAgeWhileParked() {
        let simulation = CoreSimulation()
        let retry = RetryPolicy(maxAgeNanoseconds: hour)
        for index in 0..<100 {
            let identity = hook("hook-\(index)")
            simulation.define(route(identity, [reconcile("app-\(index)")], retry: retry))
            simulation.deliver(UInt64(index + 1), to: identity)
        }
        simulation.world = { _, _ in (connectionRefused, 1_000_000) }
        // The first sixteen were started before the world changed.
        simulation.run(for: 2 * hour)
        #expect(simulation.open.isEmpty)
        #expect(simulation.count(.dead) + simulation.count(.done) == 100)
        #expect(simulation.count(.dead) >= 84)
    }

    @Test("Judged failures use up the attempts, then the delivery is dead with the last reason")
    func attemptsUsedUp() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")], retry: RetryPolicy(attempts: 4)))
        simulation.world = { _, _ in (conflict, 1_000_000) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: hour)
        #expect(simulation.started.count == 4)
        #expect(simulation.attempts.map(\.detail) == [1, 2, 3])
        #expect(simulation.outcome(1)?.code == .dead)
        #expect(simulation.outcome(1)?.detail == 4)
        #expect(simulation.outcome(1)?.reason == "409")
    }

    @Test("A missing object is tried three times within seconds, then dead")
    func objectMissingThrice() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.world = { _, _ in (objectMissing, 1_000_000) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: 10 * second)
        #expect(simulation.started.count == 3)
        #expect(simulation.outcome(1)?.code == .dead)
    }

    @Test("An object that appears between the attempts is triggered")
    func objectAppears() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.world = { action, _ in (action.attempt < 3 ? objectMissing : .done, 1_000_000) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: 10 * second)
        #expect(simulation.outcome(1)?.code == .done)
        #expect(simulation.outcome(1)?.detail == 3)
    }

    @Test("A final refusal is dead after one attempt")
    func finalRefusal() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.world = { _, _ in (unprocessable, 1_000_000) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: hour)
        #expect(simulation.started.count == 1)
        #expect(simulation.outcome(1)?.code == .dead)
    }

    @Test("A path-level 404 of a starting server uses up no attempt")
    func startingServer() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")], retry: RetryPolicy(attempts: 1)))
        let ready = epoch + 600 * second
        simulation.world = { _, now in (now < ready ? forbidden : .done, 1_000_000) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: hour)
        #expect(simulation.outcome(1)?.code == .done)
        #expect(simulation.started.count > 5)
    }

    @Test("Retry-After is the least that is waited")
    func retryAfter() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        let busy = ActionResult.failed(
            ActionFailure(.healable, scope: .server, retryAfterNanoseconds: 90 * second, reason: "429"))
        simulation.world = { action, _ in (action.attempt == 1 ? busy : .done, 1_000_000) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: hour)
        #expect(simulation.started.count == 2)
        let wait = simulation.started[1].at - simulation.started[0].at
        #expect(wait >= 90 * second && wait <= 92 * second)
    }

    @Test("Backoff doubles up to its maximum and is spread")
    func backoffGrows() {
        let simulation = CoreSimulation(seed: 3)
        let retry = RetryPolicy(attempts: 200, backoffNanoseconds: second, maxBackoffNanoseconds: 60 * second)
        simulation.define(route(hook("a"), [post("http://127.0.0.1:1/")], retry: retry))
        simulation.world = { _, _ in (conflict, 0) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: 24 * hour)
        let waits = zip(simulation.started.dropFirst(), simulation.started).map { $0.at - $1.at }
        #expect(waits.count == 199)
        for (index, wait) in waits.enumerated() { #expect(wait <= min(second << UInt64(min(index, 20)), 60 * second)) }
        let late = waits.dropFirst(10)
        let mean = late.reduce(0, +) / UInt64(late.count)
        #expect(mean > 22 * second && mean < 38 * second, "full jitter has its mean at half of the maximum")
    }
}
