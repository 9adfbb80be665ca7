// S2iRunAction: creates a KubeSphere S2iRun, which its operator carries out (kubesphere/s2ioperator).
//
// The run's name follows from delivery and plan, so that a repetition meets the run that an earlier attempt made: 409 AlreadyExists
// says that there is nothing left to do. It costs no call more, the first time or later. `generateName` stays in the object, where
// the API server leaves it aside.

import Delivery
public import Kubernetes

public struct S2iRunAction: ActionRunner {
    private let client: @Sendable (String) -> KubernetesClient?

    /// As long as the API server makes names out of `generateName`.
    private static let nameBytesMax = 63

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
            let body = attempt.key.map { $0.labelling(run, name: Self.name(builder.name, $0)) } ?? run
            try await client.create(resource, namespace: builder.namespace, body: body)
            return .done
        } catch {
            if attempt.key != nil, error.statusCode == 409, error.status?.reason == "AlreadyExists" { return .done }
            return .failed(ReconcileAction.failure(error))
        }
    }

    /// `<builder>-<key>`; a long builder's name is cut, and never before a character that may not end a label.
    static func name(_ builder: String, _ key: RepeatKey) -> String {
        var prefix = builder.prefix(nameBytesMax - 1 - key.description.utf8.count)
        while let last = prefix.last, last == "." || last == "-" { prefix = prefix.dropLast() }
        return prefix.isEmpty ? "run-\(key)" : "\(prefix)-\(key)"
    }
}
