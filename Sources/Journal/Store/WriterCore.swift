// WriterCore: the writer's state and the small steps that its concerns share.
//
//   WriterCore.swift             state, segments, bookkeeping of what is owed
//   WriterCore+Append.swift      building the group
//   WriterCore+Commit.swift      writing and syncing it, sealing
//   WriterCore+Segments.swift    the next segment, retention
//   WriterCore+Forward.swift     carrying forward what is owed in the oldest segment
//   WriterCore+Tick.swift        what happens once a second: healing, asynchronous sync, housekeeping
//
// It lives behind one pointer in `JournalWriter`, so that the hot way touches no class property.

import Glibc

/// A segment that is complete.
struct Segment {
    var number: UInt64
    var incarnation: UInt64
    var fileBytes: UInt64
    /// Time of the newest record.
    var newestUnixNanoseconds: UInt64
    /// Sequence of its first record that is not a copy.
    var baseSequence: UInt64
    /// The last sequence in it that counts.
    var lastSequence: UInt64
    var owedCount = 0
    var owedBytes: UInt64 = 0
    /// May hold keep records, or plans or outcomes of owed deliveries that were carried forward: these must be copied before
    /// it goes.
    var holdsStateOfCopies = false
    /// Carried forward as a whole: only what its keep record lists counts.
    var isKept = false
    /// Its start can be read, so it says by itself how far the sequences went.
    var holdsStart = true

    var fileName: String { isKept ? SegmentFileName.kept(number) : SegmentFileName.segment(number) }
}

/// The segment being written.
struct ActiveSegment {
    var segment: Segment
    var file: DiskFile
    // Multiple of 8; `segmentHeaderBytes <= writeOffset <= segment.fileBytes`.
    var writeOffset: UInt64
    /// Its start page is written.
    var isStarted = false
    /// When its first delivery was written, Unix nanoseconds; 0: none is in it.
    var firstDeliveryUnixNanoseconds: UInt64 = 0

    var remaining: Int { Int(segment.fileBytes - writeOffset) }
}

enum NextSegment {
    case none
    /// The preparer is at it.
    case preparing
    case ready(PreparedSegment)
    /// Nothing may be created and nothing recycled: all is owed.
    case blocked
    /// The last preparation failed; `tick` tries again.
    case failed(JournalError)
}

@safe struct WriterCore: ~Copyable {
    let options: JournalOptions
    let disk: any Disk
    let checksum: Checksummer
    let metrics: JournalMetrics
    let directory: SegmentDirectory
    let preparer: SegmentPreparer
    let dedupeKey: DedupeKey
    /// Of the segments that are written.
    let formatVersion: UInt32

    var nextSequence: UInt64
    /// Highest sequence whose write returned.
    var writtenThrough: UInt64
    /// Highest sequence whose sync returned. `durableThrough <= writtenThrough < nextSequence`.
    var durableThrough: UInt64
    /// Highest durable mark that a written record carries.
    var markedThrough: UInt64
    /// Highest sequence of a written delivery, plan or outcome, or of what closes copies.
    var lastWorthMarking: UInt64

    /// Complete segments, oldest first.
    var segments: [Segment]
    /// Segments that were carried forward as a whole, in the order in which that happened.
    var kept: [Segment]
    /// nil while sealed.
    var current: ActiveSegment?
    var next: NextSegment = .none
    var nextSegmentNumber: UInt64
    /// Files of failed probes that could not be removed yet.
    var discarded: [(number: UInt64, fileBytes: UInt64)] = []
    /// A segment in the preparer's hands: taken from `segments`, until it is gone.
    var dropping: Segment?
    /// Sum of the sizes of all files.
    var bytesUsed: UInt64
    var sealReason: JournalError?

    var group = RecordGroup()
    var vectors = VectorWriter()
    /// The page of a segment's start, encoded when a segment is first written to.
    private(set) var startPage: UnsafeMutableRawPointer
    var committed = CommittedList()

