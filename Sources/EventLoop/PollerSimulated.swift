// PollerSimulated: a network in memory under one seed, for tests of everything above the poller.
//
// It keeps the contract of `Poller` in its least convenient form: any non-empty part of the ready events in any order, receives and
// sends as short as one byte, spurious readiness, events of connections that were closed meanwhile. The same seed gives the same run.
// Descriptors are numbers that the kernel does not know.

internal import Glibc

/// The clients' side: what tests hold. Not for several threads.
public final class SimulatedNetwork {
    /// One client's connection.
    public struct Peer {
        /// On its way to the server, and from it.
        var toServer: [UInt8] = []
        var fromServer: [UInt8] = []
        var clientEnded = false
        var serverEnded = false
        var serverClosed = false
        var wasReset = false
        /// How much the client's receive buffer takes until it reads.
        var window = Int.max
        var isRegistered = false
        var isPaused = false
        var wantsWritable = false
        var slot: UInt32 = 0
        var generation: UInt32 = 0
    }

    var peers: [Int32: Peer] = [:]
    var waitingToConnect: [Int32] = []
    var random: UInt64
    var isWakeupPending = false
    var isListening = false
    var listener: UInt32 = 0
    private var nextDescriptor: Int32 = 1 << 24

    public init(seed: UInt64) { random = seed &* 0x9e37_79b9_7f4a_7c15 &+ 0x1234_5678_9abc_def1 }

    /// 0 ..< bound.
    public func roll(_ bound: Int) -> Int {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return Int(random % UInt64(max(1, bound)))
    }

    // - What a client does

    public func connect(window: Int = .max) -> Int32 {
        nextDescriptor += 1
        var peer = Peer()
        peer.window = window
        peers[nextDescriptor] = peer
        waitingToConnect.append(nextDescriptor)
        return nextDescriptor
    }

    public func write(_ client: Int32, _ bytes: [UInt8]) {
        guard peers[client]?.serverClosed == false else { return }
        peers[client]?.toServer += bytes
    }

    /// Everything that arrived; makes room for more.
    public func read(_ client: Int32) -> [UInt8] {
        let bytes = peers[client]?.fromServer ?? []
        peers[client]?.fromServer = []
        return bytes
    }

    public func halfClose(_ client: Int32) { peers[client]?.clientEnded = true }

    public func reset(_ client: Int32) {
        peers[client]?.wasReset = true
        peers[client]?.toServer = []
    }

    /// The server ended its side or closed.
    public func hasEnded(_ client: Int32) -> Bool { peers[client].map { $0.serverEnded || $0.serverClosed } ?? true }
    public func wasClosedByServer(_ client: Int32) -> Bool { peers[client]?.serverClosed ?? true }
    public func wakeUp() { isWakeupPending = true }
}

/// The `Poller` over a `SimulatedNetwork`.
public struct PollerSimulated: Poller, ~Copyable {
    public let network: SimulatedNetwork
    private var events: [PollEvent] = []
    /// Late events of closed connections: the caller must drop them.
    private var stale: [PollEvent] = []

    public init(_ network: SimulatedNetwork) { self.network = network }

