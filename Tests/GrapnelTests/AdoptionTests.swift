// Taking over what another journal owes: once, with its plan, whatever happened before.

import CCrypto
import Foundation
import Journal
import Testing

@testable import Grapnel

/// A directory of its own, removed at the end.
private final class Folder {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "adoption-" + UUID().uuidString
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func data(_ name: String) -> String { path + "/" + name }
}

private let now: UInt64 = 1_800_000_000_000_000_000

private func open(_ directory: String) throws -> (JournalWriter, RecoveryReport) {
    try JournalWriter.open(
        options: JournalOptions(directory: directory, maxBytes: 16 << 20, segmentBytes: 1 << 20),
        checksum: { cc_crc32($0, $1, $2) }, now: now)
}

private func survey(_ directory: String) throws -> JournalSurvey {
    try JournalSurvey(disk: RealDisk(dataDirectory: directory), checksum: cc_crc32)
}

/// A journal that owes deliveries with these ids; `then` goes on with it.
private func journal(_ directory: String, _ ids: [String], then: (JournalWriter) -> Void = { _ in }) throws {
    let (writer, _) = try open(directory)
    let (head, body) = (Array("POST /hooks/a HTTP/1.1\r\n\r\n".utf8), Array("{}".utf8))
    head.withUnsafeBytes { head in
        body.withUnsafeBytes { body in
            for id in ids {
                var append = DeliveryAppend()
                append.head = head
                append.body = body
                append.bodyChecksum = cc_crc32(0, body.baseAddress, body.count)
                append.receiverKind = 2
                append.senderType = 1
                append.receivedAtUnixNanoseconds = now - 5_000_000_000
                Array("local".utf8).withUnsafeBytes { cluster in
                    append.cluster = cluster
                    Array(id.utf8).withUnsafeBytes { text in
                        append.deliveryID = text
                        _ = writer.append(append)
                    }
                }
            }
            _ = writer.commit(now: now)
        }
    }
    then(writer)
    _ = writer.commit(now: now)
    writer.close(now: now)
}

/// Adopts as the command does.
private func adopt(_ from: String, into: String, ledger: Bool = true) throws -> JournalAdoption.Result {
    let (writer, _) = try open(into)
    defer { writer.close(now: now) }
    if !ledger { try? FileManager.default.removeItem(atPath: into + "/adopted") }
    var adoption = JournalAdoption(
        source: try survey(from), target: try survey(into), targetJournal: writer.dedupeKey.journalName,
        ledger: try AdoptionLedger(dataDirectory: into))
    return adoption.run(into: writer) { _ in }
}

@Suite("Adopting a journal")
struct AdoptionTests {
    private let plan = [PlanEntry(actionKind: 2, target: [1, 2]), PlanEntry(actionKind: 4, target: [3])]

    @Test(
        "what is owed comes over once, with time, id, plan and progress; the ledger alone knows it too",
        arguments: [true, false])
    func once(keepsLedger: Bool) throws {
        let folder = Folder()
        let (old, new) = (folder.data("old"), folder.data("new"))
        try journal(old, ["one", "two", "three"]) { writer in
            writer.appendPlan(sequence: 1, entries: plan, now: now)
            writer.appendOutcomes(
                [
                    OutcomeEntry(sequence: 1, planIndex: 0, outcome: .done),
                    OutcomeEntry(sequence: 1, planIndex: 1, outcome: .failed, detail: 4, reason: "answered 503"),
                    OutcomeEntry(sequence: 2, outcome: .done),
                ], now: now)
        }
        try journal(new, ["own"])
        #expect(try adopt(old, into: new, ledger: keepsLedger).adopted == 2)
        let again = try adopt(old, into: new, ledger: keepsLedger)
        #expect(again.adopted == 0 && again.known == 2)
        let owed = try survey(new).owed
        #expect(owed.map(\.deliveryID) == ["own", "one", "three"])
        #expect(owed.allSatisfy { $0.receivedAtUnixNanoseconds == now - 5_000_000_000 })
        #expect(owed[1].plan == plan && owed[2].plan == nil)
        #expect(owed[1].progress.first?.outcome == .done)
        #expect(owed[1].progress.last?.attempts == 4 && owed[1].progress.last?.reason == "answered 503")
        // When the records are gone, only the ledger knows.
        #expect(try AdoptionLedger(dataDirectory: new).origins.count == 2)
    }

    @Test("an adopted delivery keeps its first origin: adopting in a chain, in a circle and twice adds nothing")
    func chain() throws {
        let folder = Folder()
        let (a, b, c) = (folder.data("a"), folder.data("b"), folder.data("c"))
        try journal(a, ["one", "two"])
        try journal(b, ["three"])
        try journal(c, [])
        #expect(try adopt(a, into: b).adopted == 2)
        #expect(try adopt(b, into: c).adopted == 3)
        #expect(try adopt(a, into: c).known == 2)
        #expect(try adopt(c, into: a).adopted == 1)
        #expect(try adopt(c, into: b).known == 3)
        #expect(try survey(c).owed.map(\.deliveryID) == ["three", "one", "two"])
        #expect(try survey(a).owed.map(\.deliveryID) == ["one", "two", "three"])
    }

