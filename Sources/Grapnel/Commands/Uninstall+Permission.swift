// Whether anything may be removed: no replica runs, and the finalizer on Receivers is this server's.

import Cluster
import Delivery
import Foundation
import Kubernetes

extension Uninstall {
    struct IdleLease {
        var namespace: String
        var uid: String
        var resourceVersion: String
    }

    /// The Lease, if there is one and nobody renews it.
    func idleLease() async throws(CommandFailure) -> IdleLease? {
        let namespace = client.kubeconfig.namespace
        guard let first = try await readLease(namespace) else { return nil }
        var now = first
        let holder = first["spec"]?["holderIdentity"]?.text ?? ""
        if !holder.isEmpty {
            // No clock but ours: a holder that lives renews it within its duration.
            let seconds = Self.integer(first["spec"]?["leaseDurationSeconds"]) ?? 15
            Terminal.error(
                "Lease/\(namespace)/\(Self.leaseName) names \(Plain.text(holder)): watching for a while whether it lives"
            )
            for _ in 0..<min(max(seconds, 1), 60) + 1 {
                try? await Task.sleep(for: .seconds(1))
                guard let next = try await readLease(namespace) else { return nil }
                let names = ["holderIdentity", "renewTime", "leaseTransitions"]
                guard names.allSatisfy({ next["spec"]?[$0] == first["spec"]?[$0] }) else {
                    throw .input(
                        "a replica runs: \(Plain.text(next["spec"]?["holderIdentity"]?.text ?? holder)) renews "
                            + "Lease/\(namespace)/\(Self.leaseName). Scale the server to 0 or delete it, then repeat the command."
                    )
                }
                now = next
            }
        }
        return IdleLease(
            namespace: namespace, uid: now["metadata"]?["uid"]?.text ?? "",
            resourceVersion: now["metadata"]?["resourceVersion"]?.text ?? "")
    }

    private func readLease(_ namespace: String) async throws(CommandFailure) -> JSONValue? {
        do throws(KubernetesError) {
            let data = try await client.getObject(Self.lease, namespace: namespace, name: Self.leaseName)
            guard let lease = JSONValue(data), lease["metadata"]?["name"]?.text == Self.leaseName else {
                throw KubernetesError(
                    call: KubernetesCall(verb: "get", group: Self.lease.group, resource: "leases"),
                    cause: .unreadableAnswer("no Lease"))
            }
            return lease
        } catch {
            if error.isObjectMissing { return nil }
            throw .environment("whether a replica runs cannot be found out: \(error)")
        }
    }

    /// Whether the finalizer on Receivers is this server's. Throws when it is that of a controller which lives.
    func areFinalizersOurs() async throws(CommandFailure) -> Bool {
        switch settings.receiverStatus {
        case .own: return true
        case .given:
            Terminal.error("--receiver-status given: Receivers are left alone, their finalizer is another controller's")
            return false
        case .auto:
            switch await fluxPresence() {
            case .absent: return true
            case .live(let reason):
                throw .input(
                    "Flux's notification-controller runs here (\(reason)), and the finalizer \(Self.finalizer) on Receivers is its own. "
                        + "Add --receiver-status given to leave Receivers alone, or own if this server wrote them all the same."
                )
            }
        }
    }

    /// A Lease that looks old may be one whose holder's clock is wrong: then it changes while we watch.
    private func fluxPresence() async -> FluxPresence.Answer {
        let presence = FluxPresence(client, namespace: settings.fluxNamespace)
        let managers = await statusManagers()
        let first = await presence.look(statusManagers: managers)
        guard case .absent = first,
            (try? await client.getMetadata(Self.lease, namespace: settings.fluxNamespace, name: Self.fluxLeaseName))
                != nil
        else { return first }
        try? await Task.sleep(for: Self.fluxRenewal)
        return await presence.look(statusManagers: managers)
    }

    private static let fluxLeaseName = "notification-controller-leader-election"
    /// Longer than Flux's leaders wait between two renewals (5 s).
    private static let fluxRenewal = Duration.seconds(8)

    /// Who wrote the status of Receivers: what tells when Flux's Lease may not be read.
    private func statusManagers() async -> Set<String> {
        var managers: Set<String> = []
        for kind in WatchedKind.all where kind.kind == "Receiver" {
            guard
                let resource = try? await client.resource(
                    group: kind.group, version: kind.versions.first, kind: kind.kind)
            else { continue }
            for namespace in namespaces(of: kind) {
                guard
                    let page = try? await client.list(
                        resource, namespace: namespace, query: ListQuery(limit: Self.pageObjects, isMetadataOnly: true))
                else { continue }
                for item in JSONValue(page)?["items"]?.elements ?? [] {
                    for entry in item["metadata"]?["managedFields"]?.elements ?? []
                    where entry["subresource"]?.text == "status" {
                        if let manager = entry["manager"]?.text { managers.insert(manager) }
                    }
                }
            }
        }
        return managers
    }

    private static func integer(_ value: JSONValue?) -> Int? {
        if case .number(let text)? = value { Int(text) } else { nil }
    }
}
