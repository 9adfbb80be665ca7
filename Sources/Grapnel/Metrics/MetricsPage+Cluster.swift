// MetricsPage+Cluster: how far the objects of each cluster are known, and whether this replica writes their status.

internal import Cluster
internal import Delivery
internal import Metrics

extension MetricsPage {
    func cluster(_ text: inout PrometheusText) {
        guard !clusters.members.isEmpty else { return }
        let members = clusters.members.map { (name: $0.settings.source.cluster, member: $0) }
        text.begin(
            "grapnel_cluster_collections", .gauge,
            "Lists of the API server by state: pending is not listed yet, behind was listed and is out of step, denied may not be listed."
        )
        for (name, member) in members {
            let counts = member.source.report.counts
            for (state, count) in [
                ("synced", counts.synced), ("pending", counts.pending), ("behind", counts.behind),
                ("denied", counts.denied), ("absent", counts.absent),
            ] {
                text.sample([("cluster", name), ("state", state)], UInt64(count))
            }
        }
        text.begin("grapnel_cluster_leader", .gauge, "1 while this replica holds the Lease and writes status.")
        for (name, member) in members { text.sample([("cluster", name)], UInt64(member.holdsLease ? 1 : 0)) }
        text.begin(
            "grapnel_cluster_status_pending", .gauge, "Receivers whose status does not say yet what it should.")
        for (name, member) in members { text.sample([("cluster", name)], UInt64(member.statusBacklog)) }
        text.begin(
            "grapnel_cluster_retired_paths", .gauge, "Old paths of rotated tokens that are still served.")
        let retired = routes.table.routes.filter(\.isRetiredPath)
        for (name, _) in members {
            text.sample([("cluster", name)], UInt64(retired.count { $0.identity.cluster == name }))
        }
        text.single(
            "grapnel_cluster_waiting_deliveries", .gauge,
            "Stored deliveries that wait until the cluster that they are about was listed.", UInt64(gate.count))
    }
}
