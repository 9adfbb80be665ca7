// Answers: status lines by cause, sending what the socket takes, and what a connection does afterwards.
//
// The one table from cause to status is here and in HTTPParseError.status. Every 4xx of the parser closes; application
// refusals keep the connection when the body was consumed (RFC 9112 section 9.3).

internal import Metrics
internal import CLinuxIO
internal import Delivery
internal import EventLoop
internal import HTTP

extension DeliveryLoop where P: ~Copyable {
    /// Status for failed proof: Flux Receivers answer 400 as they always did, Hooks 401. One answer for every cause.
    private func refusalStatus(_ slot: Int) -> UInt16 { connections[slot].kind == .receiver ? 400 : 401 }

    /// A syntax error, a limit or a deadline: answered and closed.
    mutating func refuse(_ slot: Int, _ error: HTTPParseError) {
        control.counters.count(error)
        if error == .headTimeout || error == .bodyTimeout { control.counters.timeouts.increment() }
        answerAndClose(slot, status: error.status)
    }

    mutating func answerAndClose(_ slot: Int, status: UInt16) {
        connections[slot].closesAfterAnswer = true
        answer(slot, status: status, keepsAlive: false)
    }

    /// Answers without a delivery behind it.
    mutating func answer(_ slot: Int, status: UInt16, keepsAlive: Bool) {
        if !keepsAlive || isLeaving { connections[slot].closesAfterAnswer = true }
        control.counters.count(kind: connections[slot].kind, status: status)
        let closing = connections[slot].closesAfterAnswer
        var writer = unsafe ResponseWriter(scratch, date: dates)
        writer.begin(status: status)
        if status == 405 {
            if connections[slot].allowsGet {
                writer.field("Allow", "POST, GET, PUT")
            } else {
                writer.field("Allow", "POST")
            }
        }
        if status == 503 || status == 429 { writer.field("Retry-After", "1") }
        let count = unsafe writer.finish(
            body: UnsafeRawBufferPointer(start: nil, count: 0), closing: closing, isHead: connections[slot].isHead,
            announcesKeepAlive: connections[slot].isOldVersion)
        send(slot, count: count)
    }

    /// Answers a delivery after it was refused or became durable.
    mutating func answer(_ slot: Int, _ verdict: Verdict) {
        if connections[slot].isRuled {
            answerRuled(slot, verdict)
            return
        }
        switch verdict.result {
        case .malformed:
            answer(slot, status: 400, keepsAlive: true)
            return
        case .refused:
            answer(slot, status: refusalStatus(slot), keepsAlive: true)
            return
        case .unavailable:
            answer(slot, status: 503, keepsAlive: true)
            return
        default: break
        }
        if isLeaving { connections[slot].closesAfterAnswer = true }
        control.counters.count(kind: connections[slot].kind, status: 200)
        var writer = unsafe ResponseWriter(scratch, date: dates)
        writer.begin(status: 200)
        writeDecision(verdict, &writer)
        let count = unsafe writer.finish(
            body: UnsafeRawBufferPointer(start: nil, count: 0), closing: connections[slot].closesAfterAnswer,
            isHead: connections[slot].isHead,
            announcesKeepAlive: connections[slot].isOldVersion)
        send(slot, count: count)
    }

    /// What became of the delivery, for the sender's own list of recent deliveries.
    func writeDecision(_ verdict: Verdict, _ writer: inout ResponseWriter) {
        writer.field("Grapnel-Delivery", decimal: verdict.sequence)
        switch verdict.result {
        case .duplicate: writer.field("Grapnel-Decision", "duplicate")
        case .ignored: writer.field("Grapnel-Decision", verdict.ignoredReason.decision)
        default: writer.field("Grapnel-Decision", "accepted")
        }
    }

    /// 100 Continue: the head passed every check and memory is reserved.
    mutating func sendContinue(_ slot: Int) {
        let text = ResponseWriter.continueResponse
        let bytes = unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        let sent = unsafe poller.send(
            connections[slot].descriptor, slot: UInt32(slot), generation: connections[slot].generation, bytes)
        // 25 bytes into an empty send buffer: if even that is refused, the peer is gone.
        if sent != bytes.count { close(slot) }
    }

