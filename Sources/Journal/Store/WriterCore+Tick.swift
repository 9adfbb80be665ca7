// Once a second: healing, the asynchronous sync, housekeeping records that found no group, retention, figures.

import Metrics

extension WriterCore {
    mutating func tick(now: UInt64) {
        pollPreparer()
        if sealReason == nil {
            syncWhatIsWritten()
            commitHousekeeping(now: now)
            if areListsDue { areListsDue = !listKeptAgain(now: now) }
        }
        if sealReason == nil {
            leaveWhenOld(now: now)
            retain(now: now)
            switch next {
            case .none, .failed, .blocked: requestNext(now: now)
            case .ready, .preparing: break
            }
        } else {
            heal(now: now)
        }
        medianSyncNanoseconds = syncDurations.takeMedian()
        metrics.bytesUsed.set(Int64(bytesUsed))
        metrics.owedRecords.set(Int64(owed.count))
        metrics.dedupeEntries.set(Int64(dedupe.count))
        metrics.sealed.set(sealReason == nil ? 0 : 1)
    }

    private mutating func syncWhatIsWritten() {
        guard options.durability == .async, durableThrough < writtenThrough, let active = current else { return }
        do throws(DiskError) {
            try sync(active.file)
            durableThrough = writtenThrough
        } catch {
            seal(JournalError(error))
        }
    }

    /// Writes plans and outcomes that no delivery took along. When nothing has happened for a second, writes one probe:
    /// it carries the durable mark of the last group, without which damage to that group would look like a torn tail.
    private mutating func commitHousekeeping(now: UInt64) {
        guard group.deliveryCount == 0 else { return }
        if group.count == 0 {
            let isIdle = writtenThrough == writtenThroughAtTick
            writtenThroughAtTick = writtenThrough
            guard isIdle, markedThrough < lastWorthMarking, durableThrough >= lastWorthMarking else { return }
            appendProbe(now: now)
        }
        _ = commit(now: now)
        writtenThroughAtTick = writtenThrough
    }

    /// Tries a new segment. The sealed one is never touched again. A probe goes first, with the plans and outcomes that
    /// are waiting; when its sync returns, the journal accepts again.
    private mutating func heal(now: UInt64) {
        switch next {
        // A small one: zeroing a large one each second would load a disk that has trouble already.
        case .none, .failed, .blocked: requestNext(now: now, bytes: options.firstSegmentBytes)
        case .ready, .preparing: break
        }
        guard case .ready(let prepared) = next, let reason = sealReason else {
            retain(now: now)
            return
        }
        begin(prepared)
        sealReason = nil
        appendProbe(now: now)
        do throws(JournalError) {
            try write(now: now)
            group.removeAll()
            if options.durability == .async { syncWhatIsWritten() }
        } catch {
            if sealReason == nil { seal(error == .full ? reason : error) }
        }
        if sealReason == nil {
            requestNext(now: now)
        } else {
            retain(now: now)
        }
    }

    /// Writes what is waiting and gives everything back. Nothing may follow.
    mutating func close(now: UInt64) {
        if sealReason == nil, current != nil {
            if group.deliveryCount == 0, group.count == 0, markedThrough < lastWorthMarking { appendProbe(now: now) }
            if group.count > 0 { _ = commit(now: now) }
            syncWhatIsWritten()
        }
        if preparer.isBusy { finish(preparer.wait()) }
        preparer.stop()
        if case .ready(let prepared) = next { disk.close(prepared.file) }
        if let active = current { disk.close(active.file) }
        next = .none
        current = nil
        sealReason = .closed
        disk.close()
    }
}
