// The end of a turn: verify the batch, judge, hand what is proven to the journal, answer.

internal import Metrics
internal import CCrypto
internal import CLinuxIO
internal import Delivery
internal import EventLoop
internal import HTTP
internal import Journal
internal import Ring

extension DeliveryLoop where P: ~Copyable {
    /// A request is complete: its proof is read, its credentials are overwritten, and it waits for the end of the turn.
    mutating func complete(
        _ slot: Int, _ head: RequestHead, base: UnsafeMutableRawPointer, body: UnsafeRawBufferPointer, route: Int
    ) {
        let view = unsafe HeadView(
            base: UnsafeRawPointer(base), fields: UnsafeBufferPointer(rebasing: fields[0..<head.fieldCount]))
        if table.hasRules(route) {
            unsafe completeByRules(slot, head, view, base: base, body: body, route: route)
            return
        }
        var proof = table.prove(view, route: route)
        let labels = table.labels(view, route: route)
        let judgement = table.judge(view, labels, route: route)
        unsafe table.maskCredentials(view, path: head.path, in: base, route: route)
        connections[slot].phase = .waiting
        let checksBody = table.readsBody(route) && proof.state != .refused && view.saysJSON
        if body.count > Self.onLoopBodyBytesMax && (proof.state == .awaitsDigest || checksBody) {
            unsafe submit(
                HelperTask(
                    slot: UInt32(slot), generation: connections[slot].generation, base: base,
                    headBytes: head.headBytes, body: body, labels: labels, places: RequestPlaces(), route: route,
                    table: table, work: .proof(proof, judgement, checksBody: checksBody)))
            return
        }
        if proof.state == .awaitsDigest {
            unsafe batch.add(&proof, owner: turn.count, route: route, of: table, body: body)
        }
        _ = unsafe turn.append(
            PendingDelivery(
                slot: UInt32(slot), generation: connections[slot].generation, base: base, headBytes: head.headBytes,
                body: body, labels: labels, judgement: judgement, checksBody: checksBody),
            proof, route: route)
    }

    /// Verifies and settles everything that became complete in this turn.
    mutating func endTurn() {
        guard turn.count > 0 else {
            if case .inline(let desk, let fallback) = commit {
                desk.keepHouse(nowUnixNanoseconds: nowUnixNanoseconds)
                moveToLaneIfSlow(desk, fallback)
            }
            return
        }
        control.counters.turnDeliveries.observe(Double(turn.count))
        unsafe batch.run(table: table, proofs: turn.proofs, route: UnsafePointer(turn.routes))
        checkBodies()
        switch commit {
        case .inline(let desk, let fallback):
            commitInline(desk)
            desk.tickIfDue(nowUnixNanoseconds: nowUnixNanoseconds)
            moveToLaneIfSlow(desk, fallback)
        case .lane(let lane): submit(to: lane)
        }
        turn.removeAll()
    }

    /// What a filter will read must be an object; looked at only once it is proven.
    private mutating func checkBodies() {
        for index in 0..<turn.count where unsafe turn.pending[index].checksBody {
            guard unsafe turn.proofs[index].state == .proven && turn.pending[index].judgement == .accepted else {
                continue
            }
            if unsafe !bodyCheck.isObject(turn.pending[index].body) {
                unsafe turn.pending[index].judgement = .refused(.bodyMalformed)
            }
        }
    }

    /// The cause for which this request is refused, or nil when it goes to the journal.
    private func refusal(_ index: Int) -> VerifyCause? {
        let proof = unsafe turn.proofs + index
        guard unsafe proof.pointee.state == .proven else { return unsafe proof.pointee.cause }
        if case .refused(let cause) = unsafe turn.pending[index].judgement { return cause }
        return nil
    }

