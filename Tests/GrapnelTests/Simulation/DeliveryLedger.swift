// DeliveryLedger: what senders sent and what they were told, over all lives of the simulated server.
//
// It holds each answer against its request: status and decision, the order on its connection, that what a 2xx speaks of would
// survive the worst crash that can come now, and that a repeat is told from a new delivery.

import Delivery
import Journal
import Trigger

@testable import Grapnel

final class DeliveryLedger {
    struct Sent {
        var request: SimulatedRequest
        /// Not before this its first byte went out.
        var since: UInt64
        var answeredAt: UInt64?
        var status: UInt16?
        var decision = ""
        var sequence: UInt64 = 0
    }

    private(set) var sent: [Sent] = []
    /// Places in `sent` of each delivery and its repeats.
    private var byKey: [String: [Int]] = [:]
    /// Bodies that came under one id: another one takes the id over, so that the first counts as new again.
    private var tagsByID: [String: Set<String>] = [:]
    /// Requests by tag; repeats say the same.
    private(set) var byTag: [String: SimulatedRequest] = [:]
    /// What was answered 2xx, by sequence.
    private(set) var acknowledged: [UInt64: Int] = [:]
    private let problems: SimulationProblems
    private let time: SimulatedTime
    let disk: SimulatedDisk
    private let triggers: TriggerLedger
    let redeliveries: RedeliveryLedger
    /// Retention drops nothing.
    let keepsEverything: Bool
    private var durable: Set<String> = []
    /// Proven and answered 503: their senders try again.
    private var toBeRepeated: [SimulatedRequest] = []
    private(set) var duplicates = 0
    private(set) var unavailable = 0
    private(set) var refused = 0

    init(
        _ problems: SimulationProblems, _ time: SimulatedTime, _ disk: SimulatedDisk, _ triggers: TriggerLedger,
        keepsEverything: Bool
    ) {
        self.problems = problems
        self.time = time
        self.disk = disk
        self.triggers = triggers
        self.keepsEverything = keepsEverything
        redeliveries = RedeliveryLedger(problems, disk, triggers, keepsEverything: keepsEverything)
    }

    /// A request that is going to be sent; gives its number.
    func add(_ request: SimulatedRequest) -> Int {
        sent.append(Sent(request: request, since: time.now))
        byTag[request.tag] = request
        if let key = request.key { byKey[key, default: []].append(sent.count - 1) }
        tagsByID["\(request.route)/\(request.deliveryID)", default: []].insert(request.tag)
        return sent.count - 1
    }

    /// Whether the record of a request would be there after a crash now. What is, stays, until retention may drop it.
    func isDurable(_ tag: String) -> Bool {
        if durable.contains(tag) { return true }
        guard disk.holdsDurably(Array(tag.utf8)) else { return false }
        durable.insert(tag)
        return true
    }

    /// Of a sequence that was acknowledged.
    func isToBeActedOn(_ sequence: UInt64) -> Bool {
        acknowledged[sequence].map { sent[$0].decision == "accepted" && sent[$0].request.expectation == .accepted }
            ?? false
    }

    func takeRepeat() -> SimulatedRequest? { toBeRepeated.popLast() }

    /// `last`: the highest sequence that was answered on this connection before. `isStrict`: nothing may excuse another answer.
    func answer(
        _ number: Int, status: UInt16, fields: [String: String], last: inout UInt64, isStrict: Bool
    ) {
        let now = time.now
        sent[number].answeredAt = now
        sent[number].status = status
        let request = sent[number].request
        let text = "\(request.tag) \(request.expectation) was answered \(status)"
        if status == 408 {
            problems.verify(!isStrict && fields["connection"] == "close", text)
            return
        }
        if status == 503 {
            unavailable += 1
            if request.expectation.isProven { toBeRepeated.append(request) }
            problems.verify(!isStrict && fields["retry-after"] != nil, text)
            return
        }
        switch request.expectation {
        case .refused(let expected):
            refused += 1
            problems.verify(status == expected, text)
            return
        case .closed(let expected):
            problems.verify(status == expected && fields["connection"] == "close", text)
            return
        case .accepted, .stored, .ignored: break
        }
        guard status == 200, let sequence = fields["grapnel-delivery"].flatMap({ UInt64($0) }),
            let decision = fields["grapnel-decision"]
        else {
            problems.verify(false, "\(text) \(fields)")
            return
        }
        sent[number].sequence = sequence
        sent[number].decision = decision
        problems.verify(sequence > last, "\(text) with \(sequence), behind \(last)")
        last = sequence
        problems.verify(
            acknowledged.updateValue(number, forKey: sequence) == nil, "\(text) with \(sequence), as another was")
        let mayBeGone =
            !keepsEverything
            && (decision != "accepted" || request.expectation == .stored || triggers.isFinal(sequence))
        problems.verify(mayBeGone || isDurable(request.tag), "\(text) and is not durable")
        switch decision {
        case "duplicate":
            duplicates += 1
            checkDuplicate(number, text)
        case "accepted":
            problems.verify(request.expectation != .ignored, "\(text): accepted")
            checkAccepted(number, text)
        default: problems.verify(request.expectation == .ignored, "\(text): \(decision)")
        }
    }

