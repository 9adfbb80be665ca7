// Handoff: between the journal's hints and the dispatcher.
//
// A thread of its own, so that neither the loop nor the journal's writer reads back what it wrote. It turns a hint into a
// QueuedDelivery by reading the record's meta from its segment, which is pinned while it is owed. If hints were lost because the ring
// was full, it follows the journal from the first lost one. While the dispatcher holds enough, it waits: the ring fills, and the journal
// keeps the rest.

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
    /// Deliveries that the dispatcher may hold before this thread waits.
    private let waitingMax: Int
    private static let batchMax = 256

    private let hints: HintChannel
    private let wakeup: Int32
    private let reader: JournalReader
    private let dispatcher: Dispatcher
    private let gate: ListingGate
    /// The highest sequence that is durable.
    private let durableSequence: @Sendable () -> UInt64
    private let logger: Logger
    private let isStopping = Atomic<Bool>(false)
    let hasEnded = Atomic<Bool>(false)

    init(
        hints: HintChannel, wakeup: Int32, reader: JournalReader, dispatcher: Dispatcher, gate: ListingGate,
        waitingMax: Int,
        durableSequence: @escaping @Sendable () -> UInt64, logger: Logger
    ) {
        self.hints = hints
        self.wakeup = wakeup
        self.reader = reader
        self.dispatcher = dispatcher
        self.gate = gate
        self.waitingMax = waitingMax
        self.durableSequence = durableSequence
        self.logger = logger
    }

    func start() { NamedThread.start("handoff") { self.run() } }

    func stop() {
        isStopping.store(true, ordering: .releasing)
        _ = cl_eventfd_signal(wakeup)
    }

    private func run() {
        // Sequences only grow: what is at or below this was handed over, by hint or by following.
        var handedThrough: UInt64 = 0
        while !isStopping.load(ordering: .acquiring) {
            if isFull {
                NamedThread.wait(on: wakeup, milliseconds: 50)
                continue
            }
            if drainRing(&handedThrough) { continue }
            if followOverflow(&handedThrough) { continue }
            hints.bell.prepareToSleep()
            if hints.ring.depth > 0 || hints.overflowFrom.load(ordering: .acquiring) != 0 {
                hints.bell.cancelSleep()
                continue
            }
            NamedThread.wait(on: wakeup, milliseconds: 1000)
            hints.bell.cancelSleep()
        }
        hasEnded.store(true, ordering: .releasing)
    }

    private var isFull: Bool { dispatcher.load >= waitingMax }

    /// As many as may be handed over at once.
    private var room: Int { max(1, min(Self.batchMax, waitingMax - dispatcher.load)) }

    /// Until the dispatcher has room again, or this ends.
    private func waitForRoom() {
        while isFull, !isStopping.load(ordering: .acquiring) { NamedThread.wait(on: wakeup, milliseconds: 50) }
    }

    /// True when there was something.
    private func drainRing(_ handedThrough: inout UInt64) -> Bool {
        var batch: [QueuedDelivery] = []
        let room = room
        while batch.count < room, let hint = hints.ring.pop() {
            guard hint.sequence > handedThrough else { continue }
            handedThrough = hint.sequence
            let location = RecordLocation(segment: hint.segment, offset: hint.offset, length: hint.length)
            do {
                guard let record = try reader.read(location, expecting: hint.sequence) else { continue }
                if let delivery = take(record, at: location) { batch.append(delivery) }
            } catch {
                logger.error(
                    "a journal record cannot be read back; its actions run after a restart",
                    metadata: ["sequence": "\(hint.sequence)", "error": "\(error.message)"])
            }
        }
        let wasEmpty = batch.isEmpty
        dispatcher.enqueue(gate.admit(batch))
        return !wasEmpty
    }

    /// nil: no delivery that this version knows, or a redelivery with a plan of its own, which is handed over at once.
    private func take(_ record: StoredRecord, at location: RecordLocation) -> QueuedDelivery? {
        guard let delivery = QueuedDelivery(record, at: location) else { return nil }
        guard record.header.flags.contains(.planned) else { return delivery }
        // Without it the delivery stays owed: to do what is configured would be something else.
        guard let plan = hints.takePlan(of: record.sequence) else { return nil }
        dispatcher.replay([
            RecoveredDelivery(
                delivery: delivery,
                plan: plan.map { EncodedPlanEntry(actionKind: $0.actionKind, target: $0.target) }, outcomes: [])
        ])
        return nil
    }

    /// Reads on from the journal where hints were lost. The ring is empty now, and stays so until the mark is cleared.
    private func followOverflow(_ handedThrough: inout UInt64) -> Bool {
        let from = hints.overflowFrom.load(ordering: .acquiring)
        guard from != 0 else { return false }
        // What becomes durable from here on is hinted again.
        hints.overflowFrom.store(0, ordering: .releasing)
        let through = durableSequence()
        var batch: [QueuedDelivery] = []
        var room = room
        do {
            try reader.follow(from: max(from, handedThrough + 1), through: through) { record in
                if record.header.decision == .accepted, let delivery = take(record, at: record.location) {
                    batch.append(delivery)
                }
                if batch.count >= room {
                    dispatcher.enqueue(gate.admit(batch))
                    batch.removeAll(keepingCapacity: true)
                    waitForRoom()
                    room = self.room
                }
                // What is left when this ends stays owed in the journal.
                return !isStopping.load(ordering: .acquiring)
            }
        } catch {
            logger.error(
                "the journal cannot be followed; what was missed runs after a restart",
                metadata: ["from": "\(from)", "error": "\(error)"])
        }
        if !batch.isEmpty { dispatcher.enqueue(gate.admit(batch)) }
        handedThrough = max(handedThrough, through)
        return true
    }
}
