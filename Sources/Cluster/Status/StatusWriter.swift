// StatusWriter: writes back to the receivers what became of them. One of all replicas does it: the one that holds the Lease.
//
// `submit` says what is so; `run` makes the API server say it too, one write at a time for each object, eight objects at once.
// A write names the resourceVersion it was worked out from: on a conflict somebody was faster, and what comes by the watch is
// worked out anew. Nothing here is on the way of a delivery.

public import Catalog
internal import Delivery
internal import Foundation
public import Kubernetes
public import Logging
internal import Synchronization

public final class StatusWriter: Sendable {
    /// A receiver and what was found about it.
    public struct Entry: Sendable, Equatable {
        public var facts: ObjectFacts
        public var verdict: ReceiverVerdict?

        public init(facts: ObjectFacts, verdict: ReceiverVerdict?) {
            self.facts = facts
            self.verdict = verdict
        }
    }

    private struct Written {
        /// The version that the change was worked out from.
        var resourceVersion: String
        var notBefore: ContinuousClock.Instant
        var failures: Int
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// Keys of entries that may ask for a write: new or changed since they were last found to ask for none.
        var pending: Set<String> = []
        var written: [String: Written] = [:]
        var isLeader = false
    }

    private let client: KubernetesClient
    private let events: EventRecorder
    private let logger: Logger
    private let state = Mutex(State())
    private let wakeups: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    private static let atOnce = 8
    /// Entries that are worked out and written before the others are looked at again: what changes meanwhile need not wait for
    /// thousands.
    private static let batchMax = 64
    private static let backoffFirst = Duration.milliseconds(750)
    private static let backoffMax = Duration.seconds(900)

