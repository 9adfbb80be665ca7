import Delivery
import Logging
import Synchronization
import Testing

@testable import Trigger

/// A journal in memory that is written, and read again.
private final class SpillLog: DeliveryLog, SpilledDeliveries {
    struct State {
        var records: [QueuedDelivery] = []
        var plans: [UInt64: [EncodedPlanEntry]] = [:]
        var outcomes: [UInt64: [OutcomeEntry]] = [:]
        var readings = 0
        /// A segment that cannot be read.
        var unread: SpillReading.Unread?
        /// Readings that know what is owed are not given yet.
        var isHeldBack = false
    }
    let state = Mutex(State())

    func recordPlan(sequence: UInt64, entries: [EncodedPlanEntry], times: PlanTimes) {
        state.withLock { state in
            #expect(state.plans[sequence] == nil, "\(sequence) was planned twice")
            state.plans[sequence] = entries
        }
    }

    func recordOutcomes(_ outcomes: [OutcomeEntry]) {
        state.withLock { state in
            for outcome in outcomes { state.outcomes[outcome.sequence, default: []].append(outcome) }
        }
    }

    func payload(sequence: UInt64, location: DeliveryLocation) -> DeliveryPayload? {
        DeliveryPayload(
            sender: .github, deliveryID: "d\(sequence)", eventKind: "push", contentType: "application/json",
            headers: [], body: [])
    }

    func add(_ sequence: UInt64, _ route: RouteIdentity) -> QueuedDelivery {
        let delivery = QueuedDelivery(
            sequence: sequence, receivedNanoseconds: DispatcherClock.wall, route: route,
            location: DeliveryLocation(segment: 0, offset: 0, length: 1))
        state.withLock { $0.records.append(delivery) }
        return delivery
    }

    private func isOwed(_ sequence: UInt64, _ state: State) -> Bool {
        let finals = (state.outcomes[sequence] ?? []).filter(\.code.isFinal)
        if finals.contains(where: { $0.planIndex == OutcomeEntry.wholeDelivery }) { return false }
        return state.plans[sequence].map { finals.count < $0.count } ?? true
    }

    func read(_ question: SpillQuestion) async -> SpillReading {
        let reading = readNow(question)
        while state.withLock({ $0.isHeldBack }) { try? await Task.sleep(for: .milliseconds(2)) }
        return reading
    }

    private func readNow(_ question: SpillQuestion) -> SpillReading {
        state.withLock { state in
            state.readings += 1
            var reading = SpillReading()
            var open = question.routes
            for record in state.records.sorted(by: { $0.sequence < $1.sequence }) {
                guard record.sequence >= question.from, let wanted = open[record.route],
                    (wanted.from...wanted.through).contains(record.sequence)
                else { continue }
                if let unread = state.unread, (unread.from...unread.through).contains(record.sequence) {
                    reading.unread = unread
                    break
                }
                guard wanted.room > 0 else {
                    reading.positions[record.route] = .init(
                        next: record.sequence, receivedNanoseconds: record.receivedNanoseconds)
                    open[record.route] = nil
                    continue
                }
                open[record.route]?.room -= 1
                guard isOwed(record.sequence, state) else { continue }
                reading.deliveries.append(
                    RecoveredDelivery(
                        delivery: record, plan: state.plans[record.sequence],
                        outcomes: state.outcomes[record.sequence] ?? []))
            }
            for (route, wanted) in open {
                let end = min(reading.unread?.from ?? .max, wanted.through + 1)
                reading.positions[route] = .init(next: max(wanted.from, end))
            }
            return reading
        }
    }

    /// What the journal owes at a start.
    var owed: [RecoveredDelivery] {
        state.withLock { state in
            state.records.filter { isOwed($0.sequence, state) }.map {
                RecoveredDelivery(
                    delivery: $0, plan: state.plans[$0.sequence], outcomes: state.outcomes[$0.sequence] ?? [])
            }
        }
    }

