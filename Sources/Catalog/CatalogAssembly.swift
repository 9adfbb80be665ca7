// CatalogAssembly: contributions of all sources to one snapshot.

import Delivery

extension CatalogSnapshot {
    /// Compiles what the sources gave. Of a resource that two of them have, the first source's counts.
    public static func compile(
        _ contributions: [CatalogContribution], options: CatalogOptions, filters: FilterCache = FilterCache()
    ) -> CatalogSnapshot {
        var merged = contributions.first ?? CatalogContribution()
        var known = contributions.count > 1 ? Set(merged.resources.map(\.resource.key)) : []
        for other in contributions.dropFirst() {
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
            let last = merged.rank.values.max() ?? 0
            for (file, rank) in other.rank where merged.rank[file] == nil { merged.rank[file] = last + 1 + rank }
        }
        return compile(merged, options, filters)
    }

    private static func compile(
        _ contribution: CatalogContribution, _ options: CatalogOptions, _ filters: FilterCache
    ) -> CatalogSnapshot {
        let compiled = RouteCompiler.compile(contribution, options: options, filters: filters)
        let rank = contribution.rank
        // The sort must not depend on a dictionary's order.
        let problems = (contribution.problems + compiled.problems).sorted { a, b in
            (rank[a.file] ?? 0, a.line, a.severity.rawValue, a.message)
                < (rank[b.file] ?? 0, b.line, b.severity.rawValue, b.message)
        }
        var snapshot = CatalogSnapshot(
            routes: compiled.routes, unserved: compiled.unserved, problems: problems, counts: contribution.counts)
        snapshot.secretPlaces = compiled.secretPlaces
        snapshot.families = compiled.families
        snapshot.repositories = RepositoryIndex(
            compiled.sources, artifactory: options.buildService.repositories)
        snapshot.images = compiled.images
        snapshot.verdicts = compiled.verdicts
        for (identity, reason) in contribution.refusals {
            snapshot.verdicts[identity] = .terminal(reason: .validationFailed, message: reason)
        }
        return snapshot
    }
}
