// JournalReplay: `grapnel journal replay DIR`: adopts what the volume of a replica that is gone still owes.
//
//     grapnel journal replay /mnt/grapnel-2 --data-dir /var/lib/grapnel
//
// Into the data directory of a stopped server, which carries the deliveries out at its next start. Exit status: 0 all that is
// owed is here, 1 something in DIR cannot be read (the rest is here), 3 the environment failed (repeat it).

import ArgumentParser
import CCrypto
import CLinuxIO
import Catalog
import Delivery
import Foundation
import Journal

extension JournalCommand {
    struct Replay: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "replay", abstract: "Take what another data directory still owes into this one.",
            discussion: """
                DIR is the data directory of a server that is gone; it is only read. Its deliveries without a final outcome are added \
                to the journal in --data-dir, whose server must be stopped, and are carried out when that starts. Repeating it adds \
                nothing. Replay a directory into one server only.
                """)

        @Argument(help: ArgumentHelp("Data directory of the server that is gone.", valueName: "dir"))
        var directory: String
        @OptionGroup var target: Directory
        @Option(
            help: ArgumentHelp(
                "Upper bound of the journal in --data-dir (default: as much as it takes).", valueName: "size"))
        var journalMaxBytes: String?
        @Flag(help: "List what would be taken over; change nothing.")
        var dryRun = false

        func run() throws {
            try checkDirectories()
            let source = try survey(directory)
            if dryRun {
                try preview(source)
            } else {
                try adopt(source)
            }
        }

        // MARK: - What is there

        private func checkDirectories() throws(CommandFailure) {
            if let old = Self.place(directory), old == Self.place(target.dataDir) {
                throw .input(
                    "DIR and --data-dir are the same directory, \(directory). A server on it works off what it owes.")
            }
            switch DataDirectory.holder(directory) {
            case .somebody:
                throw .environment(
                    "a grapnel runs on \(directory). Stop it, or let it work off what it owes: grapnel drain --data-dir \(directory)"
                )
            case .nobody, .unknown: break
            }
            if !dryRun, DataDirectory.holder(target.dataDir) == .somebody {
                throw .environment(JournalError.locked.message(dataDirectory: target.dataDir))
            }
        }

        private static func place(_ path: String) -> [UInt64]? {
            var status = stat()
            guard unsafe stat(path, &status) == 0 else { return nil }
            return [UInt64(status.st_dev), UInt64(status.st_ino)]
        }

        private func survey(_ path: String) throws(CommandFailure) -> JournalSurvey {
            do throws(JournalError) {
                return try unsafe JournalSurvey(disk: RealDisk(dataDirectory: path), checksum: cc_crc32)
            } catch {
                if error == .missing {
                    throw .environment(
                        "\(path) is no data directory: it has no journal/ in it. Give the directory that was --data-dir."
                    )
                }
                throw .environment(error.message(dataDirectory: path))
            }
        }

        private func refuseCopy(_ source: JournalSurvey, _ journal: UInt64?) throws(CommandFailure) {
            guard let journal, source.journal == journal else { return }
            throw .input(
                "\(directory) is a copy of the journal in \(target.dataDir). Start a server on one of them, and remove the other."
            )
        }

        // MARK: - Without changing anything

        private func preview(_ source: JournalSurvey) throws {
            var known: JournalSurvey?
            do throws(JournalError) {
                known = try unsafe JournalSurvey(disk: RealDisk(dataDirectory: target.dataDir), checksum: cc_crc32)
            } catch {
                guard error == .missing else {
                    throw CommandFailure.environment(error.message(dataDirectory: target.dataDir))
                }
            }
            try refuseCopy(source, known?.journal)
            let adoption = JournalAdoption(
                source: source, target: known, targetJournal: known?.journal,
                ledger: try AdoptionLedger(dataDirectory: target.dataDir))
            let result = adoption.preview { print(Self.line($0)) }
            print("would adopt \(Self.deliveries(result.adopted)) of \(directory)" + Self.knownText(result))
            try report(result)
        }

        private static func line(_ heir: JournalAdoption.Heir) -> String {
            let delivery = heir.delivery
            let time = Date(timeIntervalSince1970: Double(delivery.receivedAtUnixNanoseconds / 1_000_000_000))
            var words = ["#\(delivery.sequence)", time.formatted(.iso8601), JournalAdoption.route(delivery)]
            words.append(SenderType(rawValue: delivery.senderType)?.name ?? "sender-\(delivery.senderType)")
            words.append("id=\"\(Plain.text(delivery.deliveryID))\" event=\"\(Plain.text(delivery.eventName))\"")
            if let plan = delivery.plan {
                let done = delivery.progress.count { $0.outcome != nil }
                words.append("\(plan.count) planned, \(done) final")
            } else {
                words.append("not planned")
            }
            words.append("from \(heir.origin)")
            return words.joined(separator: " ")
        }

        // MARK: - Adopting

        private func adopt(_ source: JournalSurvey) throws {
            let options = try options(source)
            // Nothing is to be created where nothing will be put.
            if source.owed.isEmpty {
                print("\(directory) owes nothing")
                return try report(JournalAdoption.Result(lost: source.damageLines))
            }
            let writer: JournalWriter
            do throws(JournalError) {
                (writer, _) = unsafe try JournalWriter.open(
                    options: options, checksum: { unsafe cc_crc32($0, $1, $2) }, now: cl_now_realtime())
            } catch {
                throw CommandFailure.environment(error.message(dataDirectory: target.dataDir))
            }
            defer { writer.close(now: cl_now_realtime()) }
            let journal = writer.dedupeKey.journalName
            try refuseCopy(source, journal)
            // Under the writer's lock: nobody changes it between this look and the first record.
            var adoption = JournalAdoption(
                source: source, target: try survey(target.dataDir), targetJournal: journal,
                ledger: try AdoptionLedger(dataDirectory: target.dataDir))
            var lastLine = cl_now_monotonic()
            let result = adoption.run(into: writer) { count in
                guard cl_now_monotonic() - lastLine > 2_000_000_000 else { return }
                lastLine = cl_now_monotonic()
                Terminal.error("\(count) of \(source.owed.count)")
            }
            print("adopted \(Self.deliveries(result.adopted)) of \(directory)" + Self.knownText(result))
            try report(result)
        }

        /// Unless a bound is given, nothing that is in the journal has to make way: finished deliveries are history, and dead ones can
        /// be delivered again. The server holds the journal to its own bounds when it starts.
        private func options(_ source: JournalSurvey) throws(CommandFailure) -> JournalOptions {
            var options = JournalOptions(directory: target.dataDir)
            options.maxAgeSeconds = 1 << 40
            if let journalMaxBytes {
                options.maxBytes = try JournalCommand.bytes(journalMaxBytes)
                return options
            }
            let owed = source.owed.reduce(0) { $0 + UInt64($1.location.length) }
            var used: UInt64 = 0
            let journal = target.dataDir + "/journal"
            for name in (try? FileManager.default.contentsOfDirectory(atPath: journal)) ?? [] {
                let attributes = try? FileManager.default.attributesOfItem(atPath: journal + "/" + name)
                used += (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
            }
            options.maxBytes = max(options.maxBytes, used + 2 * owed + 8 * options.segmentBytes)
            return options
        }

        private static func deliveries(_ count: Int) -> String { count == 1 ? "1 delivery" : "\(count) deliveries" }

        private static func knownText(_ result: JournalAdoption.Result) -> String {
            result.known == 0 ? "" : "; \(result.known) \(result.known == 1 ? "was" : "were") here already"
        }

        /// Says what is missing, and ends with the status that fits.
        private func report(_ result: JournalAdoption.Result) throws(CommandFailure) {
            for line in result.lost { Terminal.error("not adopted: \(line)") }
            if let stopped = result.stopped {
                throw .environment(
                    "it ended early, \(Self.deliveries(result.remaining)) are still to be adopted: \(stopped) Then repeat the command."
                )
            }
            if !result.lost.isEmpty {
                throw .input(
                    "\(directory) is damaged in \(result.lost.count == 1 ? "1 place" : "\(result.lost.count) places"), listed above: "
                        + "what could be read is adopted. Keep the directory until it is known what was lost.")
            }
        }
    }
}
