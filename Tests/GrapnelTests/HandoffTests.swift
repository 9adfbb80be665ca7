// The way from the journal's hints to the dispatcher, a turn at a time, over a disk that cannot be read now and then.

import CCrypto
import CLinuxIO
import Delivery
import Journal
import Logging
import Testing
import Trigger

@testable import Grapnel

@Suite("Deliveries on their way to the dispatcher")
struct HandoffTests {
    private final class World {
        let disk = SimulatedDisk(seed: 1)
        let time = SimulatedTime()
        let writer: JournalWriter
        let desk: JournalDesk
        let hints: HintChannel
        let handed = Locked<[UInt64]>([])
        let load = Locked(0)
        let levels = Locked<[Logger.Level]>([])
        let handoff: Handoff
        var progress = Handoff.Progress()
        let wakeup = cl_eventfd()

        private struct NoRoutes: Trigger.RouteLookup {
            func definition(of route: RouteIdentity) -> RouteDefinition? { nil }
        }

        private struct Handler: LogHandler {
            let levels: Locked<[Logger.Level]>
            var metadata = Logger.Metadata()
            var logLevel = Logger.Level.info

            subscript(metadataKey key: String) -> Logger.Metadata.Value? {
                get { metadata[key] }
                set { metadata[key] = newValue }
            }

            func log(event: LogEvent) { levels.withLock { $0.append(event.level) } }
        }

        init(hintCapacity: Int = 64, waitingMax: Int = 1000) throws {
            (writer, _) = try JournalWriter.open(
                options: JournalOptions(
                    maxBytes: 4 << 20, segmentBytes: 256 << 10, firstSegmentBytes: 64 << 10, recordBytesMax: 64 << 10,
                    preparesInBackground: false), disk: disk, checksum: { cc_crc32($0, $1, $2) }, now: time.now)
            let wakeup = wakeup
            let hints = HintChannel(capacity: hintCapacity) { _ = cl_eventfd_signal(wakeup) }
            self.hints = hints
            let desk = JournalDesk(writer: writer, mailbox: HousekeepingMailbox(), hints: hints) { _ in }
            self.desk = desk
            let (handed, load, levels) = (handed, load, levels)
            let target = Handoff.Target(
                load: { load.withLock { $0 } },
                enqueue: { deliveries in
                    handed.withLock { $0 += deliveries.map(\.sequence) }
                    load.withLock { $0 += deliveries.count }
                },
                replay: { delivery in handed.withLock { $0.append(delivery.delivery.sequence) } })
            handoff = Handoff(
                hints: hints, wakeup: wakeup, reader: writer.reader, target: target,
                gate: ListingGate([], unlisted: [], routes: NoRoutes()), waitingMax: waitingMax,
                durableSequence: { desk.durableSequence.load(ordering: .acquiring) },
                logger: Logger(label: "test") { _ in Handler(levels: levels) }, clock: time.clock)
        }

        deinit { _ = cl_close(wakeup) }

        /// Makes a delivery durable.
        @discardableResult
        func store(bytes: Int = 0) -> UInt64 {
            let head = Array("POST /x HTTP/1.1\r\n\r\n".utf8) + [UInt8](repeating: 0x20, count: bytes)
            return head.withUnsafeBytes { head in
                var append = DeliveryAppend()
                append.head = head
                append.receiverKind = ReceiverKind.hook.rawValue
                append.receivedAtUnixNanoseconds = time.now
                guard case .appended(let sequence) = desk.append(append), desk.commit(nowUnixNanoseconds: time.now)
                else {
                    return 0
                }
                return sequence
            }
        }

        /// Carries one out again, with a plan of its own.
        func redeliver(_ sequence: UInt64) throws -> UInt64 {
            let plan = [PlanEntry(actionKind: 4, target: [])]
            let record = try #require(try writer.history.record(of: sequence))
            guard case .appended(let sequence) = writer.redeliver(PinnedRecord(record), plan: plan, now: time.now)
            else {
                return 0
            }
            hints.keepPlan(plan, of: sequence)
            #expect(desk.commit(nowUnixNanoseconds: time.now))
            return sequence
        }

        /// Turns until it would sleep; for how long. It must not go on for ever.
        func run() -> Int32 {
            for _ in 0..<1000 {
                let patience = handoff.turn(&progress)
                if patience > 0 { return patience }
            }
            Issue.record("the hand-over spins")
            return 0
        }

        /// The same while `seconds` pass.
        func run(seconds: Int) {
            for _ in 0..<seconds {
                _ = run()
                time.advance(milliseconds: 1000)
            }
            _ = run()
        }

        func logged(_ level: Logger.Level) -> Int { levels.withLock { all in all.count { $0 == level } } }

        var all: [UInt64] { handed.withLock { $0 } }
    }

    @Test("What cannot be read now is handed over later, once; what comes after it is not kept waiting")
    func readError() throws {
        let world = try World()
        let first = world.store()
        world.disk.withFaults { $0.failReads = 1 }
        #expect((1...1000).contains(world.run()))
        #expect(world.all.isEmpty)
        let second = world.store()
        _ = world.run()
        #expect(world.all == [second])
        world.run(seconds: 3)
        #expect(world.all == [second, first])
        world.run(seconds: 200)
        #expect(world.all == [second, first])
    }

