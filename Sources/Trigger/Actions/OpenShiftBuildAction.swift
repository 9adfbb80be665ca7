// OpenShiftBuildAction: has an OpenShift BuildConfig build, through its instantiate sub-resource (openshift-apiserver,
// pkg/build/apiserver/registry/buildconfiginstantiate).
//
// Two calls build twice. So the request has a label that names the delivery, which the API server merges into the Build; an attempt that
// may be a repetition lists the Builds with that label first. A first attempt does not. Two things are left: the label is
// not found while a call whose answer was lost is still being carried out, and without the right to list builds nothing can be found.
// Then it is built again, since losing the build would be worse.

import Delivery
public import Kubernetes

public struct OpenShiftBuildAction: ActionRunner {
    private let client: @Sendable (String) -> KubernetesClient?

    public init(client: @escaping @Sendable (String) -> KubernetesClient?) { self.client = client }

    // Aggregated by a server of its own: its discovery may be away while the paths work.
    private static let configs = APIResource(
        group: "build.openshift.io", version: "v1", kind: "BuildConfig", plural: "buildconfigs", isNamespaced: true)
    private static let builds = APIResource(
        group: "build.openshift.io", version: "v1", kind: "Build", plural: "builds", isNamespaced: true)

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .openshiftBuild(let target, let request) = attempt.action else {
            return .failed(ActionFailure(.final, scope: .none, reason: "not an openshift-build action"))
        }
        guard let client = client(target.cluster) else { return .failed(.noCluster(target.cluster)) }
        do throws(KubernetesError) {
            if attempt.isRepeat, let key = attempt.key,
                try await key.isCarried(by: Self.builds, in: target.namespace, client)
            {
                return .done
            }
            try await client.create(
                Self.configs, namespace: target.namespace, name: target.name, subresource: "instantiate",
                body: attempt.key?.labelling(request) ?? request)
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
