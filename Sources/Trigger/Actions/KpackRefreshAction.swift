// KpackRefreshAction: has a kpack controller look at an object, and so at its registry, again: two annotations in one merge patch.
//
// kpack's controllers enqueue on every update of an object and read the registry when they reconcile. Spec and status are never
// written, and the version that is stored is the one that is patched (kpack-cli issue 224: writing through v1alpha1 lost fields).
//
// An object that was patched for the same image and digest a moment ago is left alone (RefreshMemory). Senders that name no digest
// are always heard.

import Delivery
import Foundation
public import Kubernetes

public struct KpackRefreshAction: ActionRunner {
    private let client: @Sendable (String) -> KubernetesClient?
    private let time = UniqueTime()
    private let memory: RefreshMemory
    private let clock: @Sendable () -> UInt64

    /// `windowSeconds`: how long a patch for one digest stands in the way of the next; 0: not at all.
    public init(client: @escaping @Sendable (String) -> KubernetesClient?, windowSeconds: UInt32 = 600) {
        self.init(client: client, windowSeconds: windowSeconds, clock: { DispatcherClock.wall })
    }

    init(
        client: @escaping @Sendable (String) -> KubernetesClient?, windowSeconds: UInt32,
        clock: @escaping @Sendable () -> UInt64
    ) {
        self.client = client
        self.memory = RefreshMemory(windowNanoseconds: UInt64(windowSeconds) * 1_000_000_000)
        self.clock = clock
    }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .kpackRefresh(let target, let image, let forcesBuild) = attempt.action,
            let apiVersion = target.apiVersion
        else { return .failed(ActionFailure(.final, scope: .none, reason: "not a kpack-refresh action")) }
        guard let client = client(target.cluster) else { return .failed(.noCluster(target.cluster)) }
        let digest = Self.digest(of: image, for: target, attempt)
        if let digest, memory.holds(target, image, forcesBuild: forcesBuild, digest, now: clock()) {
            return .ignored(reason: Delivery.IgnoredReason.upToDate.name)
        }
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
            memory.note(target, image, forcesBuild: forcesBuild, digest, now: clock())
            return .done
        } catch {
            // What was deleted needs no refresh.
            if error.isObjectMissing { return .ignored(reason: "the object no longer exists") }
            return .failed(ReconcileAction.failure(error))
        }
    }

    /// What the sender says that the image is now, where it says it; nil: nobody knows, so nothing is left out.
    private static func digest(of image: String, for target: TargetReference, _ attempt: ActionAttempt) -> String? {
        guard let payload = attempt.payload else { return nil }
        if let rules = attempt.rules as? BuildServiceRules {
            let digests = rules.refreshes(of: payload.request).filter { $0.image == image }.map(\.digest)
            return single(digests)
        }
        return single(attempt.event.digests(of: image))
    }

    /// The one digest that all of them name.
    private static func single(_ digests: [String?]) -> String? {
        guard let first = digests.first, digests.allSatisfy({ $0 == first }) else { return nil }
        return first
    }
}
