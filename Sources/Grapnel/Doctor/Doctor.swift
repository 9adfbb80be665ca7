// Doctor: the order of the checks. Each is bounded; each says what it found, and none stops the others.

import Catalog
import Delivery
import Kubernetes
import Logging

struct Doctor {
    let loaded: SettingsLoader.Loaded

    func run(_ show: (Finding) -> Void) -> Diagnosis {
        var diagnosis = Diagnosis()
        func add(_ findings: [Finding]) {
            for finding in findings { show(finding) }
            diagnosis.findings += findings
        }
        let settings = loaded.settings
        add(settingsFindings)
        add(DiskChecks(settings: settings).run())
        add(HostChecks(settings: settings).run())
        add(NetworkChecks(settings: settings).run())
        let each = settings.eachCluster
        var views: [String: ClusterView] = [:]
        if each.isEmpty { add(ClusterChecks(settings: settings).look().findings) }
        for (name, settings) in each {
            let view = ClusterChecks(settings: settings, name: name).look()
            add(Self.named(view.findings, name, each.count))
            views[name] = view
        }
        let found = CatalogChecks(settings: settings, names: each.map(\.name), views: views).run()
        add(found.findings)
        for (name, settings) in each {
            guard let view = views[name], let client = view.client else { continue }
            let result = AccessChecks(settings: settings, client: client).run(
                AccessNeeds.of(
                    settings, view, found.snapshot.part(of: name), namespace: client.kubeconfig.namespace))
            add(Self.named(result.findings, name, each.count))
            let rules = AccessRules.yaml(result.denied)
            if !rules.isEmpty, each.count > 1 { diagnosis.missingRules += "# for cluster \(name)\n" }
            diagnosis.missingRules += rules
            _ = Blocking.wait(seconds: 1) { await client.shutdown() }
        }
        return diagnosis
    }

    /// Says of which of several clusters it is.
    private static func named(_ findings: [Finding], _ cluster: String, _ count: Int) -> [Finding] {
        guard count > 1 else { return findings }
        return findings.map { finding in
            var finding = finding
            finding.subject = "cluster \(cluster): \(finding.subject)"
            return finding
        }
    }

    private var settingsFindings: [Finding] {
        [.ok("settings", "read")]
            + loaded.warnings.map { .warn("settings", "\($0)", "correct it, or leave it if it is meant") }
    }
}

extension CatalogSnapshot {
    /// The routes with what they do in one cluster.
    fileprivate func part(of cluster: String) -> CatalogSnapshot {
        var part = self
        part.routes = routes.map { route in
            var route = route
            route.actions = route.actions.filter { ($0.target?.cluster ?? cluster) == cluster }
            route.selections = route.selections.filter { $0.targets.cluster == cluster }
            return route
        }.filter { $0.identity.cluster == cluster || $0.causesTriggers }
        return part
    }
}

extension Selection.Targets {
    fileprivate var cluster: String {
        switch self {
        case .named(let target), .labelled(let target, _): target.cluster
        case .ofRepository(let cluster, _, _), .ofImage(let cluster, _): cluster
        }
    }
}
