// Building the group: no I/O, and no allocation once the buffers have their size.

import Metrics

extension WriterCore {
    mutating func append(_ delivery: borrowing DeliveryAppend) -> AppendResult {
        guard sealReason == nil, current != nil else { return refuse(.sealed) }
        let headBytes = unsafe delivery.head.count
        let bodyBytes = unsafe delivery.body.count
        var header = RecordHeader()
        header.type = .delivery
        header.decision = delivery.decision
        header.sequence = nextSequence
        header.timeUnixNanoseconds = delivery.receivedAtUnixNanoseconds
        header.headLength = UInt32(truncatingIfNeeded: headBytes)
        header.bodyLength = UInt32(truncatingIfNeeded: bodyBytes)
        header.receivedBodyLength = header.bodyLength
        header.bodyChecksum = delivery.bodyChecksum
        header.ignoredReason = delivery.decision == .ignored ? delivery.ignoredReason : 0
        header.receiverKind = delivery.receiverKind
        header.senderType = delivery.senderType
        header.dedupeWindowSeconds = delivery.dedupeWindowSeconds
        header.routeFingerprint = delivery.routeFingerprint
        header.dedupeHash = delivery.dedupeHash

        let texts = unsafe DeliveryTexts(delivery)
        // Compared as integers that cannot wrap, before any 32-bit length is believed.
        guard headBytes <= options.recordBytesMax, bodyBytes <= options.recordBytesMax else { return refuse(.tooLarge) }
        _ = header.setLengths(metaBytes: texts.byteCount)
        guard Int(header.totalLength) <= options.recordBytesMax else { return refuse(.tooLarge) }
        // What follows changes state; so whatever may refuse comes before it, sized for the longest outcome.
        guard fits(Int(header.totalLength)) else { return refuse(.full) }

        var record = GroupRecord(
            sequence: nextSequence, type: .delivery, decision: delivery.decision, totalLength: 0, arenaOffset: 0,
            arenaLength: 0, metaLength: 0, timeUnixNanoseconds: delivery.receivedAtUnixNanoseconds,
            routeToken: delivery.routeToken, dedupeHash: delivery.dedupeHash)
        unsafe record.head = ByteReader(delivery.head)
        unsafe record.body = ByteReader(delivery.body)

        var duplicateOf: UInt64?
        if delivery.decision != .ignored, header.dedupeHash != .none, header.dedupeWindowSeconds > 0 {
            switch admit(header) {
            case .duplicate(let earlier):
                duplicateOf = earlier
                header.decision = .duplicate
                header.reference = earlier
                header.bodyLength = 0
                record.decision = .duplicate
                record.body = .empty
            case .new(let sameIDOtherBody, let replaced):
                if sameIDOtherBody { header.flags.insert(.sameIDOtherBody) }
                record.isDeduplicated = true
                record.replaced = replaced
            }
        }
        let padding = header.setLengths(metaBytes: texts.byteCount)
        record.totalLength = Int(header.totalLength)
        record.metaLength = Int(header.metaLength)

        if record.decision == .accepted {
            let namespace = unsafe namespaces.identifier(
                cluster: ByteReader(delivery.cluster), namespace: ByteReader(delivery.namespace))
            guard namespaces.owedBytes(namespace) + UInt64(header.totalLength) <= namespaceBytesMax else {
                if record.isDeduplicated {
                    dedupe.withdraw(record.dedupeHash, sequence: record.sequence, replaced: record.replaced)
                }
                return refuse(.namespaceShare)
            }
            record.namespace = namespace
            namespaces.add(UInt64(header.totalLength), to: namespace)
        }

        unsafe header.headChecksum = ByteReader(delivery.head).checksum(checksum, seed: 0, from: 0, count: headBytes)
        let metaEnd = JournalFormat.recordHeaderBytes + texts.byteCount
        let (offset, writer) = group.reserve(metaEnd + padding)
        header.encode(into: writer)
        texts.encode(into: writer)
        writer.zero(from: metaEnd, count: padding)
        record.arenaOffset = offset
        record.arenaLength = metaEnd + padding
        group.append(record)
        nextSequence += 1
        if let duplicateOf { return .duplicate(of: duplicateOf, sequence: record.sequence) }
        return .appended(sequence: record.sequence)
    }

