// ReconcileAction: asks a Flux controller to look again, by the annotation that all of them watch.
//
// One JSON merge patch without a resource version: it cannot conflict and can be repeated. The value is opaque to the
// controllers, but it must differ from the one before. Sources served in v1alpha1 alone are of the time before
// October 2020, when the annotation had another name: they get both. (fluxcd/notification-controller v1.9.3,
// internal/server/receiver_handlers.go; flux2 cmd/flux/reconcile.go.)

import Delivery
public import Kubernetes

public struct ReconcileAction: ActionRunner {
    /// The client of a cluster by its name; nil: there is no such cluster.
    private let client: @Sendable (String) -> KubernetesClient?
    private let time: UniqueTime

    public init(client: @escaping @Sendable (String) -> KubernetesClient?) {
        self.init(client: client, time: UniqueTime())
    }

    init(client: @escaping @Sendable (String) -> KubernetesClient?, time: UniqueTime) {
        self.client = client
        self.time = time
    }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .reconcile(let target) = attempt.action else {
            return .failed(ActionFailure(.final, scope: .none, reason: "not a reconcile action"))
        }
        guard FluxKinds.apiVersion(of: target) != nil else {
            return .failed(
                ActionFailure(
                    .final, scope: .none,
                    reason: "\(target): the kind has no default apiVersion; write one in the receiver"))
        }
        guard let client = client(target.cluster) else {
            return .failed(
                ActionFailure(
                    .healable, scope: .server,
                    reason: "cluster \"\(target.cluster)\" is not configured; start with --kubernetes"))
        }
        do throws(KubernetesError) {
            let group = FluxKinds.group(of: target)
            let resource = try await Self.resource(of: target, client)
            if attempt.isConfined, !resource.isNamespaced {
                return .failed(
                    ActionFailure(
                        .final, scope: .none,
                        reason:
                            "\(target): a Hook acts on objects of its own namespace only, and this kind has none; the "
                            + "operator of the server can allow it with the setting allowCrossNamespace"))
            }
            var annotations = [Self.requestedAt]
            if resource.version == "v1alpha1",
                try await client.servedVersions(group: group, kind: target.kind) == ["v1alpha1"]
            {
                annotations.append(Self.reconcileAt)
            }
            try await client.mergePatch(
                resource, namespace: target.namespace, name: target.name,
                body: Self.patch(annotations, Timestamp.rfc3339(nanoseconds: time.next())))
            return .done
        } catch {
            return .failed(Self.failure(error))
        }
    }

    /// How the API server serves a target. A version that was written down must be served as it is; a default one is replaced by
    /// whatever its group serves.
    static func resource(
        of target: TargetReference, _ client: KubernetesClient
    ) async throws(KubernetesError) -> APIResource {
        let group = FluxKinds.group(of: target)
        let apiVersion = FluxKinds.apiVersion(of: target) ?? ""
        let version = apiVersion.contains("/") ? String(apiVersion.dropFirst(group.count + 1)) : apiVersion
        let resource = try await client.resource(group: group, version: version, kind: target.kind)
        if let written = target.apiVersion, !written.isEmpty, resource.version != version {
            throw KubernetesError(
                call: KubernetesCall(
                    verb: "get", group: group, resource: target.kind, namespace: target.namespace, name: target.name),
                cause: .kindNotServed)
        }
        return resource
    }

    private static let requestedAt = "reconcile.fluxcd.io/requestedAt"
    private static let reconcileAt = "fluxcd.io/reconcileAt"

    /// The patch; neither names nor value hold anything that JSON would escape.
    static func patch(_ annotations: [String], _ value: String) -> [UInt8] {
        let members = annotations.map { "\"\($0)\":\"\(value)\"" }.joined(separator: ",")
        return Array("{\"metadata\":{\"annotations\":{\(members)}}}".utf8)
    }

    /// What an API server's refusal means for the trigger (DESIGN section 7).
    static func failure(_ error: KubernetesError) -> ActionFailure {
        let mayHaveActed =
            switch error.cause {
            case .connection, .timeout, .unreadableAnswer: true
            // A gateway's answer, or one after a part of the work.
            case .status(let code): code < 400 || code == 408 || code >= 500
            case .kindNotServed, .credentials, .invalidName, .shutDown: false
            }
        func failure(_ verdict: ActionFailure.Verdict, _ scope: ActionFailure.Scope) -> ActionFailure {
            // A refusal heals when somebody changes a rule or a starting server has filled its caches: that takes seconds at least.
            let isRefused = error.statusCode == 401 || error.statusCode == 403
            let floor: UInt64? = isRefused ? 5_000_000_000 : nil
            return ActionFailure(
                verdict, scope: scope,
                retryAfterNanoseconds: error.retryAfterNanoseconds ?? floor,
                reason: error.description, mayHaveActed: mayHaveActed)
        }
        switch error.cause {
        case .connection, .timeout, .unreadableAnswer, .credentials: return failure(.healable, .server)
        case .kindNotServed: return failure(.healable, .resource)
        case .invalidName: return failure(.final, .none)
        case .shutDown: return failure(.healable, .none)
        case .status(let code):
            switch code {
            case 401, 408, 429: return failure(.healable, .server)
            case 403: return failure(.healable, .resource)
            case 404: return error.isObjectMissing ? failure(.objectMissing, .target) : failure(.healable, .resource)
            case 409: return failure(.judged, .target)
            // An answer in the server's own words is about this resource: an admission webhook, a conversion.
            case 500 where error.status != nil: return failure(.healable, .resource)
            case 500...: return failure(.healable, .server)
            // Something in between answers, not the API server.
            case ..<400: return failure(.healable, .server)
            default: return failure(.final, .target)
            }
        }
    }
}
