// RouteCounts: figures by route since the start: for /api/v1/routes and the metrics by route.
//
// Routes are known by their identity, so a new route table changes nothing. A route that is gone keeps its figures until there are
// `routesMax`; then those that are not in the catalog go first.

internal import Delivery
internal import Synchronization

final class RouteCounts: Sendable {
    static let routesMax = 100_000

    struct Figures: Sendable, Equatable {
        var accepted: UInt64 = 0
        var ignored: UInt64 = 0
        /// Of both: answered 503, because the journal did not take them.
        var unavailable: UInt64 = 0
        var refused: UInt64 = 0
        /// Attempts.
        var failed: UInt64 = 0
        var dead: UInt64 = 0
        /// Nanoseconds since 1970; 0: none since the start.
        var lastReceived: UInt64 = 0

        var json: JSONValue {
            [
                "accepted": .number("\(accepted)"), "ignored": .number("\(ignored)"),
                "unavailable": .number("\(unavailable)"), "refused": .number("\(refused)"),
                "failedAttempts": .number("\(failed)"), "dead": .number("\(dead)"),
                "lastReceived": lastReceived == 0 ? .null : .string(APITime.text(lastReceived)),
            ]
        }
    }

    private let figures = Mutex<[RouteIdentity: Figures]>([:])
    /// What the loops counted since the last look; asked for with each look.
    private let loops: Mutex<@Sendable () -> [(RouteIdentity, RouteTally.Counted)]> = Mutex({ [] })

    /// Where the loops' own counts come from.
    func gather(_ loops: @escaping @Sendable () -> [(RouteIdentity, RouteTally.Counted)]) {
        self.loops.withLock { $0 = loops }
    }

    func change(_ route: RouteIdentity, _ change: (inout Figures) -> Void) {
        figures.withLock { figures in
            guard figures.count < Self.routesMax || figures[route] != nil else { return }
            change(&figures[route, default: Figures()])
        }
    }

    func all() -> [RouteIdentity: Figures] {
        takeIn()
        return figures.withLock { $0 }
    }

    /// Adds what the loops counted since. A loop keeps each route table that it counted by until then.
    func takeIn() {
        let counted = loops.withLock { $0 }()
        figures.withLock { figures in
            for (route, counted) in counted where figures.count < Self.routesMax || figures[route] != nil {
                figures[route, default: Figures()].accepted += counted.accepted
                figures[route]!.ignored += counted.ignored
                figures[route]!.unavailable += counted.unavailable
                figures[route]!.lastReceived = max(figures[route]!.lastReceived, counted.lastReceived)
            }
        }
    }

    /// Forgets routes that are gone.
    func keep(_ isKnown: (RouteIdentity) -> Bool) {
        figures.withLock { figures in figures = figures.filter { isKnown($0.key) } }
    }
}