    var dedupe: DedupeIndex
    var owed: OwedTable
    var namespaces: NamespaceTable
    var movedCount: Int
    /// Segments that have no file, as far as the writer was told.
    var lost: Set<UInt64> = []
    /// One of them may have held the list of what is owed in a kept segment.
    var areListsDue = false
    /// A segment from which copying forward was tried in vain; not tried again before the next tick.
    var uncopyableSegment: UInt64?
    var writtenThroughAtTick: UInt64 = 0
    var medianSyncNanoseconds: UInt64 = 0
    var syncDurations = DurationSample()

    /// Without a current segment: `begin` must follow.
    init(
        options: JournalOptions, disk: any Disk, checksum: Checksummer, metrics: JournalMetrics,
        directory: SegmentDirectory, preparer: SegmentPreparer, dedupeKey: DedupeKey, formatVersion: UInt32,
        nextSequence: UInt64,
        lastSequence: UInt64, segments: [Segment], kept: [Segment], nextSegmentNumber: UInt64,
        dedupe: consuming DedupeIndex,
        owed: consuming OwedTable, namespaces: consuming NamespaceTable, movedCount: Int
    ) {
        self.options = options
        self.disk = disk
        self.checksum = checksum
        self.metrics = metrics
        self.directory = directory
        self.preparer = preparer
        self.dedupeKey = dedupeKey
        self.formatVersion = formatVersion
        self.nextSequence = nextSequence
        writtenThrough = lastSequence
        durableThrough = lastSequence
        markedThrough = lastSequence
        lastWorthMarking = lastSequence
        self.segments = segments
        self.kept = kept
        self.nextSegmentNumber = nextSegmentNumber
        bytesUsed = (segments + kept).reduce(0) { $0 + $1.fileBytes }
        self.dedupe = dedupe
        self.owed = owed
        self.namespaces = namespaces
        self.movedCount = movedCount
        let pageBytes = JournalFormat.segmentHeaderBytes - JournalFormat.startOffset
        unsafe startPage = .allocate(byteCount: pageBytes, alignment: 4096)
        unsafe startPage.initializeMemory(as: UInt8.self, repeating: 0, count: pageBytes)
    }

    deinit {
        unsafe startPage.deallocate()
    }

    // MARK: Owed deliveries

    /// Adds to what is owed in a segment.
    mutating func pin(_ number: UInt64, bytes: UInt32) {
        changeOwed(number, count: 1, bytes: Int64(bytes))
    }

    mutating func unpin(_ number: UInt64, bytes: UInt32) {
        changeOwed(number, count: -1, bytes: -Int64(bytes))
    }

    private mutating func changeOwed(_ number: UInt64, count: Int, bytes: Int64) {
        if current?.segment.number == number {
            current!.segment.owedCount += count
            current!.segment.owedBytes = UInt64(Int64(current!.segment.owedBytes) + bytes)
            return
        }
        if let index = kept.firstIndex(where: { $0.number == number }) {
            kept[index].owedCount += count
            kept[index].owedBytes = UInt64(Int64(kept[index].owedBytes) + bytes)
            return
        }
        guard let index = segmentIndex(number) else { return }
        segments[index].owedCount += count
        segments[index].owedBytes = UInt64(Int64(segments[index].owedBytes) + bytes)
    }

    private func segmentIndex(_ number: UInt64) -> Int? {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < segments.count && segments[low].number == number ? low : nil
    }

