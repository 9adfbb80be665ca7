// RouteCatalog: manifests and cluster, whichever there are, compiled to one snapshot.

internal import Catalog
internal import Cluster
internal import Delivery
internal import Synchronization

/// Compiled on one thread at a time.
final class RouteCatalog: Sendable {
    private let manifests: ManifestCatalog?
    private let member: ClusterMember?
    private let options: CatalogOptions
    private let filters = FilterCache()

    init(_ settings: ServerSettings, _ member: ClusterMember?) {
        options = settings.catalogOptions
        manifests = settings.catalogSource == .cluster ? nil : ManifestCatalog(options: options)
        self.member = member
    }

    /// Whether the cluster, if there is one, was listed as a whole.
    var isWhole: Bool { member?.isSynced ?? true }

    /// The catalog as it is now, and whether all of it was read.
    func compile() -> (snapshot: CatalogSnapshot, isComplete: Bool) {
        // Asked before the sources are read: what is listed after that only adds.
        let isComplete = isWhole
        var contributions: [CatalogContribution] = []
        if let manifests { contributions.append(manifests.read()) }
        if let member { contributions.append(member.contribution()) }
        var options = options
        if let member { options.receiverStatus = member.statusOwner == .given ? .given : .own }
        return (CatalogSnapshot.compile(contributions, options: options, filters: filters), isComplete)
    }
}

/// Passes changes on to somebody who is made later.
final class ChangeListener: Sendable {
    private struct State {
        var listener: (@Sendable () -> Void)?
        var hasChanged = false
    }

    private let state = Mutex(State())

    func begin(_ listener: @escaping @Sendable () -> Void) {
        let hasChanged = state.withLock { state in
            state.listener = listener
            return state.hasChanged
        }
        if hasChanged { listener() }
    }

    func changed() {
        let listener = state.withLock { state in
            state.hasChanged = true
            return state.listener
        }
        listener?()
    }
}
