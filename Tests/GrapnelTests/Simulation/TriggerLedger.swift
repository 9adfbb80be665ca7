// TriggerLedger: what was planned, started and concluded for each delivery, over all lives of the simulated server.
//
// It stands where the dispatcher sees the journal, passes everything on, and checks what must always hold:
//   - an action starts only with a plan, once at a time, and never after its final outcome, not even after a crash, unless the crash
//     came before that outcome was durable;
//   - each entry of a plan has at most one final outcome, and merged names a later delivery that was planned for the same target;
//   - builds of one ref of one target start in the order in which they were planned, one at a time;
//   - merged by ref means one ref, and an interval between two starts at a target is kept;
//   - a recovery finds every plan and outcome that was durable, and none that was not written.

import Delivery
import Journal

@testable import Grapnel
@testable import Trigger

/// Notes what is wrong. One thread at a time.
final class SimulationProblems: @unchecked Sendable {
    private(set) var texts: [String] = []

    func verify(_ holds: Bool, _ text: @autoclosure () -> String) {
        guard !holds, texts.count < 10 else { return }
        texts.append(text())
    }
}

/// `@unchecked Sendable`: a simulation runs on one thread.
final class TriggerLedger: DeliveryLog, @unchecked Sendable {
    struct Entry {
        var plan: [EncodedPlanEntry]?
        var isPlanDurable = false
        var finals: [UInt16: OutcomeCode] = [:]
        var durableFinals: Set<UInt16> = []
        /// An attempt failed, or it ended as dead or ignored: the sender's repeat counts as new.
        var hasFailed = false
        /// Ended without effect, and the journal knows: from then on a repeat must count as new.
        var droppedAt: UInt64?
        var running: Set<UInt16> = []
        /// To which some of it was left.
        var heirs: Set<UInt64> = []

        func isFinal(_ plan: [EncodedPlanEntry]?, _ finals: Set<UInt16>) -> Bool {
            finals.contains(Trigger.OutcomeEntry.wholeDelivery) || plan.map { finals.count >= $0.count } ?? false
        }
        var mayBeFinal: Bool { isFinal(plan, Set(finals.keys)) }
        var mustBeFinal: Bool { isFinal(isPlanDurable ? plan : nil, durableFinals) }
        var isDead: Bool { mayBeFinal && finals.values.contains(.dead) }
    }

    private(set) var entries: [UInt64: Entry] = [:]
    private let problems: SimulationProblems
    private let time: SimulatedTime
    /// The way into the journal of this life.
    private var link: DispatcherLink?
    // With plans or outcomes that are not known to be durable.
    private var touched: Set<UInt64> = []
    private struct Lane: Hashable {
        var target: TargetReference
        var ref: String
        /// Those of one route, whatever else was paused; nil: all.
        var route: RouteIdentity?
    }
    private var lastBuild: [Lane: (order: Int, sequence: UInt64)] = [:]
    private var building: Set<Lane> = []
    /// Deliveries in the order in which the dispatcher's core got them, in this life.
    private var orders: [UInt64: Int] = [:]
    /// What deliveries are about, as their records say.
    private var refs: [UInt64: String] = [:]
    private var routes: [UInt64: RouteIdentity] = [:]
    private var lastStart: [String: UInt64] = [:]
    /// Something was paused in this life, or left to the journal: then only what one route causes is in order.
    var wasPaused = false
    var wasSpilled = false
    /// A place of the journal could not be read again: what lies behind it overtook what lies in it.
    var wasUnreadable = false
    /// Those that were taken away in this life.
    var goneRoutes: Set<RouteIdentity> = []
    /// Whose records could not be read when they were asked for.
    var unreadable: Set<UInt64> = []
    private(set) var counts: [OutcomeCode: Int] = [:]
    private(set) var startCount = 0
    private(set) var lostOutcomes = 0

    init(_ problems: SimulationProblems, _ time: SimulatedTime) {
        self.problems = problems
        self.time = time
    }

    /// Whether it came to that for a delivery, or for one that some of it was left to.
    func came(to code: OutcomeCode, _ sequence: UInt64) -> Bool {
        chain(of: sequence).contains { entries[$0]?.finals.values.contains(code) == true }
    }

    /// A delivery and all that some of it was left to.
    func chain(of sequence: UInt64) -> Set<UInt64> {
        var seen: Set<UInt64> = [sequence]
        var open = [sequence]
        while let next = open.popLast() { open += entries[next]?.heirs.filter { seen.insert($0).inserted } ?? [] }
        return seen
    }

    func isFinal(_ sequence: UInt64) -> Bool { entries[sequence]?.mayBeFinal ?? false }

    // MARK: DeliveryLog

