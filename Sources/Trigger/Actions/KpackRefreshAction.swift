// KpackRefreshAction: has a kpack controller look at an object, and so at its registry, again: two annotations in one merge patch.
//
// kpack's controllers enqueue on every update of an object and read the registry when they reconcile. Spec and status are never
// written, and the version that is stored is the one that is patched (kpack-cli issue 224: writing through v1alpha1 lost fields).

import Delivery
import Foundation
public import Kubernetes

public struct KpackRefreshAction: ActionRunner {
    private let client: @Sendable (String) -> KubernetesClient?
    private let time = UniqueTime()

    public init(client: @escaping @Sendable (String) -> KubernetesClient?) { self.client = client }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .kpackRefresh(let target, let image, let forcesBuild) = attempt.action,
            let apiVersion = target.apiVersion
        else { return .failed(ActionFailure(.final, scope: .none, reason: "not a kpack-refresh action")) }
        guard let client = client(target.cluster) else { return .failed(.noCluster(target.cluster)) }
        let now = Timestamp.rfc3339(nanoseconds: time.next())
        // A Build that is to be repeated says so by one annotation, whose presence alone counts.
        let annotations: [JSONValue.Member]
        if forcesBuild, target.kind == "Build" {
            let name = apiVersion.hasPrefix("build.pivotal.io/") ? "image.build.pivotal.io" : "image.kpack.io"
            annotations = [.init(name: "\(name)/additionalBuildNeeded", value: .string(now))]
        } else {
            annotations = [
                .init(name: "grapnel.dev/refresh-requested-at", value: .string(now)),
                .init(name: "grapnel.dev/refresh-image", value: .string(image)),
            ]
        }
        let patch: JSONValue = ["metadata": ["annotations": .object(annotations)]]
        do throws(KubernetesError) {
            try await client.mergePatch(
                apiVersion: apiVersion, kind: target.kind, namespace: target.namespace, name: target.name,
                body: patch.serialized)
            return .done
        } catch {
            // What was deleted needs no refresh.
            if error.isObjectMissing { return .ignored(reason: "the object no longer exists") }
            return .failed(ReconcileAction.failure(error))
        }
    }
}
