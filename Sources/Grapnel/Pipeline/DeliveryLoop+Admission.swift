// Admission: which route a head is for, whether its body is wanted, and the memory for that.

internal import Metrics
internal import CLinuxIO
internal import Delivery
internal import EventLoop
internal import HTTP

extension DeliveryLoop where P: ~Copyable {
    mutating func noteRoute(_ slot: Int, _ route: Int) {
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
    var unknownPathStatus: UInt16 { table.isComplete ? 404 : 503 }

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
    mutating func admit(_ slot: Int, _ head: RequestHead, _ bytes: UnsafeMutableRawBufferPointer) {
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
}
