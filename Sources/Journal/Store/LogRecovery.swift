// LogRecovery: from the records of a log to what a writer must know: what is owed, which ids were seen.
//
// Records are taken in the order of their place. A delivery that was copied forward stands behind its plan and some of
// its outcomes, so these are kept by sequence until the end, whether or not their delivery has been seen; what then has
// no delivery belongs to one that is gone. A delivery that becomes final is dropped at once with all that is known of
// it: no copy of it can follow, because only owed ones are copied. So memory grows with what is open, not with the log.
//
// A delivery that was merged into another one is final only because that one stands for it. If damage took the other one before it
// was final, nobody does, and the merged one is owed again. The other's record is in the log before the outcome that names it, so what
// has to be remembered are outcomes that name a delivery which is not there.

struct LogRecovery: ~Copyable {
    private struct Delivery {
        var header: RecordHeader
        var location: RecordLocation
        // The record's meta, decoded only if the delivery is still owed at the end.
        var meta: [UInt8]
        // Lies in a kept segment, or is a copy.
        var isCarried: Bool
    }

    private struct Progress {
        var plan: [PlanEntry]?
        var actions: [ActionProgress] = []

        /// The index of the action in `actions`, made if need be.
        mutating func index(of planIndex: UInt16) -> Int {
            if let index = actions.firstIndex(where: { $0.planIndex == planIndex }) { return index }
            actions.append(ActionProgress(planIndex: planIndex))
            return actions.count - 1
        }

        var isFinal: Bool {
            if actions.contains(where: { $0.planIndex == OutcomeEntry.wholeDelivery && $0.outcome != nil }) {
                return true
            }
            guard let plan else { return false }
            return actions.count(where: { $0.outcome != nil }) >= plan.count
        }

        /// The dedupe state of a delivery that is final (as `OwedTable` sees it).
        var finalState: DedupeIndex.State {
            if actions.contains(where: { $0.outcome == .dead }) { return .removed }
            let hasEffect = actions.contains { $0.outcome == .done || $0.outcome == .merged }
            return hasEffect || plan?.isEmpty == true ? .done : .removed
        }

        var isFailing: Bool { actions.contains { $0.outcome == nil && $0.attempts > 0 } }
    }

    private struct Listed {
        var incarnation: UInt64
        var lastSequence: UInt64
        var owed: Set<UInt64>
    }

    private let checksum: Checksummer
    private var deliveries: [UInt64: Delivery] = [:]
    private var progress: [UInt64: Progress] = [:]
    private(set) var dedupe: DedupeIndex
    // What keep records list, by segment; less what is final.
    private var listed: [UInt64: Listed] = [:]
    private(set) var segments: [Segment] = []
    private(set) var kept: [Segment] = []
    private(set) var report = RecoveryReport()
    private(set) var lastSequence: UInt64 = 0
    private(set) var highestSequence: UInt64 = 0
    private var hasCopies = false
    // Outcomes `merged` into a delivery that was not there when they were read; settled in `finish`.
    private var unclaimed: [OutcomeEntry] = []
    // The deliveries that these name, and whether they became final all the same.
    private var heirs: [UInt64: Bool] = [:]

    init(checksum: Checksummer, dedupeEntriesMax: Int) {
        self.checksum = checksum
        dedupe = DedupeIndex(entriesMax: dedupeEntriesMax)
    }

