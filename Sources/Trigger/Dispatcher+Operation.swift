// What an operator does with a running dispatcher: look into it, pause. All from any thread; the work is done on the
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
