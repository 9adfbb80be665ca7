// JournalOptions: what the operator and the tests may choose.

public struct JournalOptions: Sendable {
    /// The data directory; the segments are in `journal/` below it.
    public var directory: String
    /// The whole log never takes more on disk, prepared segments included; `healingBytes` apart.
    public var maxBytes: UInt64
    /// Segments whose newest record is older than this and in which nothing is owed are removed.
    public var maxAgeSeconds: UInt64
    public var durability: Durability
    /// Size of a segment file. A multiple of 4096.
    public var segmentBytes: UInt64
    /// Size of the segment that is made while the server starts, when none is prepared: it must be zeroed first, and
    /// a small one is ready in a few milliseconds. A multiple of 4096.
    public var firstSegmentBytes: UInt64
    /// Longest record: head, body and their meta. At most half a segment.
    public var recordBytesMax: Int
    /// Delivery ids remembered at once; beyond that the oldest is forgotten.
    public var dedupeEntriesMax: Int
    /// The part of `maxBytes` that the owed deliveries of one namespace may fill.
    public var namespaceShare: Double
    /// The versions of the format that are read.
    public var formats: FormatVersions
    /// The version to write; nil: what the data directory is in, and the newest in a new one.
    public var formatVersion: UInt32?
    /// Segments are prepared by a thread of their own; false: by the caller, when they are asked for (tests).
    public var preparesInBackground: Bool
    /// What the duration of a sync is taken from, in nanoseconds.
    public var monotonicClock: @Sendable () -> UInt64 = { monotonicNanoseconds() }

    public init(
        directory: String = "", maxBytes: UInt64 = 4 << 30, maxAgeSeconds: UInt64 = 7 * 24 * 3600,
        durability: Durability = .sync,
        segmentBytes: UInt64 = 64 << 20, firstSegmentBytes: UInt64 = 4 << 20, recordBytesMax: Int? = nil,
        dedupeEntriesMax: Int = 1 << 20, namespaceShare: Double = 0.5,
        formats: FormatVersions = .current, formatVersion: UInt32? = nil, preparesInBackground: Bool = true
    ) {
        self.directory = directory
        self.maxBytes = maxBytes
        self.maxAgeSeconds = maxAgeSeconds
        self.durability = durability
        self.segmentBytes = segmentBytes
        self.firstSegmentBytes = min(firstSegmentBytes, segmentBytes)
        self.recordBytesMax = recordBytesMax ?? Int(segmentBytes / 2)
        self.dedupeEntriesMax = dedupeEntriesMax
        self.namespaceShare = namespaceShare
        self.formats = formats
        self.formatVersion = formatVersion
        self.preparesInBackground = preparesInBackground
    }

    /// What the log may take above `maxBytes` when the disk failed while all is owed: small segments, one for each such failure.
    var healingBytes: UInt64 { 4 * firstSegmentBytes }

    /// nil: the options can work.
    var problem: JournalError.OptionsProblem? {
        let header = UInt64(JournalFormat.segmentHeaderBytes)
        // Offsets and lengths in records are 32 bits.
        guard firstSegmentBytes >= header + 32768, segmentBytes >= firstSegmentBytes, segmentBytes <= 1 << 31
        else { return .segmentTooSmall }
        // Below 24 KiB not even a record of outcomes has room.
        guard recordBytesMax >= 24 << 10, UInt64(recordBytesMax) <= segmentBytes / 2 else { return .recordTooLarge }
        guard maxBytes >= 3 * segmentBytes else { return .logTooSmall }
        if let formatVersion, !formats.contains(formatVersion) { return .format }
        guard namespaceShare > 0, namespaceShare <= 1 else { return .share }
        return nil
    }
}
