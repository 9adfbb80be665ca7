// Redelivery: carrying a delivery out again, as a record of its own.
//
// The record is a copy, head and body included: retention may let the origin go while the copy is owed, and a reader needs to
// know nothing of the other. It is accepted, received now (so that its retries have their whole time), not deduplicated, and
// names its origin: the first one, when a redelivery is redelivered.
//
// With a plan of its own it is done as planned and not as configured. Plan and delivery then stand in one group; since a
// crash may tear that, the flag `planned` says that the one counts only with the other.

import Metrics

extension WriterCore {
    /// Adds a redelivery to the group. `pinned` must be a delivery whose body was kept; it lives with the group.
    /// `plan`, when there is one, must not be empty.
    mutating func redeliver(_ pinned: PinnedRecord, plan: [PlanEntry]?, now: UInt64) -> AppendResult {
        guard sealReason == nil, current != nil else { return refuse(.sealed) }
        let original = pinned.header
        precondition(original.type == .delivery && original.bodyLength == original.receivedBodyLength)
        let planBytes = plan.map { PlanCoding.byteCount($0) } ?? 0
        let recordBytes = Int(original.totalLength)
        guard recordBytes <= options.recordBytesMax, plan?.count ?? 0 <= PlanCoding.entriesMax,
            planBytes + JournalFormat.recordHeaderBytes + JournalFormat.recordAlignment <= options.recordBytesMax
        else { return refuse(.tooLarge) }
        guard fits(recordBytes + planBytes + JournalFormat.recordHeaderBytes + JournalFormat.recordAlignment) else {
            return refuse(.full)
        }
        guard let namespace = takeShare(pinned) else { return refuse(.namespaceShare) }

        var header = original
        header.sequence = nextSequence
        header.durableMark = 0
        header.timeUnixNanoseconds = now
        header.flags = plan == nil ? .redelivered : [.redelivered, .planned]
        header.decision = .accepted
        header.ignoredReason = 0
        header.dedupeWindowSeconds = 0
        header.dedupeHash = .none
        header.reference = original.redeliveryOf ?? original.sequence

        // Fixed part and meta are copied into the arena; head and body go to the disk from where they are pinned.
        let (offset, writer) = group.reserve(header.headOffset)
        unsafe writer.copy(pinned.reader.part(from: 0, count: header.headOffset).bytes, to: 0)
        header.encode(into: writer)
        var record = GroupRecord(
            sequence: header.sequence, type: .delivery, decision: .accepted, totalLength: recordBytes,
            arenaOffset: offset, arenaLength: header.headOffset, metaLength: Int(header.metaLength),
            timeUnixNanoseconds: now)
        record.head = pinned.reader.part(from: header.headOffset, count: Int(header.headLength))
        record.body = pinned.reader.part(
            from: header.bodyOffset, count: recordBytes - header.bodyOffset)
        record.namespace = namespace
        if let plan { record.planCount = UInt16(plan.count) }
        group.append(record)
        group.pin(pinned)
        nextSequence += 1
        if let plan {
            appendPayload(.plan, reference: header.sequence, byteCount: planBytes, time: now) { head, _ in
                PlanCoding.encode(plan, into: head)
            }
        }
        return .appended(sequence: header.sequence)
    }

    /// Counts the record as owed by its namespace, and returns that; nil when it would be over its share.
    private mutating func takeShare(_ pinned: PinnedRecord) -> UInt32? {
        guard let meta = DeliveryMeta(pinned.reader, at: 0, header: pinned.header) else { return nil }
        let namespace = namespaces.identifier(
            cluster: pinned.reader.part(from: meta.cluster.offset, count: meta.cluster.count),
            namespace: pinned.reader.part(from: meta.namespace.offset, count: meta.namespace.count))
        let bytes = UInt64(pinned.header.totalLength)
        guard namespaces.owedBytes(namespace) + bytes <= namespaceBytesMax else { return nil }
        namespaces.add(bytes, to: namespace)
        return namespace
    }
}
