import CLinuxIO
import EventLoop
import Glibc
import Testing

/// The clients' side of a poller's network, real or simulated.
protocol ClientWorld {
    var listener: Int32 { get }
    /// More than the network between both sides holds.
    var answerBytes: Int { get }
    func connect() -> Int32
    /// Writes what fits; gives the count.
    func write(_ client: Int32, _ bytes: [UInt8]) -> Int
    func read(_ client: Int32) -> [UInt8]
    func halfClose(_ client: Int32)
    func reset(_ client: Int32)
    func disconnect(_ client: Int32)
    /// What clients do by themselves.
    func turn()
}

extension ClientWorld {
    func turn() {}
}

/// Loopback sockets.
final class LoopbackWorld: ClientWorld {
    let listener: Int32
    let answerBytes = 24 << 20
    private let port: UInt16

    init() {
        listener = cl_listen("127.0.0.1", 0, 0, 64)
        precondition(listener >= 0)
        port = UInt16(cl_local_port(listener))
    }
    deinit { _ = cl_close(listener) }

    func connect() -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        precondition(connected == 0)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        return descriptor
    }
    func write(_ client: Int32, _ bytes: [UInt8]) -> Int { max(0, cl_send(client, bytes, bytes.count)) }
    func read(_ client: Int32) -> [UInt8] {
        var room = [UInt8](repeating: 0, count: 65536)
        let count = cl_recv(client, &room, room.count)
        return Array(room.prefix(max(0, count)))
    }
    func halfClose(_ client: Int32) { _ = cl_shutdown_send(client) }
    func reset(_ client: Int32) {
        _ = cl_reset_on_close(client)
        _ = cl_close(client)
    }
    func disconnect(_ client: Int32) { _ = cl_close(client) }
}

/// The network in memory.
struct SimulatedWorld: ClientWorld {
    let network: SimulatedNetwork
    var listener: Int32 { 3 }
    var answerBytes: Int { 400_000 }
    func connect() -> Int32 { network.connect(window: 100_000) }
    func write(_ client: Int32, _ bytes: [UInt8]) -> Int {
        network.write(client, bytes)
        return bytes.count
    }
    func read(_ client: Int32) -> [UInt8] { network.read(client) }
    func halfClose(_ client: Int32) { network.halfClose(client) }
    func reset(_ client: Int32) { network.reset(client) }
    func disconnect(_ client: Int32) { network.halfClose(client) }
}

