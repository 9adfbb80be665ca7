// Whom a merged delivery was left to: the one it was merged into may have been merged further. What became of the last of them became of
// all, and is what filters look at.
//
// Chains may be as long as a target was busy. Each delivery of one that was followed remembers where that ended (`heir`), so that the next
// search goes on from there: a list, which goes from the newest to the oldest, follows each link once.

internal import CLinuxIO
internal import Journal
internal import Synchronization

extension DeliveryIndex {
    enum Heir: Sendable {
        case found(IndexedDelivery)
        /// It was not merged, or what it was merged into is gone.
        case none
        /// The deadline came first; what was read is kept.
        case unfinished
    }

    /// The last delivery of the chain that `delivery` was merged into, which stands for all of them.
    func heir(of delivery: IndexedDelivery, deadline: UInt64) throws(JournalError) -> Heir {
        guard delivery.isMerged else { return .none }
        let through = durableSequence()
        return try state.withLock { state throws(JournalError) in
            try state.heir(of: delivery, Reading(segments: reader.segments, through, reader, deadline))
        }
    }

    /// nil: it was not merged, or what it was merged into is gone, or was not found by `deadline`.
    func last(mergedFrom delivery: IndexedDelivery, deadline: UInt64) throws(JournalError) -> IndexedDelivery? {
        guard case .found(let last) = try heir(of: delivery, deadline: deadline) else { return nil }
        return last
    }

    /// Those that `delivery` stands for, newest first: at most `countMax`, of the `looksMax` deliveries before it, and as many as were found
    /// by `deadline`.
    func merged(
        into delivery: IndexedDelivery, countMax: Int, looksMax: Int, deadline: UInt64
    ) throws(JournalError) -> [IndexedDelivery] {
        let through = durableSequence()
        return try state.withLock { state throws(JournalError) in
            let reading = Reading(segments: reader.segments, through, reader, deadline)
            var found: [IndexedDelivery] = []
            var looks = 0
            for segment in reading.segments.reversed() where segment.baseSequence < delivery.sequence {
                guard try state.digest(segment, through, reader, deadline) else { return found }
                for earlier in state.digests[segment.number]?.deliveries.reversed() ?? []
                where earlier.sequence < delivery.sequence {
                    looks += 1
                    guard found.count < countMax, looks <= looksMax else { return found }
                    guard earlier.isMerged, case .found(let heir) = try state.heir(of: earlier, reading),
                        heir.sequence == delivery.sequence
                    else { continue }
                    found.append(earlier)
                }
                state.trim(keeping: segment.number)
            }
            return found
        }
    }

    /// What a look at the journal may read.
    struct Reading {
        let segments: [SegmentSpan]
        let through: UInt64
        let reader: JournalReader
        let deadline: UInt64

        init(segments: [SegmentSpan], _ through: UInt64, _ reader: JournalReader, _ deadline: UInt64) {
            self.segments = segments
            self.through = through
            self.reader = reader
            self.deadline = deadline
        }
    }
}

extension DeliveryIndex.State {
    /// Deliveries of one search that remember where it ended.
    private static let rememberedMax = 10_000

    mutating func heir(
        of delivery: IndexedDelivery, _ reading: DeliveryIndex.Reading
    ) throws(JournalError) -> DeliveryIndex.Heir {
        var last = delivery
        var passed: [UInt64] = []
        // Sequences only grow along a chain, so it ends.
        while last.isMerged {
            guard cl_now_monotonic() < reading.deadline else { return .unfinished }
            let next = max(last.heir, last.progress.mergedInto)
            guard let found = try known(next, reading) else { return .unfinished }
            guard let found else { break }
            if passed.count < Self.rememberedMax { passed.append(last.sequence) }
            last = found
        }
        guard last.sequence != delivery.sequence else { return .none }
        for sequence in passed { remember(last.sequence, asHeirOf: sequence, reading.segments) }
        return .found(last)
    }

    /// A delivery by its sequence: `.some(nil)`: it is gone; nil: the deadline came first.
    private mutating func known(
        _ sequence: UInt64, _ reading: DeliveryIndex.Reading
    ) throws(JournalError) -> IndexedDelivery?? {
        guard let segment = reading.segments.last(where: { $0.baseSequence <= sequence }) else {
            return .some(carried[sequence])
        }
        if let found = digests[segment.number]?.delivery(sequence) { return .some(isGone(found) ? nil : found) }
        if digests[segment.number]?.isComplete != true {
            guard try digest(segment, reading.through, reading.reader, reading.deadline) else { return nil }
            trim(keeping: segment.number)
            if let found = digests[segment.number]?.delivery(sequence) { return .some(isGone(found) ? nil : found) }
        }
        return .some(carried[sequence])
    }

    private mutating func remember(_ heir: UInt64, asHeirOf sequence: UInt64, _ segments: [SegmentSpan]) {
        guard let segment = segments.last(where: { $0.baseSequence <= sequence }),
            let place = digests[segment.number]?.place(sequence)
        else { return }
        digests[segment.number]!.deliveries[place].heir = heir
    }

    /// Whether a delivery is meant by all that the index knows; nil: the deadline came first.
    mutating func matches(
        _ delivery: IndexedDelivery, _ filter: DeliveryFilter, _ idHash: UInt64?, _ reading: DeliveryIndex.Reading
    ) throws(JournalError) -> Bool? {
        if isGone(delivery) { return false }
        if let idHash, delivery.idHash != idHash { return false }
        guard filter.matchesButOutcome(delivery, of: routes.identity(delivery.route)) else { return false }
        if delivery.matches(filter.outcomes) { return true }
        guard delivery.isMerged else { return false }
        return switch try heir(of: delivery, reading) {
        case .found(let heir): delivery.matches(filter.outcomes, through: heir)
        case .none: false
        case .unfinished: nil
        }
    }
}
