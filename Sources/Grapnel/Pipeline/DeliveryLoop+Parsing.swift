// Parsing: from bytes to a head, and to a whole request once its body is there.

internal import Metrics
internal import CLinuxIO
internal import Delivery
internal import EventLoop
internal import HTTP

extension DeliveryLoop where P: ~Copyable {
    /// The first bytes of a request, in the arena or in a buffer of the keeper.
    mutating func parseFresh(_ slot: Int, _ bytes: UnsafeMutableRawBufferPointer) {
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
    mutating func moveIntoBlock(_ slot: Int, _ bytes: UnsafeMutableRawBufferPointer, capacity: Int) -> Bool {
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
    mutating func advance(_ slot: Int) {
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
    mutating func completeFromBlock(_ slot: Int) {
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
}
