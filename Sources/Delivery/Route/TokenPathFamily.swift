// TokenPathFamily: Hooks whose secret is the last segment of the path, for senders that can carry nothing else.

/// Leads `<path of a route>/<token>` to the route.
public struct TokenPathFamily: PathFamily {
    private let routes: Set<String>
    public let prefixes: [String]

    /// `routes` are the paths of the Hooks.
    public init(routes: [String]) {
        self.routes = Set(routes)
        prefixes = routes.map { $0 + "/" }
    }

    public func routePath(of path: String, query: String?) -> String? {
        guard let slash = path.lastIndex(of: "/") else { return nil }
        let route = String(path[..<slash])
        return routes.contains(route) ? route : nil
    }

    public var fallback: RouteDefinition {
        RouteDefinition(
            identity: RouteIdentity(kind: .hook, namespace: "", name: ""), path: "", sender: .unverified, secrets: [],
            rules: NotFoundRules())
    }
}

/// Answers 404 to everything.
struct NotFoundRules: ReceiverRules {
    func rule(on request: InboundRequest, now: UInt64) -> Ruling {
        Ruling(.refused(.receiverUnknown), answer: Answer(404))
    }
    func triggers(of request: InboundRequest, _ facts: DeliveryFacts) -> Triggers { .ignored(.routeRemoved) }
}
