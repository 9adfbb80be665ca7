// Handoff: between the journal's hints and the dispatcher.
//
// A thread of its own, so that neither the loop nor the journal's writer reads back what it wrote. It turns a hint into a
// QueuedDelivery by reading the record's meta from its segment, which is pinned while it is owed. If hints were lost because the ring
// was full, it follows the journal from the first lost one (Handoff+Missed). While the dispatcher has not looked at what it was given, it
// waits: the ring fills, and the journal keeps the rest. What the dispatcher does not take, it leaves to the journal by itself
// (SpillBook). What cannot be read is read again later (UnreadRecords); what comes after it does not wait.
//
// The thread goes through `turn` over and over; a simulation does so itself.

internal import Metrics
internal import CLinuxIO
internal import Delivery
internal import Journal
internal import Logging
internal import Ring
internal import Synchronization
internal import Trigger

/// Moves durable deliveries to the dispatcher.
final class Handoff: Sendable {
    /// Deliveries that the dispatcher has not looked at before this thread waits.
    static let backlogMax = 16_384
    private let waitingMax: Int
    private static let batchMax = 256

    private let hints: HintChannel
    private let wakeup: Int32
    let reader: JournalReader
    private let target: Target
    private let gate: ListingGate
    /// The highest sequence that is durable.
    private let durableSequence: @Sendable () -> UInt64
    let logger: Logger
    let clock: LoopClock
    private let isStopping = Atomic<Bool>(false)
    let hasEnded = Atomic<Bool>(false)

    /// Where deliveries go: the dispatcher, or what stands for it in a simulation.
    struct Target: Sendable {
        /// How much it has not looked at.
        var load: @Sendable () -> Int
        var enqueue: @Sendable ([QueuedDelivery]) -> Void
        /// Takes a delivery with a plan of its own.
        var replay: @Sendable (RecoveredDelivery) -> Void
    }

    /// How far a hand-over is. The thread's own.
    struct Progress {
        /// What is at or below this was handed over, by hint or by following: sequences only grow.
        fileprivate var handedThrough: UInt64 = 0
        var missed: [MissedRange] = []
        fileprivate var unread = UnreadRecords()

        init() {}
    }

    init(
        hints: HintChannel, wakeup: Int32, reader: JournalReader, target: Target, gate: ListingGate,
        waitingMax: Int = Handoff.backlogMax,
        durableSequence: @escaping @Sendable () -> UInt64, logger: Logger, clock: LoopClock = LoopClock()
    ) {
        self.hints = hints
        self.wakeup = wakeup
        self.reader = reader
        self.target = target
        self.gate = gate
        self.waitingMax = waitingMax
        self.durableSequence = durableSequence
        self.logger = logger
        self.clock = clock
    }

    func start() { NamedThread.start("handoff") { self.run() } }

    func stop() {
        isStopping.store(true, ordering: .releasing)
        _ = cl_eventfd_signal(wakeup)
    }

    private func run() {
        var progress = Progress()
        // What is left when this ends stays owed in the journal.
        while !isStopping.load(ordering: .acquiring) {
            let patience = turn(&progress)
            guard patience > 0 else { continue }
            NamedThread.wait(on: wakeup, milliseconds: patience)
            hints.bell.cancelSleep()
        }
        hasEnded.store(true, ordering: .releasing)
    }

    /// Between two looks at a dispatcher that has no room.
    static let fullMilliseconds: Int32 = 50

    /// Hands over some of what there is. Gives how many milliseconds to sleep unless woken, 0 for not at all.
    func turn(_ progress: inout Progress) -> Int32 {
        if target.load() >= waitingMax { return Self.fullMilliseconds }
        if readAgain(&progress) || followMissed(&progress, wasUnread: false) { return 0 }
        let isMore = drainRing(&progress) || beginFollowing(&progress)
        // Beside what comes, however long the disk takes to fail, and however much comes.
        if target.load() < waitingMax, followMissed(&progress, wasUnread: true) { return 0 }
        if isMore { return 0 }
        hints.bell.prepareToSleep()
        if hints.ring.depth > 0 || hints.overflowFrom.load(ordering: .acquiring) != 0 {
            hints.bell.cancelSleep()
            return 0
        }
        return patience(progress)
    }

    /// A second, or less when something is to be read again before.
    private func patience(_ progress: borrowing Progress) -> Int32 {
        guard let due = (progress.missed.map(\.due) + [progress.unread.due ?? .max]).min(), due != .max else {
            return 1000
        }
        let now = clock.monotonic()
        return Int32(min(1000, due > now ? (due - now) / 1_000_000 + 1 : 1))
    }

