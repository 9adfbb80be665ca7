// PathClaims: every path has one owner.
//
// A route is keyed by host (or any) and path. Of two claimants the older keeps it: by creationTimestamp, then namespace and
// name, where both have a creationTimestamp (objects that came from a cluster); else the one that comes first in the files. Flux paths
// take part: token, name and namespace are concatenated without separators, so two Receivers can compute the same path.

import Delivery

/// One receiver's claim, ready to become a route.
struct PathClaim {
    var route: RouteDefinition
    let createdAt: Int?
    let place: SourcePlace

    /// Whether this claim, which comes later in the files, is older than `other`.
    func isOlder(than other: PathClaim) -> Bool {
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

    /// In the order of the files.
    private(set) var owners: [PathClaim] = []
    private(set) var lost: [Lost] = []
    private var index: [Key: Int] = [:]

    /// Settles `claims`, which come in the order of the files.
    init(_ claims: [PathClaim]) {
        var losers: [(claim: PathClaim, key: Key)] = []
        index.reserveCapacity(claims.count)
        for claim in claims {
            let key = Key(host: claim.route.host, path: claim.route.path)
            guard let position = index[key] else {
                index[key] = owners.count
                owners.append(claim)
                continue
            }
            if claim.isOlder(than: owners[position]) {
                losers.append((owners[position], key))
                owners[position] = claim
            } else {
                losers.append((claim, key))
            }
        }
        lost = losers.compactMap { loser in index[loser.key].map { Lost(loser: loser.claim, winner: owners[$0]) } }
    }
}
