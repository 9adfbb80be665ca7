// DeliveryIndex: the journal's deliveries, newest first, for those who ask.
//
//   list ──> [digest of the newest segment] [digest] [digest] …   made when they are asked for, from headers alone
//                                                                 kept up to `deliveriesMax` in all, the least used go first
//
// Nothing is fed from the way of a delivery: while nobody asks, the index costs nothing. A digest of a segment that is complete never
// changes but for outcomes, which later segments add; the one of the segment being written is read on from where it ended. What later
// segments say of deliveries in earlier ones is kept by sequence (`late`), so that an earlier segment may be read after them. Before a
// delivery's state is told, every later segment was read once; that, and a list whose filter finds little, is bounded by a deadline:
// the answer then has fewer entries, perhaps none, and a cursor from which it goes on.
//
// Decision record 0009 says why.

internal import CLinuxIO
internal import Delivery
internal import Journal
internal import Synchronization

final class DeliveryIndex: Sendable {
    /// Deliveries kept in memory, about 100 bytes each.
    static let deliveriesMax = 200_000
    /// Deliveries of which a later segment speaks, and owed ones that were carried forward.
    private static let lateMax = 100_000

    struct Page: Sendable {
        var deliveries: [IndexedDelivery] = []
        /// nil: there are no more.
        var next: PageCursor?
        /// Deliveries looked at.
        var examined = 0
    }

    let reader: JournalReader
    let durableSequence: @Sendable () -> UInt64
    let state: Mutex<State>

    init(reader: JournalReader, durableSequence: @escaping @Sendable () -> UInt64) {
        self.reader = reader
        self.durableSequence = durableSequence
        state = Mutex(State())
    }

    /// Deliveries below the cursor that match, newest first. `isMeant` is asked last, and may read the record. Stops at `deadline`
    /// (nanoseconds of the monotonic clock). Throws when the disk cannot be read.
    func page(
        _ filter: DeliveryFilter, before cursor: PageCursor?, limit: Int, deadline: UInt64,
        isMeant: (IndexedDelivery) -> Bool = { _ in true }
    ) throws(JournalError) -> Page {
        let through = durableSequence()
        return try state.withLock { state throws(JournalError) in
            var page = Page()
            var before = min(cursor?.before ?? .max, through &+ 1)
            let idHash = filter.deliveryID.map(Self.hash)
            let segments = reader.segments
            let reading = Reading(segments: segments, through, reader, deadline)
            state.forget(all: segments)
            for segment in segments.reversed() {
                if segment.baseSequence >= before, state.isHeard(segment) { continue }
                guard try state.digest(segment, through, reader, deadline) else {
                    page.next = PageCursor(before: before)
                    return page
                }
                guard segment.baseSequence < before, let digest = state.digests[segment.number] else { continue }
                for delivery in digest.deliveries.reversed() where delivery.sequence < before {
                    if Self.isOlder(delivery, than: filter) {
                        page.examined += 1
                        return page
                    }
                    let isEnough = try look(at: delivery, filter, idHash, limit, reading, &page, &state, isMeant)
                    if isEnough { return page }
                    before = delivery.sequence
                }
                state.trim(keeping: segment.number)
            }
            // What is owed and older than every segment was carried forward.
            for delivery in state.carried.values.sorted(by: { $0.sequence > $1.sequence })
            where delivery.sequence < before {
                let isEnough = try look(at: delivery, filter, idHash, limit, reading, &page, &state, isMeant)
                if isEnough { return page }
                before = delivery.sequence
            }
            return page
        }
    }

    /// Takes one delivery into a page if it is meant. True: the page ends, and says where the next one begins.
    private func look(
        at delivery: IndexedDelivery, _ filter: DeliveryFilter, _ idHash: UInt64?, _ limit: Int, _ reading: Reading,
        _ page: inout Page, _ state: inout State, _ isMeant: (IndexedDelivery) -> Bool
    ) throws(JournalError) -> Bool {
        guard let isMatch = try state.matches(delivery, filter, idHash, reading) else {
            // It is looked at again.
            page.next = PageCursor(before: delivery.sequence + 1)
            return true
        }
        page.examined += 1
        guard isMatch, isMeant(delivery) else {
            guard page.examined % 64 == 0, cl_now_monotonic() >= reading.deadline else { return false }
            page.next = PageCursor(before: delivery.sequence)
            return true
        }
        page.deliveries.append(delivery)
        guard page.deliveries.count == limit else { return false }
        page.next = PageCursor(before: delivery.sequence)
        return true
    }

    enum Search: Sendable {
        /// With the last segment that speaks of it.
        case found(IndexedDelivery, lastSegment: UInt64)
        case unknown
        /// The deadline came first; what was read is kept.
        case unfinished
    }

