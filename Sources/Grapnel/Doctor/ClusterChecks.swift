// ClusterChecks: the API server as the server's own account sees it: reachable, known, in step, and which kinds it serves.

import Catalog
import Cluster
import Delivery
import Foundation
import Kubernetes
import Logging

/// What was seen of the cluster.
struct ClusterView: Sendable {
    var findings: [Finding] = []
    /// nil without a cluster, or when it does not answer.
    var client: KubernetesClient?
    /// Of the kinds that are watched, those that are served.
    var served: [WatchedKind: APIResource] = [:]
    /// What was listed, where the catalog comes from the cluster.
    var objects: ObjectCatalog?
    /// Whether another controller writes the status of Receivers.
    var isStatusGiven = false
}

struct ClusterChecks {
    /// Of this cluster alone (`ServerSettings.eachCluster`).
    let settings: ServerSettings
    var name = ClusterSettings.local

    private static let subject = "API server"
    /// Shorter than the bound of a check, so that its own words are heard.
    private static let timeoutSeconds = 4
    private static let skewWarnSeconds = 5.0
    private static let skewFailSeconds = 120.0
    static let secretsMax = 500

    func look() -> ClusterView {
        var view = ClusterView()
        do throws(KubeconfigError) {
            guard let kubeconfig = try ClusterAccess.kubeconfig(settings) else {
                view.findings.append(.note(Self.subject, "none: --kubernetes is off"))
                return view
            }
            var clientSettings = KubernetesClient.Settings(version: Version.number)
            clientSettings.timeoutSeconds = Self.timeoutSeconds
            clientSettings.listTimeoutSeconds = Self.timeoutSeconds
            let client = try KubernetesClient(
                kubeconfig, settings: clientSettings, logger: Logger(label: "doctor") { _ in SwiftLogNoOpLogHandler() })
            view.findings += reach(client)
            // A clock that is wrong is no reason to look no further.
            guard !view.findings.contains(where: { $0.level == .fail && $0.subject == Self.subject }) else {
                return view
            }
            view.client = client
        } catch {
            view.findings.append(.fail(Self.subject, "\(error)", "correct --kubeconfig, or the file that it names"))
            return view
        }
        guard let client = view.client else { return view }
        discover(client, &view)
        if settings.catalogSource != .manifests { read(client, &view) }
        return view
    }

    // MARK: - There

    private func reach(_ client: KubernetesClient) -> [Finding] {
        let address = client.kubeconfig.server
        var findings: [Finding] = []
        let answer = Bounded.run { () -> Result<(ServerProbe, Date), KubernetesError> in
            do throws(KubernetesError) { return .success((try await client.probe(), .now)) } catch {
                return .failure(error)
            }
        }
        switch answer {
        case nil:
            return [
                Bounded.hung(Self.subject, "see whether \(address) is reached from here (network policies, proxies)")
            ]
        case .failure(let error)?:
            // Who may not ask for the version may still do all the rest.
            if error.statusCode == 403 {
                findings.append(.note(Self.subject, "\(address) answers, and does not tell its version"))
            } else {
                return [.fail(Self.subject, "\(address): \(error)", Self.remedy(error))]
            }
        case .success(let (probe, now))?:
            findings.append(.ok(Self.subject, "\(address) answers: \(probe.version)"))
            // Date has whole seconds, cut: half of one is the likely rest.
            if let date = probe.date { findings.append(Self.skew(date.timeIntervalSince(now) + 0.5)) }
        }
        if !address.hasPrefix("https://") {
            findings.append(
                .warn("API server TLS", "\(address) is not encrypted", "use an https:// address in the kubeconfig"))
        } else if client.kubeconfig.skipsTLSVerification {
            findings.append(
                .warn(
                    "API server TLS", "its certificate is not verified",
                    "take insecure-skip-tls-verify out of the kubeconfig, and give its CA"))
        }
        return findings
    }

    private static func remedy(_ error: KubernetesError) -> String {
        switch error.cause {
        case .connection, .timeout:
            "see whether the address is right and reached from here (network policies, proxies, its certificate)"
        case .status(401): "renew the token or the client certificate"
        case .credentials: "mend the token file, the certificate or the plug-in that the kubeconfig names"
        case .unreadableAnswer: "something else answers there: correct the address"
        default: "see what the API server's log says"
        }
    }

    /// Seconds by which the API server's clock is ahead.
    static func skew(_ seconds: Double) -> Finding {
        let size = abs(seconds)
        let text = "the API server's clock is \(Int(size.rounded())) s \(seconds < 0 ? "behind" : "ahead of") this one"
        let remedy = "synchronise both clocks: tokens, Leases and signatures depend on them"
        if size > skewFailSeconds { return .fail("clock skew", text, remedy) }
        return size > skewWarnSeconds ? .warn("clock skew", text, remedy) : .ok("clock skew", text)
    }

    // MARK: - What it serves

