// RedeliveryOracle: what must hold of the redeliveries that the admin API chooses and refuses, by what the ledgers know.
//
//   - a delivery is carried out again when nothing is owed for it any more, or only what of its plan is final;
//   - by a route that is there and may be used; a tenant's, for what came to its own namespace;
//   - of a selection: dead, of an original and a route one at most, and not when a later one is owed or did it;
//   - what is dead and was not answered by a later redelivery is selected.
//
// It knows more than the journal: an outcome that is not on the disk yet. So it says what is certainly wrong.

import Delivery
import Journal
import Trigger

@testable import Grapnel

struct RedeliveryOracle {
    struct Selection {
        /// Of those that wait, which one within the other.
        var depth: Int
        var isAgain: Bool
        /// As the route says.
        var isPlain: Bool
        var isOfDead: Bool
        var limit: Int
        /// Before it was asked for.
        var dead: Set<UInt64>
        var missing: [UInt64]
    }

    struct State {
        /// Was answered to somebody.
        var isKnown = false
        var isDuplicate = false
        var mustBeFinal = false
        var isOwedForCertain = false
        var route: RouteIdentity?
        var firstNamespace = ""
    }

    private let deliveries: DeliveryLedger
    private let triggers: TriggerLedger
    private let problems: SimulationProblems
    private let routes: CurrentRoutes
    private let history: JournalHistory
    private let record: (UInt64) -> StoredRecord?
    private var redeliveries: RedeliveryLedger { deliveries.redeliveries }

    init(_ simulation: PipelineSimulation) {
        deliveries = simulation.deliveries
        triggers = simulation.triggers
        problems = simulation.problems
        routes = simulation.life.routes
        history = simulation.life.history
        record = { [unowned simulation] in simulation.record($0) }
    }

    func state(_ sequence: UInt64) -> State {
        var state = State()
        let entry = triggers.entries[sequence]
        state.mustBeFinal = entry?.mustBeFinal ?? false
        state.isOwedForCertain = entry.map { !$0.mayBeFinal } ?? false
        state.route = deliveries.route(of: sequence, record(sequence))
        state.isKnown = redeliveries.isPromised(sequence) || deliveries.acknowledged[sequence] != nil
        state.isDuplicate =
            deliveries.acknowledged[sequence].map { deliveries.sent[$0].decision == "duplicate" } ?? false
        state.firstNamespace = first(sequence)?.namespace ?? ""
        return state
    }

    /// The route to which its sender sent it.
    private func first(_ sequence: UInt64) -> RouteIdentity? {
        record(sequence).flatMap { deliveries.request(of: Array($0.body)) }
            .map { SimulatedRoutes.all[$0.route].identity }
    }

    // MARK: What was chosen

    func checkChoice(_ sequence: UInt64, _ act: RedeliveryAct, _ selection: Selection?) {
        guard let record = record(sequence) else { return }
        let text = "\(sequence) is redelivered"
        let entry = triggers.entries[sequence]
        problems.verify(record.header.type == .delivery && record.header.decision != .duplicate, "\(text): a duplicate")
        let isFinal = record.header.decision != .accepted || triggers.isFinal(sequence)
        let own = deliveries.route(of: sequence, record)
        switch act {
        case .asConfigured:
            problems.verify(isFinal, "\(text) and owed")
            problems.verify(own.flatMap { routes.definition(of: $0) } != nil, "\(text) by a route that is gone")
        case .route(let route):
            problems.verify(isFinal, "\(text) and owed")
            let definition = SimulatedRoutes.definition(route)
            problems.verify(
                routes.definition(of: route) != nil && definition?.readiness == .ready
                    && definition?.actions.isEmpty == false, "\(text) to \(route), which cannot be used")
            problems.verify(
                definition?.isOfTenant == false || first(sequence)?.namespace == route.namespace,
                "\(text) to \(route), of another tenant")
        case .plan(let plan):
            problems.verify(own.flatMap { routes.definition(of: $0) } != nil, "\(text) by a route that is gone")
            let planned = entry?.plan ?? []
            for wanted in plan {
                let isThere = planned.indices.contains { index in
                    Self.stands(planned[index], for: wanted) && (isFinal || entry?.finals[UInt16(index)] != nil)
                }
                problems.verify(isThere, "\(text) with an entry that it did not have, or that is owed")
            }
        }
        if let selection { checkAlone(sequence, act, selection, text) }
    }

    /// The entry itself, or another object of its kind and namespace.
    private static func stands(_ planned: EncodedPlanEntry, for wanted: PlanEntry) -> Bool {
        let other = EncodedPlanEntry(actionKind: wanted.actionKind, target: wanted.target)
        if planned == other { return true }
        guard case .reconcile(let target)? = PlannedAction(planned), case .reconcile(let moved)? = PlannedAction(other)
        else { return false }
        return target.kind == moved.kind && target.namespace == moved.namespace && target.cluster == moved.cluster
    }

    /// A selection multiplies nothing.
    private func checkAlone(_ sequence: UInt64, _ act: RedeliveryAct, _ selection: Selection, _ text: String) {
        guard !selection.isAgain else { return }
        guard let own = deliveries.route(of: sequence, record(sequence)) else { return }
        let wish = redeliveries.wish(sequence, act, of: own)
        if let other = redeliveries.later(than: sequence, doing: wish, certainly: true, history) {
            problems.verify(false, "\(text) by a selection, though \(other) is or does the same")
        }
    }

    // MARK: What was selected

    /// Or left to one that is.
    var dead: Set<UInt64> { Set(triggers.entries.keys.filter { triggers.came(to: .dead, $0) }) }

    /// Dead, and no later redelivery of the same is owed, or did it.
    var unanswered: [UInt64] {
        triggers.entries.filter { $0.value.isDead && $0.value.mustBeFinal }.keys.sorted().filter { sequence in
            guard let record = record(sequence), let own = deliveries.route(of: sequence, record),
                routes.definition(of: own) != nil
            else { return false }
            let wish = redeliveries.wish(sequence, .asConfigured, of: own)
            return redeliveries.later(than: sequence, doing: wish, certainly: false, history) == nil
                && !redeliveries.hasLaterPlanned(than: sequence)
        }
    }

    /// `isWhole`: everything dead is meant, and was found.
    func check(_ sequences: [UInt64], _ selection: Selection, isWhole: Bool) {
        problems.verify(
            zip(sequences, sequences.dropFirst()).allSatisfy { $0 < $1 }, "selected out of order: \(sequences)")
        problems.verify(
            sequences.count <= selection.limit, "\(sequences.count) were selected, \(selection.limit) wanted")
        if selection.isOfDead {
            for sequence in sequences {
                problems.verify(selection.dead.contains(sequence), "\(sequence) was selected and is not dead")
            }
        }
        guard selection.isPlain else { return }
        var newest: [String: UInt64] = [:]
        for sequence in sequences {
            let family = family(sequence)
            problems.verify(newest[family] == nil, "\(sequence) was selected beside \(newest[family] ?? 0)")
            newest[family] = sequence
        }
        guard isWhole else { return }
        for sequence in selection.missing {
            problems.verify(
                newest[family(sequence)].map { $0 >= sequence } ?? false,
                "\(sequence) is dead, was not redelivered, and is not among \(sequences)")
        }
    }

    /// The same for an original and its redeliveries by one route.
    private func family(_ sequence: UInt64) -> String {
        let route = deliveries.route(of: sequence, record(sequence)).map { "\($0)" } ?? "?"
        return "\(redeliveries.origin(of: sequence)) \(route)"
    }
}
