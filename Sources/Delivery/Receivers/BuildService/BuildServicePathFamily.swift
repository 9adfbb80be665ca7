// BuildServicePathFamily: `/v1/docker/webhook/{token}`, Docker Hub's endpoint with its token as the last segment of the path.

public struct BuildServicePathFamily: PathFamily {
    public init() {}

    public var prefixes: [String] { [Self.base] }

    /// One segment behind the endpoint's path, not empty.
    public func routePath(of path: String, query: String?) -> String? {
        guard path.utf8.starts(with: Self.base.utf8) else { return nil }
        let token = path.utf8.dropFirst(Self.base.utf8.count)
        return token.isEmpty || token.contains(UInt8(ascii: "/")) ? nil : BuildServiceEndpoint.dockerHub.path
    }

    public var fallback: RouteDefinition {
        let endpoint = BuildServiceEndpoint.dockerHub
        return RouteDefinition(
            identity: endpoint.identity(), path: Self.base, sender: endpoint.sender, secrets: [],
            rules: BuildServiceRefusal(family: self), bodyBytesMax: endpoint.bodyBytesMax)
    }

    private static var base: String { BuildServiceEndpoint.dockerHub.path + "/" }
}

/// Refuses whatever belongs to the family and has no route: an endpoint without credentials is 503, any other path is nothing.
struct BuildServiceRefusal: ReceiverRules {
    let family: BuildServicePathFamily

    func rule(on request: InboundRequest, now: UInt64) -> Ruling {
        guard request.method == "POST" else {
            return Ruling(.refused(.methodNotAllowed), answer: Answer(405, fields: [Answer.Field("Allow", "POST")]))
        }
        guard family.routePath(of: request.path) != nil else {
            return Ruling(.refused(.pathMalformed), answer: Answer(404))
        }
        let retry = Answer.Field("Retry-After", BuildServiceRules.retryAfterSeconds)
        return Ruling(.refused(.secretUnusable), answer: Answer(503, fields: [retry]))
    }

    func triggers(of request: InboundRequest, _ facts: DeliveryFacts) -> Triggers { .ignored(.noTarget) }
}
