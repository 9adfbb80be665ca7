// PollerTLS+Sending: from answers to ciphertext, and what the socket does not take at once.

internal import Glibc

extension PollerTLS where Inner: ~Copyable {
    public mutating func send(
        _ descriptor: Int32, slot: UInt32, generation: UInt32, _ bytes: UnsafeRawBufferPointer
    ) -> Int {
        guard isTLS(slot, generation) else {
            return unsafe inner.send(descriptor, slot: slot, generation: generation, bytes)
        }
        let index = Int(slot)
        if unsafe connections[index].phase != .open || connections[index].isBroken || connections[index].hasSentEnd {
            return -Int(EPIPE)
        }
        var taken = 0
        // What is taken is ours to send: the loop's deadline for answers holds for what is not.
        while taken < bytes.count,
            unsafe connections[index].unsentEnd - connections[index].unsentStart
                <= Self.unsentBytesMax
        {
            let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[taken...])
            switch unsafe connections[index].session?.write(part) ?? .failed(.malformed) {
            case .bytes(let count):
                taken += count
                transmit(index)
            // The record goes on where it stopped: it is finished before anything else.
            case .wantsOutput: transmit(index)
            default:
                unsafe connections[index].isBroken = true
            }
            if unsafe connections[index].isBroken { return -Int(EPIPE) }
        }
        return taken
    }

    public mutating func awaitWritable(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        guard isTLS(slot, generation) else {
            inner.awaitWritable(descriptor, slot: slot, generation: generation)
            return
        }
        unsafe connections[Int(slot)].isPaused = true
        unsafe connections[Int(slot)].wantsWritable = true
        if unsafe !connections[Int(slot)].isBlocked {
            unsafe connections[Int(slot)].interest = .writable
            inner.awaitWritable(descriptor, slot: slot, generation: generation)
        } else {
            updateInterest(Int(slot))
        }
    }

    public mutating func endSending(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        guard isTLS(slot, generation) else {
            inner.endSending(descriptor, slot: slot, generation: generation)
            return
        }
        switch unsafe connections[Int(slot)].phase {
        case .plain, .ending: break  // ended already
        case .handshake:
            finishHandshake(Int(slot), .closed)
            startEnding(Int(slot))
        case .open:
            sendEnd(Int(slot))
            endStream(Int(slot))
        }
    }

    /// Says close_notify, once.
    mutating func sendEnd(_ slot: Int) {
        guard unsafe !connections[slot].hasSentEnd && !connections[slot].isBroken && !connections[slot].hasFailed else {
            return
        }
        unsafe connections[slot].hasSentEnd = true
        unsafe connections[slot].session?.end()
        transmit(slot)
    }

    /// Ends our side of the stream behind what is unsent.
    mutating func endStream(_ slot: Int) {
        if unsafe connections[slot].unsent != nil { push(slot) }
        if unsafe connections[slot].unsent != nil {
            unsafe connections[slot].endsWhenSent = true
        } else {
            let (descriptor, generation) = unsafe (connections[slot].descriptor, connections[slot].generation)
            inner.endSending(descriptor, slot: UInt32(slot), generation: generation)
        }
    }

    /// The inner keeper has room again. True when the loop is to know.
    mutating func becameWritable(_ slot: Int) -> Bool {
        push(slot)
        guard unsafe connections[slot].unsent == nil && connections[slot].wantsWritable else { return false }
        unsafe connections[slot].wantsWritable = false
        return true
    }

    // - Ciphertext on its way out

    /// Sends what the session wrote; what the socket does not take is kept.
    mutating func transmit(_ slot: Int) {
        if unsafe connections[slot].unsent != nil {
            takeOutput(slot)
            if unsafe !connections[slot].isBlocked { push(slot) }
            return
        }
        let pending = unsafe window.pending
        guard pending.count > 0 else { return }
        let (descriptor, generation) = unsafe (connections[slot].descriptor, connections[slot].generation)
        let sent = unsafe inner.send(descriptor, slot: UInt32(slot), generation: generation, pending)
        if sent < 0 {
            unsafe connections[slot].isBroken = true
        } else if sent < pending.count {
            unsafe keepUnsent(slot, UnsafeRawBufferPointer(rebasing: pending[sent...]))
            unsafe connections[slot].isBlocked = true
        }
        window.removeOutput()
        updateInterest(slot)
    }

    /// Keeps what the session wrote for the turn's end: it may go out together with an answer.
    mutating func takeOutput(_ slot: Int) {
        let pending = unsafe window.pending
        guard pending.count > 0 else { return }
        if unsafe connections[slot].unsent == nil { flushLater(slot) }
        unsafe keepUnsent(slot, pending)
        window.removeOutput()
    }

    private mutating func keepUnsent(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, unsafe !connections[slot].isBroken else { return }
        let (start, end) = unsafe (connections[slot].unsentStart, connections[slot].unsentEnd)
        if unsafe (connections[slot].unsent?.capacity ?? 0) < end + bytes.count {
            guard let block = slab.allocate(end - start + bytes.count) else {
                unsafe connections[slot].isBroken = true
                return
            }
            if let old = unsafe connections[slot].unsent {
                unsafe block.base.copyMemory(from: old.base + start, byteCount: end - start)
                slab.giveBack(old)
            }
            unsafe connections[slot].unsent = block
            unsafe connections[slot].unsentStart = 0
            unsafe connections[slot].unsentEnd = end - start
        }
        guard let block = unsafe connections[slot].unsent else { return }
        unsafe (block.base + connections[slot].unsentEnd).copyMemory(from: source, byteCount: bytes.count)
        unsafe connections[slot].unsentEnd += bytes.count
    }

    /// Sends what is kept, as far as it goes.
    mutating func push(_ slot: Int) {
        guard let block = unsafe connections[slot].unsent else {
            updateInterest(slot)
            return
        }
        let (start, end) = unsafe (connections[slot].unsentStart, connections[slot].unsentEnd)
        let (descriptor, generation) = unsafe (connections[slot].descriptor, connections[slot].generation)
        let sent = unsafe inner.send(
            descriptor, slot: UInt32(slot), generation: generation,
            UnsafeRawBufferPointer(start: block.base + start, count: end - start))
        if sent >= 0, start + sent < end {
            unsafe connections[slot].unsentStart = start + sent
            unsafe connections[slot].isBlocked = true
            // Asked for anew each time: one question gets one answer.
            unsafe connections[slot].interest = .writable
            inner.awaitWritable(descriptor, slot: UInt32(slot), generation: generation)
            return
        }
        if sent < 0 { unsafe connections[slot].isBroken = true }
        dropUnsent(slot)
        if unsafe connections[slot].endsWhenSent {
            unsafe connections[slot].endsWhenSent = false
            inner.endSending(descriptor, slot: UInt32(slot), generation: generation)
        }
        updateInterest(slot)
    }

    mutating func dropUnsent(_ slot: Int) {
        if let block = unsafe connections[slot].unsent { slab.giveBack(block) }
        unsafe connections[slot].unsent = nil
        unsafe connections[slot].isBlocked = false
        unsafe connections[slot].unsentStart = 0
        unsafe connections[slot].unsentEnd = 0
    }
}