    private func note(_ cause: VerifyCause, of index: Int) {
        control.counters.count(cause)
        let route = unsafe Int(turn.routes[index])
        guard control.refusals.note(table, route, cause) else { return }
        let pending = unsafe turn.pending[index]
        var address: (UInt64, UInt64) = (0, 0)
        if connections.isCurrent(pending.slot, pending.generation), !connections[Int(pending.slot)].isOrphan {
            // Sound: the address has 16 bytes.
            unsafe withUnsafeMutableBytes(of: &address) { bytes in
                _ = unsafe cl_peer_address(
                    connections[Int(pending.slot)].descriptor,
                    bytes.baseAddress!.assumingMemoryBound(to: UInt8.self))
            }
        }
        // Sound: head and body are the request's until it is settled, which comes later.
        unsafe control.refusals.sample(
            table, route, cause, at: nowUnixNanoseconds, source: address,
            head: UnsafeRawBufferPointer(start: UnsafeRawPointer(pending.base), count: pending.headBytes),
            body: pending.body)
    }

    private mutating func commitInline(_ desk: JournalDesk) {
        for index in 0..<turn.count {
            if let cause = refusal(index) {
                note(cause, of: index)
                unsafe turn.pending[index].verdict.result = cause == .bodyMalformed ? .malformed : .refused
                continue
            }
            keepRoute(of: index)
            unsafe turn.pending[index].verdict = desk.append(records(of: index))
        }
        let isDurable = desk.commit(nowUnixNanoseconds: nowUnixNanoseconds)
        let now = clock.monotonic()
        for index in 0..<turn.count {
            let pending = unsafe turn.pending[index]
            var verdict = pending.verdict
            if !isDurable && verdict.result != .refused && verdict.result != .malformed {
                verdict.result = .unavailable
            }
            guard connections.isCurrent(pending.slot, pending.generation) else { continue }
            settle(Int(pending.slot), verdict, now: now)
        }
    }

    private mutating func submit(to lane: JournalLane) {
        var submitted = false
        for index in 0..<turn.count {
            let pending = unsafe turn.pending[index]
            if let cause = refusal(index) {
                note(cause, of: index)
                var verdict = Verdict()
                verdict.result = cause == .bodyMalformed ? .malformed : .refused
                if connections.isCurrent(pending.slot, pending.generation) {
                    settle(Int(pending.slot), verdict, now: nowNanoseconds)
                }
                continue
            }
            keepRoute(of: index)
            let request = LaneRequest(
                slot: pending.slot, generation: pending.generation, records(of: index))
            precondition(lane.requests.push(request), "a lane's requests overflowed")
            submittedCount += 1
            submitted = true
        }
        if submitted { lane.thread.bell.ring() }
    }

    /// Verdicts of the journal's thread. The bell is armed before the last look, so that none is slept over.
    mutating func takeAnswers() {
        guard case .lane(let lane) = commit else { return }
        lane.bell.cancelSleep()
        var now = clock.monotonic()
        while true {
            while let answer = lane.verdicts.pop() {
                answeredCount += 1
                guard connections.isCurrent(answer.slot, answer.generation) else { continue }
                settle(Int(answer.slot), answer.verdict, now: now)
            }
            lane.bell.prepareToSleep()
            if lane.verdicts.depth == 0 { break }
            lane.bell.cancelSleep()
            now = clock.monotonic()
        }
        while let oldest = retiredTables.first, oldest.until <= answeredCount { retiredTables.removeFirst() }
    }

    /// The verdict is known: answer, or free what a vanished peer left.
    private mutating func settle(_ slot: Int, _ verdict: Verdict, now: UInt64) {
        switch verdict.result {
        case .ignored: control.counters.count(verdict.ignoredReason)
        case .duplicate: control.counters.duplicates.increment()
        case .unavailable: noteUnavailable(slot)
        default: break
        }
        if connections[slot].isOrphan {
            connections[slot].isOrphan = false
            forget(slot)
            return
        }
        control.counters.answerSeconds.observe(Double(now &- connections[slot].requestStartedAt) * 1e-9)
        answer(slot, verdict)
    }

    /// For `noteUnavailable`: whose delivery the connection's is.
    private mutating func keepRoute(of index: Int) {
        let pending = unsafe turn.pending[index]
        guard connections.isCurrent(pending.slot, pending.generation) else { return }
        connections[Int(pending.slot)].provenRoute = Int32(truncatingIfNeeded: unsafe turn.routes[index])
        connections[Int(pending.slot)].provenTable = UInt32(truncatingIfNeeded: tableGenerationSeen)
    }

