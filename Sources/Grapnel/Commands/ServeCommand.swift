// `grapnel serve`: reads the settings, starts the pipeline, runs until it is told to stop.

internal import ArgumentParser
internal import CLinuxIO
internal import Foundation
internal import Logging

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Receive, verify, store and act on webhook deliveries.",
        discussion: """
            Routes come from Kubernetes manifests (--manifests DIR), from a cluster (--kubernetes in-cluster or kubeconfig), or from both. \
            Stops on SIGTERM after it answered what it had begun; reads the manifests again on SIGHUP and when they change.
            """)

    @OptionGroup var options: ServeOptions

    func run() throws {
        // Before any thread starts: signals come to the main thread alone.
        _ = cl_block_signals()
        let loaded = try options.load()
        let settings = loaded.settings
        let isJSON = settings.logFormat == .json
        let level = Logger.Level(rawValue: settings.logLevel.rawValue) ?? .info
        LoggingSystem.bootstrap { _ in ServerLogHandler(logLevel: level, isJSON: isJSON) }
        let logger = Logger(label: "grapnel")
        for warning in loaded.warnings { logger.warning("setting", metadata: ["problem": "\(warning)"]) }
        let pipeline = try Pipeline(settings, logger: logger)
        try pipeline.run()
    }
}
