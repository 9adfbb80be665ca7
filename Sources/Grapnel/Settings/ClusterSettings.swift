// ClusterSettings: the setting `clusters`: the API servers beside the one of --kubernetes, each with a name.
//
//     clusters:
//     - {name: staging, kubeconfig: staging.kubeconfig, context: admin, namespaces: [team-a]}
//
// What an entry leaves out is as the server's own settings say; `ServerSettings.forCluster` gives the settings as if the cluster were the
// only one, so that whatever looks after one cluster looks after each.

import Catalog
import Cluster

/// One entry of `clusters`.
struct ClusterSettings: Equatable, Sendable {
    /// A label as RFC 1123 has it, never `local`: in routes, records, metrics and logs.
    var name: String
    /// nil with `isInCluster`, or where a context of the usual files is meant.
    var kubeconfig: String?
    var context: String?
    var isInCluster = false
    /// Lower-case host names at which its routes are reached; empty: any.
    var hosts: [String] = []
    /// Empty: all.
    var namespaces: [String] = []
    var secretAccess: SecretAccess?
    var secretSelector: String?
    var receiverStatus: ServerSettings.ReceiverStatus?
    var fluxNamespace: String?
    /// Whether routes are read from it; else it is only acted on.
    var isInCatalog = true

    /// The cluster of --kubernetes, and of manifest files.
    static let local = "local"
    static let countMax = 64
    static let hostsMax = 64
    static let namespacesMax = 1_000
}

extension ClusterSettings {
    /// The entries, each read whole or left out with an error.
    static func read(_ root: inout YAMLFields, resolve: (String) -> String) -> [ClusterSettings] {
        let findings = root.findings
        let items = root.list("clusters") ?? []
        if items.count > countMax {
            findings.error(root.line(of: "clusters"), "clusters has more than \(countMax) entries")
            return []
        }
        var known: [String: Int] = [:]
        return items.compactMap { item in
            guard var fields = YAMLFields(item.value, path: item.path, findings: findings) else { return nil }
            let name = fields.text("name", required: true)
            var cluster = ClusterSettings(name: name?.value ?? "")
            cluster.access(&fields, resolve)
            cluster.catalog(&fields)
            fields.finish()
            guard let name, isName(name, findings) else { return nil }
            if let line = known[name.value] {
                findings.error(
                    name.line, "\(name.path) \(quoted(name.value)) is the name of the cluster in line \(line)")
                return nil
            }
            known[name.value] = name.line
            return cluster
        }
    }

    private static func isName(_ name: Placed<String>, _ findings: YAMLFindings) -> Bool {
        if name.value == local {
            findings.error(
                name.line, "\(name.path) \(quoted(local)) is the cluster of --kubernetes; give this one another name")
            return false
        }
        guard KubernetesName.isLabel(name.value) else {
            findings.error(
                name.line,
                "\(name.path) \(quoted(name.value)) must be lower-case letters, digits and -, at most 63, and begin and end with a "
                    + "letter or digit")
            return false
        }
        return true
    }

    private mutating func access(_ fields: inout YAMLFields, _ resolve: (String) -> String) {
        let findings = fields.findings
        let file = filled(fields.text("kubeconfig"), findings)
        kubeconfig = file.map { resolve($0.value) }
        context = filled(fields.text("context"), findings)?.value
        isInCluster = fields.boolean("inCluster") ?? false
        if isInCluster, let wrong = file?.path ?? context.map({ _ in fields.place("context") }) {
            findings.error(fields.line, "\(wrong): \(fields.place("inCluster")) needs none; leave one of them out")
        } else if !isInCluster, kubeconfig == nil, context == nil {
            findings.error(
                fields.line,
                "\(fields.path) says nothing of how to reach the cluster; add kubeconfig, context, or inCluster: true")
        }
    }