    @Test("a run that was cut off between a delivery and its plan is completed by the next")
    func completed() throws {
        let folder = Folder()
        let (old, new) = (folder.data("old"), folder.data("new"))
        try journal(old, ["one"]) { $0.appendPlan(sequence: 1, entries: plan, now: now) }
        try journal(new, [])
        // The delivery alone, as a crash leaves it.
        let source = try survey(old)
        let (writer, _) = try open(new)
        let record = try source.record(of: source.owed[0])
        let origin = try #require(source.origin(of: record))
        #expect(writer.adopt(record, from: origin) == .appended(sequence: writer.nextSequence - 1))
        _ = writer.commit(now: now)
        writer.close(now: now)
        #expect(try survey(new).owed[0].plan == nil)
        let result = try adopt(old, into: new)
        #expect(result.adopted == 0 && result.known == 1)
        #expect(try survey(new).owed[0].plan == plan)
    }

    /// The journal at `old` owes one delivery, a redelivery of `#1` with a plan of its own; `isDone`: it has carried that out.
    private func redelivered(_ old: String, isDone: Bool = false) throws {
        try journal(old, ["one"]) { writer in
            guard let record = try? writer.history.record(of: 1) else { return }
            writer.appendOutcomes([OutcomeEntry(sequence: 1, outcome: .dead)], now: now)
            let result = writer.redeliver(PinnedRecord(record), plan: plan, now: now)
            _ = writer.commit(now: now)
            guard isDone, case .appended(let sequence) = result else { return }
            for index in 0..<2 as Range<UInt16> {
                writer.appendOutcomes(
                    [OutcomeEntry(sequence: sequence, planIndex: index, outcome: .done)], now: now + UInt64(index))
            }
        }
    }

    /// Imports one delivery of `source` as the command does.
    private func take(
        _ entry: JournalArchive.Entry, of source: JournalSurvey, into new: String
    ) throws -> ImportRun.Result {
        let (writer, _) = try open(new)
        defer { writer.close(now: now) }
        var run = ImportRun(
            archive: source.journal, here: try survey(new), journal: writer.dedupeKey.journalName,
            ledger: try AdoptionLedger(dataDirectory: new))
        run.take(entry, writer)
        run.end(writer)
        return run.result
    }

