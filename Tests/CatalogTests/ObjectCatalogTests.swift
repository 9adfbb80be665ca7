import Delivery
import Testing

@testable import Catalog

private let receiversName = ObjectCatalog.Collection(kind: "Receiver.notification.toolkit.fluxcd.io")
private let secretsName = ObjectCatalog.Collection(kind: "Secret", namespace: "team-a", name: "token")

private func object(_ text: String, _ apiVersion: String, _ kind: String) throws -> CatalogObject {
    let value = try #require(JSONValue(Array(text.utf8)))
    return try #require(CatalogObject(value, apiVersion: apiVersion, kind: kind))
}

/// A Receiver as a list gives it: without apiVersion and kind, with a field that this version does not know.
private func receiver(
    _ name: String = "webapp", created: String = "2026-01-01T00:00:00Z", suffix: String = "", metadata: String = ""
) throws -> CatalogObject {
    try object(
        """
        {"metadata":{"name":"\(name)","namespace":"team-a","uid":"u-\(name)","resourceVersion":"7","generation":2,
         "creationTimestamp":"\(created)",
         "managedFields":[{"manager":"kubectl","operation":"Update"},
          {"manager":"notification-controller","operation":"Update","subresource":"status"}],
         "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","reconcile.fluxcd.io/requestedAt":"t"}
         \(metadata)},
         "spec":{"type":"github","fieldOfTomorrow":{"a":1},"events":["push"],"secretRef":{"name":"token"},
          "resources":[{"kind":"GitRepository","name":"webapp"}]\(suffix)},
         "status":{"observedGeneration":1}}
        """, "notification.toolkit.fluxcd.io/v1", "Receiver")
}

private func secret(_ base64: String = "c2VjcmV0LTEyMzQ1Njc4") throws -> CatalogObject {
    try object(
        #"{"metadata":{"name":"token","namespace":"team-a"},"type":"Opaque","data":{"token":"\#(base64)"}}"#, "v1",
        "Secret")
}

extension ObjectCatalog {
    fileprivate func compiled(_ change: (inout CatalogOptions) -> Void = { _ in }) -> CatalogSnapshot {
        var options = CatalogOptions(directories: [])
        change(&options)
        return CatalogSnapshot.compile([contribution()], options: options)
    }
}

@Suite("Objects of a cluster")
struct ObjectCatalogTests {
    private let webapp = RouteIdentity(kind: .receiver, namespace: "team-a", name: "webapp")

    @Test("a Receiver and its Secret are a route; fields of a newer schema are no error")
    func route() throws {
        let catalog = ObjectCatalog(cluster: "local")
        catalog.replace(receiversName, [try receiver()])
        #expect(catalog.secretReferences == [SecretName(namespace: "team-a", name: "token")])
        catalog.replace(secretsName, [try secret()])
        let snapshot = catalog.compiled()
        let route = try #require(snapshot.routes.first)
        #expect(snapshot.problems.isEmpty, "\(snapshot.problems)")
        #expect(route.identity == webapp && route.readiness == .ready && route.events == ["push"])
        let path = WebhookPath.flux(token: Array("secret-12345678".utf8), name: "webapp", namespace: "team-a")
        #expect(route.path == path)
        #expect(snapshot.verdicts[webapp] == .ready(path: path))
        let facts = try #require(catalog.facts(of: webapp))
        #expect(facts.generation == 2 && facts.uid == "u-webapp" && facts.resourceVersion == "7")
        #expect(facts.statusManagers == ["notification-controller"])
        #expect(facts.annotations == ["reconcile.fluxcd.io/requestedAt": "t"], "what is long and useless is let go")
    }

    @Test("events change one object, a list replaces its collection and no other")
    func events() throws {
        let catalog = ObjectCatalog(cluster: "local")
        catalog.replace(secretsName, [try secret()])
        catalog.replace(receiversName, [try receiver("a"), try receiver("b")])
        catalog.apply(receiversName, try receiver("c"))
        catalog.remove(receiversName, namespace: "team-a", name: "a")
        #expect(catalog.compiled().routes.map(\.identity.name) == ["b", "c"])
        catalog.replace(receiversName, [try receiver("d")])
        #expect(catalog.compiled().routes.map(\.identity.name) == ["d"])
        catalog.removeAll(receiversName)
        #expect(catalog.compiled().routes.isEmpty)
    }

