// RouteCompiler+Clusters: what several clusters mean for routes (DESIGN section 5): the hosts at which a cluster's routes are reached, and
// targets in another cluster than the receiver's, which only manifest files of the operator's may name.

import Delivery

extension RouteCompiler {
    /// Routes of a cluster that has hosts of its own are reached at these alone. Its settings are not its tenants' to change.
    mutating func keep(to hosts: [String]) {
        guard !hosts.isEmpty else { return }
        let all = claims
        claims = []
        for claim in all {
            guard let host = claim.route.host else {
                for host in hosts {
                    var placed = claim
                    placed.route.host = host
                    claims.append(placed)
                }
                continue
            }
            if hosts.contains(host) {
                claims.append(claim)
                continue
            }
            let trouble =
                "spec.host \(quoted(host)) is none of the hosts of this cluster: \(hosts.joined(separator: ", "))"
            refuse(claim.place, claim.route.identity, trouble)
            verdicts[claim.route.identity] = .terminal(reason: .notPermitted, message: trouble)
        }
    }

    /// The cluster that a target is in: its receiver's unless it names another. nil when there is none of that name; `clusterTrouble`
    /// says so where the Hook is judged.
    func cluster(_ name: Placed<String>?, of identity: RouteIdentity) -> String? {
        guard let name else { return identity.cluster }
        return clusterTrouble(name) == nil ? name.value : nil
    }

    /// Why a Hook may not name this cluster; nil when it may. `isMatched`: objects are looked for there, not named.
    func clusterTrouble(_ name: Placed<String>, isMatched: Bool = false) -> String? {
        if name.value == options.cluster { return nil }
        let known = [options.cluster] + options.clusters.map(\.name)
        guard let cluster = options.clusters.first(where: { $0.name == name.value }) else {
            return "\(name.path): there is no cluster \(quoted(name.value)); known: \(known.joined(separator: ", "))"
                + NearestName.hint(name.value, among: known)
        }
        guard isMatched, !cluster.isRead else { return nil }
        return
            "\(name.path): the objects of cluster \(quoted(name.value)) are not read, so none can be found there; set its "
            + "catalog: true in the setting clusters, or name the object"
    }

    /// The first wrong cluster that an action of the Hook names, and its line.
    func clusterTrouble(of hook: HookManifest) -> (text: String, line: Int)? {
        for action in hook.actions {
            let name: Placed<String>?
            var isMatched = false
            switch action {
            case .reconcile(let target), .openshiftBuild(.named(let target)), .s2iRun(.named(let target)):
                name = target.cluster
            case .reconcileMatching(let match), .openshiftBuild(.matching(let match)), .s2iRun(.matching(let match)):
                (name, isMatched) = (match.cluster, true)
            case .kpackRefresh(let cluster): (name, isMatched) = (cluster, true)
            case .http, .exec, .log: name = nil
            }
            if let name, let text = clusterTrouble(name, isMatched: isMatched) { return (text, name.line) }
        }
        return nil
    }
}
