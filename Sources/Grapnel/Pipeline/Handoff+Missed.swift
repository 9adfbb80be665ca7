// Handoff+Missed: deliveries whose hints were lost, read on from the journal.
//
// Where the journal cannot be read, that place becomes a range of its own, which is followed again after a while, longer after each
// failure; what lies behind it goes on. So a delivery from there comes after younger ones, once.

internal import Journal
internal import Logging
internal import Trigger

extension Handoff {
    /// Deliveries that were not handed over.
    struct MissedRange {
        /// The first of them.
        var next: UInt64
        var through: UInt64
        /// Where the last one lies that was handed over.
        var place: RecordLocation?
        /// The segment that could not be read when it was followed last.
        var unreadSegment: UInt64?
        /// Failures since it went on.
        var tries = 0
        /// 0 before the first failure.
        var due: UInt64 = 0
    }

    /// Ranges that are known one by one, 72 bytes each. What lies behind a place that cannot be read waits with it when there are more.
    static let missedMax = 4_096

    /// Reads on from the journal, as much as there is room for: of what could not be read before, or of the rest, which comes before later
    /// hints. True when something was missed and is not to wait.
    func followMissed(_ progress: inout Progress, wasUnread: Bool) -> Bool {
        guard !progress.missed.isEmpty else { return false }
        let now = clock.monotonic()
        let due = progress.missed.firstIndex { $0.due <= now && ($0.unreadSegment != nil) == wasUnread }
        guard let index = due else { return false }
        var missed = progress.missed.remove(at: index)
        var batch = Batch()
        let room = room
        // What of it is still to come.
        var left: [MissedRange] = []
        var failure: UnreadablePlace?
        do throws(UnreadablePlace) {
            var isLeft = false
            try reader.follow(from: missed.next, through: missed.through, after: missed.place) { record in
                missed.next = record.sequence + 1
                missed.place = record.location
                missed.tries = 0
                if record.header.decision == .accepted { take(record, at: record.location, into: &batch) }
                isLeft = batch.count >= room
                return !isLeft
            }
            if isLeft, missed.next <= missed.through { left = [missed] }
        } catch {
            failure = error
            left = missed.parted(by: error, now: now, isBehindApart: progress.missed.count + 2 <= Self.missedMax)
        }
        hand(&batch)
        report(missed.unreadSegment, failure, left + progress.missed)
        progress.missed.insert(contentsOf: left, at: index)
        return true
    }

    /// One line when a segment cannot be followed, and one when nothing more is missed there. `all` has what is missed now.
    private func report(_ before: UInt64?, _ failure: UnreadablePlace?, _ all: [MissedRange]) {
        if let failure, failure.segment != before, all.count(where: { $0.unreadSegment == failure.segment }) == 1 {
            logger.error(
                "a place in the journal cannot be followed: what was missed there is tried again, what lies behind it goes on",
                metadata: [
                    "segment": "\(failure.segment)", "sequences": "\(failure.from)-\(failure.through)",
                    "error": "\(failure.cause.message)",
                ])
        }
        if let before, !all.contains(where: { $0.unreadSegment == before }) {
            logger.notice("what was missed at a place in the journal could be read", metadata: ["segment": "\(before)"])
        }
    }
}

extension Handoff.MissedRange {
    /// The place that could not be read, and what lies behind it. Not apart, both wait as one.
    fileprivate func parted(by place: UnreadablePlace, now: UInt64, isBehindApart: Bool) -> [Self] {
        guard next <= through else { return [] }
        var unread = self
        // What lies before it was handed over.
        unread.next = max(next, min(place.from, through))
        unread.unreadSegment = place.segment
        unread.due = now &+ RereadDelay.nanoseconds(tries)
        unread.tries = tries + 1
        guard isBehindApart, place.through < through else { return [unread] }
        unread.through = max(unread.next, place.through)
        guard unread.through < through else { return [unread] }
        return [unread, Self(next: unread.through + 1, through: through)]
    }
}
