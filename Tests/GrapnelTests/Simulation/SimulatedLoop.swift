// SimulatedLoop: a real delivery loop over a network in memory, and the model of its sleep.
//
// A turn may only come when something woke the loop: an event of its network, its eventfd, or its own time limit. So a wake-up that
// gets lost is seen.

@testable import EventLoop

@testable import Grapnel

final class SimulatedLoop {
    let network: SimulatedNetwork
    let control: LoopControl
    private var loop: DeliveryLoop<PollerSimulated>
    private var sleepsUntil: UInt64 = 0
    private(set) var hasEnded = false

    init(
        _ network: SimulatedNetwork, _ control: LoopControl, _ settings: LoopSettings, _ budget: MemoryBudget,
        _ path: CommitPath, _ desk: JournalDesk, _ time: SimulatedTime
    ) {
        self.network = network
        self.control = control
        loop = DeliveryLoop(
            poller: PollerSimulated(network), control: control, settings: settings, budget: budget,
            dedupeKey: desk.writer.dedupeKey, commit: path, helpers: HelperPool(isImmediate: true) { _ in nil },
            listeners: [1 << 23], clock: time.clock)
    }

    /// Whether the kernel would let it run.
    func isAwake(_ now: UInt64) -> Bool {
        if NamedThread.wait(on: control.wakeup, milliseconds: 0) { network.wakeUp() }
        return !hasEnded && (now >= sleepsUntil || network.hasEvents)
    }

    func turn(_ time: SimulatedTime) {
        guard !hasEnded else { return }
        hasEnded = !loop.turnOnce(timeoutMilliseconds: nil)
        sleepsUntil = time.now + UInt64(max(0, loop.timeout())) * 1_000_000
    }

    /// True while it waits for answers of the journal's thread that are there, and nothing will wake it.
    func sleepsOverAnswers(_ now: UInt64) -> Bool {
        guard case .lane(let lane) = loop.commit, lane.verdicts.depth > 0 else { return false }
        return !isAwake(now)
    }

    var isInline: Bool { if case .inline = loop.commit { true } else { false } }

    /// What should not be there when all is quiet; empty when it is not.
    var leftovers: [String] {
        var texts: [String] = []
        if loop.connections.openCount > 0 { texts.append("\(loop.connections.openCount) connections") }
        if loop.slab.usedBytes > 0 { texts.append("\(loop.slab.usedBytes) bytes of blocks") }
        if loop.arena.liveCount > 0 { texts.append("\(loop.arena.liveCount) requests in the arena") }
        if loop.inFlightCount > 0 { texts.append("\(loop.inFlightCount) requests in flight") }
        if !loop.ruled.isEmpty { texts.append("\(loop.ruled.count) rulings") }
        if !loop.sources.isEmpty { texts.append("\(loop.sources.count) sources") }
        if !loop.retiredTables.isEmpty { texts.append("\(loop.retiredTables.count) old route tables") }
        if loop.turn.count > 0 { texts.append("\(loop.turn.count) requests of a turn") }
        return texts
    }

    /// The process is gone: gives back what the kernel would take.
    func vanish() {
        for slot in 0..<loop.connections.capacity where loop.connections[slot].phase != .free { loop.forget(slot) }
    }
}

extension SimulatedNetwork {
    /// Whether the kernel has something to say to the server.
    var hasEvents: Bool {
        if isWakeupPending || (isListening && !waitingToConnect.isEmpty) { return true }
        return peers.values.contains { peer in
            guard peer.isRegistered else { return false }
            if peer.wantsWritable { return peer.fromServer.count < peer.window || peer.wasReset }
            return !peer.isPaused && (!peer.toServer.isEmpty || peer.clientEnded || peer.wasReset)
        }
    }
}
