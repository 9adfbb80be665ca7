// Redelivery: carries a stored delivery out again, asked for from any thread while the server runs.
//
//   caller ──> record (JournalHistory) ──> mailbox ──> desk's owner: append, commit with the next group ──> caller
//                                                            └──> hint ──> Handoff ──> Dispatcher
//
// The owner of the desk is woken, so that an idle server answers at once. The memory that goes to the disk is the request's: it
// lives until it is answered.

internal import Delivery
internal import Journal
internal import Synchronization

/// What a redelivery does.
enum RedeliveryAct: Sendable, Equatable {
    /// What the delivery's route says now.
    case asConfigured
    /// Exactly these entries, whatever the route says.
    case plan([PlanEntry])
    /// What another route says now: the copy is a delivery of that one.
    case route(RouteIdentity)

    var plan: [PlanEntry]? {
        if case .plan(let entries) = self { entries } else { nil }
    }
}

enum RedeliveryError: Error, Sendable, Equatable {
    /// No such delivery, or retention has let it go.
    case unknown
    /// The sequence is a plan's, an outcome's …
    case notADelivery
    /// A duplicate: its body is the one of what it repeats.
    case bodyNotKept(of: UInt64)
    /// Damaged, or the disk cannot be read.
    case unreadable(String)
    /// The journal takes no delivery now; the text says why.
    case refused(String)
    /// Without an entry, or longer than a record may be.
    case invalidPlan
    /// Its name is longer than a record keeps.
    case invalidRoute
    /// The server ends.
    case stopping

    /// One sentence of what is wrong and what to do. Nothing that came with a request.
    var message: String {
        switch self {
        case .unknown:
            "there is no such delivery (any more). Finished ones go when their space is needed or after --journal-max-age."
        case .notADelivery: "this sequence is not a delivery's but of what was written about one."
        case .bodyNotKept(let original):
            original > 0
                ? "this is a duplicate, whose body is not kept. Redeliver #\(original), which it repeats."
                : "this is a duplicate that another server received, whose body is not kept. Redeliver what it repeats."
        case .unreadable(let reason): "the record cannot be read: \(reason)"
        case .refused(let reason): reason
        case .invalidPlan: "the plan has no entry, or is longer than a record may be. Name fewer targets."
        case .invalidRoute: "the route's name is longer than a record keeps. Name another one."
        case .stopping: "the server is ending. Ask the one that runs next."
        }
    }
}

/// One wish, on its way to the owner of the desk and back.
final class RedeliveryRequest: Sendable {
    typealias Answer = Result<UInt64, RedeliveryError>

    let pinned: PinnedRecord
    let plan: [PlanEntry]?
    private let reply: Mutex<(@Sendable (Answer) -> Void)?>

    init(_ pinned: PinnedRecord, _ plan: [PlanEntry]?, _ reply: @escaping @Sendable (Answer) -> Void) {
        self.pinned = pinned
        self.plan = plan
        self.reply = Mutex(reply)
    }

    /// From any thread; the first answer counts.
    func answer(_ answer: Answer) {
        let waiting = reply.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        waiting?(answer)
    }
}

/// For the admin API. From any thread.
final class Redelivery: Sendable {
    private let history: JournalHistory
    private let mailbox: HousekeepingMailbox
    private let wake: @Sendable () -> Void

    init(history: JournalHistory, mailbox: HousekeepingMailbox, wake: @escaping @Sendable () -> Void) {
        self.history = history
        self.mailbox = mailbox
        self.wake = wake
    }

    /// Adds the delivery `sequence` once more, accepted, received now and not deduplicated, with a copy of head and body. Returns
    /// its sequence once that is as durable as an answered delivery. Reads the disk: blocks for milliseconds, and waits for a commit.
    /// `place`: where it was found; needed for a copy of what is not owed any more. `answered` hears the answer as well, also when nobody
    /// waits for it any more.
    func redeliver(
        _ sequence: UInt64, _ act: RedeliveryAct = .asConfigured, at place: RecordLocation? = nil,
        answered: @escaping @Sendable (RedeliveryRequest.Answer) -> Void = { _ in }
    ) async -> RedeliveryRequest.Answer {
        await withCheckedContinuation { continuation in
            redeliver(sequence, act, at: place) { answer in
                answered(answer)
                continuation.resume(returning: answer)
            }
        }
    }

    /// The same without waiting: `reply` comes once, at once or from the owner of the desk.
    func redeliver(
        _ sequence: UInt64, _ act: RedeliveryAct, at place: RecordLocation? = nil,
        reply: @escaping @Sendable (RedeliveryRequest.Answer) -> Void
    ) {
        if let plan = act.plan, plan.isEmpty { return reply(.failure(.invalidPlan)) }
        switch pin(sequence, act, place) {
        case .success(let pinned):
            mailbox.post(.redelivery(RedeliveryRequest(pinned, act.plan, reply)))
            wake()
        case .failure(let error): reply(.failure(error))
        }
    }

    private func pin(
        _ sequence: UInt64, _ act: RedeliveryAct, _ place: RecordLocation?
    ) -> Result<PinnedRecord, RedeliveryError> {
        do throws(JournalError) {
            var found = try history.record(of: sequence)
            if found == nil, let place { found = try history.record(of: sequence, at: place) }
            guard let record = found else {
                return .failure(history.holds(sequence) ? .notADelivery : .unknown)
            }
            guard record.header.bodyLength == record.header.receivedBodyLength else {
                return .failure(.bodyNotKept(of: record.header.duplicateOf ?? 0))
            }
            guard case .route(let route) = act else { return .success(PinnedRecord(record)) }
            let pinned = PinnedRecord(
                record,
                as: RecordRoute(
                    cluster: route.cluster, namespace: route.namespace, name: route.name,
                    receiverKind: route.kind.rawValue))
            return pinned.map { .success($0) } ?? .failure(.invalidRoute)
        } catch {
            return .failure(.unreadable(error.message))
        }
    }
}

extension JournalDesk {
    /// Why the writer did not take a redelivery.
    func refusal(_ reason: RefusalReason, _ request: RedeliveryRequest) -> RedeliveryError {
        switch reason {
        case .tooLarge where request.plan != nil: .invalidPlan
        case .tooLarge: .refused("the delivery is longer than a record may be now: raise --max-body to what it was.")
        case .full: .refused(writer.roomProblem.message)
        case .namespaceShare:
            .refused(
                "the unfinished deliveries of its namespace fill their share of the journal. "
                    + "See why they fail, or raise --journal-namespace-share.")
        case .sealed: .refused((writer.refusalReason ?? .closed).message)
        }
    }
}
