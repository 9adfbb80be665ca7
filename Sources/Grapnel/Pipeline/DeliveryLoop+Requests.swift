// From bytes to complete requests: receive, parse, route, admit, gather the body.
//
// A request that came whole in one receive is never copied: it lies in the arena until it is answered. Any other gets one block; what
// came so far is copied into it once, and later receives go straight into it. A body of unknown length (chunked) doubles its block
// and is decoded in place.

internal import Metrics
internal import CLinuxIO
internal import Delivery
internal import EventLoop
internal import HTTP

extension DeliveryLoop where P: ~Copyable {
    // - Receiving

    mutating func readable(_ event: PollEvent) {
        guard connections.isCurrent(event.slot, event.generation) else {
            // A late completion of a closed connection: the keeper wants its buffer back.
            let late = unsafe poller.receive(event, descriptor: -1, into: scratch)
            if late.lease != 0 { poller.release(late.lease) }
            return
        }
        let slot = Int(event.slot)
        switch connections[slot].phase {
        case .free: break
        case .idle:
            // Behind unparsed bytes: their order must stay.
            if connections[slot].stash != nil { receiveIntoStash(slot, event) } else { receiveFresh(slot, event) }
        case .head, .body: receiveIntoBlock(slot, event)
        case .awaitingMemory, .waiting: receiveIntoStash(slot, event)
        case .discarding, .lingering: receiveAndDrop(slot, event)
        }
    }

    /// Counts what came; closes on an error. Gives the byte count, 0 for the end of the stream, nil for nothing.
    private mutating func taken(_ received: Received, _ slot: Int) -> Int? {
        if received.count > 0 {
            control.counters.bytesReceived.increment(by: UInt64(received.count))
            return received.count
        }
        if received.count == 0 { return 0 }
        if received.count == -Int(EAGAIN) || received.count == -Int(EINTR) { return nil }
        close(slot)
        return nil
    }

    private mutating func receiveFresh(_ slot: Int, _ event: PollEvent) {
        guard let room = unsafe arena.room() else {
            // The kernel has no memory left for what is in flight: shed this one.
            control.counters.memoryRefusals.increment()
            close(slot, reset: true)
            return
        }
        let received = unsafe poller.receive(event, descriptor: connections[slot].descriptor, into: room)
        guard let count = taken(received, slot) else { return }
        guard count > 0 else {
            if received.lease != 0 { poller.release(received.lease) }
            close(slot)
            return
        }
        if received.lease != 0 {
            connections[slot].pollerLease = received.lease
        } else {
            connections[slot].arenaLease = arena.take(count)
        }
        connections[slot].requestStartedAt = nowNanoseconds
        unsafe parseFresh(slot, UnsafeMutableRawBufferPointer(start: received.base, count: count))
    }

    private mutating func receiveIntoBlock(_ slot: Int, _ event: PollEvent) {
        guard let block = connections[slot].block else { return }
        let filled = connections[slot].filled
        // Never beyond this request where its length is known: what follows stays in the kernel.
        let end =
            connections[slot].phase == .body && !connections[slot].isChunked ? connections[slot].needed : block.capacity
        let room = unsafe UnsafeMutableRawBufferPointer(start: block.base + filled, count: end - filled)
        let received = unsafe poller.receive(event, descriptor: connections[slot].descriptor, into: room)
        guard let count = taken(received, slot) else { return }
        guard count > 0 else {
            // The request can never become complete.
            if received.lease != 0 { poller.release(received.lease) }
            close(slot)
            return
        }
        if received.lease != 0 {
            takeForeignBytes(slot, received)
            return
        }
        connections[slot].filled += count
        advance(slot)
    }

    /// A keeper with buffers of its own received them: copied into the block; what does not fit is stashed.
    private mutating func takeForeignBytes(_ slot: Int, _ received: Received) {
        unsafe takeForeignBytes(slot, UnsafeRawBufferPointer(start: received.base, count: received.count))
        poller.release(received.lease)
    }

