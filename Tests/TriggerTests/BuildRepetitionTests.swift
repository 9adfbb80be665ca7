import Delivery
import Foundation
import Kubernetes
import Logging
import Synchronization
import Testing

@testable import Trigger

@Suite("Builds that may have been made before")
struct BuildRepetitionTests {
    private let config = TargetReference(
        apiVersion: "build.openshift.io/v1", kind: "BuildConfig", namespace: "team-a", name: "orders")

    /// A BuildConfig that has had 7 builds; `builds` answers the lists of builds, `instantiate` the calls that build, in turn.
    private func repeated(
        config: String = answer("200 OK", #"{"status":{"lastVersion":7}}"#), builds: [String],
        instantiate: [String] = []
    ) async throws -> (result: ActionResult, requests: [RawRequest]) {
        let left = Mutex((builds: builds, instantiate: instantiate))
        let server = RawServer { request, _ in
            left.withLock { left in
                if request.line.hasPrefix("POST") { return .bytes(left.instantiate.removeFirst()) }
                return .bytes(request.line.contains("labelSelector") ? left.builds.removeFirst() : config)
            }
        }
        defer { server.stop() }
        let client = try KubernetesClient(
            Kubeconfig(server: server.url, token: .inline(SecretText("tok"))), settings: .patient,
            logger: Logger(label: "test"))
        let action = Action.openshiftBuild(self.config, buildRequest: Array(#"{"kind":"BuildRequest"}"#.utf8))
        let result = await OpenShiftBuildAction { _ in client }.run(
            ActionAttempt(
                sequence: 1, planIndex: 0, number: 2, route: hook("a"), receivedNanoseconds: epoch, action: action,
                payload: nil, event: Event(),
                key: RepeatKey(DeliveryOrigin(journal: 1, sequence: 1), PlannedAction(action).encoded), isRepeat: true))
        await client.shutdown()
        return (result, server.requests)
    }

    private let noBuilds = answer("200 OK", #"{"kind":"PartialObjectMetadataList","metadata":{},"items":[]}"#)
    private let aBuild = answer(
        "200 OK",
        #"{"kind":"PartialObjectMetadataList","metadata":{},"items":[{"metadata":{"name":"orders-8","namespace":"team-a"}}]}"#
    )
    private let overtaken = answer(
        "400 Bad Request",
        #"{"kind":"Status","reason":"BadRequest","code":400,"message":"the LastVersion(8) on build config team-a/orders does not match the build request LastVersion(7)"}"#
    )

    @Test("a repetition builds only if no build was made since it looked, and looks again when one was")
    func builtSince() async throws {
        let made = try await repeated(builds: [aBuild])
        #expect(made.result == .done && made.requests.allSatisfy { $0.line.hasPrefix("GET") })
        let first = try await repeated(builds: [noBuilds], instantiate: [answer("201 Created", "{}")])
        #expect(first.result == .done && first.requests.count == 3)
        let sent = first.requests.last.flatMap { JSONValue($0.body) }
        #expect(sent?["lastVersion"] == .number("7") && sent?["kind"] == .string("BuildRequest"))
        #expect(sent?["metadata"]?["labels"]?[RepeatKey.label]?.text?.utf8.count == 13)
        // The call of before was still being carried out: its build is found at the second look.
        let since = try await repeated(builds: [noBuilds, aBuild], instantiate: [overtaken])
        #expect(since.result == .done && since.requests.filter { $0.line.hasPrefix("POST") }.count == 1)
        // Somebody else's.
        let other = try await repeated(
            builds: [noBuilds, noBuilds], instantiate: [overtaken, answer("201 Created", "{}")])
        #expect(other.result == .done && other.requests.count == 6)
    }

    @Test("a repetition that is overtaken again and again, or may not look, ends with what it knows")
    func notKnown() async throws {
        let busy = try await repeated(
            builds: Array(repeating: noBuilds, count: 5), instantiate: Array(repeating: overtaken, count: 5))
        guard case .failed(let failure) = busy.result else { throw UnexpectedResult(busy.result) }
        #expect(failure.verdict == .judged && failure.reason.contains("orders"))
        // Another 400 is the end, and is not asked for again.
        let paused = try await repeated(
            builds: [noBuilds],
            instantiate: [answer("400 Bad Request", #"{"kind":"Status","message":"BuildConfig is paused"}"#)])
        guard case .failed(let refusal) = paused.result else { throw UnexpectedResult(paused.result) }
        #expect(refusal.verdict == .final && paused.requests.count == 3)
        // Without the right to read it, as before.
        let blind = try await repeated(
            config: answer("403 Forbidden", ""), builds: [noBuilds], instantiate: [answer("201 Created", "{}")])
        #expect(blind.result == .done && JSONValue(blind.requests.last?.body ?? [])?["lastVersion"] == nil)
        let none = try await repeated(
            config: answer("200 OK", "{}"), builds: [noBuilds], instantiate: [answer("201 Created", "{}")])
        #expect(none.result == .done && JSONValue(none.requests.last?.body ?? [])?["lastVersion"] == .number("0"))
        let gone = try await repeated(
            config: answer(
                "404 Not Found",
                #"{"kind":"Status","reason":"NotFound","code":404,"details":{"name":"orders","kind":"buildconfigs"}}"#),
            builds: [])
        guard case .failed(let missing) = gone.result else { throw UnexpectedResult(gone.result) }
        #expect(missing.verdict == .objectMissing)
    }

    private struct UnexpectedResult: Error {
        var result: ActionResult
        init(_ result: ActionResult) { self.result = result }
    }
}
