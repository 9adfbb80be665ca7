// A pipeline while it runs: what is read again, and what it waits for.

internal import CLinuxIO
internal import Catalog
internal import Delivery
internal import Foundation
internal import Journal
internal import Logging
internal import Metrics
internal import Synchronization
internal import Trigger

extension Pipeline {
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
    func release(_ listed: Set<String>) {
        let new = listed.subtracting(readiness.listedClusters)
        readiness.update { $0.listedClusters = listed }
        for cluster in new.sorted() where clusters.members.count > 1 {
            logger.info("the catalog of a cluster is known", metadata: ["cluster": "\(cluster)"])
        }
        gate.release(listed: listed) { dispatcher.replay($0.deliveries, spilled: $0.spilled) }
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
    static func bound(_ endpoints: [Endpoint], _ ports: [Int]) -> String {
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
}
