// SystemSettings: the structured settings of the systems whose webhooks are served, from the settings file only.
//
// Those of systems that this version does not serve yet are checked and kept, so that one file works for every version.

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
        var allow: [String] = []
    }

    struct Kubesphere: Equatable, Sendable {
        var requireSecret = false
        var githubUnauthenticated = false
        var ignorePing = true
        var branchFilter = false
        var overrides = false
    }

    /// How a Build Service endpoint is authenticated. Secrets are never printed.
    enum Authentication: Equatable, Sendable {
        case bearer(token: SecretBytes)
        case basic(username: String, password: SecretBytes)
        case header(name: String, value: SecretBytes)
        case urlToken(token: SecretBytes)
        case jfrogSignature(secret: SecretBytes)
        case jfrogToken(secret: SecretBytes)
    }

    struct BuildService: Equatable, Sendable {
        struct Repository: Equatable, Sendable {
            var repoKey: String
            var prefixes: [String]
        }

        /// By endpoint: notification, artifactory, dockerHub.
        var authentication: [String: Authentication] = [:]
        var hostAliases: [String: String] = [:]
        var forceBuild = false
        var coalesceSeconds = 1
        var artifactoryRepositories: [Repository] = []
        var dockerHubCallback = false
    }

    enum OpenShiftProfile: String, Sendable, CaseIterable { case upstream, grapnel }

    /// By issuer URL, or by the fixed key URLs of gcr.
    var oidcIssuers: [String: Issuer] = [:]
    var outbound = Outbound()
    var openShiftProfile = OpenShiftProfile.upstream
    var kubesphere = Kubesphere()
    var buildService = BuildService()
    /// Path prefixes a namespace may claim beyond its own, by namespace.
    var hookPaths: [String: [String]] = [:]
    /// Namespaces whose objects Hooks of other namespaces may act on.
    var allowCrossNamespace: [String] = []

    /// Names of the settings that are read here.
    static let names = [
        "oidc", "outbound", "openshift", "kubesphere", "buildService", "hookPaths", "allowCrossNamespace",
    ]
}
