import Delivery
import Foundation
import Kubernetes
import Logging
import Testing

@testable import Trigger

@Suite("Builds, runs and relays")
struct BuildActionTests {
    private let config = TargetReference(
        apiVersion: "build.openshift.io/v1", kind: "BuildConfig", namespace: "team-a", name: "orders")

    private func run(
        _ runner: (@escaping @Sendable (String) -> KubernetesClient?) -> any ActionRunner, _ action: Action,
        answer text: String, payload: DeliveryPayload? = nil, rules: (any ReceiverRules)? = nil
    ) async throws -> (result: ActionResult, requests: [RawRequest]) {
        let server = RawServer { _, _ in .bytes(text) }
        defer { server.stop() }
        let client = try KubernetesClient(
            Kubeconfig(server: server.url, token: .inline(SecretText("tok"))), settings: .patient,
            logger: Logger(label: "test"))
        let result = await runner { _ in client }.run(
            ActionAttempt(
                sequence: 1, planIndex: 0, number: 1, route: hook("a"), receivedNanoseconds: epoch, action: action,
                payload: payload, event: Event(), rules: rules))
        await client.shutdown()
        return (result, server.requests)
    }

    @Test("a build is one call of instantiate with the request as it was planned")
    func instantiate() async throws {
        let body = Array(#"{"kind":"BuildRequest"}"#.utf8)
        let (result, requests) = try await run(
            { OpenShiftBuildAction(client: $0) }, .openshiftBuild(config, buildRequest: body),
            answer: answer("201 Created", "{}"))
        #expect(result == .done && requests.count == 1)
        #expect(
            requests.first?.line
                == "POST /apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/orders/instantiate HTTP/1.1")
        #expect(requests.first?.body == body && requests.first?.field("authorization") == "Bearer tok")
        #expect(requests.first?.field("content-type") == "application/json")
    }

    @Test("a run is created in its builder's namespace")
    func run() async throws {
        let builder = TargetReference(apiVersion: nil, kind: "S2iBuilder", namespace: "team-a", name: "b")
        let (result, requests) = try await run(
            { S2iRunAction(client: $0) }, .s2iRun(builder, run: Array("{}".utf8)), answer: answer("201 Created", "{}"))
        #expect(result == .done)
        #expect(requests.map(\.line) == ["POST /apis/devops.kubesphere.io/v1alpha1/namespaces/team-a/s2iruns HTTP/1.1"])
    }

    @Test(
        "refusals are judged: a pause for 403, an attempt for 409, the end for 400",
        arguments: [
            ("403 Forbidden", ActionFailure.Verdict.healable, UInt64?(5 * second)), ("409 Conflict", .judged, nil),
            ("400 Bad Request", .final, nil), ("503 Service Unavailable", .healable, nil),
        ])
    func refused(status: String, verdict: ActionFailure.Verdict, pause: UInt64?) async throws {
        let (result, _) = try await run(
            { OpenShiftBuildAction(client: $0) }, .openshiftBuild(config, buildRequest: [0x7b, 0x7d]),
            answer: answer(status, ""))
        guard case .failed(let failure) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(failure.verdict == verdict && failure.retryAfterNanoseconds == pause)
    }

    private func rules(_ secret: String, mode: OpenShiftMode) -> OpenShiftRules {
        OpenShiftRules(
            BuildConfigFacts(
                namespace: "team-a", name: "orders",
                triggers: [.init(type: .github, inlineSecret: SecretBytes(Array(secret.utf8)))],
                git: .init(uri: "https://h/o/r", ref: "main")),
            settings: OpenShiftSettings(mode: mode))
    }

    @Test("a relay posts the delivery as it came, under the trigger's present secret, which no error names")
    func relay() async throws {
        let body = Array(#"{"ref":"refs/heads/main"}"#.utf8)
        let payload = DeliveryPayload(
            sender: .github, deliveryID: "d", eventKind: "push", contentType: "application/json", method: "POST",
            target: "/x",
            headers: [
                .init(name: "X-GitHub-Event", value: "push"), .init(name: "Cookie", value: "*****"),
            ], body: body)
        let action = Action.openshiftRelay(config, type: "github")
        let (result, requests) = try await run(
            { OpenShiftRelayAction(client: $0) }, action, answer: answer("200 OK", ""), payload: payload,
            rules: rules("s/ecret?", mode: .relay))
        #expect(result == .done && requests.count == 1 && requests.first?.body == body)
        #expect(
            requests.first?.line
                == "POST /apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/orders/webhooks/s%2Fecret%3F/github HTTP/1.1"
        )
        #expect(requests.first?.field("x-github-event") == "push" && requests.first?.field("cookie") == nil)

        let (refused, _) = try await run(
            { OpenShiftRelayAction(client: $0) }, action, answer: answer("401 Unauthorized", ""), payload: payload,
            rules: rules("hunter2hunter2", mode: .relay))
        guard case .failed(let failure) = refused else {
            Issue.record("\(refused)")
            return
        }
        #expect(!failure.reason.contains("hunter2") && failure.reason.contains("buildconfigs/webhooks"))

        let (gone, none) = try await run(
            { OpenShiftRelayAction(client: $0) }, action, answer: answer("200 OK", ""), payload: payload, rules: nil)
        #expect(gone == .ignored(reason: IgnoredReason.routeRemoved) && none.isEmpty)
    }

    @Test("the mode of the settings, and the config's own before it, says how a delivery becomes a Build")
    func modes() {
        let request = InboundRequest(
            method: "POST",
            path: "/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/orders/webhooks/secret/github",
            fields: [
                .init(name: "content-type", value: "application/json"), .init(name: "x-github-event", value: "push"),
            ], body: Array(#"{"ref":"refs/heads/main"}"#.utf8))
        let facts = DeliveryFacts(sequence: 1, receivedNanoseconds: 0, deliveryID: "")
        #expect(rules("secret", mode: .relay).rule(on: request, now: 0).decision == .accepted)
        #expect(
            rules("secret", mode: .relay).triggers(of: request, facts)
                == .actions([.openshiftRelay(config, type: "github")]))
        guard case .actions(let actions) = rules("secret", mode: .instantiate).triggers(of: request, facts),
            case .openshiftBuild? = actions.first
        else {
            Issue.record("no build")
            return
        }
    }
}
