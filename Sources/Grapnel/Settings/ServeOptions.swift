// ServeOptions: the flags of `serve`, `check` and `url`. All are texts here; `SettingsTable` knows their forms and bounds.

import ArgumentParser
import Foundation

struct ServeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Settings file (YAML or JSON); flags and GRAPNEL_* variables win over it.", valueName: "file"))
    var config: String?

    @OptionGroup(title: "Sources") var sources: SourceOptions
    @OptionGroup(title: "Server") var server: ServerOptions
    @OptionGroup(title: "Limits") var limits: LimitOptions
    @OptionGroup(title: "Actions") var actions: ActionOptions

    /// What was given, by the settings' names.
    var given: [(name: String, values: [String])] {
        (sources.all + server.all + limits.all + actions.all).compactMap { name, values in
            values.isEmpty ? nil : (name, values)
        }
    }

    /// Reads the settings file and merges. Throws `CommandFailure`.
    func load(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(CommandFailure) -> SettingsLoader.Loaded {
        var loader = SettingsLoader(flags: given, environment: environment, file: nil)
        if let name = SettingsLoader.fileName(flag: config, environment: environment) {
            switch SmallFile.read(name, bytesMax: 1 << 20) {
            case .success(let bytes): loader.file = (name, bytes)
            case .failure(let failure):
                throw CommandFailure(.wrongInput, "\(failure); correct --config")
            }
        }
        return try loader.load()
    }
}

/// Where routes come from and what they may do.
struct SourceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Directory with manifests: *.yaml, *.yml, *.json. Repeatable.", valueName: "dir"))
    var manifests: [String] = []
    @Option(
        help: ArgumentHelp(
            "Which API server is acted on: off, kubeconfig, in-cluster (default: off).", valueName: "mode"))
    var kubernetes: String?
    @Option(
        help: ArgumentHelp("kubeconfig of that API server (default: $KUBECONFIG, ~/.kube/config).", valueName: "file"))
    var kubeconfig: String?
    @Option(
        help: ArgumentHelp(
            "Where routes are read from: manifests, cluster, both (default: what was given).", valueName: "source"))
    var catalog: String?
    @Option(
        help: ArgumentHelp(
            "Who judges Flux Receivers: own (this server), given (their status), auto (default: auto).",
            valueName: "who"))
    var receiverStatus: String?
    @Flag(help: "Refuse targets outside of a receiver's own namespace.")
    var noCrossNamespaceRefs = false
    @Option(help: ArgumentHelp("Only resources of this namespace. Repeatable.", valueName: "name"))
    var watchNamespace: [String] = []
    @Option(
        help: ArgumentHelp(
            "How Secrets are watched: by-name (those that receivers name, one watch each), labelled, all (default: by-name).",
            valueName: "mode"))
    var secretAccess: String?
    @Option(
        help: ArgumentHelp(
            "Label of Secrets for labelled (default: reconcile.fluxcd.io/watch=Enabled).", valueName: "selector"))
    var secretSelector: String?
    @Option(help: ArgumentHelp("Context of the kubeconfig (default: its current one).", valueName: "name"))
    var kubernetesContext: String?
    @Option(
        help: ArgumentHelp(
            "Where Flux runs, for --receiver-status auto (default: flux-system).", valueName: "namespace"))
    var fluxNamespace: String?
    @Flag(help: "Permit exec actions: manifests then decide which programs run.")
    var allowExec = false
    @Option(
        help: ArgumentHelp(
            "How long a repeated delivery id is a duplicate, for all senders (default: each sender's own).",
            valueName: "seconds"))
    var dedupeWindowSeconds: String?
    @Option(
        help: ArgumentHelp(
            "How long a Receiver's old path works after its token changed (default: 1h).", valueName: "duration"))
    var pathGrace: String?
    @Flag(help: "Verify, store and decide, but write nothing.")
    var observe = false

    var all: [(String, [String])] {
        [
            ("manifests", manifests), ("kubernetes", kubernetes.list), ("kubeconfig", kubeconfig.list),
            ("catalog", catalog.list), ("receiverStatus", receiverStatus.list),
            ("noCrossNamespaceRefs", noCrossNamespaceRefs.list), ("watchNamespace", watchNamespace),
            ("secretAccess", secretAccess.list), ("secretSelector", secretSelector.list),
            ("kubernetesContext", kubernetesContext.list), ("fluxNamespace", fluxNamespace.list),
            ("allowExec", allowExec.list), ("dedupeWindowSeconds", dedupeWindowSeconds.list),
            ("pathGrace", pathGrace.list), ("observe", observe.list),
        ]
    }
}

