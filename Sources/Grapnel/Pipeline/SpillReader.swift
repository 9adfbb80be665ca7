// SpillReader: what the dispatcher left to the journal, read again.
//
//   dispatcher ──> question ──> walk over the log (JournalHistory) ──> mailbox ──> the desk's owner: which of them are owed ──┐
//       ^                                                                                                              │
//       └──────────────── with plans and outcomes, where there are any (JournalHistory) <──────────────────────────────┘
//
// The log says which deliveries a route had, its writer alone which of them are owed now: it has been told of all that the dispatcher
// wrote before the question, as both go through one mailbox.

internal import Delivery
internal import Journal
internal import Logging
internal import Synchronization
internal import Trigger

/// Which of some deliveries are owed, asked of the journal's owner.
final class OwedQuestion: Sendable {
    let sequences: [UInt64]
    private let continuation: Mutex<CheckedContinuation<[OwedState?]?, Never>?>

    init(_ sequences: [UInt64], _ continuation: CheckedContinuation<[OwedState?]?, Never>) {
        self.sequences = sequences
        self.continuation = Mutex(continuation)
    }

    /// One for each sequence; nil: the journal is closed. From any thread; the first answer counts.
    func answer(_ states: [OwedState?]?) {
        let waiting = continuation.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        waiting?.resume(returning: states)
    }
}

/// Safe from any thread.
final class SpillReader: SpilledDeliveries {
    private let history: JournalHistory
    private let segments: JournalReader
    private let mailbox: HousekeepingMailbox
    private let gate: ListingGate
    private let logger: Logger
    private let wake: @Sendable () -> Void

    /// `wake` wakes the owner of the desk.
    init(
        history: JournalHistory, segments: JournalReader, mailbox: HousekeepingMailbox, gate: ListingGate,
        logger: Logger, wake: @escaping @Sendable () -> Void
    ) {
        self.history = history
        self.segments = segments
        self.mailbox = mailbox
        self.gate = gate
        self.logger = logger
        self.wake = wake
    }

    func read(_ question: SpillQuestion) async -> SpillReading {
        // A segment that goes while it is read takes its plans with it, and what was owed in it is elsewhere by then: once more. One that
        // ends before the question has neither.
        for _ in 0..<3 {
            let before = segments.segments.filter { $0.lastSequence ?? .max >= question.from }.map(\.number)
            let reading = await readOnce(question)
            if Set(before).isSubset(of: segments.segments.map(\.number)) { return reading }
        }
        var reading = SpillReading()
        reading.failure = "segments of the journal went while they were read"
        return reading
    }

    private func readOnce(_ question: SpillQuestion) async -> SpillReading {
        var walk = SpillWalk(question)
        walk.run(history)
        var reading = SpillReading()
        guard let states = await states(of: walk.found.map(\.sequence)) else {
            reading.failure = "the journal is closed"
            return reading
        }
        let gated = gate.held(among: walk.found.map { ($0.route, $0.sequence) })
        let owed = zip(walk.found, states).compactMap { found, state in
            state.flatMap { gated.contains(found.sequence) ? nil : (found, $0) }
        }
        let (stories, unread) = stories(of: owed.filter(\.1.isPlanned).map(\.0.sequence))
        if let unread { walk.end(before: unread) }
        var unplanned: [UInt64] = []
        for (found, state) in owed where found.sequence < unread?.from ?? .max {
            let story = stories[found.sequence]
            if state.isPlanned, story?.plan == nil {
                // It stays owed, as after a restart: to do what is configured would be something else.
                unplanned.append(found.sequence)
            } else {
                reading.deliveries.append(recovered(found, state, story))
            }
        }
        if let first = unplanned.first {
            logger.warning(
                "deliveries whose plans are not in the journal any more are passed by; they stay owed",
                metadata: ["count": "\(unplanned.count)", "first": "\(first)"])
        }
        reading.positions = walk.positions
        reading.failure = walk.failure
        reading.unread = walk.unread.map {
            SpillReading.Unread(
                segment: $0.segment, from: $0.from, through: $0.through, reason: $0.cause.message)
        }
        return reading
    }

    /// Plans and outcomes of deliveries, ascending, before the first that cannot be read.
    private func stories(of sequences: [UInt64]) -> ([UInt64: DeliveryStory], UnreadablePlace?) {
        var readable = sequences[...]
        var unread: UnreadablePlace?
        while !readable.isEmpty {
            do throws(UnreadablePlace) {
                return (try history.stories(of: Array(readable)), unread)
            } catch {
                // Those before it, once. If there is another such place, all before this one are tried again another time.
                let first = unread == nil ? error.from : readable.first ?? error.from
                let through = unread == nil ? error.through : readable.last ?? error.through
                unread = UnreadablePlace(segment: error.segment, from: first, through: through, cause: error.cause)
                readable = readable.prefix { $0 < first }
            }
        }
        return ([:], unread)
    }

