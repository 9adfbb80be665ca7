// CurrentRoutes: the catalog in use, for those who look routes up off the way of a delivery.

internal import Delivery
internal import Synchronization
internal import Trigger

/// The newest route table and the indexes made with it. Safe from any thread.
final class CurrentRoutes: Trigger.RouteLookup {
    struct Configuration: Sendable {
        var table: RouteTable
        var repositories: RepositoryIndex
        var images: [String: ImageIndex]
    }

    private let current: Mutex<Configuration>

    init(_ configuration: Configuration) { current = Mutex(configuration) }

    var table: RouteTable { current.withLock { $0.table } }
    var repositories: RepositoryIndex { current.withLock { $0.repositories } }
    var allImages: [String: ImageIndex] { current.withLock { $0.images } }
    func images(of cluster: String) -> ImageIndex? { current.withLock { $0.images[cluster] } }

    func replace(_ configuration: Configuration) { current.withLock { $0 = configuration } }

    func definition(of route: RouteIdentity) -> RouteDefinition? { table.definition(of: route) }
}
