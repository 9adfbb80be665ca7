// Writing and syncing the group, and what happens when that fails.
//
// A failed write or sync seals the segment for ever at its last durable sequence: Linux marks the pages of a failed
// writeback clean, so a second fdatasync would succeed without having written them (fsync(2), "ERRORS"; PostgreSQL's
// "fsyncgate" of 2018). Nothing of the group counts, its ids are forgotten, its deliveries are not owed. Plans and
// outcomes stay in the group under new sequences and go out with the next one: they were decided, and are not tied to an
// answer that anyone waits for. `tick` heals.

import Metrics

extension WriterCore {
    mutating func commit(now: UInt64) -> CommitResult {
        committed.removeAll()
        guard group.count > 0 else {
            if let sealReason { return .failed(sealReason) }
            return .durable(through: answerableThrough)
        }
        if let sealReason {
            // Plans and outcomes stay as they are; `tick` writes them with its probe.
            if group.deliveryCount > 0 { withdraw(from: 0) }
            return .failed(sealReason)
        }
        if case .ready = next {} else { refreshNext(now: now) }
        let recordCount = group.count
        do throws(JournalError) {
            try write(now: now)
        } catch {
            return .failed(error)
        }
        metrics.batchRecords.observe(Double(recordCount))
        group.removeAll()
        // Not left to the next tick: under load a segment may be full before it comes.
        if case .blocked = next { unblock(now: now) }
        return .durable(through: answerableThrough)
    }

    /// Outcomes may have freed the oldest segment, and the preparer may be ready.
    private mutating func refreshNext(now: UInt64) {
        pollPreparer()
        switch next {
        case .none, .blocked: requestNext(now: now)
        case .ready, .preparing, .failed: break
        }
    }

    var answerableThrough: UInt64 {
        options.durability == .sync ? durableThrough : writtenThrough
    }

    /// Writes the group, in as many runs as it takes segments. On failure what was not written is withdrawn.
    mutating func write(now: UInt64) throws(JournalError) {
        var index = 0
        var restBytes = group.byteCount
        while index < group.count {
            guard let active = current else { throw .closed }
            var end = group.count
            if restBytes > active.remaining {
                // As a whole into the next segment, if that is enough; else as much as fits here.
                end = index
                if restBytes > Int(options.segmentBytes) - JournalFormat.segmentHeaderBytes {
                    var room = active.remaining
                    while end < group.count, group[end].totalLength <= room {
                        room -= group[end].totalLength
                        end += 1
                    }
                }
                if end == index {
                    do throws(JournalError) {
                        try roll(now: now)
                    } catch {
                        // Nothing was written: the sequences can be given out again, so the segment stays without gap.
                        if sealReason == nil { nextSequence = firstSequence(from: index) ?? nextSequence }
                        withdraw(from: index)
                        throw error
                    }
                    continue
                }
            }
            do throws(DiskError) {
                try writeRun(index..<end, now: now)
            } catch {
                let error = JournalError(error)
                seal(error)
                withdraw(from: index)
                throw error
            }
            for position in index..<end { restBytes -= group[position].totalLength }
            index = end
        }
    }

    private func firstSequence(from index: Int) -> UInt64? {
        for position in index..<group.count where !group[position].isCopied { return group[position].sequence }
        return nil
    }

    /// Writes records that fit the current segment, and syncs if the durability says so.
    private mutating func writeRun(_ range: Range<Int>, now: UInt64) throws(DiskError) {
        let active = current!
        vectors.removeAll()
        var offset = active.writeOffset
        if !active.isStarted {
            // The start goes with the first group: one write, one sync.
            let start = SegmentStart(
                incarnation: active.segment.incarnation,
                baseSequence: firstSequence(from: range.lowerBound) ?? nextSequence,
                previousSequence: answerableThrough, startedUnixNanoseconds: now, durability: options.durability)
            let pageBytes = JournalFormat.segmentHeaderBytes - JournalFormat.startOffset
            unsafe start.encode(into: ByteWriter(startPage, count: pageBytes), checksum: checksum)
            unsafe vectors.append(UnsafeRawBufferPointer(start: startPage, count: pageBytes))
            offset = UInt64(JournalFormat.startOffset)
        }
        for index in range {
            let record = group[index]
            RecordHeader.seal(
                group.writer(at: record.arenaOffset, count: record.arenaLength),
                incarnation: active.segment.incarnation, durableMark: durableThrough, metaLength: record.metaLength,
                checksum: checksum)
            unsafe vectors.append(group.arenaPart(record))
            unsafe vectors.append(record.head.bytes)
            unsafe vectors.append(record.body.bytes)
        }
        do throws(DiskError) {
            try vectors.write(to: active.file, at: offset, disk: disk)
        } catch {
            metrics.writeFailures.increment()
            throw error
        }
        // A segment's start is synced at once, whatever the durability: it says where its sequences begin, so that none of
        // them is given out again even if all of its records are lost, and older segments go because of it.
        if options.durability == .sync || !active.isStarted { try sync(active.file) }
        enter(range, now: now)
    }