    /// Sends the answer that lies at the start of `scratch`, then ends the request.
    mutating func send(_ slot: Int, count: Int) {
        precondition(count > 0, "an answer did not fit its buffer")
        let sent = unsafe poller.send(
            connections[slot].descriptor, slot: UInt32(slot), generation: connections[slot].generation,
            UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scratch)[0..<count]))
        connections[slot].phase = .idle
        if sent < 0 {
            close(slot)
            return
        }
        if sent < count {
            keepUnsent(slot, from: sent, to: count)
            return
        }
        endRequest(slot)
    }

    /// The socket is full: a peer that does not read. The rest waits for room, and nothing else is read from it.
    private mutating func keepUnsent(_ slot: Int, from: Int, to end: Int) {
        guard let block = slab.allocate(end - from) else {
            close(slot, reset: true)
            return
        }
        unsafe block.base.copyMemory(from: scratch.baseAddress! + from, byteCount: end - from)
        connections[slot].unsent = block
        connections[slot].unsentStart = 0
        connections[slot].unsentEnd = end - from
        connections[slot].isPaused = true
        poller.awaitWritable(connections[slot].descriptor, slot: UInt32(slot), generation: connections[slot].generation)
        timers.setDeadline(nowMilliseconds + settings.responseMilliseconds, slot: UInt32(slot))
    }

    /// There is room again.
    mutating func sendUnsent(_ slot: Int) {
        guard let block = connections[slot].unsent, !connections[slot].isOrphan else { return }
        let start = connections[slot].unsentStart
        let sent = unsafe poller.send(
            connections[slot].descriptor, slot: UInt32(slot), generation: connections[slot].generation,
            UnsafeRawBufferPointer(start: block.base + start, count: connections[slot].unsentEnd - start))
        if sent < 0 {
            close(slot)
            return
        }
        connections[slot].unsentStart += sent
        if connections[slot].unsentStart < connections[slot].unsentEnd {
            poller.awaitWritable(
                connections[slot].descriptor, slot: UInt32(slot), generation: connections[slot].generation)
            if sent > 0 { timers.setDeadline(nowMilliseconds + settings.responseMilliseconds, slot: UInt32(slot)) }
            return
        }
        slab.giveBack(block)
        connections[slot].unsent = nil
        connections[slot].isPaused = false
        poller.resume(connections[slot].descriptor, slot: UInt32(slot), generation: connections[slot].generation)
        endRequest(slot)
    }

    /// The answer is out: memory goes back, the connection goes on or ends.
    private mutating func endRequest(_ slot: Int) {
        releaseRequest(slot)
        connections[slot].phase = .idle
        connections[slot].kind = nil
        connections[slot].isHead = false
        connections[slot].decoder = nil
        connections[slot].isChunked = false
        connections[slot].isContinued = false
        if connections[slot].closesAfterAnswer {
            startLingering(slot)
            return
        }
        if connections[slot].stash != nil {
            markReady(slot)
            return
        }
        if connections[slot].hasPeerEnded {
            close(slot)
            return
        }
        if connections[slot].isPaused { resume(slot) }
        setIdleDeadline(slot)
    }

    /// Half-closes and drains for a moment, so that the peer gets the answer and no reset (RFC 9112 section 9.6).
    mutating func startLingering(_ slot: Int) {
        if connections[slot].hasPeerEnded {
            close(slot)
            return
        }
        releaseRequest(slot)
        if let block = connections[slot].stash {
            slab.giveBack(block)
            connections[slot].stash = nil
            connections[slot].stashed = 0
        }
        poller.endSending(
            connections[slot].descriptor, slot: UInt32(slot), generation: connections[slot].generation)
        connections[slot].phase = .lingering
        connections[slot].drainBudget = settings.lingerBytesMax
        resume(slot)
        timers.setDeadline(nowMilliseconds + settings.lingerMilliseconds, slot: UInt32(slot))
    }
}
