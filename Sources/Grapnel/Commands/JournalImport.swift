// JournalImport: `grapnel journal import FILE`: takes the deliveries of an archive (`JournalArchive`) into a data directory.
//
// As `replay` does: each under a sequence of its own, with the journal and the sequence that it came from, so that a repetition adds
// nothing. What was owed is owed; what was final comes as history, flagged so that it is never owed, whatever is cut off.

import ArgumentParser
import CCrypto
import CLinuxIO
import Catalog
import Journal

extension JournalCommand {
    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import", abstract: "Take the deliveries of an export into a data directory.",
            discussion: """
                FILE is what `export` wrote; `-` is standard input. The server of --data-dir must be stopped. What the archive owes is \
                carried out when it starts; what is finished is history. Repeating it adds nothing. Import an archive with owed \
                deliveries into one server only, and not while the server it comes from still runs: both would act.
                """)

        @Argument(help: ArgumentHelp("The archive.", valueName: "file"))
        var file: String
        @OptionGroup var target: Directory
        @Option(
            help: ArgumentHelp(
                "Upper bound of the journal in --data-dir (default: as much as it takes).", valueName: "size"))
        var journalMaxBytes: String?
        @Option(help: ArgumentHelp("Format version of a new journal (default: the newest).", valueName: "version"))
        var journalFormat: UInt32?
        @Flag(help: "Say what would be taken in; change nothing.")
        var dryRun = false

        func run() throws {
            var options = JournalOptions(directory: target.dataDir)
            // Nothing that is in the journal has to make way; the server holds it to its own bounds.
            options.maxAgeSeconds = 1 << 40
            options.maxBytes = 1 << 50
            if let journalMaxBytes { options.maxBytes = try JournalCommand.bytes(journalMaxBytes) }
            options.formatVersion = journalFormat
            var reader = try LineReader(file, lineBytesMax: JournalArchive.lineBytesMax)
            // Before anything is made: a file that is something else changes nothing.
            var archive = ArchiveReader(name: reader.name)
            guard case .begin(let journal)? = try archive.next(&reader) else {
                throw CommandFailure.input("\(reader.name) is not an archive of `grapnel journal export`.")
            }
            let result = try dryRun ? preview(&archive, &reader, journal) : take(options, &archive, &reader, journal)
            print(
                "\(dryRun ? "would import" : "imported") \(result.owed) owed and \(result.finished) finished deliveries; "
                    + "\(result.known) were here already")
            for line in result.lost { Terminal.error("not imported: \(line)") }
            if let stopped = result.stopped {
                throw CommandFailure.environment("it ended early: \(stopped) Then repeat the command.")
            }
            if let trouble = archive.trouble {
                throw CommandFailure.input(
                    "\(reader.name) \(trouble). What stood before it is here; import it again from a whole copy.")
            }
            if !result.lost.isEmpty { throw CommandFailure(.wrongInput, []) }
        }

        private func survey() throws(CommandFailure) -> JournalSurvey? {
            do throws(JournalError) {
                return try unsafe JournalSurvey(disk: RealDisk(dataDirectory: target.dataDir), checksum: cc_crc32)
            } catch {
                guard error == .missing else {
                    throw .environment(error.message(dataDirectory: target.dataDir))
                }
                return nil
            }
        }

        private func preview(
            _ archive: inout ArchiveReader, _ reader: inout LineReader, _ journal: UInt64?
        ) throws -> ImportRun.Result {
            let known = try survey()
            var run = ImportRun(
                archive: journal, here: known, journal: known?.journal,
                ledger: try AdoptionLedger(dataDirectory: target.dataDir))
            while case .delivery(let entry)? = try archive.next(&reader) { run.count(entry) }
            return run.result
        }

        private func take(
            _ options: JournalOptions, _ archive: inout ArchiveReader, _ reader: inout LineReader, _ journal: UInt64?
        ) throws -> ImportRun.Result {
            if DataDirectory.holder(target.dataDir) == .somebody {
                throw CommandFailure.environment(JournalError.locked.message(dataDirectory: target.dataDir))
            }
            let writer: JournalWriter
            do throws(JournalError) {
                (writer, _) = unsafe try JournalWriter.open(
                    options: options, checksum: { unsafe cc_crc32($0, $1, $2) }, now: cl_now_realtime())
            } catch {
                throw CommandFailure.environment(error.message(dataDirectory: target.dataDir))
            }
            defer { writer.close(now: cl_now_realtime()) }
            // Under the writer's lock: nobody changes it between this look and the first record.
            var run = ImportRun(
                archive: journal, here: try survey(), journal: writer.dedupeKey.journalName,
                ledger: try AdoptionLedger(dataDirectory: target.dataDir))
            var lastLine = cl_now_monotonic()
            while run.result.stopped == nil, case .delivery(let entry)? = try archive.next(&reader) {
                run.take(entry, writer)
                guard cl_now_monotonic() - lastLine > 2_000_000_000 else { continue }
                lastLine = cl_now_monotonic()
                Terminal.error("\(run.result.owed + run.result.finished) imported")
            }
            run.end(writer)
            return run.result
        }
    }

    /// A size as in the settings.
    static func bytes(_ text: String) throws(CommandFailure) -> UInt64 {
        do { return UInt64(try Quantity.bytes(text)) } catch {
            throw CommandFailure(.usage, "--journal-max-bytes: \(quoted(text)) \(error)")
        }
    }
}

