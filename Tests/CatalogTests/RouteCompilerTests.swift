import Delivery
import Foundation
import Testing

@testable import Catalog

/// Compiles a text as the only file, `m.yaml`.
private func compile(_ text: String, _ change: (inout CatalogOptions) -> Void = { _ in }) throws -> CatalogSnapshot {
    let directory = try TemporaryDirectory()
    try directory.write("m.yaml", text)
    var options = CatalogOptions(directories: [directory.path])
    change(&options)
    return ManifestCatalog(options: options).load()
}

extension CatalogSnapshot {
    fileprivate var errors: [String] { problems.filter { $0.severity == .error }.map { "\($0.line): \($0.message)" } }
    fileprivate var warnings: [String] {
        problems.filter { $0.severity == .warning }.map { "\($0.line): \($0.message)" }
    }
}

@Suite struct ReceiverRouteTests {
    @Test("without a Secret, or its key, a Receiver has no route, and the catalog stays ready")
    func noSecret() throws {
        for secret in ["", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {tokn: x}\n---\n"] {
            let snapshot = try compile(secret + Sample.receiver("r"))
            #expect(snapshot.routes.isEmpty && !snapshot.hasProblems && snapshot.hasErrors)
            #expect(snapshot.unserved.map(\.identity.name) == ["r"])
            #expect(snapshot.errors.count == 1 && snapshot.errors[0].contains("without it the path cannot be computed"))
        }
    }

    @Test("an empty token makes a path, and a route that answers no delivery")
    func emptyToken() throws {
        let snapshot = try compile(
            Sample.secret("s", "")
                + Sample.receiver("webapp", namespace: "flux-system").replacing("flux-system", with: "default"))
        let route = try #require(snapshot.routes.first)
        #expect(route.path == WebhookPath.flux(token: [], name: "webapp", namespace: "default"))
        #expect(route.readiness == .secretUnusable(reason: "the token in Secret/default/s is empty"))
        #expect(route.secrets.isEmpty)
    }

    @Test(
        "a filter that does not compile makes a Receiver not ready, never open",
        arguments: [
            ("resourceFilter: 'req.ref =='", "invalid resourceFilter expression"),
            ("resourceFilter: req.flag", "invalid resourceFilter expression"),
            ("resourceFilter: nothing == 1", "invalid resourceFilter expression"),
        ])
    func badFilter(more: String, reason: String) throws {
        let snapshot = try compile(Sample.secret("s") + Sample.receiver("r", more: more))
        guard case .notReady(let text)? = snapshot.routes.first?.readiness else {
            Issue.record("the route is \(String(describing: snapshot.routes.first?.readiness))")
            return
        }
        #expect(text.contains(reason))
        #expect(snapshot.errors.count == 1 && snapshot.errors[0].contains("Receiver/default/r: not ready: \(reason)"))
        #expect(!snapshot.hasProblems)
    }

    @Test("filters and the name * become selections; what needs none stays an action")
    func selections() throws {
        let text = Sample.receiver("r", more: "resourceFilter: 'req.a == 1'").replacing(
            "resources: [{kind: GitRepository, name: webapp}]",
            with: """
                resources:
                  - {kind: GitRepository, name: plain}
                  - {kind: GitRepository, name: own, filter: "res.metadata.name == 'own'"}
                  - {kind: GitRepository, name: '*', matchLabels: {a: b}}
                  - {kind: GitRepository, name: '*'}
                """)
        let snapshot = try compile(Sample.secret("s") + text)
        let route = try #require(snapshot.routes.first)
        #expect(route.readiness == .ready && route.filter?.source == "req.a == 1" && route.isPlannedPerDelivery)
        #expect(route.actions.count == 1)
        func target(_ name: String) -> TargetReference {
            TargetReference(apiVersion: nil, kind: "GitRepository", namespace: "default", name: name)
        }
        try #require(route.selections.count == 2)
        #expect(route.selections[0].targets == .named(target("own")))
        #expect(route.selections[0].filter?.source == "res.metadata.name == 'own'")
        #expect(route.selections[1].targets == .labelled(target(""), labels: ["a": "b"]))
        #expect(snapshot.errors.count == 1 && snapshot.errors[0].contains("needs matchLabels"))
    }

    @Test("an empty filter is none")
    func emptyFilter() throws {
        let snapshot = try compile(Sample.secret("s") + Sample.receiver("r", more: "resourceFilter: ''"))
        #expect(snapshot.routes.first?.readiness == .ready && snapshot.routes.first?.filter == nil)
        #expect(snapshot.routes.first?.isPlannedPerDelivery == false)
    }

