// RedeliveryLedger: what was asked to be carried out again, over all lives of the simulated server, and what was promised for it.
//
// A redelivery that was answered is durable from then on, with its plan where it has one; it acts only afterwards, and has an end as every
// delivery has. One whose answer a crash took may be there or not; what was refused without having been written never is. So of each wish
// no more is ever there than it was asked for. A redelivery is of its origin, and belongs to its origin's route or to the one that was asked
// for, as long as its record is there.

import Delivery
import Journal
import Trigger

@testable import Grapnel

/// The dispatcher's own is another.
typealias JournalRedelivery = Redelivery

final class RedeliveryLedger {
    typealias Plan = [PlanEntry]?

    struct Wish: Equatable {
        /// The first one.
        var origin: UInt64
        /// To which it belongs.
        var route: RouteIdentity
        var plan: Plan
    }

    private struct Answer {
        var sequence: UInt64
        var wish: Wish
        var selection: RedeliveryOracle.Selection?
        var number: Int
        var answer: RedeliveryRequest.Answer
        var life: Int
    }

    /// What may have been written, and how often.
    private var wishes: [(wish: Wish, count: Int)] = []
    private(set) var askedCount = 0
    /// For which nobody waits any more.
    private var abandoned: Set<Int> = []
    private var waiting = 0
    /// Answers of this life are missing.
    var hasUnanswered: Bool { waiting > 0 }
    /// Came when nobody waited any more.
    private(set) var lateCount = 0
    /// What was answered as durable, by its own sequence.
    private var promised: [UInt64: Wish] = [:]
    /// Without a plan that should have been with it: dropped, and nobody was told of it.
    private(set) var unplanned: Set<UInt64> = []
    private let answers = Locked<[Answer]>([])
    private let problems: SimulationProblems
    private let disk: SimulatedDisk
    private let triggers: TriggerLedger
    private let keepsEverything: Bool
    /// Answers of a life that is over prove nothing.
    private var life = 0
    private(set) var refusedCount = 0

    init(_ problems: SimulationProblems, _ disk: SimulatedDisk, _ triggers: TriggerLedger, keepsEverything: Bool) {
        self.problems = problems
        self.disk = disk
        self.triggers = triggers
        self.keepsEverything = keepsEverything
    }

    var sequences: [UInt64] { promised.keys.sorted() }
    var count: Int { promised.count }

    func begin() {
        life += 1
        waiting = 0
    }

    /// What was asked for last, or before, is not waited for.
    func abandon(_ number: Int) { abandoned.insert(number) }

    /// Asks; the answer comes in one of the next turns. `own`: the delivery's route. `selection`: by which it was chosen, if by one.
    func redeliver(
        _ sequence: UInt64, _ act: RedeliveryAct, of own: RouteIdentity,
        for selection: RedeliveryOracle.Selection? = nil,
        _ redelivery: JournalRedelivery, reply: @escaping @Sendable (RedeliveryRequest.Answer) -> Void = { _ in }
    ) {
        let wish = wish(sequence, act, of: own)
        count(wish, 1)
        askedCount += 1
        waiting += 1
        let (answers, life, number) = (answers, life, askedCount)
        redelivery.redeliver(sequence, act) { answer in
            let item = Answer(
                sequence: sequence, wish: wish, selection: selection, number: number, answer: answer, life: life)
            answers.withLock { $0.append(item) }
            reply(answer)
        }
    }

    /// What a redelivery of `sequence` is.
    func wish(_ sequence: UInt64, _ act: RedeliveryAct, of own: RouteIdentity) -> Wish {
        var route = own
        if case .route(let other) = act { route = other }
        return Wish(origin: origin(of: sequence), route: route, plan: act.plan)
    }

    private func count(_ wish: Wish, _ change: Int) {
        if let index = wishes.firstIndex(where: { $0.wish == wish }) {
            wishes[index].count += change
        } else {
            wishes.append((wish, change))
        }
    }

