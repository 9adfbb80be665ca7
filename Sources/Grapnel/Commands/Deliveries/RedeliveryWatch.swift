// RedeliveryWatch: follows a redelivery of many at the server, shows how far it is, and cancels it when the person at the terminal ends the
// command. That must have blocked SIGINT before the redelivery was asked for (`cl_block_interrupt`).
//
// On a terminal the line is rewritten in place; elsewhere there is one every 2 s.

import CLinuxIO
import Delivery
import Foundation
import Glibc

struct RedeliveryWatch {
    let client: AdminClient
    /// As it began.
    let first: JSONValue

    struct Ending {
        var job: JSONValue
        var isInterrupted = false
    }

    private static let pollNanoseconds: UInt64 = 250_000_000
    private static let lineNanoseconds: UInt64 = 2_000_000_000

    /// The redelivery when it has ended, or was cancelled from here.
    func untilItEnds() throws(CommandFailure) -> Ending {
        let isTerminal = isatty(STDERR_FILENO) == 1
        let id = DeliveryTable.text(first["id"])
        var job = first
        var toldAt: UInt64 = 0
        while job["state"]?.text == "running" {
            if isTerminal || cl_now_monotonic() >= toldAt + Self.lineNanoseconds {
                tell(job, isTerminal)
                toldAt = cl_now_monotonic()
            }
            let isInterrupted = cl_wait_interrupt(Self.pollNanoseconds) == 1
            do throws(CommandFailure) {
                let told =
                    isInterrupted
                    ? try client.post("/redeliveries/\(id)/cancel", .object([])) : try client.get("/redeliveries/\(id)")
                // A server that was started again counts from 1 again.
                guard told["begun"] == first["begun"] else {
                    throw CommandFailure.environment("the server was started again")
                }
                job = told
            } catch {
                if isTerminal { Self.write("\n") }
                throw lost(job, error)
            }
            if isInterrupted {
                if isTerminal { tell(job, true); Self.write("\n") }
                return Ending(job: job, isInterrupted: true)
            }
        }
        if isTerminal {
            tell(job, true)
            Self.write("\n")
        }
        return Ending(job: job)
    }

    private func lost(_ job: JSONValue, _ failure: CommandFailure) -> CommandFailure {
        CommandFailure(
            .environment,
            failure.messages + [
                "\(DeliveryTable.text(job["redelivered"])) of \(DeliveryTable.text(job["count"])) were redelivered as far as is "
                    + "known; a redelivery ends with its server. Give the same command again: what was redelivered is left out then"
            ])
    }

    private func tell(_ job: JSONValue, _ isTerminal: Bool) {
        let line = RedeliveryText.progress(job)
        Self.write(isTerminal ? "\r\(line)\u{1b}[K" : line + "\n")
    }

    private static func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
