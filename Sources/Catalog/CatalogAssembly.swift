// CatalogAssembly: contributions of all sources to one snapshot. Those of one cluster are one; clusters know nothing of each other but the
// paths that they claim.

import Delivery

extension CatalogSnapshot {
    /// Compiles what the sources gave. Of a resource that two sources of one cluster have, the first source's counts; so does the first
    /// cluster's claim of a path, unless both are to be told (`RouteDefinition.isSibling`).
    public static func compile(
        _ contributions: [CatalogContribution], options: CatalogOptions, filters: FilterCache = FilterCache()
    ) -> CatalogSnapshot {
        var names: [String] = []
        for contribution in contributions where !names.contains(contribution.cluster) {
            names.append(contribution.cluster)
        }
        let clusters = names.map { name in merged(contributions.filter { $0.cluster == name }) }
        return compile(clusters.isEmpty ? [CatalogContribution()] : clusters, options, filters)
    }

    /// The sources of one cluster.
    private static func merged(_ contributions: [CatalogContribution]) -> CatalogContribution {
        var merged = contributions[0]
        var known = contributions.count > 1 ? Set(merged.resources.map(\.resource.key)) : []
        for other in contributions.dropFirst() {
            merged.isComplete = merged.isComplete && other.isComplete
            merged.receiverStatus = merged.receiverStatus ?? other.receiverStatus
            for placed in other.resources {
                if known.insert(placed.resource.key).inserted {
                    merged.resources.append(placed)
                } else {
                    merged.problems.append(
                        CatalogProblem(
                            place: placed.place(placed.resource.line), severity: .warning, scope: .route,
                            message: "\(placed.resource.key) is also defined in a manifest file, which counts; "
                                + "remove one of them"))
                }
            }
            merged.problems += other.problems
            merged.counts.add(other.counts)
            merged.unreadableSecrets.merge(other.unreadableSecrets) { first, _ in first }
            merged.retiredPaths += other.retiredPaths
            merged.refusals.merge(other.refusals) { first, _ in first }
            merged.rank.append(other.rank)
        }
        return merged
    }

    private static func compile(
        _ clusters: [CatalogContribution], _ options: CatalogOptions, _ filters: FilterCache
    ) -> CatalogSnapshot {
        let compiled = RouteCompiler.compile(clusters, options: options, filters: filters)
        var rank: [String: Int] = [:]
        var counts = CatalogCounts()
        for cluster in clusters {
            rank.append(cluster.rank)
            counts.add(cluster.counts)
        }
        // The sort must not depend on a dictionary's order.
        let problems = (clusters.flatMap(\.problems) + compiled.problems).sorted { a, b in
            (rank[a.file] ?? 0, a.line, a.severity.rawValue, a.message)
                < (rank[b.file] ?? 0, b.line, b.severity.rawValue, b.message)
        }
        var snapshot = CatalogSnapshot(
            routes: compiled.routes, unserved: compiled.unserved, problems: problems, counts: counts)
        snapshot.secretPlaces = compiled.secretPlaces
        snapshot.families = compiled.families
        snapshot.repositories = RepositoryIndex(
            compiled.sources, artifactory: options.buildService.repositories)
        snapshot.images = compiled.images
        snapshot.verdicts = compiled.verdicts
        for (identity, reason) in clusters.flatMap(\.refusals) {
            snapshot.verdicts[identity] = .terminal(reason: .validationFailed, message: reason)
        }
        return snapshot
    }
}

extension [String: Int] {
    /// Ranks behind all that are there.
    fileprivate mutating func append(_ other: [String: Int]) {
        let last = values.max() ?? 0
        for (file, rank) in other where self[file] == nil { self[file] = last + 1 + rank }
    }
}
