import Delivery
import Testing

@testable import Trigger

@Suite("Pausing")
struct PauseTests {
    private let appTarget = PauseSubject.target(cluster: "local", text: "GitRepository/team-a/app")

    private func pause(_ simulation: CoreSimulation, _ subjects: Set<PauseSubject>) {
        simulation.core.setPaused(subjects, now: simulation.now)
        simulation.pump()
    }

    @Test(
        "What is paused is planned and owed and not started; what runs ends; resumed, all of it is done",
        arguments: [
            PauseSubject.route(hook("a")), .namespace(cluster: "local", namespace: "team-a"),
            .target(cluster: "local", text: "GitRepository/team-a/app"),
        ])
    func pauses(subject: PauseSubject) {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")], coalesce: Coalesce(by: .none)))
        simulation.define(route(hook("b", namespace: "team-b"), [reconcile("other")]))
        simulation.world = { _, _ in (.done, second) }
        simulation.deliver(1, to: hook("a"))
        simulation.deliver(2, to: hook("a"))
        pause(simulation, [subject])
        simulation.deliver(3, to: hook("a"))
        simulation.deliver(4, to: hook("b", namespace: "team-b"))
        simulation.run(for: hour)
        #expect(simulation.outcome(1)?.code == .done && simulation.outcome(4)?.code == .done)
        #expect(simulation.outcome(2) == nil && simulation.outcome(3) == nil)
        #expect(simulation.core.owedDeliveryCount == 2)
        #expect(simulation.core.snapshot(QueueQuestion(limit: 9), now: simulation.now).totals.paused == 2)
        pause(simulation, [])
        simulation.run(for: hour)
        #expect(simulation.open.isEmpty)
        #expect(simulation.started.map(\.action.sequence) == [1, 4, 2, 3], "in the order of the deliveries")
        #expect(simulation.attempts.isEmpty)
    }

    @Test("A pause outlasts retry.maxAge: nothing dies of having been paused")
    func age() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")], retry: RetryPolicy(maxAgeNanoseconds: hour)))
        pause(simulation, [.route(hook("a"))])
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: 100 * hour)
        #expect(simulation.open.count == 1)
        pause(simulation, [])
        simulation.run(for: second)
        #expect(simulation.outcome(1)?.code == .done)
    }

    @Test("A storm on a paused route holds one trigger and merges the rest")
    func storm() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        pause(simulation, [.route(hook("a"))])
        for sequence in 1...1000 { simulation.deliver(UInt64(sequence), to: hook("a")) }
        #expect(simulation.core.waitingCount == 1 && simulation.started.isEmpty)
        pause(simulation, [])
        simulation.run(for: second)
        #expect(simulation.started.map(\.action.sequence) == [1000])
        #expect(simulation.started.first?.action.merged == 999)
        #expect(simulation.open.isEmpty)
    }

    @Test("A paused route takes no other's place at a target that both act on, nor is it done by the other")
    func sharedTarget() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.define(route(hook("b"), [reconcile("app")]))
        simulation.world = { _, _ in (.done, second) }
        pause(simulation, [.route(hook("a"))])
        for sequence in stride(from: UInt64(1), through: 20, by: 2) {
            simulation.deliver(sequence, to: hook("b"))
            simulation.deliver(sequence + 1, to: hook("a"))
        }
        simulation.run(for: hour)
        #expect(simulation.outcome(19)?.code == .done && simulation.outcome(20) == nil)
        #expect(simulation.open.count == 1)
        pause(simulation, [])
        simulation.run(for: hour)
        #expect(simulation.outcome(20)?.code == .done)
    }

    @Test("A paused target behind an open breaker does not keep the breaker's passage to itself")
    func pausedProbe() {
        let simulation = CoreSimulation()
        let ready = epoch + 100 * second
        simulation.world = { _, now in (now < ready ? connectionRefused : .done, 1_000_000) }
        for index in 0..<50 {
            simulation.define(route(hook("h\(index)"), [reconcile("app-\(index)")]))
            simulation.deliver(UInt64(index + 1), to: hook("h\(index)"))
        }
        simulation.run(for: 10 * second)
        #expect(simulation.core.openBreakers == ["kubernetes/local"])
        pause(simulation, Set((0..<40).map { .route(hook("h\($0)")) }))
        simulation.run(until: ready + 200 * second)
        #expect(simulation.count(.done) == 10)
        #expect(simulation.core.openBreakers.isEmpty)
        pause(simulation, [])
        simulation.run(for: 10 * second)
        #expect(simulation.count(.done) == 50)
    }

    @Test("A queue that is made while its target is paused is paused")
    func laterQueue() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        pause(simulation, [appTarget])
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: hour)
        #expect(simulation.started.isEmpty)
        pause(simulation, [.target(cluster: "other", text: "GitRepository/team-a/app")])
        simulation.run(for: second)
        #expect(simulation.count(.done) == 1)
    }
}
