// OpenShiftPathFamily: the URLs of all BuildConfig webhooks.

public struct OpenShiftPathFamily: PathFamily {
    private let settings: OpenShiftSettings
    private let cluster: String

    public init(settings: OpenShiftSettings = OpenShiftSettings(), cluster: String = "local") {
        self.settings = settings
        self.cluster = cluster
    }

    public var prefixes: [String] { OpenShiftPath.prefixes }

    public func routePath(of path: String, query: String?) -> String? {
        guard let path = try? OpenShiftPath(path, query: query) else { return nil }
        return OpenShiftPath.routePath(namespace: path.namespace, name: path.name)
    }

    public var fallback: RouteDefinition {
        RouteDefinition(
            identity: RouteIdentity(cluster: cluster, kind: .buildConfig, namespace: "", name: ""),
            path: OpenShiftPath.prefixes[0], sender: .generic, secrets: [],
            rules: UnknownBuildConfigRules(profile: settings.profile))
    }
}

/// Refuses as a BuildConfig whose secret is another does.
struct UnknownBuildConfigRules: ReceiverRules {
    let profile: OpenShiftProfile

    func rule(on request: InboundRequest, now: UInt64) -> Ruling {
        switch OpenShiftAddress.read(request, profile) {
        case .failure(let refusal): refusal.ruling
        case .success(let address):
            Ruling(
                .refused(.receiverUnknown),
                answer: OpenShiftStatus.unauthorized(type: address.type, name: address.name))
        }
    }

    func triggers(of request: InboundRequest, _ facts: DeliveryFacts) -> Triggers { .ignored(.routeRemoved) }
}
