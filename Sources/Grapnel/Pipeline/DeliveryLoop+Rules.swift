// Requests that more than path and signature decides: receivers with rules of their own, and bodies too large to be hashed or read on
// the loop.

internal import CLinuxIO
internal import Delivery
internal import EventLoop
internal import HTTP
internal import Metrics

extension DeliveryLoop where P: ~Copyable {
    /// Larger bodies are hashed and judged by a helper: a loop must not be kept from its other connections.
    static var onLoopBodyBytesMax: Int { 256 << 10 }

    /// A complete request for a receiver with rules. Asked here, or by a helper when its body is large or a token must be checked.
    mutating func completeByRules(
        _ slot: Int, _ head: RequestHead, _ view: HeadView, base: UnsafeMutableRawPointer,
        body: UnsafeRawBufferPointer, route: Int
    ) {
        guard let rules = table.rules(of: route) else { return }
        var request = InboundRequest(head, view)
        let places = RequestPlaces(head, view)
        connections[slot].phase = .waiting
        connections[slot].isRuled = true
        var task = unsafe HelperTask(
            slot: UInt32(slot), generation: connections[slot].generation, base: base, headBytes: head.headBytes,
            body: body, labels: .none, places: places, route: route, table: table,
            work: .ruling(request, rules, now: nowUnixNanoseconds))
        task.checksBody = table.readsBody(route) && view.saysJSON
        if body.count <= Self.onLoopBodyBytesMax {
            request.body = unsafe Array(body)
            let ruling = rules.rule(on: request, now: nowUnixNanoseconds)
            if case .awaitsToken = ruling.decision {
                request.body = []
                task.work = .ruling(request, rules, now: nowUnixNanoseconds)
            } else {
                let siblings =
                    table.sibling(of: route) < 0
                    ? [] : table.siblingRulings(of: route, on: request, now: nowUnixNanoseconds)
                take(ruling, siblings, task)
                return
            }
        }
        submit(task)
    }

    mutating func submit(_ task: HelperTask) {
        helpingCount += 1
        helpers.submit(task, to: control)
    }

    /// What helpers found since the last turn.
    mutating func takeHelped() {
        guard helpingCount > 0 else { return }
        for result in control.takeHelped() {
            helpingCount -= 1
            guard connections.isCurrent(result.task.slot, result.task.generation) else { continue }
            var task = result.task
            var siblings = result.siblings
            if task.table !== table {
                // The configuration changed meanwhile: what is gone is not acted on.
                guard let route = table.route(of: task.table.definitions[task.route].identity),
                    !table.isUnavailable(route)
                else {
                    forgetRuling(Int(task.slot))
                    abandon(Int(task.slot))
                    continue
                }
                siblings = siblings.compactMap { sibling in
                    guard let route = table.route(of: task.table.definitions[sibling.route].identity),
                        table.isReady(route)
                    else { return nil }
                    return SiblingRuling(route: route, ruling: sibling.ruling)
                }
                task.route = route
            }
            switch result.finding {
            case .ruling(let ruling): take(ruling, siblings, task)
            case .proof(let proof, let judgement):
                _ = unsafe turn.append(
                    PendingDelivery(
                        slot: task.slot, generation: task.generation, base: task.base, headBytes: task.headBytes,
                        body: task.body, labels: task.labels, judgement: judgement),
                    proof, route: task.route)
            }
            if turn.isFull { endTurn() }
        }
    }

    /// A ruling joins the turn. Of siblings those that accept take the request, and the first of them answers; while none does, the one
    /// that was asked first answers alone.
    private mutating func take(_ own: Ruling, _ siblings: [SiblingRuling], _ asked: HelperTask) {
        var (task, ruling, others) = (asked, own, [SiblingRuling]())
        if !siblings.isEmpty {
            let all = [SiblingRuling(route: asked.route, ruling: own)] + siblings
            let accepting = all.filter { $0.ruling.decision == .accepted }
            if let first = accepting.first {
                (task.route, ruling) = (first.route, first.ruling)
                others = Array(accepting.dropFirst())
            }
        }
        let slot = Int(task.slot)
        // Sound: the body lies in memory that the loop owns and the journal has not seen yet.
        let body = unsafe UnsafeMutableRawBufferPointer(mutating: task.body)
        unsafe task.places.mask(ruling.credentials, base: task.base, body: body)
        for sibling in others {
            unsafe task.places.mask(sibling.ruling.credentials, base: task.base, body: body)
        }
        ruled[task.slot] = RuledRequest(ruling, siblings: others)
        var proof = Proof.proven
        var judgement = Judgement.accepted
        switch ruling.decision {
        case .accepted: break
        case .ignored(let reason): judgement = .ignored(reason)
        case .refused(let cause): proof = .refused(cause)
        case .awaitsToken: proof = .refused(.idTokenRefused)
        }
        connections[slot].isRuled = true
        _ = unsafe turn.append(
            PendingDelivery(
                slot: task.slot, generation: task.generation, base: task.base, headBytes: task.headBytes,
                body: task.body, labels: task.labels, judgement: judgement,
                checksBody: task.checksBody && task.body.count <= Self.onLoopBodyBytesMax),
            proof, route: task.route)
    }

    /// The request cannot be judged any more: 503, or nothing when the peer is gone.
    private mutating func abandon(_ slot: Int) {
        if connections[slot].isOrphan {
            connections[slot].isOrphan = false
            forget(slot)
        } else {
            answer(slot, status: 503, keepsAlive: true)
        }
    }

    mutating func forgetRuling(_ slot: Int) {
        guard connections[slot].isRuled else { return }
        connections[slot].isRuled = false
        ruled[UInt32(slot)] = nil
    }

    /// Answers in the receiver's own words. `verdict` says what became of the record.
    mutating func answerRuled(_ slot: Int, _ verdict: Verdict) {
        guard let ruling = ruled[UInt32(slot)]?.ruling else {
            forgetRuling(slot)
            answer(slot, status: 503, keepsAlive: true)
            return
        }
        forgetRuling(slot)
        if verdict.result == .unavailable {
            answer(slot, status: 503, keepsAlive: true)
            return
        }
        if verdict.result == .malformed, ruling.decision == .accepted {
            // Only the filter found it unreadable.
            self.answer(slot, status: 400, keepsAlive: true)
            return
        }
        let answer = verdict.result == .duplicate ? ruling.duplicateAnswer ?? ruling.answer : ruling.answer
        if isLeaving { connections[slot].closesAfterAnswer = true }
        control.counters.count(kind: connections[slot].kind, status: answer.status)
        var writer = unsafe ResponseWriter(scratch, date: dates)
        writer.begin(status: answer.status)
        if verdict.result != .refused && verdict.result != .malformed { writeDecision(verdict, &writer) }
        if let type = answer.contentType { writer.field("Content-Type", text: type) }
        for field in answer.fields { writer.field(field.name, text: field.value) }
        let closing = connections[slot].closesAfterAnswer
        let isHead = connections[slot].isHead
        let isOld = connections[slot].isOldVersion
        let count = unsafe answer.body.withUnsafeBytes { body in
            unsafe writer.finish(body: body, closing: closing, isHead: isHead, announcesKeepAlive: isOld)
        }
        guard count > 0 else {
            // Only a receiver's own text could be that long: the status is what counts.
            self.answer(slot, status: answer.status, keepsAlive: true)
            return
        }
        send(slot, count: count)
    }
}