    @Test(
        "every type of Flux becomes a route; those that the loop does not prove have rules",
        arguments: ["bitbucket", "harbor", "dockerhub", "quay", "gcr", "nexus", "acr", "cdevents"])
    func types(type: String) throws {
        let snapshot = try compile(Sample.secret("s") + Sample.receiver("r", type: type))
        let route = try #require(snapshot.routes.first)
        #expect(route.sender.name == type && route.rules != nil && route.readiness == .ready)
        // gcr without email and audience is reported and refuses every token.
        #expect(snapshot.errors.count == (type == "gcr" ? 2 : 0))
    }

    @Test("a Receiver becomes a route with its sender, events, secret, limit and targets")
    func route() throws {
        let snapshot = try compile(
            Sample.secret("s", "token-of-16-byte")
                + Sample.receiver("r", type: "gitlab", more: "events: [Push Hook]").replacing(
                    "resources: [{kind: GitRepository, name: webapp}]",
                    with: """
                        resources:
                          - {kind: GitRepository, name: a}
                          - {kind: GitRepository, name: a}
                          - {apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, name: b, namespace: other}
                        """))
        let route = try #require(snapshot.routes.first)
        #expect(route.identity.description == "Receiver/default/r")
        #expect(route.sender == .gitlab && route.events == ["Push Hook"] && route.bodyBytesMax == 3_145_728)
        #expect(route.secrets == [SecretBytes(Array("token-of-16-byte".utf8))])
        #expect(route.path == WebhookPath.flux(token: Array("token-of-16-byte".utf8), name: "r", namespace: "default"))
        #expect(route.readiness == .ready && route.host == nil)
        #expect(route.source.hasSuffix("m.yaml:6"))
        #expect(
            route.actions == [
                .reconcile(TargetReference(apiVersion: nil, kind: "GitRepository", namespace: "default", name: "a")),
                .reconcile(
                    TargetReference(
                        apiVersion: "helm.toolkit.fluxcd.io/v2", kind: "HelmRelease", namespace: "other", name: "b")),
            ])
        #expect(snapshot.problems.isEmpty)
        #expect(snapshot.secretPlaces[route.identity] == ["key \"token\" of Secret/default/s"])
    }

    @Test("type generic needs its Secret for the path and keeps none to compare")
    func generic() throws {
        let route = try #require(try compile(Sample.secret("s") + Sample.receiver("r", type: "generic")).routes.first)
        #expect(route.sender == .generic && route.secrets.isEmpty && route.readiness == .ready)
    }

    @Test("suspend wins over every other reason")
    func suspended() throws {
        let text = Sample.secret("s", "") + Sample.receiver("r", more: "suspend: true\nresourceFilter: 'x'")
        #expect(try compile(text).routes.first?.readiness == .suspended)
    }

    @Test("targets of other namespaces are left out when that is forbidden, and unknown kinds need an apiVersion")
    func crossNamespace() throws {
        let text = Sample.receiver("r").replacing(
            "[{kind: GitRepository, name: webapp}]",
            with:
                "[{kind: GitRepository, name: a, namespace: other}, {kind: GitRepository, name: b, namespace: default}, {kind: Kustomization, name: c}]"
        )
        let snapshot = try compile(Sample.secret("s") + text) { $0.noCrossNamespaceRefs = true }
        #expect(
            snapshot.routes.first?.actions == [
                .reconcile(TargetReference(apiVersion: nil, kind: "GitRepository", namespace: "default", name: "b"))
            ])
        #expect(snapshot.routes.first?.readiness == .ready && !snapshot.hasProblems)
        #expect(snapshot.errors.count == 2)
        #expect(snapshot.errors[0].contains("GitRepository/other/a is left out: --no-cross-namespace-refs"))
        #expect(
            snapshot.errors[1].contains("Kustomization/default/c is left out: this kind needs an explicit apiVersion"))
        #expect(try compile(Sample.secret("s") + text).routes.first?.actions.count == 2)
    }

    @Test(
        "with the status given, path and readiness are read from it",
        arguments: [
            ("status: {webhookPath: /hook/abc, conditions: [{type: Ready, status: 'True'}]}", RouteReadiness.ready),
            ("status: {url: /hook/abc, conditions: [{type: Ready, status: True}]}", .ready),
            ("status: {webhookPath: /hook/abc}", .notReady(reason: "its condition Ready is missing")),
            (
                "status: {webhookPath: /hook/abc, conditions: [{type: Ready, status: Unknown}]}",
                .notReady(reason: "its condition Ready is Unknown")
            ),
            (
                "status: {webhookPath: /hook/abc, conditions: [{type: Ready, status: 'True'}, {type: Stalled, status: 'True'}]}",
                .notReady(reason: "its condition Stalled is True")
            ),
            (
                "status: {webhookPath: /hook/abc, conditions: [{type: Reconciling, status: 'True'}, {type: Ready, status: 'True'}]}",
                .notReady(reason: "its condition Reconciling is True")
            ),
        ])
    func given(status: String, readiness: RouteReadiness) throws {
        let text = Sample.secret("s") + Sample.receiver("r").replacing("spec:", with: status + "\nspec:")
        let route = try #require(try compile(text) { $0.receiverStatus = .given }.routes.first)
        #expect(route.path == "/hook/abc" && route.readiness == readiness)
    }

    @Test(
        "with the status given, no path means no route, and no Secret a route that proves nothing",
        arguments: ["status: {}", "status: {webhookPath: x}", "status: 1", ""])
    func givenWithoutPath(status: String) throws {
        let text = Sample.receiver("r").replacing("spec:", with: status + "\nspec:")
        let without = try compile(text) { $0.receiverStatus = .given }
        #expect(without.routes.isEmpty && !without.hasProblems)
        let path = "status: {webhookPath: /hook/abc, conditions: [{type: Ready, status: 'True'}]}"
        let with = try compile(Sample.receiver("r", type: "generic").replacing("spec:", with: path + "\nspec:")) {
            $0.receiverStatus = .given
        }
        guard case .secretUnusable? = with.routes.first?.readiness else { return #expect(Bool(false)) }
    }

    /// Each file holds what the original controller made of the Receiver.
    @Test("real Receivers get the path that their own controller computed")
    func fixtures() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/manifests").path
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".yaml") }
        #expect(names.count >= 20)
        for name in names {
            let own = ManifestCatalog(options: CatalogOptions(directories: [folder + "/" + name])).load()
            var options = CatalogOptions(directories: [folder + "/" + name])
            options.receiverStatus = .given
            let given = ManifestCatalog(options: options).load()
            #expect(!own.hasProblems && !given.hasProblems, "\(name): \(own.problems)")
            #expect(own.counts.receivers == 1)
            #expect(own.routes.map(\.path) == given.routes.map(\.path), "\(name)")
        }
    }
}