    /// Takes one segment; in order of number.
    mutating func take(_ verdict: SegmentVerdict, _ reader: ByteReader) {
        report.damage += verdict.damage
        report.tornBytes += verdict.tornBytes
        report.byteCount += UInt64(verdict.fileBytes)
        highestSequence = max(highestSequence, verdict.highestSequence)
        if let last = verdict.lastSequence { lastSequence = max(lastSequence, last) }
        if let start = verdict.start {
            lastSequence = max(lastSequence, start.previousSequence)
            highestSequence = max(highestSequence, start.baseSequence - 1)
        }
        guard !verdict.isUnstarted else { return }
        report.segmentCount += 1
        report.recordCount += verdict.records.count
        var newest = verdict.start?.startedUnixNanoseconds ?? 0
        for record in verdict.records {
            newest = max(newest, record.header.timeUnixNanoseconds)
            take(record, in: verdict.number, reader)
        }
        var segment = Segment(
            number: verdict.number, incarnation: verdict.identity?.incarnation ?? 0,
            fileBytes: UInt64(verdict.fileBytes), newestUnixNanoseconds: newest,
            baseSequence: verdict.start?.baseSequence ?? 0, lastSequence: lastSequence)
        segment.holdsStart = verdict.start != nil
        segments.append(segment)
    }

    private mutating func take(_ record: ScannedRecord, in segment: UInt64, _ reader: ByteReader) {
        let header = record.header
        if header.isCopied { hasCopies = true }
        let payload = reader.part(from: record.offset + header.headOffset, count: Int(header.headLength))
        switch header.type {
        case .delivery: takeDelivery(record, in: segment, reader)
        case .plan:
            guard let entries = PlanCoding.decode(payload) else { return }
            progress[header.reference, default: Progress()].plan = entries
            settle(header.reference)
        case .outcome:
            guard let entries = OutcomeCoding.decode(payload) else { return }
            for entry in entries { take(entry) }
        case .keep:
            guard let list = KeepCoding.decode(payload) else { return }
            listed[header.reference] = Listed(
                incarnation: list.incarnation, lastSequence: list.lastSequence, owed: Set(list.sequences))
        case .probe: break
        }
    }

    /// Takes a kept segment; after all others. Of its deliveries, plans and outcomes only those that its list names count.
    mutating func takeKept(_ file: LogFile, _ scan: SegmentScan, _ reader: ByteReader) {
        let list = listed[file.number]
        // All up to the last sequence that counted when it was kept. What else is damaged in it is of no interest.
        let verdict = SegmentVerdict(
            scan: scan, number: file.number, fileBytes: Int(file.byteCount),
            nextPreviousSequence: list?.lastSequence ?? 0)
        // Also what counts no more has had its sequence.
        highestSequence = max(highestSequence, verdict.highestSequence)
        if let start = scan.start { highestSequence = max(highestSequence, start.baseSequence - 1) }
        report.segmentCount += 1
        report.byteCount += file.byteCount
        var segment = Segment(
            number: file.number, incarnation: scan.identity?.incarnation ?? 0, fileBytes: file.byteCount,
            newestUnixNanoseconds: 0, baseSequence: scan.start?.baseSequence ?? 0,
            lastSequence: list?.lastSequence ?? 0)
        segment.isKept = true
        if list == nil {
            // What is owed in it was said in a record that damage took.
            report.damage.append(
                Damage(kind: .segment, segment: file.number, offset: 0, length: Int(file.byteCount), missing: nil))
        }
        if let list, list.incarnation == segment.incarnation {
            for record in verdict.records { takeKept(record, of: list.owed, in: file.number, reader) }
        }
        for sequence in listed[file.number]?.owed.sorted() ?? [] where deliveries[sequence] == nil {
            report.damage.append(
                Damage(
                    kind: .segment, segment: file.number, offset: 0, length: Int(file.byteCount),
                    missing: sequence...sequence))
        }
        kept.append(segment)
    }

    private mutating func takeKept(
        _ record: ScannedRecord, of list: Set<UInt64>, in segment: UInt64, _ reader: ByteReader
    ) {
        let header = record.header
        switch header.type {
        case .delivery:
            guard list.contains(header.sequence), deliveries[header.sequence] == nil else { return }
            report.recordCount += 1
            takeDelivery(record, in: segment, reader)
            deliveries[header.sequence]?.isCarried = true
        case .plan:
            guard list.contains(header.reference), progress[header.reference]?.plan == nil else { return }
            take(record, in: segment, reader)
        case .outcome:
            let payload = reader.part(from: record.offset + header.headOffset, count: Int(header.headLength))
            for entry in OutcomeCoding.decode(payload) ?? [] where list.contains(entry.sequence) { take(entry) }
        case .keep, .probe: break
        }
    }

