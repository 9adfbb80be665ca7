// Segments whose files somebody takes away while the log is in use.

import Testing

@testable import Journal

@Suite("Segments that are taken away")
struct LostSegmentTests {
    /// A log of several segments in which everything is owed; nothing of it was read.
    private func filled(_ disk: SimulatedDisk, segments count: Int = 3) throws -> JournalWriter {
        let (writer, _) = try openJournal(disk)
        while writer.reader.segments.count < count {
            try store(TestDelivery(body: [UInt8](repeating: 65, count: 3000)), in: writer)
        }
        return writer
    }

    private func name(_ number: UInt64) -> String { SegmentFileName.segment(number) }

    @Test("none is lost that the writer recycles, keeps or removes itself")
    func ownHand() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try openJournal(disk)
        for step in 0..<300 {
            let sequence = try store(TestDelivery(body: [UInt8](repeating: 65, count: 3000)), in: writer)
            if step % 50 > 1 {
                writer.appendOutcomes([OutcomeEntry(sequence: sequence, outcome: .done)], now: seconds(1001))
            }
            writer.tick(now: seconds(1001))
            #expect(try writer.reader.lostSegments().isEmpty)
        }
        #expect(writer.metrics.segmentsRecycled.value > 0 && writer.metrics.copies.value > 0)
    }

    @Test("who reads is told, goes on behind it, and finds it again when it is put back")
    func read() throws {
        let disk = SimulatedDisk(seed: 2)
        let writer = try filled(disk)
        let segments = writer.reader.segments
        let file = try #require(disk.content(name(1)))
        try disk.remove(name(1))
        #expect(try writer.reader.lostSegments() == [segments[0]])
        func follow() throws -> [UInt64] {
            var found: [UInt64] = []
            try writer.reader.follow(from: 1, through: writer.history.durableThrough) {
                found.append($0.sequence)
                return true
            }
            return found
        }
        let place = #expect(throws: UnreadablePlace.self) { try follow() }
        #expect(place?.segment == 1 && place?.from == 1 && place?.through == segments[0].lastSequence)
        #expect(throws: UnreadablePlace.self) { _ = try writer.history.walk(.forwards) { _ in true } }
        let location = RecordLocation(segment: 1, offset: 8192, length: 3200)
        #expect(throws: JournalError.self) { _ = try writer.reader.read(location, expecting: 1) }
        // Lists leave it out.
        #expect(try writer.reader.glance(over: segments[0], from: 0, through: .max) { _ in true } == nil)
        #expect(try writer.history.record(of: 1) == nil && writer.history.story(of: 1) == nil)
        disk.place(name(1), file)
        #expect(try writer.reader.lostSegments().isEmpty)
        #expect(try follow().first == 1)
    }

    @Test("the writer says what is owed there, once as damage; of what is no segment of the log it says nothing")
    func owed() throws {
        let disk = SimulatedDisk(seed: 3)
        let writer = try filled(disk)
        let first = writer.reader.segments[0]
        writer.appendOutcomes([OutcomeEntry(sequence: 1, outcome: .done)], now: seconds(1001))
        try disk.remove(name(1))
        for _ in 0..<2 {
            let lost = try #require(writer.lose(segment: 1, now: seconds(1001)))
            let last = try #require(first.lastSequence)
            #expect(
                lost
                    == LostSegment(
                        number: 1, owedCount: Int(last) - 1, firstOwed: 2, lastOwed: last, isCurrent: false))
        }
        #expect(writer.metrics.damage.value == 1)
        #expect(writer.lose(segment: 4711, now: seconds(1001)) == nil && writer.metrics.damage.value == 1)
    }

    @Test("the segment being written is left at once, and what comes then survives a crash")
    func current() throws {
        let disk = SimulatedDisk(seed: 4)
        let writer = try filled(disk)
        let number = try #require(writer.reader.segments.last?.number)
        try disk.remove(name(number))
        try disk.syncDirectory()
        // A group is under way: not now.
        _ = TestDelivery("under way").append(to: writer)
        #expect(writer.lose(segment: number, now: seconds(1001))?.isCurrent == true)
        _ = writer.commit(now: seconds(1001))
        var lost = writer.lose(segment: number, now: seconds(1001))
        for _ in 0..<10 where lost?.isCurrent == true {
            writer.tick(now: seconds(1002))
            lost = writer.lose(segment: number, now: seconds(1002))
        }
        #expect(lost?.isCurrent == false && lost!.owedCount > 0)
        let later = try (0..<3).map { try store(TestDelivery("later \($0)"), in: writer) }
        disk.crash()
        let (_, report) = try openJournal(disk)
        #expect(report.owed.map(\.sequence).suffix(3) == later)
        #expect(!report.damage.isEmpty)
    }

    @Test("what is owed in a kept segment is listed anew when the segment that lists it is lost")
    func listOfKept() throws {
        let disk = SimulatedDisk(seed: 6)
        let (writer, _) = try openJournal(disk)
        var owed: [UInt64] = []
        while writer.reader.segments.count < 2 {
            owed.append(try store(TestDelivery(body: [UInt8](repeating: 65, count: 3000)), in: writer))
        }
        func goOn() throws {
            let done = try store(TestDelivery(body: [UInt8](repeating: 65, count: 3000)), in: writer)
            writer.appendOutcomes([OutcomeEntry(sequence: done, outcome: .done)], now: seconds(1001))
            writer.tick(now: seconds(1001))
        }
        for _ in 0..<1000 where writer.metrics.segmentsKept.value == 0 { try goOn() }
        let number = try #require(writer.reader.segments.last?.number)
        while writer.reader.segments.last?.number == number { try goOn() }
        try disk.remove(name(number))
        try disk.syncDirectory()
        #expect(writer.lose(segment: number, now: seconds(1002)) != nil)
        writer.tick(now: seconds(1002))
        disk.crash()
        let (_, report) = try openJournal(disk)
        #expect(!report.damage.isEmpty)
        // The last of them began the second segment, and was copied to where it is lost.
        #expect(report.owed.map(\.sequence).filter { $0 < owed.last! } == owed.dropLast())
    }

    // The first segment is smaller than the others, which are used again.
    @Test(
        "a log that needs the room gives up what is owed in a lost segment, and takes its deliveries again",
        arguments: [1, 2] as [UInt64])
    func room(number: UInt64) throws {
        let disk = SimulatedDisk(seed: 5)
        let (writer, _) = try openJournal(disk)
        while writer.reader.segments.last?.number != number {
            let done = try store(TestDelivery(body: [UInt8](repeating: 65, count: 3000)), in: writer)
            writer.appendOutcomes([OutcomeEntry(sequence: done, outcome: .done)], now: seconds(1000))
        }
        let first = try store(TestDelivery("lost").identified("abc", by: writer, window: 60_000), in: writer)
        while writer.reader.segments.last?.number == number {
            try store(TestDelivery(body: [UInt8](repeating: 65, count: 3000)), in: writer)
        }
        try disk.remove(name(number))
        #expect(writer.lose(segment: number, now: seconds(1001))?.firstOwed == first)
        for step in 0..<200 {
            let sequence = try store(TestDelivery(body: [UInt8](repeating: 65, count: 3000)), in: writer)
            writer.appendOutcomes([OutcomeEntry(sequence: sequence, outcome: .done)], now: seconds(1001))
            writer.tick(now: seconds(1002 + step))
        }
        #expect(writer.lose(segment: number, now: seconds(1300)) == nil)
        #expect(writer.owed(first) == nil && writer.isAccepting)
        // Not a duplicate of what is lost.
        guard case .appended = TestDelivery("lost").identified("abc", by: writer, window: 60_000).append(to: writer)
        else {
            Issue.record("taken for a duplicate")
            return
        }
    }
}
