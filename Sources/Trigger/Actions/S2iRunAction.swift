// S2iRunAction: creates a KubeSphere S2iRun, which its operator carries out (kubesphere/s2ioperator).
//
// The API server makes the name. What names the delivery is a label, by which an attempt that may be a repetition finds the run that an
// earlier one made (`RepeatKey.isCarried`). A first attempt does not look.

import Delivery
public import Kubernetes

public struct S2iRunAction: ActionRunner {
    private let client: @Sendable (String) -> KubernetesClient?

    private static let runs = APIResource(
        group: "devops.kubesphere.io", version: "v1alpha1", kind: "S2iRun", plural: "s2iruns", isNamespaced: true)

    public init(client: @escaping @Sendable (String) -> KubernetesClient?) { self.client = client }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .s2iRun(let builder, let run) = attempt.action else {
            return .failed(ActionFailure(.final, scope: .none, reason: "not an s2i-run action"))
        }
        guard let client = client(builder.cluster) else { return .failed(.noCluster(builder.cluster)) }
        do throws(KubernetesError) {
            if attempt.isRepeat, let key = attempt.key,
                try await key.isCarried(by: Self.runs, in: builder.namespace, client)
            {
                return .done
            }
            try await client.create(
                Self.runs, namespace: builder.namespace, body: attempt.key?.labelling(run) ?? run)
            return .done
        } catch {
            return .failed(ReconcileAction.failure(error))
        }
    }
}