    func origin(of sequence: UInt64) -> UInt64 { promised[sequence]?.origin ?? sequence }
    func route(of sequence: UInt64) -> RouteIdentity? { promised[sequence]?.route }

    private func promise(_ sequence: UInt64, _ wish: Wish) {
        let text = "\(sequence), a redelivery of \(wish.origin),"
        problems.verify(promised.updateValue(wish, forKey: sequence) == nil, "\(text) twice")
        let asked = wishes.first { $0.wish == wish }?.count ?? 0
        let count = promised.values.count { $0 == wish }
        problems.verify(count <= asked, "\(text) is there, the \(count). of \(asked) that were asked for")
    }

    // MARK: What stands for what

    enum Settlement { case settled, unsettled, either }

    /// A later redelivery that is owed, or did, what is wished. `certainly`: without those of which one may think so or not.
    func later(than sequence: UInt64, doing wish: Wish, certainly: Bool, _ history: JournalHistory) -> UInt64? {
        promised.keys.sorted().first { later in
            guard later > sequence, let other = promised[later], other.origin == wish.origin, other.route == wish.route,
                isThere(later, history)
            else { return false }
            let settlement = settlement(of: later)
            guard settlement == .settled || settlement == .either && !certainly else { return false }
            guard let wanted = wish.plan else { return other.plan == nil }
            guard let plan = triggers.entries[later]?.plan else { return other.plan == nil }
            return wanted.contains { plan.contains(EncodedPlanEntry(actionKind: $0.actionKind, target: $0.target)) }
        }
    }

    /// A segment is kept for what is owed in it while later ones go: then an original outlives the record of its redelivery, and nobody knows
    /// of that any more.
    private func isThere(_ sequence: UInt64, _ history: JournalHistory) -> Bool {
        keepsEverything || disk.reliably { (try? history.record(of: sequence)) != nil }
    }

    /// A later one of some of the plan, which may or may not stand for it.
    func hasLaterPlanned(than sequence: UInt64) -> Bool {
        promised.contains { $0.key > sequence && $0.value.origin == origin(of: sequence) && $0.value.plan != nil }
    }

    /// What was left to others came to what those came to. When one of those did it and another one did not, either may be said: what died
    /// of it is itself there as dead.
    func settlement(of sequence: UInt64) -> Settlement {
        guard let entry = triggers.entries[sequence], entry.mayBeFinal else { return .settled }
        if entry.finals.values.contains(.dead) { return .unsettled }
        if entry.finals.values.contains(.done) { return .settled }
        guard entry.finals.values.contains(.merged) else { return .unsettled }
        let ends = triggers.chain(of: sequence).compactMap { end -> Settlement? in
            guard let entry = triggers.entries[end], entry.mayBeFinal else { return .settled }
            if entry.finals.values.contains(.dead) { return .unsettled }
            if entry.finals.values.contains(.done) { return .settled }
            return entry.finals.values.contains(.ignored) ? .unsettled : nil
        }
        guard let first = ends.first else { return .settled }
        return ends.allSatisfy { $0 == first } ? first : .either
    }

    /// Looks at the answers that came. `reader` and `history` are this life's.
    func takeAnswers(_ history: JournalHistory, isStrict: Bool) {
        let new = answers.withLock { answers in
            defer { answers = [] }
            return answers
        }
        for item in new where item.life == life {
            waiting -= 1
            if abandoned.contains(item.number) { lateCount += 1 }
            check(item, history, isStrict)
        }
    }

