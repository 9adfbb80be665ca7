// Fields of a Hook that mean nothing to its type, secrets that prove nothing, and hosts that may not be called.

import Delivery
import Testing

@testable import Catalog

private func compile(_ text: String, _ change: (inout CatalogOptions) -> Void = { _ in }) throws -> CatalogSnapshot {
    let directory = try TemporaryDirectory()
    try directory.write("m.yaml", text)
    var options = CatalogOptions(directories: [directory.path])
    change(&options)
    return ManifestCatalog(options: options).load()
}

private func hook(_ type: String, secrets: Bool = true, actions: String = "[{log: {}}]", _ more: String = "") -> String
{
    var text = "apiVersion: grapnel.dev/v1alpha1\nkind: Hook\nmetadata: {name: h}\nspec:\n  type: \(type)\n"
    if secrets { text += "  secretRefs: [{name: s}]\n" }
    text += "  actions: \(actions)\n"
    return text + more.split(separator: "\n").map { "  \($0)\n" }.joined() + "---\n"
}

extension CatalogSnapshot {
    fileprivate var errors: [String] { problems.filter { $0.severity == .error }.map(\.message) }
    fileprivate var warnings: [String] { problems.filter { $0.severity == .warning }.map(\.message) }
    fileprivate var reason: String? {
        switch routes.first?.readiness {
        case .notReady(let reason)?, .secretUnusable(let reason)?: reason
        default: nil
        }
    }
}

@Suite("Hook: fields of its type")
struct HookFieldTests {
    @Test(
        "events for a type that names none make the Hook not ready, and filter is offered instead",
        arguments: ["generic-hmac", "hmac", "token", "basic", "none", "generic-oidc"])
    func eventsUnnamed(type: String) throws {
        let more =
            type == "generic-oidc"
            ? "oidcProviders: [{issuerURL: 'https://i', validations: [{expression: 'true', message: m}]}]\n" : ""
        let isOpen = type == "none" || type == "generic-oidc"
        let snapshot = try compile(
            Sample.secret("s") + hook(type, secrets: !isOpen, more + "events: [push]"))
        #expect(snapshot.reason?.contains("type \(type) name no event") == true, "\(snapshot.problems)")
        #expect(snapshot.reason?.contains("spec.filter") == true && snapshot.errors.count == 1)
        #expect(snapshot.routes.first?.actions == [])
        let empty = try compile(Sample.secret("s") + hook(type, secrets: !isOpen, more + "events: []"))
        #expect(empty.routes.first?.readiness == .ready)
    }

    @Test("a type with one event takes that one and no list without it", arguments: ["dockerhub", "quay"])
    func eventsFixed(type: String) throws {
        let wrong = try compile(Sample.secret("s") + hook(type, "events: [pushed, delete]"))
        #expect(wrong.reason?.contains("are always \"push\"") == true)
        let right = try compile(Sample.secret("s") + hook(type, "events: [Push]"))
        #expect(right.routes.first?.readiness == .ready && right.errors == [])
    }

    @Test(
        "a Flux Receiver keeps its list, whatever its type",
        arguments: ["generic", "generic-hmac", "dockerhub", "harbor"])
    func eventsOfReceivers(type: String) throws {
        let snapshot = try compile(Sample.secret("s") + Sample.receiver("r", type: type, more: "events: [any]"))
        #expect(snapshot.routes.first?.readiness == .ready && snapshot.errors == [])
    }

