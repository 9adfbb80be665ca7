// The next segment, and retention.
//
// The next segment is asked for as soon as one begins: out of nothing while the log has room, else out of one that
// nothing needs. Segments go strictly oldest first: so the plan and the outcomes of a delivery, which are never older than
// the delivery, are never gone before it. What is owed is carried out of the way (`WriterCore+Forward.swift`).
//
// The newest segment that is started stays until another one is started behind it, whatever the room and its age: the start
// of a segment is what a restart knows the sequences by, and they never go back. A disk that is full and has failed the only
// segment is refused until it has room for another.
//
// A log that is sealed while all in it is owed may take a little more: the outcomes that make room need a place to go to. So may one in
// which nothing is free before the outcomes that wait are durable, and the current segment has no room for them.

import Glibc
import Metrics

extension WriterCore {
    /// Leaves the current segment for the next one.
    mutating func roll(now: UInt64) throws(JournalError) {
        if let active = current, active.isStarted, options.durability == .async, durableThrough < writtenThrough {
            do throws(DiskError) {
                try sync(active.file)
                durableThrough = writtenThrough
            } catch {
                let error = JournalError(error)
                seal(error)
                throw error
            }
        }
        awaitNext(now: now)
        switch next {
        case .ready(let prepared):
            leaveCurrent()
            begin(prepared)
            requestNext(now: now)
        case .failed(let error): throw error
        case .blocked, .none, .preparing: throw .full
        }
    }

    /// Waits for the preparer, and asks it anew where an answer may have changed.
    private mutating func awaitNext(now: UInt64) {
        var asked = 0
        while true {
            if case .ready = next { return }
            if preparer.isBusy {
                finish(preparer.wait())
                continue
            }
            switch next {
            case .ready, .preparing, .failed: return
            case .none, .blocked:
                // Twice: the first may have gone into removing a segment.
                guard asked < 2 else {
                    guard asked == 2, requestRoomForHousekeeping(now: now) else { return }
                    asked += 1
                    continue
                }
                asked += 1
                requestNext(now: now)
            }
        }
    }

    /// Makes `prepared`, which was `next`, the current segment.
    mutating func begin(_ prepared: PreparedSegment) {
        next = .none
        current = ActiveSegment(
            segment: Segment(
                number: prepared.number, incarnation: prepared.incarnation, fileBytes: prepared.fileBytes,
                newestUnixNanoseconds: 0, baseSequence: nextSequence, lastSequence: 0),
            file: prepared.file, writeOffset: UInt64(JournalFormat.segmentHeaderBytes))
    }

    private mutating func leaveCurrent() {
        guard let active = current else { return }
        current = nil
        disk.close(active.file)
        if active.isStarted {
            segments.append(active.segment)
            directory.end(active.segment.number, lastSequence: writtenThrough)
        } else {
            discarded.append((active.segment.number, active.segment.fileBytes))
        }
    }

    /// Has the next segment made, if there is none and the preparer is free.
    mutating func requestNext(now: UInt64, bytes: UInt64? = nil) {
        let bytes = bytes ?? options.segmentBytes
        var isDiskFull = false
        switch next {
        case .ready, .preparing: return
        case .failed(.noSpace): isDiskFull = true
        case .none, .blocked, .failed: break
        }
        while !preparer.isBusy {
            let free = freeSegment
            if bytesUsed + bytes <= options.maxBytes, !(isDiskFull && free != nil) {
                create(bytes, now: now)
                return
            }
            guard let free else {
                guard let file = discarded.first else {
                    if sealReason != nil, bytesUsed + bytes <= options.maxBytes + options.healingBytes {
                        create(bytes, now: now)
                    } else {
                        next = .blocked
                    }
                    return
                }
                next = .none
                removeDiscarded(file.number, now: now)
                if case .failed = next { return }
                continue
            }
            // More than one must go when the limit was lowered.
            if free.fileBytes >= bytes, free.fileBytes <= options.segmentBytes, bytesUsed <= options.maxBytes {
                drop(free)
                prepare(.recycle(free.fileName, number: takeNumber(), bytes: free.fileBytes), now: now)
                return
            }
            // Not a whole segment (the first, or one cut at a start): it goes, and the question is asked again.
            next = .none
            remove(free, now: now)
            if case .failed = next { return }
        }
    }

