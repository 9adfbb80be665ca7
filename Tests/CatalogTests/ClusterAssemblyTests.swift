import Delivery
import Testing

@testable import Catalog

private func object(_ text: String, _ apiVersion: String, _ kind: String) throws -> CatalogObject {
    let value = try #require(JSONValue(Array(text.utf8)))
    return try #require(CatalogObject(value, apiVersion: apiVersion, kind: kind))
}

/// The contribution of one cluster: a Receiver `webapp`, a Hook `webapp` and their Secret.
private func cluster(
    _ name: String, token: String = "c2VjcmV0LTEyMzQ1Njc4", receiver: String = "", hook: String = "",
    actions: String = #"[{"log":{}}]"#, created: String = "2026-01-01T00:00:00Z"
) throws -> CatalogContribution {
    let catalog = ObjectCatalog(cluster: name)
    let metadata = #""metadata":{"name":"webapp","namespace":"team-a","creationTimestamp":"\#(created)"}"#
    catalog.replace(
        ObjectCatalog.Collection(kind: "Secret", namespace: "team-a", name: "token"),
        [
            try object(
                #"{"metadata":{"name":"token","namespace":"team-a"},"data":{"token":"\#(token)"}}"#, "v1", "Secret")
        ])
    catalog.replace(
        ObjectCatalog.Collection(kind: "Receiver.notification.toolkit.fluxcd.io"),
        [
            try object(
                #"""
                {\#(metadata),"spec":{"type":"github","secretRef":{"name":"token"},
                 "resources":[{"kind":"GitRepository","name":"webapp"}]\#(receiver)}}
                """#, "notification.toolkit.fluxcd.io/v1", "Receiver")
        ])
    catalog.replace(
        ObjectCatalog.Collection(kind: "Hook.grapnel.dev"),
        [
            try object(
                #"{\#(metadata),"spec":{"type":"github","secretRefs":[{"name":"token"}],"actions":\#(actions)\#(hook)}}"#,
                "grapnel.dev/v1alpha1", "Hook")
        ])
    return catalog.contribution()
}

private func identity(_ kind: ReceiverKind, _ cluster: String) -> RouteIdentity {
    RouteIdentity(cluster: cluster, kind: kind, namespace: "team-a", name: "webapp")
}

private func compile(
    _ contributions: [CatalogContribution], _ clusters: [CatalogCluster] = [CatalogCluster(name: "b")]
) -> CatalogSnapshot {
    var options = CatalogOptions(directories: [])
    options.clusters = clusters
    return CatalogSnapshot.compile(contributions, options: options)
}

extension CatalogSnapshot {
    fileprivate func route(_ kind: ReceiverKind, _ cluster: String) -> RouteDefinition? {
        routes.first { $0.identity == identity(kind, cluster) }
    }
}

private func table(_ snapshot: CatalogSnapshot) -> RouteTable {
    RouteTable(snapshot.routes, families: snapshot.families, bodyBytesMax: 1 << 20)
}

extension RouteTable {
    /// The clusters that a request to a path is for.
    fileprivate func clusters(_ path: String, host: String = "h") -> [String] {
        let route = unsafe Array(path.utf8).withUnsafeBytes { path in
            unsafe Array(host.utf8).withUnsafeBytes { unsafe find(path: path, host: $0) }
        }
        return route < 0 ? [] : siblings(of: route).map { definitions[$0].identity.cluster }
    }
}

@Suite("Routes of several clusters")
struct ClusterAssemblyTests {
    @Test("the same Receiver in two clusters is two routes on one path; each acts in its own cluster")
    func siblings() throws {
        let snapshot = compile([try cluster("local"), try cluster("b", receiver: #","events":["ping"]"#)])
        let own = try #require(snapshot.route(.receiver, "local"))
        let other = try #require(snapshot.route(.receiver, "b"))
        #expect(own.path == other.path && own.isSibling(of: other))
        for route in [own, other] {
            guard case .reconcile(let target)? = route.actions.first else {
                Issue.record("no action")
                continue
            }
            #expect(target.cluster == route.identity.cluster)
        }
        #expect(table(snapshot).clusters(own.path) == ["local", "b"])
        #expect(snapshot.verdicts[own.identity] == .ready(path: own.path))
        #expect(snapshot.verdicts[other.identity] == .ready(path: own.path))
    }

    @Test("the sibling that is ready goes first")
    func readyFirst() throws {
        let snapshot = compile([try cluster("local", receiver: #","suspend":true"#), try cluster("b")])
        let path = try #require(snapshot.route(.receiver, "b")).path
        #expect(table(snapshot).clusters(path) == ["b", "local"])
    }

    @Test("another type or another token is no sibling: with the same path the first cluster keeps it")
    func strangers() throws {
        let snapshot = compile([try cluster("local"), try cluster("b", receiver: "").of(type: .gitlab)])
        #expect(snapshot.route(.receiver, "b") == nil)
        guard case .waiting(.pathTaken, let message)? = snapshot.verdicts[identity(.receiver, "b")] else {
            Issue.record("\(snapshot.verdicts)")
            return
        }
        #expect(message.contains("at cluster local"))
        // Another token is another path.
        let apart = compile([try cluster("local"), try cluster("b", token: "b3RoZXItMTIzNDU2Nzg=")])
        #expect(apart.route(.receiver, "local")?.path != apart.route(.receiver, "b")?.path)
    }

    @Test("of two Hooks on one path that of the first cluster counts, however old the other is")
    func hooks() throws {
        let snapshot = compile([
            try cluster("local"), try cluster("b", created: "2020-01-01T00:00:00Z"),
        ])
        #expect(snapshot.route(.hook, "local") != nil && snapshot.route(.hook, "b") == nil)
        #expect(table(snapshot).clusters("/hooks/team-a/webapp") == ["local"])
        let turned = compile([try cluster("b"), try cluster("local")])
        #expect(turned.route(.hook, "b") != nil && turned.route(.hook, "local") == nil)
    }

    @Test("routes of a cluster with hosts are reached at these alone; a Hook may not claim another")
    func hosts() throws {
        let clusters = [CatalogCluster(name: "b", hosts: ["b.example.org", "c.example.org"])]
        let snapshot = compile([try cluster("local"), try cluster("b")], clusters)
        let routes = table(snapshot)
        for path in ["/hooks/team-a/webapp", try #require(snapshot.route(.receiver, "local")).path] {
            #expect(routes.clusters(path) == ["local"])
            #expect(routes.clusters(path, host: "b.example.org") == ["b"])
            #expect(routes.clusters(path, host: "C.example.org") == ["b"])
        }
        let claiming = compile([try cluster("b", hook: #","host":"a.example.org""#)], clusters)
        #expect(claiming.route(.hook, "b") == nil)
        guard case .terminal(.notPermitted, _)? = claiming.verdicts[identity(.hook, "b")] else {
            Issue.record("\(claiming.verdicts)")
            return
        }
    }

    @Test("a tenant's Hook that names another cluster acts nowhere")
    func tenant() throws {
        let actions = #"[{"reconcile":{"cluster":"local","kind":"GitRepository","name":"webapp"}}]"#
        let route = try #require(compile([try cluster("b", actions: actions)]).route(.hook, "b"))
        guard case .notReady(let reason) = route.readiness else {
            Issue.record("\(route.readiness)")
            return
        }
        #expect(reason.contains("its own cluster only") && route.actions.isEmpty)
        let own = actions.replacing("local", with: "b")
        #expect(try #require(compile([try cluster("b", actions: own)]).route(.hook, "b")).readiness == .ready)
    }

    @Test("each cluster keeps to its own namespaces, and its Secrets are its own")
    func apart() throws {
        let clusters = [CatalogCluster(name: "b", watchNamespaces: ["team-b"])]
        #expect(
            compile([try cluster("local"), try cluster("b")], clusters).routes.map(\.identity.cluster) == [
                "local", "local",
            ])
        let poor = ObjectCatalog(cluster: "b")
        poor.replace(
            ObjectCatalog.Collection(kind: "Hook.grapnel.dev"),
            [
                try object(
                    #"""
                    {"metadata":{"name":"poor","namespace":"team-a"},
                     "spec":{"type":"github","secretRefs":[{"name":"token"}],"actions":[{"log":{}}]}}
                    """#, "grapnel.dev/v1alpha1", "Hook")
            ])
        let snapshot = compile([try cluster("local"), poor.contribution()])
        let route = try #require(snapshot.routes.first { $0.identity.name == "poor" })
        #expect(route.secrets.isEmpty && route.readiness != .ready)
    }
}

extension CatalogContribution {
    /// The Receivers with another type, under the same path.
    fileprivate func of(type: SenderType) throws -> CatalogContribution {
        let catalog = ObjectCatalog(cluster: cluster)
        catalog.replace(
            ObjectCatalog.Collection(kind: "Secret", namespace: "team-a", name: "token"),
            [
                try object(
                    #"{"metadata":{"name":"token","namespace":"team-a"},"data":{"token":"c2VjcmV0LTEyMzQ1Njc4"}}"#,
                    "v1",
                    "Secret")
            ])
        catalog.replace(
            ObjectCatalog.Collection(kind: "Receiver.notification.toolkit.fluxcd.io"),
            [
                try object(
                    #"""
                    {"metadata":{"name":"webapp","namespace":"team-a"},"spec":{"type":"\#(type.name)",
                     "secretRef":{"name":"token"},"resources":[{"kind":"GitRepository","name":"webapp"}]}}
                    """#, "notification.toolkit.fluxcd.io/v1", "Receiver")
            ])
        return catalog.contribution()
    }
}
