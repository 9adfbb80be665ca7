import Delivery
import Foundation
import Kubernetes
import Logging
import Testing

@testable import Trigger

@Suite("Reconcile action")
struct ReconcileActionTests {
    func attempt(_ target: TargetReference) -> ActionAttempt {
        ActionAttempt(
            sequence: 1, planIndex: 0, number: 1, route: hook("a"), receivedNanoseconds: epoch,
            action: .reconcile(target), payload: nil, event: Event())
    }

    func target(_ kind: String = "GitRepository", apiVersion: String? = nil, name: String = "webapp") -> TargetReference
    {
        TargetReference(apiVersion: apiVersion, kind: kind, namespace: "team-a", name: name)
    }

    /// An API server that serves the given versions of GitRepository and answers patches with `patch`.
    func server(versions: [String] = ["v1"], patch: RawAnswer = .bytes(answer("200 OK", "{}"))) -> RawServer {
        RawServer { request, _ in
            let path = request.line.split(separator: " ")[1]
            if request.line.hasPrefix("PATCH") { return patch }
            if path == "/apis" {
                let list = versions.map { "{\"version\":\"\($0)\"}" }.joined(separator: ",")
                return .bytes(
                    answer("200 OK", "{\"groups\":[{\"name\":\"source.toolkit.fluxcd.io\",\"versions\":[\(list)]}]}"))
            }
            return .bytes(
                answer(
                    "200 OK",
                    "{\"resources\":[{\"name\":\"gitrepositories\",\"kind\":\"GitRepository\",\"namespaced\":true},{\"name\":\"gitrepositories/status\",\"kind\":\"GitRepository\",\"namespaced\":true}]}"
                ))
        }
    }

    func run(_ server: RawServer?, _ target: TargetReference, time: UniqueTime = UniqueTime(clock: { epoch + 5 }))
        async throws
        -> ActionResult
    {
        guard let server else { return await ReconcileAction(client: { _ in nil }, time: time).run(attempt(target)) }
        let client = try KubernetesClient(
            Kubeconfig(server: server.url, token: .inline(SecretText("tok"))), settings: .patient,
            logger: Logger(label: "test"))
        let result = await ReconcileAction(client: { _ in client }, time: time).run(attempt(target))
        await client.shutdown()
        return result
    }

    func failure(_ result: ActionResult) -> ActionFailure? {
        if case .failed(let failure) = result { failure } else { nil }
    }

    @Test("A kind without a default version and without one of its own is final, before any call")
    func noVersion() async throws {
        let server = server()
        defer { server.stop() }
        let result = failure(try await run(server, target("Kustomization")))
        #expect(result?.verdict == .final)
        #expect(result?.reason.contains("apiVersion") == true)
        #expect(server.requests.isEmpty)
    }

    @Test("A cluster that is not configured stays owed")
    func noCluster() async throws {
        #expect(failure(try await run(nil, target()))?.verdict == .healable)
    }

    @Test("The patch is exactly the annotation, as a merge patch, with the token and our name")
    func patch() async throws {
        let server = server()
        defer { server.stop() }
        #expect(try await run(server, target()) == .done)
        let request = try #require(server.requests.last)
        #expect(
            request.line == "PATCH /apis/source.toolkit.fluxcd.io/v1/namespaces/team-a/gitrepositories/webapp HTTP/1.1")
        #expect(request.field("content-type") == "application/merge-patch+json")
        #expect(request.field("authorization") == "Bearer tok")
        #expect(request.field("user-agent") == "grapnel/test")
        #expect(
            String(decoding: request.body, as: UTF8.self)
                == #"{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"2026-01-01T00:00:00.000000005Z"}}}"#
        )
    }

    @Test("A version that is not served is replaced by one that is")
    func otherVersion() async throws {
        let server = server(versions: ["v1beta2"])
        defer { server.stop() }
        #expect(try await run(server, target()) == .done)
        #expect(server.requests.last?.line.contains("/v1beta2/") == true)
    }

    @Test("A target served in v1alpha1 alone gets both annotations, one served in others too does not")
    func oldAnnotation() async throws {
        let old = server(versions: ["v1alpha1"])
        defer { old.stop() }
        #expect(try await run(old, target()) == .done)
        #expect(
            String(decoding: old.requests.last?.body ?? [], as: UTF8.self)
                == #"{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"2026-01-01T00:00:00.000000005Z","#
                + #""fluxcd.io/reconcileAt":"2026-01-01T00:00:00.000000005Z"}}}"#)
        let both = server(versions: ["v1beta1", "v1alpha1"])
        defer { both.stop() }
        #expect(try await run(both, target(apiVersion: "source.toolkit.fluxcd.io/v1alpha1")) == .done)
        #expect(both.requests.last?.line.contains("/v1alpha1/") == true)
        #expect(String(decoding: both.requests.last?.body ?? [], as: UTF8.self).contains("reconcileAt") == false)
    }

    @Test("No two patches have the same value, whatever the clock says")
    func uniqueValues() {
        let time = UniqueTime(clock: { epoch })
        let values = (0..<1000).map { _ in Timestamp.rfc3339(nanoseconds: time.next()) }
        #expect(Set(values).count == 1000)
        #expect(values == values.sorted())
    }

    @Test(
        "Refusals are judged as time heals them or not",
        arguments: [
            ("401 Unauthorized", "", .healable, .server), ("403 Forbidden", "", .healable, .resource),
            ("404 Not Found", "404 page not found", .healable, .resource),
            ("404 Not Found", #"{"kind":"Status","reason":"NotFound","details":{}}"#, .healable, .resource),
            (
                "404 Not Found",
                #"{"kind":"Status","reason":"NotFound","details":{"name":"webapp","kind":"gitrepositories"}}"#,
                .objectMissing, .target
            ),
            ("409 Conflict", "", .judged, .target), ("422 Unprocessable Entity", "", .final, .target),
            ("429 Too Many Requests", "", .healable, .server), ("500 Error", "", .healable, .server),
            ("500 Error", #"{"kind":"Status","reason":"InternalError"}"#, .healable, .resource),
            ("503 Unavailable", "", .healable, .server), ("302 Found", "", .healable, .server),
        ] as [(String, String, ActionFailure.Verdict, ActionFailure.Scope)])
    func refusals(
        status: String, body: String, verdict: ActionFailure.Verdict, scope: ActionFailure.Scope
    ) async throws {
        let server = server(patch: .bytes(answer(status, body, fields: ["Retry-After: 3"])))
        defer { server.stop() }
        let result = failure(try await run(server, target()))
        #expect(result?.verdict == verdict)
        #expect(result?.scope == scope)
        #expect(result?.retryAfterNanoseconds == 3 * second)
        #expect(result?.reason.contains("webapp") == true)
    }

    @Test("Dates are right at the ends of months, leap days and years")
    func dates() {
        #expect(Timestamp.rfc3339(nanoseconds: 0) == "1970-01-01T00:00:00.000000000Z")
        #expect(Timestamp.rfc3339(nanoseconds: 951_827_696_000_000_001) == "2000-02-29T12:34:56.000000001Z")
        #expect(Timestamp.rfc3339(nanoseconds: 1_777_638_896_789_012_345) == "2026-05-01T12:34:56.789012345Z")
        #expect(Timestamp.rfc3339(nanoseconds: 4_102_444_799_999_999_999) == "2099-12-31T23:59:59.999999999Z")
    }
}
