import Delivery
import Testing

@testable import Trigger

@Suite("Coalescing")
struct CoalescingTests {
    @Test("A storm of 10,000 deliveries to one target makes one running and one waiting; all others are merged")
    func storm() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.world = { _, _ in (.done, second) }
        for sequence in 1...10_000 { simulation.deliver(UInt64(sequence), to: hook("a")) }
        #expect(simulation.core.runningCount == 1)
        #expect(simulation.core.waitingCount == 1)
        simulation.run(for: hour)
        #expect(simulation.started.count == 2)
        #expect(simulation.outcome(1)?.code == .done)
        #expect(simulation.outcome(10_000)?.code == .done)
        #expect(simulation.count(.merged) == 9998)
        // Each names the delivery that took its place.
        #expect((2...9999).allSatisfy { simulation.outcome(UInt64($0))?.detail == UInt64($0 + 1) })
        #expect(simulation.core.owedDeliveryCount == 0)
    }

    @Test("Deliveries of different routes to the same object share its queue")
    func acrossRoutes() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.define(route(hook("b", namespace: "team-b"), [reconcile("app")]))
        simulation.world = { _, _ in (.done, second) }
        simulation.deliver(1, to: hook("a"))
        simulation.deliver(2, to: hook("b", namespace: "team-b"))
        simulation.deliver(3, to: hook("a"))
        simulation.run(for: hour)
        #expect(simulation.outcome(2)?.code == .merged)
        #expect(simulation.started.map(\.action.sequence) == [1, 3])
    }

    @Test("The version of a target does not make it another object, its group does")
    func sameObject() {
        let simulation = CoreSimulation()
        func target(_ apiVersion: String?) -> Action {
            .reconcile(TargetReference(apiVersion: apiVersion, kind: "GitRepository", namespace: "n", name: "x"))
        }
        simulation.define(route(hook("a"), [target(nil)]))
        simulation.define(route(hook("b"), [target("source.toolkit.fluxcd.io/v1beta2")]))
        simulation.define(route(hook("c"), [target("example.com/v1")]))
        simulation.world = { _, _ in (.done, second) }
        simulation.deliver(1, to: hook("a"))
        simulation.deliver(2, to: hook("b"))
        simulation.deliver(3, to: hook("c"))
        #expect(simulation.core.runningCount == 2)
        #expect(simulation.core.waitingCount == 1)
    }

    @Test(
        "http, exec and log run once for each delivery, in order",
        arguments: [post("http://127.0.0.1:1/"), .log, .exec(command: ["./x"], timeoutNanoseconds: 1)])
    func oneEach(action: Action) {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [action]))
        simulation.world = { _, _ in (.done, 1_000_000) }
        for sequence in 1...100 { simulation.deliver(UInt64(sequence), to: hook("a")) }
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.sequence) == Array(1...100))
        #expect(simulation.count(.done) == 100)
    }

    @Test("exec runs one at a time for a command, http several")
    func parallelism() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [.exec(command: ["./x"], timeoutNanoseconds: 1)]))
        simulation.define(route(hook("b"), [post("http://127.0.0.1:1/")]))
        simulation.world = { _, _ in (.done, second) }
        for sequence in 1...20 { simulation.deliver(UInt64(sequence), to: hook("a")) }
        #expect(simulation.core.runningCount == 1)
        for sequence in 21...40 { simulation.deliver(UInt64(sequence), to: hook("b")) }
        #expect(simulation.core.runningCount == 9)
    }

    @Test("One that waits for its backoff does not hold up those behind it")
    func noBlockingHead() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [.exec(command: ["./x"], timeoutNanoseconds: 1)]))
        simulation.world = { action, _ in (action.sequence == 1 && action.attempt < 5 ? conflict : .done, 1_000_000) }
        for sequence in 1...10 { simulation.deliver(UInt64(sequence), to: hook("a")) }
        simulation.run(for: hour)
        #expect(simulation.count(.done) == 10)
        #expect(simulation.started[1].action.sequence != 1)
    }

    @Test("A hook may run each delivery of a level-triggered action by itself")
    func coalesceNone() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")], coalesce: Coalesce(by: .none)))
        for sequence in 1...10 { simulation.deliver(UInt64(sequence), to: hook("a")) }
        simulation.run(for: hour)
        #expect(simulation.count(.done) == 10)
        #expect(simulation.started.map(\.action.sequence) == Array(1...10))
    }

    @Test("By ref: deliveries of one ref are merged, other refs and deliveries without one are not")
    func coalesceRef() {
        let simulation = CoreSimulation()
        simulation.define(
            route(hook("a"), [.exec(command: ["./x"], timeoutNanoseconds: 1)], coalesce: Coalesce(by: .ref)))
        simulation.world = { _, _ in (.done, second) }
        simulation.deliver(1, to: hook("a"), ref: "main")
        simulation.deliver(2, to: hook("a"), ref: "main")
        simulation.deliver(3, to: hook("a"), ref: "dev")
        simulation.deliver(4, to: hook("a"), ref: "main")
        simulation.deliver(5, to: hook("a"))
        simulation.deliver(6, to: hook("a"))
        simulation.run(for: hour)
        #expect(simulation.outcome(2)?.code == .merged)
        #expect(simulation.outcome(2)?.detail == 4)
        #expect(simulation.count(.done) == 5)
        // The newer delivery of a ref took over the place of the older.
        #expect(simulation.started.map(\.action.sequence) == [1, 4, 3, 5, 6])
    }

    @Test("A window collects deliveries from the first on and is not prolonged")
    func window() {
        let simulation = CoreSimulation()
        simulation.define(
            route(hook("a"), [reconcile("app")], coalesce: Coalesce(by: .target, windowNanoseconds: 10 * second)))
        let start = simulation.now
        for sequence in 1...30 {
            simulation.deliver(UInt64(sequence), to: hook("a"))
            simulation.run(for: second)
        }
        simulation.run(for: hour)
        #expect(simulation.open.isEmpty)
        #expect(simulation.started.first?.at == start + 10 * second)
        #expect(simulation.started.count == 3)
    }

    @Test("With a longest delay a burst is one trigger, and under constant fire one comes at least so often")
    func maxDelay() {
        let simulation = CoreSimulation()
        simulation.define(
            route(
                hook("a"), [reconcile("app")],
                coalesce: Coalesce(by: .target, windowNanoseconds: 5 * second, maxDelayNanoseconds: 20 * second)))
        let start = simulation.now
        for sequence in 1...60 {
            simulation.deliver(UInt64(sequence), to: hook("a"))
            simulation.run(for: second)
        }
        #expect(simulation.started.map(\.at) == [20, 40, 60].map { start + $0 * second })
        simulation.run(for: hour)
        #expect(simulation.open.isEmpty && simulation.started.count == 3)
        simulation.deliver(100, to: hook("a"))
        simulation.run(for: 3 * second)
        simulation.deliver(101, to: hook("a"))
        simulation.run(for: 4 * second)
        #expect(simulation.started.count == 3, "the window began anew")
        simulation.run(for: second)
        #expect(simulation.started.count == 4)
    }

    @Test(
        "Two starts at one target have at least the interval between them, whatever is merged",
        arguments: [Coalesce.Key.none, .target, .ref])
    func interval(key: Coalesce.Key) {
        let simulation = CoreSimulation()
        simulation.define(
            route(hook("a"), [reconcile("app")], coalesce: Coalesce(by: key, minIntervalNanoseconds: 10 * second)))
        simulation.define(route(hook("b"), [reconcile("other")]))
        for sequence in 1...20 {
            simulation.deliver(UInt64(sequence), to: hook("a"), ref: "main")
            simulation.deliver(UInt64(sequence + 100), to: hook("b"))
            simulation.run(for: 100_000_000)
        }
        #expect(simulation.started.count { $0.action.route == hook("b") } == 20, "others are not held up")
        simulation.run(for: hour)
        #expect(simulation.open.isEmpty)
        let starts = simulation.started.filter { $0.action.route == hook("a") }.map(\.at)
        #expect(starts.count == (key == .none ? 20 : 2))
        #expect(zip(starts, starts.dropFirst()).allSatisfy { $1 - $0 >= 10 * second })
        // After a pause there is nothing to wait for.
        let before = simulation.now
        simulation.deliver(1000, to: hook("a"), ref: "main")
        #expect(simulation.started.last?.at == before)
    }

    @Test(
        "The number of merged deliveries goes with the one that stays, through failures too, and stands in its outcome")
    func mergedCount() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        var results = [conflict, .done]
        simulation.world = { _, _ in (results.removeFirst(), second) }
        for sequence in 1...10 { simulation.deliver(UInt64(sequence), to: hook("a")) }
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.merged) == [0, 9], "8 that waited and the one that failed")
        #expect(simulation.outcome(10)?.reason == "9 merged into it" && simulation.count(.merged) == 9)
    }

    @Test("A failed trigger gives way to a newer one, which waits for the backoff")
    func failedGivesWay() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        let busy = ActionResult.failed(
            ActionFailure(.healable, scope: .server, retryAfterNanoseconds: 100 * second, reason: "429"))
        simulation.world = { action, _ in (action.sequence == 1 ? busy : .done, second) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: second / 2)
        simulation.deliver(2, to: hook("a"))
        simulation.run(for: second)
        #expect(simulation.outcome(1)?.code == .merged)
        #expect(simulation.outcome(1)?.detail == 2)
        simulation.run(for: 50 * second)
        #expect(simulation.started.count == 1, "the server asked for 100 s")
        simulation.run(for: 60 * second)
        #expect(simulation.outcome(2)?.code == .done)
    }

    @Test("A delivery that replaces one in its backoff waits for it too, with attempts of its own")
    func backoffTakenOver() {
        let simulation = CoreSimulation()
        simulation.define(
            route(hook("a"), [reconcile("app")], retry: RetryPolicy(attempts: 2, backoffNanoseconds: 60 * second)))
        simulation.world = { _, _ in (conflict, 1_000_000) }
        simulation.deliver(1, to: hook("a"))
        simulation.run(for: 10_000_000)
        simulation.deliver(2, to: hook("a"))
        #expect(simulation.outcome(1)?.code == .merged)
        simulation.run(for: hour)
        #expect(simulation.outcome(2)?.code == .dead)
        #expect(simulation.outcome(2)?.detail == 2)
        #expect(simulation.started.count == 3)
    }

    @Test("Of a replayed older delivery and a waiting newer one the newer stays")
    func olderComesLater() {
        let simulation = CoreSimulation()
        simulation.define(route(hook("a"), [reconcile("app")]))
        simulation.world = { _, _ in (.done, second) }
        simulation.deliver(10, to: hook("a"))
        simulation.deliver(11, to: hook("a"))
        simulation.recover(5, of: hook("a"), plan: nil)
        simulation.run(for: hour)
        #expect(simulation.outcome(5)?.code == .merged)
        #expect(simulation.outcome(5)?.detail == 11)
        #expect(simulation.outcome(11)?.code == .done)
    }
}
