// PathClaims: every path has one owner.
//
// A route is keyed by host (or any) and path. Of two claimants the older keeps it: by creationTimestamp, then namespace and
// name, where both have a creationTimestamp (objects that came from a cluster); else the one that comes first in the files. Flux paths
// take part: token, name and namespace are concatenated without separators, so two Receivers can compute the same path.
//
// Between clusters the first in the settings keeps a path, whichever object is older. A receiver that two clusters have alike is no
// claimant but a sibling: what comes is for both.

import Delivery

/// One receiver's claim, ready to become a route.
struct PathClaim {
    var route: RouteDefinition
    let createdAt: Int?
    let place: SourcePlace

    /// Whether this claim, which comes later in the files, is older than `other`.
    func isOlder(than other: PathClaim) -> Bool {
        guard route.identity.cluster == other.route.identity.cluster else { return false }
        guard let mine = createdAt, let theirs = other.createdAt else { return false }
        let a = route.identity
        let b = other.route.identity
        return (mine, a.namespace, a.name, a.kind.rawValue) < (theirs, b.namespace, b.name, b.kind.rawValue)
    }
}

struct PathClaims {
    struct Lost {
        let loser: PathClaim
        let winner: PathClaim
    }

    private struct Key: Hashable {
        let host: String?
        let path: String
    }

    /// In the order of the files; siblings stand together, those that are ready first.
    var owners: [PathClaim] { groups.flatMap { $0 } }
    private var groups: [[PathClaim]] = []
    private(set) var lost: [Lost] = []
    private var index: [Key: Int] = [:]

    /// Settles `claims`, which come in the order of the files.
    init(_ claims: [PathClaim]) {
        var losers: [(claim: PathClaim, key: Key)] = []
        index.reserveCapacity(claims.count)
        for claim in claims {
            let key = Key(host: claim.route.host, path: claim.route.path)
            guard let position = index[key] else {
                index[key] = groups.count
                groups.append([claim])
                continue
            }
            let group = groups[position]
            if group.allSatisfy({ claim.route.isSibling(of: $0.route) }) {
                groups[position].append(claim)
            } else if claim.isOlder(than: group[0]) {
                losers += group.map { ($0, key) }
                groups[position] = [claim]
            } else {
                losers.append((claim, key))
            }
        }
        for position in groups.indices where groups[position].count > 1 {
            let group = groups[position]
            groups[position] =
                group.filter { $0.route.readiness == .ready } + group.filter { $0.route.readiness != .ready }
        }
        lost = losers.compactMap { loser in index[loser.key].map { Lost(loser: loser.claim, winner: groups[$0][0]) } }
    }
}
