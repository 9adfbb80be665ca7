// CollectionReport: how far each list of the cluster is known, and what keeps it from being in step.

internal import Catalog
internal import Kubernetes
internal import Synchronization

/// What is known of one collection.
enum CollectionState: Sendable, Equatable {
    /// Not listed yet; nanoseconds of the monotonic clock when that began.
    case pending(since: UInt64, trouble: String?, isForbidden: Bool = false)
    case synced
    /// The API server does not serve the kind.
    case absent
    /// We may not list it, and that has been so for a while: taken as meant, looked at again.
    case denied(String)
    /// It was known once and is not in step now.
    case behind(String)
}

/// States of all collections of one cluster. Safe from any thread.
public final class CollectionReport: Sendable {
    /// A list that is refused for so long after the start is refused on purpose. Before that it may be an API server that has
    /// just started: it answers 403 while its own caches fill.
    static let deniedNanoseconds: UInt64 = 10_000_000_000

    private let states = Mutex<[ObjectCatalog.Collection: CollectionState]>([:])

    func begin(_ collection: ObjectCatalog.Collection, now: UInt64) {
        states.withLock { $0[collection] = $0[collection] ?? .pending(since: now, trouble: nil) }
    }

    func end(_ collection: ObjectCatalog.Collection) { states.withLock { $0[collection] = nil } }

    func state(of collection: ObjectCatalog.Collection) -> CollectionState? { states.withLock { $0[collection] } }

    func note(_ collection: ObjectCatalog.Collection, _ state: CollectionState) {
        states.withLock { $0[collection] = state }
    }

    /// Trouble with a collection; `isForbidden`: 401 or 403.
    func fail(_ collection: ObjectCatalog.Collection, _ reason: String, isForbidden: Bool, now: UInt64) {
        states.withLock { states in
            switch states[collection] {
            case .synced, .behind: states[collection] = .behind(reason)
            case .denied: states[collection] = .denied(reason)
            case .pending(let since, _, _):
                states[collection] = .pending(since: since, trouble: reason, isForbidden: isForbidden)
            case .absent, nil:
                states[collection] = .pending(since: now, trouble: reason, isForbidden: isForbidden)
            }
        }
    }

    /// Lists that have been refused for so long that it is meant, with the reason; each is told once.
    func settleDenied(now: UInt64) -> [ObjectCatalog.Collection: String] {
        states.withLock { states in
            var denied: [ObjectCatalog.Collection: String] = [:]
            for (collection, state) in states {
                if case .pending(let since, let trouble?, true) = state, now - since >= Self.deniedNanoseconds {
                    denied[collection] = trouble
                }
            }
            for (collection, reason) in denied { states[collection] = .denied(reason) }
            return denied
        }
    }

    /// Back in step without a new list.
    func recover(_ collection: ObjectCatalog.Collection) {
        states.withLock { states in
            if case .behind = states[collection] { states[collection] = .synced }
        }
    }

    /// Whether everything that can be listed was listed once.
    public var isSynced: Bool {
        states.withLock { states in
            !states.isEmpty
                && states.values.allSatisfy { state in
                    if case .pending = state { false } else { true }
                }
        }
    }

    /// Whether every list failed, and none was known before.
    public var isUnreached: Bool {
        states.withLock { states in
            !states.isEmpty
                && states.values.allSatisfy { state in
                    if case .pending(_, .some, _) = state { true } else { false }
                }
        }
    }

    /// What an operator should know, one line each: first what is waited for, then what is out of step.
    public var lines: [String] {
        let now = states.withLock { $0 }
        var waiting: [String] = []
        var other: [String] = []
        for (collection, state) in now.sorted(by: { $0.key < $1.key }) {
            let name = [collection.kind, collection.namespace, collection.name].filter { !$0.isEmpty }
                .joined(separator: "/")
            switch state {
            case .pending(_, let trouble, _):
                waiting.append("\(name): not listed yet" + (trouble.map { ": \($0)" } ?? ""))
            case .behind(let reason): other.append("\(name): out of step: \(reason)")
            case .denied(let reason): other.append("\(name): left out: \(reason)")
            case .synced, .absent: break
            }
        }
        return waiting + other
    }

    /// How many collections are in each state, for metrics.
    public var counts: (synced: Int, pending: Int, behind: Int, denied: Int, absent: Int) {
        states.withLock { states in
            var counts = (synced: 0, pending: 0, behind: 0, denied: 0, absent: 0)
            for state in states.values {
                switch state {
                case .synced: counts.synced += 1
                case .pending: counts.pending += 1
                case .behind: counts.behind += 1
                case .denied: counts.denied += 1
                case .absent: counts.absent += 1
                }
            }
            return counts
        }
    }
}