/// Listeners, threads, disk, logs.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Directory of the journal (default: data).", valueName: "dir"))
    var dataDir: String?
    @Option(
        help: ArgumentHelp(
            "Address for deliveries. Repeatable; port 0 lets the kernel choose (default: 0.0.0.0:9292).",
            valueName: "host:port"))
    var listen: [String] = []
    @Option(
        help: ArgumentHelp(
            "Address for health, metrics and administration (default: 127.0.0.1:9293).", valueName: "host:port"))
    var adminListen: String?
    @Option(help: ArgumentHelp("Further address for health and metrics only.", valueName: "host:port"))
    var metricsListen: String?
    @Option(help: ArgumentHelp("File with the token for the admin API.", valueName: "file"))
    var adminTokenFile: String?
    @Option(help: ArgumentHelp("How senders reach this server, for `grapnel url`.", valueName: "url"))
    var externalUrl: String?
    @Option(
        help: ArgumentHelp(
            "Address for deliveries over TLS. Repeatable; without --listen there is no plain one.",
            valueName: "host:port"))
    var tlsListen: [String] = []
    @Option(
        help: ArgumentHelp("Certificate for TLS and its chain, PEM; read again when it changes.", valueName: "file"))
    var tlsCertificate: String?
    @Option(help: ArgumentHelp("Key of that certificate, PEM, not encrypted.", valueName: "file"))
    var tlsKey: String?
    @Option(
        help: ArgumentHelp(
            "Authorities of client certificates, PEM: clients must then show one.", valueName: "file"))
    var tlsClientCa: String?
    @Option(help: ArgumentHelp("Event loops (default: the cores this process may use).", valueName: "n"))
    var loops: String?
    @Option(help: ArgumentHelp("How sockets are waited for: auto, epoll, uring (default: auto).", valueName: "method"))
    var io: String?
    @Option(
        help: ArgumentHelp(
            "When an answer may go out: sync (after the disk confirmed), async, none (default: sync).",
            valueName: "mode"))
    var durability: String?
    @Option(help: ArgumentHelp("Upper bound of the journal on disk (default: 4GiB).", valueName: "size"))
    var journalMaxBytes: String?
    @Option(help: ArgumentHelp("How long finished deliveries are kept (default: 7d).", valueName: "duration"))
    var journalMaxAge: String?
    @Option(
        help: ArgumentHelp(
            "Bodies of finished deliveries: full, kept as long as the rest. `until-done` is not built yet and refused (default: full).",
            valueName: "mode"))
    var journalBodies: String?
    @Option(
        help: ArgumentHelp(
            "Percent of the journal that one namespace's unfinished deliveries may fill (default: 50).",
            valueName: "percent"))
    var journalNamespaceShare: String?
    @Option(
        help: ArgumentHelp(
            "After SIGTERM: how long to go on accepting while not ready (default: 0s).", valueName: "duration"))
    var shutdownDelay: String?
    @Option(
        help: ArgumentHelp(
            "After that: how long requests and actions may take to finish (default: 4s).", valueName: "duration"))
    var shutdownGrace: String?
    @Option(
        help: ArgumentHelp(
            "After that: how long to work off what is owed (default: 0s, it stays in the journal).",
            valueName: "duration"))
    var drainTimeout: String?
    @Option(
        help: ArgumentHelp("trace, debug, info, notice, warning, error, critical (default: info).", valueName: "level"))
    var logLevel: String?
    @Option(help: ArgumentHelp("text or json (default: text).", valueName: "format"))
    var logFormat: String?
    @Option(
        help: ArgumentHelp(
            "Routes with metrics of their own; the rest counts as `other` (default: 10000).", valueName: "n"))
    var metricsMaxRoutes: String?

    var all: [(String, [String])] {
        [
            ("dataDir", dataDir.list), ("listen", listen), ("adminListen", adminListen.list),
            ("metricsListen", metricsListen.list), ("adminTokenFile", adminTokenFile.list),
            ("externalUrl", externalUrl.list), ("tlsListen", tlsListen),
            ("tlsCertificate", tlsCertificate.list), ("tlsKey", tlsKey.list),
            ("tlsClientCa", tlsClientCa.list), ("loops", loops.list), ("io", io.list),
            ("durability", durability.list), ("journalMaxBytes", journalMaxBytes.list),
            ("journalMaxAge", journalMaxAge.list), ("journalBodies", journalBodies.list),
            ("journalNamespaceShare", journalNamespaceShare.list), ("shutdownDelay", shutdownDelay.list),
            ("shutdownGrace", shutdownGrace.list), ("drainTimeout", drainTimeout.list),
            ("logLevel", logLevel.list), ("logFormat", logFormat.list),
            ("metricsMaxRoutes", metricsMaxRoutes.list),
        ]
    }
}

