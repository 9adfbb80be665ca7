// The next segment, retention, and copying forward.
//
// The next segment is asked for as soon as one begins: out of nothing while the log has room, else out of the oldest
// one, if nothing is owed in it. Segments go strictly oldest first. So the plan and the outcomes of a delivery, which
// are never older than the delivery, are never gone before it.
//
// When the oldest segment holds only few owed records, they are copied forward under their sequences, flagged as copies,
// and the segment can go. A copied delivery is now younger than its plan and outcomes: every segment between may hold
// some (`holdsStateOfCopies`), and before such a segment goes, they are copied forward as well.

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
                guard asked < 2 else { return }
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
            let oldest = segments.first
            let mayDrop = oldest.map { $0.owedCount == 0 && !$0.holdsStateOfCopies } ?? false
            if bytesUsed + bytes <= options.maxBytes, !(isDiskFull && mayDrop) {
                bytesUsed += bytes
                prepare(.create(number: takeNumber(), bytes: bytes), now: now)
                return
            }
            guard let oldest, mayDrop else {
                next = .blocked
                return
            }
            // More than one must go when the limit was lowered.
            if oldest.fileBytes >= bytes, oldest.fileBytes <= options.segmentBytes, bytesUsed <= options.maxBytes {
                drop(oldest)
                prepare(.recycle(from: oldest.number, number: takeNumber(), bytes: oldest.fileBytes), now: now)
                return
            }
            // Not a whole segment (the first, or one cut at a start): it goes, and the question is asked again.
            next = .none
            removeOldest(now: now)
            if case .failed = next { return }
        }
    }

    private mutating func prepare(_ kind: PreparationJob.Kind, now: UInt64) {
        start(kind, now: now)
        next = .preparing
        pollPreparer()
    }

    /// Removes the oldest segment, in which nothing may be owed; the preparer must be free.
    mutating func removeOldest(now: UInt64) {
        let oldest = segments[0]
        drop(oldest)
        start(.remove(number: oldest.number), now: now)
        pollPreparer()
    }

    private mutating func drop(_ oldest: Segment) {
        segments.removeFirst()
        directory.remove(oldest.number)
        dropping = oldest
    }

    private mutating func takeNumber() -> UInt64 {
        defer { nextSegmentNumber += 1 }
        return nextSegmentNumber
    }

    private func start(_ kind: PreparationJob.Kind, now: UInt64) {
        preparer.start(PreparationJob(kind: kind, dedupeKey: dedupeKey, nowUnixNanoseconds: now))
    }

    /// Takes the preparer's result, if there is one.
    mutating func pollPreparer() {
        if let result = preparer.poll() { finish(result) }
    }

    mutating func finish(_ result: PreparationResult) {
        switch result {
        case .prepared(let prepared, let recycled):
            next = .ready(prepared)
            if recycled != nil {
                dropping = nil
                metrics.segmentsRecycled.increment()
            } else {
                metrics.segmentsCreated.increment()
            }
        case .removed(let number):
            metrics.segmentsRemoved.increment()
            forgetFile(number)
        case .failed(let job, let error, let lostSource):
            finishFailed(job, error, lostSource)
        }
    }

    private mutating func finishFailed(_ job: PreparationJob, _ error: DiskError, _ lostSource: Bool) {
        switch job.kind {
        case .create(_, let bytes):
            bytesUsed -= bytes
            next = .failed(JournalError(error))
        case .recycle(let source, _, _):
            if lostSource { forgetFile(source) } else { undrop() }
            next = .failed(JournalError(error))
        case .remove(let number):
            if lostSource {
                forgetFile(number)
            } else {
                undrop()
                // Not asked again before the next tick.
                if case .none = next { next = .failed(JournalError(error)) }
            }
        }
    }

    /// The file of a dropped or discarded segment is gone.
    private mutating func forgetFile(_ number: UInt64) {
        if let segment = dropping, segment.number == number {
            bytesUsed -= segment.fileBytes
            dropping = nil
        }
        if let index = discarded.firstIndex(where: { $0.number == number }) {
            bytesUsed -= discarded.remove(at: index).fileBytes
        }
    }

    /// The oldest segment could not be touched: it is what it was.
    private mutating func undrop() {
        guard let segment = dropping else { return }
        dropping = nil
        segments.insert(segment, at: 0)
        directory.restoreOldest(
            SegmentDirectory.Known(
                number: segment.number, baseSequence: segment.baseSequence, lastSequence: segment.lastSequence))
    }

    // MARK: Retention by age, discarded files, copying forward

    /// One step a call; called once a second.
    mutating func retain(now: UInt64) {
        guard !preparer.isBusy else { return }
        if let file = discarded.first {
            start(.remove(number: file.number), now: now)
            pollPreparer()
            return
        }
        guard let oldest = segments.first else { return }
        let age = now > oldest.newestUnixNanoseconds ? now - oldest.newestUnixNanoseconds : 0
        let isOld = age / 1_000_000_000 > options.maxAgeSeconds
        var isBlocked = false
        if case .blocked = next { isBlocked = true }
        guard isOld || isBlocked else { return }
        uncopyableSegment = nil
        if isBlocked {
            unblock(now: now)
            return
        }
        // A segment that is only old waits for its deliveries.
        guard oldest.owedCount == 0 else { return }
        if oldest.holdsStateOfCopies {
            guard group.count == 0, copyForward(now: now), !preparer.isBusy else { return }
        }
        removeOldest(now: now)
    }

    /// Has the next segment made out of the oldest, after copying what is still needed of it.
    mutating func unblock(now: UInt64) {
        guard !preparer.isBusy, group.count == 0, let oldest = segments.first, uncopyableSegment != oldest.number
        else { return }
        if oldest.owedCount > 0 || oldest.holdsStateOfCopies {
            guard copyForward(now: now) else {
                uncopyableSegment = oldest.number
                return
            }
        }
        requestNext(now: now)
    }

    /// Copies what is still needed of the oldest segment into the current one. True when nothing needed is left in it.
    /// The group must be empty.
    private mutating func copyForward(now: UInt64) -> Bool {
        guard let oldest = segments.first, let active = current else { return false }
        // Few: an eighth of a segment; else it would be copying for copying's sake.
        let limit = min(Int(oldest.fileBytes / 8), active.remaining)
        guard oldest.owedBytes <= UInt64(limit) else { return false }
        guard let source = try? SegmentBytes(disk: disk, number: oldest.number, byteCount: Int(oldest.fileBytes)) else {
            return false
        }
        guard collectCopies(source, oldest, limit: limit) else {
            group.removeAll()
            return false
        }
        if group.count > 0 {
            // Not by `commit`: the deliveries of the last one are still to be fetched.
            do throws(JournalError) {
                try write(now: now)
            } catch {
                return false
            }
            group.removeAll()
            if options.durability == .async, let active = current {
                do throws(DiskError) {
                    try sync(active.file)
                    durableThrough = writtenThrough
                } catch {
                    seal(JournalError(error))
                    return false
                }
            }
        }
        for index in segments.indices { segments[index].holdsStateOfCopies = true }
        guard segments[0].owedCount == 0 else { return false }
        segments[0].holdsStateOfCopies = false
        return true
    }

    /// Puts copies of what is needed into the group; false when that is too much, or something needed is damaged.
    private mutating func collectCopies(_ source: borrowing SegmentBytes, _ oldest: Segment, limit: Int) -> Bool {
        let reader = source.reader
        var cursor = SegmentCursor(incarnation: oldest.incarnation, checksum: checksum)
        var copiedDeliveries = 0
        while let record = cursor.next(reader) {
            guard group.byteCount <= limit else { return false }
            let header = record.header
            guard header.isCopied || header.sequence <= oldest.lastSequence else { break }
            let bytes = reader.part(from: record.offset, count: Int(header.totalLength))
            switch header.type {
            case .delivery:
                guard let entry = owed[header.sequence], entry.location.segment == oldest.number,
                    entry.location.offset == UInt32(record.offset)
                else { continue }
                guard record.isPayloadIntact else { return false }
                appendCopy(bytes, header: header)
                copiedDeliveries += 1
            case .plan:
                guard owed.contains(header.reference), record.isPayloadIntact else { continue }
                appendCopy(bytes, header: header)
            case .outcome:
                guard record.isPayloadIntact,
                    let entries = OutcomeCoding.decode(
                        reader.part(from: record.offset + header.headOffset, count: Int(header.headLength))),
                    entries.contains(where: { owed.contains($0.sequence) })
                else { continue }
                appendCopy(bytes, header: header)
            case .probe: continue
            }
        }
        return copiedDeliveries == oldest.owedCount && group.byteCount <= limit
    }
}
