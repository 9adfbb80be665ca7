// CatalogChecks: what manifests and cluster come to: routes, their Secrets, their targets. No value of a Secret is shown.

import Catalog
import Cluster
import Delivery
import Kubernetes

struct CatalogChecks {
    let settings: ServerSettings
    /// In the order of the settings.
    let names: [String]
    let views: [String: ClusterView]

    private static let problemsMax = 100
    private static let targetsMax = 200

    func run() -> (findings: [Finding], snapshot: CatalogSnapshot) {
        var contributions: [CatalogContribution] = []
        let options = settings.catalogOptions
        if settings.catalogSource != .cluster {
            let manifests = ManifestCatalog(options: options)
            guard let read = Bounded.call({ manifests.read() }) else {
                return ([Bounded.hung("manifests", "see whether the volume of --manifests answers")], CatalogSnapshot())
            }
            contributions.append(read)
        }
        for view in names.compactMap({ views[$0] }) {
            guard let objects = view.objects else { continue }
            var contribution = objects.contribution()
            contribution.receiverStatus = view.isStatusGiven ? .given : .own
            contributions.append(contribution)
        }
        let snapshot = CatalogSnapshot.compile(contributions, options: options)
        return (problems(snapshot) + [summary(snapshot)] + targets(snapshot), snapshot)
    }

    private func problems(_ snapshot: CatalogSnapshot) -> [Finding] {
        let problems = snapshot.problems.filter { $0.severity != .note }
        var findings = problems.prefix(Self.problemsMax).map { problem -> Finding in
            let message = "\(problem.place): \(problem.message)"
            return problem.severity == .error
                ? .fail("catalog", message, "correct the resource; `grapnel check` and `grapnel explain` say more")
                : .warn("catalog", message, "correct the resource, or leave it if it is meant")
        }
        if problems.count > Self.problemsMax {
            let rest = problems[Self.problemsMax...]
            let message = "and \(rest.count) problems more"
            findings.append(
                rest.contains { $0.severity == .error }
                    ? .fail("catalog", message, "see `grapnel check`")
                    : .warn("catalog", message, "see `grapnel check`"))
        }
        return findings
    }

    private func summary(_ snapshot: CatalogSnapshot) -> Finding {
        let ready = snapshot.routes.count { $0.readiness == .ready }
        let text =
            "\(snapshot.routes.count) routes, \(ready) ready; \(snapshot.unserved.count) receivers without a route"
        if snapshot.routes.isEmpty {
            return .warn(
                "catalog", text, "nothing can be received: see --manifests, --watch-namespace and what is listed above")
        }
        return .ok("catalog", text)
    }

    // MARK: - Targets

    private func targets(_ snapshot: CatalogSnapshot) -> [Finding] {
        let clients = views.compactMapValues(\.client)
        let all = Self.targets(of: snapshot).filter { clients[$0.cluster] != nil }
        guard !all.isEmpty else { return [] }
        var findings: [Finding] = []
        var found = 0
        for target in all.prefix(Self.targetsMax) {
            guard let client = clients[target.cluster] else { continue }
            let result = Bounded.run { await Self.trouble(client, target) }
            switch result {
            case nil: return findings + [Bounded.hung("targets", "see why the API server is slow")]
            case .some(nil): found += 1
            case .some(let message?):
                findings.append(
                    .warn(
                        "targets",
                        (target.cluster == ClusterSettings.local ? "" : "cluster \(target.cluster): ")
                            + "\(target): \(message)",
                        "create it, or correct the receiver that names it"))
            }
        }
        if found > 0 { findings.append(.ok("targets", "\(found) that receivers name are there")) }
        if all.count > Self.targetsMax {
            findings.append(.note("targets", "\(all.count) are named; the first \(Self.targetsMax) were looked at"))
        }
        return findings
    }

    /// Objects that routes name, each once.
    static func targets(of snapshot: CatalogSnapshot) -> [TargetReference] {
        var targets: Set<TargetReference> = []
        for route in snapshot.routes {
            for action in route.actions {
                switch action {
                case .reconcile(let target), .openshiftBuild(let target, _), .openshiftRelay(let target, _),
                    .s2iRun(let target, _), .kpackRefresh(let target, _, _):
                    targets.insert(target)
                case .dockerHubCallback, .http, .exec, .log: break
                }
            }
            for case .named(let target) in route.selections.map(\.targets) { targets.insert(target) }
        }
        return targets.sorted { "\($0)" < "\($1)" }
    }

    /// nil: it is there.
    private static func trouble(_ client: KubernetesClient, _ target: TargetReference) async -> String? {
        let (group, version) = TargetKinds.groupAndVersion(target)
        do throws(KubernetesError) {
            let resource = try await client.resource(group: group, version: version, kind: target.kind)
            _ = try await client.getMetadata(
                resource, namespace: resource.isNamespaced ? target.namespace : nil, name: target.name)
            return nil
        } catch {
            if error.isObjectMissing { return "does not exist" }
            // Rights are looked at by themselves, and not every action needs to read its target.
            return error.statusCode == 403 ? nil : "\(error)"
        }
    }
}

/// Groups of kinds that receivers may name without one.
enum TargetKinds {
    private static let groups = [
        "Bucket": "source.toolkit.fluxcd.io", "HelmChart": "source.toolkit.fluxcd.io",
        "HelmRepository": "source.toolkit.fluxcd.io", "ArtifactGenerator": "source.extensions.fluxcd.io",
        "Kustomization": "kustomize.toolkit.fluxcd.io", "HelmRelease": "helm.toolkit.fluxcd.io",
    ]

    static func groupAndVersion(_ target: TargetReference) -> (group: String, version: String?) {
        if let apiVersion = target.apiVersion, !apiVersion.isEmpty {
            let parts = apiVersion.split(separator: "/", maxSplits: 1).map(String.init)
            return parts.count == 2 ? (parts[0], parts[1]) : ("", apiVersion)
        }
        if let kind = WatchedKind.all.first(where: { $0.kind == target.kind }) {
            return (kind.group, kind.versions.first)
        }
        return (groups[target.kind] ?? "", nil)
    }
}
