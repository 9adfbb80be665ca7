// What the dispatcher's core is made of: triggers, the queues and targets that they wait at, and whose turn it is.

import Delivery

extension DispatcherCore {
    enum CoalesceKey: Hashable, Sendable {
        case target
        case ref(Int)
    }

    enum TriggerState: UInt8, Sendable {
        case queued, delayed, held, running
    }

    struct Trigger: Sendable {
        var sequence: UInt64
        var receivedNanoseconds: UInt64
        var location: DeliveryLocation
        /// Not to be started before; from window, backoff and Retry-After.
        var notBefore: UInt64 = 0
        var coalesceKey: CoalesceKey?
        var queue: Int32
        var route: Int32
        var policy: Int32
        var generation: UInt32
        /// Deliveries that were merged into this one.
        var merged: UInt32 = 0
        var planIndex: UInt16
        /// Attempts that counted.
        var attempts: UInt16 = 0
        /// All attempts of this delivery.
        var tries: UInt16 = 0
        /// Failures in a row at this target; taken over when a newer delivery replaces this one.
        var failures: UInt16 = 0
        var objectMissing: UInt8 = 0
        var state: TriggerState = .queued
        var isProbeOfServer = false
        var isProbeOfResource = false
        var isFailureRecorded = false
        var mayHaveActed = false

        /// In the order of deliveries, and of the entries of each.
        var place: (UInt64, UInt16) { (sequence, planIndex) }

        /// The caller has retained `route` and `policy` for it.
        init(_ delivery: QueuedDelivery, planIndex: Int, queue: Int, route: Int, policy: Int) {
            sequence = delivery.sequence
            receivedNanoseconds = delivery.receivedNanoseconds
            location = delivery.location
            self.queue = Int32(queue)
            self.route = Int32(route)
            self.policy = Int32(policy)
            generation = 0
            self.planIndex = UInt16(clamping: planIndex)
        }
    }

    /// What shares a queue. The version of a target does not count: it is the same object.
    enum QueueKey: Hashable, Sendable {
        /// `lane`: of a build's ref, else 0.
        case object(cluster: String, group: String, kind: String, namespace: String, name: String, lane: UInt32)
        case ofRoute(Int32, PlannedAction)
    }

    /// The breakers of a target; `IndexList.none` where there is none.
    struct BreakerPair: Sendable {
        var server: Int32
        var resource: Int32
    }

    struct Queue: Sendable {
        var key: QueueKey
        /// The newest planned action for the target.
        var action: PlannedAction
        var namespace: Int32
        /// What it shares with the target's other refs; `IndexList.none` where there are none.
        var target: Int32
        let cluster: String
        let isOrdered: Bool
        var breakers: BreakerPair
        var runningMax: Int
        var running = 0
        /// Triggers in any state; without any the queue is idle and given back some time later.
        var triggerCount = 0
        /// False once the slot is given back.
        var isInUse = true
        var isAmongIdle = false
        var waiting = IndexList()
        var waitingByKey: [CoalesceKey: Int32] = [:]
        /// In the ready list of its namespace, parked at a breaker or waiting for a place at its target.
        var isListed = false
        var isPaused = false
        /// When an action was started here last, for the interval between two.
        var startedAt: UInt64 = 0
        /// Nothing starts here before.
        var notBefore: UInt64 = 0
        /// A timer for `notBefore` exists.
        var isTimed = false
        /// Of the last attempt; nil when that went well.
        var lastFailure: LastFailure?
        /// Builds of any ref: nothing else of the target runs beside them.
        var isWhole: Bool {
            guard isOrdered, case .object(_, _, _, _, _, let lane) = key else { return false }
            return lane == 0
        }
    }

    final class LastFailure: Sendable {
        let reason: String
        let at: UInt64

        init(_ reason: String, at: UInt64) {
            self.reason = OutcomeEntry.cut(reason)
            self.at = at
        }
    }

    /// The queues of one target.
    struct Target: Sendable {
        let key: QueueKey
        var users = 0
        var running = 0
        /// Queues that wait for a place.
        var waiting = IndexList()
        /// The queue that needs the target for itself and goes next; `IndexList.none` where none does.
        var claimant = IndexList.none
        /// That queue's trigger runs.
        var isTakenWhole = false
    }

    struct Cluster: Sendable {
        var running = 0
        /// Namespaces that wait for a place.
        var waiting = IndexList()
    }

    /// Whose turn it is in the round: the routes of a namespace, for each cluster that they act on.
    struct NamespaceKey: Hashable, Sendable {
        let name: String
        /// `IndexList.none`: what acts on no cluster.
        let cluster: Int32
    }

    struct Namespace: Sendable {
        let key: NamespaceKey
        var weight: Int
        var credit: Int
        var running = 0
        var queueCount = 0
        var ready = IndexList()
        var isInRound = false
        /// When it had its last turn, counted in starts of the whole dispatcher.
        var lastStart: UInt64
    }

    struct PolicyKey: Hashable, Sendable {
        var attempts: Int
        var backoff: UInt64
        var maxBackoff: UInt64
        var maxAge: UInt64
        /// Between two starts at a target.
        var minInterval: UInt64

        init(_ policy: RetryPolicy, _ coalesce: Coalesce? = nil) {
            minInterval = coalesce?.minIntervalNanoseconds ?? 0
            attempts = policy.attempts
            backoff = policy.backoffNanoseconds
            maxBackoff = policy.maxBackoffNanoseconds
            maxAge = policy.maxAgeNanoseconds
        }
    }
}
