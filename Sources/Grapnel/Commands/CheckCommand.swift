// CheckCommand: `grapnel check`: what would be served, without serving it.

import ArgumentParser
import Catalog
import Delivery
import Foundation

struct CheckCommand: ParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Validate settings and manifests and print the routes.",
        discussion: "Problems go to standard error as file:line: error: message. Exit status 1 when there is an error.")

    @OptionGroup var options: ServeOptions
    @Option(help: ArgumentHelp("table or json.", valueName: "format"))
    var format: Format = .table
    @Flag(help: "Show the secret part of Flux paths and the paths of http actions.")
    var reveal = false

    func run() throws {
        let loaded = try options.load()
        for warning in loaded.warnings { Terminal.error("warning: \(warning)") }
        let snapshot = ManifestCatalog(options: loaded.settings.catalogOptions).load()
        let showsNotes = [.trace, .debug].contains(loaded.settings.logLevel)
        for problem in snapshot.problems where problem.severity != .note || showsNotes {
            Terminal.error(problem.description)
        }
        switch format {
        case .table: print(RouteReport.table(snapshot, reveal: reveal))
        case .json: print(try RouteReport.json(snapshot, reveal: reveal))
        }
        var isSound = !snapshot.hasErrors
        do throws(CommandFailure) {
            _ = try loaded.settings.tlsFiles?.load()
        } catch {
            for message in error.messages { Terminal.error("error: \(message)") }
            isSound = false
        }
        if !isSound { throw CommandFailure(.wrongInput, []) }
    }
}

/// Routes as people and programs read them. No secret is in either, but for a path with `reveal`.
enum RouteReport {
    static func table(_ snapshot: CatalogSnapshot, reveal: Bool) -> String {
        var rows = [["PATH", "RECEIVER", "SENDER", "EVENTS", "ACTIONS", "READY"]]
        for route in snapshot.routes {
            rows.append([
                (route.host ?? "") + path(route, reveal), route.identity.description, route.sender.name,
                route.events.isEmpty ? "all" : route.events.joined(separator: ","),
                route.causesTriggers ? route.actionSummaries(reveal: reveal).joined(separator: ", ") : "none",
                route.readiness.summary,
            ])
        }
        for receiver in snapshot.unserved {
            rows.append(["-", receiver.identity.description, "-", "-", "-", "no route: \(receiver.reason)"])
        }
        let counts = snapshot.counts
        let summary =
            "\(snapshot.routes.count) routes, \(snapshot.routes.count { $0.readiness == .ready }) ready; "
            + "\(counts.files) files with \(counts.receivers) Receivers, \(counts.hooks) Hooks, "
            + [
                (counts.buildConfigs, "BuildConfigs"), (counts.s2iBuilders, "S2iBuilders"),
                (counts.kpack, "kpack objects"),
            ]
            .filter { $0.0 > 0 }.map { "\($0.0) \($0.1), " }.joined()
            + "\(counts.secrets) Secrets, \(counts.targets) Flux objects, \(counts.ignored) others"
        return Terminal.table(rows) + "\n" + summary
    }

    static func json(_ snapshot: CatalogSnapshot, reveal: Bool) throws -> String {
        let report = Report(
            routes: snapshot.routes.map { route in
                Report.Route(
                    host: route.host, path: path(route, reveal), receiver: route.identity.description,
                    sender: route.sender.name, events: route.events,
                    actions: route.actionSummaries(reveal: reveal),
                    ready: route.readiness == .ready, readiness: route.readiness.summary, source: route.source)
            },
            unserved: snapshot.unserved.map {
                Report.Unserved(receiver: $0.identity.description, reason: $0.reason, source: $0.place.description)
            },
            problems: snapshot.problems.map {
                Report.Problem(file: $0.file, line: $0.line, severity: $0.severity.rawValue, message: $0.message)
            },
            counts: [
                "files": snapshot.counts.files, "documents": snapshot.counts.documents,
                "receivers": snapshot.counts.receivers, "hooks": snapshot.counts.hooks,
                "buildConfigs": snapshot.counts.buildConfigs, "s2iBuilders": snapshot.counts.s2iBuilders,
                "kpackObjects": snapshot.counts.kpack,
                "secrets": snapshot.counts.secrets, "targets": snapshot.counts.targets,
                "ignored": snapshot.counts.ignored,
            ])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self)
    }

    private static func path(_ route: RouteDefinition, _ reveal: Bool) -> String {
        reveal ? route.path : WebhookPath.redacted(route.path)
    }

    private struct Report: Encodable {
        struct Route: Encodable {
            var host: String?
            var path: String
            var receiver: String
            var sender: String
            var events: [String]
            var actions: [String]
            var ready: Bool
            var readiness: String
            var source: String
        }
        struct Unserved: Encodable {
            var receiver: String
            var reason: String
            var source: String
        }
        struct Problem: Encodable {
            var file: String
            var line: Int
            var severity: String
            var message: String
        }
        var routes: [Route]
        var unserved: [Unserved]
        var problems: [Problem]
        var counts: [String: Int]
    }
}

extension RouteReadiness {
    /// `yes`, or why not.
    var summary: String {
        switch self {
        case .ready: "yes"
        case .suspended: "no: suspended"
        case .notReady(let reason): "no: \(reason)"
        case .secretUnusable(let reason): "no: \(reason)"
        }
    }
}

extension Action {
    /// `reconcile GitRepository/team-a/webapp`. The path and query of a URL may be credentials.
    func summary(reveal: Bool) -> String {
        switch self {
        case .reconcile(let target): return "reconcile \(target)"
        case .openshiftBuild(let target, _): return "openshift-build \(target)"
        case .s2iRun(let target, _): return "s2i-run \(target)"
        case .openshiftRelay(let target, _): return "openshift-relay \(target)"
        case .dockerHubCallback: return "docker-hub-callback"
        case .kpackRefresh(let target, _, _): return "kpack-refresh \(target)"
        case .http(let url, _, let secret):
            let origin = (try? HTTPURL(url)).map { "\($0.isSecure ? "https" : "http")://\($0.authority)/…" }
            return "http \(reveal ? url : origin ?? "…")\(secret == nil ? "" : " signed")"
        case .exec(let command, _): return "exec \(command.first ?? "")"
        case .log: return "log"
        }
    }
}