    func recordPlan(sequence: UInt64, entries plan: [EncodedPlanEntry], times: PlanTimes) {
        problems.verify(entries[sequence]?.plan == nil, "\(sequence) was planned twice")
        problems.verify(!plan.isEmpty, "\(sequence) has an empty plan")
        checkConfigured(sequence, plan)
        entries[sequence, default: Entry()].plan = plan
        touched.insert(sequence)
        link?.recordPlan(sequence: sequence, entries: plan, times: times)
    }

    /// What is planned is what its route says, and no other one.
    private func checkConfigured(_ sequence: UInt64, _ plan: [EncodedPlanEntry]) {
        guard let route = routes[sequence], let definition = SimulatedRoutes.definition(route) else {
            problems.verify(false, "\(sequence), which was planned, belongs to no route")
            return
        }
        let configured = definition.actions.map { PlannedAction($0).encoded }
        problems.verify(plan.allSatisfy(configured.contains), "\(sequence) of \(route) was planned as another one's")
    }

    func recordOutcomes(_ outcomes: [Trigger.OutcomeEntry]) {
        for outcome in outcomes { note(outcome) }
        link?.recordOutcomes(outcomes)
    }

    func payload(sequence: UInt64, location: DeliveryLocation) throws(DeliveryLogError) -> DeliveryPayload? {
        guard let link else { return nil }
        do throws(DeliveryLogError) {
            return try link.payload(sequence: sequence, location: location)
        } catch {
            unreadable.insert(sequence)
            throw error
        }
    }

    func verify(_ holds: Bool, _ text: @autoclosure () -> String) { problems.verify(holds, text()) }

    /// The record's ref; nil where it has none or the disk is gone.
    func note(_ delivery: QueuedDelivery, ref: String?) {
        refs[delivery.sequence] = ref
        routes[delivery.sequence] = delivery.route
    }

    func noteOrder(_ sequence: UInt64) { orders[sequence] = orders.count }

    /// A redelivery with a plan of its own, which is durable.
    func adopt(_ sequence: UInt64, _ plan: [PlanEntry]) {
        guard entries[sequence]?.plan == nil else { return }
        entries[sequence, default: Entry()].plan = plan.map {
            EncodedPlanEntry(actionKind: $0.actionKind, target: $0.target)
        }
        entries[sequence]?.isPlanDurable = true
    }

    func origin(sequence: UInt64, location: DeliveryLocation) throws(DeliveryLogError) -> DeliveryOrigin? {
        try link?.origin(sequence: sequence, location: location)
    }

    private func note(_ outcome: Trigger.OutcomeEntry) {
        let (sequence, index) = (outcome.sequence, outcome.planIndex)
        var entry = entries[sequence] ?? Entry()
        counts[outcome.code, default: 0] += 1
        problems.verify(
            outcome.reason != IgnoredReason.routeRemoved || routes[sequence].map(goneRoutes.contains) == true,
            "\(sequence)/\(index) was ignored, though no route was removed")
        touched.insert(sequence)
        if [.failed, .dead, .ignored].contains(outcome.code) { entry.hasFailed = true }
        if outcome.code.isFinal {
            problems.verify(
                entry.finals[index] == nil && !entry.mayBeFinal, "\(sequence)/\(index) has a second final outcome")
            entry.finals[index] = outcome.code
            if index != Trigger.OutcomeEntry.wholeDelivery {
                problems.verify(
                    entry.plan.map { Int(index) < $0.count } == true, "\(sequence)/\(index) ended without a plan")
            }
            if outcome.code == .merged {
                entry.heirs.insert(outcome.detail)
                checkMerged(outcome, entry)
            }
        }
        entries[sequence] = entry
    }

    private func checkMerged(_ outcome: Trigger.OutcomeEntry, _ entry: Entry) {
        let text = "\(outcome.sequence)/\(outcome.planIndex) was merged into \(outcome.detail)"
        problems.verify(outcome.detail > outcome.sequence, "\(text), which is older")
        guard let plan = entry.plan, let other = entries[outcome.detail]?.plan, Int(outcome.planIndex) < plan.count
        else {
            problems.verify(false, "\(text), which has no plan")
            return
        }
        problems.verify(other.contains(plan[Int(outcome.planIndex)]), "\(text), which has another target")
        guard routes[outcome.sequence].flatMap({ SimulatedRoutes.definition($0)?.coalesce?.by }) == .ref else { return }
        problems.verify(refs[outcome.sequence] == refs[outcome.detail], "\(text), which has another ref")
    }

    // MARK: Attempts

