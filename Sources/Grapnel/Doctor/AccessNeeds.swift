// AccessNeeds: which rights the server needs in its cluster, worked out from its settings and its catalog.
//
// The other half of deploy/kubernetes: what stands there as rules, kind by kind, stands here as questions.

import Catalog
import Cluster
import Delivery
import Kubernetes

/// One right: a verb on a resource, maybe in one namespace, maybe on one object.
struct AccessNeed: Hashable, Sendable {
    var group: String
    /// The plural, with `/subresource` where there is one.
    var resource: String
    var verb: String
    /// nil: in all namespaces, or a resource without them.
    var namespace: String?
    var name: String?
    /// Without it something is worse; with `true`, something does not work.
    var isRequired = true
}

enum AccessNeeds {
    static func of(
        _ settings: ServerSettings, _ view: ClusterView, _ snapshot: CatalogSnapshot, namespace: String
    ) -> [AccessNeed] {
        var needs: Set<AccessNeed> = []
        let scopes: [String?] = settings.watchNamespaces.isEmpty ? [nil] : settings.watchNamespaces
        func need(
            _ group: String, _ resource: String, _ verbs: [String], _ namespaces: [String?], name: String? = nil,
            isRequired: Bool = true
        ) {
            for verb in verbs {
                for namespace in namespaces {
                    needs.insert(
                        AccessNeed(
                            group: group, resource: resource, verb: verb, namespace: namespace, name: name,
                            isRequired: isRequired))
                }
            }
        }
        if settings.catalogSource != .manifests {
            for (kind, resource) in view.served {
                let places = kind.isNamespaced ? scopes : [nil]
                need(kind.group, resource.plural, ["list", "watch"], places)
                guard !settings.observes else { continue }
                if kind.kind == "Receiver", !view.isStatusGiven {
                    need(kind.group, resource.plural, ["patch"], places)
                    need(kind.group, resource.plural + "/status", ["patch"], places)
                }
                if kind.kind == "Hook" { need(kind.group, resource.plural + "/status", ["patch"], places) }
            }
            secrets(settings, view, scopes, need)
            if !settings.observes {
                need("", "events", ["create", "patch"], scopes, isRequired: false)
                need("coordination.k8s.io", "leases", ["get", "update"], [namespace], name: "grapnel")
                need("coordination.k8s.io", "leases", ["create"], [namespace])
            }
            if settings.receiverStatus == .auto {
                need(
                    "coordination.k8s.io", "leases", ["get"], [settings.fluxNamespace],
                    name: "notification-controller-leader-election", isRequired: false)
            }
        }
        if !settings.observes { actions(snapshot, view, scopes, need) }
        return needs.sorted { $0.sortKey < $1.sortKey }
    }

    /// Who instantiates must be allowed the build's strategy; which one it is, the BuildConfig knows.
    private static let strategies = [
        "builds/docker", "builds/jenkinspipeline", "builds/optimizeddocker", "builds/source",
    ]

    private typealias Need = (String, String, [String], [String?], String?, Bool) -> Void

    private static func secrets(
        _ settings: ServerSettings, _ view: ClusterView, _ scopes: [String?], _ need: Need
    ) {
        let named = (view.objects?.secretReferences ?? []).union(
            settings.systems.buildServiceReferences.map { SecretName(namespace: $0.namespace, name: $0.name) }
        ).sorted().prefix(ClusterChecks.secretsMax)
        switch settings.secretAccess {
        case .byName:
            for secret in named {
                need("", "secrets", ["get", "list", "watch"], [secret.namespace], secret.name, true)
            }
        case .labelled:
            need("", "secrets", ["list", "watch"], scopes, nil, true)
            for secret in named { need("", "secrets", ["get"], [secret.namespace], secret.name, true) }
        case .all: need("", "secrets", ["get", "list", "watch"], scopes, nil, true)
        }
    }

