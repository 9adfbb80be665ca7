// ActionSet: the runners of all actions, made from the settings.

internal import CCrypto
internal import Catalog
internal import Delivery
internal import Foundation
internal import Kubernetes
internal import Logging
internal import Trigger

/// What carries out actions. `exec` is absent unless it is allowed.
struct ActionSet: Sendable {
    let runners: ActionRunners
    /// Finds the triggers of deliveries whose route does not name them.
    let planner: any DeliveryPlanner
    /// Checks ID tokens.
    let verifyToken: TokenVerifier
    private let kubernetes: KubernetesClient?
    private let http: HTTPAction
    private let outboundClient: OutboundClient

    init(
        _ settings: ServerSettings, _ client: KubernetesClient?, _ routes: CurrentRoutes, _ logger: Logger
    ) throws(CommandFailure) {
        kubernetes = client
        do {
            let outbound = OutboundSettings(
                proxy: settings.systems.outbound.proxy, caFile: settings.systems.outbound.caFile,
                userAgent: "grapnel/\(Version.number)", allow: settings.systems.outbound.allow,
                apiServerHosts: [client].compactMap { $0?.kubeconfig.serverHost })
            outboundClient = try OutboundClient(settings: outbound)
            let verifier = IDTokenVerifier(
                pinned: settings.systems.oidcIssuers, client: outboundClient, logger: logger)
            verifyToken = { await verifier.verify($0) }
            http = try HTTPAction(
                settings: outbound,
                hmacSHA256: Self.hmacSHA256)
        } catch {
            throw .input("\(error)")
        }
        let api = client
        let clusters: @Sendable (String) -> KubernetesClient? = { cluster in cluster == "local" ? api : nil }
        planner = TargetPlanner(
            client: clusters, repositories: { routes.repositories }, images: { routes.images },
            decodeEvent: Self.decodeEvent, logger: logger)
        var runners = ActionRunners(
            reconcile: api.map { _ in ReconcileAction(client: clusters) },
            http: http,
            exec: settings.allowExec
                ? ExecAction(directory: FileManager.default.currentDirectoryPath, logger: logger) : nil,
            log: LogAction(logger: logger),
            openshiftBuild: api.map { _ in OpenShiftBuildAction(client: clusters) },
            s2iRun: api.map { _ in S2iRunAction(client: clusters) },
            kpackRefresh: api.map { _ in
                KpackRefreshAction(
                    client: clusters,
                    windowSeconds: settings.dedupeWindowSeconds ?? settings.systems.buildService.dedupeWindowSeconds)
            },
            dockerHubCallback: DockerHubCallbackAction(client: outboundClient),
            openshiftRelay: api.map { _ in OpenShiftRelayAction(client: clusters) })
        if settings.observes { runners.observer = ObservingAction(logger: logger) }
        self.runners = runners
    }

    func shutdown() async {
        await http.shutdown()
        await kubernetes?.shutdown()
    }

    static let decodeEvent: EventDecoder = { payload in
        if let read = SenderTable.decode(payload.sender, payload.request, eventName: payload.eventKind) {
            var event = read.event
            if !read.images.isEmpty { event.images = read.images }
            if let image = read.images.first {
                event.image = image.image
                event.tag = image.tag
                event.digest = image.digest
            }
            if event.repositoryURLs.isEmpty { event.repositoryURLs = [event.repositoryURL].compactMap { $0 } }
            return event
        }
        return unsafe payload.body.withUnsafeBytes { body in
            unsafe Delivery.decodeEvent(
                sender: payload.sender, eventKind: payload.eventKind.isEmpty ? nil : payload.eventKind,
                contentType: payload.contentType, body: body)
        }
    }

    private static let hmacSHA256: @Sendable ([UInt8], [UInt8]) -> [UInt8] = { key, message in
        var states = [UInt64](repeating: 0, count: cc_hmac_key_bytes() / 8 + 1)
        var digest = [UInt8](repeating: 0, count: 32)
        unsafe states.withUnsafeMutableBytes { states in
            unsafe cc_hmac_key_prepare(states.baseAddress!, key, key.count)
            unsafe cc_hmac(states.baseAddress!, Int32(CC_SHA256), message, message.count, &digest)
            unsafe states.initializeMemory(as: UInt8.self, repeating: 0)
        }
        return digest
    }
}