/// What every keeper must do.
struct PollerContract<P: Poller & ~Copyable>: ~Copyable {
    var poller: P
    let world: any ClientWorld
    var accepted: [Int32] = []
    var readable: [PollEvent] = []
    var writable: [PollEvent] = []
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 64)

    init(_ poller: consuming P, _ world: any ClientWorld) {
        self.poller = poller
        self.world = world
    }
    deinit { room.deallocate() }

    /// One wait; receives at once what is announced for `slot`, and gives it.
    mutating func turn(slot: UInt32 = 0, generation: UInt32 = 1, descriptor: Int32 = -1) -> (
        bytes: [UInt8], hasEnded: Bool, failed: Bool
    ) {
        var bytes: [UInt8] = []
        var (hasEnded, failed) = (false, false)
        world.turn()
        let count = poller.wait(timeoutMilliseconds: 20)
        for index in 0..<count {
            let event = poller.event(at: index)
            switch event.kind {
            case .accepted:
                accepted.append(event.descriptor)
                #expect(event.slot == UInt32(world.listener))
            case .writable: writable.append(event)
            case .wakeup: break
            case .readable:
                let received = poller.receive(event, descriptor: descriptor, into: room)
                if event.slot == slot, event.generation == generation {
                    if received.count > 0 {
                        bytes += UnsafeRawBufferPointer(start: received.base, count: received.count)
                    }
                    if received.count == 0 { hasEnded = true }
                    if received.count < 0 && received.count != -Int(EAGAIN) { failed = true }
                }
                if received.lease != 0 { poller.release(received.lease) }
            }
        }
        poller.flush()
        return (bytes, hasEnded, failed)
    }

    mutating func acceptOne() throws -> (client: Int32, server: Int32) {
        let client = world.connect()
        for _ in 0..<200 where accepted.isEmpty { _ = turn() }
        let server = accepted.popLast()
        return (client, try #require(server))
    }

    mutating func run() throws {
        let listening = poller.addListener(world.listener)
        #expect(listening == 0)
        // Bytes arrive in order and whole, and then the end.
        let (client, server) = try acceptOne()
        let added1 = poller.add(server, slot: 0, generation: 1, listener: world.listener)
        #expect(added1 == 0)
        let sent = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 2) }
        var offset = 0
        var received: [UInt8] = []
        for _ in 0..<20_000 where received.count < sent.count {
            if offset < sent.count {
                offset += world.write(client, Array(sent[offset..<min(offset + 50_000, sent.count)]))
            }
            received += turn(descriptor: server).bytes
        }
        #expect(received == sent)

        // Paused: nothing of what comes later is lost, and it comes after the resume.
        poller.pause(server, slot: 0, generation: 1)
        var early: [UInt8] = []
        for _ in 0..<5 { early += turn(descriptor: server).bytes }
        #expect(world.write(client, [1, 2, 3]) == 3)
        for _ in 0..<5 { early += turn(descriptor: server).bytes }
        poller.resume(server, slot: 0, generation: 1)
        for _ in 0..<200 where early.count < 3 { early += turn(descriptor: server).bytes }
        #expect(early == [1, 2, 3])

        // Sends arrive whole and in order; when the peer does not read, the rest is taken after `.writable`.
        // More than the kernel's buffers on both sides take.
        let pattern = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 13 >> 3) }
        var answer: [UInt8] = []
        while answer.count < world.answerBytes { answer += pattern }
        var taken = 0
        var got: [UInt8] = []
        var waits = 0
        for _ in 0..<20_000 where got.count < answer.count {
            if taken < answer.count {
                let part = min(60_000, answer.count - taken)
                let count = answer.withUnsafeBytes {
                    poller.send(
                        server, slot: 0, generation: 1, UnsafeRawBufferPointer(rebasing: $0[taken..<taken + part]))
                }
                try #require(count >= 0)
                taken += count
                if count < part {
                    waits += 1
                    poller.awaitWritable(server, slot: 0, generation: 1)
                    _ = turn(descriptor: server)
                    for _ in 0..<2_000 where writable.isEmpty {
                        got += world.read(client)
                        _ = turn(descriptor: server)
                    }
                    #expect(!writable.isEmpty)
                    writable = []
                    poller.resume(server, slot: 0, generation: 1)
                }
            } else {
                _ = turn(descriptor: server)
            }
            // Not before the server's side was full once.
            if waits > 0 || taken == answer.count { got += world.read(client) }
        }
        #expect(got == answer)
        #expect(waits > 0)

        // The end of the client's stream; ours still flows.
        world.halfClose(client)
        var hasEnded = false
        for _ in 0..<200 where !hasEnded { hasEnded = turn(descriptor: server).hasEnded }
        #expect(hasEnded)
        let bye: [UInt8] = [9, 9, 9]
        var byeSent = 0
        for attempt in 0..<200 where byeSent < 3 {
            if attempt > 0 { _ = turn(descriptor: server) }
            byeSent += bye.withUnsafeBytes {
                poller.send(server, slot: 0, generation: 1, UnsafeRawBufferPointer(rebasing: $0[byeSent...]))
            }
        }
        #expect(byeSent == 3)
        poller.endSending(server, slot: 0, generation: 1)
        var last: [UInt8] = []
        for _ in 0..<200 where last.count < 3 {
            _ = turn(descriptor: server)
            last += world.read(client)
        }
        #expect(last == bye)
        poller.close(server, slot: 0, generation: 1)
        _ = turn()
        world.disconnect(client)

        // A slot used again: events of the old generation are told apart.
        let (second, secondServer) = try acceptOne()
        let added2 = poller.add(secondServer, slot: 0, generation: 2, listener: world.listener)
        #expect(added2 == 0)
        #expect(world.write(second, [7]) == 1)
        var again: [UInt8] = []
        for _ in 0..<200 where again.isEmpty { again += turn(slot: 0, generation: 2, descriptor: secondServer).bytes }
        #expect(again == [7])

        // A reset is an error or an end, never bytes.
        world.reset(second)
        var isOver = false
        for _ in 0..<200 where !isOver {
            let result = turn(slot: 0, generation: 2, descriptor: secondServer)
            isOver = result.failed || result.hasEnded
            #expect(result.bytes.isEmpty)
        }
        #expect(isOver)
        poller.close(secondServer, slot: 0, generation: 2)
        _ = turn()

        // No more connections once the listener is removed; what is queued is the caller's to drain.
        poller.removeListener(world.listener)
        _ = turn()
        accepted = []
        let late = world.connect()
        for _ in 0..<5 { _ = turn() }
        #expect(accepted.isEmpty)
        world.disconnect(late)
    }
}