    /// Carries what an outcome or a plan changed over to segments, namespaces and the dedupe index.
    mutating func settle(_ effect: consuming OwedTable.Effect, sequence: UInt64, now: UInt64) {
        switch effect {
        case .none: return
        case .open(let isFailing):
            guard let entry = owed[sequence] else { return }
            dedupe.mark(entry.dedupeHash, sequence: sequence, isFailing ? .failing : .pending)
        case .final(let entry, let fate):
            unpin(entry.location.segment, bytes: entry.location.length)
            namespaces.subtract(UInt64(entry.location.length), from: entry.namespace)
            // An ignored or dead delivery may come again.
            dedupe.mark(entry.dedupeHash, sequence: sequence, fate == .done ? .done : .removed)
            if movedCount > 0, directory.movedLocation(of: sequence) != nil {
                directory.forgetMove(sequence)
                movedCount -= 1
            }
            // What made it final may be in older segments, which go first: say it again, for the delivery as a whole.
            if entry.isCopied { appendFinal(sequence, fate, now: now) }
        }
    }

    // MARK: What is accepted

    var isNextAvailable: Bool {
        switch next {
        case .ready, .preparing: true
        // It is asked for again as soon as the preparer has removed what is in the way.
        case .none: preparer.isBusy
        case .blocked, .failed: false
        }
    }

    /// Below this much room, and without a next segment, the journal counts as full.
    static let usefulBytes = 64 << 10

    var refusalReason: JournalError? {
        if let sealReason { return sealReason }
        guard let current else { return .closed }
        if isNextAvailable || current.remaining >= min(Self.usefulBytes, Int(options.segmentBytes / 4)) { return nil }
        return roomProblem
    }

    /// Why there is no next segment.
    var roomProblem: JournalError {
        if case .failed(let error) = next { return error }
        return .full
    }
}

/// The deliveries of the last commit that must be triggered; grows by doubling.
@safe struct CommittedList: ~Copyable {
    // `count <= capacity`.
    private var items: UnsafeMutablePointer<CommittedDelivery>
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int = 512) {
        self.capacity = capacity
        unsafe items = .allocate(capacity: capacity)
    }

    deinit { unsafe items.deallocate() }

    mutating func removeAll() { count = 0 }

    mutating func append(_ delivery: CommittedDelivery) {
        if count == capacity {
            let grown = UnsafeMutablePointer<CommittedDelivery>.allocate(capacity: capacity * 2)
            unsafe grown.moveInitialize(from: items, count: count)
            unsafe items.deallocate()
            unsafe items = grown
            capacity *= 2
        }
        unsafe (items + count).initialize(to: delivery)
        count += 1
    }

    var buffer: UnsafeBufferPointer<CommittedDelivery> { unsafe UnsafeBufferPointer(start: items, count: count) }
}

/// The sync durations since the last `takeMedian`, at most the latest 1024.
@safe struct DurationSample: ~Copyable {
    private static let capacity = 1024
    // `capacity` places; the first `min(count, capacity)` of `items` are set.
    private let items: UnsafeMutablePointer<UInt64>
    private var count = 0

    init() { unsafe items = .allocate(capacity: Self.capacity) }

    deinit { unsafe items.deallocate() }

    mutating func add(_ nanoseconds: UInt64) {
        unsafe (items + count % Self.capacity).initialize(to: nanoseconds)
        count += 1
    }

    /// The median, 0 when nothing was added; starts over. By selection in place: the library's sort allocates, and this
    /// runs on the loop's thread.
    mutating func takeMedian() -> UInt64 {
        let filled = min(count, Self.capacity)
        count = 0
        guard filled > 0 else { return 0 }
        let wanted = filled / 2
        var (low, high) = (0, filled - 1)
        // Hoare's selection: low <= wanted <= high, and the range shrinks with each round.
        while low < high {
            let pivot = unsafe items[(low + high) / 2]
            var (left, right) = (low, high)
            while left <= right {
                while unsafe items[left] < pivot { left += 1 }
                while unsafe items[right] > pivot { right -= 1 }
                guard left <= right else { break }
                let moved = unsafe items[left]
                unsafe items[left] = unsafe items[right]
                unsafe items[right] = moved
                left += 1
                right -= 1
            }
            if wanted <= right {
                high = right
            } else if wanted >= left {
                low = left
            } else {
                break
            }
        }
        return unsafe items[wanted]
    }
}

func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
