import Delivery
import Testing

@testable import Catalog

@Suite("Build Service: manifests and routes")
struct BuildServiceRouteTests {
    func objects(_ yaml: String) throws -> [KpackObject] {
        try YAMLReader.documents(of: Array(yaml.utf8)).compactMap { document in
            let node = try document.content.get()
            let findings = YAMLFindings()
            var fields = try #require(YAMLFields(node, path: "", findings: findings))
            let metadata = try #require(ObjectMetadata(&fields))
            let manifest = KpackManifest(
                &fields, metadata: metadata, apiVersion: node["apiVersion"]?.text ?? "", kind: node["kind"]?.text ?? "")
            #expect(findings.errors.isEmpty)
            return manifest?.object
        }
    }

    static let yaml = """
        apiVersion: kpack.io/v1alpha2
        kind: ClusterStack
        metadata: {name: base, annotations: {a: b}}
        spec:
          id: io.buildpacks.stacks.jammy
          buildImage: {image: registry.example.com/stack/build:jammy}
          runImage: {image: registry.example.com/stack/run:jammy}
          unknown: [1, 2]
        status:
          runImage: {latestImage: "registry.example.com/stack/run@sha256:1111111111111111111111111111111111111111111111111111111111111111"}
        ---
        apiVersion: kpack.io/v1alpha2
        kind: Builder
        metadata: {name: java, namespace: team-a}
        spec:
          tag: registry.example.com/builders/java
          stack: {kind: ClusterStack, name: base}
          order:
          - group:
            - image: registry.example.com/paketo/java:9.1
            - {kind: ClusterBuildpack, name: go}
            - {id: paketo/node}
        ---
        apiVersion: kpack.io/v1alpha2
        kind: Buildpack
        metadata: {name: node}
        spec: {image: 1.5}
        status: {buildpacks: [{id: paketo/node, version: 1.0}, {version: "2"}]}
        ---
        apiVersion: kpack.io/v1alpha2
        kind: Image
        metadata: {name: shop, namespace: team-a}
        spec: {builder: {kind: Builder, name: java}}
        status: {latestBuildRef: shop-build-4}
        ---
        apiVersion: kpack.io/v1alpha2
        kind: SourceResolver
        metadata: {name: x, namespace: team-a}
        ---
        apiVersion: kpack.io/v1alpha1
        kind: ClusterStore
        metadata: {name: odd, namespace: team-a}
        spec: [1]
        """

