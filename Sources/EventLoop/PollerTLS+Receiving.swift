// PollerTLS+Receiving: from ciphertext to the loop's room, handshakes included.

internal import CLinuxIO
internal import Glibc

extension PollerTLS where Inner: ~Copyable {
    public mutating func receive(
        _ event: PollEvent, descriptor: Int32, into room: UnsafeMutableRawBufferPointer
    ) -> Received {
        let isOurs = event.descriptor == Self.ownEvent
        guard isTLS(event.slot, event.generation) else {
            // An event of ours for a connection that is gone holds nothing.
            if isOurs { return unsafe Self.received(room, -Int(EAGAIN)) }
            return unsafe inner.receive(event, descriptor: descriptor, into: room)
        }
        let slot = Int(event.slot)
        guard !isOurs else {
            let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
            return unsafe Self.received(room, decrypt(slot, nothing, into: room))
        }
        // No more than the room will hold, so that little is left over.
        let wanted = min(
            max(Self.ciphertextBytesMin, room.count + room.count / 32), Self.ciphertextBytesMax)
        let came = unsafe inner.receive(
            event, descriptor: descriptor, into: UnsafeMutableRawBufferPointer(rebasing: ciphertext[0..<wanted]))
        defer { if came.lease != 0 { inner.release(came.lease) } }
        if came.count < 0 {
            if came.count != -Int(EAGAIN) && came.count != -Int(EINTR) { lose(slot) }
            return unsafe Self.received(room, came.count)
        }
        if came.count == 0 {
            unsafe connections[slot].hasPeerEnded = true
            if unsafe connections[slot].phase == .handshake { lose(slot) }
        }
        return unsafe Self.received(
            room, decrypt(slot, UnsafeRawBufferPointer(start: came.base, count: came.count), into: room))
    }

    private static func received(_ room: UnsafeMutableRawBufferPointer, _ count: Int) -> Received {
        unsafe Received(base: room.baseAddress!, count: count, lease: 0)
    }

    /// The connection broke: a handshake under way is counted.
    private mutating func lose(_ slot: Int) {
        guard unsafe connections[slot].phase == .handshake else { return }
        finishHandshake(slot, .closed)
        unsafe connections[slot].isBroken = true
    }

