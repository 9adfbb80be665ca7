// Selections of deliveries that operators redeliver, in the midst of trouble and when all is calm.

import Delivery
import Journal
import NIOHTTP1
import Trigger

@testable import Grapnel

extension PipelineSimulation {
    /// Those that are dead, or something else, of all routes or one. Gives what was selected.
    @discardableResult
    func redeliverMany(limit: Int) -> [UInt64] {
        let isCalm = world.isCalm
        var filter = ["\"outcome\":\"\(isCalm || staff.random.chance(75) ? "dead" : "dead,ignored,done")\""]
        if !isCalm, staff.random.chance(25) {
            filter.append("\"route\":\"\(SimulatedRoutes.configured.randomElement(using: &staff.random)!.identity)\"")
        }
        var members = ["\"filter\":{\(filter.joined(separator: ","))}", "\"rate\":1000", "\"limit\":\(limit)"]
        let isAgain = !isCalm && staff.random.chance(10)
        let isDry = !isCalm && staff.random.chance(15)
        if isAgain { members.append("\"again\":true") }
        if isDry { members.append("\"dryRun\":true") }
        let isPlain = isCalm || staff.random.chance(60)
        if !isPlain { members += wish(of: 0).members }

        let oracle = oracle
        let selection = RedeliveryOracle.Selection(
            depth: staff.depth, isAgain: isAgain, isPlain: isPlain, isOfDead: filter == ["\"outcome\":\"dead\""],
            limit: limit,
            dead: oracle.dead, missing: isAgain || life.hasDurableOutcomes == false ? [] : oracle.unanswered)
        let isRunning = staff.selection != nil
        if !isRunning { staff.selection = selection }
        let answer = ask("/redeliveries", members)
        if !isRunning { staff.selection = nil }
        guard !disk.isGone else { return [] }
        guard answer.status == .accepted || answer.status == .ok else {
            judgeMany(answer, isRunning)
            return []
        }
        problems.verify((answer.status == .ok) == isDry, "a selection was answered \(answer.status)")
        problems.verify(!isRunning || isDry, "two selections are carried out at once")
        if isDry { staff.seen.see(.dry) }
        let told = answer.json["selection"] ?? .null
        staff.seen.see(.leftOut, number(told["skippedRedelivered"]))
        if !isDry { noteTurns(answer.json["redelivery"]?["id"]?.text ?? "") }
        let sequences = (told["sequences"]?.elements ?? []).map { UInt64(number($0)) }
        let isWhole =
            deliveries.keepsEverything && told["isComplete"] == .bool(true) && !disk.hadReadFaults && filter.count == 1
        oracle.check(sequences, selection, isWhole: isWhole && selection.isOfDead && isPlain)
        return sequences
    }

    private func number(_ value: JSONValue?) -> Int {
        if case .number(let text)? = value { Int(text) ?? 0 } else { 0 }
    }

    private func judgeMany(_ answer: OperatorAnswer, _ isRunning: Bool) {
        switch answer.code {
        case "redelivery-running":
            staff.seen.see(.refusedRunning)
            problems.verify(isRunning, "a selection was refused for one that does not run")
        case "journal-unreadable":
            staff.seen.see(.refusedUnreadable)
            problems.verify(disk.hadReadFaults, "a selection was answered \(answer.message)")
        // What was wished fits none.
        case "to-unknown", "to-unusable", "to-not-allowed", "target-unknown", "plan-other":
            staff.seen.see(.refusedEntry)
        // The machine is slow.
        case "selection-too-large": break
        default: problems.verify(false, "a selection was answered \(answer.code): \(answer.message)")
        }
    }

    /// What was refused of a selection when its turn came: because somebody else had done it, or nobody can tell.
    private func noteTurns(_ id: String) {
        for refusal in JSONValue(life.api.jobs.answer(id).bytes)?["refusals"]?.elements ?? [] {
            switch refusal["code"]?.text {
            case "redelivered-meanwhile": staff.seen.see(.meanwhile)
            case "journal-unreadable":
                staff.seen.see(.refusedUnreadable)
                problems.verify(disk.hadReadFaults || disk.isGone, "a turn was told that the journal is unreadable")
            default: break
            }
        }
    }

    /// With everything well: what is dead is redelivered, and then it is not dead any more, so that the same again takes none of it.
    func operateCalmly() {
        for _ in 0..<3 { redeliverOne() }
        let selected = redeliverMany(limit: 8)
        runUntil("what was redelivered is not worked off") { self.isWorkedOff }
        guard problems.texts.isEmpty, !shape.isTight else { return }
        let again = redeliverMany(limit: 8)
        let both = Set(selected).intersection(again)
        problems.verify(both.isEmpty, "\(both.sorted()) were selected once more, though they were redelivered")
    }
}
