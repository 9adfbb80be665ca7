// Receiving: where the bytes of a request go as they come.
//
// A request that came whole in one receive is never copied: it lies in the arena until it is answered. Any other gets one block; what
// came so far is copied into it once, and later receives go straight into it.

internal import Metrics
internal import CLinuxIO
internal import Delivery
internal import EventLoop
internal import HTTP

extension DeliveryLoop where P: ~Copyable {
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
    mutating func taken(_ received: Received, _ slot: Int) -> Int? {
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
    mutating func takeStashedBody(_ slot: Int) {
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
}