    private mutating func takeForeignBytes(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var offset = 0
        while offset < bytes.count, connections.isOpen(slot),
            connections[slot].phase == .head || connections[slot].phase == .body
        {
            guard let block = connections[slot].block else { break }
            let filled = connections[slot].filled
            let end =
                connections[slot].phase == .body && !connections[slot].isChunked
                ? connections[slot].needed : block.capacity
            let part = min(end - filled, bytes.count - offset)
            unsafe (block.base + filled).copyMemory(from: base + offset, byteCount: part)
            connections[slot].filled += part
            offset += part
            advance(slot)
        }
        guard connections.isOpen(slot) else { return }
        let isDiscarding = connections[slot].phase == .discarding
        if isDiscarding {
            // The head that these bytes completed is refused: what follows it is its body.
            let used = min(bytes.count - offset, connections[slot].needed)
            connections[slot].needed -= used
            connections[slot].filled += used
            offset += used
        }
        if offset < bytes.count {
            unsafe stash(slot, UnsafeRawBufferPointer(start: base + offset, count: bytes.count - offset))
        }
        if isDiscarding, connections.isOpen(slot), connections[slot].needed == 0 {
            answer(slot, status: connections[slot].pendingStatus, keepsAlive: true)
        }
    }

    /// What came while a request waited for memory: it goes on behind what is in the block.
    private mutating func takeStashedBody(_ slot: Int) {
        guard connections.isOpen(slot), connections[slot].phase == .body, let stashed = connections[slot].stash else {
            return
        }
        let count = connections[slot].stashed
        connections[slot].stash = nil
        connections[slot].stashed = 0
        unsafe takeForeignBytes(slot, UnsafeRawBufferPointer(start: stashed.base, count: count))
        slab.giveBack(stashed)
    }

    /// Bytes behind a request in flight: at most one block of them, then reading stops.
    private mutating func receiveIntoStash(_ slot: Int, _ event: PollEvent) {
        let received = unsafe poller.receive(
            event, descriptor: connections[slot].descriptor,
            into: UnsafeMutableRawBufferPointer(rebasing: scratch[0..<16384]))
        if received.count == 0
            || (received.count < 0 && received.count != -Int(EAGAIN) && received.count != -Int(EINTR))
        {
            if received.count < 0 { close(slot) } else { connections[slot].hasPeerEnded = true }
            if connections.isOpen(slot) { pause(slot) }
            return
        }
        guard received.count > 0 else { return }
        unsafe stash(slot, UnsafeRawBufferPointer(start: received.base, count: received.count))
        if received.lease != 0 { poller.release(received.lease) }
    }

    /// Keeps bytes for after the answer, and stops reading.
    mutating func stash(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        let wanted = connections[slot].stashed + bytes.count
        if (connections[slot].stash?.capacity ?? 0) < wanted {
            guard let block = slab.allocate(wanted) else {
                close(slot)
                return
            }
            if let old = connections[slot].stash {
                unsafe block.base.copyMemory(from: old.base, byteCount: connections[slot].stashed)
                slab.giveBack(old)
            }
            connections[slot].stash = block
        }
        if let block = connections[slot].stash {
            unsafe (block.base + connections[slot].stashed).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
        }
        connections[slot].stashed = wanted
        pause(slot)
    }

    mutating func pause(_ slot: Int) {
        guard !connections[slot].isPaused, !connections[slot].isOrphan else { return }
        connections[slot].isPaused = true
        poller.pause(connections[slot].descriptor, slot: UInt32(slot), generation: connections[slot].generation)
    }

    mutating func resume(_ slot: Int) {
        guard connections[slot].isPaused, connections[slot].unsent == nil else { return }
        connections[slot].isPaused = false
        poller.resume(connections[slot].descriptor, slot: UInt32(slot), generation: connections[slot].generation)
    }

    /// Has the slot looked at again at the end of this turn or in the next.
    mutating func markReady(_ slot: Int) {
        guard !connections[slot].isReady else { return }
        connections[slot].isReady = true
        ready.append(UInt32(slot))
    }

    /// Parses what was stashed behind answered requests. One request per connection and turn: others get their turn too.
    mutating func serveReady() {
        guard !ready.isEmpty else { return }
        let slots = ready
        ready.removeAll(keepingCapacity: true)
        for slot in slots {
            let slot = Int(slot)
            guard connections[slot].isReady else { continue }
            connections[slot].isReady = false
            guard connections[slot].phase == .idle else { continue }
            guard let block = connections[slot].stash else {
                resume(slot)
                continue
            }
            let count = connections[slot].stashed
            connections[slot].stash = nil
            connections[slot].stashed = 0
            // The stash becomes the request's block: nothing is copied.
            connections[slot].block = block
            connections[slot].filled = count
            connections[slot].phase = .head
            connections[slot].parser.reset()
            connections[slot].requestStartedAt = nowNanoseconds
            timers.setDeadline(nowMilliseconds + settings.headerMilliseconds, slot: UInt32(slot))
            if !connections[slot].hasPeerEnded { resume(slot) }
            advance(slot)
            if connections.isOpen(slot), connections[slot].hasPeerEnded,
                connections[slot].phase == .head || connections[slot].phase == .body
            {
                // The rest can never come.
                close(slot)
            }
            if turn.isFull { endTurn() }
        }
    }

