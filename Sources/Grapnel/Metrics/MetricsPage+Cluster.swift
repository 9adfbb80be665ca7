// MetricsPage+Cluster: how far the cluster's objects are known, and whether this replica writes status.

internal import Cluster
internal import Delivery
internal import Metrics

extension MetricsPage {
    func cluster(_ text: inout PrometheusText) {
        guard let member else { return }
        let cluster = member.settings.source.cluster
        let counts = member.source.report.counts
        text.begin(
            "grapnel_cluster_collections", .gauge,
            "Lists of the API server by state: pending is not listed yet, behind was listed and is out of step, denied may not be listed."
        )
        for (state, count) in [
            ("synced", counts.synced), ("pending", counts.pending), ("behind", counts.behind),
            ("denied", counts.denied), ("absent", counts.absent),
        ] {
            text.sample([("cluster", cluster), ("state", state)], UInt64(count))
        }
        text.begin("grapnel_cluster_leader", .gauge, "1 while this replica holds the Lease and writes status.")
        text.sample([("cluster", cluster)], UInt64(member.holdsLease ? 1 : 0))
        text.begin(
            "grapnel_cluster_status_pending", .gauge, "Receivers whose status does not say yet what it should.")
        text.sample([("cluster", cluster)], UInt64(member.statusBacklog))
        text.begin(
            "grapnel_cluster_retired_paths", .gauge, "Old paths of rotated tokens that are still served.")
        text.sample([("cluster", cluster)], UInt64(routes.table.routes.count { $0.isRetiredPath }))
    }
}
