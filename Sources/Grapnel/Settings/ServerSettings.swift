// ServerSettings: everything that can be set, with its default. Where the values came from is forgotten here.
//
// Flags win over GRAPNEL_* variables, those over the settings file, that over these defaults (`SettingsLoader`). Names: `maxBody`
// in the file, `--max-body` as a flag, `GRAPNEL_MAX_BODY` in the environment; `SettingsTable` is the list.

import Catalog
import Cluster
import Delivery
import HTTP

struct ServerSettings: Sendable {
    enum KubernetesAccess: String, Sendable, CaseIterable {
        case off
        case inCluster = "in-cluster"
        case kubeconfig
    }
    enum CatalogSource: String, Sendable, CaseIterable { case cluster, manifests, both }
    enum ReceiverStatus: String, Sendable, CaseIterable { case auto, own, given }
    enum InputOutput: String, Sendable, CaseIterable { case auto, epoll, uring }
    enum Durability: String, Sendable, CaseIterable { case sync, async, none }
    enum JournalBodies: String, Sendable, CaseIterable {
        case full
        case untilDone = "until-done"
    }
    enum LogLevel: String, Sendable, CaseIterable { case trace, debug, info, notice, warning, error, critical }
    enum LogFormat: String, Sendable, CaseIterable { case text, json }

    // Where things are.
    var manifests: [String] = []
    var dataDirectory = "data"
    var listen = [Endpoint(host: "0.0.0.0", port: 9292)]
    /// `listen` was set, not left at its default.
    var isListenGiven = false
    var tlsListen: [Endpoint] = []
    var tlsCertificate: String?
    var tlsKey: String?
    /// Clients must show a certificate that leads to one of these.
    var tlsClientAuthorities: String?
    var adminListen = Endpoint(host: "127.0.0.1", port: 9293)
    var metricsListen: Endpoint?
    var adminTokenFile: String?
    /// Without a slash at its end.
    var externalURL: String?

    // The cluster.
    var kubernetes = KubernetesAccess.off
    var kubeconfig: String?
    /// nil: what was given.
    var catalog: CatalogSource?
    var receiverStatus = ReceiverStatus.auto
    var noCrossNamespaceRefs = false
    var watchNamespaces: [String] = []
    var secretAccess = SecretAccess.byName
    /// For `secretAccess` labelled.
    var secretSelector = "reconcile.fluxcd.io/watch=Enabled"
    /// Of the kubeconfig; nil: its current one.
    var kubernetesContext: String?
    /// Where Flux runs, for `receiverStatus` auto.
    var fluxNamespace = "flux-system"
    /// Verify, store, decide and show; write nothing.
    var observes = false

    // Threads and disk.
    /// nil: the cores this process may use.
    var loops: Int?
    var io = InputOutput.auto
    var durability = Durability.sync
    var journalBytesMax = 4 << 30
    var journalAgeNanosecondsMax: UInt64 = 7 * 86_400 * second
    var journalBodies = JournalBodies.full
    /// Of `journalBytesMax`, what the owed deliveries of one namespace may fill.
    var journalNamespacePercent = 50

    // What is allowed.
    var allowExec = false
    /// nil: each sender's own window.
    var dedupeWindowSeconds: UInt32?
    var pathGraceNanoseconds: UInt64 = 3_600 * second

    // Limits of a request and its connection (RFC 9110, RFC 9112; defaults as measured against other servers).
    var requestLimits = RequestLimits()
    var bodyBytesMax = 25 << 20 + 64 << 10
    var bodyMemoryBytesMax = 256 << 20
    var bodyMemoryWaitNanoseconds: UInt64 = 2 * second
    var headerTimeoutNanoseconds: UInt64 = 10 * second
    var bodyTimeoutNanoseconds: UInt64 = 120 * second
    /// A body without a single byte for so long is given up.
    var bodyStallTimeoutNanoseconds: UInt64 = 10 * second
    /// Averaged after the first 10 s.
    var bodyBytesPerSecondMin = 500
    /// From accept to the end of the TLS handshake.
    var tlsHandshakeTimeoutNanoseconds: UInt64 = 10 * second
    var idleTimeoutNanoseconds: UInt64 = 30 * second
    /// Instead of `idleTimeout` while more than 80 % of the connections are taken.
    var busyIdleTimeoutNanoseconds: UInt64 = 5 * second
    var responseTimeoutNanoseconds: UInt64 = 10 * second
    var connectionsMax = 10_000
    var connectionsPerSourceMax = 512
    var requestsPerConnectionMax = 10_000
    var connectionAgeNanosecondsMax: UInt64 = 3_600 * second
    /// After a refusal: how long and how much is still read, so that a reset does not eat the answer.
    var lingerTimeoutNanoseconds: UInt64 = second
    var lingerBytesMax = 256 << 10

    // Actions at once, and deliveries that wait for theirs.
    var actionsMax = 64
    var actionsPerClusterMax = 48
    var actionsPerNamespaceMax = 16
    var actionsPerTargetMax = 8
    var queuedDeliveriesMax = 200_000

    // Shutdown, logs, metrics.
    var shutdownDelayNanoseconds: UInt64 = 0
    var shutdownGraceNanoseconds: UInt64 = 4 * second
    /// After the loops ended: how long to work off what is owed.
    var drainTimeoutNanoseconds: UInt64 = 0
    var logLevel = LogLevel.info
    var logFormat = LogFormat.text
    var metricsRoutesMax = 10_000

    // Structured settings, which only a file can hold.
    var systems = SystemSettings()

    /// Nanoseconds.
    static let second: UInt64 = 1_000_000_000

    /// How many event loops to run.
    var loopCount: Int { loops ?? AvailableCores.count() }

    /// Where plain HTTP is spoken: nowhere when TLS listeners are given and no plain one is.
    var plainListen: [Endpoint] { isListenGiven || tlsListen.isEmpty ? listen : [] }

    /// The files of the TLS listeners; nil without such.
    var tlsFiles: TLSFiles? {
        guard !tlsListen.isEmpty, let tlsCertificate, let tlsKey else { return nil }
        return TLSFiles(certificate: tlsCertificate, key: tlsKey, clientAuthorities: tlsClientAuthorities)
    }

    /// The source of the routes, explicit or by what was given.
    var catalogSource: CatalogSource {
        let isFromCluster = kubernetes != .off || systems.clusters.contains(where: \.isInCatalog)
        return catalog ?? (!isFromCluster ? .manifests : manifests.isEmpty ? .cluster : .both)
    }

    /// What the settings mean for the catalog of manifests.
    var catalogOptions: CatalogOptions {
        var options = CatalogOptions(
            directories: manifests, receiverStatus: receiverStatus == .given ? .given : .own,
            noCrossNamespaceRefs: noCrossNamespaceRefs, watchNamespaces: watchNamespaces, allowExec: allowExec,
            bodyBytesMax: bodyBytesMax)
        options.hookPaths = systems.hookPaths
        options.allowCrossNamespace = Set(systems.allowCrossNamespace)
        options.openShift = systems.openShift
        options.kubeSphere = systems.kubeSphere
        options.buildService = systems.buildService
        options.buildServiceReferences = systems.buildServiceReferences
        options.outboundAllow = systems.outbound.allow
        options.clusters = systems.clusters.map { CatalogCluster($0, of: self) }
        if let window = dedupeWindowSeconds {
            options.openShift.dedupeWindowSeconds = window
            options.kubeSphere.dedupeWindowSeconds = window
            options.buildService.dedupeWindowSeconds = window
        }
        return options
    }
}
