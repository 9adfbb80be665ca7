// LeaderElection: one of several processes leads, by a Lease that it renews; the algorithm of client-go.
//
// A candidate takes the lease when it has no holder, or when it has seen no change of it for the lease's duration. Only our
// own monotonic clock counts: the times in the object are for people, since clocks of machines differ. Every write carries
// the resourceVersion that was read, so of two that write at once one gets 409. A leader that cannot renew within
// `renewDeadline` gives up before anybody else may begin, as the deadline is shorter than the lease; no call outlasts
// it.
//
// Source of truth: k8s.io/client-go/tools/leaderelection

import Foundation
public import Logging

/// Takes part in the election of one leader. Safe to use from any task; one `run` at a time.
public final class LeaderElection: Sendable {
    private let client: KubernetesClient
    private let namespace: String
    private let name: String
    private let identity: String
    private let settings: LeaderElectionSettings
    private let logger: Logger

    static let resource = APIResource(
        group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases", isNamespaced: true)

    /// `identity` must differ from that of every other candidate, also from a former self: a pod's name does.
    public init(
        client: KubernetesClient, namespace: String, name: String, identity: String,
        settings: LeaderElectionSettings = LeaderElectionSettings(), logger: Logger
    ) {
        self.client = client
        self.namespace = namespace
        self.name = name
        self.identity = identity
        self.settings = settings
        self.logger = logger
    }

    /// Takes part until the task is cancelled. `changed` is told each change, true first; it should return soon, the lease is
    /// not renewed meanwhile. After cancellation it is told false if it was true, then the lease is given back.
    public func run(changed: @Sendable (Bool) async -> Void) async {
        var candidate = Candidate(identity: identity, settings: settings)
        var problem: String?
        var isCutShort = false
        while !Task.isCancelled {
            let started = ContinuousClock.now
            // A leader's call must not outlast its right to lead; a candidate's need not be waited for any longer.
            let limit = candidate.ledUntil.map { $0 - started } ?? settings.renewDeadline
            let outcome = await attempt(&candidate, limit: max(limit, .milliseconds(1)))
            switch outcome {
            case .held:
                if problem != nil { logger.notice("lease can be written again", metadata: metadata) }
                problem = nil
                if Task.isCancelled, candidate.ledUntil == nil {
                    isCutShort = true
                    break
                }
                if candidate.ledUntil == nil {
                    logger.notice("leading", metadata: metadata)
                    candidate.ledUntil = started + settings.renewDeadline
                    await changed(true)
                }
                candidate.ledUntil = started + settings.renewDeadline
            case .othersHold(let holder):
                problem = nil
                if candidate.ledUntil != nil { await lose(&candidate, "\(holder) has taken the lease", changed) }
            case .failed(let text):
                isCutShort = Task.isCancelled
                if !isCutShort, text != problem {
                    problem = text
                    logger.warning(
                        "lease cannot be written", metadata: metadata.merging(["error": "\(text)"]) { $1 })
                }
            }
            await wait(&candidate, changed)
        }
        let wasLeading = candidate.ledUntil != nil
        if wasLeading { await changed(false) }
        // A write that was cancelled may have been carried out all the same.
        if settings.releasesOnStop, wasLeading || isCutShort { await release(candidate) }
    }

    private var metadata: Logger.Metadata {
        ["lease": "\(namespace)/\(name)", "identity": "\(identity)"]
    }

    private func lose(
        _ candidate: inout Candidate, _ reason: String, _ changed: @Sendable (Bool) async -> Void
    ) async {
        candidate.ledUntil = nil
        logger.warning("no longer leading", metadata: metadata.merging(["reason": "\(reason)"]) { $1 })
        await changed(false)
    }

    /// Until the next attempt; a leader's right may end meanwhile.
    private func wait(_ candidate: inout Candidate, _ changed: @Sendable (Bool) async -> Void) async {
        guard let end = candidate.ledUntil else {
            // Candidates that wait for the same lease should not all come at once.
            try? await Task.sleep(for: settings.retryInterval * (1 + 1.2 * Double.random(in: 0..<1)))
            return
        }
        try? await Task.sleep(for: min(settings.retryInterval, end - .now))
        if !Task.isCancelled, ContinuousClock.now >= end {
            await lose(&candidate, "the lease could not be renewed in time", changed)
        }
    }

    // MARK: - One attempt

    private enum Outcome {
        case held
        case othersHold(String)
        case failed(String)
    }

    private func attempt(_ candidate: inout Candidate, limit: Duration) async -> Outcome {
        let before = candidate
        do {
            let (outcome, after) = try await withDeadline(nanoseconds: limit.nanoseconds) { [self] in
                var candidate = before
                let outcome = await write(&candidate)
                return (outcome, candidate)
            }
            candidate = after
            return outcome
        } catch {
            return .failed("no answer in time")
        }
    }

    private func write(_ candidate: inout Candidate) async -> Outcome {
        do throws(KubernetesError) {
            var record: LeaseRecord
            do throws(KubernetesError) {
                record = try read(try await client.getObject(Self.resource, namespace: namespace, name: name))
            } catch {
                guard error.isObjectMissing else { throw error }
                record = LeaseRecord(namespace: namespace, name: name)
                record.hold(identity, seconds: settings.leaseSeconds)
                let made = try await client.create(Self.resource, namespace: namespace, body: record.json)
                candidate.observe(try read(made).observed)
                return .held
            }
            candidate.observe(record.observed)
            guard candidate.mayHold else { return .othersHold(record.observed.holder) }
            record.hold(identity, seconds: settings.leaseSeconds)
            let written = try await client.replace(
                Self.resource, namespace: namespace, name: name, body: record.json)
            candidate.observe(try read(written).observed)
            return .held
        } catch {
            // 409: somebody else wrote between reading and writing. The next attempt sees what.
            return .failed(error.description)
        }
    }

    private func read(_ json: Data) throws(KubernetesError) -> LeaseRecord {
        do { return try LeaseRecord(json: json) } catch {
            throw KubernetesError(
                call: KubernetesClient.call("get", Self.resource, namespace, name),
                cause: .unreadableAnswer("no Lease"))
        }
    }

    /// Gives the lease back, if it is still ours. Runs although the task is cancelled, for at most `releaseDeadline`.
    private func release(_ candidate: Candidate) async {
        let task = Task { [self] in
            _ = try? await withDeadline(nanoseconds: settings.releaseDeadline.nanoseconds) { [self] in
                var record = try LeaseRecord(
                    json: try await client.getObject(Self.resource, namespace: namespace, name: name))
                guard record.observed.holder == identity else { return }
                record.release()
                try await client.replace(Self.resource, namespace: namespace, name: name, body: record.json)
            }
        }
        await task.value
    }
}

/// What one candidate knows.
private struct Candidate {
    let identity: String
    let settings: LeaderElectionSettings
    /// Until when we may act as the leader without renewing; nil: we do not lead.
    var ledUntil: ContinuousClock.Instant?
    private var observed: LeaseRecord.Observed?
    private var observedAt = ContinuousClock.now

    init(identity: String, settings: LeaderElectionSettings) {
        self.identity = identity
        self.settings = settings
    }

    mutating func observe(_ record: LeaseRecord.Observed) {
        if record == observed { return }
        observed = record
        observedAt = .now
    }

    /// The lease is free, ours, or has not changed for its duration.
    var mayHold: Bool {
        guard let observed, !observed.holder.isEmpty, observed.holder != identity else { return true }
        return ContinuousClock.now - observedAt >= .seconds(max(observed.leaseSeconds, 1))
    }
}

extension Duration {
    /// Whole nanoseconds; none for a negative duration, at most a hundred years.
    fileprivate var nanoseconds: UInt64 {
        guard self > .zero else { return 0 }
        return UInt64(min(components.seconds, 3_155_695_200)) * 1_000_000_000
            + UInt64(components.attoseconds / 1_000_000_000)
    }
}