    @Test("an object that is being deleted has no route any more, whatever keeps it")
    func deletion() throws {
        let catalog = ObjectCatalog(cluster: "local")
        catalog.replace(secretsName, [try secret()])
        catalog.replace(
            receiversName,
            [
                try receiver(
                    metadata: #","deletionTimestamp":"2026-01-02T00:00:00Z","finalizers":["finalizers.fluxcd.io"]"#)
            ])
        #expect(catalog.compiled().routes.isEmpty)
        #expect(catalog.facts(of: webapp)?.isBeingDeleted == true)
    }

    @Test("a version that cannot be understood leaves the last good one in use, and the verdict says so")
    func lastGood() throws {
        let hooks = ObjectCatalog.Collection(kind: "Hook.grapnel.dev")
        let catalog = ObjectCatalog(cluster: "local")
        catalog.replace(secretsName, [try secret()])
        func hook(_ type: String) throws -> CatalogObject {
            try object(
                #"{"metadata":{"name":"h","namespace":"team-a"},"spec":{"type":"\#(type)","secretRefs":[{"name":"token"}],"actions":[]}}"#,
                "grapnel.dev/v1alpha1", "Hook")
        }
        catalog.replace(hooks, [try hook("github")])
        catalog.apply(hooks, try hook("gihtub"))
        let snapshot = catalog.compiled()
        #expect(snapshot.routes.map(\.sender) == [.github])
        let problem = try #require(snapshot.problems.first)
        #expect(problem.message.hasSuffix("the last good version stays in use") && problem.scope == .route)
        guard
            case .terminal(.validationFailed, let message) =
                snapshot.verdicts[RouteIdentity(kind: .hook, namespace: "team-a", name: "h")]
        else {
            Issue.record("no verdict")
            return
        }
        #expect(message.contains("gihtub") && message.contains("github"))
    }

    @Test("what is missing is said in Flux's words, filters first")
    func verdicts() throws {
        let catalog = ObjectCatalog(cluster: "local")
        catalog.replace(receiversName, [try receiver()])
        #expect(
            catalog.compiled().verdicts[webapp]
                == .waiting(
                    reason: .tokenNotFound,
                    message: "unable to read token from secret 'team-a/token' error: secrets \"token\" not found"))
        catalog.setUnreadable(SecretName(namespace: "team-a", name: "token"), "403 Forbidden")
        #expect(
            catalog.compiled().verdicts[webapp]
                == .waiting(
                    reason: .tokenNotFound,
                    message: "unable to read token from secret 'team-a/token' error: 403 Forbidden"))
        catalog.setUnreadable(SecretName(namespace: "team-a", name: "token"), nil)
        catalog.replace(
            secretsName,
            [try object(#"{"metadata":{"name":"token","namespace":"team-a"},"data":{"other":"eA=="}}"#, "v1", "Secret")]
        )
        #expect(
            catalog.compiled().verdicts[webapp]
                == .waiting(
                    reason: .tokenNotFound,
                    message: "invalid 'team-a/token' secret data: required fields 'token'"))
        catalog.replace(receiversName, [try receiver(suffix: #","resourceFilter":"1 +"}"#.replacing("}", with: ""))])
        guard case .terminal(.invalidExpression, let message) = catalog.compiled().verdicts[webapp] else {
            Issue.record("a filter that does not compile goes before a missing token")
            return
        }
        #expect(message.hasPrefix("invalid resourceFilter expression: "))
        catalog.replace(receiversName, [try receiver(suffix: #","suspend":true"#)])
        #expect(catalog.compiled().verdicts[webapp] == .suspended)
    }

    @Test("of two Receivers with one path the older keeps it, in whatever order they come")
    func claims() throws {
        // Token and name are written one behind the other: "x" + "yz" and "xy" + "z" are one path.
        func receiver(_ name: String, _ secret: String, _ created: String) throws -> CatalogObject {
            try object(
                """
                {"metadata":{"name":"\(name)","namespace":"team-a","creationTimestamp":"\(created)"},
                 "spec":{"type":"generic","secretRef":{"name":"\(secret)"},"resources":[{"kind":"Bucket","name":"b"}]}}
                """, "notification.toolkit.fluxcd.io/v1", "Receiver")
        }
        func secret(_ name: String, _ base64: String) throws -> CatalogObject {
            try object(
                #"{"metadata":{"name":"\#(name)","namespace":"team-a"},"data":{"token":"\#(base64)"}}"#, "v1", "Secret")
        }
        let catalog = ObjectCatalog(cluster: "local")
        catalog.replace(
            ObjectCatalog.Collection(kind: "Secret"), [try secret("one", "eA=="), try secret("two", "eHk=")])
        catalog.replace(
            receiversName,
            [
                try receiver("yz", "one", "2026-01-02T00:00:00Z"), try receiver("z", "two", "2026-01-01T00:00:00Z"),
            ])
        let snapshot = catalog.compiled()
        #expect(snapshot.routes.map(\.identity.name) == ["z"])
        guard
            case .waiting(.pathTaken, _) =
                snapshot.verdicts[RouteIdentity(kind: .receiver, namespace: "team-a", name: "yz")]
        else {
            Issue.record("the younger does not say so")
            return
        }
    }

    @Test("an old path is served with the old token while its Receiver is ready, and never takes a path from another")
    func retiredPath() throws {
        let catalog = ObjectCatalog(cluster: "local")
        catalog.replace(secretsName, [try secret()])
        catalog.replace(receiversName, [try receiver()])
        let old = SecretBytes(Array("old-token".utf8))
        catalog.setRetiredPaths([RetiredPath(identity: webapp, path: "/hook/old", secret: old, expiresAt: 1)])
        let routes = catalog.compiled().routes
        #expect(routes.count == 2)
        let retired = try #require(routes.first { $0.path == "/hook/old" })
        #expect(retired.isRetiredPath && retired.secrets == [old] && retired.identity == webapp)
        let table = RouteTable(routes, bodyBytesMax: 1 << 20)
        #expect(table.definition(of: webapp)?.path != "/hook/old", "the identity is the present path's")
        catalog.replace(receiversName, [try receiver(suffix: #","suspend":true"#)])
        #expect(catalog.compiled().routes.map(\.isRetiredPath) == [false])
        let current = WebhookPath.flux(token: Array("secret-12345678".utf8), name: "webapp", namespace: "team-a")
        catalog.replace(receiversName, [try receiver()])
        catalog.setRetiredPaths([RetiredPath(identity: webapp, path: current, secret: old, expiresAt: 1)])
        #expect(catalog.compiled().routes.map(\.isRetiredPath) == [false])
    }

    @Test("objects that hold anything but what they should harm nobody")
    func anything() throws {
        let texts = [
            "{}", "[]", "null", #"{"metadata":null}"#, #"{"metadata":{"name":""}}"#, #"{"metadata":{"name":7}}"#,
            #"{"metadata":{"name":"a"}}"#, #"{"metadata":{"name":"a","namespace":"B/.."},"spec":7,"status":[]}"#,
            #"{"metadata":{"name":"a","finalizers":7,"managedFields":{"a":1},"annotations":[1]},"spec":{"type":[]}}"#,
            #"{"apiVersion":7,"kind":{},"metadata":{"name":"a","generation":"x"},"spec":{"resources":{}}}"#,
        ]
        for kind in ["Receiver", "Hook", "Secret", "BuildConfig", "S2iBuilder", "GitRepository", "ClusterStack"] {
            for text in texts {
                let value = try #require(JSONValue(Array(text.utf8)))
                guard let object = CatalogObject(value, apiVersion: "v1", kind: kind) else { continue }
                let catalog = ObjectCatalog(cluster: "local")
                catalog.replace(ObjectCatalog.Collection(kind: kind), [object])
                _ = catalog.compiled()
            }
        }
    }
}

@Suite("Hooks of tenants")
struct TenantTests {
    private func snapshot(
        _ spec: String, namespace: String = "team-a", _ change: (inout CatalogOptions) -> Void = { _ in }
    ) throws -> (CatalogSnapshot, RouteIdentity) {
        let catalog = ObjectCatalog(cluster: "local")
        catalog.replace(
            secretsName,
            [
                try object(
                    #"{"metadata":{"name":"token","namespace":"\#(namespace)"},"data":{"token":"c2VjcmV0LTEyMzQ1Njc4"}}"#,
                    "v1", "Secret")
            ])
        catalog.replace(
            ObjectCatalog.Collection(kind: "Hook.grapnel.dev"),
            [
                try object(
                    #"{"metadata":{"name":"h","namespace":"\#(namespace)"},"spec":{"type":"github","secretRefs":[{"name":"token"}],\#(spec)}}"#,
                    "grapnel.dev/v1alpha1", "Hook")
            ])
        return (
            catalog.compiled(change), RouteIdentity(kind: .hook, namespace: namespace, name: "h")
        )
    }

    @Test("its own namespace's path and objects: served")
    func own() throws {
        for spec in [
            #""actions":[]"#, #""path":"/hooks/team-a/deep/er","actions":[{"log":{}}]"#,
            #""actions":[{"reconcile":{"kind":"GitRepository","name":"x"}},{"reconcile":{"kind":"Bucket","name":"x","namespace":"team-a"}}]"#,
        ] {
            let (snapshot, hook) = try snapshot(spec)
            #expect(snapshot.routes.first?.readiness == .ready, "\(spec): \(snapshot.problems)")
            guard case .ready = snapshot.verdicts[hook] else {
                Issue.record("\(spec) is not ready")
                continue
            }
        }
    }

    @Test(
        "paths of others are not claimed, however they are written",
        arguments: [
            "/hooks/team-b/h", "/hooks/team-ab", "/hooks/team-a", "/hooks/", "/", "/hook/0123", "/v1/docker/webhook",
            "/HOOKS/team-a/h", "/hooks/team-a%2fx", "/hooks%2fteam-a/h", "/apis/build.openshift.io/v1/x",
            "/hooks/team-a-b/h",
        ])
    func foreignPath(path: String) throws {
        let (snapshot, hook) = try snapshot(#""path":"\#(path)","actions":[]"#)
        #expect(snapshot.routes.isEmpty)
        guard case .terminal(.notPermitted, let message) = snapshot.verdicts[hook] else {
            Issue.record("\(path) was not refused")
            return
        }
        #expect(message.contains("hookPaths"))
    }

    @Test(
        "a path that cannot be one is refused before any rule",
        arguments: ["/hooks/team-a/../team-b/h", "/hooks/team-a//h", "x"])
    func brokenPath(path: String) throws {
        let (snapshot, _) = try snapshot(#""path":"\#(path)","actions":[]"#)
        #expect(snapshot.routes.isEmpty && snapshot.hasErrors)
    }

    @Test("the operator may grant a namespace more paths: those and what lies below, no others")
    func granted() throws {
        for (path, isServed) in [("/payments", true), ("/payments/a", true), ("/paymentsx", false), ("/pay", false)] {
            let (snapshot, _) = try snapshot(#""path":"\#(path)","actions":[]"#) {
                $0.hookPaths = ["team-a": ["/payments"]]
            }
            #expect(snapshot.routes.count == (isServed ? 1 : 0), "\(path)")
            let (other, _) = try self.snapshot(#""path":"\#(path)","actions":[]"#) {
                $0.hookPaths = ["team-b": ["/payments"]]
            }
            #expect(other.routes.isEmpty, "\(path)")
        }
    }

    @Test(
        "objects of other namespaces are not acted on; the whole Hook is refused, and the setting lifts it",
        arguments: [
            #"{"reconcile":{"kind":"GitRepository","name":"x","namespace":"flux-system"}}"#,
            #"{"openshiftBuild":{"name":"x","namespace":"team-b"}}"#,
            #"{"s2iRun":{"builderName":"x","namespace":"team-b"}}"#,
            #"{"reconcile":{"matchRepository":true,"namespaces":["*"]}}"#,
            #"{"reconcile":{"matchRepository":true,"namespaces":["team-a","team-b"]}}"#,
            #"{"openshiftBuild":{"matchRepository":true,"namespaces":["team-b"]}}"#,
        ])
    func crossNamespace(action: String) throws {
        let (snapshot, _) = try snapshot(#""actions":[{"log":{}},\#(action)]"#)
        let route = try #require(snapshot.routes.first)
        guard case .notReady(let reason) = route.readiness else {
            Issue.record("\(action) was not refused")
            return
        }
        #expect(reason.contains("allowCrossNamespace") && route.actions.isEmpty && route.selections.isEmpty)
        let (allowed, _) = try self.snapshot(#""actions":[{"log":{}},\#(action)]"#) {
            $0.allowCrossNamespace = ["team-a"]
        }
        #expect(allowed.routes.first?.readiness == .ready, "\(allowed.problems)")
    }

    @Test("exec never runs for a tenant, even where the server permits it for its own files")
    func exec() throws {
        let (snapshot, _) = try snapshot(#""actions":[{"exec":{"command":["/bin/true"]}}]"#) { $0.allowExec = true }
        #expect(snapshot.routes.first?.readiness != .ready && snapshot.routes.first?.actions.isEmpty == true)
    }

    @Test("what is chosen by repository or image lies in the Hook's own namespace")
    func chosen() throws {
        let (snapshot, _) = try snapshot(#""actions":[{"reconcile":{"matchRepository":true}},{"kpackRefresh":{}}]"#)
        #expect(
            snapshot.routes.first?.selections.map(\.targets) == [
                .ofRepository(
                    cluster: "local", kinds: ["GitRepository", "OCIRepository", "ImageRepository"],
                    namespaces: ["team-a"]),
                .ofImage(cluster: "local", namespaces: ["team-a"]),
            ])
    }
}