    @Test("A record that can never be read costs a look a minute, and the others nothing")
    func neverReadable() throws {
        let world = try World()
        world.store()
        world.disk.withFaults { $0.failReads = .max }
        _ = world.run()
        let before = world.disk.readCount
        world.run(seconds: 3600)
        #expect((30...200).contains(world.disk.readCount - before))
        world.disk.withFaults { $0.failReads = 0 }
        let next = world.store()
        _ = world.run()
        #expect(world.all == [next])
        world.run(seconds: 61)
        #expect(world.all == [next, next - 1])
    }

    @Test("What lost its hint is read again as well when the journal could not be followed")
    func followError() throws {
        let world = try World(hintCapacity: 2)
        let sequences = (0..<6).map { _ in world.store() }
        // The two that were hinted are read, then the journal is followed.
        world.disk.withFaults { $0.failReadAt = 6 }
        _ = world.run()
        let later = world.store()
        world.run(seconds: 120)
        #expect(world.all.sorted() == sequences + [later])
        #expect(world.all.firstIndex(of: later) != nil)
    }

    @Test("Behind a segment that cannot be read what lost its hint goes on; what lies there comes when it can be, once")
    func unreadableSegment() throws {
        let world = try World(hintCapacity: 2)
        var sequences: [UInt64] = []
        while world.writer.reader.segments.count < 4 { sequences.append(world.store(bytes: 4_000)) }
        let segments = world.writer.reader.segments
        let bad = try segments[1...2].map { try #require(world.disk.name(ofSegment: $0.number)) }
        func isBad(_ sequence: UInt64) -> Bool {
            (segments[1].baseSequence..<segments[3].baseSequence).contains(sequence)
        }
        world.disk.withFaults { $0.unreadable = [bad[0]: 0..<Int.max, bad[1]: 0..<Int.max] }
        _ = world.run()
        let readable = sequences.filter { !isBad($0) }
        #expect(world.all == readable && readable.count < sequences.count && readable.last == sequences.last)
        // Later ones come as ever.
        var later = [world.store()]
        _ = world.run()
        #expect(world.all == readable + later)
        world.time.advance(milliseconds: 61_000)
        later.append(world.store())
        _ = world.handoff.turn(&world.progress)
        #expect(world.all == readable + later, "what is tried again keeps no hint waiting")
        let before = world.disk.readCount
        world.run(seconds: 3600)
        #expect((60...1000).contains(world.disk.readCount - before))
        #expect(world.logged(.error) == 2 && world.logged(.notice) == 0)
        world.disk.withFaults { $0.unreadable[bad[0]] = nil }
        world.run(seconds: 61)
        #expect(world.all == readable + later + sequences.filter { isBad($0) && $0 < segments[2].baseSequence })
        world.disk.withFaults { $0.unreadable = [:] }
        world.run(seconds: 61)
        #expect(world.all == readable + later + sequences.filter(isBad))
        #expect(world.logged(.error) == 2 && world.logged(.notice) == 2)
    }

    @Test("A record's bytes that cannot be read keep those before and behind it in its segment from nothing")
    func unreadableRecord() throws {
        let world = try World(hintCapacity: 2)
        let sequences = (0..<10).map { _ in world.store(bytes: 4_000) }
        let segment = try #require(world.writer.reader.segments.last)
        try #require(segment.baseSequence <= sequences[0])
        let name = try #require(world.disk.name(ofSegment: segment.number))
        let record = try #require(try world.writer.history.record(of: sequences[5]))
        let end = Int(record.location.offset) + Int(record.location.length)
        world.disk.withFaults { $0.unreadable = [name: end - 1_000..<end - 900] }
        _ = world.run()
        #expect(world.all == sequences.filter { $0 != sequences[5] })
        world.disk.withFaults { $0.unreadable = [:] }
        world.run(seconds: 61)
        #expect(world.all == sequences.filter { $0 != sequences[5] } + [sequences[5]])
    }

    @Test("A redelivery with a plan of its own keeps its place among the deliveries", arguments: [64, 2])
    func redelivery(hintCapacity: Int) throws {
        let world = try World(hintCapacity: hintCapacity)
        var sequences: [UInt64] = []
        for _ in 0..<3 {
            let delivery = world.store()
            sequences += [delivery, try world.redeliver(delivery)]
        }
        _ = world.run()
        #expect(world.all == sequences)
    }

    @Test("With little room deliveries come in their order, each once, and no more than there is room for")
    func littleRoom() throws {
        let world = try World(hintCapacity: 2, waitingMax: 3)
        let sequences = (0..<40).map { _ in world.store() }
        for _ in 0..<1000 where world.all.count < sequences.count {
            #expect(world.run() == Handoff.fullMilliseconds)
            #expect(world.load.withLock { $0 } <= 3)
            world.load.withLock { $0 -= 1 }
        }
        #expect(world.all == sequences)
    }
}