    public init(_ client: KubernetesClient, events: EventRecorder, logger: Logger) {
        self.client = client
        self.events = events
        self.logger = logger
        (wakeups, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// All receivers whose status is ours, as they are now.
    public func submit(_ entries: [Entry]) {
        state.withLock { state in
            var keyed: [String: Entry] = [:]
            keyed.reserveCapacity(entries.count)
            for entry in entries {
                let key = Self.key(entry.facts)
                if state.entries[key] != entry { state.pending.insert(key) }
                keyed[key] = entry
            }
            state.entries = keyed
            state.pending = state.pending.filter { keyed[$0] != nil }
            state.written = state.written.filter { keyed[$0.key] != nil }
        }
        wake.yield()
    }

    /// A receiver whose content is what it was when it was submitted, as it is now. False when that is not so, or cannot be told: then
    /// it has to be judged and submitted again.
    func refresh(_ facts: ObjectFacts) -> Bool {
        let isKnown = state.withLock { state in
            let key = Self.key(facts)
            guard facts.generation > 0, let old = state.entries[key], old.facts.generation == facts.generation,
                old.facts.uid == facts.uid
            else { return false }
            state.entries[key]?.facts = facts
            state.pending.insert(key)
            return true
        }
        if isKnown { wake.yield() }
        return isKnown
    }

    /// For tests.
    func entry(of facts: ObjectFacts) -> Entry? { state.withLock { $0.entries[Self.key(facts)] } }

    public func setLeader(_ isLeader: Bool) {
        state.withLock { $0.isLeader = isLeader }
        wake.yield()
    }

    /// How many receivers do not say yet what they should.
    public var backlog: Int {
        let now = Self.timestamp()
        return state.withLock { state in
            state.pending.count { key in state.entries[key].map { !Self.change($0, now).isEmpty } ?? false }
        }
    }

    /// Until the task is cancelled.
    public func run() async {
        let ticks = Task { [wake] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                wake.yield()
            }
        }
        defer { ticks.cancel() }
        for await _ in wakeups {
            if Task.isCancelled { return }
            await writeDue()
        }
    }

    private func writeDue() async {
        while !Task.isCancelled {
            let due = takeDue()
            if due.isEmpty { return }
            await withDiscardingTaskGroup { group in
                for lane in 0..<min(Self.atOnce, due.count) {
                    group.addTask {
                        for index in stride(from: lane, to: due.count, by: Self.atOnce) where !Task.isCancelled {
                            let (key, entry, change) = due[index]
                            await self.write(key, entry, change)
                        }
                    }
                }
            }
        }
    }

    /// Writes that are to be made now, at most `batchMax`.
    private func takeDue() -> [(String, Entry, StatusChange)] {
        let now = Self.timestamp()
        let instant = ContinuousClock.now
        return state.withLock { state in
            guard state.isLeader else { return [] }
            var due: [(String, Entry, StatusChange)] = []
            var settled: [String] = []
            for key in state.pending {
                guard let entry = state.entries[key] else { continue }
                if let written = state.written[key], written.resourceVersion == entry.facts.resourceVersion,
                    instant < written.notBefore
                {
                    continue
                }
                let change = Self.change(entry, now)
                if change.isEmpty {
                    settled.append(key)
                } else {
                    due.append((key, entry, change))
                    if due.count == Self.batchMax { break }
                }
            }
            for key in settled { state.pending.remove(key) }
            return due
        }
    }

    private static func change(_ entry: Entry, _ now: String) -> StatusChange {
        StatusChange(of: entry.facts, entry.verdict, now: now, hasFinalizer: entry.facts.kind == "Receiver")
    }

    private func write(_ key: String, _ entry: Entry, _ change: StatusChange) async {
        let facts = entry.facts
        do throws(KubernetesError) {
            let (group, version) = Self.groupAndVersion(facts.apiVersion)
            let resource = try await client.resource(group: group, version: version, kind: facts.kind)
            if let finalizers = change.finalizers {
                try await client.patch(
                    resource, namespace: facts.namespace, name: facts.name,
                    body: Self.body([.init(name: "finalizers", value: .array(finalizers.map { .string($0) }))], facts),
                    isInBackground: true)
            }
            if !change.status.isEmpty {
                // After the finalizer the version is another; what conflicts is found by the next event.
                let isFirst = change.finalizers == nil
                try await client.patch(
                    resource, namespace: facts.namespace, name: facts.name, subresource: "status",
                    body: Self.body([], isFirst ? facts : nil, status: change.status), isInBackground: true)
            }
            // The watch tells when it is so. If it should never tell, the write is tried again.
            note(key, facts, failures: 0, pause: .seconds(30))
            if let event = change.event { events.record(event, on: facts) }
        } catch {
            await fail(key, entry, error)
        }
    }

    private func fail(_ key: String, _ entry: Entry, _ error: KubernetesError) async {
        let facts = entry.facts
        // Gone, or changed meanwhile: the watch tells.
        if error.isObjectMissing || error.statusCode == 409 {
            note(key, facts, failures: 0, pause: .seconds(5))
            return
        }
        let failures = state.withLock { $0.written[key]?.failures ?? 0 } + 1
        let delay = min(Self.backoffFirst * (1 << min(failures - 1, 12)), Self.backoffMax)
        note(key, facts, failures: failures, pause: delay)
        if failures == 1 || failures % 10 == 0 {
            logger.warning(
                "the status of a receiver cannot be written, will be tried again",
                metadata: ["receiver": "\(facts.kind)/\(facts.namespace)/\(facts.name)", "reason": "\(error)"])
        }
    }

    private func note(_ key: String, _ facts: ObjectFacts, failures: Int, pause: Duration) {
        state.withLock {
            $0.written[key] = Written(
                resourceVersion: facts.resourceVersion, notBefore: .now + pause, failures: failures)
        }
    }

    private static func body(
        _ metadata: [JSONValue.Member], _ facts: ObjectFacts?, status: [JSONValue.Member] = []
    ) -> [UInt8] {
        var metadata = metadata
        if let facts, !facts.resourceVersion.isEmpty {
            metadata.append(.init(name: "resourceVersion", value: .string(facts.resourceVersion)))
        }
        var members: [JSONValue.Member] = []
        if !metadata.isEmpty { members.append(.init(name: "metadata", value: .object(metadata))) }
        if !status.isEmpty { members.append(.init(name: "status", value: .object(status))) }
        return JSONValue.object(members).serialized
    }

    private static func key(_ facts: ObjectFacts) -> String {
        "\(facts.apiVersion)/\(facts.kind)/\(facts.namespace)/\(facts.name)"
    }

    static func groupAndVersion(_ apiVersion: String) -> (group: String, version: String) {
        let parts = apiVersion.split(separator: "/", maxSplits: 1).map(String.init)
        return parts.count == 2 ? (parts[0], parts[1]) : ("", apiVersion)
    }

    static func timestamp() -> String { Date.now.formatted(.iso8601) }
}
