// JournalAdoption: takes what a journal owes into another one, each delivery once.
//
//   read the old journal ──> leave out what is here ──> append, plan, outcomes ──> commit ──> ledger
//                                    ^                                               │
//                                    └── origins in the records, and in the ledger <─┘
//
// A delivery keeps its time, its id, its request, what was planned for it and what of that is done. A run that is cut off
// anywhere is repeated as a whole: what it had made durable says where it came from. A delivery whose plan and outcomes were
// cut off is given them then. The old journal is only read.

import CCrypto
import CLinuxIO
import Foundation
import Journal

struct JournalAdoption {
    struct Result {
        var adopted = 0
        /// Here before: adopted by an earlier run, or received here.
        var known = 0
        /// What cannot be read or taken, one line each, damage included.
        var lost: [String] = []
        /// Why it ended early; nil: all was looked at.
        var stopped: String?
        /// Still to be adopted when it ended early.
        var remaining = 0
    }

    let source: JournalSurvey
    /// What is already here; nil: an empty journal.
    let target: JournalSurvey?
    /// The name of the journal that adopts.
    let targetJournal: UInt64?
    var ledger: AdoptionLedger

    /// A delivery that is to be adopted.
    struct Heir {
        var delivery: OwedDelivery
        var record: StoredRecord
        var origin: RecordOrigin
    }

    private enum Finding {
        case new(Heir)
        /// Here, as an adopted record of this sequence.
        case held(RecordOrigin, sequence: UInt64)
        /// Received here, or adopted and gone.
        case known
        case lost(String)
    }

    private func look(_ delivery: OwedDelivery) -> Finding {
        let name = "#\(delivery.sequence) (\(Self.route(delivery)))"
        let record: StoredRecord
        do throws(JournalError) {
            record = try source.record(of: delivery)
        } catch {
            return .lost("\(name) cannot be read: \(error.message)")
        }
        guard let origin = source.origin(of: record) else {
            return .lost("\(name) cannot be told from others: no segment header can be read")
        }
        if origin.journal == targetJournal { return .known }
        if let sequence = target?.adopted[origin] { return .held(origin, sequence: sequence) }
        return ledger.contains(origin) ? .known : .new(Heir(delivery: delivery, record: record, origin: origin))
    }

    /// What `run` would do, without doing it.
    func preview(_ show: (Heir) -> Void) -> Result {
        var result = Result(lost: source.damageLines)
        for delivery in source.owed {
            switch look(delivery) {
            case .new(let heir):
                result.adopted += 1
                show(heir)
            case .known, .held: result.known += 1
            case .lost(let line): result.lost.append(line)
            }
        }
        return result
    }

    /// Adopts. `progress` hears how many were looked at.
    mutating func run(into writer: JournalWriter, progress: (Int) -> Void) -> Result {
        var result = Result(lost: source.damageLines)
        let here = Dictionary((target?.owed ?? []).map { ($0.sequence, $0) }, uniquingKeysWith: { first, _ in first })
        var group = AdoptionGroup()
        // A run that was cut off may not have come to its line in the ledger.
        var held: [RecordOrigin] = []
        for (index, delivery) in source.owed.enumerated() {
            switch look(delivery) {
            case .lost(let line): result.lost.append(line)
            case .known: result.known += 1
            case .held(let origin, let sequence):
                result.known += 1
                held.append(origin)
                if let known = here[sequence] {
                    complete(known, by: delivery, writer)
                } else if target?.unplanned.contains(sequence) == true, !ledger.contains(origin) {
                    AdoptionGroup.append(history(delivery), under: sequence, writer)
                }
            case .new(let heir):
                var history = history(delivery)
                let plan = history.takeOwnPlan(of: heir.record)
                switch writer.adopt(heir.record, from: heir.origin, plan: plan) {
                case .appended(let sequence):
                    group.add(heir.origin, under: sequence, history)
                case .duplicate: preconditionFailure("an adopted delivery is not deduplicated")
                case .refused(.tooLarge):
                    result.lost.append(
                        "#\(delivery.sequence) (\(Self.route(delivery))) is longer than half a segment of this journal")
                case .refused(let reason):
                    result.stopped = Self.text(reason, writer)
                }
            }
            if result.stopped != nil || group.isFull(writer) || index == source.owed.count - 1 {
                let (adopted, stopped) = group.commit(writer, &ledger)
                result.adopted += adopted
                result.stopped = stopped ?? result.stopped
                progress(index + 1)
            }
            if result.stopped != nil {
                result.remaining =
                    source.owed.count - result.adopted - result.known - result.lost.count
                    + source.damage.count
                break
            }
        }
        if let trouble = ledger.add(held) { result.stopped = result.stopped ?? trouble }
        return result
    }

    /// What counts is what the survey found; when it was, and what else is told of it, the log says.
    private func history(_ delivery: OwedDelivery) -> AdoptionGroup.History {
        let now = cl_now_realtime()
        let story = delivery.plan == nil ? nil : (try? source.history.story(of: delivery.sequence)).flatMap { $0 }
        return AdoptionGroup.History(
            plan: delivery.plan, plannedAtUnixNanoseconds: story?.plannedAtUnixNanoseconds ?? now,
            durableAtUnixNanoseconds: story?.durableAtUnixNanoseconds ?? 0,
            outcomes: Self.outcomes(delivery.progress, delivery.sequence).map { entry in
                let told = story?.events.last { $0.planIndex == entry.planIndex && $0.outcome == entry.outcome }
                var entry = entry
                entry.details = told?.details
                return (entry, told?.timeUnixNanoseconds ?? now)
            })
    }

    /// An earlier run may have been cut off between a delivery and its plan.
    private func complete(_ known: OwedDelivery, by delivery: OwedDelivery, _ writer: JournalWriter) {
        let now = cl_now_realtime()
        if known.plan == nil, let plan = delivery.plan {
            writer.appendPlan(sequence: known.sequence, entries: plan, now: now)
        } else if known.plan != delivery.plan {
            // Planned anew here: the indexes are not the same.
            return
        }
        let missing = delivery.progress.filter { old in
            guard let new = known.progress.first(where: { $0.planIndex == old.planIndex }) else { return true }
            return new.outcome == nil && (old.outcome != nil || old.attempts > new.attempts)
        }
        writer.appendOutcomes(Self.outcomes(missing, known.sequence), now: now)
    }

    private static func outcomes(_ progress: [ActionProgress], _ sequence: UInt64) -> [OutcomeEntry] {
        progress.compactMap { action in
            if let outcome = action.outcome {
                return OutcomeEntry(
                    sequence: sequence, planIndex: action.planIndex, outcome: outcome, reason: action.reason)
            }
            guard action.attempts > 0 else { return nil }
            return OutcomeEntry(
                sequence: sequence, planIndex: action.planIndex, outcome: .failed, detail: action.attempts,
                reason: action.reason)
        }
    }

    static func text(_ reason: RefusalReason, _ writer: JournalWriter) -> String {
        switch reason {
        case .full: writer.roomProblem.message
        default: writer.refusalReason?.message ?? "the journal refuses: \(reason.rawValue)"
        }
    }

    static func route(_ delivery: OwedDelivery) -> String {
        let kind = JournalCommand.receiverKind(delivery.receiverKind)
        let route = Plain.text("\(kind)/\(delivery.namespace)/\(delivery.name)")
        return delivery.cluster == "local" ? route : "\(Plain.text(delivery.cluster)):\(route)"
    }
}
