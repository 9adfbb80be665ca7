// SystemSettings: the structured settings of the systems whose webhooks are served, from the settings file only.

import Catalog
import Delivery

struct SystemSettings: Sendable {
    /// Where an issuer's documents come from: a file or URL each.
    struct Issuer: Equatable, Sendable {
        var discovery: String?
        var jwks: String?
    }

    struct Outbound: Equatable, Sendable {
        var proxy: String?
        var caFile: String?
        /// Which hosts `http` actions may call; empty: any that a manifest file of the operator's names.
        var allow = OutboundAllowList()
    }

    /// API servers beside that of --kubernetes.
    var clusters: [ClusterSettings] = []
    /// By issuer URL, or by the fixed key URLs of gcr.
    var oidcIssuers: [String: Issuer] = [:]
    var outbound = Outbound()
    var openShift = OpenShiftSettings()
    var kubeSphere = KubeSphereSettings()
    var buildService = BuildServiceSettings()
    /// Build Service credentials that stand in Secrets of the catalog.
    var buildServiceReferences: [BuildServiceSecretReference] = []
    /// Path prefixes a namespace may claim beyond its own, by namespace.
    var hookPaths: [String: [String]] = [:]
    /// Namespaces whose objects Hooks of other namespaces may act on.
    var allowCrossNamespace: [String] = []
    /// Turns in the round over namespaces, by `namespace` or `cluster/namespace`; 1 where none is given.
    var namespaceWeights: [String: Int] = [:]

    /// Names of the settings that are read here.
    static let names = [
        "clusters", "oidc", "outbound", "openshift", "kubesphere", "buildService", "hookPaths", "allowCrossNamespace",
        "namespaceWeights",
    ]
}