    func start(_ action: StartedAction) {
        let (sequence, index) = (action.sequence, action.planIndex)
        startCount += 1
        var entry = entries[sequence] ?? Entry()
        let text = "\(sequence)/\(index) was started"
        problems.verify(entry.running.insert(index).inserted, "\(text) while it ran")
        problems.verify(entry.finals[index] == nil && !entry.mayBeFinal, "\(text) after its end")
        if let plan = entry.plan, Int(index) < plan.count {
            problems.verify(plan[Int(index)] == action.action.encoded, "\(text) as something else than was planned")
        } else {
            problems.verify(false, "\(text) without a plan")
        }
        entries[sequence] = entry
        checkInterval(action, text)
        guard case .openshiftBuild(let target, _) = action.action, let ref = refs[sequence] else { return }
        problems.verify(
            building.insert(Lane(target: target, ref: ref)).inserted, "\(text) while its ref was being built")
        guard action.attempt == 1, let order = orders[sequence] else { return }
        let ofRoute = Lane(target: target, ref: ref, route: action.route)
        problems.verify(
            isInOrder(sequence, order, ofRoute) || wasUnreadable, "\(text) behind a later build of its route and ref")
        problems.verify(
            isInOrder(sequence, order, Lane(target: target, ref: ref)) || wasPaused || wasSpilled,
            "\(text) behind a later build of its ref")
    }

    /// Not behind one that came later, as a delivery and to the core: plans may be found in another order.
    private func isInOrder(_ sequence: UInt64, _ order: Int, _ lane: Lane) -> Bool {
        defer { lastBuild[lane] = (order, sequence) }
        guard let last = lastBuild[lane] else { return true }
        return order > last.order || sequence > last.sequence
    }

    private func checkInterval(_ action: StartedAction, _ text: String) {
        guard let target = action.action.target else { return }
        let key = "\(target.cluster) \(target)"
        let interval = SimulatedRoutes.definition(action.route)?.coalesce?.minIntervalNanoseconds ?? 0
        if interval > 0, let last = lastStart[key] {
            problems.verify(time.now >= last + interval, "\(text) \(time.now - last) ns after another")
        }
        lastStart[key] = time.now
    }

    func end(_ action: StartedAction) {
        entries[action.sequence]?.running.remove(action.planIndex)
        if case .openshiftBuild(let target, _) = action.action, let ref = refs[action.sequence] {
            building.remove(Lane(target: target, ref: ref))
        }
    }

    // MARK: Lives

    func begin(_ link: DispatcherLink) {
        self.link = link
        building = []
        lastBuild = [:]
        orders = [:]
        lastStart = [:]
        goneRoutes = []
        wasPaused = false
        wasSpilled = false
        wasUnreadable = false
    }

    /// The journal says that everything it was given is on disk.
    func everythingIsDurable() {
        for sequence in touched {
            guard var entry = entries[sequence] else { continue }
            entry.isPlanDurable = entry.plan != nil
            entry.durableFinals = Set(entry.finals.keys)
            if entry.isDead { entry.droppedAt = entry.droppedAt ?? time.now }
            entries[sequence] = entry
        }
        touched = []
    }

    /// Holds a recovery against what was known, and goes on with what it found.
    func recover(_ owed: [OwedDelivery]) {
        let found = Dictionary(uniqueKeysWithValues: owed.map { ($0.sequence, $0) })
        for (sequence, entry) in entries where found[sequence] == nil {
            problems.verify(entry.mayBeFinal, "\(sequence) was not final and is not owed any more")
            entries[sequence]?.running = []
        }
        for delivery in owed {
            var entry = entries[delivery.sequence] ?? Entry()
            let plan = delivery.plan?.map { EncodedPlanEntry(actionKind: $0.actionKind, target: $0.target) }
            let finals = Set(delivery.progress.filter { $0.outcome != nil }.map(\.planIndex))
            let text = "\(delivery.sequence)"
            problems.verify(!entry.mustBeFinal, "\(text) was final and durable and is owed again")
            problems.verify(!entry.isPlanDurable || plan == entry.plan, "the durable plan of \(text) is lost")
            problems.verify(plan == nil || plan == entry.plan, "the plan of \(text) is not what was written")
            problems.verify(entry.durableFinals.isSubset(of: finals), "a durable outcome of \(text) is lost")
            problems.verify(finals.isSubset(of: entry.finals.keys), "\(text) has an outcome that was not written")
            lostOutcomes += entry.finals.count - finals.count
            entry.plan = plan
            entry.isPlanDurable = plan != nil
            entry.finals = entry.finals.filter { finals.contains($0.key) }
            entry.durableFinals = finals
            entry.running = []
            entry.droppedAt = nil
            entries[delivery.sequence] = entry
        }
        touched = []
    }
}
