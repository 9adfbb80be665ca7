// KubeSpherePathFamily: the URLs of all S2I triggers.

public struct KubeSpherePathFamily: PathFamily {
    private let cluster: String

    public init(cluster: String = "local") { self.cluster = cluster }

    public var prefixes: [String] { [KubeSpherePath.prefix] }

    public func routePath(of path: String, query: String?) -> String? {
        guard let path = KubeSpherePath(path), path.areNamesValid else { return nil }
        return KubeSpherePath.routePath(namespace: path.namespace, name: path.builder)
    }

    public var fallback: RouteDefinition {
        RouteDefinition(
            identity: RouteIdentity(cluster: cluster, kind: .s2iBuilder, namespace: "", name: ""),
            path: KubeSpherePath.prefix, sender: .generic, secrets: [], rules: UnknownS2iBuilderRules())
    }
}

/// Refuses what leads to no builder.
struct UnknownS2iBuilderRules: ReceiverRules {
    func rule(on request: InboundRequest, now: UInt64) -> Ruling {
        guard let path = KubeSpherePath(request.path) else { return KubeSphereAddress.notFound(.pathMalformed) }
        if let refusal = KubeSphereAddress.refusal(request, path) { return refusal }
        // The trigger service answers a ping before it looks for the builder.
        if path.route == .github, path.areNamesValid, KubeSphereAddress.isPing(request) {
            return KubeSphereAddress.ping(.receiverUnknown)
        }
        return KubeSphereAddress.notFound(.receiverUnknown)
    }

    func triggers(of request: InboundRequest, _ facts: DeliveryFacts) -> Triggers { .ignored(.routeRemoved) }
}

/// The checks that come before any builder is looked at.
enum KubeSphereAddress {
    static func notFound(_ cause: VerifyCause) -> Ruling { Ruling(.refused(cause), answer: Answer(404)) }

    static func isPing(_ request: InboundRequest) -> Bool { request.field("x-github-event") == "ping" }

    /// 200, not stored.
    static func ping(_ cause: VerifyCause) -> Ruling { Ruling(.refused(cause), answer: Answer(200)) }

    /// Method, and the content type of the GitHub route; nil when both are right.
    static func refusal(_ request: InboundRequest, _ path: KubeSpherePath) -> Ruling? {
        let methods = path.route == .github ? ["POST"] : ["GET", "POST"]
        guard methods.contains(request.method) else {
            let allow = Answer.Field("Allow", methods.joined(separator: ", "))
            return Ruling(.refused(.methodNotAllowed), answer: Answer(405, fields: [allow]))
        }
        guard path.route == .github else { return nil }
        switch request.mediaType {
        case "application/json", "application/x-www-form-urlencoded": return nil
        default: return Ruling(.refused(.contentTypeWrong), answer: Answer(415))
        }
    }
}
