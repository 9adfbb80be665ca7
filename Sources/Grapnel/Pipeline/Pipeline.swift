// Pipeline: the one file that knows the order of the stages.
//
//   Listeners -> DeliveryLoop x N -> JournalDesk (inline, or JournalThread behind lanes) -> HintChannel -> Handoff -> Dispatcher
//        ^                                ^                                                                    |
//   RouteTable <- ManifestCatalog         +------------------ HousekeepingMailbox <- DispatcherLink <----------+
//
// Start: journal first (what is owed, the dedupe index), then the catalog, then the dispatcher with what is owed, then the loops.
// Stop: readiness fails, loops drain, running actions get the rest of the grace, the journal takes what they said and is closed.

internal import CCrypto
internal import CLinuxIO
internal import Catalog
internal import Cluster
internal import Delivery
internal import EventLoop
internal import Foundation
internal import HTTP
internal import Journal
internal import Kubernetes
internal import Logging
internal import Metrics
internal import NIOHTTP1
internal import Ring
internal import Synchronization
internal import Trigger

/// A running server. Made, run and stopped on the main thread.
final class Pipeline: Sendable {
    let settings: ServerSettings
    let logger: Logger
    let catalog: RouteCatalog
    let rebuilder: CatalogRebuilder
    let clusters: ClusterSet
    let readiness = Readiness()
    let routes: CurrentRoutes
    let tableGeneration = Atomic<UInt64>(1)
    let desk: JournalDesk
    let journalThread: JournalThread
    let lanes: [JournalLane]
    let loops: [LoopControl]
    let refusals: RefusalReporter
    let routeCounts = RouteCounts()
    let tables = Mutex(TableKeeper())
    let pauses: PauseBook
    let reported: Mutex<Set<CatalogProblem>>
    let budget: MemoryBudget
    let dispatcher: Dispatcher
    let handoff: Handoff
    /// What is in the journal, and carrying it out again: for the admin API.
    let history: JournalHistory
    let redelivery: Redelivery
    let actions: ActionSet
    /// What the last run owed, and what else waits for a cluster to be listed.
    let gate: ListingGate
    /// Nil without TLS listeners.
    let tls: TLSKeeper?
    /// What was bound, in the order of `listen` and `tlsListen`.
    let ports: [Int]
    let tlsPorts: [Int]
    let isInline: Bool
    let journalRefusal: @Sendable () -> String?
    let watch: JournalWatch