    // - Parsing

    /// The first bytes of a request, in the arena or in a buffer of the keeper.
    private mutating func parseFresh(_ slot: Int, _ bytes: UnsafeMutableRawBufferPointer) {
        connections[slot].parser.reset()
        let progress: HeadProgress
        do {
            progress = try unsafe connections[slot].parser.parse(
                UnsafeRawBufferPointer(bytes), fields: fields, limits: settings.requestLimits)
        } catch {
            refuse(slot, error)
            return
        }
        switch progress {
        case .needMoreBytes:
            guard unsafe moveIntoBlock(slot, bytes, capacity: max(2 * bytes.count, BlockSlab.blockBytesMin)) else {
                return
            }
            connections[slot].phase = .head
            timers.setDeadline(nowMilliseconds + settings.headerMilliseconds, slot: UInt32(slot))
        case .head(let head):
            unsafe admit(slot, head, bytes)
        }
    }

    /// Copies what came so far into a block of its own. False when there is no memory: then the connection is refused.
    private mutating func moveIntoBlock(_ slot: Int, _ bytes: UnsafeMutableRawBufferPointer, capacity: Int) -> Bool {
        guard let block = slab.allocate(max(capacity, bytes.count)) else {
            answerAndClose(slot, status: 503)
            return false
        }
        // bytes may lie in the arena, in a keeper's buffer or in an older block: all are given back.
        if let source = bytes.baseAddress { unsafe block.base.copyMemory(from: source, byteCount: bytes.count) }
        let reserved = connections[slot].reserved
        connections[slot].reserved = 0
        releaseRequest(slot)
        connections[slot].reserved = reserved
        connections[slot].block = block
        connections[slot].filled = bytes.count
        return true
    }

    /// More bytes came into the block.
    private mutating func advance(_ slot: Int) {
        guard let block = connections[slot].block else { return }
        switch connections[slot].phase {
        case .head:
            let bytes = unsafe UnsafeMutableRawBufferPointer(start: block.base, count: connections[slot].filled)
            let progress: HeadProgress
            do {
                progress = try unsafe connections[slot].parser.parse(
                    UnsafeRawBufferPointer(bytes), fields: fields, limits: settings.requestLimits)
            } catch {
                refuse(slot, error)
                return
            }
            switch progress {
            case .needMoreBytes:
                if connections[slot].filled == block.capacity {
                    _ = unsafe moveIntoBlock(slot, bytes, capacity: 2 * block.capacity)
                }
            case .head(let head): unsafe admit(slot, head, bytes)
            }
        case .body:
            if connections[slot].isChunked {
                decodeChunks(slot)
            } else {
                setBodyDeadline(slot)
                if connections[slot].filled == connections[slot].needed { completeFromBlock(slot) }
            }
        default: break
        }
    }

    /// Head and body are in the block. The head is parsed again: the header table holds one head at a time, and the configuration
    /// may have changed since.
    private mutating func completeFromBlock(_ slot: Int) {
        guard let block = connections[slot].block else { return }
        let end = connections[slot].isChunked ? connections[slot].bodyEnd : connections[slot].needed
        connections[slot].parser.reset()
        let head = unsafe UnsafeRawBufferPointer(start: block.base, count: connections[slot].headBytes)
        guard
            case .head(let parsed)? = try? unsafe connections[slot].parser.parse(
                head, fields: fields, limits: settings.requestLimits)
        else { preconditionFailure("a head that was accepted is refused when it is parsed again") }
        let route = unsafe route(of: parsed, base: UnsafeRawPointer(block.base))
        guard route >= 0, !table.isUnavailable(route), isMethodAllowed(parsed.method, route) else {
            answer(
                slot, status: route < 0 ? unknownPathStatus : table.isUnavailable(route) ? 503 : 405, keepsAlive: true)
            return
        }
        noteRoute(slot, route)
        unsafe complete(
            slot, parsed, base: block.base,
            body: UnsafeRawBufferPointer(
                rebasing: UnsafeRawBufferPointer(start: block.base, count: end)[connections[slot].headBytes..<end]),
            route: route)
    }

