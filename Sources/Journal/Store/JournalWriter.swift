// JournalWriter: the journal as its one writer sees it.
//
//   append … append   deliveries of a turn, plans, outcomes: gathered in memory, no I/O
//   commit            one gathering write and one fdatasync; then the answers may go out
//   tick              once a second
//
// What the journal promises: a delivery that `commit` reported durable is found again after any crash, with the bytes it
// had, until it has a final outcome and retention needs its segment. What it does not: an appended delivery whose
// commit failed, or was cut off by a crash, may or may not be found again; nobody was told that it is safe.

/// Owned by exactly one thread at a time.
///
/// `@unchecked Sendable`, the protocol in words: at every moment one thread, and only one, may call anything here. Inline
/// mode: the loop. Thread mode: the loop hands the writer over once, through something that orders memory (a ring, a
/// thread's creation), and never touches it again. `metrics`, `reader` and `history` may be used from any thread at any time.
@safe public final class JournalWriter: @unchecked Sendable {
    // Initialised by `init`, freed by `deinit`; nobody else has it.
    private let core: UnsafeMutablePointer<WriterCore>
    public let metrics: JournalMetrics
    /// For the other threads.
    public let reader: JournalReader
    /// For lists and searches, by other threads.
    public let history: JournalHistory
    /// Hashes delivery ids; the same for the life of the data directory.
    public let dedupeKey: DedupeKey
    /// Of the segments that are written, see `FormatVersions`.
    public let formatVersion: UInt32

    init(core: consuming WriterCore, reader: JournalReader) {
        metrics = core.metrics
        dedupeKey = core.dedupeKey
        formatVersion = core.formatVersion
        self.reader = reader
        history = JournalHistory(reader: reader)
        unsafe self.core = .allocate(capacity: 1)
        unsafe self.core.initialize(to: core)
    }

    deinit {
        unsafe core.deinitialize(count: 1)
        unsafe core.deallocate()
    }

    /// `isBound`: started at once, with a probe.
    func begin(_ prepared: PreparedSegment, isBound: Bool, now: UInt64) {
        unsafe core.pointee.begin(prepared)
        unsafe core.pointee.bytesUsed += prepared.fileBytes
        // If the disk refuses, it is sealed, and `tick` heals.
        if isBound { _ = unsafe core.pointee.startCurrent(now: now) }
        unsafe core.pointee.requestNext(now: now)
    }

    /// Adds a delivery to the group. No I/O; no allocation once the buffers have grown to the turn's size. `delivery.head`
    /// and `delivery.body` must stay as they are until `commit` has returned.
    public func append(_ delivery: borrowing DeliveryAppend) -> AppendResult {
        unsafe core.pointee.append(delivery)
    }

    /// Adds what is to be done for a delivery that was committed. Copied; goes with the next group, or within a second.
    /// False, and nothing is added, when the plan is longer than a record may be.
    @discardableResult
    public func appendPlan(
        sequence: UInt64, entries: [PlanEntry], details: PlanDetails? = nil, now: UInt64
    ) -> Bool {
        unsafe core.pointee.appendPlan(sequence: sequence, entries: entries, details: details, now: now)
    }

    /// Adds what became of deliveries. Copied; goes with the next group, or within a second.
    public func appendOutcomes(_ entries: [OutcomeEntry], now: UInt64) {
        unsafe core.pointee.appendOutcomes(entries, now: now)
    }

    /// Adds a delivery that another journal received and still owes; see `RecordOrigin`. The record is copied. What was
    /// planned and done for it follows by `appendPlan` and `appendOutcomes`, under the sequence that this gives it.
    /// `isConcluded`: it is final, and will not be owed here. Of a record that counts only with its plan (`RecordFlags.planned`)
    /// that plan must be given here: both go in one group.
    public func adopt(
        _ record: StoredRecord, from origin: RecordOrigin, isConcluded: Bool = false,
        plan: (entries: [PlanEntry], timeUnixNanoseconds: UInt64)? = nil
    ) -> AppendResult {
        unsafe core.pointee.adopt(record, from: origin, isConcluded: isConcluded, plan: plan)
    }

    /// Adds a delivery of this journal once more, to be carried out again: see `WriterCore+Redeliver.swift`. `pinned` must be
    /// a delivery whose body was kept. With a `plan`, which must not be empty, that is done, and it is in the group as well.
    public func redeliver(_ pinned: PinnedRecord, plan: [PlanEntry]? = nil, now: UInt64) -> AppendResult {
        precondition(plan?.isEmpty != true, "a plan of a redelivery has entries")
        return unsafe core.pointee.redeliver(pinned, plan: plan, now: now)
    }

    /// Records gathered since the last commit, and their bytes.
    public var groupRecordCount: Int { unsafe core.pointee.group.count }
    public var groupBytes: Int { unsafe core.pointee.group.byteCount }

    /// Plans or outcomes wait for a commit. They force none of their own: `tick` writes them if no group did.
    public var hasUnsyncedHousekeeping: Bool { unsafe core.pointee.group.housekeepingCount > 0 }

    /// Writes the group and makes it as durable as the options say. `now` in Unix nanoseconds.
    public func commit(now: UInt64) -> CommitResult {
        unsafe core.pointee.commit(now: now)
    }

    /// The deliveries of the last `commit` whose actions are due, by sequence. Valid until the next `append…`, `commit`
    /// or `tick`.
    public var committedDeliveries: UnsafeBufferPointer<CommittedDelivery> {
        unsafe core.pointee.committed.buffer
    }

    /// Once a second, between turns: writes what waits, syncs in asynchronous mode, tries a new segment while sealed,
    /// lets old segments go.
    public func tick(now: UInt64) {
        unsafe core.pointee.tick(now: now)
    }

    /// False: a delivery would be refused, whichever it is.
    public var isAccepting: Bool { refusalReason == nil }
    public var refusalReason: JournalError? { unsafe core.pointee.refusalReason }
    /// Why a delivery that was refused as `full` found no room.
    public var roomProblem: JournalError { unsafe core.pointee.roomProblem }

    /// Of the second before the last `tick`; 0 when there was no sync.
    public var medianSyncNanosecondsOfLastSecond: UInt64 { unsafe core.pointee.medianSyncNanoseconds }

    /// Deliveries that wait for a final outcome.
    public var owedCount: Int { unsafe core.pointee.owed.count }

    /// Where the record of an owed delivery lies, and how far it came; nil: it is not owed.
    public func owed(_ sequence: UInt64) -> OwedState? {
        unsafe core.pointee.owed[sequence].map { OwedState($0) }
    }

    /// A segment has no file any more: somebody took it away. Says what that cost; nil: it is not part of the log. For between turns: the
    /// segment being written is left when no group is under way.
    public func lose(segment number: UInt64, now: UInt64) -> LostSegment? {
        unsafe core.pointee.lose(number, now: now)
    }

    /// The file of a segment that was lost is there again.
    public func regain(segment number: UInt64) { unsafe core.pointee.regain(number) }

    public var bytesUsed: UInt64 { unsafe core.pointee.bytesUsed }
    public var nextSequence: UInt64 { unsafe core.pointee.nextSequence }
    /// What the dedupe index holds in memory.
    public var dedupeMemoryBytes: Int { unsafe core.pointee.dedupe.memoryBytes }

    /// Writes what waits and gives the data directory back. Must come last.
    public func close(now: UInt64) {
        unsafe core.pointee.close(now: now)
    }
}
