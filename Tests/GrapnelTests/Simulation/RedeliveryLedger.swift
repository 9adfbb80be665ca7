// RedeliveryLedger: what was asked to be carried out again, over all lives of the simulated server, and what was promised for it.
//
// A redelivery that was answered is durable from then on, with its plan where it has one; it acts only afterwards, and has an end as every
// delivery has. One that was refused, or whose answer a crash took, may be there or not.

import Journal

@testable import Grapnel

/// The dispatcher's own is another.
typealias JournalRedelivery = Redelivery

final class RedeliveryLedger {
    typealias Plan = [PlanEntry]?

    private struct Wish: Equatable {
        var origin: UInt64
        var plan: Plan
    }

    private struct Answer {
        var wish: Wish
        var answer: RedeliveryRequest.Answer
        var life: Int
    }

    private var wishes: [Wish] = []
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

    func begin() { life += 1 }

    /// Asks; the answer comes in one of the next turns.
    func redeliver(_ origin: UInt64, plan: Plan, _ redelivery: JournalRedelivery) {
        let wish = Wish(origin: promised[origin]?.origin ?? origin, plan: plan)
        if !wishes.contains(wish) { wishes.append(wish) }
        let (answers, life) = (answers, life)
        redelivery.redeliver(origin, plan.map { .plan($0) } ?? .asConfigured) { answer in
            answers.withLock { $0.append(Answer(wish: wish, answer: answer, life: life)) }
        }
    }

    /// Looks at the answers that came. `reader` and `history` are this life's.
    func takeAnswers(_ history: JournalHistory, isStrict: Bool) {
        let new = answers.withLock { answers in
            defer { answers = [] }
            return answers
        }
        for item in new where item.life == life { check(item.wish, item.answer, history, isStrict) }
    }

    private func check(_ wish: Wish, _ answer: RedeliveryRequest.Answer, _ history: JournalHistory, _ isStrict: Bool) {
        let text = "redelivery of \(wish.origin)"
        switch answer {
        case .success(let sequence):
            problems.verify(sequence > wish.origin, "\(text) is \(sequence)")
            problems.verify(promised.updateValue(wish, forKey: sequence) == nil, "\(text): \(sequence) twice")
            if let plan = wish.plan { triggers.adopt(sequence, plan) }
            let record = disk.reliably { try? history.record(of: sequence) }
            if record == nil, disk.isGone { break }
            problems.verify(record.map { isRedelivery($0, wish) } == true, "\(text): \(sequence) is something else")
            if let record { checkDurable(record) }
        case .failure(let error):
            refusedCount += 1
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
            && record.header.flags.contains(.planned) == (wish.plan != nil)
    }

    /// Its bytes, which are no other record's, would be there after the worst crash that can come now.
    func checkDurable(_ record: StoredRecord) {
        problems.verify(disk.holdsDurably(record.bytes), "\(record.sequence), a redelivery, is not durable")
    }

    /// Before an attempt.
    func isPromised(_ sequence: UInt64) -> Bool { promised[sequence] != nil }

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
            let wish = Wish(origin: origin, plan: plan)
            problems.verify(wishes.contains(wish), "\(owed.sequence) redelivers what nobody asked for")
            promised[owed.sequence] = wish
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