    // - Admission

    private mutating func noteRoute(_ slot: Int, _ route: Int) {
        connections[slot].kind = route >= 0 ? table.kind(of: route) : nil
        connections[slot].allowsGet = route >= 0 && isMethodAllowed(.get, route)
    }

    func route(of head: RequestHead, base: UnsafeRawPointer) -> Int {
        unsafe table.find(
            path: UnsafeRawBufferPointer(start: base + Int(head.path.offset), count: Int(head.path.count)),
            query: UnsafeRawBufferPointer(start: base + Int(head.query.offset), count: Int(head.query.count)),
            host: UnsafeRawBufferPointer(start: base + Int(head.host.offset), count: Int(head.host.count)))
    }

    /// What time will heal is no 404: senders give up on those.
    private var unknownPathStatus: UInt16 { table.isComplete ? 404 : 503 }

    /// POST; generic Receivers also take GET and PUT, which some senders use (Flux takes any method alike).
    func isMethodAllowed(_ method: Method, _ route: Int) -> Bool {
        switch method {
        case .post: true
        case _ where table.hasRules(route): true
        case .get, .put: table.kind(of: route) == .receiver && table.sender(of: route) == .generic
        default: false
        }
    }

    /// A head is complete: what becomes of the request? `bytes` is all that came of it so far and what lies behind it.
    private mutating func admit(_ slot: Int, _ head: RequestHead, _ bytes: UnsafeMutableRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        connections[slot].servedCount &+= 1
        connections[slot].isHead = head.method == .head
        connections[slot].isOldVersion = head.minorVersion == 0
        connections[slot].closesAfterAnswer =
            !head.keepsAlive || connections[slot].servedCount >= settings.requestsPerConnectionMax
            || nowMilliseconds - connections[slot].openedAt > settings.connectionMillisecondsMax
        let route = unsafe route(of: head, base: UnsafeRawPointer(base))
        noteRoute(slot, route)
        let bodyMax =
            route >= 0 ? table.bodyBytesMax(of: route) : unsafe unknownPathBodyMax(head, UnsafeRawPointer(base))
        var declared = 0
        if case .length(let length) = head.framing { declared = length }
        if declared > bodyMax {
            refuse(slot, .bodyTooLarge)
            return
        }
        var refusal: UInt16 = 0
        if route < 0 {
            refusal = unknownPathStatus
        } else if !isMethodAllowed(head.method, route) {
            refusal = 405
        } else if table.isUnavailable(route) || !commit.isAccepting {
            refusal = 503
        }
        let isChunked = head.framing == .chunked
        let arrived = bytes.count - head.headBytes
        if refusal == 0 && !isChunked && arrived >= declared {
            let end = head.headBytes + declared
            unsafe complete(
                slot, head, base: base, body: UnsafeRawBufferPointer(start: base + head.headBytes, count: declared),
                route: route)
            // What lies behind stays unparsed until this one is answered.
            if arrived > declared {
                unsafe stash(slot, UnsafeRawBufferPointer(start: base + end, count: arrived - declared))
            }
            return
        }
        if refusal != 0 {
            unsafe discard(slot, head, bytes, status: refusal, declared: declared, isChunked: isChunked, limit: bodyMax)
            return
        }
        connections[slot].isContinued = !(head.expectsContinue && arrived == 0)
        connections[slot].isChunked = isChunked
        connections[slot].headBytes = head.headBytes
        connections[slot].needed = head.headBytes + (isChunked ? bodyMax : declared)
        connections[slot].bodyEnd = head.headBytes
        if isChunked { connections[slot].decoder = ChunkedDecoder(limits: settings.requestLimits) }
        let wanted = isChunked ? max(bytes.count, BlockSlab.blockBytesMin) : connections[slot].needed
        if budget.reserve(wanted) {
            connections[slot].reserved = wanted
            unsafe beginBody(slot, bytes, capacity: wanted)
        } else {
            // Kept as small as it is, unread from here on, until memory is free.
            guard unsafe moveIntoBlock(slot, bytes, capacity: bytes.count) else { return }
            connections[slot].phase = .awaitingMemory
            pause(slot)
            hungry.append(UInt32(slot))
            timers.setDeadline(nowMilliseconds + settings.memoryWaitMilliseconds, slot: UInt32(slot))
        }
    }

