// DrainCommand: `grapnel drain`: has a running server stop accepting, work off what it owes, and exit.
//
//     grapnel drain --data-dir /var/lib/grapnel --timeout 10m
//
// For `ExecStop=` of systemd, `preStop` of Kubernetes, and before a replica is taken away. It returns when the server has ended.
// Exit status: 0 nothing is owed any more, 1 something is (the volume must be kept), 2 wrong usage, 3 the environment failed.

import ArgumentParser
import CCrypto
import CLinuxIO
import Catalog
import Foundation
import Journal

struct DrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Have a running server stop accepting, work off what it owes, and exit.",
        discussion: """
            Finds the server by its data directory, on this machine and in this container. Exit status 0 when nothing is owed any \
            more, 1 when something is: then keep the data directory, and start a server on it, or adopt it with `grapnel journal \
            replay`.
            """)

    @Option(help: ArgumentHelp("Data directory of the server (default: $GRAPNEL_DATA_DIR, data).", valueName: "dir"))
    var dataDir: String?
    @Option(
        help: ArgumentHelp("How long the server may work off what it owes, up to 7d.", valueName: "duration"))
    var timeout = "10m"

    /// What the server needs beside the time to work off: its delays, its grace, closing the journal.
    private static let reserveNanoseconds: UInt64 = 60_000_000_000
    private static let timeoutNanosecondsMax: UInt64 = 7 * 86_400_000_000_000

    private var directory: String {
        dataDir ?? ProcessInfo.processInfo.environment["GRAPNEL_DATA_DIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "data"
    }

    func run() throws {
        let nanoseconds = try timeoutNanoseconds()
        switch DataDirectory.holder(directory) {
        case .unknown(let code):
            throw CommandFailure.environment(
                "\(directory): \(SmallFile.text(of: code)). Give the server's --data-dir, and run as the same user.")
        case .nobody:
            print("no grapnel runs on \(directory)")
            return try conclude(owed: try countOwed())
        case .somebody: break
        }
        let server = try server()
        try ask(server, nanoseconds)
        try waitForEnd(of: server, nanoseconds)
        let owed = try DrainResult.read(directory, of: server.process)?.owed ?? countOwed()
        try conclude(owed: owed)
    }

    private func timeoutNanoseconds() throws(CommandFailure) -> UInt64 {
        let value: UInt64
        do { value = try Quantity.nanoseconds(timeout, allowDays: true) } catch {
            throw CommandFailure(.usage, "--timeout: \(quoted(timeout)) \(error)")
        }
        guard value <= Self.timeoutNanosecondsMax else {
            throw CommandFailure(.usage, "--timeout: at most 7d, found \(quoted(timeout))")
        }
        return value
    }

    private func server() throws(CommandFailure) -> ServerRecord {
        let remedy = "Send it SIGTERM, after it was started with --drain-timeout."
        guard let server = ServerRecord.read(directory) else {
            throw .environment("a grapnel holds \(directory), and does not say which process it is. \(remedy)")
        }
        guard server.process.isRunning else {
            throw .environment(
                "a grapnel holds \(directory), but its process \(server.process.pid) is not to be seen from here: "
                    + "run the command in the same container. Or: \(remedy)")
        }
        return server
    }

    private func ask(_ server: ServerRecord, _ nanoseconds: UInt64) throws(CommandFailure) {
        let request = DrainRequest(process: server.process, timeoutNanoseconds: nanoseconds)
        if let trouble = request.write(directory) {
            throw .environment("\(trouble). Run as the user of the server.")
        }
        guard kill(server.process.pid, SIGTERM) == 0 else {
            let reason = SmallFile.text(of: errno)
            DrainRequest.remove(directory)
            throw .environment(
                "process \(server.process.pid) cannot be told to stop: \(reason). Run as the user of the server.")
        }
        Terminal.error("process \(server.process.pid) stops accepting and works off what it owes, for up to \(timeout)")
    }

    /// Until the server has given its lock back.
    private func waitForEnd(of server: ServerRecord, _ nanoseconds: UInt64) throws(CommandFailure) {
        let deadline = cl_now_monotonic() + nanoseconds + Self.reserveNanoseconds
        while DataDirectory.holder(directory) == .somebody {
            if ServerRecord.read(directory).map({ $0.process != server.process }) == true {
                throw .environment(
                    "another grapnel was started on \(directory) meanwhile; what the first one owed is its own now")
            }
            guard cl_now_monotonic() < deadline else {
                throw .environment(
                    "process \(server.process.pid) still runs. See its log; SIGKILL loses nothing that was answered, "
                        + "and what it owes stays in \(directory).")
            }
            usleep(100_000)
        }
        // The journal is closed; the process has its connections to close.
        for _ in 0..<50 where server.process.isRunning { usleep(100_000) }
    }

    private func countOwed() throws(CommandFailure) -> Int {
        do throws(JournalError) {
            return try unsafe JournalSurvey(disk: RealDisk(dataDirectory: directory), checksum: cc_crc32).owed.count
        } catch {
            if error == .missing { return 0 }
            throw .environment(error.message(dataDirectory: directory))
        }
    }

    private func conclude(owed: Int) throws(CommandFailure) {
        guard owed > 0 else {
            print("nothing is owed: \(directory) may go")
            return
        }
        print("\(owed) \(owed == 1 ? "delivery is" : "deliveries are") still owed")
        throw .input(
            "keep \(directory): start a server on it, or adopt it with `grapnel journal replay \(directory) --data-dir DIR`"
        )
    }
}
