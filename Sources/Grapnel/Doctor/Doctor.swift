// Doctor: the order of the checks. Each is bounded; each says what it found, and none stops the others.

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
        let cluster = ClusterChecks(settings: settings)
        let view = cluster.look()
        add(view.findings)
        let catalog = CatalogChecks(settings: settings, cluster: view)
        let found = catalog.run()
        add(found.findings)
        if let client = view.client {
            let access = AccessChecks(settings: settings, client: client)
            let result = access.run(
                AccessNeeds.of(settings, view, found.snapshot, namespace: client.kubeconfig.namespace))
            add(result.findings)
            diagnosis.missingRules = AccessRules.yaml(result.denied)
            _ = Blocking.wait(seconds: 1) { await client.shutdown() }
        }
        return diagnosis
    }

    private var settingsFindings: [Finding] {
        [.ok("settings", "read")]
            + loaded.warnings.map { .warn("settings", "\($0)", "correct it, or leave it if it is meant") }
    }
}
