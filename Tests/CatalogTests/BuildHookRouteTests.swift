// BuildConfigs and S2iBuilders from files to routes.

import Delivery
import Foundation
import Testing

@testable import Catalog

private func compile(_ text: String, _ change: (inout CatalogOptions) -> Void = { _ in }) throws -> CatalogSnapshot {
    let directory = try TemporaryDirectory()
    try directory.write("m.yaml", text)
    var options = CatalogOptions(directories: [directory.path])
    change(&options)
    return ManifestCatalog(options: options).load()
}

private func buildConfig(_ triggers: String, annotations: String = "", ref: String = "main") -> String {
    """
    apiVersion: build.openshift.io/v1
    kind: BuildConfig
    metadata:
      name: orders
      namespace: demo
      annotations: {\(annotations)}
    spec:
      source: {type: Git, git: {uri: "https://git.corp.example/acme/orders.git", ref: \(ref)}}
      strategy: {type: Docker, dockerStrategy: {from: {kind: ImageStreamTag, name: "base:1"}}}
      somethingNew: [1, 2]
      triggers:
    \(triggers)
    status: {lastVersion: 7}
    ---

    """
}

private let secret = """
    apiVersion: v1
    kind: Secret
    metadata: {name: hook, namespace: demo}
    stringData: {WebHookSecretKey: 7f3a917f3a917f3a}
    ---

    """

private func status(_ route: RouteDefinition?, _ tail: String, _ body: String = "") -> UInt16? {
    let path = "/apis/build.openshift.io/v1/namespaces/demo/buildconfigs/orders/webhooks/" + tail
    let request = InboundRequest(method: "POST", path: path, body: Array(body.utf8))
    return route?.rules?.rule(on: request, now: 0).answer.status
}

@Suite("BuildConfig and S2iBuilder routes")
struct BuildHookRouteTests {
    @Test("a referenced and an inline secret lead to one route") func route() throws {
        let triggers = """
              - {type: Generic, generic: {secretReference: {name: hook}}}
              - {type: generic, generic: {secret: inl1ne-inl1ne}}
              - {type: ConfigChange}
              - {type: GitHub}
            """
        let snapshot = try compile(secret + buildConfig(triggers))
        #expect(snapshot.problems.isEmpty, "\(snapshot.problems)")
        let route = try #require(snapshot.routes.first)
        #expect(route.identity == RouteIdentity(kind: .buildConfig, namespace: "demo", name: "orders"))
        #expect(route.path == "/apis/build.openshift.io/v1/namespaces/demo/buildconfigs/orders/webhooks")
        #expect(OpenShiftPathFamily().routePath(of: route.path + "/x/generic") == route.path)
        #expect(route.readiness == .ready)
        #expect(status(route, "7f3a917f3a917f3a/generic") == 200)
        #expect(status(route, "inl1ne-inl1ne/generic") == 200)
        #expect(status(route, "x/generic") == 401)
    }

    @Test("a missing Secret is reported at its trigger, and the others go on") func missingSecret() throws {
        let triggers = """
              - {type: Generic, generic: {secretReference: {name: gone}}}
              - {type: Generic, generic: {secret: inl1ne-inl1ne}}
            """
        let snapshot = try compile(buildConfig(triggers))
        #expect(snapshot.problems.map(\.line) == [12])
        #expect(snapshot.problems.first?.message.contains("Secret/demo/gone does not exist") == true)
        #expect(!snapshot.hasProblems)
        #expect(status(snapshot.routes.first, "inl1ne-inl1ne/generic") == 200)
    }

    @Test("an unknown option or profile is reported, and nothing is accepted") func unknownOption() throws {
        for annotation in ["grapnel.dev/webhook-options: verify-signatur", "grapnel.dev/webhook-profile: better"] {
            let trigger = "      - {type: Generic, generic: {secret: inl1ne-inl1ne}}"
            let snapshot = try compile(buildConfig(trigger, annotations: annotation))
            #expect(snapshot.hasErrors)
            guard case .notReady? = snapshot.routes.first?.readiness else {
                Issue.record("ready")
                continue
            }
            #expect(snapshot.problems.first?.line == 6)
        }
    }

    @Test("options and profile reach the rules") func options() throws {
        let trigger = "      - {type: Generic, generic: {secret: inl1ne-inl1ne}}"
        let annotation = "grapnel.dev/webhook-options: 'verify-signature, trim-newline'"
        let snapshot = try compile(buildConfig(trigger, annotations: annotation))
        #expect(status(snapshot.routes.first, "inl1ne-inl1ne/generic") == 401)
        let grapnel = try compile(buildConfig(trigger)) { $0.openShift.profile = .grapnel }
        #expect(status(grapnel.routes.first, "inl1ne-inl1ne/generic/") == 200)
        let upstream = try compile(buildConfig(trigger, annotations: "grapnel.dev/webhook-profile: upstream")) {
            $0.openShift.profile = .grapnel
        }
        #expect(status(upstream.routes.first, "inl1ne-inl1ne/generic/") == 400)
    }

    @Test("without webhook triggers there is no route and nothing to report") func noTriggers() throws {
        let snapshot = try compile(buildConfig("      - {type: ConfigChange}"))
        #expect(snapshot.routes.isEmpty && snapshot.problems.isEmpty && snapshot.unserved.isEmpty)
    }

    @Test("no message shows a secret") func messages() throws {
        let triggers = """
              - {type: Generic, generic: {secret: hunter2, secretReference: {name: gone}}}
              - {type: Generic, generic: {secret: changeme}}
            """
        let builder = """
            apiVersion: devops.kubesphere.io/v1alpha1
            kind: S2iBuilder
            metadata: {name: app, namespace: demo}
            spec: {config: {secretCode: hunter2, branchExpression: "("}}
            """
        let snapshot = try compile(buildConfig(triggers) + builder)
        #expect(!snapshot.problems.isEmpty)
        #expect(!"\(snapshot.problems)".contains("hunter2"))
        #expect(!"\(snapshot)".contains("hunter2"))
    }

    @Test("an S2iBuilder is a route; an open one and a wrong expression are reported") func builder() throws {
        func text(_ config: String) -> String {
            """
            apiVersion: devops.kubesphere.io/v1alpha1
            kind: S2iBuilder
            metadata: {name: app, namespace: demo, labels: {a: b}}
            spec:
              config: {imageName: x, \(config)}
            status: {runCount: 3}
            """
        }
        let good = try compile(text("secretCode: x34hx34hx34h, revisionId: main"))
        #expect(good.problems.isEmpty)
        let route = try #require(good.routes.first)
        #expect(route.path == "/s2itrigger/v1alpha1/general/namespaces/demo/s2ibuilders/app")
        let request = InboundRequest(method: "GET", path: route.path + "/", query: "secretCode=x34hx34hx34h")
        #expect(route.rules?.rule(on: request, now: 0).answer.status == 201)
        #expect(try compile(text("revisionId: main")).problems.map(\.severity) == [.warning])
        let wrong = try compile(text("secretCode: x34hx34hx34h, branchExpression: '('"))
        #expect(wrong.problems.map(\.line) == [5])
        #expect(wrong.routes.count == 1)
        let open = try compile(text("revisionId: main")) { $0.kubeSphere.requireSecret = true }
        let plain = InboundRequest(method: "GET", path: route.path)
        #expect(open.routes.first?.rules?.rule(on: plain, now: 0).answer.status == 403)
    }
}