    private func discover(_ client: KubernetesClient, _ view: inout ClusterView) {
        let found = Bounded.run { () -> [(WatchedKind, Result<APIResource, KubernetesError>)] in
            var found: [(WatchedKind, Result<APIResource, KubernetesError>)] = []
            for kind in WatchedKind.all {
                do throws(KubernetesError) {
                    found.append(
                        (
                            kind,
                            .success(
                                try await client.resource(
                                    group: kind.group, version: kind.versions.first, kind: kind.kind))
                        ))
                } catch {
                    found.append((kind, .failure(error)))
                    // The others would fail in the same way, each after its time.
                    if error.cause != .kindNotServed { break }
                }
            }
            return found
        }
        guard let found else {
            view.findings.append(
                Bounded.hung("kinds", "see why the API server's discovery is slow (an APIService that is down)"))
            return
        }
        var absent: [String] = []
        for (kind, result) in found {
            switch result {
            case .success(let resource): view.served[kind] = resource
            case .failure(let error) where error.cause == .kindNotServed: absent.append(kind.name)
            case .failure(let error):
                view.findings.append(.fail("kinds", "\(kind.name): \(error)", "see what `kubectl api-resources` says"))
            }
        }
        if !view.served.isEmpty {
            view.findings.append(
                .ok(
                    "kinds",
                    "served: " + WatchedKind.all.filter { view.served[$0] != nil }.map(\.name).joined(separator: ", ")))
        }
        if !absent.isEmpty {
            view.findings.append(.note("kinds", "not served, so not watched: " + absent.joined(separator: ", ")))
        }
    }

    // MARK: - What is in it

    private func read(_ client: KubernetesClient, _ view: inout ClusterView) {
        let objects = ObjectCatalog(cluster: name)
        view.objects = objects
        for kind in WatchedKind.all {
            guard let resource = view.served[kind] else { continue }
            for namespace in namespaces(kind.isNamespaced) {
                let result = Bounded.run { await Self.list(client, resource, namespace) }
                let collection = ObjectCatalog.Collection(kind: kind.name, namespace: namespace ?? "")
                switch result {
                case nil:
                    view.findings.append(Bounded.hung("objects", "see why the list of \(kind.name) takes so long"))
                    return
                case .success(let list)?: objects.replace(collection, list)
                // Rights are looked at by themselves.
                case .failure(let error)? where error.statusCode == 403: break
                case .failure(let error)?:
                    view.findings.append(.fail("objects", "\(error)", Self.remedy(error)))
                }
            }
        }
        readSecrets(client, objects, &view)
        judgeStatus(client, objects, &view)
    }

    /// nil: all of them.
    private func namespaces(_ isNamespaced: Bool) -> [String?] {
        isNamespaced && !settings.watchNamespaces.isEmpty ? settings.watchNamespaces : [nil]
    }

    private static func list(
        _ client: KubernetesClient, _ resource: APIResource, _ namespace: String?
    ) async -> Result<[CatalogObject], KubernetesError> {
        let apiVersion = resource.group.isEmpty ? resource.version : "\(resource.group)/\(resource.version)"
        var objects: [CatalogObject] = []
        var query = ListQuery(limit: 500)
        do throws(KubernetesError) {
            repeat {
                let page = try await client.list(resource, namespace: namespace, query: query)
                guard let list = JSONValue(page), let items = list["items"]?.elements else {
                    throw KubernetesError(
                        call: KubernetesCall(verb: "list", group: resource.group, resource: resource.plural),
                        cause: .unreadableAnswer("no list of objects"))
                }
                objects += items.compactMap { CatalogObject($0, apiVersion: apiVersion, kind: resource.kind) }
                query.continueToken = list["metadata"]?["continue"]?.text ?? ""
            } while !query.continueToken.isEmpty
        } catch {
            return .failure(error)
        }
        return .success(objects)
    }

    private func readSecrets(_ client: KubernetesClient, _ objects: ObjectCatalog, _ view: inout ClusterView) {
        let names = objects.secretReferences.sorted()
        if names.count > Self.secretsMax {
            view.findings.append(
                .note("Secrets", "\(names.count) are named; the first \(Self.secretsMax) are looked at"))
        }
        for name in names.prefix(Self.secretsMax) {
            let result = Bounded.run { () -> Result<CatalogObject?, KubernetesError> in
                do throws(KubernetesError) {
                    let data = try await client.get(
                        apiVersion: "v1", kind: "Secret", plural: "secrets", namespace: name.namespace, name: name.name)
                    return .success(JSONValue(data).flatMap { CatalogObject($0, apiVersion: "v1", kind: "Secret") })
                } catch {
                    return error.isObjectMissing ? .success(nil) : .failure(error)
                }
            }
            switch result {
            case nil:
                view.findings.append(Bounded.hung("Secrets", "see why the API server is slow"))
                return
            case .success(let object)?:
                objects.replace(
                    ObjectCatalog.Collection(kind: "Secret", namespace: name.namespace, name: name.name),
                    object.map { [$0] } ?? [])
            case .failure(let error)?:
                objects.setUnreadable(name, "\(error)")
                // Whoever does not answer once will not answer five hundred times.
                guard error.statusCode != nil else { return }
            }
        }
    }

    private func judgeStatus(_ client: KubernetesClient, _ objects: ObjectCatalog, _ view: inout ClusterView) {
        view.isStatusGiven = settings.receiverStatus == .given
        guard settings.receiverStatus == .auto else { return }
        let kinds = Set(WatchedKind.all.filter { $0.kind == "Receiver" }.map(\.name))
        let managers = objects.facts(of: kinds).reduce(into: Set<String>()) { $0.formUnion($1.statusManagers) }
        let namespace = settings.fluxNamespace
        let answer = Bounded.run { await FluxPresence(client, namespace: namespace).look(statusManagers: managers) }
        switch answer {
        case nil: view.findings.append(Bounded.hung("receiver status", "give --receiver-status own or given"))
        case .live(let reason)?:
            view.isStatusGiven = true
            view.findings.append(.ok("receiver status", "given: \(reason)"))
        case .absent(let reason)?: view.findings.append(.ok("receiver status", "own: \(reason)"))
        }
    }
}
