import Delivery
import Foundation
import Logging
import Metrics
import Synchronization
import Testing

@testable import Trigger

/// A journal in memory that checks the order of what is written.
final class MemoryLog: DeliveryLog {
    struct State {
        var plans: [UInt64: [EncodedPlanEntry]] = [:]
        var times: [UInt64: PlanTimes] = [:]
        var outcomes: [OutcomeEntry] = []
        var payloads: [UInt64: DeliveryPayload] = [:]
        var batches = 0
        /// So many reads fail first.
        var failingReads = 0
    }
    let state = Mutex(State())

    func recordPlan(sequence: UInt64, entries: [EncodedPlanEntry], times: PlanTimes) {
        state.withLock {
            $0.plans[sequence] = entries
            $0.times[sequence] = times
        }
    }

    func recordOutcomes(_ outcomes: [OutcomeEntry]) {
        state.withLock { state in
            state.outcomes += outcomes
            state.batches += 1
        }
    }

    func payload(sequence: UInt64, location: DeliveryLocation) throws(DeliveryLogError) -> DeliveryPayload? {
        try failPerhaps()
        return state.withLock { $0.payloads[sequence] }
    }

    func origin(sequence: UInt64, location: DeliveryLocation) throws(DeliveryLogError) -> DeliveryOrigin? {
        try failPerhaps()
        return DeliveryOrigin(journal: 7, sequence: sequence)
    }

    private func failPerhaps() throws(DeliveryLogError) {
        let isFailing = state.withLock { state in
            defer { state.failingReads = max(0, state.failingReads - 1) }
            return state.failingReads > 0
        }
        if isFailing { throw DeliveryLogError(reason: "too many open files") }
    }

    func add(_ sequence: UInt64, body: String = "{}") {
        state.withLock {
            $0.payloads[sequence] = DeliveryPayload(
                sender: .github, deliveryID: "d\(sequence)", eventKind: "push", contentType: "application/json",
                headers: [], body: Array(body.utf8))
        }
    }

    var outcomes: [OutcomeEntry] { state.withLock { $0.outcomes } }
    var finals: Int { outcomes.count { $0.code.isFinal } }

    /// Waits until `count` final outcomes are written.
    func waitForFinals(_ count: Int) async -> Bool {
        await eventually { finals >= count }
    }
}

/// Waits until `holds`; whether it did. The limit ends a hang and nothing else: on a busy machine other tests keep all threads.
@discardableResult
func eventually(_ holds: () async -> Bool) async -> Bool {
    let end = ContinuousClock.now + .seconds(300)
    while await !holds() {
        if ContinuousClock.now > end { return false }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return true
}

extension ContinuousClock.Instant {
    /// For a drain that must not cut anything short: it ends when nothing runs any more.
    static var distant: Self { now + .seconds(600) }
}

final class MemoryRoutes: RouteLookup {
    let definitions = Mutex<[RouteIdentity: RouteDefinition]>([:])
    func definition(of route: RouteIdentity) -> RouteDefinition? { definitions.withLock { $0[route] } }
    func define(_ definition: RouteDefinition) { definitions.withLock { $0[definition.identity] = definition } }
}

struct ClosureRunner: ActionRunner {
    var body: @Sendable (ActionAttempt) async -> ActionResult
    func run(_ attempt: ActionAttempt) async -> ActionResult { await body(attempt) }
}

/// Log lines as `level message key=value …`.
final class LineLog: Sendable {
    private let collected = Mutex<[String]>([])
    var lines: [String] { collected.withLock { $0 } }

    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(lines: self) }
        logger.logLevel = .debug
        return logger
    }

    struct Handler: LogHandler {
        let lines: LineLog
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .debug
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            let fields = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
            lines.collected.withLock { $0.append("\(event.level) \(event.message) \(fields)") }
        }
    }
}

@Suite("Dispatcher")
struct DispatcherTests {
    let log = MemoryLog()
    let routes = MemoryRoutes()

    func dispatcher(_ runners: ActionRunners, logger: Logger = Logger(label: "test")) -> Dispatcher {
        Dispatcher(
            log: log, routes: routes, runners: runners,
            decodeEvent: { payload in
                Event(
                    kind: payload.eventKind, repository: "acme/app", ref: String(decoding: payload.body, as: UTF8.self))
            },
            logger: logger)
    }

