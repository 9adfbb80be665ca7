// What a pipeline is made of, made: the journal, the route table, the loops.

internal import CCrypto
internal import CLinuxIO
internal import Catalog
internal import Delivery
internal import EventLoop
internal import Foundation
internal import HTTP
internal import Journal
internal import Logging
internal import Synchronization

extension Pipeline {
    static func openJournal(
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

    static func compile(
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

    static func configuration(
        _ snapshot: CatalogSnapshot, _ table: RouteTable
    ) -> CurrentRoutes.Configuration {
        CurrentRoutes.Configuration(table: table, repositories: snapshot.repositories, images: snapshot.images)
    }

    /// Logs what is wrong and was not wrong before.
    func logProblems(of snapshot: CatalogSnapshot, isFirst: Bool) {
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

    func startLoop(
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
}