    /// The cells are those of the table in use: one that was in flight when that changed is in the metrics by kind alone.
    private func noteUnavailable(_ slot: Int) {
        guard connections[slot].provenTable == UInt32(truncatingIfNeeded: tableGenerationSeen) else { return }
        routeCells.noteUnavailable(Int(connections[slot].provenRoute))
    }

    /// The record of a proven delivery for one route.
    func record(_ pending: PendingDelivery, route: Int, ruling: RuledRequest?) -> DeliveryRecord {
        let base = unsafe UnsafeRawPointer(pending.base)
        func range(_ range: ByteRange) -> UnsafeRawBufferPointer {
            unsafe UnsafeRawBufferPointer(start: base + Int(range.offset), count: Int(range.count))
        }
        var append = DeliveryAppend()
        unsafe append.cluster = table.cluster(of: route)
        unsafe append.namespace = table.namespace(of: route)
        unsafe append.name = table.name(of: route)
        // Names longer than a record's field are cut: 255 bytes are more than any sender uses. Those of a ruling live until the
        // request is settled.
        let deliveryID = unsafe ruling?.deliveryID ?? range(pending.labels.deliveryID)
        let eventName = unsafe ruling?.eventName ?? range(pending.labels.event)
        unsafe append.deliveryID = UnsafeRawBufferPointer(rebasing: deliveryID.prefix(255))
        unsafe append.eventName = UnsafeRawBufferPointer(rebasing: eventName.prefix(255))
        unsafe append.head = UnsafeRawBufferPointer(start: base, count: pending.headBytes)
        unsafe append.body = pending.body
        append.bodyChecksum = unsafe cc_crc32(0, pending.body.baseAddress, pending.body.count)
        append.receiverKind = table.kind(of: route).rawValue
        append.senderType = (ruling?.ruling.sender ?? table.sender(of: route)).rawValue
        append.receivedAtUnixNanoseconds = nowUnixNanoseconds
        append.dedupeWindowSeconds = ruling?.ruling.dedupeWindowSeconds ?? table.dedupeWindowSeconds(of: route)
        append.routeFingerprint = UInt64(table.fingerprint(of: route))
        append.routeToken = UInt64(route)
        if deliveryID.count > 0 && append.dedupeWindowSeconds > 0 {
            let hash = unsafe dedupeHash(deliveryID, pending, route, base)
            append.dedupeKeyLow = hash.low
            append.dedupeKeyHigh = hash.high
        }
        switch pending.judgement {
        case .ignored(let why):
            append.decision = .ignored
            append.ignoredReason = why.rawValue
            routeCells.note(route, isIgnored: true, at: nowUnixNanoseconds)
            return DeliveryRecord(append: append, ignoredReason: why.rawValue)
        default: append.decision = table.hasActions(route) ? .accepted : .stored
        }
        routeCells.note(route, isIgnored: false, at: nowUnixNanoseconds)
        return DeliveryRecord(append: append, ignoredReason: 0)
    }

    func ruling(of pending: PendingDelivery) -> RuledRequest? {
        connections.isCurrent(pending.slot, pending.generation) && connections[Int(pending.slot)].isRuled
            ? ruled[pending.slot] : nil
    }

    /// The key of (route, delivery id). A second id joins the first one.
    private func dedupeHash(
        _ id: UnsafeRawBufferPointer, _ pending: PendingDelivery, _ route: Int, _ base: UnsafeRawPointer
    ) -> DedupeHash {
        let identity = unsafe table.identityBytes(of: route)
        let hash = unsafe dedupeKey.hash(route: identity, deliveryID: id)
        guard pending.labels.secondID.count > 0 else { return hash }
        let second = unsafe UnsafeRawBufferPointer(
            start: base + Int(pending.labels.secondID.offset), count: Int(pending.labels.secondID.count))
        return unsafe withUnsafeBytes(of: (hash.low, hash.high)) { first in
            unsafe dedupeKey.hash(route: first, deliveryID: second)
        }
    }

    /// An inline loop whose disk is slow hands the journal to its thread. Nothing is in flight at the end of a turn.
    private mutating func moveToLaneIfSlow(_ desk: JournalDesk, _ fallback: JournalLane) {
        guard desk.writer.medianSyncNanosecondsOfLastSecond > CommitPath.inlineSyncNanosecondsMax else { return }
        commit = .lane(fallback)
        fallback.thread.start()
    }
}
