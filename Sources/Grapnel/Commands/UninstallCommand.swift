// UninstallCommand: `grapnel uninstall`: removes from the cluster what a server wrote there.
//
//     grapnel uninstall --dry-run --kubernetes kubeconfig --manifests manifests
//     grapnel uninstall --yes …
//
// Refuses while a replica runs. Goes on after single failures; repeated, it does what is left. Exit status: 0 nothing is left,
// 1 something could not be removed or must not be, 2 wrong usage, 3 the API server cannot be asked.

import ArgumentParser
import Cluster
import Delivery
import Foundation
import Kubernetes
import Logging

struct UninstallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uninstall", abstract: "Remove from the cluster what this server wrote there.",
        discussion: """
            Removes the finalizer finalizers.fluxcd.io from Receivers where it is this server's, the annotations \
            grapnel.dev/refresh-requested-at and grapnel.dev/refresh-image from kpack objects, and the Lease. Status, Builds, S2iRuns \
            and Events stay. First remove the server itself, so that nothing is written anew.
            """)

    @Flag(help: "Say what would be removed; change nothing.")
    var dryRun = false
    @Flag(help: "Remove it.")
    var yes = false
    @OptionGroup var options: ServeOptions

    func validate() throws {
        if dryRun == yes { throw ValidationError("give either --dry-run, which changes nothing, or --yes") }
    }

    func run() throws {
        let settings = try options.load().settings
        let logger = Logger(label: "uninstall") { _ in SwiftLogNoOpLogHandler() }
        let each = settings.eachCluster
        guard !each.isEmpty else {
            throw CommandFailure.input(
                "--kubernetes is off: there is no cluster to clean up. Add --kubernetes in-cluster or --kubernetes kubeconfig."
            )
        }
        var failures: [CommandFailure] = []
        for (name, settings) in each {
            if each.count > 1 { print("cluster \(name):") }
            do throws(CommandFailure) {
                try remove(settings, logger)
            } catch {
                guard each.count > 1 else { throw error }
                // The others are cleaned up all the same.
                failures.append(CommandFailure(error.status, error.messages.map { "cluster \(name): \($0)" }))
            }
        }
        guard let worst = failures.map(\.status).max(by: { $0.rawValue < $1.rawValue }) else { return }
        throw CommandFailure(worst, failures.flatMap(\.messages))
    }

    /// In one cluster.
    private func remove(_ settings: ServerSettings, _ logger: Logger) throws(CommandFailure) {
        guard let client = try ClusterAccess.client(settings, logger) else { return }
        let uninstall = Uninstall(client: client, settings: settings, isDryRun: dryRun)
        let result = Blocking.wait { () -> Swift.Result<Uninstall.Report, CommandFailure> in
            do throws(CommandFailure) { return .success(try await uninstall.run()) } catch { return .failure(error) }
        }
        Blocking.wait { await client.shutdown() }
        let report = try result.get()
        print((dryRun ? "would remove: " : "removed: ") + report.summary)
        if !report.failures.isEmpty {
            for failure in report.failures { Terminal.error("error: \(failure)") }
            throw CommandFailure.input(
                "\(report.failures.count) of \(report.failures.count + report.count) could not be removed. Mend that and repeat the "
                    + "command: it does what is left.")
        }
    }
}
