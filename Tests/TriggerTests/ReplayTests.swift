import Delivery
import Testing

@testable import Trigger

@Suite("Replay after a restart")
struct ReplayTests {
    func plan(_ actions: Action...) -> [EncodedPlanEntry] { actions.map { PlannedAction($0).encoded } }

    @Test("Without a plan the current configuration says what to do")
    func withoutPlan() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.recover(1, of: hook("a"), plan: nil)
        simulation.run(for: second)
        #expect(simulation.plans[1]?.count == 1)
        #expect(simulation.outcome(1)?.code == .done)
    }

    @Test("Without a plan and without the route it is ignored")
    func withoutRoute() {
        let simulation = CoreSimulation()
        simulation.recover(1, of: hook("a"), plan: nil)
        #expect(simulation.outcome(1, OutcomeEntry.wholeDelivery)?.reason == IgnoredReason.routeRemoved)
    }

    @Test("An outcome of the whole delivery ends it")
    func wholeOutcome() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        let outcome = OutcomeEntry(sequence: 1, planIndex: OutcomeEntry.wholeDelivery, code: .ignored)
        simulation.recover(1, of: hook("a"), plan: nil, outcomes: [outcome])
        simulation.recover(
            2, of: hook("a"), plan: plan(.log),
            outcomes: [OutcomeEntry(sequence: 2, planIndex: OutcomeEntry.wholeDelivery, code: .ignored)])
        simulation.run(for: second)
        #expect(simulation.started.isEmpty)
    }

    @Test("With a plan the plan holds, whatever the route says now")
    func planHolds() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("new-app")]))
        simulation.recover(1, of: hook("a"), plan: plan(reconcile("old-app")))
        simulation.run(for: second)
        #expect(simulation.started.map(\.action.action) == [PlannedAction(reconcile("old-app"))])
        #expect(simulation.outcome(1)?.code == .done)
    }

    @Test("A planned reconcile is carried out though its route is gone")
    func reconcileWithoutRoute() {
        let simulation = CoreSimulation()
        simulation.recover(1, of: hook("a"), plan: plan(reconcile("app")))
        simulation.run(for: second)
        #expect(simulation.outcome(1)?.code == .done)
    }

    @Test("Planned http, exec and log need their action in the current route")
    func matched() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [post("http://127.0.0.1:1/a?token=1"), .log]))
        simulation.recover(
            1, of: hook("a"),
            plan: plan(
                post("http://127.0.0.1:1/a?token=1"), post("http://127.0.0.1:1/a?token=2"), .log,
                .exec(command: ["./x"], timeoutNanoseconds: 1)))
        simulation.run(for: second)
        #expect((0..<4).map { simulation.outcome(1, $0)?.code } == [.done, .ignored, .done, .ignored])
        #expect(simulation.outcome(1, 1)?.reason == IgnoredReason.routeRemoved)
    }

    @Test("Finished entries are not run again, and attempts go on where they were")
    func finishedEntries() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("x"), reconcile("y")], retry: RetryPolicy(attempts: 5)))
        simulation.world = { _, _ in (conflict, 1_000_000) }
        simulation.recover(
            1, of: hook("a"), plan: plan(reconcile("x"), reconcile("y")),
            outcomes: [
                OutcomeEntry(sequence: 1, planIndex: 0, code: .done),
                OutcomeEntry(sequence: 1, planIndex: 1, code: .failed, detail: 1),
                OutcomeEntry(sequence: 1, planIndex: 1, code: .failed, detail: 3),
            ])
        simulation.run(for: hour)
        #expect(simulation.started.allSatisfy { $0.action.planIndex == 1 })
        #expect(simulation.started.count == 2)
        #expect(simulation.outcome(1, 1)?.code == .dead)
        #expect(simulation.outcome(1, 1)?.detail == 5)
        #expect(simulation.outcome(1, 0) == nil)
    }

    @Test("An entry that cannot be read is dead, its neighbours run")
    func unreadableEntry() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [.log]))
        let entries = [EncodedPlanEntry(actionKind: 200, target: [1, 2]), PlannedAction.log.encoded]
        simulation.core.recover(
            RecoveredDelivery(
                delivery: simulation.delivery(1, hook("a"), epoch), plan: entries, outcomes: []),
            definition: simulation.definitions[hook("a")], ref: nil, now: epoch)
        var codes: [UInt16: OutcomeCode] = [:]
        for command in simulation.core.takeCommands(now: epoch) {
            if case .recordOutcomes(let settled) = command {
                for outcome in settled { codes[outcome.entry.planIndex] = outcome.entry.code }
            }
            if case .start(let started) = command {
                #expect(started.planIndex == 1)
                simulation.core.complete(started.id, .done, now: epoch)
            }
        }
        #expect(codes == [0: .dead])
        #expect(simulation.core.runningCount == 0)
    }

    @Test("Owed deliveries of one target become one trigger")
    func mergedAtReplay() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        // All come in one batch, as a replay does: nothing starts in between.
        for sequence in UInt64(1)...50 {
            simulation.core.recover(
                RecoveredDelivery(
                    delivery: simulation.delivery(sequence, hook("a"), epoch), plan: nil, outcomes: []),
                definition: simulation.definitions[hook("a")], ref: nil, now: epoch)
        }
        simulation.run(for: second)
        #expect(simulation.started.map(\.action.sequence) == [50])
        #expect(simulation.count(.merged) == 49)
    }

    @Test("An old delivery still gets its attempt")
    func olderThanMaxAge() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.deliver(1, to: hook("a"), received: epoch - 100 * hour)
        simulation.run(for: second)
        #expect(simulation.outcome(1)?.code == .done)
    }
}
