// SegmentIndex: where a segment's deliveries lie, and which of its records say something about which delivery.
//
// Made by a reader when it is first asked for, extended when the segment has grown; a cache, from which nothing is lost. Every
// 32nd delivery has a mark (16 bytes), every plan and every delivery of an outcome record an entry (16 bytes): 230 KiB for a
// segment of 64 MiB with bodies of 8 KiB.

struct SegmentIndex {
    struct Mark {
        var sequence: UInt64
        var offset: Int
    }

    /// A record that says something about a delivery.
    struct Mention {
        var delivery: UInt64
        var offset: Int
    }

    private static let deliveriesPerMark = 32

    /// Ascending.
    private(set) var marks: [Mark] = []
    // By delivery, then by offset.
    private var mentions: [Mention] = []
    private var deliveryCount = 0
    private var nextOffset = JournalFormat.segmentHeaderBytes
    private var lastSequence: UInt64 = 0
    // All that will ever count in the segment was read.
    private var isComplete = false

    /// Bytes of memory, more or less.
    var memoryBytes: Int {
        marks.capacity * MemoryLayout<Mark>.stride + mentions.capacity * MemoryLayout<Mention>.stride + 256
    }

    /// Takes in the records up to `limit`. `isEnded`: the segment gets no more.
    mutating func extend(
        _ reader: JournalReader, _ handle: JournalReader.Handle, through limit: UInt64, isEnded: Bool
    ) throws(DiskError) {
        guard !isComplete, lastSequence < limit else { return }
        var walk = SegmentWalk(reader, handle, from: nextOffset, after: lastSequence)
        let knownMentions = mentions.count
        // What was found before a read failed counts; the next call goes on with the record that could not be read.
        defer {
            if mentions.count > knownMentions {
                mentions.sort { ($0.delivery, $0.offset) < ($1.delivery, $1.offset) }
            }
        }
        while let (header, offset) = try walk.next(through: limit) {
            switch header.type {
            case .delivery where !header.isCopied:
                if deliveryCount % Self.deliveriesPerMark == 0 {
                    marks.append(Mark(sequence: header.sequence, offset: offset))
                }
                deliveryCount += 1
            case .plan: mentions.append(Mention(delivery: header.reference, offset: offset))
            case .outcome:
                let entries = try walk.head(of: header, at: offset)?.withByteReader(OutcomeCoding.decode) ?? []
                for sequence in Set(entries.map(\.sequence)) {
                    mentions.append(Mention(delivery: sequence, offset: offset))
                }
            case .delivery, .probe, .keep: break
            }
            nextOffset = walk.offset
            lastSequence = walk.lastSequence
        }
        nextOffset = walk.offset
        lastSequence = walk.lastSequence
        // Else the next may be written meanwhile.
        if isEnded { isComplete = true }
    }

    /// Offsets of the records that name a delivery, ascending.
    func mentions(of delivery: UInt64) -> [Int] {
        var low = 0
        var high = mentions.count
        while low < high {
            let middle = (low + high) / 2
            if mentions[middle].delivery < delivery { low = middle + 1 } else { high = middle }
        }
        return mentions[low...].prefix { $0.delivery == delivery }.map(\.offset)
    }

    /// The last mark at or before a sequence; nil when it is before the first delivery.
    func markIndex(of sequence: UInt64) -> Int? {
        var low = 0
        var high = marks.count
        while low < high {
            let middle = (low + high) / 2
            if marks[middle].sequence <= sequence { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? low - 1 : nil
    }
}

/// The indexes that were used last, within a number of bytes.
struct SegmentIndexCache {
    private let bytesMax: Int
    private var indexes: [UInt64: (index: SegmentIndex, usedAt: UInt64)] = [:]
    private var bytes = 0
    private var clock: UInt64 = 0

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// The index of a segment with all up to `limit` in it.
    mutating func index(
        of handle: JournalReader.Handle, _ reader: JournalReader, through limit: UInt64, isEnded: Bool
    ) throws(DiskError) -> SegmentIndex {
        clock += 1
        // Taken out, so that it is not copied when it grows.
        var index = indexes.removeValue(forKey: handle.number)?.index ?? SegmentIndex()
        let before = index.memoryBytes
        bytes -= min(bytes, before)
        do throws(DiskError) {
            try index.extend(reader, handle, through: limit, isEnded: isEnded)
        } catch {
            keep(index, handle.number)
            throw error
        }
        keep(index, handle.number)
        return index
    }

    private mutating func keep(_ index: SegmentIndex, _ number: UInt64) {
        indexes[number] = (index, clock)
        bytes += index.memoryBytes
        while bytes > bytesMax, indexes.count > 1,
            let oldest = indexes.min(by: { $0.value.usedAt < $1.value.usedAt })
        {
            bytes -= min(bytes, oldest.value.index.memoryBytes)
            indexes[oldest.key] = nil
        }
    }
}