    @Test(
        "a field of another type is an error that names field, type and the types it is for",
        arguments: [
            ("github", "tolerance: 1m", ["spec.tolerance", "standard-webhooks only", "not for type github"]),
            ("token", "tolerance: 1m", ["spec.tolerance", "not for type token"]),
            (
                "github", "oidcProviders: [{issuerURL: 'https://i', validations: [{expression: a, message: b}]}]",
                ["spec.oidcProviders", "generic-oidc only", "not for type github"]
            ),
            ("github", "hmac: {header: X-A}", ["spec.hmac", "type hmac only", "not for type github"]),
            (
                "gitlab", "credential: {type: bearer}",
                ["spec.credential", "type gitlab", "It is for", "token", "jfrog"]
            ),
            ("token", "credential: {type: bearer, name: X-A}", ["credential.name", "header and query only"]),
            ("token", "credential: {type: query, name: k, username: u}", ["credential.username", "basic only"]),
            ("none", "", ["spec.secretRefs", "type none", "type token"]),
            (
                "generic-oidc", "oidcProviders: [{issuerURL: 'https://i', validations: [{expression: a, message: b}]}]",
                ["spec.secretRefs", "type generic-oidc", "remove it"]
            ),
        ])
    func strange(type: String, more: String, expected: [String]) throws {
        let snapshot = try compile(Sample.secret("s") + hook(type, more))
        #expect(snapshot.errors.count == 1 && snapshot.routes.isEmpty, "\(snapshot.problems)")
        for part in expected { #expect(snapshot.errors.first?.contains(part) == true, "\(snapshot.errors)") }
    }

    @Test("what the type does use stays right")
    func own() throws {
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        let snapshot = try compile(Sample.secret("s", key) + hook("standard-webhooks", "tolerance: 1m"))
        #expect(snapshot.errors == [] && snapshot.routes.first?.readiness == .ready)
    }

    @Test("a window for deliveries that have no id is warned of; where they have one it is not")
    func window() throws {
        let vain = try compile(Sample.secret("s") + hook("token", "dedupeWindow: 5m"))
        #expect(vain.warnings.count == 1 && vain.warnings[0].contains("type token have no id"))
        for type in ["github", "gitlab", "gitea", "bitbucket", "cdevents", "docker-registry", "azure-devops"] {
            #expect(try compile(Sample.secret("s") + hook(type, "dedupeWindow: 5m")).warnings == [], "\(type)")
        }
        #expect(try compile(Sample.secret("s") + hook("token", "dedupeWindow: 0s")).warnings == [])
    }

    @Test("an empty list of kinds is an error; none means all")
    func kinds() throws {
        let empty = try compile(
            Sample.secret("s") + hook("github", actions: "[{reconcile: {matchRepository: true, kinds: []}}]"))
        #expect(empty.errors.count == 1 && empty.errors[0].contains("spec.actions[0].reconcile.kinds is empty"))
        #expect(empty.routes.isEmpty)
        let absent = try compile(Sample.secret("s") + hook("github", actions: "[{reconcile: {matchRepository: true}}]"))
        #expect(absent.errors == [] && absent.routes.first?.selections.count == 1)
    }

    @Test("kinds of resources are counted by their names")
    func counts() throws {
        let snapshot = try compile(
            Sample.secret("s") + hook("github") + """
                apiVersion: build.openshift.io/v1
                kind: BuildConfig
                metadata: {name: b}
                spec: {triggers: [{type: Generic, generic: {secret: inl1ne-inl1ne}}]}
                ---
                apiVersion: devops.kubesphere.io/v1alpha1
                kind: S2iBuilder
                metadata: {name: b}
                spec: {config: {secretCode: inl1ne-inl1ne}}
                ---
                apiVersion: kpack.io/v1alpha2
                kind: ClusterLifecycle
                metadata: {name: l}
                spec: {image: r.example/l}
                """)
        let counts = snapshot.counts
        #expect((counts.receivers, counts.hooks, counts.secrets) == (0, 1, 1))
        #expect((counts.buildConfigs, counts.s2iBuilders, counts.kpack) == (1, 1, 1))
    }
}

@Suite("Hook: keys of Standard Webhooks")
struct HookKeyTests {
    @Test(
        "a secret that is no key makes the Hook not ready, with the remedy and without the value",
        arguments: [
            ("hunter2-hunter2-hunter2", "openssl rand -base64 32"), ("whsec_hunter2", "whsec_"),
            ("whsec_aHVudGVyMg==", "24 to 64 bytes"),
            ("whsk_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMiEhISE=", "private key"),
            ("whpk_aHVudGVyMg==", "32 bytes"), ("aHVudGVyMg==", "24 to 64 bytes"),
        ])
    func noKey(secret: String, remedy: String) throws {
        let snapshot = try compile(Sample.secret("s", secret) + hook("standard-webhooks"))
        #expect(snapshot.reason?.contains(remedy) == true, "\(snapshot.problems)")
        #expect(snapshot.reason?.contains("\"token\" of Secret/default/s") == true)
        #expect(snapshot.errors.count == 1 && snapshot.routes.first?.secrets.isEmpty == true)
        #expect(!"\(snapshot)".contains("hunter2") && !"\(snapshot)".contains("aHVudGVy"))
    }