    public mutating func wait(timeoutMilliseconds: Int32) -> Int {
        var ready: [PollEvent] = []
        if network.isListening {
            for descriptor in network.waitingToConnect {
                ready.append(
                    PollEvent(kind: .accepted, slot: network.listener, generation: 0, descriptor: descriptor))
            }
        }
        for (_, peer) in network.peers.sorted(by: { $0.key < $1.key }) where peer.isRegistered {
            let event = { (kind: PollKind) in
                PollEvent(kind: kind, slot: peer.slot, generation: peer.generation, descriptor: -1)
            }
            if peer.wantsWritable {
                if peer.fromServer.count < peer.window || peer.wasReset { ready.append(event(.writable)) }
            } else if !peer.isPaused {
                let isSpurious = network.roll(50) == 0
                if !peer.toServer.isEmpty || peer.clientEnded || peer.wasReset || isSpurious {
                    ready.append(event(.readable))
                }
            }
        }
        if network.isWakeupPending { ready.append(PollEvent(kind: .wakeup, slot: 0, generation: 0, descriptor: -1)) }
        ready += stale
        stale = []
        // Any order, and not always all of them.
        for index in stride(from: ready.count - 1, to: 0, by: -1) { ready.swapAt(index, network.roll(index + 1)) }
        if ready.count > 1, network.roll(3) == 0 { ready.removeLast(network.roll(ready.count)) }
        for event in ready {
            switch event.kind {
            case .accepted: network.waitingToConnect.removeAll { $0 == event.descriptor }
            case .wakeup: network.isWakeupPending = false
            case .writable:
                for (descriptor, peer) in network.peers
                where peer.slot == event.slot && peer.generation == event.generation && peer.isRegistered {
                    network.peers[descriptor]?.wantsWritable = false
                }
            case .readable: break
            }
        }
        events = ready
        return events.count
    }

    public func event(at index: Int) -> PollEvent { events[index] }

    public mutating func addListener(_ descriptor: Int32) -> Int32 {
        network.isListening = true
        network.listener = UInt32(descriptor)
        return 0
    }

    public mutating func removeListener(_ descriptor: Int32) { network.isListening = false }
    public mutating func addWakeup(_ descriptor: Int32) -> Int32 { 0 }

    public mutating func add(_ descriptor: Int32, slot: UInt32, generation: UInt32) -> Int32 {
        network.peers[descriptor]?.isRegistered = true
        network.peers[descriptor]?.slot = slot
        network.peers[descriptor]?.generation = generation
        return 0
    }

    public mutating func close(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        network.peers[descriptor]?.isRegistered = false
        network.peers[descriptor]?.serverClosed = true
        if network.roll(4) == 0 {
            stale.append(PollEvent(kind: .readable, slot: slot, generation: generation, descriptor: -1))
        }
    }

    public mutating func receive(
        _ event: PollEvent, descriptor: Int32, into room: UnsafeMutableRawBufferPointer
    ) -> Received {
        guard let base = room.baseAddress else { preconditionFailure("no room to receive into") }
        guard let peer = network.peers[descriptor] else {
            return unsafe Received(base: base, count: -Int(EBADF), lease: 0)
        }
        if peer.wasReset { return unsafe Received(base: base, count: -Int(ECONNRESET), lease: 0) }
        let available = min(peer.toServer.count, room.count)
        guard available > 0 else {
            return unsafe Received(base: base, count: peer.clientEnded ? 0 : -Int(EAGAIN), lease: 0)
        }
        let count = network.roll(3) == 0 ? available : 1 + network.roll(available)
        unsafe room.copyBytes(from: peer.toServer[0..<count])
        network.peers[descriptor]?.toServer.removeFirst(count)
        return unsafe Received(base: base, count: count, lease: 0)
    }

    public mutating func release(_ lease: UInt32) { preconditionFailure("no buffer was lent") }

    public mutating func pause(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        network.peers[descriptor]?.isPaused = true
    }

    public mutating func resume(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        network.peers[descriptor]?.isPaused = false
    }

    public mutating func send(
        _ descriptor: Int32, slot: UInt32, generation: UInt32, _ bytes: UnsafeRawBufferPointer
    ) -> Int {
        guard let peer = network.peers[descriptor] else { return -Int(EBADF) }
        if peer.wasReset { return -Int(EPIPE) }
        let free = max(0, peer.window - peer.fromServer.count)
        var count = min(bytes.count, free)
        if count > 1, network.roll(4) == 0 { count = 1 + network.roll(count) }
        unsafe network.peers[descriptor]?.fromServer += bytes[0..<count]
        return count
    }

    public mutating func awaitWritable(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        network.peers[descriptor]?.wantsWritable = true
    }

    public mutating func endSending(_ descriptor: Int32, slot: UInt32, generation: UInt32) {
        network.peers[descriptor]?.serverEnded = true
    }
    public mutating func flush() {}
}
