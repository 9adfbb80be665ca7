// What is counted, logged and told of what the dispatcher does.

import Delivery
import Logging
import Metrics
import Synchronization

extension DispatcherWorker {
    func count(_ settled: SettledOutcome) {
        let entry = settled.entry
        parts.metrics.outcome(settled.action?.name ?? "none", entry.code).increment()
        switch entry.code {
        case .done:
            let wall = DispatcherClock.wall
            let nanoseconds = wall > settled.receivedNanoseconds ? wall - settled.receivedNanoseconds : 0
            parts.metrics.receiveToDoneSeconds.observe(Double(nanoseconds) / 1e9)
            parts.logger.debug("trigger done", metadata: fields(settled))
        case .merged: parts.logger.debug("trigger merged", metadata: fields(settled))
        case .ignored: parts.logger.notice("delivery ignored", metadata: fields(settled))
        case .failed:
            parts.logger.notice("trigger failed, will be tried again", metadata: fields(settled))
            tell(settled, isDead: false)
        case .dead:
            parts.logger.warning("trigger dead", metadata: fields(settled))
            tell(settled, isDead: true)
        }
    }

    /// A trigger that only stumbled is not worth an Event.
    private static let longFailingNanoseconds: UInt64 = 60_000_000_000

    private func tell(_ settled: SettledOutcome, isDead: Bool) {
        let now = DispatcherClock.wall
        let age = now > settled.receivedNanoseconds ? now - settled.receivedNanoseconds : 0
        guard isDead || age >= Self.longFailingNanoseconds else { return }
        parts.onTrouble?(
            TriggerTrouble(
                route: settled.route, action: settled.action?.name ?? "", target: settled.action?.targetText ?? "",
                reason: settled.entry.reason, isDead: isDead))
    }

    private func fields(_ settled: SettledOutcome) -> Logger.Metadata {
        var fields: Logger.Metadata = [
            "sequence": "\(settled.entry.sequence)", "route": "\(settled.route)",
            "action": "\(settled.action?.name ?? "none")",
        ]
        if settled.route.cluster != "local" { fields["cluster"] = "\(settled.route.cluster)" }
        if let target = settled.action?.targetText, !target.isEmpty { fields["target"] = "\(target)" }
        switch settled.entry.code {
        case .merged: fields["merged_into"] = "\(settled.entry.detail)"
        case .done, .failed, .dead: fields["attempts"] = "\(settled.entry.detail)"
        case .ignored: break
        }
        if settled.merged > 0 { fields["merged"] = "\(settled.merged)" }
        if !settled.entry.reason.isEmpty, settled.entry.code != .done { fields["reason"] = "\(settled.entry.reason)" }
        return fields
    }

    mutating func updateFigures() {
        let metrics = parts.metrics
        metrics.running.set(Int64(core.runningCount))
        metrics.waiting.set(Int64(core.waitingCount + planning.count + spills.count))
        metrics.spilled.set(Int64(spills.count))
        metrics.owedDeliveries.set(Int64(core.owedDeliveryCount + planning.count))
        metrics.setOpenBreakers(core.openBreakers)
        parts.load.held.store(core.load + planning.count, ordering: .releasing)
        let now = clock.now
        guard core.owedDeliveryCount + planning.count + spills.count > 0 else {
            metrics.oldestAgeSeconds.set(0)
            return
        }
        guard now >= agesAt &+ Self.ageIntervalNanoseconds else { return }
        agesAt = now
        let oldest = min(
            core.oldestReceivedNanoseconds ?? now, planning.oldestReceivedNanoseconds ?? now,
            spills.oldestReceivedNanoseconds ?? now)
        metrics.oldestAgeSeconds.set(Int64((now > oldest ? now - oldest : 0) / 1_000_000_000))
    }
}