    @Test(
        "keys in every accepted spelling are ready",
        arguments: [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whpk_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMiEhISE=",
        ])
    func key(secret: String) throws {
        let snapshot = try compile(Sample.secret("s", secret) + hook("standard-webhooks"))
        #expect(snapshot.routes.first?.readiness == .ready && snapshot.errors == [], "\(snapshot.problems)")
    }

    @Test("beside one that works, one that does not is a warning")
    func rotation() throws {
        let two = hook("standard-webhooks").replacing("[{name: s}]", with: "[{name: s}, {name: t}]")
        let snapshot = try compile(
            Sample.secret("s", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") + Sample.secret("t", "not a key at all") + two)
        #expect(snapshot.routes.first?.readiness == .ready && snapshot.errors == [])
        #expect(snapshot.warnings.contains { $0.contains("Secret/default/t") && $0.contains("no key") })
    }

    @Test("a signing secret that cannot sign makes the Hook not ready")
    func signing() throws {
        let actions = "[{http: {url: 'http://h/', signingSecretRef: {name: out}}}]"
        let snapshot = try compile(
            Sample.secret("s") + Sample.secret("out", "whsec_hunter2!") + hook("github", actions: actions))
        #expect(snapshot.reason?.contains("has no base64 behind whsec_") == true)
        #expect(!"\(snapshot)".contains("hunter2"))
    }
}

@Suite("Hook: hosts that may be called")
struct HookHostTests {
    private func reason(_ url: String, _ allow: [String], isOfTenant: Bool = false) throws -> String? {
        let directory = try TemporaryDirectory()
        try directory.write("m.yaml", Sample.secret("s") + hook("github", actions: "[{http: {url: '\(url)'}}]"))
        var options = CatalogOptions(directories: [directory.path])
        options.outboundAllow = OutboundAllowList.read(allow).list
        var contribution = ManifestCatalog(options: options).read()
        if isOfTenant {
            contribution.resources = contribution.resources.map {
                PlacedResource(resource: $0.resource, file: $0.file, isOfTenant: true)
            }
        }
        return CatalogSnapshot.compile([contribution], options: options).reason
    }

    @Test("without a list the operator's own manifests call whom they like; with one, whom it lists")
    func listed() throws {
        #expect(try reason("http://127.0.0.1:9000/x", []) == nil)
        #expect(try reason("http://ci.example.org/x", ["*.example.org"]) == nil)
        #expect(try reason("http://10.1.2.3/x", ["10.0.0.0/8"]) == nil)
        let refused = try reason("http://evil.example/secret-path", ["ci.example.org"])
        #expect(refused?.contains("outbound.allow does not list evil.example") == true)
        #expect(refused?.contains("secret-path") == false)
        #expect(try reason("http://127.0.0.1/x", ["ci.example.org"]) != nil)
        // Only its addresses can tell.
        #expect(try reason("http://build.internal/x", ["10.0.0.0/8"]) == nil)
    }

    @Test("a tenant's Hook calls nobody without a list, and never this machine, its link or a metadata service")
    func tenants() throws {
        #expect(try reason("http://ci.example.org/", [], isOfTenant: true)?.contains("lists none") == true)
        #expect(try reason("http://ci.example.org/", ["ci.example.org"], isOfTenant: true) == nil)
        for host in [
            "127.0.0.1", "[::1]", "169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "0.0.0.0", "[::ffff:127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
        ] {
            #expect(try reason("http://\(host)/", ["0.0.0.0/0", "::/0"], isOfTenant: true) != nil, "\(host)")
        }
    }
}