    /// A segment no larger than what waits needs. False when it may not be had, or would not help.
    private mutating func requestRoomForHousekeeping(now: UInt64) -> Bool {
        guard group.deliveryCount == 0, group.housekeepingCount > 0, discarded.isEmpty else { return false }
        let needed = UInt64(JournalFormat.segmentHeaderBytes + group.byteCount + 4095) / 4096 * 4096
        let bytes = min(max(needed, options.firstSegmentBytes), options.segmentBytes)
        guard bytesUsed + bytes <= options.maxBytes + options.healingBytes else { return false }
        create(bytes, now: now)
        return true
    }

    private mutating func create(_ bytes: UInt64, now: UInt64) {
        bytesUsed += bytes
        prepare(.create(number: takeNumber(), bytes: bytes), now: now)
    }

    /// A segment that nothing needs: a kept one in which nothing is owed any more, or else the oldest.
    private var freeSegment: Segment? {
        // The outcomes that freed a kept one must be durable: its list still names their deliveries.
        let isSettled =
            group.housekeepingCount == 0 && (options.durability == .none || durableThrough == writtenThrough)
        if isSettled, let segment = kept.first(where: { $0.owedCount == 0 }) { return segment }
        guard let oldest = segments.first, oldest.owedCount == 0, !oldest.holdsStateOfCopies, isOldest(oldest),
            isFollowed(oldest)
        else { return nil }
        return oldest
    }

    /// A younger segment is started, durably.
    private func isFollowed(_ oldest: Segment) -> Bool {
        current?.isStarted == true || segments.contains { $0.number > oldest.number && $0.holdsStart }
    }

    /// Starts the current segment with a probe, if nothing was written to it yet, so that older ones can go. False when that
    /// cannot be now.
    mutating func startCurrent(now: UInt64) -> Bool {
        guard sealReason == nil, let active = current else { return false }
        guard !active.isStarted else { return true }
        guard group.count == 0 else { return false }
        appendProbe(now: now)
        do throws(JournalError) {
            try write(now: now)
        } catch {
            return false
        }
        group.removeAll()
        return true
    }

    /// No discarded file is older. One that is must go first: the start of the segment behind it says that all in it is
    /// void, and with that segment gone it would look like one that has lost its records.
    func isOldest(_ segment: Segment) -> Bool {
        !discarded.contains { $0.number < segment.number }
    }

    private mutating func removeDiscarded(_ number: UInt64, now: UInt64) {
        start(.remove(SegmentFileName.segment(number)), now: now)
        pollPreparer()
    }

    private mutating func prepare(_ kind: PreparationJob.Kind, now: UInt64) {
        start(kind, now: now)
        next = .preparing
        pollPreparer()
    }

    /// Removes a segment that nothing needs; the preparer must be free.
    mutating func remove(_ segment: Segment, now: UInt64) {
        drop(segment)
        start(.remove(segment.fileName), now: now)
        pollPreparer()
    }

    private mutating func drop(_ segment: Segment) {
        if segment.isKept {
            kept.removeAll { $0.number == segment.number }
        } else {
            precondition(segments.first?.number == segment.number, "segments go oldest first")
            segments.removeFirst()
        }
        directory.remove(segment.number)
        lost.remove(segment.number)
        dropping = segment
    }

    private mutating func takeNumber() -> UInt64 {
        defer { nextSegmentNumber += 1 }
        return nextSegmentNumber
    }

    func start(_ kind: PreparationJob.Kind, now: UInt64) {
        preparer.start(
            PreparationJob(
                kind: kind, formatVersion: formatVersion, dedupeKey: dedupeKey, nowUnixNanoseconds: now))
    }

    /// Takes the preparer's result, if there is one.
    mutating func pollPreparer() {
        if let result = preparer.poll() { finish(result) }
    }

