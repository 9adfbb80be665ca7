// CommitPath: how a loop hands deliveries to the journal. Two modes behind one face (DESIGN: two commit modes).
//
//   inline  the loop writes and syncs at the end of its turn: one loop, a fast disk
//   lane    the journal's thread does, for several loops or a slow disk
//
// An inline loop changes to the lane, once, when the median sync of the last second exceeds a millisecond: then other requests would
// wait for the disk that need not.

internal import Synchronization
internal import CLinuxIO
internal import Delivery
internal import Journal

/// A loop's way to the journal.
enum CommitPath {
    /// Above this the loop must not wait for the disk itself.
    static let inlineSyncNanosecondsMax: UInt64 = 1_000_000

    /// `fallback` is not started yet.
    case inline(JournalDesk, fallback: JournalLane)
    case lane(JournalLane)

    /// Whether a delivery would be taken at all now; what is refused needs no body.
    var isAccepting: Bool {
        switch self {
        case .inline(let desk, _): desk.isAccepting
        case .lane(let lane): lane.thread.desk.isAcceptingFlag.load(ordering: .relaxed)
        }
    }

    /// How long a turn may wait for events.
    var patienceMilliseconds: Int32 {
        switch self {
        case .inline(let desk, _): desk.mailbox.isEmpty ? 1000 : 200
        case .lane: 1000
        }
    }
}

extension Verdict {
    /// What the journal said of an append; valid once its group is durable.
    mutating func take(_ result: AppendResult, of append: DeliveryAppend, ignoredReason: UInt8) {
        switch result {
        case .appended(let sequence):
            self.sequence = sequence
            switch append.decision {
            case .ignored:
                self.result = .ignored
                self.ignoredReason = IgnoredReason(rawValue: ignoredReason) ?? .eventNotListed
            case .stored: self.result = .stored
            default: self.result = .accepted
            }
        case .duplicate(_, let sequence):
            self.sequence = sequence
            self.result = .duplicate
        case .refused: self.result = .unavailable
        }
    }
}