    /// There must be one of which it is the repeat.
    private func checkDuplicate(_ number: Int, _ text: String) {
        let repeated = sent[number]
        let window = (SimulatedRoutes.window(repeated.request.route) + 2) * SimulatedRoutes.second
        let earlier = (repeated.request.key.flatMap { byKey[$0] } ?? []).filter { $0 != number }
        let isPlausible = earlier.contains { index in
            let first = sent[index]
            if let answered = first.answeredAt, answered + window < repeated.since { return false }
            if first.sequence > repeated.sequence { return false }
            guard let dropped = triggers.entries[first.sequence]?.droppedAt else { return true }
            return dropped >= repeated.since
        }
        problems.verify(isPlausible, "\(text) as the repeat of nothing that counts: \(repeated.sequence)")
    }

    /// There must be none of which it certainly is the repeat.
    private func checkAccepted(_ number: Int, _ text: String) {
        let new = sent[number]
        guard let key = new.request.key,
            tagsByID["\(new.request.route)/\(new.request.deliveryID)"]?.count == 1
        else { return }
        let window = SimulatedRoutes.window(new.request.route) * SimulatedRoutes.second
        for index in byKey[key] ?? [] where index != number {
            let other = sent[index]
            guard other.decision == "accepted" else { continue }
            let (first, second) = other.sequence < new.sequence ? (other, new) : (new, other)
            guard let answered = second.answeredAt, answered - first.since + SimulatedRoutes.second < window,
                triggers.entries[first.sequence]?.hasFailed != true,
                // Where the log is tight a restart may find nothing of what has its end.
                keepsEverything || (new.request.expectation == .accepted && !triggers.isFinal(first.sequence))
            else { continue }
            problems.verify(false, "\(text) as new: \(second.sequence), though \(first.sequence) did not fail")
        }
    }

    // MARK: Records and attempts

    /// The request of which this is the record.
    func request(of body: [UInt8]) -> SimulatedRequest? {
        let text = String(decoding: body, as: UTF8.self)
        guard let start = text.range(of: "tag-")?.lowerBound, let end = text[start...].firstIndex(of: ";") else {
            return nil
        }
        return byTag[String(text[start...end])]
    }

    /// The route that a delivery belongs to, by what its sender sent and operators asked for.
    func route(of sequence: UInt64, _ record: StoredRecord?) -> RouteIdentity? {
        if let route = redeliveries.route(of: sequence) { return route }
        let found = acknowledged[sequence].map { sent[$0].request } ?? record.flatMap { request(of: Array($0.body)) }
        return found.map { SimulatedRoutes.all[$0.route].identity }
    }

    /// Before an attempt: its delivery was proven, is durable, and is not the repeat of another.
    func check(_ action: StartedAction, _ record: StoredRecord?) {
        let text = "\(action.sequence)/\(action.planIndex) was started"
        guard let record else {
            problems.verify(false, "\(text) and its record cannot be read")
            return
        }
        problems.verify(record.header.decision == .accepted, "\(text) by a record that says otherwise")
        guard let request = request(of: Array(record.body)) else {
            problems.verify(false, "\(text) by a request that nobody sent")
            return
        }
        let isRedelivered = record.header.flags.contains(.redelivered)
        problems.verify(
            request.expectation == .accepted || (isRedelivered && request.expectation.isProven),
            "\(text) by \(request.tag), \(request.expectation)")
        let own = redeliveries.route(of: action.sequence) ?? SimulatedRoutes.all[request.route].identity
        problems.verify(own == action.route, "\(text) by another route")
        guard isRedelivered else {
            problems.verify(isDurable(request.tag), "\(text) before \(request.tag) was durable")
            return
        }
        redeliveries.check(action.sequence, record)
        if action.attempt == 1 { redeliveries.checkDurable(record) }
    }

    /// After a recovery.
    func check(_ records: [UInt64: StoredRecord], owed: Set<UInt64>) {
        redeliveries.check(records, owed: owed)
        // What nobody was told of may have been cut.
        durable = []
        for (sequence, number) in acknowledged {
            let (request, decision) = (sent[number].request, sent[number].decision)
            if decision == "accepted", request.expectation == .accepted {
                problems.verify(
                    owed.contains(sequence) || triggers.isFinal(sequence), "\(sequence) was accepted and is not owed")
            }
            guard let record = records[sequence] else {
                problems.verify(
                    !keepsEverything && !owed.contains(sequence), "\(sequence) was answered 2xx and is lost")
                continue
            }
            problems.verify(record.deliveryID == request.deliveryID, "\(sequence) has another's id")
            problems.verify(
                record.header.decision == .duplicate || Array(record.body) == request.body,
                "\(sequence) has another's body")
        }
        for (sequence, record) in records where record.header.decision != .duplicate {
            guard let request = request(of: Array(record.body)) else {
                problems.verify(false, "\(sequence) was stored and never sent")
                continue
            }
            problems.verify(request.expectation.isProven, "\(sequence) was stored without proof: \(request.tag)")
            problems.verify(
                record.header.decision != .accepted || owed.contains(sequence) || triggers.isFinal(sequence)
                    || redeliveries.unplanned.contains(sequence),
                "\(sequence) is to be acted on and not owed")
            problems.verify(
                acknowledged[sequence].map { sent[$0].request.tag == request.tag } ?? true,
                "\(sequence) was answered for another request")
        }
    }
}
