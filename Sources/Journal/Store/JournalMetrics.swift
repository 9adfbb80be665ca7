// JournalMetrics: the journal's figures. Written by the writer's thread, read by whoever scrapes.

public import Metrics

public final class JournalMetrics: Sendable {
    /// Records written and, where the durability asks for it, synced.
    public let deliveries = Counter()
    public let plans = Counter()
    public let outcomes = Counter()
    /// Probes and keep records.
    public let probes = Counter()
    /// Deliveries recorded as repeats.
    public let duplicates = Counter()
    /// Records copied forward out of the oldest segment.
    public let copies = Counter()
    /// Bytes of records written.
    public let bytes = Counter()
    public let syncs = Counter()
    public let syncSeconds = Histogram(bounds: Histogram.secondsBounds)
    /// Records that shared one commit.
    public let batchRecords = Histogram(bounds: Histogram.batchBounds)
    public let writeFailures = Counter()
    public let syncFailures = Counter()
    public let segmentsCreated = Counter()
    public let segmentsRecycled = Counter()
    public let segmentsRemoved = Counter()
    /// Segments carried forward as a whole, because much in them is owed.
    public let segmentsKept = Counter()
    /// Damaged places found by recovery, and segments that were lost since.
    public let damage = Counter()
    /// Deliveries refused because the journal is full, sealed, or their namespace is over its share.
    public let refused = Counter()
    /// Size of all files of the log, prepared ones included.
    public let bytesUsed = Gauge()
    public let owedRecords = Gauge()
    /// 1 while a write or sync failed and no probe succeeded since.
    public let sealed = Gauge()
    public let dedupeEntries = Gauge()

    public init() {}

    func counter(of type: RecordType) -> Counter {
        switch type {
        case .delivery: deliveries
        case .plan: plans
        case .outcome: outcomes
        case .probe, .keep: probes
        }
    }
}
