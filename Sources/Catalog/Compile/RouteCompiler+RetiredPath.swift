// RouteCompiler+RetiredPath: paths that a rotation left behind (DESIGN section 6).

import Delivery

extension RouteCompiler {
    /// Serves an old path beside the new one: everything as the Receiver says now, but proven by the old token. Without the Receiver, while
    /// it is suspended, or once its path is the old one again, there is nothing to serve.
    mutating func add(_ retired: RetiredPath) {
        guard let current = claims.first(where: { $0.route.identity == retired.identity && !$0.route.isRetiredPath }),
            current.route.readiness == .ready, current.route.path != retired.path
        else { return }
        var route = current.route
        route.path = retired.path
        route.isRetiredPath = true
        if !route.secrets.isEmpty { route.secrets = [retired.secret] }
        if let rules = route.rules as? SenderRules { route.rules = rules.proven(by: [retired.secret]) }
        // The youngest of all claimants: it never takes a path from a receiver whose path it is.
        claims.append(PathClaim(route: route, createdAt: nil, place: current.place))
    }
}