    /// What the owed deliveries of one namespace may fill.
    var namespaceBytesMax: UInt64 { UInt64(Double(options.maxBytes) * options.namespaceShare) }

    func refuse(_ reason: RefusalReason) -> AppendResult {
        metrics.refused.increment()
        return .refused(reason)
    }

    private mutating func admit(_ header: RecordHeader) -> DedupeIndex.Admission {
        dedupe.admit(
            DedupeIndex.Entry(
                hash: header.dedupeHash, sequence: header.sequence, routeFingerprint: header.routeFingerprint,
                receivedSeconds: UInt32(truncatingIfNeeded: header.timeUnixNanoseconds / 1_000_000_000),
                windowSeconds: header.dedupeWindowSeconds, state: .writing, bodyLength: header.receivedBodyLength,
                bodyChecksum: header.bodyChecksum))
    }

    /// Whether the group has a place to go to with `length` bytes more.
    func fits(_ length: Int) -> Bool {
        guard let current else { return false }
        if isNextAvailable { return true }
        // Plans and outcomes must still find room: they are what makes room.
        let reserve = min(1 << 20, Int(current.segment.fileBytes / 16))
        return group.byteCount + length + reserve <= current.remaining
    }

    /// Adds a plan. Its delivery, when it is owed, waits from now on for each of its entries. False, and nothing
    /// happens, when the plan is longer than a record may be.
    mutating func appendPlan(sequence: UInt64, entries: [PlanEntry], details: PlanDetails?, now: UInt64) -> Bool {
        let byteCount = PlanCoding.byteCount(entries)
        let details = isNextAvailable ? details : nil
        let bodyBytes = details == nil ? 0 : PlanDetailsCoding.byteCount
        guard entries.count <= PlanCoding.entriesMax,
            byteCount + bodyBytes + JournalFormat.recordHeaderBytes + JournalFormat.recordAlignment
                <= options.recordBytesMax
        else { return false }
        appendPayload(.plan, reference: sequence, byteCount: byteCount, bodyBytes: bodyBytes, time: now) {
            PlanCoding.encode(entries, into: $0)
            if let details { PlanDetailsCoding.encode(details, into: $1) }
        }
        let effect = owed.setPlan(sequence, count: entries.count)
        settle(effect, sequence: sequence, now: now)
        return true
    }

    mutating func appendOutcomes(_ entries: [OutcomeEntry], now: UInt64) {
        guard !entries.isEmpty else { return }
        // While sealed nothing is written; attempts would only pile up, and a restart may well try once more.
        if sealReason == nil || entries.contains(where: { $0.outcome.isFinal }) {
            // In pieces, so that no record can be too long.
            var begin = 0
            var pieceBytes = 0
            for index in entries.indices {
                let bytes =
                    OutcomeCoding.byteCount(entries[index]) + OutcomeDetailsCoding.byteCount(entries[index].details)
                if index - begin == Self.outcomesPerRecord || pieceBytes + bytes > Self.outcomeBytesPerRecord {
                    appendOutcomeRecord(entries[begin..<index], now: now)
                    (begin, pieceBytes) = (index, 0)
                }
                pieceBytes += bytes
            }
            appendOutcomeRecord(entries[begin...], now: now)
        }
        for entry in entries {
            let effect = owed.apply(entry.outcome, to: entry.sequence, planIndex: entry.planIndex)
            settle(effect, sequence: entry.sequence, now: now)
        }
    }

    private mutating func appendOutcomeRecord(_ entries: ArraySlice<OutcomeEntry>, now: UInt64) {
        // Where the log is full, what makes room in it takes no more of it than it must.
        let bodyBytes = isNextAvailable ? OutcomeDetailsCoding.byteCount(entries) : 0
        appendPayload(
            .outcome, reference: 0, byteCount: OutcomeCoding.byteCount(entries), bodyBytes: bodyBytes, time: now
        ) {
            OutcomeCoding.encode(entries, into: $0)
            if bodyBytes > 0 { OutcomeDetailsCoding.encode(entries, into: $1) }
        }
    }

    /// Records how a delivery ended as a whole; it is not owed any more.
    mutating func appendFinal(_ sequence: UInt64, _ fate: OwedTable.Fate, now: UInt64) {
        let outcome: Outcome =
            switch fate {
            case .done: .done
            case .ignored: .ignored
            case .dead: .dead
            }
        appendOutcomeRecord([OutcomeEntry(sequence: sequence, outcome: outcome)], now: now)
    }

