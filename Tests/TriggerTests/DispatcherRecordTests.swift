// What the dispatcher needs of a delivery's record: the request for actions that tell it, the key of a build, the ref for the order.

import Delivery
import Synchronization
import Testing

@testable import Trigger

extension DispatcherTests {
    @Test("A delivery whose record is gone is dead and says so")
    func recordGone() async {
        routes.define(route(hook("a"), [.log]))
        let dispatcher = dispatcher(ActionRunners(log: ClosureRunner { _ in .done }))
        dispatcher.enqueue([delivery(1, hook("a"))])
        #expect(await log.waitForFinals(1))
        #expect(log.outcomes.first?.code == .dead)
        #expect(log.outcomes.first?.reason.contains("no longer in the journal") == true)
        await dispatcher.drain(deadline: .now)
    }

    @Test("A delivery whose record cannot be read for now waits, and is done")
    func recordUnreadable() async {
        routes.define(route(hook("a"), [.log], retry: RetryPolicy(attempts: 1, backoffNanoseconds: second / 100)))
        log.add(1)
        log.state.withLock { $0.failingReads = 2 }
        let dispatcher = dispatcher(ActionRunners(log: ClosureRunner { _ in .done }))
        dispatcher.enqueue([delivery(1, hook("a"))])
        #expect(await log.waitForFinals(1))
        #expect(log.outcomes.map(\.code) == [.failed, .done])
        #expect(log.outcomes.first?.reason.contains("too many open files") == true)
        await dispatcher.drain(deadline: .now)
    }

    @Test("A build whose record cannot be read for now waits: without its key a repetition would build twice")
    func originUnreadable() async {
        routes.define(
            route(hook("a"), [build("app")], retry: RetryPolicy(attempts: 1, backoffNanoseconds: second / 100)))
        log.add(1)
        log.state.withLock { $0.failingReads = 2 }
        let keys = Mutex<[RepeatKey?]>([])
        let dispatcher = dispatcher(
            ActionRunners(
                openshiftBuild: ClosureRunner { attempt in
                    keys.withLock { $0.append(attempt.key) }
                    return .done
                }))
        dispatcher.enqueue([delivery(1, hook("a"))])
        #expect(await log.waitForFinals(1))
        #expect(log.outcomes.map(\.code) == [.failed, .done])
        #expect(keys.withLock { $0 }.allSatisfy { $0 != nil } && keys.withLock { $0 }.count == 1)
        await dispatcher.drain(deadline: .now)
    }

    @Test("Builds that a route names go side by side for different refs, and in order for one")
    func refsOfBuilds() async {
        routes.define(route(hook("a"), [build("app")]))
        for (sequence, ref) in [(1, "main"), (2, "dev"), (3, "main")] { log.add(UInt64(sequence), body: ref) }
        let events = Mutex<[String]>([])
        let dispatcher = dispatcher(
            ActionRunners(
                openshiftBuild: ClosureRunner { attempt in
                    events.withLock { $0.append("\(attempt.sequence) began") }
                    // The first ends once the other ref's runs.
                    for _ in 0..<30_000 where attempt.sequence == 1 && events.withLock({ $0 }).count < 2 {
                        try? await Task.sleep(for: .milliseconds(10))
                    }
                    events.withLock { $0.append("\(attempt.sequence) ended") }
                    return .done
                }))
        dispatcher.enqueue((1...3).map { delivery($0, hook("a")) })
        #expect(await log.waitForFinals(3))
        let seen = events.withLock { $0 }
        #expect(seen.prefix(2).sorted() == ["1 began", "2 began"])
        #expect(seen.firstIndex(of: "1 ended")! < seen.firstIndex(of: "3 began")!)
        await dispatcher.drain(deadline: .now)
    }

    @Test("After a restart a build that had no plan yet does not overtake one of its ref that waits to be tried again")
    func recoveredOrder() async {
        routes.define(route(hook("a"), [build("app")], retry: RetryPolicy(backoffNanoseconds: 1)))
        for sequence in [1, 2] as [UInt64] { log.add(sequence, body: "main") }
        let started = Mutex<[UInt64]>([])
        let dispatcher = dispatcher(
            ActionRunners(
                openshiftBuild: ClosureRunner { attempt in
                    guard
                        started.withLock({ started in
                            started.append(attempt.sequence)
                            return started.count == 1
                        })
                    else { return .done }
                    return .failed(
                        ActionFailure(.healable, scope: .none, retryAfterNanoseconds: second / 5, reason: "429"))
                }))
        dispatcher.replay([
            RecoveredDelivery(
                delivery: delivery(1, hook("a")), plan: [PlannedAction(build("app")).encoded], outcomes: []),
            RecoveredDelivery(delivery: delivery(2, hook("a")), plan: nil, outcomes: []),
        ])
        #expect(await log.waitForFinals(2))
        #expect(started.withLock { $0 } == [1, 1, 2])
        await dispatcher.drain(deadline: .now)
    }
}
