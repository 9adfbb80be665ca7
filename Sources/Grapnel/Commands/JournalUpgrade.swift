// JournalUpgrade: `grapnel journal upgrade`: has a data directory written in the newest version of the format from now on.
//
// Old segments stay as they are and go with retention. There is no way back but export and import.

import ArgumentParser
import CCrypto
import CLinuxIO
import Journal

extension JournalCommand {
    struct Upgrade: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "upgrade", abstract: "Write a data directory in the newest format version from now on.",
            discussion: """
                A new grapnel goes on writing the version that it finds, so that the one before it can take the directory back. Run \
                this, with the server stopped, once there is no need for that any more.
                """)

        @OptionGroup var directory: Directory
        @Option(name: .customLong("to"), help: ArgumentHelp("Version (default: the newest).", valueName: "version"))
        var version: UInt32 = FormatVersions.current.newest

        func run() throws {
            let known = FormatVersions.current
            guard known.contains(version) else {
                throw CommandFailure.input("--to \(version): this grapnel writes \(known.text).")
            }
            let survey: JournalSurvey
            do throws(JournalError) {
                survey = try unsafe JournalSurvey(disk: RealDisk(dataDirectory: directory.dataDir), checksum: cc_crc32)
            } catch {
                throw CommandFailure.environment(error.message(dataDirectory: directory.dataDir))
            }
            guard let found = survey.formatVersion else {
                throw CommandFailure.input(
                    "\(directory.dataDir) has no segment that can be read: there is nothing to upgrade.")
            }
            guard found != version else {
                print("\(directory.dataDir) is in format version \(found): nothing to do")
                return
            }
            // Nothing is to be dropped by this.
            var options = JournalOptions(directory: directory.dataDir, maxBytes: 1 << 50, maxAgeSeconds: 1 << 40)
            options.formatVersion = version
            do throws(JournalError) {
                let (writer, _) = unsafe try JournalWriter.open(
                    options: options, checksum: { unsafe cc_crc32($0, $1, $2) }, now: cl_now_realtime())
                writer.close(now: cl_now_realtime())
            } catch {
                throw CommandFailure.environment(error.message(dataDirectory: directory.dataDir))
            }
            print("\(directory.dataDir) is written in format version \(version) from now on")
        }
    }
}