    mutating func finish(_ result: PreparationResult) {
        switch result {
        case .prepared(let prepared, let isRecycled):
            next = .ready(prepared)
            if isRecycled {
                dropping = nil
                metrics.segmentsRecycled.increment()
            } else {
                metrics.segmentsCreated.increment()
            }
        case .removed(let name):
            metrics.segmentsRemoved.increment()
            forgetFile(name)
        case .kept(let number): enterKept(number)
        case .failed(let job, let error, let lostSource): finishFailed(job, error, lostSource)
        }
    }

    private mutating func finishFailed(_ job: PreparationJob, _ error: DiskError, _ lostSource: Bool) {
        switch job.kind {
        case .create(_, let bytes):
            bytesUsed -= bytes
            next = .failed(JournalError(error))
        case .recycle(let name, _, _):
            if lostSource { forgetFile(name) } else { undrop() }
            next = .failed(JournalError(error))
        case .remove(let name):
            if lostSource {
                forgetFile(name)
            } else {
                undrop()
                // Not asked again before the next tick.
                if case .none = next { next = .failed(JournalError(error)) }
            }
        case .keep:
            // It stays the oldest; whether its file's new name is durable or not, it is read as it should be.
            next = .failed(JournalError(error))
        }
    }

    /// The file of a dropped or discarded segment is gone.
    private mutating func forgetFile(_ name: String) {
        if let segment = dropping, segment.fileName == name {
            bytesUsed -= segment.fileBytes
            dropping = nil
        }
        if let index = discarded.firstIndex(where: { SegmentFileName.segment($0.number) == name }) {
            bytesUsed -= discarded.remove(at: index).fileBytes
        }
    }

    /// The segment could not be touched: it is what it was.
    private mutating func undrop() {
        guard let segment = dropping else { return }
        dropping = nil
        if segment.isKept { kept.append(segment) } else { segments.insert(segment, at: 0) }
        directory.restore(
            SegmentDirectory.Known(
                number: segment.number, baseSequence: segment.baseSequence, lastSequence: segment.lastSequence))
    }

    // MARK: Retention by age

    /// Where little comes a segment would take months to be full, and its deliveries would stay as long: it is left after a quarter of
    /// the age, so that none stays for much longer than that and a quarter. Where the next one would cost an old one, whose deliveries
    /// nobody is in the way of, it is left after all of the age.
    mutating func leaveWhenOld(now: UInt64) {
        guard let active = current, active.firstDeliveryUnixNanoseconds > 0, group.count == 0, case .ready = next
        else { return }
        let age = now > active.firstDeliveryUnixNanoseconds ? now - active.firstDeliveryUnixNanoseconds : 0
        let isRoom = bytesUsed + options.segmentBytes <= options.maxBytes
        guard age / 1_000_000_000 > options.maxAgeSeconds / (isRoom ? 4 : 1) else { return }
        // With `.async` durability it syncs first; a failure of that has sealed the segment.
        try? roll(now: now)
    }

    /// One step a call; called once a second. Discarded files first, then what blocks the log, then what is old.
    mutating func retain(now: UInt64) {
        guard !preparer.isBusy else { return }
        uncopyableSegment = nil
        if let file = discarded.first {
            removeDiscarded(file.number, now: now)
            return
        }
        if case .blocked = next {
            unblock(now: now)
            return
        }
        guard let oldest = segments.first else { return }
        let age = now > oldest.newestUnixNanoseconds ? now - oldest.newestUnixNanoseconds : 0
        // A segment that is only old waits for its deliveries.
        guard age / 1_000_000_000 > options.maxAgeSeconds, oldest.owedCount == 0 else { return }
        if oldest.holdsStateOfCopies {
            guard group.count == 0, copyForward(oldest, now: now), !preparer.isBusy else { return }
        }
        guard let oldest = segments.first, !oldest.holdsStateOfCopies else { return }
        guard isFollowed(oldest) || startCurrent(now: now) else { return }
        remove(oldest, now: now)
    }
}
