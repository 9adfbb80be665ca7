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
    private let settings: ServerSettings
    private let logger: Logger
    fileprivate let catalog: RouteCatalog
    private let rebuilder: CatalogRebuilder
    private let clusters: ClusterSet
    private let readiness = Readiness()
    private let routes: CurrentRoutes
    private let tableGeneration = Atomic<UInt64>(1)
    private let desk: JournalDesk
    private let journalThread: JournalThread
    private let lanes: [JournalLane]
    private let loops: [LoopControl]
    private let refusals: RefusalReporter
    private let routeCounts = RouteCounts()
    private let tables = Mutex(TableKeeper())
    private let pauses: PauseBook
    private let reported: Mutex<Set<CatalogProblem>>
    private let budget: MemoryBudget
    private let dispatcher: Dispatcher
    private let handoff: Handoff
    /// What is in the journal, and carrying it out again: for the admin API.
    let history: JournalHistory
    let redelivery: Redelivery
    private let actions: ActionSet
    /// What the last run owed, and what else waits for a cluster to be listed.
    private let gate: ListingGate
    /// Nil without TLS listeners.
    private let tls: TLSKeeper?
    /// What was bound, in the order of `listen` and `tlsListen`.
    let ports: [Int]
    let tlsPorts: [Int]
    private let isInline: Bool
    private let journalRefusal: @Sendable () -> String?

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
        let desk = JournalDesk(writer: writer, mailbox: mailbox, hints: hints) { problem in
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
        dispatcher = Dispatcher(
            log: DispatcherLink(mailbox: mailbox, reader: reader, journalName: writer.dedupeKey.journalName),
            routes: routes, runners: actions.runners,
            planner: actions.planner, decodeEvent: ActionSet.decodeEvent,
            settings: DispatcherSettings(settings), metrics: TriggerMetrics(clusters: clusters.names), logger: logger,
            onTrouble: { [routeCounts] trouble in
                routeCounts.change(trouble.route) { if trouble.isDead { $0.dead += 1 } else { $0.failed += 1 } }
                clusters.warn(trouble)
            })
        pauses = try PauseBook(dataDirectory: dataDirectory) { [dispatcher] in dispatcher.setPaused($0) }
        dispatcher.metrics.capacity.set(Int64(settings.queuedDeliveriesMax))
        // What the last run owed, before anything new; routes that are not known yet would be taken for removed ones.
        gate = ListingGate(
            report.owed.compactMap { RecoveredDelivery($0) }, unlisted: clusters.catalogNames, routes: current)
        handoff = Handoff(
            hints: hints, wakeup: wakeup, reader: reader, dispatcher: dispatcher, gate: gate,
            waitingMax: settings.queuedDeliveriesMax,
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
        redelivery = Redelivery(history: writer.history, mailbox: mailbox) { [loops] in
            for loop in loops { loop.wake() }
            thread.wake()
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
        if !isInline { thread.start() }
        for index in 0..<loopCount {
            startLoop(controls[index], lanes[index], loopSettings, listeners[index], tlsListeners[index])
        }
        tls?.start()
    }

    // - Parts

    private static func openJournal(
        _ settings: ServerSettings, _ logger: Logger
    ) throws(CommandFailure) -> (JournalWriter, RecoveryReport) {
        let started = cl_now_monotonic()
        do {
            let options = JournalOptions(
                directory: settings.dataDirectory, maxBytes: UInt64(settings.journalBytesMax),
                maxAgeSeconds: settings.journalAgeNanosecondsMax / 1_000_000_000,
                durability: Durability(settings.durability),
                recordBytesMax: settings.bodyBytesMax + settings.requestLimits.headBytesMax + 4096,
                namespaceShare: Double(settings.journalNamespacePercent) / 100)
            var nextLine = started + 1_000_000_000
            let (writer, report) = unsafe try JournalWriter.open(
                options: options, checksum: { unsafe cc_crc32($0, $1, $2) }, now: cl_now_realtime()
            ) { progress in
                let now = cl_now_monotonic()
                guard now >= nextLine else { return }
                nextLine = now + 1_000_000_000
                logger.info(
                    "reading the journal",
                    metadata: [
                        "segments": "\(progress.segmentsDone) of \(progress.segmentCount)",
                        "percent": "\(progress.bytesDone * 100 / max(progress.byteCount, 1))",
                    ])
            }
            logger.info(
                "journal opened",
                metadata: [
                    "segments": "\(report.segmentCount)", "records": "\(report.recordCount)",
                    "owed": "\(report.owed.count)",
                    "torn_bytes": "\(report.tornBytes)", "duration_ms": "\((cl_now_monotonic() - started) / 1_000_000)",
                ])
            if !report.unplanned.isEmpty {
                logger.warning(
                    "redeliveries whose plan was not stored with them are not carried out: ask for them again",
                    metadata: ["sequences": "\(report.unplanned.prefix(20).map(String.init).joined(separator: ","))"])
            }
            for damage in report.damage {
                logger.error(
                    "journal damage: what stood there is lost; see `grapnel journal verify`",
                    metadata: ["damage": "\(damage)"])
            }
            return (writer, report)
        } catch {
            throw .environment(error.message(dataDirectory: settings.dataDirectory))
        }
    }

    private static func compile(
        _ snapshot: CatalogSnapshot, _ settings: ServerSettings, generation: UInt64, isComplete: Bool
    ) -> RouteTable {
        let definitions = snapshot.routes.map { route in
            var route = route
            route.dedupeWindowSeconds = route.dedupeWindowSeconds ?? settings.dedupeWindowSeconds
            return route
        }
        return RouteTable(
            definitions, families: snapshot.families, bodyBytesMax: settings.bodyBytesMax, generation: generation,
            isComplete: isComplete)
    }

    private static func configuration(
        _ snapshot: CatalogSnapshot, _ table: RouteTable
    ) -> CurrentRoutes.Configuration {
        CurrentRoutes.Configuration(table: table, repositories: snapshot.repositories, images: snapshot.images)
    }

    /// Logs what is wrong and was not wrong before.
    private func logProblems(of snapshot: CatalogSnapshot, isFirst: Bool) {
        let new = reported.withLock { reported in
            let all = Set(snapshot.problems)
            defer { reported = all }
            return snapshot.problems.filter { !reported.contains($0) }
        }
        for problem in new {
            let fields: Logger.Metadata = ["place": "\(problem.place)", "problem": "\(problem.message)"]
            switch problem.severity {
            case .error: logger.error("catalog problem", metadata: fields)
            case .warning: logger.warning("catalog problem", metadata: fields)
            case .note: logger.debug("catalog note", metadata: fields)
            }
        }
        // A cluster changes all day long.
        logger.log(
            level: isFirst ? .info : .debug, "catalog loaded",
            metadata: [
                "routes": "\(snapshot.routes.count)",
                "problems": "\(snapshot.problems.count { $0.severity == .error })",
            ])
    }

    private func startLoop(
        _ control: LoopControl, _ lane: JournalLane, _ loopSettings: LoopSettings, _ listeners: [Int32],
        _ tlsListeners: [Int32]
    ) {
        let (budget, logger, isInline, desk, tls) = (budget, logger, isInline, desk, tls)
        let tlsLimits = settings.tlsLimits
        let helpers = HelperPool(verifyToken: actions.verifyToken)
        let wantsRing = settings.io == .uring
        NamedThread.start("loop-\(control.index)", stackBytes: 8 << 20) {
            let path: CommitPath = isInline ? .inline(desk, fallback: lane) : .lane(lane)
            func run<P: Poller & ~Copyable>(_ poller: consuming P) {
                var loop = DeliveryLoop(
                    poller: poller, control: control, settings: loopSettings, budget: budget,
                    dedupeKey: desk.writer.dedupeKey, commit: path, helpers: helpers,
                    listeners: listeners + tlsListeners)
                loop.run()
            }
            // Without TLS listeners nothing of TLS is on the way.
            func serve<P: Poller & ~Copyable>(_ poller: consuming P) {
                guard let tls else {
                    run(poller)
                    return
                }
                run(
                    PollerTLS(
                        poller, listeners: tlsListeners, capacity: loopSettings.connectionsMax, source: tls.source,
                        limits: tlsLimits, counts: tls.counts[control.index]))
            }
            if wantsRing {
                var code: Int32 = 0
                if let ring = PollerRing(capacity: loopSettings.connectionsMax, error: &code) {
                    serve(ring)
                    return
                }
                logger.warning(
                    "the kernel refused io_uring: using epoll",
                    metadata: ["loop": "\(control.index)", "errno": "\(-code)"])
            }
            guard let epoll = PollerEpoll() else { preconditionFailure("the kernel refused an epoll descriptor") }
            serve(epoll)
        }
    }

    // - While it runs

    /// Lets go the route tables that no loop uses any more. On the thread of the rebuilder alone.
    func tidy() -> Bool {
        routeCounts.takeIn()
        return tables.withLock { $0.letGo() }
    }

    /// Reads the sources again and swaps the route table. On the thread of the rebuilder alone.
    func reload() {
        let (snapshot, listed) = catalog.compile()
        let isComplete = catalog.isComplete(listed)
        logProblems(of: snapshot, isFirst: isComplete && !routes.table.isComplete || clusters.members.isEmpty)
        let generation = tableGeneration.add(1, ordering: .relaxed).newValue
        let table = Self.compile(snapshot, settings, generation: generation, isComplete: isComplete)
        routes.replace(Self.configuration(snapshot, table))
        tables.withLock { $0.keep(table) }
        for loop in loops { loop.swap(table) }
        let problems = snapshot.problems.filter { $0.severity == .error }.map(\.description)
        clusters.publish(snapshot)
        readiness.update { $0.catalogProblems = problems }
        release(listed)
    }

    /// The routes of these clusters are in the table: what waited for that goes to the dispatcher.
    private func release(_ listed: Set<String>) {
        let new = listed.subtracting(readiness.listedClusters)
        readiness.update { $0.listedClusters = listed }
        for cluster in new.sorted() where clusters.members.count > 1 {
            logger.info("the catalog of a cluster is known", metadata: ["cluster": "\(cluster)"])
        }
        dispatcher.replay(gate.release(listed: listed))
    }

    /// What stands outside of the API; nil: nothing does.
    private func answerAdmin(_ path: String, _ page: MetricsPage) -> AdminAnswer? {
        switch path {
        case "/healthz": return AdminAnswer(status: .ok, body: "ok\n")
        case "/readyz":
            let (isReady, text) = readiness.report(
                journalRefusal: journalRefusal(), unlisted: catalog.unlisted(readiness.listedClusters),
                clusterLines: clusters.lines)
            return AdminAnswer(status: isReady ? .ok : .serviceUnavailable, body: text)
        case "/metrics":
            return AdminAnswer(status: .ok, contentType: MetricsPage.contentType, body: page.render())
        default: return nil
        }
    }

    private func makeAPI(_ page: MetricsPage) -> AdminAPI {
        let (reader, history) = (desk.writer.reader, history)
        let durable: @Sendable () -> UInt64 = { history.durableThrough }
        let parts = AdminParts(
            reader: reader, history: history, durableSequence: durable, routes: routes, dispatcher: dispatcher,
            journalMetrics: desk.writer.metrics, journalRefusal: journalRefusal, refused: refusals.requests,
            counts: routeCounts, redeliver: redelivery.asked, settings: settings,
            version: Version.number)
        return AdminAPI(parts, pauses: pauses) { path in self.answerAdmin(path, page) }
    }

    /// Serves until SIGTERM or SIGINT; SIGHUP reads the manifests again.
    func run() throws(CommandFailure) {
        let page = MetricsPage(
            loops: loops, journal: desk.writer.metrics, trigger: dispatcher.metrics, hints: desk.hints, lanes: lanes,
            budget: budget, tls: tls, routes: routes, clusters: clusters, gate: gate,
            counts: routeCounts, routesMax: settings.metricsRoutesMax,
            startedUnixSeconds: Double(cl_now_realtime()) * 1e-9, version: Version.number)
        let endpoints = [settings.adminListen] + (settings.metricsListen.map { [$0] } ?? [])
        let api = makeAPI(page)
        let admin: AdminServer
        do {
            let listeners = endpoints.enumerated().map { AdminListener(endpoint: $1, role: $0 == 0 ? .full : .metrics) }
            admin = try AdminServer.start(on: listeners, responder: api, hub: api.hub)
        } catch {
            throw .environment(
                "cannot listen on \(endpoints.map(\.description).joined(separator: " or ")) for administration: \(error). "
                    + "Choose another with --admin-listen or --metrics-listen.")
        }
        let watcher =
            settings.catalogSource == .cluster || settings.manifests.isEmpty
            ? nil : ManifestWatcher(directories: settings.manifests, onChange: { [rebuilder] in rebuilder.changed() })
        introduce(adminPort: admin.ports.first ?? 0)
        readiness.update { $0.isStarted = true }
        logger.info(
            "ready",
            metadata: [
                "listen": "\(Self.bound(settings.plainListen, ports))",
                "tls_listen": "\(Self.bound(settings.tlsListen, tlsPorts))",
                "admin": "\(settings.adminListen.host):\(admin.ports.first ?? 0)", "loops": "\(loops.count)",
                "io": "\(settings.io == .uring ? "uring" : "epoll")", "durability": "\(settings.durability.rawValue)",
                "routes": "\(routes.table.count)",
            ])
        while true {
            let signal = cl_wait_signal()
            if signal == SIGHUP {
                logger.info("SIGHUP: reading the manifests again")
                rebuilder.changed()
                tls?.lookNow()
                continue
            }
            logger.info("stopping", metadata: ["signal": "\(signal)"])
            break
        }
        watcher?.stop()
        api.stop()
        stop()
        admin.stop()
    }

    /// Hosts and ports that were bound; `-` for none.
    private static func bound(_ endpoints: [Endpoint], _ ports: [Int]) -> String {
        guard !endpoints.isEmpty else { return "-" }
        return "\(endpoints.map(\.host).joined(separator: ",")):\(ports.map(String.init).joined(separator: ","))"
    }

    /// The figures that a test compares with what it sent.
    var counts: (deliveries: Int, duplicates: Int, done: Int) {
        let journal = desk.writer.metrics
        return (
            Int(journal.deliveries.value), Int(journal.duplicates.value),
            Int(dispatcher.metrics.outcome("log", .done).value)
        )
    }

    // - Shutdown

    /// Drains, lets actions finish within the grace, closes the journal.
    func stop() {
        // `grapnel drain` leaves its wish before it signals.
        let request = DrainRequest.take(settings.dataDirectory)
        let drainNanoseconds = request?.timeoutNanoseconds ?? settings.drainTimeoutNanoseconds
        readiness.update { $0.isDraining = true }
        for loop in loops { loop.enter(.leaving) }
        if settings.shutdownDelayNanoseconds > 0 {
            usleep(UInt32(min(settings.shutdownDelayNanoseconds / 1000, 3_600_000_000)))
        }
        var deadline = cl_now_monotonic() + settings.shutdownGraceNanoseconds
        for loop in loops { loop.enter(.draining) }
        // A second of the grace is kept for the actions.
        let loopDeadline = deadline - min(settings.shutdownGraceNanoseconds / 4, 1_000_000_000)
        wait(until: loopDeadline) { self.loops.allSatisfy { $0.hasEnded.load(ordering: .acquiring) } }
        for loop in loops { loop.enter(.stopped) }
        wait(until: deadline) { self.loops.allSatisfy { $0.hasEnded.load(ordering: .acquiring) } }
        if drainNanoseconds > 0, workOff(drainNanoseconds) {
            deadline = max(deadline, cl_now_monotonic() + min(settings.shutdownGraceNanoseconds / 4, 1_000_000_000))
        }

        tls?.stop()
        refusals.stop()
        rebuilder.stop()
        _ = Blocking.wait(seconds: 1) { [clusters] in await clusters.stop() }
        handoff.stop()
        wait(until: deadline) { self.handoff.hasEnded.load(ordering: .acquiring) }
        let remaining = deadline > cl_now_monotonic() ? deadline - cl_now_monotonic() : 0
        Blocking.wait { [dispatcher] in
            await dispatcher.drain(deadline: .now + .nanoseconds(Int64(remaining)))
        }
        journalThread.stop()
        if !isInline || journalThread.isRunning {
            wait(until: cl_now_monotonic() + 2_000_000_000) { self.journalThread.hasEnded.load(ordering: .acquiring) }
        }
        // The desk is ours now: loops and thread have ended.
        if loops.allSatisfy({ $0.hasEnded.load(ordering: .acquiring) }) {
            _ = desk.commit(nowUnixNanoseconds: cl_now_realtime())
            tellWhatIsOwed(desk.writer.owedCount, request)
            desk.close(nowUnixNanoseconds: cl_now_realtime())
        }
        // Everything is on disk. TLS connections wait seconds for a peer's farewell, which nobody needs.
        _ = Blocking.wait(seconds: 0.25) { [actions] in await actions.shutdown() }
        logger.info("stopped")
    }

    /// Goes on acting until nothing is owed. False when the loops did not end, so that nobody may touch the journal.
    private func workOff(_ nanoseconds: UInt64) -> Bool {
        guard loops.allSatisfy({ $0.hasEnded.load(ordering: .acquiring) }) else { return false }
        if journalThread.isRunning {
            journalThread.stop()
            wait(until: cl_now_monotonic() + 10_000_000_000) { self.journalThread.hasEnded.load(ordering: .acquiring) }
            guard journalThread.hasEnded.load(ordering: .acquiring) else { return false }
        }
        let routes = routes
        _ = WorkOff(desk: desk, logger: logger) { routes.table.isComplete }.run(nanoseconds: nanoseconds)
        return true
    }

    private func tellWhatIsOwed(_ owed: Int, _ request: DrainRequest?) {
        if owed > 0 {
            logger.notice(
                "deliveries are still owed: keep the data directory, start a server on it, or adopt it with `grapnel journal replay`",
                metadata: ["owed": "\(owed)", "data_dir": "\(settings.dataDirectory)"])
        }
        guard let request, let trouble = DrainResult(process: request.process, owed: owed).write(settings.dataDirectory)
        else { return }
        logger.warning("`grapnel drain` cannot be told what is owed", metadata: ["reason": "\(trouble)"])
    }

    /// So that `grapnel drain` and `grapnel doctor` know whom they meet.
    private func introduce(adminPort: Int) {
        guard let process = ProcessIdentity.own else { return }
        let listen = zip(settings.listen, ports).map { Endpoint(host: $0.host, port: UInt16(clamping: $1)).description }
        let admin = Endpoint(host: settings.adminListen.host, port: UInt16(clamping: adminPort)).description
        let record = ServerRecord(process: process, admin: admin, listen: listen, version: Version.number)
        guard let trouble = record.write(settings.dataDirectory) else { return }
        logger.warning("`grapnel drain` will not find this server", metadata: ["reason": "\(trouble)"])
    }

    private func wait(until deadline: UInt64, _ condition: () -> Bool) {
        while !condition() && cl_now_monotonic() < deadline { usleep(2_000) }
    }
}

/// The rebuilder is made before the pipeline is whole.
private final class Rebuilding: Sendable {
    private let pipeline = Mutex<Pipeline?>(nil)

    func begin(_ pipeline: Pipeline) { self.pipeline.withLock { $0 = pipeline } }

    var isReady: Bool { pipeline.withLock { $0 }?.catalog.isSettled ?? true }

    func tidy() -> Bool { pipeline.withLock { $0 }?.tidy() ?? false }

    func rebuild() { pipeline.withLock { $0 }?.reload() }
}