    private mutating func takeDelivery(_ record: ScannedRecord, in segment: UInt64, _ reader: ByteReader) {
        let header = record.header
        guard header.decision == .accepted || header.decision == .stored else { return }
        let wasKnown = deliveries[header.sequence] != nil
        if header.isAccepted {
            deliveries[header.sequence] = Delivery(
                header: header,
                location: RecordLocation(
                    segment: segment, offset: UInt32(record.offset), length: header.totalLength),
                meta: reader.bytes(
                    from: record.offset, count: JournalFormat.recordHeaderBytes + Int(header.metaLength)),
                isCarried: header.isCopied)
        }
        if !wasKnown, header.dedupeHash != .none, header.dedupeWindowSeconds > 0 { enterID(header) }
        settle(header.sequence)
    }

    private mutating func enterID(_ header: RecordHeader) {
        dedupe.restore(
            DedupeIndex.Entry(
                hash: header.dedupeHash, sequence: header.sequence, routeFingerprint: header.routeFingerprint,
                receivedSeconds: UInt32(truncatingIfNeeded: header.timeUnixNanoseconds / 1_000_000_000),
                windowSeconds: header.dedupeWindowSeconds, state: header.decision == .accepted ? .pending : .done,
                bodyLength: header.receivedBodyLength, bodyChecksum: header.bodyChecksum))
    }

    private mutating func take(_ entry: OutcomeEntry) {
        if entry.outcome == .merged, deliveries[entry.sequence] != nil, deliveries[entry.detail] == nil {
            unclaimed.append(entry)
            heirs[entry.detail] = heirs[entry.detail] ?? false
        } else {
            apply(entry)
        }
    }

    /// Of the merged, those count whose heir damage did not take before it was final.
    private mutating func settleUnclaimed() {
        for entry in unclaimed where deliveries[entry.sequence] != nil {
            let isLost =
                deliveries[entry.detail] == nil && heirs[entry.detail] == false
                && report.damage.contains { $0.missing?.contains(entry.detail) == true }
            if !isLost { apply(entry) }
        }
        unclaimed = []
        heirs = [:]
    }

    private mutating func apply(_ entry: OutcomeEntry) {
        var state = progress[entry.sequence] ?? Progress()
        let index = state.index(of: entry.planIndex)
        if entry.outcome.isFinal {
            if state.actions[index].outcome == nil { state.actions[index].outcome = entry.outcome }
        } else {
            state.actions[index].attempts = max(state.actions[index].attempts, max(entry.detail, 1))
        }
        state.actions[index].reason = entry.reason
        progress[entry.sequence] = state
        settle(entry.sequence)
    }

    /// Drops a delivery that is final, and tells the dedupe index what became of it.
    private mutating func settle(_ sequence: UInt64) {
        guard let state = progress[sequence] else { return }
        if state.isFinal {
            if heirs[sequence] != nil { heirs[sequence] = true }
            if let delivery = deliveries.removeValue(forKey: sequence) {
                dedupe.mark(delivery.header.dedupeHash, sequence: sequence, state.finalState)
            }
            progress[sequence] = nil
            for segment in listed.keys { listed[segment]?.owed.remove(sequence) }
        } else if let delivery = deliveries[sequence] {
            dedupe.mark(delivery.header.dedupeHash, sequence: sequence, state.isFailing ? .failing : .pending)
        }
    }

    /// The last segment's file has another size now.
    mutating func resizeLastSegment(to byteCount: UInt64) {
        guard let last = segments.indices.last else { return }
        segments[last].fileBytes = byteCount
    }

    /// Owed records that were copied forward, and where to; before `finish`.
    var moved: [(sequence: UInt64, location: RecordLocation)] {
        deliveries.values.filter { $0.header.isCopied }.map { ($0.header.sequence, $0.location) }
    }

