// OpenShiftRelayAction: hands a verified delivery to the API server's own webhook of its BuildConfig, with a bearer token in place of an
// anonymous caller (openshift-apiserver, pkg/build/apiserver/registry/buildconfig/webhook.go).
//
// The secret of the path was overwritten in the record; the present one of the trigger that accepted the delivery takes its place, so
// that the API server comes to the same trigger and its `allowEnv`.

import Delivery
public import Kubernetes

public struct OpenShiftRelayAction: ActionRunner {
    private let client: @Sendable (String) -> KubernetesClient?

    /// What the API server's webhooks look at.
    private static let relayed = [
        "x-github-event", "x-gogs-event", "x-gitea-event", "x-gitlab-event", "x-event-key", "x-github-delivery",
    ]

    public init(client: @escaping @Sendable (String) -> KubernetesClient?) { self.client = client }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .openshiftRelay(let target, let hook) = attempt.action, let payload = attempt.payload else {
            return .failed(ActionFailure(.final, scope: .none, reason: "not an openshift-relay action"))
        }
        guard let rules = attempt.rules as? OpenShiftRules, let (type, secret) = rules.relay(hook) else {
            return .ignored(reason: IgnoredReason.routeRemoved)
        }
        guard let client = client(target.cluster) else { return .failed(.noCluster(target.cluster)) }
        do throws(KubernetesError) {
            let resource = APIResource(
                group: "build.openshift.io", version: "v1", kind: "BuildConfig", plural: "buildconfigs",
                isNamespaced: true)
            try await client.relay(
                resource, namespace: target.namespace, name: target.name,
                segments: [Array("webhooks".utf8), secret.bytes, Array(type.utf8)],
                fields: payload.headers.filter { Self.relayed.contains($0.name.lowercased()) }.map {
                    ($0.name, $0.value)
                }, contentType: payload.contentType, body: payload.body)
            return .done
        } catch {
            return .failed(ReconcileAction.failure(error))
        }
    }
}
