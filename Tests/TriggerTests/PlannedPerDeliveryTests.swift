import Delivery
import Testing

@testable import Trigger

@Suite("Plans found per delivery")
struct PlannedPerDeliveryTests {
    private func build(_ commit: String, of name: String = "orders") -> Action {
        .openshiftBuild(
            TargetReference(apiVersion: "build.openshift.io/v1", kind: "BuildConfig", namespace: "team-a", name: name),
            buildRequest: Array("{\"commit\":\"\(commit)\"}".utf8))
    }

    @Test("builds of one target run one after the other, in order, each with what its own delivery said")
    func ownRequests() {
        let simulation = CoreSimulation()
        let definition = route(hook("a"), [])
        simulation.define(definition)
        simulation.world = { _, _ in (.done, second) }
        for sequence in UInt64(1)...4 {
            simulation.core.plan(
                simulation.delivery(sequence, hook("a"), simulation.now), definition: definition,
                actions: [build("commit-\(sequence)")], ref: nil, now: simulation.now)
        }
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.sequence) == [1, 2, 3, 4])
        #expect(
            simulation.started.map(\.action.action)
                == (1...4).map { PlannedAction(build("commit-\($0)")) })
        #expect(simulation.count(.done) == 4)
    }

    @Test("a build that failed is tried again with its own request while others passed it")
    func retryKeepsItsOwn() {
        let simulation = CoreSimulation()
        let definition = route(hook("a"), [])
        simulation.define(definition)
        var failures = 0
        simulation.world = { started, _ in
            if started.sequence == 1, failures < 2 {
                failures += 1
                return (conflict, second)
            }
            return (.done, second)
        }
        for sequence in UInt64(1)...3 {
            simulation.core.plan(
                simulation.delivery(sequence, hook("a"), simulation.now), definition: definition,
                actions: [build("commit-\(sequence)")], ref: nil, now: simulation.now)
        }
        simulation.run(for: hour)
        for (_, started) in simulation.started {
            #expect(started.action == PlannedAction(build("commit-\(started.sequence)")))
        }
        #expect(simulation.started.count == 5 && simulation.count(.done) == 3)
    }

    @Test("merged by target, the newest build's request is the one that runs")
    func merged() {
        let simulation = CoreSimulation()
        let definition = route(hook("a"), [], coalesce: Coalesce(by: .target, windowNanoseconds: second))
        simulation.define(definition)
        simulation.world = { _, _ in (.done, second) }
        for sequence in UInt64(1)...3 {
            simulation.core.plan(
                simulation.delivery(sequence, hook("a"), simulation.now), definition: definition,
                actions: [build("commit-\(sequence)")], ref: nil, now: simulation.now)
        }
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.action) == [PlannedAction(build("commit-3"))])
        #expect(simulation.count(.merged) == 2)
    }

    @Test("no action means ignored; the same target twice is one trigger")
    func emptyAndTwice() {
        let simulation = CoreSimulation()
        let definition = route(hook("a"), [])
        simulation.define(definition)
        let first = simulation.delivery(1, hook("a"), 0)
        simulation.core.plan(first, definition: definition, actions: [], ref: nil, now: simulation.now)
        let second = simulation.delivery(2, hook("a"), 0)
        simulation.core.plan(
            second, definition: definition, actions: [reconcile("x"), reconcile("x")], ref: nil, now: simulation.now)
        simulation.run(for: hour)
        #expect(simulation.outcome(1, OutcomeEntry.wholeDelivery)?.code == .ignored)
        #expect(simulation.plans[2]?.count == 1 && simulation.count(.done) == 1)
    }

    @Test("a callback follows the refresh of its object, also through a coalescing window")
    func callback() {
        let simulation = CoreSimulation()
        let target = TargetReference(apiVersion: "kpack.io/v1alpha2", kind: "ClusterStack", namespace: "", name: "base")
        let definition = route(hook("a"), [], coalesce: Coalesce(by: .target, windowNanoseconds: second))
        simulation.define(definition)
        simulation.world = { _, _ in (.done, second) }
        let request = DockerHubCallback.Request(url: "https://hub.docker.com/u/a/b/hook/c", body: [1])
        simulation.core.plan(
            simulation.delivery(1, hook("a"), simulation.now), definition: definition,
            actions: [
                .kpackRefresh(target, image: "index.docker.io/a/b:1", forceBuild: false),
                .dockerHubCallback(after: target, request),
            ], ref: nil, now: simulation.now)
        simulation.run(for: hour)
        #expect(simulation.started.map(\.action.action.name) == ["kpack-refresh", "docker-hub-callback"])
        #expect(simulation.started.count == 2 && simulation.started[1].0 >= simulation.started[0].0 + second)
    }
}

@Suite("Planning desk")
struct PlanningDeskTests {
    private func delivery(_ sequence: UInt64, _ namespace: String = "team-a", received: UInt64 = 0) -> QueuedDelivery {
        QueuedDelivery(
            sequence: sequence, receivedNanoseconds: received,
            route: RouteIdentity(kind: .receiver, namespace: namespace, name: "r"),
            location: DeliveryLocation(segment: 1, offset: 0, length: 0))
    }

