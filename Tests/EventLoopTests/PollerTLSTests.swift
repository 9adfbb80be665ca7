import Glibc
import Synchronization
import Testing

@testable import EventLoop

/// Another world's clients, speaking TLS.
final class TLSWorld: ClientWorld {
    private let inner: any ClientWorld
    private let versions: ClosedRange<Int32>
    private var clients: [Int32: TLSClient] = [:]
    /// Ciphertext that the network did not take yet.
    private var waiting: [Int32: [UInt8]] = [:]
    private var unsaid: [Int32: [UInt8]] = [:]

    init(_ inner: any ClientWorld, versions: ClosedRange<Int32> = 0...0) {
        self.inner = inner
        self.versions = versions
    }

    var listener: Int32 { inner.listener }
    var answerBytes: Int { inner.answerBytes }

    func connect() -> Int32 {
        let client = inner.connect()
        clients[client] = TLSClient(versions: versions, protocols: ["http/1.1"])
        pump(client)
        return client
    }

    /// What the network has goes into the session, and what the session says into the network.
    private func pump(_ client: Int32) {
        guard let session = clients[client] else { return }
        session.give(inner.read(client))
        session.advance()
        if session.handshake == .done, let bytes = unsaid.removeValue(forKey: client) { session.write(bytes) }
        let bytes = waiting[client, default: []] + session.take()
        waiting[client] = bytes.isEmpty ? [] : Array(bytes.dropFirst(inner.write(client, bytes)))
    }

    func turn() { for client in clients.keys { pump(client) } }

    func write(_ client: Int32, _ bytes: [UInt8]) -> Int {
        pump(client)
        // Before the handshake is done a little may wait.
        guard clients[client]?.handshake == .done else {
            unsaid[client, default: []] += bytes
            return bytes.count
        }
        guard waiting[client, default: []].isEmpty else { return 0 }
        clients[client]?.write(bytes)
        pump(client)
        return bytes.count
    }

    func read(_ client: Int32) -> [UInt8] {
        pump(client)
        return clients[client]?.read() ?? []
    }

    func halfClose(_ client: Int32) {
        pump(client)
        clients[client]?.end()
        while clients[client] != nil {
            pump(client)
            if waiting[client, default: []].isEmpty { break }
        }
        inner.halfClose(client)
    }

    func reset(_ client: Int32) {
        clients[client] = nil
        inner.reset(client)
    }

    func disconnect(_ client: Int32) {
        clients[client] = nil
        inner.disconnect(client)
    }
}

/// Milliseconds that a test moves.
final class TestClock: Sendable {
    private let milliseconds = Atomic<UInt64>(1_000_000)
    func advance(_ count: UInt64) { milliseconds.wrappingAdd(count, ordering: .relaxed) }
    var now: UInt64 { milliseconds.load(ordering: .relaxed) }
}

/// A keeper with TLS over the simulated network, and what the loop above it would do.
struct TLSBench: ~Copyable {
    let network = SimulatedNetwork(seed: 7)
    let clock = TestClock()
    let counts = TLSHandshakeCounts()
    let source: TLSContextSource
    var poller: PollerTLS<PollerSimulated>
    var descriptors: [Int32] = []
    /// By slot: what came, and how it ended.
    var plain: [[UInt8]] = []
    var ended: [Int?] = []
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)

    init(limits: TLSLimits = TLSLimits()) throws {
        source = TLSContextSource(try TestCertificate.context())
        let clock = clock
        poller = PollerTLS(
            PollerSimulated(network), listeners: [3], capacity: 32, source: source, limits: limits, counts: counts,
            clock: { clock.now })
        _ = poller.addListener(3)
    }
    deinit { room.deallocate() }

    /// One turn of a loop that takes everything and closes what has ended.
    mutating func turn() {
        let count = poller.wait(timeoutMilliseconds: 0)
        for index in 0..<count {
            let event = poller.event(at: index)
            let slot = Int(event.slot)
            switch event.kind {
            case .accepted:
                let new = descriptors.count
                descriptors.append(event.descriptor)
                plain.append([])
                ended.append(nil)
                let failure = poller.add(event.descriptor, slot: UInt32(new), generation: 1, listener: 3)
                #expect(failure == 0)
            case .readable:
                let received = poller.receive(event, descriptor: descriptors[slot], into: room)
                guard ended[slot] == nil else { break }
                if received.count > 0 {
                    plain[slot] += UnsafeRawBufferPointer(start: received.base, count: received.count)
                } else if received.count != -Int(EAGAIN) {
                    ended[slot] = received.count
                    poller.close(descriptors[slot], slot: event.slot, generation: 1)
                }
            case .writable, .wakeup: break
            }
        }
        poller.flush()
    }

    mutating func turns(_ count: Int = 200) { for _ in 0..<count { turn() } }

    /// A handshake under way until it is done or the server ended.
    mutating func meet(_ client: TLSClient, _ descriptor: Int32) {
        for _ in 0..<400 {
            client.give(network.read(descriptor))
            client.advance()
            network.write(descriptor, client.take())
            turn()
        }
        client.give(network.read(descriptor))
    }
}

