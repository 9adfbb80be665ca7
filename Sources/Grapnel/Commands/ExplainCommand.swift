// ExplainCommand: `grapnel explain`: what a request, or a delivery of the journal, leads to, and why.
//
//     grapnel explain --request delivery.http --manifests deploy/manifests
//     grapnel explain --delivery 17 --data-dir data --manifests deploy/manifests --json
//
// Exit status: 0 it is accepted or ignored, 1 it is refused or has no route, 2 wrong usage, 3 the environment failed.

import ArgumentParser
import CLinuxIO
import Catalog
import Delivery
import Kubernetes
import Logging
import Synchronization
import Trigger

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract:
            "Say what a recorded or given request would do: route, verification and why it fails, filters, targets.",
        discussion: """
            A request is a file with its head, an empty line and its body, as on the wire. Nothing is written, no action is carried \
            out, and no secret is printed; with --kubernetes the targets of filters are read from the API server. Exit status 0 when \
            the delivery is accepted or ignored, 1 when it is refused or has no route.
            """)

    @Option(help: ArgumentHelp("File with a raw HTTP request; - is standard input.", valueName: "file"))
    var request: String?
    @Option(
        help: ArgumentHelp(
            "A delivery of the journal in --data-dir, by its sequence (Grapnel-Delivery of the answer).",
            valueName: "sequence"))
    var delivery: UInt64?
    @Option(
        help: ArgumentHelp(
            "Judge timestamps and tokens as if it were that time, in seconds since 1970 (default: now).",
            valueName: "seconds"))
    var at: UInt64?
    @Flag(help: "One JSON object instead of text.")
    var json = false
    @OptionGroup var options: ServeOptions

    func validate() throws {
        if (request == nil) == (delivery == nil) {
            throw ValidationError("what is to be explained? Give either --request FILE or --delivery SEQUENCE")
        }
        if let at, at > 1 << 33 { throw ValidationError("--at is a number of seconds since 1970") }
    }

    func run() throws {
        let settings = try options.load().settings
        let snapshot = ManifestCatalog(options: settings.catalogOptions).load()
        let secrets = KnownSecrets(
            snapshot, manifests: settings.manifests, settings: settings.catalogOptions.buildService)
        let clients = try Self.clients(settings)
        let explainer = Explainer(
            settings: settings, snapshot: snapshot, secrets: secrets, clients: clients,
            now: at.map { $0 * 1_000_000_000 } ?? cl_now_realtime(), checkToken: try Self.tokenCheck(settings))
        var values: [String] = []
        let explanation: Explanation
        if let delivery {
            let stored = try Self.stored(delivery, settings.dataDirectory)
            explanation = Blocking.wait { await explainer.explain(stored) }
        } else {
            let source = request == "-" ? "standard input" : "file \(request ?? "")"
            switch try read(settings) {
            case .success(let raw):
                values = Redaction.credentials(of: raw.inbound)
                explanation = Blocking.wait { await explainer.explain(raw, source: source) }
            case .failure(.refused(let error)): explanation = explainer.explain(error, source: source)
            case .failure(.empty):
                throw CommandFailure(
                    .environment, "\(source) holds no request: a request line and header fields come first")
            }
        }
        Blocking.wait { for client in clients.values { await client.shutdown() } }
        let redact = Redaction(secrets, values: values)
        print(json ? JSONText.pretty.text(redact(explanation.json)) : ExplanationText.make(explanation, redact))
        if !explanation.outcome.isWell { throw CommandFailure(.wrongInput, []) }
    }

    private func read(_ settings: ServerSettings) throws -> Result<RawRequest, RawRequest.Failure> {
        // Framing may be longer than what it frames.
        let bytesMax = 2 * settings.bodyBytesMax + (1 << 20)
        switch SmallFile.read(request ?? "-", bytesMax: bytesMax) {
        case .success(let bytes):
            return Result { () throws(RawRequest.Failure) in
                try RawRequest.parse(bytes, limits: settings.requestLimits)
            }
        case .failure(let failure): throw CommandFailure(.environment, "--request: \(failure)")
        }
    }

    private static func stored(_ sequence: UInt64, _ dataDirectory: String) throws -> StoredDelivery {
        do throws(StoredDelivery.Failure) {
            return try StoredDelivery.find(sequence, dataDirectory: dataDirectory)
        } catch {
            switch error {
            case .journal(let message): throw CommandFailure(.environment, message)
            case .unknown:
                throw CommandFailure(
                    .environment,
                    "the journal in \(dataDirectory) has no delivery \(sequence); `grapnel journal inspect` lists what it has"
                )
            case .unreadable:
                throw CommandFailure(
                    .environment,
                    "delivery \(sequence) cannot be read; `grapnel journal verify` says what is damaged")
            }
        }
    }

    /// By the cluster's name.
    private static func clients(_ settings: ServerSettings) throws -> [String: KubernetesClient] {
        var clients: [String: KubernetesClient] = [:]
        for (name, settings) in settings.eachCluster {
            clients[name] = try ClusterAccess.client(
                settings, Logger(label: "explain") { _ in SwiftLogNoOpLogHandler() })
        }
        return clients
    }

    /// Verifies ID tokens as the server does, and keeps what it would log.
    private static func tokenCheck(_ settings: ServerSettings) throws -> Explainer.TokenCheck {
        let outbound = OutboundSettings(
            proxy: settings.systems.outbound.proxy, caFile: settings.systems.outbound.caFile,
            userAgent: "grapnel/\(Version.number)")
        let client: OutboundClient
        do { client = try OutboundClient(settings: outbound) } catch { throw CommandFailure(.wrongInput, "\(error)") }
        let pinned = settings.systems.oidcIssuers
        return { demand in
            let kept = KeptReasons()
            let verifier = IDTokenVerifier(
                pinned: pinned, client: client, logger: Logger(label: "explain") { _ in KeepingLogHandler(kept: kept) })
            let claims = await verifier.verify(demand)
            return (claims, kept.texts.withLock { $0 })
        }
    }
}

/// Reasons that would have been logged.
private final class KeptReasons: Sendable {
    let texts = Mutex<[String]>([])
}

private struct KeepingLogHandler: LogHandler {
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]
    let kept: KeptReasons

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        kept.texts.withLock {
            $0.append("\(event.message)" + (fields.isEmpty ? "" : " (\(fields.joined(separator: ", ")))"))
        }
    }
}
