// SettingsCheck: what no setting can tell by itself: settings that contradict each other, and what this version does not do.

import Catalog
import HTTP

enum SettingsCheck {
    /// Half a journal segment: a record never spans segments.
    static let recordBytesMax = 32 << 20

    /// Each says the remedy.
    static func problems(_ settings: ServerSettings) -> [String] {
        sources(settings) + limits(settings) + listeners(settings)
    }

    private static func sources(_ settings: ServerSettings) -> [String] {
        var problems: [String] = []
        if settings.journalBodies == .untilDone {
            problems.append(
                "--journal-bodies until-done: not supported by this version; bodies stay until their segment is used again"
            )
        }
        if settings.kubernetes == .inCluster {
            problems.append(
                "--kubernetes in-cluster: not supported by this version; use --kubernetes kubeconfig --kubeconfig FILE, "
                    + "or --kubernetes off")
        }
        if settings.kubernetes == .off, settings.kubeconfig != nil {
            problems.append("--kubeconfig: --kubernetes is off; add --kubernetes kubeconfig")
        }
        switch settings.catalogSource {
        case .cluster, .both:
            let what = settings.catalog.map { "--catalog \($0.rawValue)" } ?? "routes from a cluster"
            problems.append(
                "\(what): not supported by this version; use --catalog manifests --manifests DIR with the Receivers, "
                    + "Hooks and Secrets as files")
        case .manifests where settings.manifests.isEmpty:
            problems.append("--manifests: no directory given, so there is nothing to serve; add --manifests DIR")
        case .manifests: break
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
            settings.listen.map { ("--listen", $0) } + [("--admin-listen", settings.adminListen)]
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

    /// What is allowed and should be known.
    static func warnings(_ settings: ServerSettings) -> [String] {
        var warnings: [String] = []
        if !settings.adminListen.isLoopback, settings.adminTokenFile == nil {
            warnings.append(
                "--admin-listen \(settings.adminListen) is reachable from outside; use --metrics-listen for scrapers")
        }
        if settings.adminTokenFile != nil {
            warnings.append("--admin-token-file has no effect in this version: health, readiness and metrics are open")
        }
        if settings.pathGraceNanoseconds != ServerSettings().pathGraceNanoseconds {
            warnings.append("--path-grace has no effect in this version: a changed token changes the path at once")
        }
        if settings.durability != .sync {
            warnings.append(
                "--durability \(settings.durability.rawValue): what was answered 2xx can be lost when the machine fails"
            )
        }
        return warnings
    }
}
