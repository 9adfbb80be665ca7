import Foundation
import Logging
import Testing

@testable import Kubernetes

@Suite("Kubernetes client")
struct KubernetesClientTests {
    func client(
        _ server: String, _ change: (inout KubernetesClient.Settings) -> Void = { _ in },
        token: Kubeconfig.BearerToken = .none
    )
        throws -> KubernetesClient
    {
        var settings = KubernetesClient.Settings.patient
        // What was not found stays unknown, however slow the test is.
        settings.discoveryMissSeconds = 600
        change(&settings)
        return try KubernetesClient(
            Kubeconfig(server: server, token: token), settings: settings, logger: Logger(label: "test"))
    }

    /// One patch with a known plural, so that nothing but the patch is sent.
    func patchError(_ client: KubernetesClient, name: String = "webapp", namespace: String? = "team-a") async
        -> KubernetesError?
    {
        do throws(KubernetesError) {
            try await client.mergePatch(
                apiVersion: "source.toolkit.fluxcd.io/v1", kind: "GitRepository", plural: "gitrepositories",
                namespace: namespace, name: name, body: Array("{}".utf8))
            return nil
        } catch { return error }
    }

    func patchError(answering answer: RawAnswer, timeoutSeconds: Int = 600) async throws -> KubernetesError? {
        let server = RawServer { _, _ in answer }
        defer { server.stop() }
        let client = try client(server.url) { $0.timeoutSeconds = timeoutSeconds }
        let error = await patchError(client)
        await client.shutdown()
        return error
    }

    @Test(
        "No server, no answer, half an answer, garbage: connection errors and timeouts, never a hang", arguments: 0..<6)
    func broken(kind: Int) async throws {
        let error: KubernetesError?
        switch kind {
        case 0:
            let client = try client("http://127.0.0.1:\(RawServer.closedPort())")
            error = await patchError(client)
            await client.shutdown()
            #expect(error?.description.contains("Connection refused") == true)
        case 1: error = try await patchError(answering: .cut)
        case 2: error = try await patchError(answering: .last("nonsense\r\n\r\n"))
        case 3: error = try await patchError(answering: .last("HTTP/1.1 200"))
        case 4:
            error = try await patchError(answering: .silence(seconds: 3), timeoutSeconds: 2)
        default:
            error = try await patchError(
                answering: .drip(answer("200 OK", String(repeating: "x", count: 100)), pauseSeconds: 0.05),
                timeoutSeconds: 2)
        }
        let cause = try #require(error?.cause)
        switch cause {
        case .connection, .timeout: break
        default: Issue.record("\(cause)")
        }
    }

    @Test("Background calls that wait for their budget keep no trigger waiting, and the other way round")
    func budgets() async throws {
        let server = RawServer { _, _ in .bytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") }
        defer { server.stop() }
        let receivers = APIResource(
            group: "notification.toolkit.fluxcd.io", version: "v1", kind: "Receiver", plural: "receivers",
            isNamespaced: true)
        for isBackgroundSpent in [true, false] {
            // One call an hour, so that who has to wait waits for longer than any test.
            let client = try client(server.url) { settings in
                settings.requestsPerSecond = isBackgroundSpent ? 1_000 : 1 / 3_600
                settings.requestsBurst = isBackgroundSpent ? 1_000 : 1
                settings.backgroundPerSecond = isBackgroundSpent ? 1 / 3_600 : 1_000
                settings.backgroundBurst = isBackgroundSpent ? 1 : 1_000
            }
            @Sendable func write(_ isInBackground: Bool) async throws(KubernetesError) {
                try await client.patch(
                    receivers, namespace: "team-a", name: "webapp", subresource: "status", body: Array("{}".utf8),
                    isInBackground: isInBackground)
            }
            try await write(isBackgroundSpent)
            let waiting = (0..<20).map { _ in Task { try await write(isBackgroundSpent) } }
            for _ in 0..<20 { try await write(!isBackgroundSpent) }
            for task in waiting { task.cancel() }
            for task in waiting { await #expect(throws: KubernetesError.self) { try await task.value } }
            await client.shutdown()
        }
    }

    @Test("TLS to a server that speaks none is a connection error")
    func noTLS() async throws {
        let server = RawServer { _, _ in .last("HTTP/1.1 400 Bad\r\n\r\n") }
        defer { server.stop() }
        let client = try client("https://127.0.0.1:\(server.port)") { $0.timeoutSeconds = 2 }
        let error = await patchError(client)
        await client.shutdown()
        switch error?.cause {
        case .connection, .timeout: break
        default: Issue.record("\(String(describing: error))")
        }
    }

    @Test("An answer larger than the bound: an error for a get, of no matter for a patch that was accepted")
    func tooLarge() async throws {
        let server = RawServer { _, _ in .bytes(answer("200 OK", String(repeating: "x", count: 5000))) }
        defer { server.stop() }
        let client = try client(server.url) { $0.bodyBytesMax = 1000 }
        #expect(await patchError(client) == nil)
        await #expect(throws: KubernetesError.self) {
            _ = try await client.get(
                apiVersion: "v1", kind: "Secret", plural: "secrets", namespace: "a", name: "b")
        }
        await client.shutdown()
    }

    @Test("A refused call carries status, reason, message and Retry-After")
    func status() async throws {
        let body =
            #"{"kind":"Status","status":"Failure","reason":"TooManyRequests","message":"slow\ndown","code":429,"details":{"retryAfterSeconds":9}}"#
        var error = try await patchError(
            answering: .bytes(answer("429 Too Many Requests", body, fields: ["Retry-After: 7"])))
        #expect(error?.statusCode == 429)
        #expect(error?.status?.reason == "TooManyRequests")
        #expect(error?.retryAfterNanoseconds == 7_000_000_000)
        #expect(
            error?.description
                == #"patch gitrepositories.source.toolkit.fluxcd.io "webapp" in namespace "team-a": 429 TooManyRequests: slow down"#
        )
        error = try await patchError(answering: .bytes(answer("429 Too Many Requests", body)))
        #expect(error?.retryAfterNanoseconds == 9_000_000_000)
        error = try await patchError(answering: .bytes(answer("500 X", "not json")))
        #expect(error?.statusCode == 500)
        #expect(error?.status == nil)
    }