/// One pass over an archive into a journal.
struct ImportRun {
    struct Result {
        var owed = 0
        var finished = 0
        var known = 0
        var lost: [String] = []
        var stopped: String?
    }

    /// The journal that was exported.
    let archive: UInt64?
    /// What is here already; nil: nothing.
    let here: JournalSurvey?
    /// The name of the journal that takes it in.
    let journal: UInt64?
    private var ledger: AdoptionLedger
    private var group = AdoptionGroup()
    // Of this run.
    private var taken: Set<RecordOrigin> = []
    private(set) var result = Result()
    private let hereOwed: [UInt64: OwedDelivery]

    init(archive: UInt64?, here: JournalSurvey?, journal: UInt64?, ledger: AdoptionLedger) {
        self.archive = archive
        self.here = here
        self.journal = journal
        self.ledger = ledger
        hereOwed = Dictionary((here?.owed ?? []).map { ($0.sequence, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// nil: it is here, or cannot be told from others.
    private mutating func origin(of entry: JournalArchive.Entry, completing writer: JournalWriter?) -> RecordOrigin? {
        let record = entry.record
        guard
            let origin = RecordOrigin(of: record)
                ?? archive.map({ RecordOrigin(journal: $0, sequence: record.sequence) })
        else {
            result.lost.append("#\(record.sequence): the archive does not say which journal it comes from")
            return nil
        }
        if let sequence = here?.adopted[origin] {
            result.known += 1
            if let writer { complete(entry, origin, sequence, writer) }
            return nil
        }
        guard origin.journal != journal, !ledger.contains(origin), !taken.contains(origin) else {
            result.known += 1
            return nil
        }
        return origin
    }

    private func isFinal(_ entry: JournalArchive.Entry) -> Bool { entry.story.state != .owed }

    /// It is to be carried out by a plan of its own, which the archive has lost: to do what is configured would be something else.
    private mutating func isPlanLost(_ entry: JournalArchive.Entry) -> Bool {
        guard entry.record.header.flags.contains(.planned), entry.story.plan == nil, !isFinal(entry) else {
            return false
        }
        result.lost.append("#\(entry.record.sequence): the plan that it was to be carried out by is not in the archive")
        return true
    }

    /// For a run that changes nothing.
    mutating func count(_ entry: JournalArchive.Entry) {
        guard let origin = origin(of: entry, completing: nil), !isPlanLost(entry) else { return }
        taken.insert(origin)
        if isFinal(entry) { result.finished += 1 } else { result.owed += 1 }
    }

    mutating func take(_ entry: JournalArchive.Entry, _ writer: JournalWriter) {
        guard let origin = origin(of: entry, completing: writer) else { return }
        guard !isPlanLost(entry) else { return }
        let isConcluded = entry.record.header.decision == .accepted && isFinal(entry)
        var history = Self.history(entry)
        let plan = history.takeOwnPlan(of: entry.record)
        switch writer.adopt(entry.record, from: origin, isConcluded: isConcluded, plan: plan) {
        case .appended(let sequence):
            taken.insert(origin)
            group.add(origin, under: sequence, history, isOwed: !isFinal(entry))
            if isFinal(entry) { result.finished += 1 } else { result.owed += 1 }
        case .duplicate: preconditionFailure("an adopted delivery is not deduplicated")
        case .refused(.tooLarge):
            result.lost.append("#\(entry.record.sequence) is longer than half a segment of this journal")
        case .refused(let reason):
            result.stopped = JournalAdoption.text(reason, writer)
        }
        if group.isFull(writer) || result.stopped != nil { commit(writer) }
    }

    mutating func end(_ writer: JournalWriter) { commit(writer) }

    private mutating func commit(_ writer: JournalWriter) {
        if let stopped = group.commit(writer, &ledger).stopped { result.stopped = result.stopped ?? stopped }
    }

    private static func history(_ entry: JournalArchive.Entry) -> AdoptionGroup.History {
        AdoptionGroup.History(
            plan: entry.story.plan, plannedAtUnixNanoseconds: entry.story.plannedAtUnixNanoseconds ?? 0,
            durableAtUnixNanoseconds: entry.story.durableAtUnixNanoseconds ?? 0,
            outcomes: entry.story.events.map { event in
                (
                    OutcomeEntry(
                        sequence: entry.record.sequence, planIndex: event.planIndex, outcome: event.outcome,
                        detail: event.detail, reason: event.reason, details: event.details),
                    event.timeUnixNanoseconds
                )
            })
    }

    /// An earlier run may have been cut off between a delivery and its history, or within that.
    private func complete(
        _ entry: JournalArchive.Entry, _ origin: RecordOrigin, _ sequence: UInt64, _ writer: JournalWriter
    ) {
        guard let story = try? here?.history.story(of: sequence), !ledger.contains(origin),
            hereOwed[sequence] != nil || isFinal(entry) || here?.unplanned.contains(sequence) == true,
            // Else it has a history of its own here.
            story.plan == nil || story.plan == entry.story.plan, entry.story.events.starts(with: story.events)
        else { return }
        var history = Self.history(entry)
        if story.plan != nil { history.plan = nil }
        history.outcomes.removeFirst(story.events.count)
        AdoptionGroup.append(history, under: sequence, writer)
    }
}