    @Test("namespaces take turns, so that a storm on one does not keep another waiting")
    func fair() {
        var desk = PlanningDesk(seed: 1)
        for sequence in UInt64(1)...1_000 { desk.add(delivery(sequence), retry: RetryPolicy()) }
        desk.add(delivery(1_001, "team-b"), retry: RetryPolicy())
        #expect(desk.next(now: 0)?.sequence == 1)
        #expect(desk.next(now: 0)?.sequence == 1_001)
        #expect(desk.next(now: 0)?.sequence == 2)
        #expect(desk.count == 1_001)
    }

    @Test("no more than the limit are under way; an end makes room; what is unknown is nothing")
    func limit() {
        var desk = PlanningDesk(seed: 1)
        for sequence in UInt64(1)...100 { desk.add(delivery(sequence), retry: RetryPolicy()) }
        var taken = 0
        while desk.next(now: 0) != nil { taken += 1 }
        #expect(taken == PlanningDesk.runningMax)
        #expect(desk.complete(1, .actions([.log]), now: 0) == .planned([.log]))
        #expect(desk.complete(1, .actions([.log]), now: 0) == nil)
        #expect(desk.next(now: 0)?.sequence == UInt64(PlanningDesk.runningMax + 1))
        #expect(desk.count == 99)
    }

    @Test("large records are planned alone, small ones beside each other")
    func bytes() {
        var desk = PlanningDesk(seed: 1)
        for sequence in UInt64(1)...4 {
            var large = delivery(sequence)
            large.location.length = UInt32(PlanningDesk.runningBytesMax / 2 + 1)
            desk.add(large, retry: RetryPolicy())
        }
        #expect(desk.next(now: 0)?.sequence == 1)
        #expect(desk.next(now: 0) == nil)
        #expect(desk.complete(1, .actions([.log]), now: 0) == .planned([.log]))
        #expect(desk.next(now: 0)?.sequence == 2)
        #expect(desk.count == 3)
    }

    @Test("an API server that is away for two hours uses up no attempt; the plan is found when it is back")
    func healable() {
        var desk = PlanningDesk(seed: 7)
        var policy = RetryPolicy()
        policy.attempts = 2
        desk.add(delivery(1), retry: policy)
        let away = PlanningResult.failed(ActionFailure(.healable, scope: .server, reason: "connection refused"))
        var now: UInt64 = 0
        var tries = 0
        var first = 0
        while now < 2 * hour {
            guard let next = desk.next(now: now) else {
                guard let wake = desk.wakeAt else { break }
                now = max(now + 1, wake)
                continue
            }
            tries += 1
            guard case .waits(let isFirst)? = desk.complete(next.sequence, away, now: now) else {
                Issue.record("given up after \(tries) tries")
                return
            }
            if isFirst { first += 1 }
        }
        #expect(tries > 10 && first == 1 && desk.count == 1)
        now = desk.wakeAt ?? now
        #expect(desk.next(now: now)?.sequence == 1)
        #expect(desk.complete(1, .actions([reconcile("x")]), now: now) == .planned([reconcile("x")]))
        #expect(desk.count == 0)
    }

    @Test("what does not exist is looked for as often as an action tries it, whatever the route's attempts")
    func missing() {
        let missing = PlanningResult.failed(ActionFailure(.objectMissing, scope: .target, reason: "gone"))
        var desk = PlanningDesk(seed: 5)
        desk.add(delivery(1), retry: RetryPolicy())
        var now: UInt64 = 0
        var tries = 0
        var last: PlanningDesk.Verdict?
        while let next = desk.next(now: now) {
            tries += 1
            last = desk.complete(next.sequence, missing, now: now)
            now = desk.wakeAt ?? now
        }
        #expect(tries == DispatcherSettings().objectMissingAttemptsMax && tries == 3)
        #expect(last == .dead(reason: "gone"))
    }

    @Test(
        "what counts as an attempt ends after the route's number of them, what is too old at once, what is final at once"
    )
    func ends() {
        let missing = PlanningResult.failed(ActionFailure(.objectMissing, scope: .target, reason: "gone"))
        var policy = RetryPolicy()
        policy.attempts = 3
        var desk = PlanningDesk(seed: 3)
        desk.add(delivery(1), retry: policy)
        var now: UInt64 = 0
        var verdicts: [PlanningDesk.Verdict] = []
        while let next = desk.next(now: now) {
            verdicts.append(desk.complete(next.sequence, missing, now: now) ?? .dead(reason: ""))
            now = desk.wakeAt ?? now
        }
        #expect(verdicts == [.waits(isFirst: true), .waits(isFirst: false), .dead(reason: "gone")])

        desk.add(delivery(2), retry: policy)
        _ = desk.next(now: now)
        let refused = PlanningResult.failed(ActionFailure(.healable, scope: .server, reason: "away"))
        #expect(desk.complete(2, refused, now: policy.maxAgeNanoseconds) == .dead(reason: "away"))

        desk.add(delivery(3), retry: policy)
        _ = desk.next(now: now)
        let final = PlanningResult.failed(ActionFailure(.final, scope: .none, reason: "no record"))
        #expect(desk.complete(3, final, now: now) == .dead(reason: "no record"))
    }
}

@Suite("Metric labels of actions")
struct ActionLabelTests {
    @Test("every kind of action has a label of its own")
    func labels() {
        for sample in PlannedActionTests.samples {
            #expect(TriggerMetrics.actions.contains(sample.name), "\(sample.name)")
        }
    }
}