    /// As many as may be handed over at once.
    var room: Int { max(1, min(Self.batchMax, waitingMax - target.load())) }

    /// Deliveries on their way; a part of it may have been handed over.
    struct Batch {
        var waiting: [QueuedDelivery] = []
        var handedCount = 0
        var count: Int { handedCount + waiting.count }
    }

    func hand(_ batch: inout Batch) {
        target.enqueue(gate.admit(batch.waiting))
        batch.handedCount += batch.waiting.count
        batch.waiting.removeAll(keepingCapacity: true)
    }

    /// True when there was something.
    private func drainRing(_ progress: inout Progress) -> Bool {
        var batch = Batch()
        let room = room
        var isEmpty = true
        while batch.count < room, let hint = hints.ring.pop() {
            isEmpty = false
            guard hint.sequence > progress.handedThrough else { continue }
            progress.handedThrough = hint.sequence
            read(hint, tries: 0, into: &batch, &progress.unread)
        }
        hand(&batch)
        return !isEmpty
    }

    /// True when there was something that was due.
    private func readAgain(_ progress: inout Progress) -> Bool {
        guard !progress.unread.isEmpty else { return false }
        let entries = progress.unread.takeDue(now: clock.monotonic(), max: room)
        guard !entries.isEmpty else { return false }
        var batch = Batch()
        for entry in entries {
            read(entry.hint, tries: entry.tries + 1, into: &batch, &progress.unread)
        }
        if progress.unread.isEmpty { logger.notice("all journal records can be read back again") }
        hand(&batch)
        return true
    }

    /// `tries`: how often it could not be read before.
    private func read(
        _ hint: DeliveryHint, tries: Int, into batch: inout Batch, _ unread: inout UnreadRecords
    ) {
        let location = RecordLocation(segment: hint.segment, offset: hint.offset, length: hint.length)
        do throws(JournalError) {
            guard let record = try reader.read(location, expecting: hint.sequence) else { return }
            take(record, at: location, durable: hint.durable, into: &batch)
        } catch {
            let wasEmpty = unread.isEmpty
            if !unread.add(hint, tries: tries, now: clock.monotonic()) {
                logger.error(
                    "a journal record cannot be read back, as many before it; its actions run after a restart",
                    metadata: ["sequence": "\(hint.sequence)", "error": "\(error.message)"])
            } else if wasEmpty, tries == 0 {
                logger.error(
                    "a journal record cannot be read back; it will be tried again, and its actions run then",
                    metadata: ["sequence": "\(hint.sequence)", "error": "\(error.message)"])
            }
        }
    }

    /// A redelivery with a plan of its own is handed over at once, behind what is in the batch.
    /// `durable`: when it was; 0: not known, its hint was lost.
    func take(
        _ record: StoredRecord, at location: RecordLocation, durable: UInt64 = 0, into batch: inout Batch
    ) {
        // Else it is no delivery that this version knows.
        guard var delivery = QueuedDelivery(record, at: location) else { return }
        delivery.durableNanoseconds = durable
        guard record.header.flags.contains(.planned) else { return batch.waiting.append(delivery) }
        // Without it the delivery stays owed: to do what is configured would be something else.
        guard let plan = hints.takePlan(of: record.sequence) else { return }
        hand(&batch)
        batch.handedCount += 1
        let recovered = RecoveredDelivery(
            delivery: delivery, plan: plan.map { EncodedPlanEntry(actionKind: $0.actionKind, target: $0.target) },
            outcomes: [])
        if gate.admits(recovered) { target.replay(recovered) }
    }

    /// Where hints were lost. The ring is empty now, and stays so until the mark is cleared.
    private func beginFollowing(_ progress: inout Progress) -> Bool {
        let from = hints.overflowFrom.load(ordering: .acquiring)
        guard from != 0 else { return false }
        // What becomes durable from here on is hinted again.
        hints.overflowFrom.store(0, ordering: .releasing)
        let through = durableSequence()
        progress.missed.append(MissedRange(next: max(from, progress.handedThrough + 1), through: through))
        progress.handedThrough = max(progress.handedThrough, through)
        return true
    }
}

extension Handoff.Target {
    init(_ dispatcher: Dispatcher) {
        self.init(
            load: { dispatcher.backlog }, enqueue: { dispatcher.enqueue($0) }, replay: { dispatcher.replay([$0]) })
    }
}
