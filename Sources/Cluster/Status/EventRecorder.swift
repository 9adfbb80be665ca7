// EventRecorder: Kubernetes Events on receivers, so that `kubectl describe` shows a team what happened. Rate-limited: a storm of
// failures is one Event with a count.
//
// Source: core/v1 Event; client-go tools/record (aggregation and the spam filter).

public import Catalog
internal import Delivery
internal import Foundation
public import Kubernetes
public import Logging
internal import Synchronization

public final class EventRecorder: Sendable {
    private struct Key: Hashable {
        let uid: String
        let reason: String
    }

    private struct Account {
        var name: String
        var namespace: String
        var firstAt: String
        var count: Int
        /// The next write is not before this.
        var notBefore: ContinuousClock.Instant
    }

    private struct Pending {
        var facts: ObjectFacts
        var event: StatusChange.Event
    }

    private struct State {
        var accounts: [Key: Account] = [:]
        var pending: [Key: Pending] = [:]
    }

    private let client: KubernetesClient
    private let instance: String
    private let logger: Logger
    private let state = Mutex(State())
    private let wakeups: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// Of one reason on one object, at most one write in this time.
    static let interval = Duration.seconds(60)
    /// Objects and reasons remembered; beyond, new ones are told once and not counted.
    private static let accountsMax = 10_000

    /// `instance`: the pod's name, or the host's.
    public init(_ client: KubernetesClient, instance: String, logger: Logger) {
        self.client = client
        self.instance = instance
        self.logger = logger
        (wakeups, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// From any thread; never waits. The newest message of a reason stands for those that were not written.
    func record(_ event: StatusChange.Event, on facts: ObjectFacts) {
        let key = Key(uid: facts.uid, reason: event.reason)
        state.withLock { state in
            state.accounts[key]?.count += 1
            state.pending[key] = Pending(facts: facts, event: event)
        }
        wake.yield()
    }

    public func warn(reason: String, message: String, on facts: ObjectFacts) {
        record(StatusChange.Event(isWarning: true, reason: reason, message: message), on: facts)
    }

    /// Until the task is cancelled.
    public func run() async {
        let ticks = Task { [wake] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(5))
                wake.yield()
            }
        }
        defer { ticks.cancel() }
        for await _ in wakeups {
            for (key, pending) in takeDue() where !Task.isCancelled { await write(key, pending) }
            if Task.isCancelled { return }
        }
    }

    private func takeDue() -> [(Key, Pending)] {
        let now = ContinuousClock.now
        return state.withLock { state in
            let due = state.pending.filter { now >= (state.accounts[$0.key]?.notBefore ?? now) }
            for key in due.keys { state.pending[key] = nil }
            if state.accounts.count > Self.accountsMax {
                state.accounts = state.accounts.filter { now < $0.value.notBefore }
            }
            return due.map { ($0.key, $0.value) }
        }
    }

    private func write(_ key: Key, _ pending: Pending) async {
        let now = StatusWriter.timestamp()
        let known = state.withLock { $0.accounts[key] }
        let facts = pending.facts
        let resource = APIResource(group: "", version: "v1", kind: "Event", plural: "events", isNamespaced: true)
        let namespace = facts.namespace.isEmpty ? "default" : facts.namespace
        var account =
            known
            ?? Account(
                name: Self.name(facts, key.reason), namespace: namespace, firstAt: now, count: 1, notBefore: .now)
        account.notBefore = .now + Self.interval
        let body = Self.body(account, pending, namespace, instance: instance, now: now)
        do throws(KubernetesError) {
            if known != nil {
                do throws(KubernetesError) {
                    try await client.patch(
                        resource, namespace: namespace, name: account.name, body: body, isInBackground: true)
                } catch {
                    // Events go after an hour.
                    guard error.isObjectMissing else { throw error }
                    try await client.create(resource, namespace: namespace, body: body, isInBackground: true)
                }
            } else {
                try await client.create(resource, namespace: namespace, body: body, isInBackground: true)
            }
        } catch {
            logger.debug(
                "an Event cannot be written",
                metadata: ["object": "\(facts.kind)/\(facts.namespace)/\(facts.name)", "reason": "\(error)"])
        }
        state.withLock { $0.accounts[key] = account }
    }

    /// Unique: object, reason and time, as client-go names them.
    private static func name(_ facts: ObjectFacts, _ reason: String) -> String {
        let stamp = String(UInt64(Date.now.timeIntervalSince1970 * 1e9), radix: 16)
        return "\(facts.name.prefix(180)).\(stamp)\(reason.utf8.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xffff })"
    }

    private static func body(
        _ account: Account, _ pending: Pending, _ namespace: String, instance: String, now: String
    ) -> [UInt8] {
        let facts = pending.facts
        let involved: JSONValue = [
            "apiVersion": .string(facts.apiVersion), "kind": .string(facts.kind),
            "namespace": .string(facts.namespace), "name": .string(facts.name), "uid": .string(facts.uid),
            "resourceVersion": .string(facts.resourceVersion),
        ]
        let event: JSONValue = [
            "apiVersion": "v1", "kind": "Event",
            "metadata": ["name": .string(account.name), "namespace": .string(namespace)],
            "involvedObject": involved, "type": pending.event.isWarning ? "Warning" : "Normal",
            "reason": .string(pending.event.reason), "message": .string(String(pending.event.message.prefix(1_024))),
            "source": ["component": "grapnel", "host": .string(instance)],
            "reportingComponent": "grapnel", "reportingInstance": .string(instance),
            "firstTimestamp": .string(account.firstAt), "lastTimestamp": .string(now),
            "count": .number(String(account.count)),
        ]
        return event.serialized
    }
}
