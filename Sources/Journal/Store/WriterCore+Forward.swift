// What to do when the oldest segment cannot go because deliveries in it are owed.
//
//   few       copied forward into the current segment, under their sequences, flagged as copies; then the segment can go
//   many      the segment is *kept*: a keep record in the current segment lists what is owed in it, then its file gets
//             another name. From then on only what the list names counts, and younger segments can go before it. When
//             little of it is owed any more, that is copied forward; when nothing is, it can go at once
//
// Either way a delivery may now outlive its plan and outcomes, because the segments that hold these can go first. So:
//
//   - every segment that holds, or may hold, plans or outcomes of such deliveries, or a keep record, is marked
//     (`holdsStateOfCopies`), and before a marked segment goes, what is still needed of these is copied forward;
//   - when such a delivery becomes final, one more outcome says so for the delivery as a whole, and stands alone.

import Metrics

extension WriterCore {
    /// Makes way for the next segment. Not while the group holds anything.
    mutating func unblock(now: UInt64) {
        guard group.count == 0, startCurrent(now: now) else { return }
        // Each round copies or keeps one segment, so more rounds than segments would lead nowhere.
        for _ in 0...segments.count + kept.count {
            guard !preparer.isBusy, group.count == 0, sealReason == nil, case .blocked = next else { return }
            if kept.contains(where: { $0.owedCount == 0 }) {
                // It waits only for the outcomes that freed it to be durable.
                guard syncForward() else { return }
            } else if let segment = kept.first(where: { isSparse($0) && uncopyableSegment != $0.number }) {
                // A segment that was kept and is nearly done with gives more than one that is not.
                guard copyForward(segment, now: now) else {
                    uncopyableSegment = segment.number
                    return
                }
            } else if let oldest = segments.first, lost.contains(oldest.number) {
                abandon(oldest.number)
            } else if let segment = kept.first(where: { lost.contains($0.number) }) {
                abandon(segment.number)
            } else if let oldest = segments.first, uncopyableSegment != oldest.number {
                // What cannot be copied, because an owed record is damaged, can still be kept.
                let isDone = isSparse(oldest) && copyForward(oldest, now: now) || keep(oldest, now: now)
                guard isDone else {
                    uncopyableSegment = oldest.number
                    return
                }
            } else {
                return
            }
            if !preparer.isBusy { requestNext(now: now) }
        }
    }

    /// Little enough is owed in it to be copied: an eighth of it, and room for that.
    private func isSparse(_ segment: Segment) -> Bool {
        guard let current else { return false }
        return segment.owedBytes <= UInt64(copyLimit(segment, current))
    }

    private func copyLimit(_ segment: Segment, _ current: ActiveSegment) -> Int {
        min(Int(segment.fileBytes / 8), current.remaining)
    }

    // MARK: Copying

    /// Copies what is still needed of `source` (the oldest segment or a kept one) into the current segment, durably. True
    /// when nothing needed is left in it. The group must be empty.
    mutating func copyForward(_ source: Segment, now: UInt64) -> Bool {
        guard collect(source, deliveries: true), writeForward(now: now) else { return false }
        markHolders()
        if let index = segments.firstIndex(where: { $0.number == source.number }) {
            guard segments[index].owedCount == 0 else { return false }
            segments[index].holdsStateOfCopies = false
        }
        return true
    }

    /// Puts copies of what is needed of `source` into the group; false, and nothing in it, when that is too much, or
    /// something needed is damaged or cannot be read.
    private mutating func collect(_ source: Segment, deliveries: Bool) -> Bool {
        guard let active = current,
            let bytes = try? SegmentBytes(disk: disk, name: source.fileName, byteCount: Int(source.fileBytes))
        else { return false }
        let firstSequence = nextSequence
        guard collectCopies(bytes, source, deliveries: deliveries, limit: active.remaining / 2) else {
            group.removeAll()
            // Nothing of it was written, and there must be no gap.
            nextSequence = firstSequence
            return false
        }
        return true
    }

    /// Writes the group, which only holds what is carried forward, and syncs it where anything is synced. Not by
    /// `commit`: the deliveries of the last one are still to be fetched.
    private mutating func writeForward(now: UInt64) -> Bool {
        guard group.count > 0 else { return true }
        // Copies count with the record behind them.
        if group[group.count - 1].isCopied { appendProbe(now: now) }
        do throws(JournalError) {
            try write(now: now)
        } catch {
            return false
        }
        group.removeAll()
        current?.segment.holdsStateOfCopies = true
        return syncForward()
    }

    /// Syncs what is written, in asynchronous mode; in the others there is nothing to sync.
    private mutating func syncForward() -> Bool {
        guard options.durability == .async, let active = current else {
            return true
        }
        do throws(DiskError) {
            try sync(active.file)
            durableThrough = writtenThrough
            return true
        } catch {
            seal(JournalError(error))
            return false
        }
    }

    /// Any segment there is may hold plans or outcomes of what was carried forward just now.
    private mutating func markHolders() {
        for index in segments.indices { segments[index].holdsStateOfCopies = true }
    }