@Suite("TLS over a poller")
struct PollerTLSTests {
    /// A clock that stands: no handshake is late, however busy the machine is.
    private static let noTime: @Sendable () -> UInt64 = { 1_000_000 }

    private static func source() throws -> TLSContextSource { TLSContextSource(try TestCertificate.context()) }

    @Test("the contract holds over epoll", arguments: TLSSessionTests.bothVersions)
    func epoll(versions: ClosedRange<Int32>) throws {
        let world = TLSWorld(LoopbackWorld(), versions: versions)
        let poller = PollerTLS(
            PollerEpoll()!, listeners: [world.listener], capacity: 16, source: try Self.source(),
            limits: TLSLimits(), counts: TLSHandshakeCounts(), clock: Self.noTime)
        var contract = PollerContract(poller, world)
        try contract.run()
    }

    @Test("the contract holds over io_uring, where the kernel has it", arguments: TLSSessionTests.bothVersions)
    func ring(versions: ClosedRange<Int32>) throws {
        var error: Int32 = 0
        guard let ring = PollerRing(capacity: 16, error: &error) else { return }
        let world = TLSWorld(LoopbackWorld(), versions: versions)
        let poller = PollerTLS(
            ring, listeners: [world.listener], capacity: 16, source: try Self.source(), limits: TLSLimits(),
            counts: TLSHandshakeCounts(), clock: Self.noTime)
        var contract = PollerContract(poller, world)
        try contract.run()
    }

    @Test("the contract holds over the simulation", arguments: 1...20)
    func simulated(seed: Int) throws {
        let network = SimulatedNetwork(seed: UInt64(seed))
        let world = TLSWorld(SimulatedWorld(network: network))
        let poller = PollerTLS(
            PollerSimulated(network), listeners: [world.listener], capacity: 16, source: try Self.source(),
            limits: TLSLimits(), counts: TLSHandshakeCounts(), clock: Self.noTime)
        var contract = PollerContract(poller, world)
        try contract.run()
    }

    @Test("listeners without TLS are left alone, beside one with it")
    func plainBeside() throws {
        let world = LoopbackWorld()
        let poller = PollerTLS(
            PollerEpoll()!, listeners: [world.listener + 1_000], capacity: 16, source: try Self.source(),
            limits: TLSLimits(), counts: TLSHandshakeCounts(), clock: Self.noTime)
        var contract = PollerContract(poller, world)
        try contract.run()
    }

    @Test("a handshake that is not done in time is closed, and one byte now and then does not help")
    func handshakeDeadline() throws {
        var bench = try TLSBench()
        let silent = bench.network.connect()
        let slow = bench.network.connect()
        let client = TLSClient()
        client.advance()
        let hello = client.take()
        bench.turns(50)
        for index in 0..<9 {
            bench.clock.advance(1_000)
            bench.network.write(slow, [hello[index]])
            bench.turns(20)
        }
        #expect(!bench.network.wasClosedByServer(silent) && !bench.network.wasClosedByServer(slow))
        bench.clock.advance(1_001)
        bench.turns(20)
        #expect(bench.network.wasClosedByServer(silent) && bench.network.wasClosedByServer(slow))
        #expect(bench.counts[.timeout] == 2)
        #expect(bench.ended.allSatisfy { $0 == -Int(ETIMEDOUT) })
    }

    @Test("a finished handshake has no deadline any more")
    func doneInTime() throws {
        var bench = try TLSBench()
        let descriptor = bench.network.connect()
        let client = TLSClient()
        bench.meet(client, descriptor)
        bench.clock.advance(3_600_000)
        bench.turns()
        #expect(client.handshake == .done && !bench.network.wasClosedByServer(descriptor))
        client.write([1, 2, 3])
        bench.network.write(descriptor, client.take())
        bench.turns()
        #expect(bench.plain == [[1, 2, 3]])
        #expect(bench.counts[.full] == 1)
    }

    @Test("too many handshakes at once: the oldest goes, the newest is served")
    func crowded() throws {
        var limits = TLSLimits()
        limits.handshakesMax = 4
        var bench = try TLSBench(limits: limits)
        let first = bench.network.connect()
        bench.turns(20)
        let others = (0..<4).map { _ in bench.network.connect() }
        bench.turns(100)
        #expect(bench.network.wasClosedByServer(first))
        #expect(others.allSatisfy { !bench.network.wasClosedByServer($0) })
        #expect(bench.counts[.crowded] == 1)
    }

    @Test("a hello without end is refused at a bound")
    func endlessHandshake() throws {
        var limits = TLSLimits()
        limits.handshakeBytesMax = 20_000
        var bench = try TLSBench(limits: limits)
        let descriptor = bench.network.connect()
        // Handshake records of a ClientHello that says it has 100,000 bytes.
        var bytes: [UInt8] = [1, 0x01, 0x86, 0xa0, 3, 3]
        bytes += [UInt8](repeating: 0, count: 16_000 - bytes.count)
        for _ in 0..<6 {
            bench.network.write(descriptor, [22, 3, 1, UInt8(16_000 >> 8), UInt8(16_000 & 0xff)] + bytes)
            bytes = [UInt8](repeating: 0, count: 16_000)
            bench.turns(50)
        }
        #expect(bench.network.hasEnded(descriptor))
        #expect(bench.counts[.malformed] == 1)
    }

