import CCrypto
import EventLoop
import Foundation
import Journal
import Testing

@testable import Grapnel

/// The loop with TLS clients, under one seed: records in random pieces, short sends and receives, resets, half-closes, a certificate that is
/// replaced under way.
@Suite("Loop over TLS, simulated")
struct TLSLoopSimulationTests {
    private struct Client {
        var plain: SimulatedClient
        let session: TLSClient
        /// Ciphertext on its way to the network.
        var outgoing: [UInt8] = []
        var hasSaidGoodbye = false

        /// Moves ciphertext both ways and, once the handshake is done, plain bytes into the session.
        mutating func turn(_ network: SimulatedNetwork, plainBytes: Int, cipherBytes: Int) -> Bool {
            session.give(network.read(plain.descriptor))
            session.advance()
            if session.handshake == .done {
                let end = min(plain.outgoing.count, plain.sent + plainBytes)
                session.write(Array(plain.outgoing[plain.sent..<end]))
                plain.sent = end
            }
            outgoing += session.take()
            let part = min(cipherBytes, outgoing.count)
            network.write(plain.descriptor, Array(outgoing[..<part]))
            outgoing.removeFirst(part)
            return session.handshake != .done || plain.take(session.read())
        }

        var isSent: Bool { plain.sent == plain.outgoing.count && outgoing.isEmpty && session.handshake == .done }
    }

    @Test("every delivery is answered as over plain HTTP, in order", arguments: LoopSimulationTests.seeds)
    func simulate(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let network = SimulatedNetwork(seed: seed)
        let (writer, _) = try JournalWriter.open(
            options: JournalOptions(
                maxBytes: 64 << 20, segmentBytes: 2 << 20, firstSegmentBytes: 256 << 10, recordBytesMax: 200 << 10,
                preparesInBackground: false),
            disk: SimulatedDisk(seed: seed), checksum: { cc_crc32($0, $1, $2) }, now: 1_000_000_000)
        let desk = JournalDesk(writer: writer, mailbox: HousekeepingMailbox(), hints: HintChannel(capacity: 64) {}) {
            _ in
        }
        let control = try #require(LoopControl(index: 0, table: LoopSimulationTests.table()))
        let thread = try #require(JournalThread(desk: desk))
        var settings = LoopSettings()
        settings.connectionsMax = 64
        settings.bodyBytesMax = 100_000
        let source = TLSContextSource(try TestCertificate.context())
        let counts = TLSHandshakeCounts()
        let listener: Int32 = 1 << 23
        var loop = DeliveryLoop(
            poller: PollerTLS(
                PollerSimulated(network), listeners: [listener], capacity: 64, source: source, limits: TLSLimits(),
                counts: counts),
            control: control, settings: settings, budget: MemoryBudget(limit: 120_000), dedupeKey: writer.dedupeKey,
            commit: .inline(desk, fallback: JournalLane(capacity: 64, thread: thread) {}),
            helpers: HelperPool(isImmediate: true) { _ in nil }, listeners: [listener])

        var clients: [Client] = []
        var nextID = 0
        for step in 0..<6_000 {
            if clients.count < 8, random.chance(20) {
                let script = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                    nextID += 1
                    return Script.request(&random, id: "id-\(nextID)", sizeMax: random.chance(20) ? 60_000 : 2_000)
                }
                let plain = SimulatedClient(network.connect(window: random.chance(20) ? 700 : .max), script)
                clients.append(
                    Client(
                        plain: plain,
                        session: TLSClient(
                            versions: random.chance(50) ? 0x0303...0x0303 : 0...0, protocols: ["h2", "http/1.1"])))
            }
            if step == 500, let renewed = source.context.renewed() { source.replace(renewed) }
            for index in clients.indices where !clients[index].plain.isGone && random.chance(60) {
                let isAnswer = clients[index].turn(
                    network, plainBytes: Int.random(in: 0...20_000, using: &random),
                    cipherBytes: Int.random(in: 1...20_000, using: &random))
                #expect(isAnswer, "the server sent something that is no answer")
                if clients[index].session.handshake == .done, random.chance(1), random.chance(30) {
                    _ = clients[index].session.updateKeys()
                }
                if random.chance(1), random.chance(20) {
                    network.reset(clients[index].plain.descriptor)
                    clients[index].plain.isGone = true
                } else if clients[index].isSent, !clients[index].hasSaidGoodbye, random.chance(5) {
                    // Everything was sent: it must still be answered.
                    clients[index].hasSaidGoodbye = true
                    clients[index].session.end()
                    if random.chance(50) {
                        network.write(clients[index].plain.descriptor, clients[index].session.take())
                        network.halfClose(clients[index].plain.descriptor)
                    }
                }
            }
            let isRunning = loop.turnOnce(timeoutMilliseconds: 0)
            #expect(isRunning)
            if clients.count == 8, clients.allSatisfy({ Self.isFinished($0, network) }) { break }
        }
        for client in clients where !client.plain.isGone {
            #expect(client.session.handshake == .done)
            #expect(Self.isFinished(client, network), "an answer never came")
            for (answer, request) in zip(client.plain.answers, client.plain.script) {
                switch request.expectation {
                case .stored: #expect(answer.status == 200 || answer.status == 503)
                case .refused(let status): #expect(answer.status == status)
                case .closed(let status): #expect(answer.status == status)
                }
            }
        }
        #expect(counts[.malformed] == 0 && counts[.alpn] == 0)
        control.enter(.stopped)
    }

    private static func isFinished(_ client: Client, _ network: SimulatedNetwork) -> Bool {
        client.plain.isGone || client.plain.answers.count == client.plain.script.count
            || network.hasEnded(client.plain.descriptor)
    }
}
