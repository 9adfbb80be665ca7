// What the writer does about a segment whose file somebody took away.
//
// What is owed there stays owed: the file may be put back, and who has it open may carry its deliveries out. If it was the segment being
// written, the next one takes its place, for what is written to a file without a name is gone with the process. When the log needs the
// room that such a segment is counted for, what is owed in it is given up, as a start would: it is damage.

internal import Metrics

/// A segment that has no file any more.
public struct LostSegment: Sendable, Equatable {
    public var number: UInt64
    /// Deliveries in it that wait for a final outcome ...
    public var owedCount: Int
    /// ... the first of them and the last; 0: none.
    public var firstOwed: UInt64
    public var lastOwed: UInt64
    /// It is still written to, until the next segment is ready.
    public var isCurrent: Bool
}

extension WriterCore {
    /// nil: it is not part of the log (any more). Linear in what is owed. Between turns: with an empty group the current segment is left.
    mutating func lose(_ number: UInt64, now: UInt64) -> LostSegment? {
        let isCurrent = current?.segment.number == number
        guard
            isCurrent || kept.contains(where: { $0.number == number })
                || segments.contains(where: { $0.number == number })
        else { return nil }
        if lost.insert(number).inserted {
            metrics.damage.increment()
            areListsDue = !kept.isEmpty
        }
        if isCurrent { leaveLost(now: now) }
        var found = LostSegment(
            number: number, owedCount: 0, firstOwed: 0, lastOwed: 0, isCurrent: current?.segment.number == number)
        owed.forEach { entry in
            guard entry.location.segment == number else { return }
            found.owedCount += 1
            found.firstOwed = found.firstOwed == 0 ? entry.sequence : min(found.firstOwed, entry.sequence)
            found.lastOwed = max(found.lastOwed, entry.sequence)
        }
        return found
    }

    /// Its file is there again.
    mutating func regain(_ number: UInt64) { lost.remove(number) }

    private mutating func leaveLost(now: UInt64) {
        guard group.count == 0, sealReason == nil else { return }
        switch next {
        case .ready: try? roll(now: now)
        case .preparing: break
        // Nothing more is acknowledged before it is somewhere else.
        case .none, .blocked, .failed: seal(JournalError(JournalReader.lost))
        }
    }

    /// Gives up what is owed in a segment that is lost, so that it can go. A sender may deliver it again.
    mutating func abandon(_ number: UInt64) {
        var gone: [OwedTable.Entry] = []
        owed.forEach { if $0.location.segment == number { gone.append($0) } }
        for entry in gone {
            owed.remove(entry.sequence)
            unpin(number, bytes: entry.location.length)
            namespaces.subtract(UInt64(entry.location.length), from: entry.namespace)
            dedupe.mark(entry.dedupeHash, sequence: entry.sequence, .removed)
            if movedCount > 0, directory.movedLocation(of: entry.sequence) != nil {
                directory.forgetMove(entry.sequence)
                movedCount -= 1
            }
        }
        if let index = segments.firstIndex(where: { $0.number == number }) {
            // What it held of others' plans and outcomes is gone too.
            segments[index].holdsStateOfCopies = false
        }
    }
}