    func find(_ sequence: UInt64, deadline: UInt64) throws(JournalError) -> Search {
        let through = durableSequence()
        guard sequence <= through else { return .unknown }
        return try state.withLock { state throws(JournalError) in
            let segments = reader.segments
            state.forget(all: segments)
            for segment in segments.reversed() {
                if segment.baseSequence > sequence, state.isHeard(segment) { continue }
                guard try state.digest(segment, through, reader, deadline) else { return .unfinished }
                guard segment.baseSequence <= sequence else { continue }
                if let found = state.digests[segment.number]?.delivery(sequence) {
                    state.trim(keeping: segment.number)
                    if state.isGone(found) { return .unknown }
                    return .found(found, lastSegment: state.lastSegment(of: found))
                }
            }
            guard let found = state.carried[sequence], !state.isGone(found) else { return .unknown }
            return .found(found, lastSegment: state.lastSegment(of: found))
        }
    }

    func route(_ delivery: IndexedDelivery) -> RouteIdentity? { state.withLock { $0.routes.identity(delivery.route) } }

    /// FNV-1a over the id: a filter's quick look; the id itself is compared on the disk.
    static func hash(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }

    /// The clock may have been set back between two deliveries: by less than this.
    static let clockStep: UInt64 = 3_600_000_000_000

    /// Whether nothing before it can be meant. One that was taken over says nothing: it keeps its time under a new sequence.
    private static func isOlder(_ delivery: IndexedDelivery, than filter: DeliveryFilter) -> Bool {
        guard let since = filter.since, !delivery.flags.contains(.adopted) else { return false }
        return delivery.received &+ clockStep < since
    }
}

extension DeliveryIndex {
    /// Routes by number, so that a delivery needs four bytes for its own.
    struct RouteNames {
        private var numbers: [RouteIdentity: UInt32] = [:]
        private var identities: [RouteIdentity] = []
        private var last: (texts: RecordTexts, kind: UInt8, number: UInt32)?

        mutating func number(_ texts: RecordTexts, kind: UInt8) -> UInt32 {
            if let last, last.kind == kind, last.texts.name == texts.name, last.texts.namespace == texts.namespace,
                last.texts.cluster == texts.cluster
            {
                return last.number
            }
            let identity = RouteIdentity(
                cluster: texts.cluster, kind: ReceiverKind(rawValue: kind) ?? .hook, namespace: texts.namespace,
                name: texts.name)
            let number =
                numbers[identity]
                ?? {
                    identities.append(identity)
                    return UInt32(identities.count - 1)
                }()
            numbers[identity] = number
            last = (texts, kind, number)
            return number
        }

        /// nil: no delivery of it was read.
        func number(of identity: RouteIdentity) -> UInt32? { numbers[identity] }

        func identity(_ number: UInt32) -> RouteIdentity? {
            Int(number) < identities.count ? identities[Int(number)] : nil
        }
    }

    /// What one segment holds.
    struct Digest {
        /// Ascending.
        var deliveries: [IndexedDelivery] = []
        var nextOffset: UInt32 = JournalReader.firstRecordOffset
        var isComplete = false
        var usedAt: UInt64 = 0

        func place(_ sequence: UInt64) -> Int? {
            var low = 0
            var high = deliveries.count
            while low < high {
                let middle = (low + high) / 2
                if deliveries[middle].sequence < sequence { low = middle + 1 } else { high = middle }
            }
            return low < deliveries.count && deliveries[low].sequence == sequence ? low : nil
        }

        func delivery(_ sequence: UInt64) -> IndexedDelivery? { place(sequence).map { deliveries[$0] } }
    }

    struct State {
        var digests: [UInt64: Digest] = [:]
        var routes = RouteNames()
        /// By sequence: owed ones that were copied out of a segment that may be gone.
        var carried: [UInt64: IndexedDelivery] = [:]
        var latest = LatestByRoute()
        var reasons = ReasonTexts()
        /// By sequence: what later segments said.
        private var late: [UInt64: Late] = [:]
        /// How far each segment was read for `late`.
        private var readTo: [UInt64: UInt32] = [:]
        /// Complete segments that were read to their end.
        private var heard: Set<UInt64> = []
        private var oldest: UInt64 = 0
        private var clock: UInt64 = 0

        /// By segment: the latest list of what is owed in it.
        private var kept: [UInt64: Kept] = [:]

        private struct Kept {
            /// The sequence of the record that says so.
            var said: UInt64
            var owed: Set<UInt64>
        }

        private struct Late {
            var progress = DeliveryProgress()
            var lastSegment: UInt64 = 0
        }

        func isHeard(_ segment: SegmentSpan) -> Bool { heard.contains(segment.number) }

        func lastSegment(of delivery: IndexedDelivery) -> UInt64 {
            max(delivery.segment, late[delivery.sequence]?.lastSegment ?? 0)
        }

        /// Drops what is known of segments that are gone.
        mutating func forget(all segments: [SegmentSpan]) {
            guard let first = segments.first, first.number != oldest else { return }
            oldest = first.number
            let numbers = Set(segments.map(\.number))
            digests = digests.filter { numbers.contains($0.key) }
            readTo = readTo.filter { numbers.contains($0.key) }
            heard = heard.filter { numbers.contains($0) }
            carried = carried.filter { numbers.contains($0.value.segment) }
            kept = kept.filter { numbers.contains($0.key) }
            late = late.filter { $0.key >= first.baseSequence || carried[$0.key] != nil }
            latest.keep { numbers.contains($0) }
        }

