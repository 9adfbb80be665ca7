// Taking over a delivery that another journal received. Not on the way of a delivery: the record is copied.
//
// A redelivery with a plan of its own stays one: it is done as planned, here too, and never as this server is configured. Its plan
// goes in the same group, and where a crash tore that, the flag `planned` says that the one counts only with the other.

import Metrics

extension WriterCore {
    /// Adds a delivery of another journal to the group, under the next sequence, with the time at which it was received.
    /// Neither deduplicated nor held to its namespace's share: it is owed already, somewhere. `isConcluded`: it is final, and
    /// never owed here; its plan and outcomes follow as its history.
    mutating func adopt(
        _ record: StoredRecord, from origin: RecordOrigin, isConcluded: Bool,
        plan: (entries: [PlanEntry], timeUnixNanoseconds: UInt64)?
    ) -> AppendResult {
        guard sealReason == nil, current != nil else { return refuse(.sealed) }
        var header = record.header
        guard header.type == .delivery, Int(header.totalLength) == record.bytes.count,
            record.bytes.count <= options.recordBytesMax
        else { return refuse(.tooLarge) }
        let planBytes = plan.map { PlanCoding.byteCount($0.entries) } ?? 0
        let planRecordBytes =
            plan == nil ? 0 : planBytes + JournalFormat.recordHeaderBytes + JournalFormat.recordAlignment
        guard planRecordBytes <= options.recordBytesMax, plan?.entries.count ?? 0 <= PlanCoding.entriesMax else {
            return refuse(.tooLarge)
        }
        guard fits(record.bytes.count + planRecordBytes) else { return refuse(.full) }
        header.sequence = nextSequence
        header.durableMark = 0
        let earlierReference = header.flags.contains(.adopted) ? header.dedupeHash.high : header.reference
        header.flags = header.flags.intersection([.sameIDOtherBody, .redelivered, .planned]).union(.adopted)
        if isConcluded { header.flags.insert(.concluded) }
        header.dedupeWindowSeconds = 0
        header.dedupeHash = DedupeHash(low: origin.journal, high: earlierReference)
        header.reference = origin.sequence

        let (offset, writer) = group.reserve(record.bytes.count)
        // Sound: the arena has room for the whole record.
        unsafe record.bytes.withUnsafeBytes { unsafe writer.copy($0, to: 0) }
        header.encode(into: writer)
        var added = GroupRecord(
            sequence: nextSequence, type: .delivery, decision: header.decision, totalLength: record.bytes.count,
            arenaOffset: offset, arenaLength: record.bytes.count, metaLength: Int(header.metaLength),
            timeUnixNanoseconds: header.timeUnixNanoseconds)
        added.isConcluded = isConcluded
        if added.isOwed {
            added.namespace = namespaces.identifier(cluster: record.cluster, namespace: record.namespace)
            namespaces.add(UInt64(header.totalLength), to: added.namespace)
        }
        if let plan { added.planCount = UInt16(plan.entries.count) }
        group.append(added)
        nextSequence += 1
        if let plan {
            appendPayload(.plan, reference: added.sequence, byteCount: planBytes, time: plan.timeUnixNanoseconds) {
                head, _ in
                PlanCoding.encode(plan.entries, into: head)
            }
        }
        return .appended(sequence: added.sequence)
    }
}