    @Test("kpack manifests: what is needed, and nothing of it an error")
    func manifests() throws {
        let objects = try objects(Self.yaml)
        #expect(
            objects.map { "\($0.kind)/\($0.namespace)/\($0.name)" } == [
                "ClusterStack//base", "Builder/team-a/java", "Buildpack/default/node", "Image/team-a/shop",
                "ClusterStore//odd",
            ])
        #expect(objects[0].inputs.map(\.digest) == [nil, "sha256:" + String(repeating: "1", count: 64)])
        #expect(objects[1].inputs.map(\.image) == ["registry.example.com/paketo/java:9.1"])
        #expect(objects[1].usedBuildpacks == ["paketo/node"])
        #expect(objects[1].uses.map(\.name) == ["base", "default-lifecycle", "go"])
        #expect(objects[2].inputs.isEmpty && objects[2].providedBuildpacks == ["paketo/node"])
        #expect(
            objects[3].latestBuild == "shop-build-4"
                && objects[3].uses == [KpackReference(kind: "Builder", namespace: "team-a", name: "java")])
    }

    func routes(_ change: (inout CatalogOptions) -> Void) throws -> [RouteDefinition] {
        var options = CatalogOptions(directories: [])
        change(&options)
        var compiler = RouteCompiler(options: options, secrets: SecretBook([]))
        compiler.addBuildService(try objects(Self.yaml))
        return compiler.settled().routes
    }

    @Test("the three routes, those without credentials not ready; none at all without settings")
    func routes() throws {
        #expect(try routes { _ in }.isEmpty)
        let routes = try routes {
            $0.buildService.notification = [.bearer(SecretBytes(Array("t".utf8)))]
            $0.cluster = "east"
        }
        #expect(routes.map(\.path) == ["/v1/docker/notification", "/v1/artifactory/webhook", "/v1/docker/webhook"])
        #expect(
            routes.map(\.identity.description) == [
                "BuildService//notification", "BuildService//artifactory", "BuildService//docker-hub",
            ])
        #expect(routes.map { $0.readiness == .ready } == [true, false, false])
        #expect(routes.map(\.bodyBytesMax) == [8 << 20, 1 << 20, 1 << 20])
        let body = Array(
            #"{"events":[{"action":"push","target":{"mediaType":"application/vnd.oci.image.index.v1+json","repository":"stack/build","tag":"jammy","url":"https://registry.example.com/v2"}}]}"#
                .utf8)
        let request = InboundRequest(
            method: "POST", path: "/v1/docker/notification",
            fields: [
                .init(name: "Authorization", value: "Bearer t"), .init(name: "Content-Type", value: "application/json"),
            ], body: body)
        let rules = try #require(routes[0].rules)
        #expect(rules.rule(on: request, now: 0).decision == .accepted)
        #expect(
            rules.triggers(of: request, DeliveryFacts(sequence: 1, receivedNanoseconds: 0, deliveryID: ""))
                == .actions([
                    .kpackRefresh(
                        TargetReference(
                            cluster: "east", apiVersion: "kpack.io/v1alpha2", kind: "ClusterStack", namespace: "",
                            name: "base"), image: "registry.example.com/stack/build:jammy", forceBuild: false)
                ]))
    }

    @Test("watched namespaces bound the namespaced objects only")
    func watched() throws {
        let routes = try routes {
            $0.buildService.notification = [.bearer(SecretBytes(Array("t".utf8)))]
            $0.watchNamespaces = ["team-b"]
        }
        func status(_ repository: String, _ tag: String) throws -> UInt16 {
            let body = Array(
                #"{"events":[{"action":"push","target":{"mediaType":"application/vnd.oci.image.index.v1+json","repository":"\#(repository)","tag":"\#(tag)","url":"https://registry.example.com/v2"}}]}"#
                    .utf8)
            let request = InboundRequest(
                method: "POST", path: "/v1/docker/notification",
                fields: [
                    .init(name: "Authorization", value: "Bearer t"),
                    .init(name: "Content-Type", value: "application/json"),
                ], body: body)
            return try #require(routes[0].rules).rule(on: request, now: 0).answer.status
        }
        #expect(try status("stack/run", "jammy") == 202)
        #expect(try status("paketo/java", "9.1") == 200)
    }

    @Test("credentials in Secrets: found ones count, a missing one leaves its route not ready and the others alone")
    func references() throws {
        let yaml = """
            apiVersion: v1
            kind: Secret
            metadata: {name: hooks, namespace: team-a}
            stringData: {registry: secret-of-the-registry, empty: ""}
            """
        let node = try #require(try YAMLReader.documents(of: Array(yaml.utf8)).first?.content.get())
        var fields = try #require(YAMLFields(node, path: "", findings: YAMLFindings()))
        _ = fields.text("apiVersion")
        _ = fields.text("kind")
        let metadata = try #require(ObjectMetadata(&fields))
        let secret = try #require(SecretManifest(&fields, metadata: metadata))
        func routes(_ references: [(BuildServiceEndpoint, String)]) -> RouteCompiler.Result {
            var options = CatalogOptions(directories: [])
            options.buildServiceReferences = references.map {
                BuildServiceSecretReference(endpoint: $0.0, namespace: "team-a", name: "hooks", key: $0.1) {
                    .bearer($0)
                }
            }
            var compiler = RouteCompiler(options: options, secrets: SecretBook([secret]))
            compiler.addBuildService([])
            return compiler.settled()
        }
        let good = routes([(.notification, "registry"), (.artifactory, "missing"), (.dockerHub, "empty")])
        #expect(good.routes.map { $0.readiness == .ready } == [true, false, false])
        #expect(good.problems.contains { $0.severity == .error && $0.message.contains("missing") })
        #expect(!good.problems.contains { $0.message.contains("secret-of-the-registry") })
        let request = InboundRequest(
            method: "POST", path: "/v1/docker/notification",
            fields: [
                .init(name: "Authorization", value: "Bearer secret-of-the-registry"),
                .init(name: "Content-Type", value: "application/json"),
            ], body: Array("{}".utf8))
        #expect(good.routes[0].rules?.rule(on: request, now: 0).answer.status == 200)
        #expect(good.routes[2].rules?.rule(on: request, now: 0).answer.status == 503)
        #expect(routes([(.notification, "missing")]).routes.allSatisfy { $0.readiness != .ready })
    }
}
