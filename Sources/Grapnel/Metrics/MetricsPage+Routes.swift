// MetricsPage+Routes: figures by route: names from the catalog alone, at most `--metrics-max-routes` of them; the others together as `other`.

internal import Delivery
internal import Metrics

extension MetricsPage {
    func byRoute(_ text: inout PrometheusText) {
        guard routesMax > 0 else { return }
        let table = routes.table
        counts.keep { table.definition(of: $0) != nil }
        let all = counts.all()
        var rows: [(labels: [(String, String)], figures: RouteCounts.Figures)] = []
        var other: RouteCounts.Figures?
        // In the order of the catalog: which routes have rows of their own changes only when it does.
        var seen: Set<RouteIdentity> = []
        for route in table.routes where seen.insert(route.identity).inserted {
            let identity = route.identity
            let figures = all[identity] ?? RouteCounts.Figures()
            if rows.count < routesMax {
                rows.append(
                    (Self.labels(identity.cluster, identity.kind.name, identity.namespace, identity.name), figures))
            } else {
                other = Self.sum(other ?? RouteCounts.Figures(), figures)
            }
        }
        if let other { rows.append((Self.labels("other", "other", "other", "other"), other)) }
        func family(
            _ name: String, _ kind: PrometheusText.Kind, _ help: String, _ value: (RouteCounts.Figures) -> Double?
        ) {
            text.begin(name, kind, help)
            for row in rows { if let value = value(row.figures) { text.sample(row.labels, value) } }
        }
        family(
            "grapnel_route_accepted_total", .counter,
            "Proven deliveries of a route that were not ignored, duplicates and those answered 503 included."
        ) { Double($0.accepted) }
        family("grapnel_route_ignored_total", .counter, "Proven deliveries of a route that cause nothing.") {
            Double($0.ignored)
        }
        family(
            "grapnel_route_unavailable_total", .counter,
            "Proven deliveries of a route that were answered 503: the journal is full or failed, or the namespace is over its share."
        ) { Double($0.unavailable) }
        family("grapnel_route_refused_total", .counter, "Deliveries of a route that failed verification.") {
            Double($0.refused)
        }
        family("grapnel_route_failed_attempts_total", .counter, "Attempts of a route's actions that failed.") {
            Double($0.failed)
        }
        family("grapnel_route_dead_total", .counter, "Actions of a route that were given up.") { Double($0.dead) }
        family(
            "grapnel_route_last_delivery_timestamp_seconds", .gauge,
            "When a route's last proven delivery came, Unix time."
        ) { $0.lastReceived == 0 ? nil : Double($0.lastReceived / 1_000_000) / 1000 }
    }

    private static func labels(
        _ cluster: String, _ kind: String, _ namespace: String, _ name: String
    ) -> [(String, String)] {
        [("cluster", cluster), ("kind", kind), ("namespace", namespace), ("name", name)]
    }

    private static func sum(_ one: RouteCounts.Figures, _ two: RouteCounts.Figures) -> RouteCounts.Figures {
        RouteCounts.Figures(
            accepted: one.accepted + two.accepted, ignored: one.ignored + two.ignored,
            unavailable: one.unavailable + two.unavailable, refused: one.refused + two.refused,
            failed: one.failed + two.failed, dead: one.dead + two.dead,
            lastReceived: max(one.lastReceived, two.lastReceived))
    }
}
