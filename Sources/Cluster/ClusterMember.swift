// ClusterMember: everything this server does in one cluster beside acting on targets: reads the catalog, writes status, tells what failed.
//
//   ClusterSource (lists and watches) ─> catalog ─> publish(snapshot) ─> StatusWriter, where we hold the Lease
//   TokenRotation (old paths)  ────────────^                         └─> EventRecorder

public import Catalog
public import Delivery
internal import Foundation
public import Kubernetes
public import Logging
internal import Synchronization

public final class ClusterMember: Sendable {
    public enum StatusOwner: String, Sendable { case auto, own, given }

    public struct Settings: Sendable {
        public var source: ClusterSource.Settings
        public var statusOwner = StatusOwner.auto
        /// Where the Lease lies.
        public var leaseNamespace = "default"
        public var leaseName = "grapnel"
        /// Unique among replicas: the pod's name.
        public var identity: String
        /// The pod's or machine's name, for Events.
        public var host: String
        /// Where Flux's notification-controller runs.
        public var fluxNamespace = "flux-system"
        public var graceSeconds = 3_600
        /// Keeps old paths over a restart; nil does not.
        public var retiredPathsFile: String?
        /// Nothing is written to the cluster.
        public var isObserver = false
        /// Where the objects are read and kept; nil: on the pool that all tasks share.
        public var executor: (any TaskExecutor)?

        public init(source: ClusterSource.Settings, identity: String, host: String) {
            self.source = source
            self.identity = identity
            self.host = host
        }
    }

    public let settings: Settings
    public let source: ClusterSource
    public let events: EventRecorder
    private let client: KubernetesClient
    private let status: StatusWriter
    private let rotation: TokenRotation
    private let presence: FluxPresence
    private let logger: Logger
    private let changed: @Sendable () -> Void
    private let bookkeeping: Bookkeeping
    private let rotationSeen = Mutex<UInt64?>(nil)
    private let tasks = Mutex<[Task<Void, Never>]>([])
    private let isLeader = Mutex(false)

    /// `changed` is called when the catalog may have changed. Throws when the file of old paths cannot be read.
    public init(
        _ client: KubernetesClient, settings: Settings, logger: Logger, changed: @escaping @Sendable () -> Void
    ) throws {
        self.client = client
        self.settings = settings
        self.logger = logger
        self.changed = changed
        rotation = try TokenRotation(graceSeconds: settings.graceSeconds, file: settings.retiredPathsFile)
        events = EventRecorder(client, instance: settings.host, logger: logger)
        status = StatusWriter(client, events: events, logger: logger)
        let bookkeeping = Bookkeeping(status, owner: settings.statusOwner, changed: changed)
        self.bookkeeping = bookkeeping
        source = ClusterSource(client, settings: settings.source, logger: logger, changed: changed) {
            bookkeeping.note($0, $1)
        }
        presence = FluxPresence(client, namespace: settings.fluxNamespace)
    }

    public func start() {
        var started = [
            Task(executorPreference: settings.executor) { await self.source.run() }, Task { await keepTime() },
        ]
        if settings.statusOwner == .auto { started.append(Task { await watchFlux() }) }
        if !settings.isObserver {
            started.append(Task { await status.run() })
            started.append(Task { await events.run() })
            started.append(Task { await lead() })
        }
        tasks.withLock { $0 = started }
    }

    /// Ends all work and gives the Lease back.
    public func stop() async {
        let running = tasks.withLock { tasks in
            defer { tasks = [] }
            return tasks
        }
        for task in running { task.cancel() }
        for task in running { await task.value }
    }

    // MARK: - Catalog

    /// Who writes the status of Receivers now; `auto` until that is found out.
    public var statusOwner: StatusOwner { bookkeeping.owner }

    /// Whether everything was listed, and it is known whose the status is.
    public var isSynced: Bool { source.isSynced && statusOwner != .auto }

    /// Whether nothing at all could be listed so far, and each list failed at least once.
    public var isUnreached: Bool { source.report.isUnreached }

    /// What an operator should know: what is waited for and what is out of step.
    public var lines: [String] {
        let prefix = settings.source.cluster == "local" ? "cluster" : "cluster \(settings.source.cluster)"
        return source.report.lines.map { "\(prefix): \($0)" }
    }