    @Test(
        "a redelivery with a plan of its own comes over as one; one whose plan was cut off is not owed until it is completed"
    )
    func planned() throws {
        let folder = Folder()
        let (old, new, torn) = (folder.data("old"), folder.data("new"), folder.data("torn"))
        try redelivered(old)
        try journal(new, [])
        #expect(try adopt(old, into: new).adopted == 1)
        let owed = try #require(try survey(new).owed.first)
        #expect(owed.plan == plan)
        #expect(try survey(new).record(of: owed).header.flags == [.adopted, .redelivered, .planned])
        // The delivery alone, as a crash leaves it.
        try journal(torn, [])
        let source = try survey(old)
        let (writer, _) = try open(torn)
        let record = try source.record(of: source.owed[0])
        _ = writer.adopt(record, from: try #require(source.origin(of: record)))
        _ = writer.commit(now: now)
        writer.close(now: now)
        #expect(try survey(torn).owed.isEmpty)
        let result = try adopt(old, into: torn)
        #expect(result.adopted == 0 && result.known == 1)
        #expect(try survey(torn).owed.map(\.plan) == [plan])
    }

    @Test(
        "imported, a redelivery with a plan of its own keeps it; where the archive has lost the plan it is named and not taken"
    )
    func plannedImport() throws {
        let folder = Folder()
        let (old, new) = (folder.data("old"), folder.data("new"))
        try redelivered(old)
        let source = try survey(old)
        let record = try source.record(of: source.owed[0])
        let whole = JournalArchive.Entry(
            record: record, story: try #require(try source.history.story(of: record.sequence)))
        let lost = JournalArchive.Entry(record: record, story: DeliveryStory(record.header))
        let refused = try take(lost, of: source, into: new)
        #expect(
            refused.owed == 0 && refused.lost.count == 1 && refused.lost[0].hasPrefix("#\(record.sequence): the plan"))
        #expect(try survey(new).owed.isEmpty)
        #expect(try take(whole, of: source, into: new).owed == 1)
        #expect(try take(whole, of: source, into: new).known == 1)
        let owed = try #require(try survey(new).owed.first)
        #expect(owed.plan == plan)
        #expect(try survey(new).record(of: owed).header.flags == [.adopted, .redelivered, .planned])
    }

    @Test(
        "an import that was cut off behind a delivery with a plan of its own, or within its outcomes, is completed by the next, once",
        arguments: [0, 1])
    func importCompleted(outcomesHere: Int) throws {
        let folder = Folder()
        let (old, new) = (folder.data("old"), folder.data("new"))
        try redelivered(old, isDone: true)
        try journal(new, [])
        let source = try survey(old)
        var newest: UInt64 = 0
        _ = try source.history.walk(.backwards) {
            newest = $0.sequence
            return false
        }
        let record = try #require(try source.history.record(of: newest))
        let story = try #require(try source.history.story(of: newest))
        #expect(story.plan == plan && story.events.count == 2)
        let entry = JournalArchive.Entry(record: record, story: story)
        let (writer, _) = try open(new)
        let result = writer.adopt(
            record, from: try #require(source.origin(of: record)), isConcluded: true,
            plan: (entries: plan, timeUnixNanoseconds: now))
        guard case .appended(let sequence) = result else {
            Issue.record("not adopted")
            return
        }
        _ = writer.commit(now: now)
        for event in story.events.prefix(outcomesHere) {
            writer.appendOutcomes(
                [OutcomeEntry(sequence: sequence, planIndex: event.planIndex, outcome: event.outcome)],
                now: event.timeUnixNanoseconds)
        }
        writer.close(now: now)
        for _ in 0..<2 {
            #expect(try take(entry, of: source, into: new).known == 1)
            let after = try survey(new)
            let found = try withExtendedLifetime(after) { try $0.history.story(of: sequence) }
            #expect(found?.plan == plan)
            #expect(found?.events == story.events)
        }
    }

    @Test("a ledger whose last line was cut off is read without it and written on")
    func ledger() throws {
        let folder = Folder()
        try Data("00000000000000aa#1\nnonsense\n00000000000000aa#2\n00000000000000aa#3".utf8)
            .write(to: URL(fileURLWithPath: folder.path + "/adopted"))
        var ledger = try AdoptionLedger(dataDirectory: folder.path)
        #expect(ledger.origins == [RecordOrigin(journal: 0xaa, sequence: 1), RecordOrigin(journal: 0xaa, sequence: 2)])
        #expect(ledger.add([RecordOrigin(journal: 0xaa, sequence: 4)]) == nil)
        #expect(try AdoptionLedger(dataDirectory: folder.path).contains(RecordOrigin(journal: 0xaa, sequence: 4)))
    }

    @Test("the inspection names the origin, and a journal that holds adopted deliveries is sound")
    func inspection() throws {
        let folder = Folder()
        let (old, new) = (folder.data("old"), folder.data("new"))
        try journal(old, ["one"])
        try journal(new, [])
        _ = try adopt(old, into: new)
        var lines: [String] = []
        let summary = try JournalInspection.inspect(disk: RealDisk(dataDirectory: new), checksum: cc_crc32) {
            lines.append($0)
        }
        let name = try #require(try survey(old).journal)
        #expect(summary.isSound && summary.owed == 1)
        #expect(lines.contains { $0.contains("adopted(\(RecordOrigin(journal: name, sequence: 1)))") })
    }
}

@Suite("Who runs on a data directory")
struct DataDirectoryTests {
    @Test("a process is told from a later one with its number")
    func process() throws {
        let own = try #require(ProcessIdentity.own)
        #expect(own.isRunning)
        var other = own
        other.started += 1
        #expect(!other.isRunning)
        #expect(ProcessIdentity(pid: -1) == nil)
    }

    @Test("a directory that is not there, was never used, or is held")
    func holder() throws {
        let folder = Folder()
        #expect(DataDirectory.holder(folder.data("missing")) == .unknown(2))
        #expect(DataDirectory.holder(folder.path) == .nobody)
        let (writer, _) = try open(folder.path)
        #expect(DataDirectory.holder(folder.path) == .somebody)
        writer.close(now: now)
        #expect(DataDirectory.holder(folder.path) == .nobody)
    }

    @Test("a wish to drain is taken once, and only by the process it is for")
    func request() throws {
        let folder = Folder()
        let own = try #require(ProcessIdentity.own)
        #expect(DrainRequest.take(folder.path) == nil)
        #expect(DrainRequest(process: own, timeoutNanoseconds: 5).write(folder.path) == nil)
        #expect(DrainRequest.take(folder.path)?.timeoutNanoseconds == 5)
        #expect(DrainRequest.take(folder.path) == nil)
        var other = own
        other.started += 1
        #expect(DrainRequest(process: other, timeoutNanoseconds: 5).write(folder.path) == nil)
        #expect(DrainRequest.take(folder.path) == nil)
    }
}