    /// Final outcomes of a route, in order.
    func finals(_ route: RouteIdentity) -> [UInt64] {
        state.withLock { state in
            let own = Set(state.records.filter { $0.route == route }.map(\.sequence))
            return state.outcomes.filter { own.contains($0.key) }.flatMap { $0.value.filter(\.code.isFinal) }
                .map(\.sequence).sorted()
        }
    }
}

/// A target that can be down, and what was done at it.
private final class Target: Sendable {
    private struct State {
        var isDown = false
        var done: [UInt64] = []
    }
    private let state = Mutex(State())
    var done: [UInt64] { state.withLock { $0.done } }
    var isDown: Bool {
        get { state.withLock { $0.isDown } }
        set { state.withLock { $0.isDown = newValue } }
    }

    var runner: ClosureRunner {
        ClosureRunner { attempt in
            self.state.withLock { state in
                if state.isDown, attempt.route.name == "storm" { return connectionRefused }
                state.done.append(attempt.sequence)
                return .done
            }
        }
    }
}

@Suite("A dispatcher that leaves to the journal what is over a route's share")
struct SpillTests {
    private let log = SpillLog()
    private let routes = MemoryRoutes()
    private let target = Target()
    private let storm = hook("storm")
    private let calm = hook("calm", namespace: "team-b")

    private func dispatcher(
        held: Int = 100, planner: (any DeliveryPlanner)? = nil, logger: Logger = Logger(label: "test")
    ) -> Dispatcher {
        let retry = RetryPolicy(backoffNanoseconds: 10_000_000, maxBackoffNanoseconds: 20_000_000)
        routes.define(route(storm, [post("http://away.test/x")], retry: retry))
        routes.define(route(calm, [post("http://here.test/x")], retry: retry))
        var settings = DispatcherSettings()
        settings.heldDeliveriesMax = held
        settings.runningPerTargetMax = 1
        settings.breakerPauseNanoseconds = 10_000_000
        settings.breakerPauseMaxNanoseconds = 20_000_000
        return Dispatcher(
            log: log, routes: routes, runners: ActionRunners(http: target.runner), planner: planner, spilled: log,
            decodeEvent: { _ in Event() }, settings: settings, logger: logger)
    }

