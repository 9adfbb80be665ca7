// PollerTLS+Deadlines: how long a handshake, and the drain behind a fatal alert, may take.
//
// Two lists of slots, each in the order of its deadlines, since all of a list wait equally long.

extension PollerTLS where Inner: ~Copyable {
    func bounded(_ timeout: Int32) -> Int32 {
        guard handshakes.count + endings.count > 0 else { return timeout }
        let now = clock()
        var bounded = timeout < 0 ? Int32.max : timeout
        for first in [handshakes.first, endings.first] where first != TLSConnection.nothing {
            let deadline = unsafe connections[Int(first)].deadline
            bounded = min(bounded, deadline > now ? Int32(clamping: deadline - now) : 0)
        }
        return bounded
    }

    mutating func expire() {
        guard handshakes.count + endings.count > 0 else { return }
        let now = clock()
        while handshakes.first != TLSConnection.nothing {
            let slot = Int(handshakes.first)
            guard unsafe connections[slot].deadline <= now else { break }
            giveUp(slot, .timeout)
            announce(slot)
        }
        while endings.first != TLSConnection.nothing {
            let slot = Int(endings.first)
            guard unsafe connections[slot].deadline <= now else { break }
            unlink(slot)
            unsafe connections[slot].isOverdue = true
            announce(slot)
        }
    }

    /// Takes a handshake for lost: the loop is told to close at its next look.
    mutating func giveUp(_ slot: Int, _ result: TLSHandshakeResult) {
        unlink(slot)
        counts.add(result)
        unsafe connections[slot].phase = .ending
        unsafe connections[slot].isOverdue = true
    }

    private func isLinked(_ slot: Int) -> Bool { unsafe connections[slot].deadline != 0 }

    /// Takes a slot from the list it is in, if it is in one.
    mutating func unlink(_ slot: Int) {
        guard isLinked(slot) else { return }
        unsafe connections[slot].deadline = 0
        if unsafe connections[slot].phase == .handshake {
            unsafe handshakes.remove(slot, in: connections)
        } else {
            unsafe endings.remove(slot, in: connections)
        }
    }

    /// The handshake is over, well or not.
    mutating func finishHandshake(_ slot: Int, _ result: TLSHandshakeResult) {
        unlink(slot)
        unsafe connections[slot].phase = .open
        unsafe connections[slot].byteCount = 0
        counts.add(result)
    }

    /// Nothing more is said. What the peer still sends is dropped for a moment, then `receive` gives an error.
    mutating func startEnding(_ slot: Int) {
        unsafe connections[slot].phase = .ending
        unsafe connections[slot].byteCount = 0
        unsafe connections[slot].session = nil
        dropRest(slot)
        unsafe connections[slot].deadline = clock() + limits.lingerMilliseconds
        unsafe endings.append(slot, in: connections)
        endStream(slot)
        updateInterest(slot)
    }
}