/// Bounds of a request and its connection.
struct LimitOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Body of a request; a Hook may lower it (default: 25MiB + 64KiB).", valueName: "size"))
    var maxBody: String?
    @Option(help: ArgumentHelp("Request line (default: 8KiB).", valueName: "size"))
    var maxRequestLine: String?
    @Option(help: ArgumentHelp("Head of a request (default: 32KiB).", valueName: "size"))
    var maxHeader: String?
    @Option(help: ArgumentHelp("Header fields of a request (default: 100).", valueName: "n"))
    var maxHeaderFields: String?
    @Option(help: ArgumentHelp("Trailer section of a chunked body (default: 8KiB).", valueName: "size"))
    var maxTrailer: String?
    @Option(help: ArgumentHelp("Trailer fields of a chunked body (default: 32).", valueName: "n"))
    var maxTrailerFields: String?
    @Option(help: ArgumentHelp("Line before a chunk (default: 256).", valueName: "size"))
    var maxChunkLine: String?
    @Option(help: ArgumentHelp("Chunk extensions of a request, in all (default: 4KiB).", valueName: "size"))
    var maxChunkExtensions: String?
    @Option(help: ArgumentHelp("Framing of a chunked body beyond twice its data (default: 16KiB).", valueName: "size"))
    var maxChunkOverhead: String?
    @Option(help: ArgumentHelp("Memory for the bodies of all connections (default: 256MiB).", valueName: "size"))
    var bodyMemory: String?
    @Option(
        help: ArgumentHelp(
            "How long a request waits for that memory before it is answered 503 (default: 2s).", valueName: "duration"))
    var bodyMemoryWait: String?
    @Option(
        help: ArgumentHelp("From a request's first byte to the end of its head (default: 10s).", valueName: "duration"))
    var headerTimeout: String?
    @Option(help: ArgumentHelp("From the end of the head to the end of the body (default: 2m).", valueName: "duration"))
    var bodyTimeout: String?
    @Option(help: ArgumentHelp("Between two pieces of a body (default: 10s).", valueName: "duration"))
    var bodyStallTimeout: String?
    @Option(
        help: ArgumentHelp("Bytes a second a body must reach on average after 10 s (default: 500).", valueName: "n"))
    var bodyMinRate: String?
    @Option(help: ArgumentHelp("From accept to the end of a TLS handshake (default: 10s).", valueName: "duration"))
    var tlsHandshakeTimeout: String?
    @Option(help: ArgumentHelp("Of a connection without a request (default: 30s).", valueName: "duration"))
    var idleTimeout: String?
    @Option(
        help: ArgumentHelp(
            "The same while more than 80 % of the connections are taken (default: 5s).", valueName: "duration"))
    var busyIdleTimeout: String?
    @Option(help: ArgumentHelp("Of an answer that the peer does not read (default: 10s).", valueName: "duration"))
    var responseTimeout: String?
    @Option(help: ArgumentHelp("Connections at once (default: 10000).", valueName: "n"))
    var maxConnections: String?
    @Option(help: ArgumentHelp("Connections at once from one address (default: 512).", valueName: "n"))
    var maxConnectionsPerSource: String?
    @Option(help: ArgumentHelp("Requests of one connection (default: 10000).", valueName: "n"))
    var maxRequestsPerConnection: String?
    @Option(help: ArgumentHelp("Age of a connection (default: 1h).", valueName: "duration"))
    var maxConnectionAge: String?
    @Option(help: ArgumentHelp("How long a refused request is still read (default: 1s).", valueName: "duration"))
    var lingerTimeout: String?
    @Option(help: ArgumentHelp("How much of a refused request is still read (default: 256KiB).", valueName: "size"))
    var lingerBytes: String?

    var all: [(String, [String])] {
        [
            ("maxBody", maxBody.list), ("maxRequestLine", maxRequestLine.list), ("maxHeader", maxHeader.list),
            ("maxHeaderFields", maxHeaderFields.list), ("maxTrailer", maxTrailer.list),
            ("maxTrailerFields", maxTrailerFields.list), ("maxChunkLine", maxChunkLine.list),
            ("maxChunkExtensions", maxChunkExtensions.list), ("maxChunkOverhead", maxChunkOverhead.list),
            ("bodyMemory", bodyMemory.list), ("bodyMemoryWait", bodyMemoryWait.list),
            ("headerTimeout", headerTimeout.list), ("bodyTimeout", bodyTimeout.list),
            ("bodyStallTimeout", bodyStallTimeout.list), ("bodyMinRate", bodyMinRate.list),
            ("tlsHandshakeTimeout", tlsHandshakeTimeout.list),
            ("idleTimeout", idleTimeout.list), ("busyIdleTimeout", busyIdleTimeout.list),
            ("responseTimeout", responseTimeout.list), ("maxConnections", maxConnections.list),
            ("maxConnectionsPerSource", maxConnectionsPerSource.list),
            ("maxRequestsPerConnection", maxRequestsPerConnection.list),
            ("maxConnectionAge", maxConnectionAge.list), ("lingerTimeout", lingerTimeout.list),
            ("lingerBytes", lingerBytes.list),
        ]
    }
}

