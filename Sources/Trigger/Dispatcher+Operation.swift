// What an operator does with a running dispatcher: look into it, pause, carry out once more. All from any thread; the work is done on the
// dispatcher's, to which each call goes through the mailbox.

public import Delivery

/// What may be paused. What is paused goes on being accepted, planned and owed; it is not started and uses up no attempt. Nothing
/// of this survives a restart: whoever pauses keeps what he paused, and sets it before `replay`.
public enum PauseSubject: Hashable, Sendable {
    /// All that one route causes.
    case route(RouteIdentity)
    /// All that the routes of a namespace cause.
    case namespace(cluster: String, namespace: String)
    /// All that acts on a target, whatever route it comes from; `text` as in `QueueSnapshot.target`.
    case target(cluster: String, text: String)
}

/// One action of a delivery that is to be carried out (again) because somebody wants it.
public struct Redelivery: Sendable {
    public enum Work: Sendable {
        /// As it was planned. An `http`, `exec` or `log` entry must still be among the route's actions.
        case entry(EncodedPlanEntry)
        /// Something else, such as the same on another target. Not `exec`: only manifest files say what is run.
        case action(Action)
    }

    /// The record in the journal.
    public var delivery: QueuedDelivery
    /// Under which the outcomes are written.
    public var planIndex: UInt16
    public var work: Work
    /// Writes a plan of this one entry first, `planIndex` being 0: for a record that has none, so that a restart does
    /// this and not what the route says.
    public var recordsPlan: Bool
    /// Nanoseconds since 1970; `retry.maxAge` counts from here and not from the delivery's receipt.
    public var requestedNanoseconds: UInt64

    public init(
        delivery: QueuedDelivery, planIndex: UInt16, work: Work, recordsPlan: Bool = false,
        requestedNanoseconds: UInt64
    ) {
        self.delivery = delivery
        self.planIndex = planIndex
        self.work = work
        self.recordsPlan = recordsPlan
        self.requestedNanoseconds = requestedNanoseconds
    }
}

/// What became of a wish to carry something out again.
public enum RedeliveryAnswer: Sendable, Equatable {
    /// Waits for its turn; ends with outcomes as any other. Paused things stay paused.
    case accepted
    /// This entry of this delivery, or the delivery's planning, has not ended yet.
    case stillOwed
    /// The entry is of another version, or damaged.
    case unreadable
    /// The route is gone or no longer has the action.
    case routeRemoved
    /// `exec` on demand.
    case notAllowed
    /// The dispatcher ends.
    case stopping
}

extension Dispatcher {
    /// Pauses or resumes one subject. Returns at once; what runs goes on to its end.
    public func setPaused(_ subject: PauseSubject, _ isPaused: Bool) {
        changePauses { paused in
            if isPaused { paused.insert(subject) } else { paused.remove(subject) }
        }
    }

    /// Pauses exactly these.
    public func setPaused(_ subjects: Set<PauseSubject>) {
        changePauses { $0 = subjects }
    }

    /// A look at the queues. `limit` bounds the queues and the dead that are listed; `cluster` and `namespace` choose queues, breakers and
    /// dead by their routes' (nil: all). Costs a look at every trigger: about a millisecond for 100,000. nil: the dispatcher has ended.
    public func queues(
        limit: Int, cluster: String? = nil, namespace: String? = nil
    ) async -> DispatcherSnapshot? {
        await withCheckedContinuation { continuation in
            ask(
                .inspect(
                    QueueQuestion(limit: max(0, limit), cluster: cluster, namespace: namespace),
                    { continuation.resume(returning: $0) }))
        }
    }

    /// Carries out one entry of a delivery that is in the journal already.
    public func redeliver(_ redelivery: Redelivery) async -> RedeliveryAnswer {
        await withCheckedContinuation { continuation in
            ask(.redeliver(redelivery, isChecked: false, { continuation.resume(returning: $0) }))
        }
    }
}

/// Which queues are asked for.
package struct QueueQuestion: Sendable {
    package var limit: Int
    package var cluster: String?
    package var namespace: String?

    package init(limit: Int, cluster: String? = nil, namespace: String? = nil) {
        self.limit = limit
        self.cluster = cluster
        self.namespace = namespace
    }

    func covers(cluster: String, namespace: String) -> Bool {
        (self.cluster ?? cluster) == cluster && (self.namespace ?? namespace) == namespace
    }
}