    static var outcomesPerRecord: Int { 64 }
    /// One alone may be at most 809 bytes.
    private static var outcomeBytesPerRecord: Int { 16 << 10 }

    mutating func appendProbe(now: UInt64) {
        appendPayload(.probe, reference: 0, byteCount: 0, time: now) { _, _ in }
    }

    /// Adds a record whose payload lies in the arena, behind its header. `encode` gets the places of head and body.
    mutating func appendPayload(
        _ type: RecordType, reference: UInt64, byteCount: Int, bodyBytes: Int = 0, time: UInt64,
        encode: (ByteWriter, ByteWriter) -> Void
    ) {
        var header = RecordHeader()
        header.type = type
        header.sequence = nextSequence
        header.timeUnixNanoseconds = time
        header.reference = reference
        header.headLength = UInt32(byteCount)
        header.bodyLength = UInt32(bodyBytes)
        header.receivedBodyLength = header.bodyLength
        let padding = header.setLengths(metaBytes: 0)
        let payloadOffset = JournalFormat.recordHeaderBytes + padding
        let (offset, writer) = group.reserve(Int(header.totalLength))
        let payload = group.writer(at: offset + payloadOffset, count: byteCount)
        let body = group.writer(at: offset + payloadOffset + byteCount, count: bodyBytes)
        encode(payload, body)
        header.headChecksum = payload.checksum(checksum, seed: 0, from: 0, count: byteCount)
        header.bodyChecksum = body.checksum(checksum, seed: 0, from: 0, count: bodyBytes)
        header.encode(into: writer)
        writer.zero(from: JournalFormat.recordHeaderBytes, count: padding)
        group.append(
            GroupRecord(
                sequence: nextSequence, type: type, totalLength: Int(header.totalLength), arenaOffset: offset,
                arenaLength: Int(header.totalLength), metaLength: padding, timeUnixNanoseconds: time,
                reference: reference))
        nextSequence += 1
    }

    /// Adds a record of an older segment under its old sequence. `bytes` are the whole record.
    mutating func appendCopy(_ bytes: ByteReader, header original: RecordHeader) {
        var header = original
        header.flags.insert(.copied)
        let (offset, writer) = group.reserve(bytes.count)
        unsafe writer.copy(bytes.bytes, to: 0)
        header.encode(into: writer)
        group.append(
            GroupRecord(
                sequence: header.sequence, type: header.type, isCopied: true, decision: header.decision,
                totalLength: bytes.count, arenaOffset: offset, arenaLength: bytes.count,
                metaLength: Int(header.metaLength), timeUnixNanoseconds: header.timeUnixNanoseconds))
    }
}

/// The five texts of a delivery as its record keeps them.
@safe private struct DeliveryTexts {
    // Readable while `append` runs: the caller of `append` promised it.
    private let cluster: UnsafeRawBufferPointer
    private let namespace: UnsafeRawBufferPointer
    private let name: UnsafeRawBufferPointer
    private let deliveryID: UnsafeRawBufferPointer
    private let eventName: UnsafeRawBufferPointer
    let byteCount: Int

    @unsafe init(_ delivery: borrowing DeliveryAppend) {
        func cut(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
            unsafe UnsafeRawBufferPointer(rebasing: text.prefix(JournalFormat.metaFieldBytesMax))
        }
        unsafe cluster = cut(delivery.cluster)
        unsafe namespace = cut(delivery.namespace)
        unsafe name = cut(delivery.name)
        unsafe deliveryID = cut(delivery.deliveryID)
        unsafe eventName = cut(delivery.eventName)
        byteCount = unsafe 5 + cluster.count + namespace.count + name.count + deliveryID.count + eventName.count
    }

    func encode(into writer: ByteWriter) {
        var position = JournalFormat.recordHeaderBytes
        func put(_ text: UnsafeRawBufferPointer) {
            writer.store(UInt8(text.count), at: position)
            unsafe writer.copy(text, to: position + 1)
            position += 1 + text.count
        }
        unsafe put(cluster)
        unsafe put(namespace)
        unsafe put(name)
        unsafe put(deliveryID)
        unsafe put(eventName)
    }
}
