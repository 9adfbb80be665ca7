// Grapnel: the root command. It parses, runs one subcommand, and turns what went wrong into one exit status.
//
// Exit codes: 0 well, 1 the input is wrong, 2 usage, 3 the environment failed.

import ArgumentParser
import Glibc

@main
struct Grapnel: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grapnel",
        abstract: "The front door for webhooks: verifies deliveries, stores them durably, answers, and triggers.",
        version: Version.number,
        subcommands: [
            ServeCommand.self, CheckCommand.self, URLCommand.self, SendCommand.self, JournalCommand.self,
            ExplainCommand.self, DeliveriesCommand.self, QueuesCommand.self, PauseCommand.self, ResumeCommand.self,
            DoctorCommand.self, DrainCommand.self, UninstallCommand.self, VersionCommand.self,
            VectorCommand.self,
        ])

    // Not asynchronous: `serve` waits for signals on the main thread, which must stay a plain one.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            Glibc.exit(report(error))
        }
    }

    /// Says what went wrong where it belongs (help and version are wanted, so they go to standard output) and gives the status.
    static func report(_ error: any Error) -> Int32 {
        if let failure = error as? CommandFailure {
            for message in failure.messages {
                // What was found in a file says so itself: file:line: error: message.
                Terminal.error(message.contains(": error: ") ? message : "error: \(message)")
            }
            return failure.status.rawValue
        }
        let status = exitCode(for: error)
        let message = fullMessage(for: error)
        guard !message.isEmpty else { return status.rawValue }
        guard !status.isSuccess else {
            print(message)
            return 0
        }
        Terminal.error(message)
        // ArgumentParser ends wrong usage with EX_USAGE (64), anything unforeseen with 1.
        return status == .validationFailure ? ExitStatus.usage.rawValue : status.rawValue
    }
}