/// How much is carried out at once.
struct ActionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Actions at once (default: 64).", valueName: "n"))
    var maxActions: String?
    @Option(help: ArgumentHelp("Actions at once on the objects of one cluster (default: 48).", valueName: "n"))
    var maxActionsPerCluster: String?
    @Option(help: ArgumentHelp("Actions at once for the routes of one namespace (default: 16).", valueName: "n"))
    var maxActionsPerNamespace: String?
    @Option(
        help: ArgumentHelp(
            "Requests at once to one URL, builds at once of one object, of different refs (default: 8).", valueName: "n"
        ))
    var maxActionsPerTarget: String?
    @Option(
        help: ArgumentHelp(
            "Deliveries in memory that wait for their actions, shared by the routes; more wait in the journal (default: 200000).",
            valueName: "n")
    )
    var maxQueuedDeliveries: String?

    var all: [(String, [String])] {
        [
            ("maxActions", maxActions.list), ("maxActionsPerCluster", maxActionsPerCluster.list),
            ("maxActionsPerNamespace", maxActionsPerNamespace.list),
            ("maxActionsPerTarget", maxActionsPerTarget.list), ("maxQueuedDeliveries", maxQueuedDeliveries.list),
        ]
    }
}

extension String? {
    fileprivate var list: [String] { map { [$0] } ?? [] }
}

extension Bool {
    fileprivate var list: [String] { self ? ["true"] : [] }
}