    /// Below /hook/ the Flux limit holds for unknown paths too: 3 MiB (spec: limits are checked before the lookup).
    private func unknownPathBodyMax(_ head: RequestHead, _ base: UnsafeRawPointer) -> Int {
        let prefix: StaticString = "/hook/"
        guard Int(head.path.count) >= prefix.utf8CodeUnitCount else { return settings.bodyBytesMax }
        for index in 0..<prefix.utf8CodeUnitCount
        where unsafe base.load(fromByteOffset: Int(head.path.offset) + index, as: UInt8.self) != prefix.utf8Start[index]
        {
            return settings.bodyBytesMax
        }
        return min(3 << 20, settings.bodyBytesMax)
    }

    private mutating func beginBody(_ slot: Int, _ bytes: UnsafeMutableRawBufferPointer, capacity: Int) {
        guard unsafe moveIntoBlock(slot, bytes, capacity: capacity) else { return }
        connections[slot].phase = .body
        connections[slot].bodyStartedAt = nowMilliseconds
        connections[slot].bodyTotalDeadline = nowMilliseconds + settings.bodyTotalMilliseconds
        setBodyDeadline(slot)
        if !connections[slot].isContinued {
            connections[slot].isContinued = true
            sendContinue(slot)
            guard connections.isOpen(slot) else { return }
        }
        advance(slot)
    }

    /// Those who wait for memory, in the order they came.
    mutating func feedHungry() {
        guard !hungry.isEmpty else { return }
        var served = 0
        for slot in hungry {
            let slot = Int(slot)
            if connections[slot].phase == .awaitingMemory, let block = connections[slot].block {
                let wanted =
                    connections[slot].isChunked
                    ? max(connections[slot].filled, BlockSlab.blockBytesMin) : connections[slot].needed
                guard budget.reserve(wanted) else { break }
                connections[slot].reserved = wanted
                resume(slot)
                unsafe beginBody(
                    slot, UnsafeMutableRawBufferPointer(start: block.base, count: connections[slot].filled),
                    capacity: wanted)
                takeStashedBody(slot)
            }
            served += 1
        }
        hungry.removeFirst(served)
    }

    // - Bodies

    private mutating func setBodyDeadline(_ slot: Int) {
        let deadline = min(nowMilliseconds + settings.bodyQuietMilliseconds, connections[slot].bodyTotalDeadline)
        timers.setDeadline(deadline, slot: UInt32(slot))
        // A drip-fed body: below the floor on average once the first quiet time is over.
        let elapsed = nowMilliseconds - connections[slot].bodyStartedAt
        if elapsed > settings.bodyQuietMilliseconds {
            let received = UInt64(max(0, connections[slot].filled - connections[slot].headBytes))
            if received * 1000 < elapsed * settings.bodyBytesPerSecondMin {
                timers.setDeadline(nowMilliseconds, slot: UInt32(slot))
            }
        }
    }

    mutating func bodyDeadlinePassed(_ slot: Int) { refuse(slot, .bodyTimeout) }

    private mutating func decodeChunks(_ slot: Int) {
        guard let block = connections[slot].block, var decoder = connections[slot].decoder else { return }
        setBodyDeadline(slot)
        let start = connections[slot].bodyEnd
        let raw = connections[slot].filled
        // Sound: the decoder writes at most what it consumed, and the destination is where the raw bytes begin.
        let result: ChunkProgress
        do {
            result = try unsafe decoder.decode(
                from: UnsafeRawBufferPointer(start: block.base + start, count: raw - start), into: block.base + start,
                capacity: connections[slot].needed - start)
        } catch {
            refuse(slot, error)
            return
        }
        connections[slot].decoder = decoder
        connections[slot].bodyEnd = start + result.produced
        if result.isComplete {
            let rest = raw - start - result.consumed
            if rest > 0 {
                // Bytes of the next request: kept aside before the block is the journal's.
                unsafe stash(slot, UnsafeRawBufferPointer(start: block.base + start + result.consumed, count: rest))
                guard connections.isOpen(slot) else { return }
            }
            connections[slot].decoder = nil
            completeFromBlock(slot)
            return
        }
        connections[slot].filled = connections[slot].bodyEnd
        if block.capacity - connections[slot].filled < BlockSlab.blockBytesMin / 2 {
            let more = block.capacity
            guard budget.reserve(more) else {
                control.counters.memoryRefusals.increment()
                answerAndClose(slot, status: 503)
                return
            }
            connections[slot].reserved += more
            _ = unsafe moveIntoBlock(
                slot, UnsafeMutableRawBufferPointer(start: block.base, count: connections[slot].filled),
                capacity: 2 * block.capacity)
        }
    }

