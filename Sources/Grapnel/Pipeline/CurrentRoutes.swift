// CurrentRoutes: the catalog in use, for those who look routes up off the way of a delivery.

internal import Delivery
internal import Synchronization
internal import Trigger

/// The newest route table. Safe from any thread.
final class CurrentRoutes: Trigger.RouteLookup {
    private let current: Mutex<RouteTable>

    init(_ table: RouteTable) { current = Mutex(table) }

    var table: RouteTable { current.withLock { $0 } }

    func replace(_ table: RouteTable) { current.withLock { $0 = table } }

    func definition(of route: RouteIdentity) -> RouteDefinition? { table.definition(of: route) }
}