    /// Opens everything and starts all threads. What fails says so with its remedy.
    init(_ settings: ServerSettings, logger: Logger) throws(CommandFailure) {
        self.settings = settings
        self.logger = logger
        _ = cl_raise_open_files()
        let loopCount = settings.loopCount
        tls = try settings.tlsFiles.map { files throws(CommandFailure) in
            try TLSKeeper(files, loops: loopCount, logger)
        }
        let listeners = try Listeners.open(settings.plainListen, loops: loopCount)
        let tlsListeners = try Listeners.open(settings.tlsListen, loops: loopCount, flag: "--tls-listen")
        ports = listeners[0].map { Int(cl_local_port($0)) }
        tlsPorts = tlsListeners[0].map { Int(cl_local_port($0)) }

        let (writer, report) = try Self.openJournal(settings, logger)
        let wakeup = cl_eventfd()
        guard wakeup >= 0 else {
            throw .environment("no file descriptor left. Raise the limit of open files (ulimit -n).")
        }
        let mailbox = HousekeepingMailbox()
        let hints = HintChannel(capacity: 1 << 16) { _ = cl_eventfd_signal(wakeup) }
        let dataDirectory = settings.dataDirectory
        let desk = JournalDesk(
            writer: writer, mailbox: mailbox, hints: hints,
            reportShare: { line in
                logger.warning(
                    "a namespace owes its whole share of the journal: its deliveries are answered 503. Find out why its actions do not finish, or raise --journal-max-bytes or --journal-namespace-share",
                    metadata: [
                        "cluster": "\(line.namespace.cluster)", "namespace": "\(line.namespace.name)",
                        "refused": "\(line.count)",
                    ])
            }
        ) { problem in
            if let problem {
                logger.error(
                    "the journal takes no deliveries: they are answered 503",
                    metadata: ["reason": "\(problem.message(dataDirectory: dataDirectory))"])
            } else {
                logger.info("the journal takes deliveries again")
            }
        }
        self.desk = desk
        guard let thread = JournalThread(desk: desk) else {
            throw .environment("no file descriptor left. Raise the limit of open files (ulimit -n).")
        }
        journalThread = thread
        let accepting = desk
        journalRefusal = { accepting.currentRefusal?.message(dataDirectory: dataDirectory) }

        let listener = ChangeListener()
        let clusters = try ClusterSet(settings, logger) { listener.changed() }
        self.clusters = clusters
        catalog = RouteCatalog(settings, clusters)
        let (snapshot, listed) = catalog.compile()
        let unreported = snapshot
        let table = Self.compile(snapshot, settings, generation: 0, isComplete: catalog.isComplete(listed))
        let current = CurrentRoutes(Self.configuration(snapshot, table))
        routes = current
        let problems = snapshot.problems.filter { $0.severity == .error }.map(\.description)
        readiness.update { $0.catalogProblems = problems }

        actions = try ActionSet(settings, clusters, current, logger)
        let reader = writer.reader
        // What the last run owed, before anything new; routes that are not known yet would be taken for removed ones.
        gate = ListingGate(
            report.owed.lazy.compactMap { RecoveredDelivery($0) }, unlisted: clusters.catalogNames, routes: current,
            heldMax: min(ListingGate.heldMax, settings.queuedDeliveriesMax))
        let owner = ChangeListener()
        dispatcher = Dispatcher(
            log: DispatcherLink(mailbox: mailbox, reader: reader, journalName: writer.dedupeKey.journalName),
            routes: routes, runners: actions.runners,
            planner: actions.planner,
            spilled: SpillReader(
                history: writer.history, segments: reader, mailbox: mailbox, gate: gate, logger: logger
            ) { owner.changed() },
            decodeEvent: ActionSet.decodeEvent,
            settings: DispatcherSettings(settings), metrics: TriggerMetrics(clusters: clusters.names), logger: logger,
            onTrouble: { [routeCounts] trouble in
                routeCounts.change(trouble.route) { if trouble.isDead { $0.dead += 1 } else { $0.failed += 1 } }
                clusters.warn(trouble)
            })
        pauses = try PauseBook(dataDirectory: dataDirectory) { [dispatcher] in dispatcher.setPaused($0) }
        dispatcher.metrics.capacity.set(Int64(settings.queuedDeliveriesMax))
        handoff = Handoff(
            hints: hints, wakeup: wakeup, reader: reader, target: Handoff.Target(dispatcher), gate: gate,
            durableSequence: { accepting.durableSequence.load(ordering: .acquiring) }, logger: logger)

        budget = MemoryBudget(limit: settings.bodyMemoryBytesMax)
        var controls: [LoopControl] = []
        var lanes: [JournalLane] = []
        let loopSettings = settings.loopSettings(loopCount: loopCount)
        for index in 0..<loopCount {
            guard let control = LoopControl(index: index, table: table) else {
                throw .environment("no file descriptor left. Raise the limit of open files (ulimit -n).")
            }
            let lane = JournalLane(capacity: loopSettings.connectionsMax, thread: thread) { control.wake() }
            thread.add(lane)
            controls.append(control)
            lanes.append(lane)
        }
        loops = controls
        history = writer.history
        owner.begin { [loops] in
            for loop in loops { loop.wake() }
            thread.wake()
        }
        redelivery = Redelivery(history: writer.history, mailbox: mailbox) { owner.changed() }
        watch = JournalWatch(
            reader: reader, durableSequence: { accepting.durableSequence.load(ordering: .acquiring) }, logger: logger
        ) {
            mailbox.post($0)
            owner.changed()
        }
        reported = Mutex([])
        refusals = RefusalReporter(controls.map(\.refusals), routeCounts, logger)
        let tallies = controls.map(\.routeTally)
        routeCounts.gather { tallies.flatMap { $0.take() } }
        self.lanes = lanes
        isInline = loopCount == 1

        let made = Rebuilding()
        guard
            let rebuilder = CatalogRebuilder(
                isReady: { made.isReady }, tidy: { made.tidy() }, rebuild: { made.rebuild() })
        else {
            throw .environment("no file descriptor left. Raise the limit of open files (ulimit -n).")
        }
        self.rebuilder = rebuilder
        logProblems(of: unreported, isFirst: true)
        tables.withLock { $0.keep(table) }
        made.begin(self)
        listener.begin { rebuilder.changed() }
        release(listed)
        rebuilder.start()
        clusters.start()
        handoff.start()
        watch.start()
        if !isInline { thread.start() }
        for index in 0..<loopCount {
            startLoop(controls[index], lanes[index], loopSettings, listeners[index], tlsListeners[index])
        }
        tls?.start()
    }
}

/// The rebuilder is made before the pipeline is whole.
private final class Rebuilding: Sendable {
    let pipeline = Mutex<Pipeline?>(nil)

    func begin(_ pipeline: Pipeline) { self.pipeline.withLock { $0 = pipeline } }

    var isReady: Bool { pipeline.withLock { $0 }?.catalog.isSettled ?? true }

    func tidy() -> Bool { pipeline.withLock { $0 }?.tidy() ?? false }

    func rebuild() { pipeline.withLock { $0 }?.reload() }
}
