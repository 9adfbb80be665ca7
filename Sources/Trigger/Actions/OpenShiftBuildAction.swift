// OpenShiftBuildAction: has an OpenShift BuildConfig build, through its instantiate sub-resource (openshift-apiserver,
// pkg/build/apiserver/registry/buildconfiginstantiate).
//
// Two calls build twice. So the request has a label that names the delivery, which the API server merges into the Build; an attempt that
// may be a repetition lists the Builds with that label first, and says in the request how many builds the config had before it looked
// (`lastVersion`, compared by the server): a call of before, still being carried out, then makes this one fail, and it looks again. A
// first attempt does neither. What is left: such a call may count its build before this attempt begins and make it afterwards, or come
// after it; and without the right to list builds nothing can be found. Then it is built again, since losing the build would be worse.

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
    /// How often a repetition looks anew because somebody else's build came between.
    private static let looksMax = 5

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .openshiftBuild(let target, let request) = attempt.action else {
            return .failed(ActionFailure(.final, scope: .none, reason: "not an openshift-build action"))
        }
        guard let client = client(target.cluster) else { return .failed(.noCluster(target.cluster)) }
        let labelled = attempt.key?.labelling(request) ?? request
        do throws(KubernetesError) {
            if attempt.isRepeat, let key = attempt.key {
                return try await buildUnlessMade(target, labelled, key, client)
            }
            try await build(target, labelled, client)
            return .done
        } catch {
            return .failed(ReconcileAction.failure(error))
        }
    }

    private func build(
        _ target: TargetReference, _ request: [UInt8], _ client: KubernetesClient
    ) async throws(KubernetesError) {
        try await client.create(
            Self.configs, namespace: target.namespace, name: target.name, subresource: "instantiate", body: request)
    }

    private func buildUnlessMade(
        _ target: TargetReference, _ request: [UInt8], _ key: RepeatKey, _ client: KubernetesClient
    ) async throws(KubernetesError) -> ActionResult {
        for _ in 0..<Self.looksMax {
            let version = try await lastVersion(of: target, client)
            if try await key.isCarried(by: Self.builds, in: target.namespace, client) { return .done }
            do {
                try await build(target, version.map { Self.request(request, after: $0) } ?? request, client)
                return .done
            } catch {
                guard version != nil, Self.isOvertaken(error) else { throw error }
            }
        }
        return .failed(
            ActionFailure(
                .judged, scope: .target,
                reason: "other builds of BuildConfig \"\(target.name)\" begin all the time, so that it cannot be told "
                    + "whether this one was made before"))
    }

    /// `status.lastVersion` as it stands there; nil without the right to read it.
    private func lastVersion(
        of target: TargetReference, _ client: KubernetesClient
    ) async throws(KubernetesError) -> String? {
        do {
            let config = try await client.getObject(Self.configs, namespace: target.namespace, name: target.name)
            guard case .number(let text)? = JSONValue(config)?["status"]?["lastVersion"] else { return "0" }
            return text
        } catch {
            if error.statusCode == 403 { return nil }
            throw error
        }
    }

    /// The request, to be refused when the config has got another build since `version`.
    private static func request(_ request: [UInt8], after version: String) -> [UInt8] {
        guard var members = JSONValue(request)?.members else { return request }
        members.removeAll { $0.name == "lastVersion" }
        members.append(.init(name: "lastVersion", value: .number(version)))
        return JSONValue.object(members).serialized
    }

    /// "the LastVersion(8) on build config team-a/app does not match the build request LastVersion(7)"
    /// (openshift-apiserver, pkg/build/apiserver/buildgenerator).
    private static func isOvertaken(_ error: KubernetesError) -> Bool {
        error.statusCode == 400 && error.status?.message?.lowercased().contains("lastversion") == true
    }
}

extension ActionFailure {
    /// Healed by a restart with that cluster; until then the trigger stays owed.
    static func noCluster(_ name: String) -> ActionFailure {
        ActionFailure(
            .healable, scope: .server, reason: "cluster \"\(name)\" is not configured; start with --kubernetes")
    }
}