        /// Brings the digest of a segment up to date. False when the deadline came first.
        mutating func digest(
            _ segment: SegmentSpan, _ through: UInt64, _ reader: JournalReader, _ deadline: UInt64
        ) throws(JournalError) -> Bool {
            clock += 1
            if var known = digests[segment.number] {
                known.usedAt = clock
                digests[segment.number] = known
                if known.isComplete { return true }
            }
            var digest = digests.removeValue(forKey: segment.number) ?? Digest(usedAt: clock)
            digest.usedAt = clock
            let readTo = readTo[segment.number] ?? 0
            var isInTime = true
            var count = 0
            let end = try reader.glance(over: segment, from: digest.nextOffset, through: through) { record in
                take(record, &digest, isNew: record.location.offset >= readTo)
                count += 1
                if count % 256 == 0 { isInTime = cl_now_monotonic() < deadline }
                return isInTime
            }
            guard let end else {
                // Its file was taken for something else.
                self.readTo[segment.number] = nil
                return true
            }
            digest.nextOffset = end
            digest.isComplete = isInTime && segment.lastSequence != nil
            if digest.isComplete { heard.insert(segment.number) }
            self.readTo[segment.number] = max(readTo, end)
            digests[segment.number] = digest
            return isInTime
        }

        private mutating func take(_ record: GlancedRecord, _ digest: inout Digest, isNew: Bool) {
            switch record.header.type {
            case .delivery:
                guard let texts = record.texts,
                    var delivery = IndexedDelivery(
                        record, route: routes.number(texts, kind: record.header.receiverKind),
                        idHash: texts.deliveryID.isEmpty ? 0 : DeliveryIndex.hash(texts.deliveryID))
                else { return }
                if let said = late[delivery.sequence] { delivery.progress.add(said.progress) }
                latest.take(delivery)
                if record.header.isCopied {
                    if carried.count < DeliveryIndex.lateMax { carried[delivery.sequence] = delivery }
                } else if delivery.sequence > digest.deliveries.last?.sequence ?? 0 {
                    digest.deliveries.append(delivery)
                }
            case .plan:
                let count = UInt16(clamping: record.plan?.count ?? 0)
                note(record.header.reference, record, &digest, isNew) { $0.planCount = count }
            case .outcome:
                for entry in record.outcomes ?? [] {
                    let reason = entry.outcome == .ignored ? reasons.number(entry.reason) : 0
                    note(entry.sequence, record, &digest, isNew) { progress in
                        progress.take(entry)
                        if reason != 0 { progress.reason = reason }
                    }
                }
            case .keep:
                guard let list = record.keptSegment, record.sequence > kept[list.number]?.said ?? 0 else { return }
                kept[list.number] = Kept(said: record.sequence, owed: Set(list.owed))
            case .probe: break
            }
        }

        /// Of a segment that was kept only what is owed counts: what became of the others was said in segments that may go before it, and
        /// without that they would seem to be owed. Right once every later segment was heard.
        func isGone(_ delivery: IndexedDelivery) -> Bool {
            guard delivery.state == .owed || delivery.state == .failed, let list = kept[delivery.segment] else {
                return false
            }
            return !list.owed.contains(delivery.sequence)
        }

        /// Something was said of a delivery: of this segment, or of an earlier one.
        private mutating func note(
            _ sequence: UInt64, _ record: GlancedRecord, _ digest: inout Digest, _ isNew: Bool,
            _ change: (inout DeliveryProgress) -> Void
        ) {
            if isNew { latest.change(sequence, change) }
            if let place = digest.place(sequence) {
                change(&digest.deliveries[place].progress)
                return
            }
            // Heard before this digest was made again: `late` has it.
            guard isNew else { return }
            if late.count >= DeliveryIndex.lateMax, late[sequence] == nil, let oldest = late.keys.min() {
                late[oldest] = nil
            }
            change(&late[sequence, default: Late()].progress)
            late[sequence]!.lastSegment = max(late[sequence]!.lastSegment, record.location.segment)
            if carried[sequence] != nil { change(&carried[sequence]!.progress) }
            for number in digests.keys {
                guard let place = digests[number]?.place(sequence) else { continue }
                change(&digests[number]!.deliveries[place].progress)
            }
        }

        /// Lets digests go, the least used first.
        mutating func trim(keeping number: UInt64) {
            var total = digests.values.reduce(0) { $0 + $1.deliveries.count }
            while total > DeliveryIndex.deliveriesMax, digests.count > 1 {
                guard
                    let oldest = digests.filter({ $0.key != number && $0.value.isComplete })
                        .min(by: { $0.value.usedAt < $1.value.usedAt })
                else { return }
                total -= oldest.value.deliveries.count
                digests[oldest.key] = nil
            }
        }
    }
}