    mutating func sync(_ file: DiskFile) throws(DiskError) {
        let begin = options.monotonicClock()
        do throws(DiskError) {
            try disk.syncData(file)
        } catch {
            metrics.syncFailures.increment()
            throw error
        }
        let duration = options.monotonicClock() - begin
        syncDurations.add(duration)
        metrics.syncs.increment()
        metrics.syncSeconds.observe(Double(duration) / 1e9)
    }

    /// The run is as durable as it is asked to be: its records count from now on.
    private mutating func enter(_ range: Range<Int>, now: UInt64) {
        let number = current!.segment.number
        if !current!.isStarted {
            let base = firstSequence(from: range.lowerBound) ?? nextSequence
            current!.isStarted = true
            current!.segment.baseSequence = base
            directory.begin(SegmentDirectory.Known(number: number, baseSequence: base, lastSequence: nil))
        }
        markedThrough = durableThrough
        var closesCopies = false
        for index in range {
            let record = group[index]
            let location = RecordLocation(
                segment: number, offset: UInt32(current!.writeOffset), length: UInt32(record.totalLength))
            current!.writeOffset += UInt64(record.totalLength)
            current!.segment.newestUnixNanoseconds = max(
                current!.segment.newestUnixNanoseconds, record.timeUnixNanoseconds)
            metrics.bytes.increment(by: UInt64(record.totalLength))
            if record.isCopied {
                enterCopy(record, at: location)
                closesCopies = true
                continue
            }
            writtenThrough = record.sequence
            current!.segment.lastSequence = record.sequence
            if record.type != .probe || closesCopies { lastWorthMarking = record.sequence }
            closesCopies = false
            // Segments that were kept outlive this one: their plans and outcomes must not go with it.
            if !kept.isEmpty, record.type == .plan || record.type == .outcome {
                current!.segment.holdsStateOfCopies = true
            }
            metrics.counter(of: record.type).increment()
            if record.type == .delivery {
                if current!.firstDeliveryUnixNanoseconds == 0 { current!.firstDeliveryUnixNanoseconds = now }
                enterDelivery(record, at: location)
            }
        }
        if options.durability == .sync { durableThrough = writtenThrough }
        directory.durableThrough = answerableThrough
    }

    private mutating func enterDelivery(_ record: GroupRecord, at location: RecordLocation) {
        if record.decision == .duplicate { metrics.duplicates.increment() }
        if record.isDeduplicated {
            let state: DedupeIndex.State = record.decision == .accepted ? .pending : .done
            dedupe.mark(record.dedupeHash, sequence: record.sequence, state)
        }
        guard record.isOwed else { return }
        owed.insert(
            OwedTable.Entry(
                sequence: record.sequence,
                dedupeHash: record.isDeduplicated ? record.dedupeHash : .none, location: location,
                namespace: record.namespace))
        pin(location.segment, bytes: location.length)
        if record.planCount != OwedTable.Entry.noPlan {
            _ = owed.setPlan(record.sequence, count: Int(record.planCount))
        }
        committed.append(
            CommittedDelivery(sequence: record.sequence, location: location, routeToken: record.routeToken))
    }

    private mutating func enterCopy(_ record: GroupRecord, at location: RecordLocation) {
        metrics.copies.increment()
        guard record.type == .delivery, let old = owed.move(record.sequence, to: location) else { return }
        unpin(old.segment, bytes: old.length)
        pin(location.segment, bytes: location.length)
        if directory.movedLocation(of: record.sequence) == nil { movedCount += 1 }
        directory.move(record.sequence, to: location)
    }

    /// Undoes what `append` did for the records from `index` on, the latest first, and leaves plans and outcomes in the
    /// group under new sequences.
    private mutating func withdraw(from index: Int) {
        var position = group.count
        while position > index {
            position -= 1
            let record = group[position]
            guard record.type == .delivery, !record.isCopied else { continue }
            if record.isDeduplicated {
                dedupe.withdraw(record.dedupeHash, sequence: record.sequence, replaced: record.replaced)
            }
            if record.isOwed { namespaces.subtract(UInt64(record.totalLength), from: record.namespace) }
        }
        var current = 0
        let withdrawnFrom = firstSequence(from: index) ?? .max
        group.keep { record in
            defer { current += 1 }
            // The plan of a redelivery that is withdrawn goes with it: another delivery will have that sequence.
            if record.type == .plan, record.reference >= withdrawnFrom { return false }
            // Copies are made anew when they are still needed; their originals are where they were.
            return current >= index && !record.isCopied && (record.type == .plan || record.type == .outcome)
        }
        for position in 0..<group.count {
            group[position].sequence = nextSequence
            let record = group[position]
            group.writer(at: record.arenaOffset, count: record.arenaLength).store(nextSequence, at: 16)
            nextSequence += 1
        }
    }

    /// Gives the current segment up for ever.
    mutating func seal(_ error: JournalError) {
        sealReason = error
        metrics.sealed.set(1)
        guard let active = current else { return }
        current = nil
        // Not synced again, and closing says nothing about its pages that anyone may believe.
        disk.close(active.file)
        if active.isStarted {
            var segment = active.segment
            // In the asynchronous modes what was written was answered: recovery may find it.
            segment.lastSequence = answerableThrough
            writtenThrough = answerableThrough
            segments.append(segment)
            directory.end(segment.number, lastSequence: segment.lastSequence)
        } else {
            discarded.append((active.segment.number, active.segment.fileBytes))
        }
    }
}
