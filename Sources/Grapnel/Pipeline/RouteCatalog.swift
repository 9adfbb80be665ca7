// RouteCatalog: manifests and clusters, whichever there are, compiled to one snapshot.

internal import CLinuxIO
internal import Catalog
internal import Cluster
internal import Delivery
internal import Synchronization

/// Compiled on one thread at a time.
final class RouteCatalog: Sendable {
    private let manifests: ManifestCatalog?
    private let clusters: ClusterSet
    private let options: CatalogOptions
    private let filters = FilterCache()
    private struct State {
        /// Clusters that were listed as a whole once.
        var listed: Set<String> = []
        /// Until the server could be ready for the first time: what comes back later must not take it out of service again.
        var isPatient = true
    }

    private let state = Mutex(State())
    private let began = cl_now_monotonic()

    /// How long a cluster that answers, and is not listed, keeps the others from being served.
    private static let patienceNanoseconds: UInt64 = 30_000_000_000

    init(_ settings: ServerSettings, _ clusters: ClusterSet) {
        options = settings.catalogOptions
        manifests = settings.catalogSource == .cluster ? nil : ManifestCatalog(options: options)
        self.clusters = clusters
    }

    /// Whether it is worth while to compile now: no cluster is in the middle of being listed.
    var isSettled: Bool { clusters.members.allSatisfy { $0.isSynced || $0.isUnreached } }

    /// The catalog as it is now, and the clusters that were read as a whole: what was known whole once stays so, since an API server that
    /// went away makes no path unknown.
    func compile() -> (snapshot: CatalogSnapshot, listed: Set<String>) {
        // Asked before the sources are read: what is listed after that only adds.
        let now = clusters.members.filter(\.isSynced).map(\.settings.source.cluster)
        let listed = state.withLock { state in
            state.listed.formUnion(now)
            return state.listed
        }
        var contributions: [CatalogContribution] = []
        if let manifests { contributions.append(manifests.read()) }
        for member in clusters.members {
            var contribution = member.contribution()
            contribution.isComplete = listed.contains(contribution.cluster)
            contribution.receiverStatus = member.statusOwner == .given ? .given : .own
            contributions.append(contribution)
        }
        return (CatalogSnapshot.compile(contributions, options: options, filters: filters), listed)
    }

    /// Whether `listed` are all clusters that routes are read from.
    func isComplete(_ listed: Set<String>) -> Bool { clusters.catalogNames.isSubset(of: listed) }

    /// The clusters that were not read yet. Nothing is served while none was; once one was, the others are waited for only while they
    /// answer, and not for long.
    func unlisted(_ listed: Set<String>) -> [Readiness.UnlistedCluster] {
        let isLate = cl_now_monotonic() - began > Self.patienceNanoseconds
        let missing = clusters.members.filter { !listed.contains($0.settings.source.cluster) }
        let isAnyKnown = missing.count < clusters.members.count
        return state.withLock { state in
            state.isPatient = state.isPatient && !(isAnyKnown && (isLate || missing.allSatisfy(\.isUnreached)))
            return missing.map { member in
                Readiness.UnlistedCluster(
                    name: member.settings.source.cluster,
                    isWaitedFor: !isAnyKnown || state.isPatient && !member.isUnreached)
            }
        }
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
