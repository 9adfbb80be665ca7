// The end of a pipeline: loops drain, running actions get the rest of the grace, the journal takes what they said and is closed.

internal import CLinuxIO
internal import Delivery
internal import Foundation
internal import Journal
internal import Logging
internal import Synchronization
internal import Trigger

extension Pipeline {
    /// Drains, lets actions finish within the grace, closes the journal.
    func stop() {
        // `grapnel drain` leaves its wish before it signals.
        let request = DrainRequest.take(settings.dataDirectory)
        let drainNanoseconds = request?.timeoutNanoseconds ?? settings.drainTimeoutNanoseconds
        readiness.update { $0.isDraining = true }
        for loop in loops { loop.enter(.leaving) }
        if settings.shutdownDelayNanoseconds > 0 {
            usleep(UInt32(min(settings.shutdownDelayNanoseconds / 1000, 3_600_000_000)))
        }
        var deadline = cl_now_monotonic() + settings.shutdownGraceNanoseconds
        for loop in loops { loop.enter(.draining) }
        // A second of the grace is kept for the actions.
        let loopDeadline = deadline - min(settings.shutdownGraceNanoseconds / 4, 1_000_000_000)
        wait(until: loopDeadline) { self.loops.allSatisfy { $0.hasEnded.load(ordering: .acquiring) } }
        for loop in loops { loop.enter(.stopped) }
        wait(until: deadline) { self.loops.allSatisfy { $0.hasEnded.load(ordering: .acquiring) } }
        if drainNanoseconds > 0, workOff(drainNanoseconds) {
            deadline = max(deadline, cl_now_monotonic() + min(settings.shutdownGraceNanoseconds / 4, 1_000_000_000))
        }

        tls?.stop()
        refusals.stop()
        rebuilder.stop()
        _ = Blocking.wait(seconds: 1) { [clusters] in await clusters.stop() }
        handoff.stop()
        watch.stop()
        wait(until: deadline) {
            self.handoff.hasEnded.load(ordering: .acquiring) && self.watch.hasEnded.load(ordering: .acquiring)
        }
        let remaining = deadline > cl_now_monotonic() ? deadline - cl_now_monotonic() : 0
        Blocking.wait { [dispatcher] in
            await dispatcher.drain(deadline: .now + .nanoseconds(Int64(remaining)))
        }
        journalThread.stop()
        if !isInline || journalThread.isRunning {
            wait(until: cl_now_monotonic() + 2_000_000_000) { self.journalThread.hasEnded.load(ordering: .acquiring) }
        }
        // The desk is ours now: loops and thread have ended.
        if loops.allSatisfy({ $0.hasEnded.load(ordering: .acquiring) }) {
            _ = desk.commit(nowUnixNanoseconds: cl_now_realtime())
            tellWhatIsOwed(desk.writer.owedCount, request)
            desk.close(nowUnixNanoseconds: cl_now_realtime())
        }
        // Everything is on disk. TLS connections wait seconds for a peer's farewell, which nobody needs.
        _ = Blocking.wait(seconds: 0.25) { [actions] in await actions.shutdown() }
        logger.info("stopped")
    }

    /// Goes on acting until nothing is owed. False when the loops did not end, so that nobody may touch the journal.
    private func workOff(_ nanoseconds: UInt64) -> Bool {
        guard loops.allSatisfy({ $0.hasEnded.load(ordering: .acquiring) }) else { return false }
        if journalThread.isRunning {
            journalThread.stop()
            wait(until: cl_now_monotonic() + 10_000_000_000) { self.journalThread.hasEnded.load(ordering: .acquiring) }
            guard journalThread.hasEnded.load(ordering: .acquiring) else { return false }
        }
        let routes = routes
        _ = WorkOff(desk: desk, logger: logger) { routes.table.isComplete }.run(nanoseconds: nanoseconds)
        return true
    }

    private func tellWhatIsOwed(_ owed: Int, _ request: DrainRequest?) {
        if owed > 0 {
            logger.notice(
                "deliveries are still owed: keep the data directory, start a server on it, or adopt it with `grapnel journal replay`",
                metadata: ["owed": "\(owed)", "data_dir": "\(settings.dataDirectory)"])
        }
        guard let request, let trouble = DrainResult(process: request.process, owed: owed).write(settings.dataDirectory)
        else { return }
        logger.warning("`grapnel drain` cannot be told what is owed", metadata: ["reason": "\(trouble)"])
    }

    /// So that `grapnel drain` and `grapnel doctor` know whom they meet.
    func introduce(adminPort: Int) {
        guard let process = ProcessIdentity.own else { return }
        let listen = zip(settings.listen, ports).map { Endpoint(host: $0.host, port: UInt16(clamping: $1)).description }
        let admin = Endpoint(host: settings.adminListen.host, port: UInt16(clamping: adminPort)).description
        let record = ServerRecord(process: process, admin: admin, listen: listen, version: Version.number)
        guard let trouble = record.write(settings.dataDirectory) else { return }
        logger.warning("`grapnel drain` will not find this server", metadata: ["reason": "\(trouble)"])
    }

    private func wait(until deadline: UInt64, _ condition: () -> Bool) {
        while !condition() && cl_now_monotonic() < deadline { usleep(2_000) }
    }
}