    @Test(
        "What one route owes above its share keeps nobody else waiting, is counted, and is done in order when its target is back"
    )
    func targetDown() async {
        target.isDown = true
        let dispatcher = dispatcher()
        for first in stride(from: UInt64(1), through: 2_000, by: 100) {
            dispatcher.enqueue((first..<first + 100).map { log.add($0, storm) })
        }
        dispatcher.enqueue([log.add(3_000, calm)])
        #expect(await eventually { target.done == [3_000] })
        let snapshot = await dispatcher.queues(limit: 10)
        let totals = snapshot?.totals ?? .init()
        #expect(totals.owedDeliveries == 2_000 && totals.spilled == 1_950 && totals.waiting + totals.running == 2_000)
        #expect(snapshot?.spilled.map(\.route) == [storm] && snapshot?.spilled.first?.count == 1_950)
        #expect(await dispatcher.queues(limit: 10, namespace: "team-b")?.spilled.isEmpty == true)
        #expect(dispatcher.metrics.owedDeliveries.value <= 100 && dispatcher.metrics.spilled.value == 1_950)
        #expect(dispatcher.backlog == 0)
        target.isDown = false
        #expect(await eventually { log.finals(storm).count == 2_000 })
        // Those that failed while they were held come after their backoff; those that waited in the journal never failed.
        let done = target.done.filter { $0 > 50 && $0 <= 2_000 }
        #expect(done == done.sorted())
        #expect(target.done.sorted() == Array(1...2_000) + [3_000])
        #expect(
            await eventually { dispatcher.metrics.spilled.value == 0 && dispatcher.metrics.owedDeliveries.value == 0 })
        await dispatcher.drain(deadline: .distant)
    }

    @Test("A paused route's deliveries wait in the journal; resumed, all are done once and in order")
    func paused() async {
        let dispatcher = dispatcher()
        dispatcher.setPaused(.route(storm), true)
        dispatcher.enqueue((1...500).map { log.add($0, storm) })
        dispatcher.enqueue((501...600).map { log.add($0, calm) })
        #expect(await eventually { log.finals(calm).count == 100 })
        #expect(log.finals(storm).isEmpty && dispatcher.metrics.spilled.value == 450)
        dispatcher.setPaused(.route(storm), false)
        dispatcher.enqueue((601...700).map { log.add($0, storm) })
        #expect(await eventually { log.finals(storm).count == 600 })
        let done = target.done.filter { $0 <= 500 || $0 > 600 }
        #expect(done == done.sorted() && Set(done).count == 600)
        await dispatcher.drain(deadline: .distant)
    }

    @Test(
        "Where the journal cannot be read, what waits behind goes on, in order; what waits there is done when it can be, once"
    )
    func unreadablePlace() async {
        let lines = LineLog()
        let dispatcher = dispatcher(logger: lines.logger)
        dispatcher.setPaused(.route(storm), true)
        dispatcher.enqueue((1...500).map { log.add($0, storm) })
        #expect(await eventually { dispatcher.metrics.spilled.value == 450 })
        log.state.withLock { $0.unread = .init(segment: 7, from: 101, through: 300, reason: "EIO") }
        dispatcher.setPaused(.route(storm), false)
        #expect(await eventually { target.done.count == 300 })
        dispatcher.enqueue((501...600).map { log.add($0, storm) })
        #expect(await eventually { target.done.count == 400 })
        #expect(target.done == Array(1...100) + Array(301...600))
        #expect(
            await eventually { dispatcher.metrics.spilled.value > 0 && dispatcher.metrics.owedDeliveries.value == 0 })
        func said(_ text: String) -> [String] { lines.lines.filter { $0.contains(text) } }
        #expect(said("cannot be read").count == 1)
        #expect(said("cannot be read").first?.contains("segment=7 sequences=101-300") == true, "\(lines.lines)")
        #expect(said("could be read").isEmpty)
        log.state.withLock { $0.unread = nil }
        #expect(await eventually { log.finals(storm).count == 600 })
        #expect(target.done == Array(1...100) + Array(301...600) + Array(101...300))
        #expect(await eventually { dispatcher.metrics.spilled.value == 0 })
        #expect(said("cannot be read").count == 1 && said("could be read").count == 1)
        await dispatcher.drain(deadline: .distant)
    }

    @Test("A drained dispatcher reads nothing again; the next one goes on with what is owed, and does none of it twice")
    func restarts() async {
        target.isDown = true
        var dispatcher = dispatcher(held: 60)
        dispatcher.enqueue((1...400).map { log.add($0, storm) })
        #expect(await eventually { dispatcher.metrics.spilled.value == 370 })
        var last: UInt64 = 400
        for round in 1...4 {
            target.isDown = round % 2 == 1
            await dispatcher.drain(deadline: .now + .milliseconds(20))
            dispatcher = self.dispatcher(held: 60)
            dispatcher.replay(log.owed)
            dispatcher.enqueue((last + 1...last + 50).map { log.add($0, storm) })
            last += 50
            if round % 2 == 0 {
                let before = log.finals(storm).count
                #expect(await eventually { log.finals(storm).count > before + 20 })
            }
        }
        target.isDown = false
        #expect(await eventually { log.finals(storm).count == Int(last) })
        #expect(log.finals(storm) == Array(1...last))
        #expect(target.done.sorted() == Array(1...last))
        await dispatcher.drain(deadline: .distant)
    }

    @Test("A start may leave a route to the journal as a whole")
    func ranges() async {
        let dispatcher = dispatcher()
        let all = (1...300).map { log.add($0, storm) }
        var range = SpilledRange(all[0], isRecovered: true)
        for delivery in all.dropFirst() { range.formUnion(SpilledRange(delivery, isRecovered: true)) }
        dispatcher.replay([], spilled: [(storm, range)])
        #expect(await eventually { log.finals(storm).count == 300 })
        #expect(target.done == Array(1...300))
        await dispatcher.drain(deadline: .distant)
    }

    @Test("One that comes late from elsewhere, after it was read again and done, is not done twice")
    func late() async {
        let dispatcher = dispatcher()
        dispatcher.setPaused(.route(storm), true)
        let all = (1...300).map { log.add($0, storm) }
        dispatcher.enqueue(Array(all.prefix(200)))
        // 201 is on its way still.
        dispatcher.enqueue(Array(all[201...]))
        #expect(await eventually { dispatcher.metrics.spilled.value == 249 })
        dispatcher.setPaused(.route(storm), false)
        #expect(await eventually { log.finals(storm).count == 300 })
        dispatcher.enqueue([all[200]])
        dispatcher.replay([RecoveredDelivery(delivery: all[250], plan: nil, outcomes: [])])
        dispatcher.enqueue([log.add(301, storm)])
        #expect(await eventually { log.finals(storm).contains(301) })
        #expect(await eventually { dispatcher.metrics.spilled.value == 0 })
        #expect(target.done == Array(1...301))
        await dispatcher.drain(deadline: .distant)
    }

    @Test("What ends after the journal said that it is owed, and before that is heard, is not done twice")
    func endsMeanwhile() async {
        let dispatcher = dispatcher()
        dispatcher.setPaused(.route(storm), true)
        let all = (1...300).map { log.add($0, storm) }
        dispatcher.enqueue(Array(all[..<298]) + [all[299]])
        #expect(await eventually { dispatcher.metrics.spilled.value == 249 })
        dispatcher.setPaused(.route(storm), false)
        // 299 as well, which was not handed over yet.
        #expect(await eventually { log.finals(storm).count == 300 })
        #expect(
            await eventually { dispatcher.metrics.spilled.value == 0 && dispatcher.metrics.owedDeliveries.value == 0 })
        dispatcher.setPaused(.route(storm), true)
        dispatcher.enqueue((301...330).map { log.add($0, storm) })
        #expect(await eventually { dispatcher.metrics.owedDeliveries.value == 30 })
        let before = log.state.withLock { state in
            state.isHeldBack = true
            return state.readings
        }
        dispatcher.enqueue([all[298], log.add(331, storm)])
        #expect(await eventually { log.state.withLock { $0.readings > before } })
        dispatcher.setPaused(.route(storm), false)
        #expect(await eventually { log.finals(storm).last == 330 })
        log.state.withLock { $0.isHeldBack = false }
        #expect(await eventually { log.finals(storm).last == 331 })
        #expect(
            await eventually { dispatcher.metrics.spilled.value == 0 && dispatcher.metrics.owedDeliveries.value == 0 })
        #expect(target.done.sorted() == Array(1...331))
        await dispatcher.drain(deadline: .distant)
    }

    @Test("Deliveries whose targets are still to be found count for their route's share as well")
    func planning() async {
        var planned = route(storm, [])
        planned.selections = [
            Selection(
                .reconcile, .named(TargetReference(apiVersion: nil, kind: "GitRepository", namespace: "n", name: "x")))
        ]
        struct Planner: DeliveryPlanner {
            let target: Target
            func plan(_: QueuedDelivery, _: RouteDefinition, _: DeliveryPayload) async -> PlanningResult {
                if target.isDown { return .failed(ActionFailure(.healable, scope: .server, reason: "away")) }
                return .actions([post("http://away.test/x")])
            }
        }
        target.isDown = true
        let dispatcher = dispatcher(planner: Planner(target: target))
        planned.retry = RetryPolicy(backoffNanoseconds: 10_000_000, maxBackoffNanoseconds: 20_000_000)
        planned.actions = [post("http://away.test/x")]
        routes.define(planned)
        dispatcher.enqueue((1...500).map { log.add($0, storm) })
        dispatcher.enqueue([log.add(501, calm)])
        #expect(await eventually { target.done == [501] })
        #expect(await dispatcher.queues(limit: 1)?.totals.planning == 50)
        #expect(dispatcher.metrics.spilled.value == 450)
        target.isDown = false
        #expect(await eventually { log.finals(storm).count == 500 })
        #expect(target.done.sorted() == Array(1...501))
        await dispatcher.drain(deadline: .distant)
    }
}
