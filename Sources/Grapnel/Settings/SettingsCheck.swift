// SettingsCheck: what no setting can tell by itself: settings that contradict each other, and what this version does not do.

import Catalog
import HTTP

enum SettingsCheck {
    /// Half a journal segment: a record never spans segments.
    static let recordBytesMax = 32 << 20

    /// Each says the remedy.
    static func problems(_ settings: ServerSettings) -> [String] {
        sources(settings) + limits(settings) + listeners(settings) + tls(settings)
    }

    private static func sources(_ settings: ServerSettings) -> [String] {
        var problems: [String] = []
        if settings.journalBodies == .untilDone {
            problems.append(
                "--journal-bodies until-done: not built yet; leave it out. Bodies stay until their segment is used again"
            )
        }
        if settings.kubernetes != .kubeconfig, settings.kubeconfig != nil {
            problems.append(
                "--kubeconfig: --kubernetes is \(settings.kubernetes.rawValue); add --kubernetes kubeconfig, or leave it out"
            )
        }
        if settings.kubernetes != .kubeconfig, settings.kubernetesContext != nil {
            problems.append("--kubernetes-context: it names a context of a kubeconfig; add --kubernetes kubeconfig")
        }
        let source = settings.catalogSource
        if source != .manifests, settings.catalogClusters.isEmpty {
            problems.append(
                "--catalog \(source.rawValue): --kubernetes is off; add --kubernetes in-cluster or --kubernetes kubeconfig"
            )
        }
        if source != .cluster, settings.manifests.isEmpty {
            problems.append(
                source == .both
                    ? "--catalog both: no --manifests DIR given; add it, or use --catalog cluster"
                    : "--manifests: no directory given, so there is nothing to serve; add --manifests DIR, or --kubernetes "
                        + "in-cluster or kubeconfig to read the receivers of a cluster")
        }
        return problems
    }

    private static func limits(_ settings: ServerSettings) -> [String] {
        var problems: [String] = []
        let head = settings.requestLimits.headBytesMax
        if settings.bodyBytesMax > recordBytesMax - head {
            problems.append(
                "--max-body: with --max-header \(Quantity.text(bytes: head)) at most "
                    + "\(Quantity.text(bytes: recordBytesMax - head)) fit into a journal record, found "
                    + "\(Quantity.text(bytes: settings.bodyBytesMax)); lower one of them")
        }
        if settings.bodyMemoryBytesMax < settings.bodyBytesMax {
            problems.append(
                "--body-memory: \(Quantity.text(bytes: settings.bodyMemoryBytesMax)) cannot hold one body of --max-body "
                    + "\(Quantity.text(bytes: settings.bodyBytesMax)); raise it or lower --max-body")
        }
        if settings.requestLimits.requestLineBytesMax > head {
            problems.append("--max-request-line: larger than --max-header, which contains it; raise --max-header")
        }
        if settings.bodyStallTimeoutNanoseconds > settings.bodyTimeoutNanoseconds {
            problems.append("--body-stall-timeout: longer than --body-timeout; lower it")
        }
        return problems
    }

    private static func listeners(_ settings: ServerSettings) -> [String] {
        var seen: [Endpoint: String] = [:]
        let all =
            settings.plainListen.map { ("--listen", $0) } + settings.tlsListen.map { ("--tls-listen", $0) }
            + [("--admin-listen", settings.adminListen)]
            + (settings.metricsListen.map { [("--metrics-listen", $0)] } ?? [])
        var problems: [String] = []
        for (name, endpoint) in all where endpoint.port != 0 {
            if let first = seen[endpoint] {
                problems.append("\(name): \(endpoint) is taken by \(first) already; choose another port")
            }
            seen[endpoint] = seen[endpoint] ?? name
        }
        return problems
    }

    private static func tls(_ settings: ServerSettings) -> [String] {
        var problems: [String] = []
        if settings.tlsListen.isEmpty {
            for (flag, value) in [
                ("--tls-certificate", settings.tlsCertificate), ("--tls-key", settings.tlsKey),
                ("--tls-client-ca", settings.tlsClientAuthorities),
            ] where value != nil {
                problems.append("\(flag): no listener speaks TLS; add --tls-listen HOST:PORT")
            }
            return problems
        }
        if settings.tlsCertificate == nil {
            problems.append("--tls-listen: no certificate given; add --tls-certificate FILE")
        }
        if settings.tlsKey == nil { problems.append("--tls-listen: no key given; add --tls-key FILE") }
        return problems
    }

    /// What is allowed and should be known.
    static func warnings(_ settings: ServerSettings) -> [String] {
        var warnings: [String] = []
        if !settings.adminListen.isLoopback, settings.adminTokenFile == nil {
            warnings.append(
                "--admin-listen \(settings.adminListen) is reachable from outside and there is no --admin-token-file: "
                    + "the API is closed; use --metrics-listen for scrapers")
        }
        if let file = settings.adminTokenFile, let warning = AdminGuard.warning(tokenFile: file) {
            warnings.append(warning)
        }
        if settings.durability != .sync {
            warnings.append(
                "--durability \(settings.durability.rawValue): what was answered 2xx can be lost when the machine fails"
            )
        }
        return warnings
    }
}