    private mutating func collectCopies(
        _ source: borrowing SegmentBytes, _ segment: Segment, deliveries: Bool, limit: Int
    ) -> Bool {
        let reader = source.reader
        var cursor = SegmentCursor(incarnation: segment.incarnation, checksum: checksum)
        var copiedDeliveries = 0
        while let record = cursor.next(reader) {
            guard group.byteCount <= limit else { return false }
            let header = record.header
            guard header.isCopied || header.sequence <= segment.lastSequence else { break }
            let bytes = reader.part(from: record.offset, count: Int(header.totalLength))
            let payload = bytes.part(from: header.headOffset, count: Int(header.headLength))
            switch header.type {
            case .delivery:
                guard deliveries, let entry = owed[header.sequence], entry.location.segment == segment.number,
                    entry.location.offset == UInt32(record.offset)
                else { continue }
                guard record.isPayloadIntact else { return false }
                appendCopy(bytes, header: header)
                copiedDeliveries += 1
            case .plan:
                guard owed.contains(header.reference), record.doesCount else { continue }
                appendCopy(of: record, bytes, entries: payload)
            case .outcome:
                guard record.doesCount, let entries = OutcomeCoding.decode(payload),
                    entries.contains(where: { owed.contains($0.sequence) })
                else { continue }
                appendCopy(of: record, bytes, entries: payload)
            case .keep:
                // Not copied but written anew: of what it lists some may be final.
                guard let segment = kept.first(where: { $0.number == header.reference }) else { continue }
                appendKeep(segment, time: header.timeUnixNanoseconds)
            case .probe: continue
            }
        }
        return (!deliveries || copiedDeliveries == segment.owedCount) && group.byteCount <= limit
    }

    private mutating func appendCopy(of record: ScannedRecord, _ bytes: ByteReader, entries: ByteReader) {
        if record.isPayloadIntact {
            appendCopy(bytes, header: record.header)
        } else {
            appendCopy(ofEntries: entries, header: record.header)
        }
    }

    /// Adds a plan or an outcome of an older segment under its old sequence, without a body that is damaged.
    private mutating func appendCopy(ofEntries entries: ByteReader, header original: RecordHeader) {
        var header = original
        header.flags.insert(.copied)
        header.bodyLength = 0
        header.receivedBodyLength = 0
        header.bodyChecksum = 0
        let padding = header.setLengths(metaBytes: 0)
        let length = Int(header.totalLength)
        let (offset, writer) = group.reserve(length)
        header.encode(into: writer)
        writer.zero(from: JournalFormat.recordHeaderBytes, count: padding)
        unsafe writer.copy(entries.bytes, to: header.headOffset)
        group.append(
            GroupRecord(
                sequence: header.sequence, type: header.type, isCopied: true, totalLength: length, arenaOffset: offset,
                arenaLength: length, metaLength: Int(header.metaLength),
                timeUnixNanoseconds: header.timeUnixNanoseconds))
    }

    // MARK: Keeping

    /// Keeps the oldest segment: lists what is owed in it, durably, then lets its file change its name. False when it could
    /// not be listed.
    private mutating func keep(_ oldest: Segment, now: UInt64) -> Bool {
        guard isOldest(oldest), let active = current,
            keepRecordBytes(oldest) <= min(active.remaining, options.recordBytesMax)
        else {
            return false
        }
        // Only what the list names will count in it: state of deliveries that lie elsewhere must not stay behind.
        if oldest.holdsStateOfCopies, !collect(oldest, deliveries: false) { return false }
        appendKeep(oldest, time: now)
        guard writeForward(now: now), let first = segments.first, first.number == oldest.number else { return false }
        markHolders()
        owed.markCopied(in: oldest.number)
        start(.keep(number: oldest.number), now: now)
        // `isNextAvailable` counts on an answer of the preparer.
        next = .none
        pollPreparer()
        return true
    }

    /// Lists what is owed in the kept segments once more, durably: a list that is gone would take with it what it names. False when that is
    /// not possible now.
    mutating func listKeptAgain(now: UInt64) -> Bool {
        guard group.count == 0, startCurrent(now: now), let active = current, !lost.contains(active.segment.number)
        else { return false }
        let listed = kept.filter { $0.owedCount > 0 && !lost.contains($0.number) }
        guard listed.reduce(0, { $0 + keepRecordBytes($1) }) <= active.remaining else { return false }
        for segment in listed { appendKeep(segment, time: now) }
        return writeForward(now: now)
    }

    private func keepRecordBytes(_ segment: Segment) -> Int {
        JournalFormat.recordHeaderBytes + KeepCoding.byteCount(segment.owedCount) + JournalFormat.recordAlignment
    }

    private mutating func appendKeep(_ segment: Segment, time: UInt64) {
        var sequences: [UInt64] = []
        sequences.reserveCapacity(segment.owedCount)
        owed.forEach { if $0.location.segment == segment.number { sequences.append($0.sequence) } }
        sequences.sort()
        let list = KeepCoding.List(
            incarnation: segment.incarnation, lastSequence: segment.lastSequence, sequences: sequences)
        appendPayload(
            .keep, reference: segment.number, byteCount: KeepCoding.byteCount(sequences.count), time: time
        ) { head, _ in KeepCoding.encode(list, into: head) }
    }

    /// The file of the oldest segment has its new name.
    mutating func enterKept(_ number: UInt64) {
        guard let oldest = segments.first, oldest.number == number else { return }
        segments.removeFirst()
        kept.append(oldest)
        kept[kept.count - 1].isKept = true
        metrics.segmentsKept.increment()
    }
}