    func delivery(_ sequence: UInt64, _ route: RouteIdentity) -> QueuedDelivery {
        QueuedDelivery(
            sequence: sequence, receivedNanoseconds: DispatcherClock.wall, route: route,
            location: DeliveryLocation(segment: 0, offset: 0, length: 0))
    }

    @Test("exec without --allow-exec is dead with that reason; reconcile without a cluster stays owed")
    func switchedOff() async {
        routes.define(route(hook("a"), [.exec(command: ["x"], timeoutNanoseconds: 1), reconcile("app")]))
        let dispatcher = dispatcher(ActionRunners())
        dispatcher.enqueue([delivery(1, hook("a"))])
        #expect(await log.waitForFinals(1))
        await dispatcher.drain(deadline: .distant)
        #expect(log.outcomes.first { $0.planIndex == 0 }?.reason.contains("--allow-exec") == true)
        #expect(log.outcomes.first { $0.planIndex == 1 }?.code == .failed)
        #expect(dispatcher.metrics.owedDeliveries.value == 1)
    }

    @Test("A delivery is planned, run with the route's action and its event, and its outcome is written")
    func wholeWay() async {
        routes.define(route(hook("a"), [.log, post("http://127.0.0.1:1/x")]))
        log.add(1, body: "refs/heads/main")
        let seen = Mutex<[ActionAttempt]>([])
        let runner = ClosureRunner { attempt in
            seen.withLock { $0.append(attempt) }
            return .done
        }
        let dispatcher = dispatcher(ActionRunners(http: runner, log: runner))
        dispatcher.enqueue([delivery(1, hook("a"))])
        #expect(await log.waitForFinals(2))
        await dispatcher.drain(deadline: .distant)
        #expect(log.state.withLock { $0.plans[1]?.count } == 2)
        let attempts = seen.withLock { $0 }
        let logged = attempts.first { $0.action == .log }
        #expect(logged?.event.ref == "refs/heads/main")
        #expect(logged?.payload?.deliveryID == "d1")
        #expect(attempts.contains { $0.action == post("http://127.0.0.1:1/x") })
        #expect(dispatcher.metrics.outcome("log", .done).value == 1)
        #expect(dispatcher.metrics.attempts.value == 2)
        #expect(dispatcher.metrics.receiveToDoneSeconds.count == 2)
        #expect(dispatcher.metrics.owedDeliveries.value == 0)
    }

    @Test("An action that left the route meanwhile is ignored")
    func routeChanged() async {
        routes.define(route(hook("a"), [post("http://127.0.0.1:1/x")]))
        log.add(1)
        let routes = routes
        let dispatcher = dispatcher(
            ActionRunners(
                http: ClosureRunner { _ in
                    routes.define(route(hook("a"), [.log]))
                    return .failed(ActionFailure(.healable, scope: .none, reason: "later"))
                }))
        dispatcher.enqueue([delivery(1, hook("a"))])
        #expect(await log.waitForFinals(1))
        #expect(log.outcomes.map(\.code) == [.failed, .ignored])
        await dispatcher.drain(deadline: .now)
    }

    @Test("Coalescing by ref reads the ref from the record")
    func byRef() async {
        routes.define(
            route(
                hook("a"), [.exec(command: ["x"], timeoutNanoseconds: 1)],
                coalesce: Coalesce(by: .ref, windowNanoseconds: second / 5)))
        for (sequence, ref) in [(1, "main"), (2, "dev"), (3, "main")] { log.add(UInt64(sequence), body: ref) }
        let dispatcher = dispatcher(ActionRunners(exec: ClosureRunner { _ in .done }))
        dispatcher.enqueue([1, 2, 3].map { delivery($0, hook("a")) })
        #expect(await log.waitForFinals(3))
        await dispatcher.drain(deadline: .distant)
        #expect(log.outcomes.first { $0.sequence == 1 }?.code == .merged)
        #expect(log.outcomes.count { $0.code == .done } == 2)
    }