@Suite("Poller contract")
struct PollerContractTests {
    @Test("epoll keeps it")
    func epoll() throws {
        guard let poller = PollerEpoll() else {
            Issue.record("the kernel refused epoll")
            return
        }
        var contract = PollerContract(poller, LoopbackWorld())
        try contract.run()
    }

    @Test("io_uring keeps it, where the kernel has it")
    func ring() throws {
        var error: Int32 = 0
        guard let poller = PollerRing(capacity: 16, error: &error) else {
            // Refused by seccomp, sysctl or an old kernel: then the server uses epoll, and so does this machine.
            #expect(error == -EPERM || error == -ENOSYS || error == -EINVAL || error == -ENOMEM)
            return
        }
        var contract = PollerContract(poller, LoopbackWorld())
        try contract.run()
    }

    @Test("the simulation keeps it", arguments: 1...20)
    func simulated(seed: Int) throws {
        let network = SimulatedNetwork(seed: UInt64(seed))
        var contract = PollerContract(PollerSimulated(network), SimulatedWorld(network: network))
        try contract.run()
    }

    @Test("ending one connection never ends another that has its descriptor's number next")
    func endedDescriptorUsedAgain() {
        var error: Int32 = 0
        guard let ring = PollerRing(capacity: 16, error: &error) else { return }
        let world = LoopbackWorld()
        var contract = PollerContract(ring, world)
        _ = contract.poller.addListener(world.listener)
        var cutOff = 0
        for round in 1...600 {
            let client = world.connect()
            while contract.accepted.isEmpty { _ = contract.turn() }
            guard let server = contract.accepted.popLast() else { return }
            let generation = UInt32(round)
            _ = contract.poller.add(server, slot: 0, generation: generation)
            // Whatever the last round queued must not reach this connection.
            let answer: [UInt8] = [1, 2, 3]
            _ = answer.withUnsafeBytes { contract.poller.send(server, slot: 0, generation: generation, $0) }
            var got: [UInt8] = []
            for _ in 0..<100 where got.count < 3 {
                _ = contract.turn(slot: 0, generation: generation, descriptor: server)
                got += world.read(client)
            }
            if got != answer { cutOff += 1 }
            contract.poller.endSending(server, slot: 0, generation: generation)
            contract.poller.close(server, slot: 0, generation: generation)
            world.disconnect(client)
        }
        #expect(cutOff == 0)
    }

    @Test("another thread's wake-up ends a wait")
    func wakeup() {
        let descriptor = cl_eventfd()
        defer { _ = cl_close(descriptor) }
        guard var poller = PollerEpoll() else {
            Issue.record("the kernel refused epoll")
            return
        }
        let added = poller.addWakeup(descriptor)
        #expect(added == 0)
        _ = cl_eventfd_signal(descriptor)
        let count = poller.wait(timeoutMilliseconds: 5_000)
        #expect(count == 1)
        let kind = poller.event(at: 0).kind
        #expect(kind == .wakeup)
        let second = poller.wait(timeoutMilliseconds: 0)
        #expect(second == 0)
    }
}
