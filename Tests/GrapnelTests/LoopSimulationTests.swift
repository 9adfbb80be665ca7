import CCrypto
import Delivery
import EventLoop
import Foundation
import HTTP
import Journal
import Ring
import Testing

@testable import Grapnel

/// Loop, verification and journal under one seed, with a network and a disk in memory: short reads and writes, any order of events,
/// connections that vanish, failing writes and syncs, and a crash that drops, tears and reorders whatever was not synced.
@Suite("Loop and journal, simulated")
struct LoopSimulationTests {
    static let seeds: [UInt64] = {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["GRAPNEL_SEED"].flatMap({ UInt64($0) }) { return [seed] }
        return (1...UInt64(environment["GRAPNEL_SEEDS"].flatMap { Int($0) } ?? 60)).map { $0 }
    }()

    private static func options() -> JournalOptions {
        JournalOptions(
            maxBytes: 64 << 20, segmentBytes: 2 << 20, firstSegmentBytes: 256 << 10, recordBytesMax: 200 << 10,
            preparesInBackground: false)
    }

    private static let checksum: Checksum = { cc_crc32($0, $1, $2) }

    static let definitions = [
        RouteDefinition(
            identity: RouteIdentity(kind: .hook, namespace: "n", name: "sim"), path: Script.path, sender: .github,
            secrets: [SecretBytes(Script.secret)], events: ["push"], actions: [.log])
    ]

    static func table() -> RouteTable { RouteTable(definitions, bodyBytesMax: 100_000) }

    @Test("no 2xx without a durable record, no record without proof, answers in order", arguments: seeds)
    func simulate(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let network = SimulatedNetwork(seed: seed)
        let disk = SimulatedDisk(seed: seed)
        let (writer, _) = try JournalWriter.open(
            options: Self.options(), disk: disk, checksum: Self.checksum, now: 1_000_000_000)
        let desk = JournalDesk(writer: writer, mailbox: HousekeepingMailbox(), hints: HintChannel(capacity: 64) {}) {
            _ in
        }
        let table = Self.table()
        let control = try #require(LoopControl(index: 0, table: table))
        let thread = try #require(JournalThread(desk: desk))
        let lane = JournalLane(capacity: 64, thread: thread) {}
        var settings = LoopSettings()
        settings.connectionsMax = 64
        settings.bodyBytesMax = 100_000
        // Small enough that bodies must wait for each other.
        let budget = MemoryBudget(limit: 120_000)
        var loop = DeliveryLoop(
            poller: PollerSimulated(network), control: control, settings: settings, budget: budget,
            dedupeKey: writer.dedupeKey, commit: .inline(desk, fallback: lane),
            helpers: HelperPool(isImmediate: true) { _ in nil }, listeners: [1 << 23])
        if random.chance(40) {
            disk.withFaults {
                $0.shortWritePercent = 20
                $0.failedWritePercent = random.chance(50) ? 2 : 0
                $0.failedSyncPercent = random.chance(50) ? 2 : 0
            }
        }

        var clients: [SimulatedClient] = []
        var nextID = 0
        let crashAt = random.chance(60) ? Int.random(in: 50..<1500, using: &random) : Int.max
        var step = 0
        while step < 4_000 {
            step += 1
            if step == crashAt { break }
            if clients.count < 12, random.chance(20) {
                let script = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                    nextID += 1
                    return Script.request(&random, id: "id-\(nextID)", sizeMax: random.chance(10) ? 60_000 : 3_000)
                }
                let window = random.chance(10) ? 150 : Int.max
                clients.append(SimulatedClient(network.connect(window: window), script))
            }
            for index in clients.indices where !clients[index].isGone && random.chance(50) {
                clients[index].write(network, upTo: Int.random(in: 1...20_000, using: &random))
                if random.chance(1) {
                    network.reset(clients[index].descriptor)
                    clients[index].isGone = true
                } else if clients[index].sent == clients[index].outgoing.count, random.chance(5) {
                    // Half-closed with everything sent: it must still be answered.
                    network.halfClose(clients[index].descriptor)
                }
            }
            let isRunning = loop.turnOnce(timeoutMilliseconds: 0)
            #expect(isRunning)
            for index in clients.indices where random.chance(60) { read(&clients[index], network) }
            if clients.count == 12, clients.allSatisfy({ Self.isFinished($0, network) }) { break }
        }
        if crashAt == Int.max {
            // A calm end: everything is delivered, then the server drains without losing an answer.
            for _ in 0..<4_000 where !clients.allSatisfy({ Self.isFinished($0, network) }) {
                for index in clients.indices where !clients[index].isGone {
                    clients[index].write(network, upTo: 50_000)
                }
                _ = loop.turnOnce(timeoutMilliseconds: 0)
                for index in clients.indices { read(&clients[index], network) }
            }
            for client in clients where !client.isGone {
                #expect(Self.isFinished(client, network), "an answer never came")
            }
        }
        let acknowledged = try check(clients)

        disk.crash()
        let (reopened, report) = try JournalWriter.open(
            options: Self.options(), disk: disk, checksum: Self.checksum, now: 2_000_000_000)
        #expect(report.damage.isEmpty)
        var stored: [String: [UInt8]] = [:]
        if report.nextSequence > 1 {
            try reopened.reader.follow(from: 1, through: report.nextSequence - 1) { record in
                stored[record.deliveryID] = Array(record.body)
                return true
            }
        }
        for (id, body) in acknowledged {
            #expect(stored[id] == body, "\(id) was answered 2xx and is not in the journal")
        }
        let provable = Set(
            clients.flatMap(\.script).compactMap { request -> String? in
                if case .stored(let id) = request.expectation { return id }
                return nil
            })
        for id in stored.keys { #expect(provable.contains(id), "\(id) was stored without proof") }
        reopened.close(now: 3_000_000_000)
    }

    private func read(_ client: inout SimulatedClient, _ network: SimulatedNetwork) {
        let isAnswer = client.read(network)
        #expect(isAnswer, "the server sent something that is no answer")
    }

    /// Every request answered, or the connection ended as it had to.
    private static func isFinished(_ client: SimulatedClient, _ network: SimulatedNetwork) -> Bool {
        client.isGone || client.answers.count == client.script.count || network.hasEnded(client.descriptor)
    }

    /// Statuses in the order of the requests; gives what was acknowledged.
    private func check(_ clients: [SimulatedClient]) throws -> [(id: String, body: [UInt8])] {
        var acknowledged: [(id: String, body: [UInt8])] = []
        for client in clients {
            try #require(client.answers.count <= client.script.count)
            for (answer, request) in zip(client.answers, client.script) {
                switch request.expectation {
                case .stored(let id):
                    #expect(answer.status == 200 || answer.status == 503)
                    if answer.status == 200 {
                        #expect(answer.fields["grapnel-delivery"] != nil)
                        acknowledged.append((id, request.body))
                    } else {
                        #expect(answer.fields["retry-after"] != nil)
                    }
                case .refused(let status):
                    // A journal that takes nothing refuses before it verifies.
                    #expect(answer.status == status || (answer.status == 503 && status == 401))
                case .closed(let status):
                    #expect(answer.status == status)
                    #expect(answer.fields["connection"] == "close")
                }
            }
            if let end = client.script.firstIndex(where: { if case .closed = $0.expectation { true } else { false } }) {
                #expect(client.answers.count <= end + 1, "something was answered behind a refused request")
            }
        }
        return acknowledged
    }
}