    @Test("plain HTTP gets an end without a byte; what is still sent is dropped for a moment, then it is closed")
    func plainHTTP() throws {
        var bench = try TLSBench()
        let descriptor = bench.network.connect()
        bench.network.write(descriptor, Array("POST /hooks/a HTTP/1.1\r\nContent-Length: 100000\r\n\r\n".utf8))
        bench.turns()
        #expect(bench.network.hasEnded(descriptor) && !bench.network.wasClosedByServer(descriptor))
        bench.network.write(descriptor, [UInt8](repeating: 65, count: 100_000))
        bench.turns(400)
        #expect(bench.network.read(descriptor).isEmpty && bench.plain == [[]])
        bench.clock.advance(1_001)
        bench.turns(20)
        #expect(bench.network.wasClosedByServer(descriptor))
        #expect(bench.counts[.plainHTTP] == 1)
    }

    @Test("a damaged record ends with an alert, and nothing behind it counts")
    func damagedRecord() throws {
        var bench = try TLSBench()
        let descriptor = bench.network.connect()
        let client = TLSClient()
        bench.meet(client, descriptor)
        client.write([1, 2, 3])
        var bytes = client.take()
        client.write([4, 5, 6])
        var second = client.take()
        second[10] ^= 1
        bytes += second
        client.write([7, 8, 9])
        bench.network.write(descriptor, bytes + client.take())
        bench.turns()
        #expect(bench.plain == [[1, 2, 3]])
        #expect(bench.network.hasEnded(descriptor))
        client.give(bench.network.read(descriptor))
        _ = client.read()
        #expect(client.alert == 20)
        bench.network.halfClose(descriptor)
        bench.turns(20)
        #expect(bench.network.wasClosedByServer(descriptor))
    }

    @Test("an end with close_notify and one without are both the end, behind all bytes", arguments: [true, false])
    func end(saysGoodbye: Bool) throws {
        var bench = try TLSBench()
        let descriptor = bench.network.connect()
        let client = TLSClient()
        bench.meet(client, descriptor)
        let sent = (0..<30_000).map { UInt8(truncatingIfNeeded: $0) }
        client.write(sent)
        if saysGoodbye { client.end() }
        bench.network.write(descriptor, client.take())
        bench.network.halfClose(descriptor)
        bench.turns(2_000)
        #expect(bench.plain == [sent])
        #expect(bench.ended == [0])
    }

    @Test("a flood of requests for new keys from a peer that does not read ends the connection")
    func keyUpdateFlood() throws {
        var bench = try TLSBench()
        let descriptor = bench.network.connect(window: 8_000)
        let client = TLSClient(versions: 0x0304...0x0304)
        bench.meet(client, descriptor)
        for _ in 0..<20 {
            for _ in 0..<1_000 { _ = client.updateKeys() }
            bench.network.write(descriptor, client.take())
            bench.turns(20)
        }
        let slot = 0
        #expect(bench.poller.connections[slot].unsentEnd < 200_000)
        bench.clock.advance(1_001)
        bench.turns(400)
        #expect(bench.plain == [[]])
    }

    @Test("a new certificate is for new connections; open ones go on")
    func replaced() throws {
        var bench = try TLSBench()
        let first = bench.network.connect()
        let old = TLSClient(authority: TestCertificate.authority.certificate)
        bench.meet(old, first)
        bench.source.replace(
            try TestCertificate.context(.make("replaced", .server, issuer: TestCertificate.authority)))
        let second = bench.network.connect()
        let new = TLSClient(authority: TestCertificate.authority.certificate)
        bench.meet(new, second)
        #expect(old.serverName == "localhost" && new.serverName == "replaced")
        old.write([1])
        bench.network.write(first, old.take())
        new.write([2])
        bench.network.write(second, new.take())
        bench.turns()
        #expect(bench.plain == [[1], [2]])
    }

    @Test("a peer that does not read cannot make the server keep more than a bound")
    func doesNotRead() throws {
        var bench = try TLSBench()
        let descriptor = bench.network.connect(window: 20_000)
        let client = TLSClient()
        bench.meet(client, descriptor)
        _ = client.read()
        let answer = [UInt8](repeating: 1, count: 10_000)
        var taken = 0
        for _ in 0..<100 {
            taken += answer.withUnsafeBytes {
                bench.poller.send(descriptor, slot: 0, generation: 1, $0)
            }
            bench.turn()
        }
        #expect(taken < 80_000)
        var got: [UInt8] = []
        for _ in 0..<400 {
            client.give(bench.network.read(descriptor))
            got += client.read()
            bench.turn()
        }
        #expect(got.count == taken)
    }
}