    private mutating func catalog(_ fields: inout YAMLFields) {
        let findings = fields.findings
        hosts = Self.bounded(fields.texts("hosts") ?? [], Self.hostsMax, findings).map { host in
            let lower = host.value.lowercased()
            if !KubernetesName.isSubdomain(lower) {
                findings.error(
                    host.line,
                    "\(host.path) \(quoted(host.value)) must be a host name alone, without scheme, port or path")
            }
            return lower
        }
        namespaces = Self.bounded(fields.texts("namespaces") ?? [], Self.namespacesMax, findings).map { namespace in
            if !KubernetesName.isLabel(namespace.value) {
                findings.error(namespace.line, "\(namespace.path) \(quoted(namespace.value)) is no namespace")
            }
            return namespace.value
        }
        secretAccess = Self.choice(fields.text("secretAccess"), findings)
        secretSelector = filled(fields.text("secretSelector"), findings)?.value
        receiverStatus = Self.choice(fields.text("receiverStatus"), findings)
        fluxNamespace = filled(fields.text("fluxNamespace"), findings)?.value
        isInCatalog = fields.boolean("catalog") ?? true
    }

    private func filled(_ text: Placed<String>?, _ findings: YAMLFindings) -> Placed<String>? {
        guard let text else { return nil }
        if text.value.isEmpty { findings.error(text.line, "\(text.path) is empty") }
        return text.value.isEmpty ? nil : text
    }

    private static func bounded(
        _ texts: [Placed<String>], _ countMax: Int, _ findings: YAMLFindings
    ) -> [Placed<String>] {
        guard texts.count > countMax else { return texts }
        findings.error(texts[countMax].line, "\(texts[countMax].path): at most \(countMax) entries")
        return []
    }

    private static func choice<Value: CaseIterable & RawRepresentable>(
        _ text: Placed<String>?, _ findings: YAMLFindings
    ) -> Value? where Value.RawValue == String {
        guard let text else { return nil }
        if let value = Value(rawValue: text.value) { return value }
        let known = Value.allCases.map(\.rawValue)
        findings.error(
            text.line,
            "\(text.path) must be one of \(known.joined(separator: ", ")), found \(quoted(text.value))"
                + NearestName.hint(text.value, among: known))
        return nil
    }
}

extension ServerSettings {
    /// All clusters that are acted on: that of --kubernetes, where there is one, then the entries of `clusters`, in their order. Each with
    /// the settings as if it were the only one.
    var eachCluster: [(name: String, settings: ServerSettings)] {
        var own = self
        own.systems.clusters = []
        return (kubernetes == .off ? [] : [(ClusterSettings.local, own)])
            + systems.clusters.map { ($0.name, forCluster($0)) }
    }

    private func forCluster(_ cluster: ClusterSettings) -> ServerSettings {
        var settings = self
        settings.systems.clusters = []
        settings.kubernetes = cluster.isInCluster ? .inCluster : .kubeconfig
        settings.kubeconfig = cluster.kubeconfig
        settings.kubernetesContext = cluster.context
        settings.watchNamespaces = cluster.namespaces
        settings.secretAccess = cluster.secretAccess ?? secretAccess
        settings.secretSelector = cluster.secretSelector ?? secretSelector
        settings.receiverStatus = cluster.receiverStatus ?? receiverStatus
        settings.fluxNamespace = cluster.fluxNamespace ?? fluxNamespace
        // Manifest files are of the cluster `local`.
        settings.manifests = []
        settings.catalog = cluster.isInCatalog && catalogSource != .manifests ? .cluster : .manifests
        return settings
    }

    /// Clusters that routes are read from, or could be.
    var catalogClusters: [String] { eachCluster.filter { $0.settings.catalogSource != .manifests }.map(\.name) }
}

extension CatalogCluster {
    init(_ cluster: ClusterSettings, of settings: ServerSettings) {
        self.init(
            name: cluster.name, hosts: cluster.hosts, watchNamespaces: cluster.namespaces,
            isRead: cluster.isInCatalog && settings.catalogSource != .manifests)
    }
}