    // - Refused requests

    /// The body is of no use: it is read and dropped up to the limit, then the status is answered and the connection kept. Where it
    /// is not worth reading, the answer goes out at once and closes.
    private mutating func discard(
        _ slot: Int, _ head: RequestHead, _ bytes: UnsafeMutableRawBufferPointer, status: UInt16, declared: Int,
        isChunked: Bool, limit: Int
    ) {
        let arrived = bytes.count - head.headBytes
        if isChunked || (head.expectsContinue && arrived == 0 && declared > 0) {
            if isChunked {
                unsafe discardChunked(slot, head, bytes, status: status, limit: limit)
            } else {
                answerAndClose(slot, status: status)
            }
            return
        }
        if arrived >= declared {
            if arrived > declared {
                let end = head.headBytes + declared
                unsafe stash(slot, UnsafeRawBufferPointer(start: bytes.baseAddress! + end, count: arrived - declared))
                guard connections.isOpen(slot) else { return }
            }
            answer(slot, status: status, keepsAlive: true)
            return
        }
        connections[slot].pendingStatus = status
        connections[slot].needed = declared - arrived
        releaseRequest(slot)
        connections[slot].phase = .discarding
        connections[slot].bodyStartedAt = nowMilliseconds
        connections[slot].headBytes = 0
        connections[slot].filled = arrived
        connections[slot].bodyTotalDeadline = nowMilliseconds + settings.bodyTotalMilliseconds
        setBodyDeadline(slot)
    }

    /// A chunked body nobody wants: if all of it is here the connection stays, else the answer closes.
    private mutating func discardChunked(
        _ slot: Int, _ head: RequestHead, _ bytes: UnsafeMutableRawBufferPointer, status: UInt16, limit: Int
    ) {
        guard let base = bytes.baseAddress else { return }
        var decoder = ChunkedDecoder(limits: settings.requestLimits)
        let arrived = bytes.count - head.headBytes
        do {
            let result = try unsafe decoder.decode(
                from: UnsafeRawBufferPointer(start: base + head.headBytes, count: arrived), into: base + head.headBytes,
                capacity: limit)
            guard result.isComplete else {
                answerAndClose(slot, status: status)
                return
            }
            if arrived > result.consumed {
                unsafe stash(
                    slot,
                    UnsafeRawBufferPointer(
                        start: base + head.headBytes + result.consumed, count: arrived - result.consumed))
                guard connections.isOpen(slot) else { return }
            }
            answer(slot, status: status, keepsAlive: true)
        } catch {
            refuse(slot, error)
        }
    }

    private mutating func receiveAndDrop(_ slot: Int, _ event: PollEvent) {
        let isDiscarding = connections[slot].phase == .discarding
        let wanted = unsafe isDiscarding ? min(connections[slot].needed, scratch.count) : scratch.count
        let received = unsafe poller.receive(
            event, descriptor: connections[slot].descriptor,
            into: UnsafeMutableRawBufferPointer(rebasing: scratch[0..<wanted]))
        guard let count = taken(received, slot) else { return }
        if count == 0 {
            if received.lease != 0 { poller.release(received.lease) }
            close(slot)
            return
        }
        if isDiscarding {
            let used = min(count, connections[slot].needed)
            connections[slot].needed -= used
            connections[slot].filled += used
            if used < count {
                unsafe stash(slot, UnsafeRawBufferPointer(start: received.base + used, count: count - used))
            }
            if received.lease != 0 { poller.release(received.lease) }
            guard connections.isOpen(slot) else { return }
            setBodyDeadline(slot)
            if connections[slot].needed == 0 { answer(slot, status: connections[slot].pendingStatus, keepsAlive: true) }
        } else {
            if received.lease != 0 { poller.release(received.lease) }
            connections[slot].drainBudget -= count
            if connections[slot].drainBudget <= 0 { close(slot) }
        }
    }
}
