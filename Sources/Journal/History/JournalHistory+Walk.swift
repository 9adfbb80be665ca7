// Walking over deliveries in the order of their sequences, either way.
//
// The log is taken in pieces: a block of a segment, from one mark of its index to the next, or one record that was copied forward
// and whose own segment is gone. Of a block only fixed parts and metas are looked at.

extension JournalHistory {
    private enum Piece {
        case segment(SegmentDirectory.Known)
        case moved(UInt64, RecordLocation)
    }

    /// Calls `body` with each delivery from `sequence` on (included; nil: from the newest or the oldest), until it returns false or
    /// `looksMax` were shown. What is damaged is left out; recovery has reported it. Throws where the disk cannot be read: what lies before
    /// that place in the walk's direction has been shown.
    public func walk(
        _ direction: Direction, from sequence: UInt64? = nil, looksMax: Int = 10_000, _ body: (DeliverySummary) -> Bool
    ) throws(UnreadablePlace) -> WalkEnd {
        // First how far, then where: what is durable lies in the segments that are known afterwards.
        let limit = durableThrough
        let isForwards = direction == .forwards
        let range = isForwards ? (sequence ?? 0)...UInt64.max : 0...(sequence ?? .max)
        let pieces = pieces(range, limit)
        var rest = max(looksMax, 1)
        for index in isForwards ? Array(pieces.indices) : pieces.indices.reversed() {
            var end: WalkEnd?
            func show(_ summary: DeliverySummary) -> Bool {
                rest -= 1
                guard !body(summary) || rest == 0 else { return true }
                if isForwards {
                    end = .stopped(next: summary.sequence + 1)
                } else {
                    end = summary.sequence > 1 ? .stopped(next: summary.sequence - 1) : .end
                }
                return false
            }
            switch pieces[index] {
            case .segment(let segment): try visit(segment, direction, range, limit, show)
            case .moved(let sequence, let location):
                let record: StoredRecord?
                do throws(DiskError) {
                    guard let handle = try reader.handle(of: location.segment) else { continue }
                    record = try reader.record(location, handle)
                } catch {
                    throw unreadable(pieces, index, direction, location.segment, error)
                }
                guard let record, record.sequence == sequence, let summary = DeliverySummary(record) else { continue }
                _ = show(summary)
            }
            if let end { return end }
        }
        return .end
    }

    /// The copied record at `index`, with those that follow it in the walk out of the same segment.
    private func unreadable(
        _ pieces: [Piece], _ index: Int, _ direction: Direction, _ segment: UInt64, _ cause: DiskError
    ) -> UnreadablePlace {
        let following = direction == .forwards ? Array(pieces[index...]) : pieces[...index].reversed()
        var sequences: [UInt64] = []
        for piece in following {
            guard case .moved(let sequence, let location) = piece, location.segment == segment else { break }
            sequences.append(sequence)
        }
        return UnreadablePlace(
            segment: segment, from: sequences.min() ?? 0, through: sequences.max() ?? 0, cause: cause)
    }

    /// What may hold deliveries of a range, ascending.
    private func pieces(_ range: ClosedRange<UInt64>, _ limit: UInt64) -> [Piece] {
        guard range.lowerBound <= limit else { return [] }
        let range = range.lowerBound...min(range.upperBound, limit)
        let segments = reader.directory.segments
        var moved = reader.directory.moved(between: range)[...]
        var pieces: [Piece] = []
        for segment in segments {
            while let first = moved.first, first.sequence < segment.baseSequence {
                pieces.append(.moved(first.sequence, first.location))
                moved.removeFirst()
            }
            let last = segment.lastSequence ?? limit
            // Its original is in this segment.
            moved = moved.drop { $0.sequence <= last }
            if last >= range.lowerBound, segment.baseSequence <= range.upperBound { pieces.append(.segment(segment)) }
        }
        return pieces + moved.map { .moved($0.sequence, $0.location) }
    }

    private func visit(
        _ segment: SegmentDirectory.Known, _ direction: Direction, _ range: ClosedRange<UInt64>, _ limit: UInt64,
        _ body: (DeliverySummary) -> Bool
    ) throws(UnreadablePlace) {
        let last = min(range.upperBound, segment.lastSequence ?? limit)
        let first = max(range.lowerBound, segment.baseSequence)
        let found: (JournalReader.Handle, SegmentIndex)?
        do throws(DiskError) {
            found = try index(of: segment, limit)
        } catch {
            throw UnreadablePlace(segment: segment.number, from: first, through: last, cause: error)
        }
        guard let (handle, index) = found, !index.marks.isEmpty else { return }
        let from = index.markIndex(of: range.lowerBound) ?? 0
        guard let through = index.markIndex(of: last) else { return }
        let blocks = Array(from...max(from, through))
        for block in direction == .forwards ? blocks : blocks.reversed() {
            let start = index.marks[block].sequence
            let end = block + 1 < index.marks.count ? min(last, index.marks[block + 1].sequence - 1) : last
            var summaries: [DeliverySummary] = []
            do throws(DiskError) {
                var walk = SegmentWalk(reader, handle, from: index.marks[block].offset, after: start - 1)
                while let (header, offset) = try walk.next(through: end) {
                    guard !header.isCopied, header.type == .delivery, range.contains(header.sequence) else { continue }
                    if let summary = walk.withHeader(at: offset, { DeliverySummary($0, at: $1, header: header) }) {
                        summaries.append(summary)
                    }
                }
            } catch {
                throw UnreadablePlace(
                    segment: segment.number, from: max(first, start), through: end, cause: error)
            }
            for summary in direction == .forwards ? summaries : summaries.reversed() {
                guard body(summary) else { return }
            }
        }
    }
}