    @Test("A 403 names the rule that is missing")
    func forbidden() async throws {
        let error = try await patchError(answering: .bytes(answer("403 Forbidden", "{}")))
        #expect(
            error?.description.contains(
                #"grant it with a rule {apiGroups: ["source.toolkit.fluxcd.io"], resources: ["gitrepositories"], verbs: ["patch"]} in a Role of namespace "team-a""#
            )
                == true)
    }

    @Test("A 404 of the object is told apart from a 404 of the path")
    func notFound() async throws {
        let object =
            #"{"kind":"Status","reason":"NotFound","details":{"name":"webapp","group":"g","kind":"gitrepositories"}}"#
        let path =
            #"{"kind":"Status","reason":"NotFound","message":"the server could not find the requested resource","details":{}}"#
        #expect(try await patchError(answering: .bytes(answer("404 Not Found", object)))?.isObjectMissing == true)
        #expect(try await patchError(answering: .bytes(answer("404 Not Found", path)))?.isObjectMissing == false)
        #expect(
            try await patchError(answering: .bytes(answer("404 Not Found", "404 page not found")))?.isObjectMissing
                == false)
    }

    @Test(
        "Names that would change the path are refused before any call",
        arguments: ["", ".", "..", "a/b", "a%2fb", "a\nb", String(repeating: "a", count: 254)])
    func names(name: String) async throws {
        let server = RawServer { _, _ in .bytes(answer("200 OK")) }
        defer { server.stop() }
        let client = try client(server.url)
        guard case .invalidName = await patchError(client, name: name)?.cause else {
            Issue.record("\(name) was accepted")
            return
        }
        if !name.isEmpty {
            guard case .invalidName = await patchError(client, namespace: name)?.cause else {
                Issue.record("namespace \(name) was accepted")
                return
            }
        }
        #expect(server.requests.isEmpty)
        await client.shutdown()
    }

    @Test("A call after shutdown fails with that")
    func afterShutdown() async throws {
        let client = try client("http://127.0.0.1:1")
        await client.shutdown()
        #expect(await patchError(client)?.cause == .shutDown)
    }

    @Test("Connections are kept and used again; one that the server closed meanwhile costs no error")
    func keepAlive() async throws {
        let server = RawServer { _, number in number == 1 ? .cut : .bytes(answer("200 OK", "{}")) }
        defer { server.stop() }
        let client = try client(server.url)
        #expect(await patchError(client) == nil)
        #expect(await patchError(client) == nil)
        #expect(server.requests.count == 3)
        await client.shutdown()
    }

    @Test("A connection that the server resets costs no error either, unless the call creates something")
    func reset() async throws {
        let server = RawServer { _, number in
            guard number % 2 == 0 else { return .bytes(answer("200 OK", "{}")) }
            return .stream { connection in
                connection.reset()
                return false
            }
        }
        defer { server.stop() }
        let client = try client(server.url)
        #expect(await patchError(client) == nil)
        #expect(server.requests.count == 2)
        let things = APIResource(group: "g", version: "v1", kind: "A", plural: "as", isNamespaced: true)
        await #expect(throws: KubernetesError.self) {
            try await client.create(things, namespace: "n", body: Array("{}".utf8))
        }
        #expect(server.requests.count == 3)
        await client.shutdown()
    }

    @Test("A call without a readable token file is not made")
    func noToken() async throws {
        let client = try client("http://127.0.0.1:1", token: .file(path: "/nonexistent/token"))
        guard case .credentials(let reason) = await patchError(client)?.cause else {
            Issue.record("made the call")
            return
        }
        #expect(reason.contains("/nonexistent/token"))
        await client.shutdown()
    }

    @Test("Certificates and keys that cannot be used are errors of the kubeconfig")
    func badCertificates() {
        var config = Kubeconfig(server: "https://127.0.0.1:1", certificateAuthorityPEM: Array("junk".utf8))
        #expect(throws: KubeconfigError.self) {
            try KubernetesClient(config, settings: .init(version: "x"), logger: Logger(label: "test"))
        }
        config.certificateAuthorityPEM = nil
        config.clientCertificate = .init(chainPEM: Array("junk".utf8), key: SecretText("hunter2hunter2"))
        do {
            _ = try KubernetesClient(config, settings: .init(version: "x"), logger: Logger(label: "test"))
            Issue.record("junk was accepted")
        } catch { #expect(!error.description.contains("hunter2")) }
    }

    // MARK: - Discovery

    func discoveryServer(_ groups: @escaping @Sendable (Int) -> String) -> RawServer {
        RawServer { request, number in
            let path = request.line.split(separator: " ")[1]
            switch path {
            case "/api": return .bytes(answer("200 OK", #"{"versions":["v1"]}"#))
            case "/api/v1":
                return .bytes(
                    answer("200 OK", #"{"resources":[{"name":"secrets","kind":"Secret","namespaced":true}]}"#))
            case "/apis": return .bytes(answer("200 OK", groups(number)))
            case "/apis/g/v1":
                return .bytes(answer("200 OK", #"{"resources":[{"name":"as","kind":"A","namespaced":true}]}"#))
            case "/apis/g/v1beta1":
                return .bytes(
                    answer(
                        "200 OK",
                        #"{"resources":[{"name":"as","kind":"A","namespaced":true},{"name":"bs","kind":"B","namespaced":false}]}"#
                    ))
            default: return .bytes(answer("404 Not Found", "404 page not found"))
            }
        }
    }

    static let groups =
        #"{"groups":[{"name":"g","versions":[{"version":"v1beta1"},{"version":"v1"}],"preferredVersion":{"version":"v1"}}]}"#

    @Test("An answer that is no discovery document is an error and no crash")
    func discoveryGarbage() async throws {
        for text in ["", "[]", "{}", "null", #"{"groups":[{"name":5}]}"#] {
            let server = discoveryServer { _ in text }
            let client = try client(server.url)
            await #expect(throws: KubernetesError.self) {
                _ = try await client.resource(group: "g", version: nil, kind: "A")
            }
            await client.shutdown()
            server.stop()
        }
    }

    @Test("The wanted version is used when it serves the kind, else the preferred, else another that does")
    func versions() async throws {
        let server = discoveryServer { _ in Self.groups }
        defer { server.stop() }
        let client = try client(server.url)
        #expect(try await client.resource(group: "g", version: nil, kind: "A").version == "v1")
        #expect(try await client.resource(group: "g", version: "v1beta1", kind: "A").version == "v1beta1")
        #expect(try await client.resource(group: "g", version: "v9", kind: "A").version == "v1")
        let cluster = try await client.resource(group: "g", version: "v1", kind: "B")
        #expect(cluster.version == "v1beta1" && !cluster.isNamespaced && cluster.plural == "bs")
        #expect(try await client.resource(group: "", version: "v1", kind: "Secret").plural == "secrets")
        #expect(try await client.servedVersions(group: "g", kind: "A") == ["v1", "v1beta1"])
        await client.shutdown()
    }

    @Test("Answers are kept: many questions at once cost one call each")
    func kept() async throws {
        let server = discoveryServer { _ in Self.groups }
        defer { server.stop() }
        let client = try client(server.url)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<50 {
                group.addTask { _ = try? await client.resource(group: "g", version: "v1", kind: "A") }
            }
        }
        #expect(server.requests.count == 2)
        await client.shutdown()
    }

    @Test("An unknown kind is asked for again, but not with each question")
    func unknownKind() async throws {
        let server = discoveryServer { _ in #"{"groups":[]}"# }
        defer { server.stop() }
        let client = try client(server.url)
        for _ in 0..<20 {
            do throws(KubernetesError) {
                _ = try await client.resource(group: "g", version: "v1", kind: "A")
                Issue.record("found")
            } catch { #expect(error.cause == .kindNotServed) }
        }
        #expect(server.requests.count <= 2)
        await client.shutdown()
    }

    @Test("A kind that appears later is found, and a failed refresh keeps what was known")
    func refresh() async throws {
        let server = RawServer { request, number in
            if request.line.contains("/apis/g/v1 ") {
                return .bytes(answer("200 OK", #"{"resources":[{"name":"as","kind":"A","namespaced":true}]}"#))
            }
            switch number {
            case 0: return .bytes(answer("200 OK", #"{"groups":[]}"#))
            case 1: return .bytes(answer("200 OK", #"{"groups":[{"name":"g","versions":[{"version":"v1"}]}]}"#))
            default: return .bytes(answer("503 Unavailable"))
            }
        }
        defer { server.stop() }
        let client = try client(server.url) { $0.discoveryMissSeconds = 0 }
        let found = try await client.resource(group: "g", version: nil, kind: "A")
        #expect(found.plural == "as")
        await client.discovery.forget(group: "g")
        #expect(try await client.resource(group: "g", version: nil, kind: "A") == found)
        await client.shutdown()
    }
}
