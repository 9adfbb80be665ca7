// Uninstall: finds what a server wrote into its cluster, and takes it away, object by object.
//
//   1  the Lease: a holder that renews it is a replica that runs, and ends the whole thing
//   2  whose the status of Receivers is: only where it is ours, the finalizer is
//   3  finalizers of Receivers, annotations of kpack objects: eight writes at once
//   4  the Lease itself
//
// What a server writes: Sources/Cluster/Status (StatusChange, EventRecorder), Sources/Trigger/Actions. A write names the version
// it was worked out from, so that nothing of anybody else's is undone; on a conflict the object is read again.

import Cluster
import Delivery
import Foundation
import Kubernetes

struct Uninstall: Sendable {
    struct Report: Sendable {
        var finalizers = 0
        var annotations = 0
        var leases = 0
        var failures: [String] = []

        var count: Int { finalizers + annotations + leases }

        var summary: String {
            "\(finalizers) \(finalizers == 1 ? "finalizer" : "finalizers") of Receivers, annotations of \(annotations) kpack "
                + "\(annotations == 1 ? "object" : "objects"), \(leases) \(leases == 1 ? "Lease" : "Leases")"
        }
    }

    let client: KubernetesClient
    let settings: ServerSettings
    let isDryRun: Bool

    static let finalizer = "finalizers.fluxcd.io"
    static let annotations = ["grapnel.dev/refresh-requested-at", "grapnel.dev/refresh-image"]
    static let leaseName = "grapnel"
    static let lease = APIResource(
        group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases", isNamespaced: true)
    private static let atOnce = 8
    private static let conflictsMax = 4
    static let pageObjects = 500

    private enum Work: Sendable {
        case finalizer
        case annotations
    }

    private struct Item: Sendable {
        var resource: APIResource
        var namespace: String
        var name: String
        var work: Work
        var metadata: JSONValue

        var description: String { "\(resource.kind)/\(namespace.isEmpty ? "" : namespace + "/")\(name)" }
    }

    func run() async throws(CommandFailure) -> Report {
        let lease = try await idleLease()
        var report = Report()
        var items: [Item] = []
        let takesFinalizers = try await areFinalizersOurs()
        for kind in WatchedKind.all {
            let work: Work
            switch kind.kind {
            case "Receiver":
                guard takesFinalizers else { continue }
                work = .finalizer
            default:
                guard kind.group == "kpack.io" || kind.group == "build.pivotal.io" else { continue }
                work = .annotations
            }
            for namespace in namespaces(of: kind) {
                do throws(KubernetesError) {
                    items += try await list(kind, namespace, work)
                } catch {
                    report.failures.append("\(error)")
                }
            }
        }
        await remove(items, &report)
        if let lease { await remove(lease, &report) }
        return report
    }

    /// nil: all of them.
    func namespaces(of kind: WatchedKind) -> [String?] {
        kind.isNamespaced && !settings.watchNamespaces.isEmpty ? settings.watchNamespaces : [nil]
    }

    // MARK: - What there is

    /// Objects of one kind that bear something of ours; none where the kind is not served.
    private func list(
        _ kind: WatchedKind, _ namespace: String?, _ work: Work
    ) async throws(KubernetesError) -> [Item] {
        let resource: APIResource
        do throws(KubernetesError) {
            resource = try await client.resource(group: kind.group, version: kind.versions.first, kind: kind.kind)
        } catch {
            if error.cause == .kindNotServed { return [] }
            throw error
        }
        var items: [Item] = []
        var query = ListQuery(limit: Self.pageObjects, isMetadataOnly: true)
        repeat {
            let page = try await client.list(resource, namespace: namespace, query: query)
            guard let list = JSONValue(page), let objects = list["items"]?.elements else {
                throw KubernetesError(
                    call: KubernetesCall(verb: "list", group: resource.group, resource: resource.plural),
                    cause: .unreadableAnswer("no list of objects"))
            }
            for object in objects {
                guard let metadata = object["metadata"], let name = metadata["name"]?.text else { continue }
                let item = Item(
                    resource: resource, namespace: metadata["namespace"]?.text ?? "", name: name, work: work,
                    metadata: metadata)
                if Self.patch(item) != nil { items.append(item) }
            }
            query.continueToken = list["metadata"]?["continue"]?.text ?? ""
        } while !query.continueToken.isEmpty
        return items
    }

    /// What takes ours away, bound to the version it was worked out from; nil: there is nothing of ours.
    private static func patch(_ item: Item) -> [UInt8]? {
        var metadata: [JSONValue.Member] = []
        switch item.work {
        case .finalizer:
            let all = item.metadata["finalizers"]?.elements ?? []
            let rest = all.filter { $0.text != finalizer }
            guard rest.count < all.count else { return nil }
            metadata.append(.init(name: "finalizers", value: rest.isEmpty ? .null : .array(rest)))
        case .annotations:
            let here = Set((item.metadata["annotations"]?.members ?? []).map(\.name))
            let ours = annotations.filter { here.contains($0) }
            guard !ours.isEmpty else { return nil }
            metadata.append(.init(name: "annotations", value: .object(ours.map { .init(name: $0, value: .null) })))
        }
        if let version = item.metadata["resourceVersion"]?.text {
            metadata.append(.init(name: "resourceVersion", value: .string(version)))
        }
        return JSONValue.object([.init(name: "metadata", value: .object(metadata))]).serialized
    }

    // MARK: - Taking it away

    private func remove(_ items: [Item], _ report: inout Report) async {
        var done = 0
        var lastLine = ContinuousClock.now
        await withTaskGroup(of: (Item, String?).self) { group in
            var rest = items[...]
            func startNext() {
                guard let item = rest.popFirst() else { return }
                group.addTask { (item, await self.remove(item)) }
            }
            for _ in 0..<Self.atOnce { startNext() }
            for await (item, failure) in group {
                done += 1
                if let failure {
                    report.failures.append(failure)
                } else {
                    switch item.work {
                    case .finalizer: report.finalizers += 1
                    case .annotations: report.annotations += 1
                    }
                }
                if ContinuousClock.now - lastLine > .seconds(2) {
                    lastLine = .now
                    Terminal.error("\(done) of \(items.count)")
                }
                startNext()
            }
        }
    }

    /// nil, or why it could not be done.
    private func remove(_ item: Item) async -> String? {
        if isDryRun {
            switch item.work {
            case .finalizer: print("\(item.description): finalizer \(Self.finalizer)")
            case .annotations: print("\(item.description): annotations \(Self.annotations.joined(separator: ", "))")
            }
            return nil
        }
        var item = item
        var conflicts = 0
        while true {
            guard let body = Self.patch(item) else { return nil }
            do throws(KubernetesError) {
                try await client.patch(
                    item.resource, namespace: item.namespace.isEmpty ? nil : item.namespace, name: item.name, body: body
                )
                return nil
            } catch {
                if error.isObjectMissing { return nil }
                conflicts += 1
                guard error.statusCode == 409, conflicts < Self.conflictsMax else {
                    return "\(item.description): \(error)"
                }
            }
            do throws(KubernetesError) {
                let data = try await client.getObject(
                    item.resource, namespace: item.namespace.isEmpty ? nil : item.namespace, name: item.name,
                    isMetadataOnly: true)
                guard let metadata = JSONValue(data)?["metadata"] else { return "\(item.description): no object came" }
                item.metadata = metadata
            } catch {
                return error.isObjectMissing ? nil : "\(item.description): \(error)"
            }
        }
    }

    private func remove(_ lease: IdleLease, _ report: inout Report) async {
        if isDryRun {
            print("Lease/\(lease.namespace)/\(Self.leaseName)")
            report.leases += 1
            return
        }
        do throws(KubernetesError) {
            try await client.delete(
                Self.lease, namespace: lease.namespace, name: Self.leaseName,
                preconditions: DeletePreconditions(
                    uid: lease.uid.isEmpty ? nil : lease.uid,
                    resourceVersion: lease.resourceVersion.isEmpty ? nil : lease.resourceVersion))
            report.leases += 1
        } catch {
            if error.isObjectMissing { return }
            report.failures.append("Lease/\(lease.namespace)/\(Self.leaseName): \(error)")
        }
    }
}