    /// What is owed, once all segments were taken.
    mutating func finish(owed table: inout OwedTable, namespaces: inout NamespaceTable) {
        settleUnclaimed()
        for sequence in deliveries.keys.sorted() {
            guard let delivery = deliveries[sequence] else { continue }
            let state = progress[sequence] ?? Progress()
            if delivery.header.flags.contains(.planned), state.plan == nil {
                report.unplanned.append(sequence)
                continue
            }
            guard let owed = Self.owedDelivery(delivery, state) else { continue }
            report.owed.append(owed)
            enter(delivery, owed, &table, &namespaces)
        }
        // Which of them hold something is not known; each finds out before it goes.
        if hasCopies || !kept.isEmpty {
            for index in segments.indices { segments[index].holdsStateOfCopies = true }
        }
        report.dedupeEntries = dedupe.count
        deliveries = [:]
        progress = [:]
    }

    private mutating func enter(
        _ delivery: Delivery, _ owed: OwedDelivery, _ table: inout OwedTable, _ namespaces: inout NamespaceTable
    ) {
        let length = delivery.location.length
        let namespace = namespaces.identifier(cluster: owed.cluster, namespace: owed.namespace)
        namespaces.add(UInt64(length), to: namespace)
        let hasID = delivery.header.dedupeWindowSeconds > 0
        table.insert(
            OwedTable.Entry(
                sequence: owed.sequence, dedupeHash: hasID ? delivery.header.dedupeHash : .none,
                location: delivery.location, namespace: namespace, isCopied: delivery.isCarried))
        if let plan = owed.plan { _ = table.setPlan(owed.sequence, count: plan.count) }
        for action in owed.progress {
            if let outcome = action.outcome {
                _ = table.apply(outcome, to: owed.sequence, planIndex: action.planIndex)
            } else if action.attempts > 0 {
                _ = table.apply(.failed, to: owed.sequence, planIndex: action.planIndex)
            }
        }
        if let index = kept.firstIndex(where: { $0.number == delivery.location.segment }) {
            kept[index].owedCount += 1
            kept[index].owedBytes += UInt64(length)
        }
        guard let index = segments.firstIndex(where: { $0.number == delivery.location.segment }) else { return }
        segments[index].owedCount += 1
        segments[index].owedBytes += UInt64(length)
    }

    private static func owedDelivery(_ delivery: Delivery, _ state: Progress) -> OwedDelivery? {
        let header = delivery.header
        return delivery.meta.withByteReader { reader in
            guard let meta = DeliveryMeta(reader, at: 0, header: header) else { return nil }
            func text(_ field: DeliveryMeta.Field) -> String { reader.string(from: field.offset, count: field.count) }
            return OwedDelivery(
                sequence: header.sequence, location: delivery.location,
                receivedAtUnixNanoseconds: header.timeUnixNanoseconds, cluster: text(meta.cluster),
                receiverKind: header.receiverKind, namespace: text(meta.namespace), name: text(meta.name),
                senderType: header.senderType, deliveryID: text(meta.deliveryID), eventName: text(meta.eventName),
                routeFingerprint: header.routeFingerprint, plan: state.plan,
                progress: state.actions.sorted { $0.planIndex < $1.planIndex })
        }
    }
}

extension Array where Element == UInt8 {
    /// A reader over the array's bytes, for the duration of the call.
    func withByteReader<Result>(_ body: (ByteReader) -> Result) -> Result {
        unsafe withUnsafeBytes { unsafe body(ByteReader($0)) }
    }
}

extension NamespaceTable {
    mutating func identifier(cluster: String, namespace: String) -> UInt32 {
        let cluster = Array(cluster.utf8)
        let namespace = Array(namespace.utf8)
        return unsafe cluster.withUnsafeBytes { cluster in
            unsafe namespace.withUnsafeBytes { namespace in
                unsafe identifier(cluster: ByteReader(cluster), namespace: ByteReader(namespace))
            }
        }
    }
}
