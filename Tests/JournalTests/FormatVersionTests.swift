// Format versions: binaries of three generations on one data directory. What changes between versions is a parameter: each
// generation reads its own version and the one before.

import Testing

@testable import Journal

@Suite("Format versions")
struct FormatVersionTests {
    private static let first = FormatVersions(oldest: 1, newest: 1)
    private static let second = FormatVersions(oldest: 1, newest: 2)
    private static let third = FormatVersions(oldest: 2, newest: 3)

    private func open(
        _ disk: SimulatedDisk, _ formats: FormatVersions, writing version: UInt32? = nil
    ) throws -> (JournalWriter, RecoveryReport) {
        var options = JournalOptions.small()
        options.formats = formats
        options.formatVersion = version
        return try openJournal(disk, options)
    }

    private func contents(_ disk: SimulatedDisk) -> [String: [UInt8]] {
        Dictionary(uniqueKeysWithValues: disk.names.map { ($0, disk.content($0)!) })
    }

    private func versions(_ disk: SimulatedDisk) -> Set<UInt8> {
        Set(disk.names.filter { $0.hasSuffix(".segment") }.map { disk.content($0)![8] })
    }

    @Test("a version that is not known is refused, both versions are named, and no byte is touched")
    func refused() throws {
        let disk = SimulatedDisk(seed: 1)
        let (writer, _) = try open(disk, Self.third)
        try store(TestDelivery("one"), in: writer)
        writer.close(now: seconds(1001))
        let before = contents(disk)
        let newer = #expect(throws: JournalError.self) { try open(disk, Self.first) }
        guard case .unknownVersion(_, 3, Self.first) = newer else {
            Issue.record("\(String(describing: newer))")
            return
        }
        #expect(newer!.message.contains("format version 3"))
        #expect(newer!.message.contains("this grapnel reads 1."))
        #expect(newer!.message.contains("Start the version"))
        #expect(contents(disk) == before)

        // And one that is too old: the way leads over the versions between.
        let old = SimulatedDisk(seed: 2)
        let (oldWriter, _) = try open(old, Self.first)
        try store(TestDelivery("one"), in: oldWriter)
        oldWriter.close(now: seconds(1001))
        let oldBefore = contents(old)
        let older = #expect(throws: JournalError.self) { try open(old, Self.third) }
        #expect(older!.message.contains("format version 1, and this grapnel reads 2 and 3"))
        #expect(older!.message.contains("grapnel journal upgrade"))
        #expect(contents(old) == oldBefore)
    }

    @Test("one segment of an unknown version among known ones is enough, wherever it stands")
    func mixed() throws {
        let disk = SimulatedDisk(seed: 3)
        let (writer, _) = try open(disk, Self.second, writing: 1)
        for index in 0..<40 { try store(TestDelivery(body: Array(repeating: 65, count: 4000 + index)), in: writer) }
        writer.close(now: seconds(1001))
        let names = disk.names.filter { $0.hasSuffix(".segment") }
        #expect(names.count > 2)
        for name in names {
            let whole = disk.content(name)!
            var bytes = whole
            bytes[8] = 9
            bytes[2048 + 8] = 9
            disk.place(name, bytes)
            #expect(throws: JournalError.self) { try open(disk, Self.second) }
            #expect(disk.content(name) == bytes)
            disk.place(name, whole)
        }
        #expect(try open(disk, Self.second).1.owed.count == 40)
    }

