// The reflector and the election against the fake API server of the conformance harness (its path in GRAPNEL_FAKEKUBE),
// over TLS: writes of ours come back as events, through disconnected watches and versions that are gone.

import Foundation
import Logging
import Testing

@testable import Kubernetes

private let fakeKube = ProcessInfo.processInfo.environment["GRAPNEL_FAKEKUBE"]
private let hasFakeKube = fakeKube != nil && Helper.has("python3", "openssl")

@Suite("Against the fake API server", .enabled(if: hasFakeKube))
struct FakeKubeTests {
    func start() async throws -> (helper: Helper, client: KubernetesClient, folder: TemporaryFolder) {
        let folder = TemporaryFolder()
        let objects = folder.write(
            #"{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"GitRepository","metadata":{"name":"first","namespace":"n"}}"#,
            "objects.json")
        let helper = try Helper(
            ["python3", fakeKube ?? "", "--port", "0", "--objects", objects, "--kubeconfig", "kube.json"],
            folder: folder.path)
        #expect(await helper.firstLine().hasPrefix("listening on"))
        let config = try Kubeconfig.load(path: folder.path + "/kube.json")
        let client = try KubernetesClient(
            config, settings: .patient, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        return (helper, client, folder)
    }

    func tell(_ client: KubernetesClient, _ command: String) async throws {
        _ = try await client.send(
            .POST, "/_fake/\(command)", call: KubernetesCall(verb: "create", group: "", resource: command), body: [])
    }

    @Test("What is written comes back as events, also after a disconnect and after the history is gone")
    func reflected() async throws {
        let (helper, client, folder) = try await start()
        let told = Told()
        var settings = ReflectorSettings()
        settings.backoffFirst = .milliseconds(20)
        let reflector = Reflector(
            client: client, group: "source.toolkit.fluxcd.io", kind: "GitRepository",
            scope: WatchScope(namespace: "n", isMetadataOnly: true), decoder: NameDecoder(), settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { told.add($0) }
        let task = Task { await reflector.run() }
        #expect(await told.wait(1) == ["replaced first"])

        let resource = try await client.resource(
            group: "source.toolkit.fluxcd.io", version: nil, kind: "GitRepository")
        func create(_ name: String) async throws {
            let body =
                #"{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"GitRepository","metadata":{"name":"\#(name)"}}"#
            try await client.create(resource, namespace: "n", body: Array(body.utf8))
        }
        try await create("second")
        #expect(await told.wait(2).last == "applied second")
        try await client.patch(
            resource, namespace: "n", name: "second", body: Array(#"{"metadata":{"labels":{"a":"b"}}}"#.utf8))
        #expect(await told.wait(3).last == "applied second")
        let old = try await client.getObject(resource, namespace: "n", name: "second")
        try await client.patch(
            resource, namespace: "n", name: "second", body: Array(#"{"metadata":{"labels":{"a":"c"}}}"#.utf8))
        do throws(KubernetesError) {
            try await client.replace(resource, namespace: "n", name: "second", body: [UInt8](old))
            Issue.record("replaced what had changed")
        } catch { #expect(error.statusCode == 409) }
        #expect(await told.wait(4).last == "applied second")

        try await tell(client, "disconnect")
        try await create("third")
        #expect(await told.wait(5).last == "applied third")
        try await client.delete(resource, namespace: "n", name: "first")
        #expect(await told.wait(6).last == "deleted first")

        try await create("fourth")
        try await tell(client, "compact")
        try await tell(client, "disconnect")
        try await client.apply(
            resource, namespace: "n", name: "fifth", fieldManager: "test",
            body: Array(
                #"{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"GitRepository","metadata":{"name":"fifth"}}"#.utf8
            ))
        await eventually { told.all.contains { $0.contains("fifth") } }
        #expect(told.all.contains { $0.contains("fifth") })
        let trouble = told.all.filter { $0.hasPrefix("failing") }
        #expect(trouble.isEmpty, "\(trouble)")
        task.cancel()
        await task.value
        await client.shutdown()
        _ = (helper, folder)
    }

    @Test("A lease is taken, renewed and given back")
    func lease() async throws {
        let (helper, client, folder) = try await start()
        let told = Counter()
        let election = LeaderElection(
            client: client, namespace: "n", name: "grapnel", identity: "me", settings: LeaderElectionTests.settings(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let task = Task { await election.run { _ in told.add() } }
        #expect(await eventually { told.value == 1 })
        let held = try await client.getObject(LeaderElection.resource, namespace: "n", name: "grapnel")
        #expect(try LeaseRecord(json: held).observed.holder == "me")
        task.cancel()
        await task.value
        #expect(told.value == 2)
        let free = try await client.getObject(LeaderElection.resource, namespace: "n", name: "grapnel")
        #expect(try LeaseRecord(json: free).observed.holder == "")
        await client.shutdown()
        _ = (helper, folder)
    }
}
