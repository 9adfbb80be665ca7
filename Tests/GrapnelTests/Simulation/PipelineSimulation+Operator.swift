// What an operator asks of the admin API, by the API's own code: one delivery again, a selection of them, pauses.
//
// The API's threads would wait for the journal. Here the simulation goes on in the place where they wait, and what is asked for meanwhile is
// asked in the middle of that. Now and then nobody waits to the end, as with a disk that hangs; and a life may end meanwhile.

import Delivery
import Journal
import Logging
import NIOHTTP1
import Trigger

@testable import Grapnel

/// On one thread.
final class SimulatedOperator {
    /// Nothing that others draw.
    var random: SeededGenerator
    /// Answers that are waited for, one within the other.
    var depth = 0
    /// The selection that is being carried out.
    var selection: RedeliveryOracle.Selection?
    var seen = OperatorCoverage()

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }
}

extension PipelineSimulation {
    /// None of the kept seeds, which found what they found without.
    static func operates(_ seed: UInt64) -> Bool { !kept.contains(seed) && seed % 5 != 3 }

    static let idle = Dispatcher(
        log: TriggerLedger(SimulationProblems(), SimulatedTime()),
        routes: CurrentRoutes(
            CurrentRoutes.Configuration(
                table: RouteTable([], bodyBytesMax: 1), repositories: RepositoryIndex(), images: [:])),
        runners: ActionRunners(), decodeEvent: ActionSet.decodeEvent,
        logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() })

    /// As `Pipeline` makes it; a selection is carried out in the place where it is asked for.
    func makeAPI() -> AdminAPI {
        let (reader, history) = (life.desk.writer.reader, life.history)
        let parts = AdminParts(
            reader: reader, history: history, durableSequence: { history.durableThrough }, routes: life.routes,
            dispatcher: Self.idle, journalMetrics: life.desk.writer.metrics, journalRefusal: { nil },
            lostSegments: { [] },
            shareRefusals: life.desk.shareRefusals, refused: RefusedRequests(), counts: RouteCounts(),
            redeliver: { [unowned self] in carryOut($0, $1.act, $2) }, startJob: { $0() }, settings: ServerSettings(),
            version: "simulation")
        do {
            let pauses = try PauseBook(dataDirectory: "/nonexistent") { _ in }
            return AdminAPI(parts, pauses: pauses) { _ in nil }
        } catch {
            preconditionFailure("nothing is paused by a file that is not there")
        }
    }

    /// Something that an operator does, now and then.
    func operate() {
        guard shape.operates, staff.depth < 2, problems.texts.isEmpty, !disk.isGone else { return }
        switch Int.random(in: 0..<100, using: &staff.random) {
        case 0..<56: redeliverOne()
        case 56..<74: redeliverMany(limit: Int.random(in: 1...6, using: &staff.random))
        case 74..<80: if staff.random.chance(life.isCanaryGone ? 15 : 60) { toggleCanary() }
        default: changePauses()
        }
    }

    // MARK: One

    /// `ofSelection`: one that is dead and was not redelivered, so that the selection has it too, perhaps.
    func redeliverOne(ofSelection: Bool = false) {
        let oracle = oracle
        let selected = ofSelection ? oracle.unanswered.prefix(6).randomElement(using: &staff.random) : nil
        guard let sequence = selected ?? pick() else { return }
        var (members, name) = ofSelection ? ([], .asConfigured) : wish(of: sequence)
        let isDry = staff.random.chance(8)
        if isDry { members.append("\"dryRun\":true") }
        let state = oracle.state(sequence)
        let before = deliveries.redeliveries.askedCount
        let answer = ask("/deliveries/\(sequence)/redeliver", members)
        guard !disk.isGone else { return }
        if isDry {
            problems.verify(
                deliveries.redeliveries.askedCount == before || staff.depth > 0,
                "a dry run of \(sequence) did something")
        }
        if answer.status == .accepted || answer.status == .ok {
            problems.verify((answer.status == .ok) == isDry, "\(sequence) was answered \(answer.status)")
            staff.seen.see(isDry ? .dry : name)
        } else {
            judge(answer, sequence, state, members)
        }
    }

    /// Mostly what is dead, or came last.
    private func pick() -> UInt64? {
        let redelivered = deliveries.redeliveries.sequences
        if life.isCanaryGone, staff.random.chance(50) {
            let homeless = redelivered.filter { deliveries.redeliveries.route(of: $0) == SimulatedRoutes.canary }
            if let sequence = homeless.randomElement(using: &staff.random) { return sequence }
        }
        let dead = triggers.entries.filter { $0.value.isDead }.keys.sorted()
        let known: [UInt64]
        switch Int.random(in: 0..<100, using: &staff.random) {
        case 0..<40: known = dead
        case 40..<60: known = redelivered
        case 60..<97: known = deliveries.acknowledged.keys.sorted()
        default: return UInt64.random(in: 1...2_000, using: &staff.random)
        }
        return known.suffix(staff.random.chance(60) ? 6 : 500).randomElement(using: &staff.random)
    }

    func wish(of sequence: UInt64) -> (members: [String], OperatorSight) {
        let index = Int.random(in: 0...(staff.random.chance(80) ? 1 : 2), using: &staff.random)
        switch Int.random(in: 0..<100, using: &staff.random) {
        case 0..<40: return ([], .asConfigured)
        case 40..<68:
            let route = SimulatedRoutes.aims.randomElement(using: &staff.random)!
            return (["\"to\":\"\(route)\""], .toRoute)
        case 68..<85: return (["\"planIndex\":\(index)"], .ofPlan)
        case 85..<92:
            let target = ["GitRepository/team-a/app", "Bucket/team-b/refs"].randomElement(using: &staff.random)!
            return (["\"target\":\"\(target)\""], .ofPlan)
        default:
            let object = ["GitRepository/team-a/canary", "HelmRepository/team-c/canary", "Kustomization/team-b/canary"]
            return (["\"to\":\"\(object.randomElement(using: &staff.random)!)\""], .toObject)
        }
    }

    struct OperatorAnswer {
        var status: HTTPResponseStatus
        var json: JSONValue
        var code: String { json["error"]?["code"]?.text ?? "" }
        var message: String { json["error"]?["message"]?.text ?? "" }
    }

    func ask(_ path: String, _ members: [String]) -> OperatorAnswer {
        let body = Array("{\(members.joined(separator: ","))}".utf8)
        let request = AdminRequest(
            method: .POST, target: AdminAPI.prefix + path,
            headers: ["Host": "localhost", "Content-Type": "application/json"], body: body)!
        let answer: AdminAnswer
        switch life.api.reply(to: request) {
        case .answer(let found): answer = found
        case .work(let work): answer = work()
        case .events: preconditionFailure("nobody listens")
        }
        return OperatorAnswer(status: answer.status, json: JSONValue(answer.bytes) ?? .null)
    }

    /// The power goes, perhaps while somebody waits for the journal.
    func noteEnd() {
        if deliveries.redeliveries.hasUnanswered { staff.seen.see(.powerCut) }
    }

    // MARK: The journal's answer

    var oracle: RedeliveryOracle { RedeliveryOracle(self) }

    /// What stands in the place of `Redelivery.asked`.
    private func carryOut(
        _ sequence: UInt64, _ act: RedeliveryAct, _ answered: @escaping @Sendable (RedeliveryRequest.Answer) -> Void
    ) -> Result<UInt64, RedeliveryRefusal> {
        let selection = staff.selection
        let isOfSelection = selection?.depth == staff.depth
        oracle.checkChoice(sequence, act, isOfSelection ? selection : nil)
        if isOfSelection { staff.seen.see(.selected) }
        if let route = deliveries.redeliveries.route(of: sequence) {
            staff.seen.see(SimulatedRoutes.canaries.contains(route) ? .againElsewhere : .again)
        }
        let given = Locked<RedeliveryRequest.Answer?>(nil)
        guard let own = deliveries.route(of: sequence, record(sequence)) else {
            problems.verify(
                disk.isGone || !deliveries.keepsEverything, "\(sequence) is redelivered and belongs to no route")
            return carryOutGone(sequence, act, answered)
        }
        deliveries.redeliveries.redeliver(
            sequence, act, of: own, for: isOfSelection ? selection : nil, life.redelivery
        ) { answer in
            answered(answer)
            given.withLock { $0 = answer }
        }
        let number = deliveries.redeliveries.askedCount
        staff.depth += 1
        wait { given.withLock { $0 != nil } }
        staff.depth -= 1
        deliveries.redeliveries.takeAnswers(life.history, isStrict: world.isCalm && !shape.isTight)
        let answer = given.withLock { $0 }
        if answer == nil { deliveries.redeliveries.abandon(number) }
        return JournalRedelivery.told(answer)
    }

    /// Its record is gone, which is said at once. So it is of one that was copied forward and is final since then: the API lists it still.
    private func carryOutGone(
        _ sequence: UInt64, _ act: RedeliveryAct, _ answered: @escaping @Sendable (RedeliveryRequest.Answer) -> Void
    ) -> Result<UInt64, RedeliveryRefusal> {
        let given = Locked<RedeliveryRequest.Answer?>(nil)
        life.redelivery.redeliver(sequence, act) { answer in
            answered(answer)
            given.withLock { $0 = answer }
        }
        let answer = given.withLock { $0 }
        switch answer {
        case .failure(.unknown)?, .failure(.unreadable)?: break
        default: problems.verify(false, "\(sequence) has no record and is redelivered")
        }
        return JournalRedelivery.told(answer)
    }

    /// What is on the disk, whatever the disk does to others.
    func record(_ sequence: UInt64) -> StoredRecord? {
        disk.reliably { try? life.history.record(of: sequence) }
    }

    private func wait(until isThere: () -> Bool) {
        if world.isCalm {
            runUntil("a redelivery is not answered", isThere)
            return
        }
        let patience = staff.random.chance(15) ? Int.random(in: 0...3, using: &staff.random) : 400
        for _ in 0..<patience where !isThere() && problems.texts.isEmpty {
            guard takeStep() else {
                staff.seen.see(.cut)
                return
            }
            // While a selection is carried out, somebody redelivers some of it.
            if staff.selection != nil, staff.depth == 1, staff.random.chance(40) { redeliverOne(ofSelection: true) }
        }
    }
}