    private func check(_ item: Answer, _ history: JournalHistory, _ isStrict: Bool) {
        let wish = item.wish
        let text = "redelivery of \(wish.origin)"
        switch item.answer {
        case .success(let sequence):
            problems.verify(sequence > wish.origin, "\(text) is \(sequence)")
            if let selection = item.selection, !selection.isAgain,
                let other = later(than: item.sequence, doing: wish, certainly: true, history)
            {
                problems.verify(false, "\(text): \(sequence) came by a selection, though \(other) is or does the same")
            }
            promise(sequence, wish)
            if let plan = wish.plan { triggers.adopt(sequence, plan) }
            let record = disk.reliably { try? history.record(of: sequence) }
            if record == nil, disk.isGone { break }
            problems.verify(record.map { isRedelivery($0, wish) } == true, "\(text): \(sequence) is something else")
            if let record { checkDurable(record) }
        case .failure(let error):
            refusedCount += 1
            // In a group that failed it may be on the disk nevertheless.
            if case .refused = error {} else { count(wish, -1) }
            switch error {
            case .unknown: problems.verify(!keepsEverything, "\(text): it is unknown")
            case .notADelivery, .invalidPlan, .invalidRoute: problems.verify(false, "\(text): \(error)")
            case .bodyNotKept: break
            case .unreadable: problems.verify(disk.hadReadFaults || disk.isGone, "\(text): \(error)")
            case .refused, .stopping: problems.verify(!isStrict, "\(text): \(error)")
            }
        }
    }

    private func isRedelivery(_ record: StoredRecord, _ wish: Wish) -> Bool {
        record.header.redeliveryOf == wish.origin && record.header.decision == .accepted
            && record.header.flags.contains(.planned) == (wish.plan != nil) && Self.route(of: record) == wish.route
    }

    private static func route(of record: StoredRecord) -> RouteIdentity? {
        record.texts.map {
            RouteIdentity(
                cluster: $0.cluster, kind: ReceiverKind(rawValue: record.header.receiverKind) ?? .hook,
                namespace: $0.namespace, name: $0.name)
        }
    }

    /// Its bytes, which are no other record's, would be there after the worst crash that can come now.
    func checkDurable(_ record: StoredRecord) {
        problems.verify(disk.holdsDurably(record.bytes), "\(record.sequence), a redelivery, is not durable")
    }

    func isPromised(_ sequence: UInt64) -> Bool { promised[sequence] != nil }

    /// Before an attempt.
    func check(_ sequence: UInt64, _ record: StoredRecord) {
        guard let wish = promised[sequence] else {
            problems.verify(false, "\(sequence) was started, which nobody was promised")
            return
        }
        problems.verify(isRedelivery(record, wish), "\(sequence), a redelivery, was started as something else")
    }

    // MARK: After a recovery

    /// What is there and nobody was told of counts from here on.
    func adopt(_ records: [UInt64: StoredRecord], _ report: RecoveryReport) {
        for sequence in report.unplanned {
            problems.verify(promised[sequence] == nil, "the plan of \(sequence), a redelivery, is lost")
            unplanned.insert(sequence)
        }
        for owed in report.owed where promised[owed.sequence] == nil {
            guard let record = records[owed.sequence], let origin = record.header.redeliveryOf else { continue }
            let plan: Plan = record.header.flags.contains(.planned) ? owed.plan : nil
            guard let route = Self.route(of: record) else { continue }
            promise(owed.sequence, Wish(origin: origin, route: route, plan: plan))
            if let plan { triggers.adopt(owed.sequence, plan) }
        }
    }

    func check(_ records: [UInt64: StoredRecord], owed: Set<UInt64>) {
        for (sequence, wish) in promised {
            let isFinal = triggers.isFinal(sequence)
            problems.verify(owed.contains(sequence) || isFinal, "\(sequence), a redelivery, is not owed")
            guard let record = records[sequence] else {
                problems.verify(!keepsEverything && !owed.contains(sequence), "\(sequence), a redelivery, is lost")
                continue
            }
            problems.verify(isRedelivery(record, wish), "\(sequence), a redelivery, became something else")
            if let original = records[wish.origin] {
                problems.verify(
                    original.head == record.head && original.body == record.body,
                    "\(sequence) is another request than \(wish.origin)")
            }
        }
    }
}
