// OpenShiftBuildAction: has an OpenShift BuildConfig build, through its instantiate sub-resource (openshift-apiserver,
// pkg/build/apiserver/registry/buildconfiginstantiate). Two calls build twice, so an attempt whose answer was lost is repeated only
// because losing the build would be worse.

import Delivery
public import Kubernetes

public struct OpenShiftBuildAction: ActionRunner {
    private let client: @Sendable (String) -> KubernetesClient?

    public init(client: @escaping @Sendable (String) -> KubernetesClient?) { self.client = client }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .openshiftBuild(let target, let request) = attempt.action else {
            return .failed(ActionFailure(.final, scope: .none, reason: "not an openshift-build action"))
        }
        guard let client = client(target.cluster) else { return .failed(.noCluster(target.cluster)) }
        do throws(KubernetesError) {
            // Aggregated by a server of its own: its discovery may be away while the path works.
            let resource = APIResource(
                group: "build.openshift.io", version: "v1", kind: "BuildConfig", plural: "buildconfigs",
                isNamespaced: true)
            try await client.create(
                resource, namespace: target.namespace, name: target.name, subresource: "instantiate", body: request)
            return .done
        } catch {
            return .failed(ReconcileAction.failure(error))
        }
    }
}

extension ActionFailure {
    /// Healed by a restart with that cluster; until then the trigger stays owed.
    static func noCluster(_ name: String) -> ActionFailure {
        ActionFailure(
            .healable, scope: .server, reason: "cluster \"\(name)\" is not configured; start with --kubernetes")
    }
}