    /// What `receive` gives: a count of plain bytes in `room`, 0 for the peer's end, -errno.
    private mutating func decrypt(
        _ slot: Int, _ came: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
    ) -> Int {
        if unsafe connections[slot].phase == .ending { return drop(slot, came.count) }
        guard unsafe setInput(slot, came) else { return -Int(ENOMEM) }
        if unsafe connections[slot].phase == .handshake {
            unsafe connections[slot].byteCount += came.count
            guard shakeHands(slot) else {
                keepUnused(slot)
                return -Int(EAGAIN)
            }
        }
        var filled = 0
        reading: while filled < room.count {
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: room[filled...])
            switch unsafe connections[slot].session?.read(into: part) ?? .failed(.malformed) {
            case .bytes(let count): filled += count
            case .wantsInput: break reading
            case .wantsOutput: takeOutput(slot)
            case .ended:
                // Nothing that stands behind it counts (RFC 8446 section 6.1).
                unsafe connections[slot].hasPeerEnded = true
                unsafe window.setInput(UnsafeRawBufferPointer(start: nil, count: 0))
                break reading
            case .failed(let failure):
                unsafe connections[slot].hasFailed = true
                unsafe connections[slot].failure = failure
                unsafe window.setInput(UnsafeRawBufferPointer(start: nil, count: 0))
                break reading
            }
            if unsafe connections[slot].unsentEnd - connections[slot].unsentStart > 4 * Self.unsentBytesMax {
                // It asks for answers that it does not read.
                unsafe connections[slot].hasFailed = true
                break
            }
        }
        takeOutput(slot)
        keepUnused(slot)
        if filled > 0 {
            if hasLeftover(slot) { list(slot) }
            return filled
        }
        if unsafe connections[slot].hasFailed {
            startEnding(slot)
            return -Int(EAGAIN)
        }
        if unsafe connections[slot].hasPeerEnded && connections[slot].restCount == 0 { return 0 }
        return -Int(EAGAIN)
    }

    /// Goes on with the handshake. False when it is not done, or has failed.
    private mutating func shakeHands(_ slot: Int) -> Bool {
        while true {
            switch unsafe connections[slot].session?.handshake() ?? .failed(.malformed) {
            case .bytes:
                finishHandshake(slot, unsafe connections[slot].session?.isResumed == true ? .resumed : .full)
                return true
            case .wantsOutput: takeOutput(slot)
            case .wantsInput:
                takeOutput(slot)
                if unsafe connections[slot].unsent != nil && !connections[slot].isBlocked { push(slot) }
                guard unsafe connections[slot].byteCount > limits.handshakeBytesMax else { return false }
                fail(slot, .malformed)
                return false
            case .ended:
                fail(slot, .clientAlert)
                return false
            case .failed(let failure):
                takeOutput(slot)
                fail(slot, TLSHandshakeResult(failure))
                return false
            }
        }
    }

    private mutating func fail(_ slot: Int, _ result: TLSHandshakeResult) {
        finishHandshake(slot, result)
        unsafe window.setInput(UnsafeRawBufferPointer(start: nil, count: 0))
        startEnding(slot)
    }

    /// Behind a fatal error: dropped up to a bound, then the loop closes.
    private mutating func drop(_ slot: Int, _ count: Int) -> Int {
        unsafe connections[slot].byteCount += count
        if unsafe connections[slot].isOverdue { return -Int(ETIMEDOUT) }
        if unsafe connections[slot].hasPeerEnded || connections[slot].byteCount > limits.lingerBytesMax {
            return -Int(EPROTO)
        }
        return -Int(EAGAIN)
    }

    // - Ciphertext that was not read

    /// Shows the session what is kept and what came, in this order. False when there is no memory.
    private mutating func setInput(_ slot: Int, _ came: UnsafeRawBufferPointer) -> Bool {
        let kept = unsafe connections[slot].restCount
        guard kept > 0 else {
            unsafe window.setInput(came)
            return true
        }
        guard unsafe appendRest(slot, came), let rest = unsafe connections[slot].rest else { return false }
        unsafe window.setInput(UnsafeRawBufferPointer(start: rest.base, count: connections[slot].restCount))
        return true
    }

    private mutating func appendRest(_ slot: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return true }
        let wanted = unsafe connections[slot].restCount + bytes.count
        if unsafe (connections[slot].rest?.capacity ?? 0) < wanted {
            guard let block = slab.allocate(wanted) else { return false }
            if let old = unsafe connections[slot].rest {
                unsafe block.base.copyMemory(from: old.base, byteCount: connections[slot].restCount)
                slab.giveBack(old)
            }
            unsafe connections[slot].rest = block
        }
        guard let rest = unsafe connections[slot].rest else { return false }
        unsafe (rest.base + connections[slot].restCount).copyMemory(from: source, byteCount: bytes.count)
        unsafe connections[slot].restCount = wanted
        return true
    }

    /// Keeps what the session did not read, and stops reading while there is such.
    private mutating func keepUnused(_ slot: Int) {
        let unused = unsafe window.unused
        if unsafe unused.count == 0 || connections[slot].phase == .ending {
            dropRest(slot)
        } else if let rest = unsafe connections[slot].rest {
            // It lies in there already, at the end.
            unsafe rest.base.copyMemory(from: unused.baseAddress!, byteCount: unused.count)
            unsafe connections[slot].restCount = unused.count
        } else {
            let isKept = unsafe appendRest(slot, unused)
            if !isKept { unsafe connections[slot].hasFailed = true }
        }
        unsafe window.setInput(UnsafeRawBufferPointer(start: nil, count: 0))
        updateInterest(slot)
    }

    mutating func dropRest(_ slot: Int) {
        if let rest = unsafe connections[slot].rest { slab.giveBack(rest) }
        unsafe connections[slot].rest = nil
        unsafe connections[slot].restCount = 0
    }
}