    private func states(of sequences: [UInt64]) async -> [OwedState?]? {
        guard !sequences.isEmpty else { return [] }
        return await withCheckedContinuation { continuation in
            mailbox.post(.owed(OwedQuestion(sequences, continuation)))
            wake()
        }
    }

    private func recovered(_ found: SpillWalk.Found, _ state: OwedState, _ story: DeliveryStory?) -> RecoveredDelivery {
        let delivery = QueuedDelivery(
            sequence: found.sequence, receivedNanoseconds: found.receivedNanoseconds, route: found.route,
            location: DeliveryLocation(
                segment: state.location.segment, offset: state.location.offset, length: state.location.length))
        guard let story, let plan = story.plan else {
            return RecoveredDelivery(delivery: delivery, plan: nil, outcomes: [])
        }
        let outcomes = story.events.filter { !$0.outcome.isFinal || state.isFinal($0.planIndex) }
        return RecoveredDelivery(
            delivery: delivery, plan: plan.map { EncodedPlanEntry(actionKind: $0.actionKind, target: $0.target) },
            outcomes: outcomes.map {
                Trigger.OutcomeEntry(
                    sequence: found.sequence, planIndex: $0.planIndex,
                    code: OutcomeCode(rawValue: $0.outcome.rawValue) ?? .failed, detail: $0.detail, reason: $0.reason)
            })
    }
}

/// One walk over the log for the routes of a question.
struct SpillWalk {
    struct Found {
        var sequence: UInt64
        var receivedNanoseconds: UInt64
        var route: RouteIdentity
    }

    private let question: SpillQuestion
    private(set) var found: [Found] = []
    private(set) var positions: [RouteIdentity: SpillReading.Position] = [:]
    /// Why it ended early; what was found before counts.
    private(set) var failure: String?
    /// The same, where it can go on behind that place.
    private(set) var unread: UnreadablePlace?

    init(_ question: SpillQuestion) { self.question = question }

    mutating func run(_ history: JournalHistory) {
        var open = question.routes
        var lastPosition = question.from
        var full: [RouteIdentity: SpillReading.Position] = [:]
        let durable = history.durableThrough
        var through = open.values.map(\.through).max() ?? 0
        var found: [Found] = []
        var isWhole = false
        func look(_ summary: DeliverySummary) -> Bool {
            guard summary.sequence <= through else {
                isWhole = true
                return false
            }
            lastPosition = summary.sequence + 1
            guard summary.decision == .accepted, let kind = ReceiverKind(rawValue: summary.receiverKind) else {
                return true
            }
            let route = RouteIdentity(
                cluster: summary.cluster, kind: kind, namespace: summary.namespace, name: summary.name)
            guard let wanted = open[route], (wanted.from...wanted.through).contains(summary.sequence) else {
                return true
            }
            guard wanted.room > 0 else {
                full[route] = SpillReading.Position(
                    next: summary.sequence, receivedNanoseconds: summary.receivedAtUnixNanoseconds)
                open[route] = nil
                through = open.values.map(\.through).max() ?? 0
                return !open.isEmpty
            }
            open[route]?.room = wanted.room - 1
            found.append(
                Found(
                    sequence: summary.sequence, receivedNanoseconds: summary.receivedAtUnixNanoseconds, route: route))
            return true
        }
        do throws(UnreadablePlace) {
            let end = try history.walk(.forwards, from: question.from, looksMax: question.looksMax, look)
            isWhole = isWhole || end == .end || lastPosition > through
        } catch {
            unread = error
            // All before it was looked at.
            lastPosition = error.from
        }
        self.found = found
        positions = full
        for (route, wanted) in open {
            if isWhole, wanted.through <= durable {
                positions[route] = SpillReading.Position(next: wanted.through + 1)
            } else {
                // Not beyond its end: what of the route comes there meanwhile was not asked for.
                positions[route] = SpillReading.Position(
                    next: max(wanted.from, min(lastPosition, wanted.through + 1)))
            }
        }
        if isWhole, through > durable { failure = "the journal's last group is not durable yet" }
    }

    /// What was found from this place on is left for another time.
    mutating func end(before place: UnreadablePlace) {
        unread = place
        failure = nil
        for other in found where other.sequence >= place.from {
            guard let position = positions[other.route], position.next > other.sequence else { continue }
            positions[other.route] = SpillReading.Position(
                next: other.sequence, receivedNanoseconds: other.receivedNanoseconds)
        }
    }
}