    @Test("the next binary reads the version before, goes on writing it, and can be rolled back with nothing lost")
    func rollback() throws {
        let disk = SimulatedDisk(seed: 4)
        var (writer, _) = try open(disk, Self.first)
        #expect(writer.formatVersion == 1)
        try store(TestDelivery("by the old one"), in: writer)
        writer.close(now: seconds(1001))

        (writer, _) = try open(disk, Self.second)
        #expect(writer.formatVersion == 1)
        // Over several segments: made out of nothing, recycled, and the one prepared ahead.
        for index in 0..<200 {
            let sequence = try store(TestDelivery(body: Array(repeating: 66, count: 6000)), in: writer)
            if index < 195 {
                writer.appendOutcomes([OutcomeEntry(sequence: sequence, outcome: .done)], now: seconds(1001))
            }
            writer.tick(now: seconds(1002))
        }
        #expect(writer.metrics.segmentsRecycled.value > 0)
        disk.kill()
        #expect(versions(disk) == [1])

        let (rolledBack, report) = try open(disk, Self.first)
        #expect(report.damage.isEmpty)
        #expect(report.owed.count == 6)
        #expect(report.owed.first?.sequence == 1)
        #expect(rolledBack.formatVersion == 1)
    }

    @Test(
        "told to, the next binary writes its own version beside the old segments; then there is no way back, and it stays"
    )
    func upgrade() throws {
        let disk = SimulatedDisk(seed: 5)
        var (writer, _) = try open(disk, Self.first)
        for index in 0..<20 { try store(TestDelivery(body: Array(repeating: 67, count: 5000 + index)), in: writer) }
        writer.close(now: seconds(1001))

        (writer, _) = try open(disk, Self.second, writing: 2)
        #expect(writer.formatVersion == 2)
        writer.close(now: seconds(1002))
        // Without a single delivery: the segment that was made says it, also after the power failed.
        disk.crash()
        #expect(versions(disk) == [1, 2])
        #expect(throws: JournalError.self) { try open(disk, Self.first) }

        var (again, report) = try open(disk, Self.second)
        #expect(report.owed.count == 20)
        #expect(report.damage.isEmpty)
        #expect(again.formatVersion == 2)
        try store(TestDelivery("in version 2"), in: again)
        again.close(now: seconds(1003))
        let back = #expect(throws: JournalError.self) { try open(disk, Self.second, writing: 1) }
        #expect(back == .formatInUse(found: 2, asked: 1))
        #expect(back!.message.contains("grapnel journal export"))

        // What is owed in old segments is carried forward until they are gone; then the binary after next can take over.
        #expect(throws: JournalError.self) { try open(disk, Self.third) }
        (again, report) = try open(disk, Self.second)
        for owed in report.owed {
            again.appendOutcomes([OutcomeEntry(sequence: owed.sequence, outcome: .done)], now: seconds(1004))
        }
        for step in 0..<20 { again.tick(now: seconds(10_000_000 + step)) }
        again.close(now: seconds(10_000_100))
        #expect(versions(disk) == [2])
        let (third, _) = try open(disk, Self.third)
        #expect(third.formatVersion == 2)
    }

    @Test("a new directory is in the newest version, or in the one that is asked for")
    func new() throws {
        #expect(try open(SimulatedDisk(seed: 6), Self.second).0.formatVersion == 2)
        #expect(try open(SimulatedDisk(seed: 7), Self.second, writing: 1).0.formatVersion == 1)
        #expect(throws: JournalError.options(.format)) { try open(SimulatedDisk(seed: 8), Self.second, writing: 3) }
    }

    @Test("records of a redelivery are no new version: a reader that knows no such flag reads a delivery")
    func flags() throws {
        let disk = SimulatedDisk(seed: 9)
        let (writer, _) = try openJournal(disk)
        let sequence = try store(TestDelivery("one").identified("id", by: writer), in: writer)
        let record = try #require(try writer.history.record(of: sequence))
        let pinned = PinnedRecord(record)
        _ = writer.redeliver(pinned, plan: [PlanEntry(actionKind: 1, target: [1])], now: seconds(1001))
        guard case .durable = writer.commit(now: seconds(1001)) else { throw TestFailure.notDurable }
        let again = try #require(try writer.history.record(of: sequence + 1)).header
        // All that such a reader goes by.
        #expect(again.type == .delivery)
        #expect(again.decision == .accepted)
        #expect(again.dedupeWindowSeconds == 0)
        #expect(again.dedupeHash == .none)
        #expect(!again.isCopied)
    }
}
