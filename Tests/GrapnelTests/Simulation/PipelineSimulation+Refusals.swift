// What the admin API refuses, held against what the ledgers know.

import Delivery
import Journal
import NIOHTTP1
import Trigger

@testable import Grapnel

extension PipelineSimulation {
    /// Whether a refusal is right. `state`: before it was asked for.
    func judge(_ answer: OperatorAnswer, _ sequence: UInt64, _ state: RedeliveryOracle.State, _ members: [String]) {
        let text = "\(sequence) \(members) was answered \(answer.code)"
        let isCalm = world.isCalm
        switch answer.code {
        case "still-owed":
            staff.seen.see(.refusedOwed)
            problems.verify(!state.mustBeFinal, "\(text), and it is not")
        case "delivery-unknown":
            staff.seen.see(.refusedUnknown)
            problems.verify(!state.isOwedForCertain && !(state.isKnown && deliveries.keepsEverything), text)
        case "body-not-kept":
            staff.seen.see(.refusedDuplicate)
            problems.verify(state.isDuplicate || !state.isKnown, text)
        case "route-gone":
            let isListed = life.routes.table.routes.isEmpty == false
            staff.seen.see(isListed ? .refusedGone : .refusedUnlisted)
            problems.verify(!isListed || state.route == nil || isAway(state.route!), text)
        case "to-unknown":
            staff.seen.see(.refusedRoute)
        case "to-unusable": staff.seen.see(.refusedUnusable)
        case "to-not-allowed":
            staff.seen.see(.refusedTenant)
            problems.verify(
                state.firstNamespace != SimulatedRoutes.tenant.namespace || !deliveries.keepsEverything, text)
        case "target-unknown":
            staff.seen.see(.refusedEntry)
        case "journal-unreadable":
            staff.seen.see(.refusedUnreadable)
            problems.verify(disk.hadReadFaults, text)
        case "journal-slow":
            staff.seen.see(.slow)
            problems.verify(!isCalm, text)
            // Impatient, they try another way.
            if staff.depth == 0, staff.random.chance(50) { redeliverMany(limit: 6) }
        case "journal-refuses": noteRefusal(answer.message, text)
        default: problems.verify(false, text)
        }
    }

    private func isAway(_ route: RouteIdentity) -> Bool { life.routes.definition(of: route) == nil }

    func noteRefusal(_ message: String, _ text: String) {
        if message.contains("share of the journal") {
            staff.seen.see(.refusedShare)
        } else if message == life.desk.writer.roomProblem.message {
            staff.seen.see(.refusedFull)
        } else {
            staff.seen.see(.refusedSealed)
        }
        problems.verify(!world.isCalm || shape.isTight, text)
    }
}