    @Test("Draining waits for what runs, starts nothing, and takes nothing new")
    func drainWaits() async {
        routes.define(route(hook("a"), [reconcile("app")]))
        let started = Mutex(0)
        let isOpen = Mutex(false)
        let dispatcher = dispatcher(
            ActionRunners(
                reconcile: ClosureRunner { _ in
                    started.withLock { $0 += 1 }
                    await eventually { isOpen.withLock { $0 } }
                    return .done
                }))
        dispatcher.enqueue([delivery(1, hook("a"))])
        #expect(await eventually { started.withLock { $0 } == 1 })
        dispatcher.enqueue([delivery(2, hook("a"))])
        async let drained: Void = dispatcher.drain(deadline: .distant)
        // New ones are dropped as soon as it has begun.
        routes.define(route(hook("probe"), [reconcile("other")], coalesce: Coalesce(by: .none)))
        dispatcher.setPaused(.route(hook("probe")), true)
        var probe: UInt64 = 100
        #expect(
            await eventually {
                let before = await dispatcher.queues(limit: 0)?.totals.owedDeliveries
                probe += 1
                dispatcher.enqueue([delivery(probe, hook("probe"))])
                return await dispatcher.queues(limit: 0)?.totals.owedDeliveries == before
            })
        isOpen.withLock { $0 = true }
        await drained
        dispatcher.enqueue([delivery(3, hook("a"))])
        #expect(log.outcomes.map(\.sequence) == [1])
        #expect(started.withLock { $0 } == 1)
    }

    @Test("What runs beyond the deadline is cancelled and stays owed")
    func drainCancels() async {
        routes.define(route(hook("a"), [reconcile("app")]))
        let cancelled = Mutex(false)
        let started = Mutex(false)
        let dispatcher = dispatcher(
            ActionRunners(
                reconcile: ClosureRunner { _ in
                    started.withLock { $0 = true }
                    do { try await Task.sleep(for: .seconds(900)) } catch { cancelled.withLock { $0 = true } }
                    return .done
                }))
        dispatcher.enqueue([delivery(1, hook("a"))])
        #expect(await eventually { started.withLock { $0 } })
        let before = ContinuousClock.now
        await dispatcher.drain(deadline: .now + .milliseconds(100))
        #expect(ContinuousClock.now - before < .seconds(600))
        #expect(await eventually { cancelled.withLock { $0 } })
        #expect(log.outcomes.isEmpty)
    }

    @Test("Many senders from many threads: each delivery ends exactly once")
    func manySenders() async {
        for index in 0..<20 {
            routes.define(route(hook("h\(index)", namespace: "team-\(index % 3)"), [.log, reconcile("app-\(index)")]))
        }
        for sequence in UInt64(1)...2000 { log.add(sequence) }
        let runner = ClosureRunner { _ in .done }
        let dispatcher = dispatcher(ActionRunners(reconcile: runner, log: runner))
        await withTaskGroup(of: Void.self) { group in
            for sender in 0..<20 {
                group.addTask {
                    for index in 0..<100 {
                        let sequence = UInt64(sender * 100 + index + 1)
                        dispatcher.enqueue([delivery(sequence, hook("h\(sender)", namespace: "team-\(sender % 3)"))])
                    }
                }
            }
        }
        #expect(await log.waitForFinals(4000))
        await dispatcher.drain(deadline: .distant)
        let keys = log.outcomes.filter(\.code.isFinal).map { "\($0.sequence)/\($0.planIndex)" }
        #expect(keys.count == 4000)
        #expect(Set(keys).count == 4000)
        #expect(log.outcomes.allSatisfy { $0.code == .done || $0.code == .merged })
    }

    @Test("The log action writes one line with the facts, control characters removed")
    func logLine() async {
        let lines = LineLog()
        let attempt = ActionAttempt(
            sequence: 5, planIndex: 0, number: 1, route: hook("webapp"), receivedNanoseconds: epoch, action: .log,
            payload: nil,
            event: Event(kind: "push", repository: "acme/app\nforged line", ref: "refs/heads/main\u{1b}", commit: "abc")
        )
        #expect(await LogAction(logger: lines.logger).run(attempt) == .done)
        #expect(
            lines.lines == [
                "info delivery commit=abc event=push ref=refs/heads/main  repository=acme/app forged line "
                    + "route=Hook/team-a/webapp sequence=5"
            ])
    }
}