    /// What the catalog's actions write, and what choosing them reads.
    private static func actions(
        _ snapshot: CatalogSnapshot, _ view: ClusterView, _ scopes: [String?], _ need: Need
    ) {
        let builds = "build.openshift.io"
        func build(_ places: [String?]) {
            need(builds, "buildconfigs/instantiate", ["create"], places, nil, true)
            need(builds, "builds", ["list"], places, nil, false)
            for strategy in strategies { need(builds, strategy, ["create"], places, nil, false) }
        }
        func run(_ places: [String?]) {
            need("devops.kubesphere.io", "s2iruns", ["create"], places, nil, true)
            need("devops.kubesphere.io", "s2iruns", ["list"], places, nil, false)
        }
        func act(_ act: Selection.Act, _ target: TargetReference, _ places: [String?]) {
            switch act {
            case .reconcile, .kpackRefresh:
                let (group, _) = TargetKinds.groupAndVersion(target)
                let plural = view.served.first { $0.key.group == group && $0.key.kind == target.kind }?.value.plural
                need(group, plural ?? Self.plural(target.kind), ["patch"], places, nil, true)
            case .openshiftBuild: build(places)
            case .s2iRun: run(places)
            }
        }
        for route in snapshot.routes {
            for action in route.actions {
                switch action {
                case .reconcile(let target): act(.reconcile, target, place(target))
                case .kpackRefresh(let target, _, _): act(.kpackRefresh, target, place(target))
                case .openshiftBuild(let target, _): act(.openshiftBuild, target, place(target))
                case .openshiftRelay(let target, _):
                    need(builds, "buildconfigs/webhooks", ["create"], place(target), nil, true)
                case .s2iRun(let target, _): act(.s2iRun, target, place(target))
                case .dockerHubCallback, .http, .exec, .log: break
                }
            }
            for selection in route.selections { selected(selection, scopes, need, act) }
            switch route.identity.kind {
            // Their rules start the build, or hand it over, as the annotation of the object says.
            case .buildConfig:
                build([route.identity.namespace])
                need(builds, "buildconfigs/webhooks", ["create"], [route.identity.namespace], nil, false)
            case .s2iBuilder:
                run([route.identity.namespace])
            default: break
            }
        }
        // Whatever refreshes images by name acts on kpack's objects.
        for (kind, resource) in view.served where kind.group == "kpack.io" || kind.group == "build.pivotal.io" {
            let isServed = snapshot.counts.kpack > 0
            if isServed { need(kind.group, resource.plural, ["patch"], kind.isNamespaced ? scopes : [nil], nil, true) }
        }
    }

    private static func selected(
        _ selection: Selection, _ scopes: [String?], _ need: Need,
        _ act: (Selection.Act, TargetReference, [String?]) -> Void
    ) {
        switch selection.targets {
        case .named(let target):
            act(selection.act, target, place(target))
            if selection.filter != nil {
                need(TargetKinds.groupAndVersion(target).group, plural(target.kind), ["get"], place(target), nil, true)
            }
        case .labelled(let target, _):
            act(selection.act, target, place(target))
            let verbs = selection.filter == nil ? ["list"] : ["get", "list"]
            need(TargetKinds.groupAndVersion(target).group, plural(target.kind), verbs, place(target), nil, true)
        case .ofRepository(_, let kinds, let namespaces):
            for kind in kinds {
                let target = TargetReference(apiVersion: nil, kind: kind, namespace: "", name: "")
                act(selection.act, target, namespaces.isEmpty ? scopes : namespaces)
            }
        case .ofImage: break
        }
    }

    private static func place(_ target: TargetReference) -> [String?] {
        [target.namespace.isEmpty ? nil : target.namespace]
    }

    /// As Kubernetes' own generators make it; discovery knows better where the kind is watched.
    static func plural(_ kind: String) -> String {
        let name = kind.lowercased()
        if name.hasSuffix("y"), !["a", "e", "i", "o", "u"].contains(String(name.dropLast().suffix(1))) {
            return name.dropLast() + "ies"
        }
        return ["s", "x", "ch", "sh"].contains { name.hasSuffix($0) } ? name + "es" : name + "s"
    }
}

extension AccessNeed {
    var sortKey: String { [group, resource, namespace ?? "", name ?? "", verb].joined(separator: "\u{0}") }
}
