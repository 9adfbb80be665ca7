// AdoptionGroup: deliveries of another journal, or of an archive, on their way into this one.
//
// Two commits: a plan goes to the log only when its delivery is there. If the first fails, its sequences may be given out
// again, and a plan that names one would be another delivery's. Then the ledger, in which only what is owed has a line.
// A plan without which its delivery does not count goes with it, and is taken back with it.

import CLinuxIO
import Journal

struct AdoptionGroup {
    /// What was planned for a delivery and what of that is done.
    struct History {
        var plan: [PlanEntry]?
        var plannedAtUnixNanoseconds: UInt64
        /// When it was durable where it was received; 0: not known.
        var durableAtUnixNanoseconds: UInt64 = 0
        var outcomes: [(entry: OutcomeEntry, timeUnixNanoseconds: UInt64)] = []

        /// The plan that must be in one group with `record`; nil: it has none of its own. What is left follows it.
        mutating func takeOwnPlan(
            of record: StoredRecord
        ) -> (entries: [PlanEntry], timeUnixNanoseconds: UInt64)? {
            guard record.header.flags.contains(.planned), let plan else { return nil }
            self.plan = nil
            return (plan, plannedAtUnixNanoseconds)
        }
    }

    private struct Member {
        var origin: RecordOrigin
        var sequence: UInt64
        var history: History
        var isOwed: Bool
    }

    /// Records of one group, and their bytes.
    private static let recordsMax = 256
    private static let bytesMax = 4 << 20

    private var members: [Member] = []

    var origins: [RecordOrigin] { members.map(\.origin) }

    func isFull(_ writer: JournalWriter) -> Bool {
        members.count >= Self.recordsMax || writer.groupBytes >= Self.bytesMax
    }

    /// Of a delivery that `writer` has just taken.
    mutating func add(_ origin: RecordOrigin, under sequence: UInt64, _ history: History, isOwed: Bool = true) {
        members.append(Member(origin: origin, sequence: sequence, history: history, isOwed: isOwed))
    }

    /// Makes all of it durable; how many deliveries are, and why it ended early.
    mutating func commit(_ writer: JournalWriter, _ ledger: inout AdoptionLedger) -> (adopted: Int, stopped: String?) {
        defer { members = [] }
        guard writer.groupRecordCount > 0 else { return (0, nil) }
        if case .failed(let error) = writer.commit(now: cl_now_realtime()) { return (0, error.message) }
        for member in members { Self.append(member.history, under: member.sequence, writer) }
        if writer.groupRecordCount > 0, case .failed(let error) = writer.commit(now: cl_now_realtime()) {
            return (members.count, error.message)
        }
        return (members.count, ledger.add(members.filter(\.isOwed).map(\.origin)))
    }

    static func append(_ history: History, under sequence: UInt64, _ writer: JournalWriter) {
        if let plan = history.plan {
            let planned = history.plannedAtUnixNanoseconds
            writer.appendPlan(
                sequence: sequence, entries: plan,
                details: PlanDetails(
                    plannedUnixNanoseconds: planned, durableUnixNanoseconds: history.durableAtUnixNanoseconds),
                now: planned)
        }
        // One record for what was said at one time.
        var rest = history.outcomes[...]
        while let first = rest.first {
            let together = rest.prefix { $0.timeUnixNanoseconds == first.timeUnixNanoseconds }
            writer.appendOutcomes(
                together.map { item in
                    var entry = item.entry
                    entry.sequence = sequence
                    return entry
                }, now: first.timeUnixNanoseconds)
            rest = rest.dropFirst(together.count)
        }
    }
}