@Suite struct HookRouteTests {
    @Test(
        "a Hook without a usable secret is never open",
        arguments: [
            "", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {token: ''}\n---\n",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {other: x}\n---\n",
        ])
    func noSecret(secret: String) throws {
        let snapshot = try compile(secret + Sample.hook("h"))
        guard case .secretUnusable? = snapshot.routes.first?.readiness else { return #expect(Bool(false)) }
        #expect(snapshot.routes.first?.secrets.isEmpty == true && snapshot.errors.count == 1 && !snapshot.hasProblems)
    }

    @Test("while one of several secrets works, a missing one is a warning")
    func rotation() throws {
        let text = Sample.hook("h").replacing("[{name: s}]", with: "[{name: old}, {name: s}, {name: s}]")
        let snapshot = try compile(Sample.secret("s") + text)
        #expect(snapshot.routes.first?.readiness == .ready && snapshot.routes.first?.secrets.count == 1)
        #expect(snapshot.errors.isEmpty && snapshot.warnings.count == 1)
        #expect(snapshot.warnings[0].contains("Secret/default/old does not exist"))
    }

    @Test(
        "well-known, short and line-broken secrets are warned about, once, without their value",
        arguments: ["changeme", "passW0rd", "abc", "password\n", "long-enough-token\n"])
    func doubtful(token: String) throws {
        let text = Sample.secret("s", token.replacing("\n", with: "\\n")) + Sample.hook("h") + Sample.hook("i")
        let snapshot = try compile(text)
        #expect(snapshot.warnings.count == 1 && snapshot.routes.map(\.readiness) == [.ready, .ready])
        #expect(!snapshot.warnings.joined().contains(token.trimmingCharacters(in: .newlines)))
    }

    @Test("exec needs --allow-exec: without it the Hook acts on nothing")
    func exec() throws {
        let text =
            Sample.secret("s")
            + Sample.hook("h").replacing("[{log: {}}]", with: "[{log: {}}, {exec: {command: [./x]}}]")
        let refused = try compile(text)
        guard case .notReady(let reason)? = refused.routes.first?.readiness else { return #expect(Bool(false)) }
        #expect(reason.contains("--allow-exec") && refused.routes.first?.actions == [])
        let allowed = try compile(text) { $0.allowExec = true }
        #expect(allowed.routes.first?.readiness == .ready)
        #expect(allowed.routes.first?.actions == [.log, .exec(command: ["./x"], timeoutNanoseconds: 60_000_000_000)])
    }

    @Test(
        "actions on objects that are chosen for each delivery become selections",
        arguments: [
            (
                "[{openshiftBuild: {name: x}}]",
                Selection(
                    .openshiftBuild,
                    .named(
                        TargetReference(
                            apiVersion: "build.openshift.io/v1", kind: "BuildConfig", namespace: "default", name: "x")),
                    place: "openshift-build")
            ),
            (
                "[{s2iRun: {builderName: x}}]",
                Selection(
                    .s2iRun,
                    .named(
                        TargetReference(
                            apiVersion: "devops.kubesphere.io/v1alpha1", kind: "S2iBuilder", namespace: "default",
                            name: "x")), place: "s2i-run")
            ),
            ("[{kpackRefresh: {}}]", Selection(.kpackRefresh, .ofImage(cluster: "local"))),
            (
                "[{reconcile: {matchRepository: true, kinds: [GitRepository]}}]",
                Selection(
                    .reconcile, .ofRepository(cluster: "local", kinds: ["GitRepository"], namespaces: ["default"]),
                    place: "matchRepository")
            ),
            (
                "[{openshiftBuild: {matchRepository: true, namespaces: ['*']}}]",
                Selection(
                    .openshiftBuild, .ofRepository(cluster: "local", kinds: ["BuildConfig"], namespaces: []),
                    place: "matchRepository")
            ),
        ])
    func chosen(actions: String, selection: Selection) throws {
        let snapshot = try compile(Sample.secret("s") + Sample.hook("h").replacing("[{log: {}}]", with: actions))
        #expect(snapshot.errors == [] && snapshot.routes.first?.selections == [selection])
        #expect(snapshot.routes.first?.actions == [])
    }

    @Test(
        "every sender type becomes a route with rules",
        arguments: ["gitea", "forgejo", "standard-webhooks", "token", "docker-registry", "basic", "jfrog", "quay"])
    func types(type: String) throws {
        let snapshot = try compile(
            Sample.secret("s", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
                + Sample.hook("h").replacing("type: github", with: "type: \(type)"))
        #expect(snapshot.errors == [] && snapshot.routes.first?.rules != nil)
        #expect(snapshot.routes.first?.sender.name == (type == "forgejo" ? "gitea" : type))
    }

    @Test("type generic proves nothing, so no Hook may have it; type none says that it is meant")
    func open() throws {
        let generic = try compile(
            Sample.secret("s") + Sample.hook("h").replacing("type: github", with: "type: generic"))
        #expect(generic.routes.isEmpty && generic.errors.first?.contains("type none") == true)
        let none = try compile(
            Sample.hook("h").replacing("type: github", with: "type: none").replacing(
                "  secretRefs: [{name: s}]\n", with: ""))
        #expect(none.routes.first?.sender == .unverified && none.routes.first?.readiness == .ready)
    }

    @Test("a credential that the type does not know makes it not ready")
    func credential() throws {
        let snapshot = try compile(
            Sample.secret("s")
                + Sample.hook("h", more: "credential: {type: query, name: key}").replacing(
                    "type: github", with: "type: token"))
        #expect(snapshot.routes.first?.readiness == .ready)
        let wrong = try compile(
            Sample.secret("s")
                + Sample.hook("h", more: "credential: {type: id-token}").replacing("type: github", with: "type: token"))
        #expect(wrong.routes.isEmpty && wrong.errors.first?.contains("spec.credential.type must be") == true)
    }

    @Test("a filter that does not compile, or a signing secret that is missing, makes it not ready")
    func notReady() throws {
        let filter = try compile(Sample.secret("s") + Sample.hook("h", more: "filter: 'req.x ='"))
        guard case .notReady? = filter.routes.first?.readiness else { return #expect(Bool(false)) }
        #expect(filter.routes.first?.actions == [])
        let action = "[{http: {url: 'http://127.0.0.1/', signingSecretRef: {name: nope}}}]"
        let unsigned = try compile(Sample.secret("s") + Sample.hook("h").replacing("[{log: {}}]", with: action))
        guard case .notReady(let reason)? = unsigned.routes.first?.readiness else { return #expect(Bool(false)) }
        #expect(reason.contains("Secret/default/nope does not exist") && unsigned.routes.first?.actions == [])
    }

    @Test("a limit above the server's is lowered with a warning")
    func maxBody() throws {
        let snapshot = try compile(Sample.secret("s") + Sample.hook("h", more: "maxBody: 64MiB")) {
            $0.bodyBytesMax = 1 << 20
        }
        #expect(snapshot.routes.first?.bodyBytesMax == 1 << 20 && snapshot.warnings.count == 1)
    }
}

@Suite struct PathClaimTests {
    @Test("the first in the files keeps a path, and the other is told who and where")
    func firstWins() throws {
        let snapshot = try compile(
            Sample.secret("s") + Sample.hook("b", more: "path: /x") + Sample.hook("a", more: "path: /x"))
        #expect(snapshot.routes.map(\.identity.name) == ["b"])
        #expect(snapshot.unserved.map(\.identity.name) == ["a"])
        #expect(
            snapshot.errors.count == 1
                && snapshot.errors[0].hasPrefix(
                    "16: Hook/default/a: the path /x is already claimed by Hook/default/b at ")
        )
        #expect(snapshot.errors[0].contains("m.yaml:6; give one of them another spec.path"))
        #expect(!snapshot.hasProblems)
    }

    @Test("of two with a creation time the older keeps it, wherever it stands; equal times go by name")
    func olderWins() throws {
        let time = { (text: String) in ", creationTimestamp: \"\(text)\"" }
        let older = try compile(
            Sample.hook("b", metadata: time("2026-05-02T00:00:00Z"), more: "path: /x")
                + Sample.hook("a", metadata: time("2026-05-01T00:00:00Z"), more: "path: /x"))
        #expect(older.routes.map(\.identity.name) == ["a"])
        let equal = try compile(
            Sample.hook("b", metadata: time("2026-05-02T00:00:00Z"), more: "path: /x")
                + Sample.hook("a", metadata: time("2026-05-02T00:00:00Z"), more: "path: /x"))
        #expect(equal.routes.map(\.identity.name) == ["a"])
        let mixed = try compile(
            Sample.hook("b", more: "path: /x")
                + Sample.hook("a", metadata: time("2026-05-02T00:00:00Z"), more: "path: /x"))
        #expect(mixed.routes.map(\.identity.name) == ["b"])
    }

    @Test("paths of different hosts are different paths, and any host is one of its own")
    func hosts() throws {
        let snapshot = try compile(
            Sample.hook("a", more: "path: /x") + Sample.hook("b", more: "path: /x\nhost: b.example")
                + Sample.hook("c", more: "path: /x\nhost: c.example")
                + Sample.hook("d", more: "path: /x\nhost: C.example"))
        #expect(snapshot.routes.map(\.identity.name) == ["a", "b", "c"])
        #expect(snapshot.errors.contains { $0.contains("on host c.example is already claimed by Hook/default/c") })
    }

    @Test("Receivers that concatenate to the same path do not share it, and the message keeps the path secret")
    func fluxCollision() throws {
        let token = "bed6d00b5555b1603e1f59b94d7fdbca"
        let snapshot = try compile(
            Sample.secret("s", token, namespace: "bc") + Sample.receiver("a", namespace: "bc")
                + Sample.secret("s", token, namespace: "c") + Sample.receiver("ab", namespace: "c"))
        #expect(snapshot.routes.map(\.identity.description) == ["Receiver/bc/a"])
        #expect(
            snapshot.errors.count == 1
                && snapshot.errors[0].contains(
                    "Receiver/c/ab: the path /hook/035c… is already claimed by Receiver/bc/a")
        )
        #expect(!snapshot.problems.map(\.description).joined().contains(snapshot.routes[0].path))
    }

    @Test("a Hook may claim a Flux path, and the Receiver after it is refused")
    func hookOnFluxPath() throws {
        let path = WebhookPath.flux(token: Array("0123456789abcdef".utf8), name: "r", namespace: "default")
        let snapshot = try compile(Sample.secret("s") + Sample.hook("h", more: "path: \(path)") + Sample.receiver("r"))
        #expect(snapshot.routes.map(\.identity.description) == ["Hook/default/h"])
        #expect(snapshot.errors.count == 1)
    }
}