    public func contribution() -> CatalogContribution {
        observeRotation()
        bookkeeping.beginCompiling(source.objects)
        return source.objects.contribution()
    }

    /// What was made of the catalog that `contribution` gave last: tells it to the status of the receivers.
    public func publish(_ snapshot: CatalogSnapshot) {
        bookkeeping.publish(snapshot, source.objects, cluster: settings.source.cluster)
    }

    /// Tells the team of a receiver that its deliveries come to nothing.
    public func warn(_ identity: RouteIdentity, reason: String, message: String) {
        guard !settings.isObserver, let facts = source.objects.facts(of: identity) else { return }
        events.warn(reason: reason, message: message, on: facts)
    }

    // MARK: - Old paths

    private func observeRotation() {
        // Before everything is known, a Secret that was not read yet would look like one that is gone.
        guard statusOwner == .own, source.isSynced else { return }
        let revision = source.objects.tokenRevision
        let now = Int(Date.now.timeIntervalSince1970)
        let isSeen = rotationSeen.withLock { seen in
            defer { seen = revision }
            return seen == revision
        }
        if isSeen, rotation.nextExpiry.map({ $0 > now }) ?? true { return }
        var receivers: [RouteIdentity: ObjectFacts] = [:]
        for facts in source.objects.facts(of: Bookkeeping.receiverKinds) {
            let identity = RouteIdentity(
                cluster: settings.source.cluster, kind: .receiver, namespace: facts.namespace, name: facts.name)
            receivers[identity] = facts
        }
        let change = rotation.observe(
            source.objects.tokens(), receivers: receivers, now: now)
        source.objects.setRetiredPaths(change.alive)
        for retired in change.begun {
            logger.notice(
                "a token changed: its old path is served for a while",
                metadata: [
                    "route": "\(retired.identity)", "path": "\(WebhookPath.redacted(retired.path))",
                    "until": "\(Date(timeIntervalSince1970: Double(retired.expiresAt)).formatted(.iso8601))",
                ])
        }
        for retired in change.ended {
            logger.notice(
                "an old path is no longer served",
                metadata: ["route": "\(retired.identity)", "path": "\(WebhookPath.redacted(retired.path))"])
        }
        if let trouble = change.trouble {
            logger.error("old paths will not outlive a restart", metadata: ["reason": "\(trouble)"])
        }
    }

    /// Old paths expire by themselves, and what is refused for long is left out.
    private func keepTime() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(500))
            let hasExpired = rotation.nextExpiry.map { $0 <= Int(Date.now.timeIntervalSince1970) } ?? false
            if source.settleDenied() || hasExpired { changed() }
        }
    }

    // MARK: - Whose the status is

    private func watchFlux() async {
        while !Task.isCancelled {
            if source.isSynced {
                let managers = source.objects.facts(of: Bookkeeping.receiverKinds).reduce(into: Set<String>()) {
                    $0.formUnion($1.statusManagers)
                }
                take(await presence.look(statusManagers: managers))
                try? await Task.sleep(for: .seconds(15))
            } else {
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    private func take(_ answer: FluxPresence.Answer) {
        let (new, reason): (StatusOwner, String) =
            switch answer {
            case .live(let reason): (.given, reason)
            case .absent(let reason): (.own, reason)
            }
        guard bookkeeping.setOwner(new) else { return }
        logger.notice(
            new == .own
                ? "the status of Receivers is written by this server" : "the status of Receivers is read, not written",
            metadata: [
                "receiver_status": "\(new.rawValue)", "reason": "\(reason)", "cluster": "\(settings.source.cluster)",
            ])
        changed()
    }

    // MARK: - Leadership

    /// Receivers whose status does not say yet what it should.
    public var statusBacklog: Int { status.backlog }

    public var holdsLease: Bool { isLeader.withLock { $0 } }

    private func lead() async {
        let election = LeaderElection(
            client: client, namespace: settings.leaseNamespace, name: settings.leaseName, identity: settings.identity,
            settings: LeaderElectionSettings(), logger: logger)
        await election.run { [self] leads in
            isLeader.withLock { $0 = leads }
            status.setLeader(leads)
            logger.info(
                leads ? "this replica writes status" : "this replica no longer writes status",
                metadata: ["lease": "\(settings.leaseNamespace)/\(settings.leaseName)"])
        }
    }
}
