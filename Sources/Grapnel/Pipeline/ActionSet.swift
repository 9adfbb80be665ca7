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
    private let clusters: ClusterSet
    private let http: HTTPAction
    private let outboundClient: OutboundClient

    init(
        _ settings: ServerSettings, _ clusters: ClusterSet, _ routes: CurrentRoutes, _ logger: Logger
    ) throws(CommandFailure) {
        self.clusters = clusters
        do {
            let outbound = OutboundSettings(
                proxy: settings.systems.outbound.proxy, caFile: settings.systems.outbound.caFile,
                userAgent: "grapnel/\(Version.number)", allow: settings.systems.outbound.allow,
                apiServerHosts: clusters.apiServerHosts)
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
        let client: @Sendable (String) -> KubernetesClient? = { clusters.client($0) }
        let hasCluster = !clusters.isEmpty
        planner = TargetPlanner(
            client: client, repositories: { routes.repositories }, images: { routes.images(of: $0) },
            decodeEvent: Self.decodeEvent, logger: logger)
        var runners = ActionRunners(
            reconcile: hasCluster ? ReconcileAction(client: client) : nil,
            http: http,
            exec: settings.allowExec
                ? ExecAction(directory: FileManager.default.currentDirectoryPath, logger: logger) : nil,
            log: LogAction(logger: logger),
            openshiftBuild: hasCluster ? OpenShiftBuildAction(client: client) : nil,
            s2iRun: hasCluster ? S2iRunAction(client: client) : nil,
            kpackRefresh: hasCluster
                ? KpackRefreshAction(
                    client: client,
                    windowSeconds: settings.dedupeWindowSeconds ?? settings.systems.buildService.dedupeWindowSeconds)
                : nil,
            dockerHubCallback: DockerHubCallbackAction(client: outboundClient),
            openshiftRelay: hasCluster ? OpenShiftRelayAction(client: client) : nil)
        if settings.observes { runners.observer = ObservingAction(logger: logger) }
        self.runners = runners
    }

    func shutdown() async {
        await http.shutdown()
        await clusters.shutdown()
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
