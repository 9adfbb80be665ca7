// WorkOff: after the loops ended: waits until nothing is owed any more, or the time is over.
//
// The dispatcher goes on as always. Its plans and outcomes, which a loop or the journal's thread took until now, are taken
// here: the desk belongs to the main thread.

internal import CLinuxIO
internal import Glibc
internal import Journal
internal import Logging

struct WorkOff {
    let desk: JournalDesk
    let logger: Logger
    /// Whether what the last run owed is with the dispatcher: it waits for a catalog that is whole.
    let isCatalogWhole: () -> Bool

    private static let pauseMicroseconds: UInt32 = 50_000
    private static let lineNanoseconds: UInt64 = 5_000_000_000

    /// Returns how many deliveries are owed at the end.
    func run(nanoseconds: UInt64) -> Int {
        let began = cl_now_monotonic()
        let deadline = began + nanoseconds
        var nextLine = began
        while true {
            desk.keepHouse(nowUnixNanoseconds: cl_now_realtime())
            let owed = desk.writer.owedCount
            if owed == 0 {
                logger.info(
                    "nothing is owed any more", metadata: ["duration_ms": "\((cl_now_monotonic() - began) / 1_000_000)"]
                )
                return 0
            }
            let now = cl_now_monotonic()
            if now >= deadline { return owed }
            if Self.isToldToStop {
                logger.notice("told to stop again: what is owed is not waited for", metadata: ["owed": "\(owed)"])
                return owed
            }
            if now >= nextLine {
                logger.info(
                    "working off what is owed",
                    metadata: [
                        "owed": "\(owed)", "seconds_left": "\((deadline - now) / 1_000_000_000)",
                        "catalog": isCatalogWhole() ? "whole" : "not whole yet",
                    ])
                nextLine = now + Self.lineNanoseconds
            }
            usleep(Self.pauseMicroseconds)
        }
    }

    /// SIGTERM or SIGINT came again: both are blocked, so they wait.
    private static var isToldToStop: Bool {
        var pending = sigset_t()
        guard unsafe sigpending(&pending) == 0 else { return false }
        return unsafe sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1
    }
}
