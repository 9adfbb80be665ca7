import CCrypto
import Delivery
import EventLoop
import Journal
import Testing

@testable import Grapnel

@Suite("Route tables of requests under way")
struct RetiredTableTests {
    @Test("a reload while a helper reads a body leaves no old route table behind")
    func helped() async throws {
        let end = try await onThread { try Self.reloadWhileHelped() }
        #expect(end.status == 200)
        #expect(end.inFlight == 0)
        #expect(end.retired == 0)
    }

    private static func reloadWhileHelped() throws -> (status: UInt16, inFlight: UInt64, retired: Int) {
        let network = SimulatedNetwork(seed: 1)
        let (writer, _) = try JournalWriter.open(
            options: JournalOptions(
                maxBytes: 16 << 20, segmentBytes: 4 << 20, firstSegmentBytes: 2 << 20, recordBytesMax: 1 << 20,
                preparesInBackground: false),
            disk: SimulatedDisk(seed: 1), checksum: { cc_crc32($0, $1, $2) }, now: 1_000_000_000)
        let desk = JournalDesk(writer: writer, mailbox: HousekeepingMailbox(), hints: HintChannel(capacity: 64) {}) {
            _ in
        }
        func table() -> RouteTable { RouteTable(LoopSimulationTests.definitions, bodyBytesMax: 1 << 20) }
        let control = try #require(LoopControl(index: 0, table: table()))
        let thread = try #require(JournalThread(desk: desk) { _ in })
        var settings = LoopSettings()
        settings.connectionsMax = 4
        settings.bodyBytesMax = 1 << 20
        var loop = DeliveryLoop(
            poller: PollerSimulated(network), control: control, settings: settings,
            budget: MemoryBudget(limit: 8 << 20), dedupeKey: writer.dedupeKey,
            commit: .inline(desk, fallback: JournalLane(capacity: 4, thread: thread) {}),
            helpers: HelperPool { _ in nil }, listeners: [1 << 23])

        // Too large for the loop: a helper hashes it.
        let body = [UInt8](repeating: 0x20, count: 900_000)
        let head =
            "POST \(Script.path) HTTP/1.1\r\nHost: h\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: "
            + "\(Script.sign(body, Script.secret))\r\nContent-Length: \(body.count)\r\n\r\n"
        var client = SimulatedClient(network.connect(), [])
        network.write(client.descriptor, Array(head.utf8) + body)
        while loop.helpingCount == 0, client.answers.isEmpty {
            _ = loop.turnOnce(timeoutMilliseconds: 0)
            _ = client.read(network)
        }
        control.swap(table())
        while client.answers.isEmpty {
            _ = loop.turnOnce(timeoutMilliseconds: 0)
            _ = client.read(network)
        }
        control.enter(.stopped)
        return (client.answers[0].status, loop.inFlightCount, loop.retiredTables.count)
    }
}
