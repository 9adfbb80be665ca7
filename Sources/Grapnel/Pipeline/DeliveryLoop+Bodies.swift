// Bodies: deadlines, chunks, and bodies of refused requests, which are read and dropped.
//
// A body of unknown length (chunked) doubles its block and is decoded in place.

internal import Metrics
internal import CLinuxIO
internal import Delivery
internal import EventLoop
internal import HTTP

extension DeliveryLoop where P: ~Copyable {
    mutating func setBodyDeadline(_ slot: Int) {
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

    mutating func decodeChunks(_ slot: Int) {
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
    mutating func discard(
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
    mutating func discardChunked(
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

    mutating func receiveAndDrop(_ slot: Int, _ event: PollEvent) {
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
