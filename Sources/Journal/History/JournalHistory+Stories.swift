// What became of many deliveries, in one pass over the log: each segment's index is asked for all of them, and each of its records
// that names some is read once, in the order in which they lie there.

extension JournalHistory {
    private struct Told {
        var story = DeliveryStory()
        // Copies of a plan or an outcome stand beside their originals for a while.
        var seen: Set<UInt64> = []
    }

    /// Plans and events of accepted deliveries; one for each, without a plan where none is in the log. What a delivery's own record
    /// says is not looked at: `state` is that of the events alone. Throws when the disk cannot be read, with the sequences of those whose
    /// stories are not known by that.
    public func stories(of sequences: [UInt64]) throws(UnreadablePlace) -> [UInt64: DeliveryStory] {
        let sought = Set(sequences).sorted()
        var told = Dictionary(uniqueKeysWithValues: sought.map { ($0, Told()) })
        guard let first = sought.first else { return [:] }
        let limit = durableThrough
        for segment in reader.directory.segments {
            let last = segment.lastSequence ?? limit
            guard last >= first, segment.baseSequence <= limit else { continue }
            try takeMentions(of: sought.prefix { $0 <= last }, in: segment, limit, &told)
        }
        return told.mapValues {
            var story = $0.story
            story.sortEvents()
            return story
        }
    }

    private func takeMentions(
        of sought: ArraySlice<UInt64>, in segment: SegmentDirectory.Known, _ limit: UInt64, _ told: inout [UInt64: Told]
    ) throws(UnreadablePlace) {
        // Those of which it may speak, ascending: of all, until its index is known.
        var concerned = sought
        do throws(DiskError) {
            guard let (handle, index) = try index(of: segment, limit) else { return }
            var records: [Int: [UInt64]] = [:]
            for sequence in sought {
                for offset in index.mentions(of: sequence) { records[offset, default: []].append(sequence) }
            }
            guard !records.isEmpty else { return }
            var walk = SegmentWalk(reader, handle)
            for (offset, named) in records.sorted(by: { $0.key < $1.key }) {
                concerned = named[...]
                walk.skip(to: offset)
                guard let (header, place) = try walk.next(through: limit), place == offset else { continue }
                let new = Set(named.filter { told[$0]?.seen.insert(header.sequence).inserted == true })
                guard !new.isEmpty, let payload = try walk.payload(of: header, at: offset) else { continue }
                take(header, payload, of: new, &told)
            }
        } catch {
            throw UnreadablePlace(
                segment: segment.number, from: concerned.first ?? 0, through: concerned.last ?? 0, cause: error)
        }
    }

    private func take(
        _ header: RecordHeader, _ payload: (head: [UInt8], body: [UInt8]?), of named: Set<UInt64>,
        _ told: inout [UInt64: Told]
    ) {
        if header.type == .plan, let entries = payload.head.withByteReader(PlanCoding.decode) {
            let details = payload.body?.withByteReader(PlanDetailsCoding.decode)
            for sequence in named {
                told[sequence]?.story.take(plan: entries, details, at: header.timeUnixNanoseconds)
            }
        } else if header.type == .outcome {
            for entry in Self.outcomes(payload) where named.contains(entry.sequence) {
                told[entry.sequence]?.story.take(entry, at: header.timeUnixNanoseconds)
            }
        }
    }
}
