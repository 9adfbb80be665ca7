// JournalCommand: `grapnel journal inspect|verify|export|import|replay|upgrade`: what can be done with a journal, damaged or not.
//
// The first three read only and take no lock, so they also run beside a server; then the last records may still be on their way.

import ArgumentParser
import CCrypto
import Delivery
import Journal

struct JournalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal", abstract: "Look into a journal, copy it out and in, or take over what another owes.",
        subcommands: [Inspect.self, Verify.self, Export.self, Import.self, Replay.self, Upgrade.self])

    /// Nothing is there to be looked at.
    static func noJournal(_ path: String) -> CommandFailure {
        .environment("\(path) is no data directory: it has no journal/ in it. Give the one of --data-dir.")
    }

    static func receiverKind(_ code: UInt8) -> String { ReceiverKind(rawValue: code)?.name ?? "kind-\(code)" }

    struct Directory: ParsableArguments {
        @Option(help: ArgumentHelp("Directory of the journal.", valueName: "dir"))
        var dataDir = "data"

        /// Runs a look at the journal and turns what it found into an exit status.
        func look(
            _ body: (RealDisk, @escaping Checksum) throws(JournalError) -> InspectionSummary
        ) throws {
            let summary: InspectionSummary
            do throws(JournalError) {
                summary = try unsafe body(RealDisk(dataDirectory: dataDir), cc_crc32)
            } catch {
                guard error != .missing else { throw JournalCommand.noJournal(dataDir) }
                throw CommandFailure.environment(error.message(dataDirectory: dataDir))
            }
            if !summary.isSound { throw CommandFailure(.wrongInput, []) }
        }
    }

    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "inspect", abstract: "Print every segment and record.",
            discussion: """
                One line for each: place, sequence, time, what it is, route, delivery id, decision, sizes, outcomes. Bodies and \
                header values are never printed. Exit status 1 when something is damaged.
                """)

        @OptionGroup var directory: Directory

        /// The codes of `PlannedAction`.
        static let actionWords: [UInt8: String] = [
            1: "reconcile", 2: "http", 3: "exec", 4: "log", 5: "openshift-build", 6: "s2i-run", 7: "kpack-refresh",
            8: "docker-hub-callback", 9: "openshift-relay",
        ]

        func run() throws {
            let names = InspectionNames(
                receiverKind: { JournalCommand.receiverKind($0) },
                senderType: { SenderType(rawValue: $0)?.name ?? "sender-\($0)" },
                ignoredReason: { IgnoredReason(rawValue: $0)?.name ?? "reason-\($0)" },
                actionKind: { Self.actionWords[$0] ?? "action-\($0)" })
            unsafe try directory.look { (disk, checksum) throws(JournalError) in
                try unsafe JournalInspection.inspect(disk: disk, checksum: checksum, names: names) { print($0) }
            }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify", abstract: "Check every record and print what is damaged.",
            discussion: "Exit status 0 when all records hold, 1 when something is damaged.")

        @OptionGroup var directory: Directory

        func run() throws {
            unsafe try directory.look { (disk, checksum) throws(JournalError) in
                try unsafe JournalInspection.verify(disk: disk, checksum: checksum) { print($0) }
            }
        }
    }
}
