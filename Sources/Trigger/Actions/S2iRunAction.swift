// S2iRunAction: creates a KubeSphere S2iRun, which its operator carries out (kubesphere/s2ioperator).

import Delivery
public import Kubernetes

public struct S2iRunAction: ActionRunner {
    private let client: @Sendable (String) -> KubernetesClient?

    public init(client: @escaping @Sendable (String) -> KubernetesClient?) { self.client = client }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .s2iRun(let builder, let run) = attempt.action else {
            return .failed(ActionFailure(.final, scope: .none, reason: "not an s2i-run action"))
        }
        guard let client = client(builder.cluster) else { return .failed(.noCluster(builder.cluster)) }
        do throws(KubernetesError) {
            let resource = APIResource(
                group: "devops.kubesphere.io", version: "v1alpha1", kind: "S2iRun", plural: "s2iruns",
                isNamespaced: true)
            try await client.create(resource, namespace: builder.namespace, body: run)
            return .done
        } catch {
            return .failed(ReconcileAction.failure(error))
        }
    }
}
