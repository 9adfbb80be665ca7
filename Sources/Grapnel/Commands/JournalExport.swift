// JournalExport: `grapnel journal export`: deliveries, with what was planned and done, as lines of JSON (`JournalArchive`).
//
// Also beside a running server: then up to the last sequence that is known to be durable. What the server carries forward while
// it is read is looked for once more at the end, so that nothing owed is missing.

import ArgumentParser
import CCrypto
import Foundation
import Glibc
import Journal

extension JournalCommand {
    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "export", abstract: "Write deliveries as lines of JSON, for `import` or other programs.",
            discussion: """
                One line for each delivery, with head and body in base64, plan and outcomes. The server may run. Bodies are as they were \
                received: keep the file as you keep the data directory. Exit status 1 when something is damaged; the rest is written.
                """)

        @OptionGroup var directory: Directory
        @Option(help: ArgumentHelp("File to write, which must not exist; `-` is standard output.", valueName: "file"))
        var output = "-"
        @Option(help: ArgumentHelp("Leave out what is older than this sequence.", valueName: "sequence"))
        var from: UInt64 = 0
        @Flag(help: "Only what is owed.")
        var owed = false

        func run() throws {
            let isLive = DataDirectory.holder(directory.dataDir) == .somebody
            let survey = try Self.survey(directory.dataDir, isLive: isLive)
            let file = try ArchiveFile(output)
            var run = ExportRun(journal: survey.journal, from: from, onlyOwed: owed)
            do throws(ExportRun.Failure) {
                try run.begin(survey, file)
                try run.deliveries(survey, file)
                if isLive { try run.carried(try Self.later(directory.dataDir), file) }
                try run.end(file)
            } catch {
                file.discard()
                switch error {
                case .journal(let error):
                    throw CommandFailure.environment(error.message(dataDirectory: directory.dataDir))
                case .output(let text): throw CommandFailure.environment("\(file.name): \(text)")
                case .command(let failure): throw failure
                }
            }
            Terminal.error(
                "exported \(run.count) \(run.count == 1 ? "delivery" : "deliveries") of \(directory.dataDir)")
            if isLive {
                if run.gone > 0 {
                    Terminal.error("\(run.gone) finished ones went while they were read: their space was used again")
                }
                return
            }
            guard survey.damage.isEmpty, run.gone == 0 else {
                for line in survey.damageLines { Terminal.error(line) }
                throw CommandFailure.input("\(directory.dataDir) is damaged: what could be read is exported.")
            }
        }

        private static func later(_ path: String) throws(ExportRun.Failure) -> JournalSurvey {
            do throws(CommandFailure) {
                return try survey(path, isLive: true)
            } catch {
                throw .command(error)
            }
        }

        private static func survey(_ path: String, isLive: Bool) throws(CommandFailure) -> JournalSurvey {
            do throws(JournalError) {
                return try unsafe JournalSurvey(
                    disk: RealDisk(dataDirectory: path), checksum: cc_crc32, onlyMarked: isLive)
            } catch {
                if error == .missing { throw JournalCommand.noJournal(path) }
                throw .environment(error.message(dataDirectory: path))
            }
        }
    }
}

/// One pass over a journal into a file.
struct ExportRun {
    enum Failure: Error {
        case journal(JournalError)
        case output(String)
        case command(CommandFailure)
    }

    let journal: UInt64?
    let from: UInt64
    let onlyOwed: Bool
    private(set) var count = 0
    /// Were listed and could not be read any more.
    private(set) var gone = 0
    private var through: UInt64 = 0
    private var owed: Set<UInt64> = []

    init(journal: UInt64?, from: UInt64, onlyOwed: Bool) {
        self.journal = journal
        self.from = from
        self.onlyOwed = onlyOwed
    }

    mutating func begin(_ survey: JournalSurvey, _ file: ArchiveFile) throws(Failure) {
        through = survey.history.durableThrough
        try write(JournalArchive.begin(journal: journal, through: through), file)
    }

    mutating func deliveries(_ survey: JournalSurvey, _ file: ArchiveFile) throws(Failure) {
        if onlyOwed {
            for delivery in survey.owed where delivery.sequence >= from && delivery.sequence <= through {
                try add(delivery.sequence, survey, file)
            }
            return
        }
        var next: UInt64? = from
        while let start = next {
            // In pages: nothing is written while the log is walked.
            var page: [UInt64] = []
            let end: JournalHistory.WalkEnd
            do throws(UnreadablePlace) {
                end = try survey.history.walk(.forwards, from: start, looksMax: 1000) {
                    page.append($0.sequence)
                    return true
                }
            } catch {
                throw .journal(error.cause)
            }
            for sequence in page { try add(sequence, survey, file) }
            if case .stopped(let following) = end { next = following } else { next = nil }
        }
    }

    /// What a running server carried forward between the survey and the reading.
    mutating func carried(_ later: JournalSurvey, _ file: ArchiveFile) throws(Failure) {
        for delivery in later.owed
        where delivery.sequence >= from && delivery.sequence <= through && !owed.contains(delivery.sequence) {
            try add(delivery.sequence, later, file)
        }
    }

    func end(_ file: ArchiveFile) throws(Failure) {
        try write(JournalArchive.end(deliveries: count), file)
        if let trouble = file.close() { throw .output(trouble) }
    }

    private mutating func add(_ sequence: UInt64, _ survey: JournalSurvey, _ file: ArchiveFile) throws(Failure) {
        let found: JournalArchive.Entry?
        do throws(JournalError) {
            if let record = try survey.history.record(of: sequence),
                let story = try survey.history.story(of: sequence)
            {
                found = JournalArchive.Entry(record: record, story: story)
            } else {
                found = nil
            }
        } catch {
            // One record that cannot be read; the survey says what is damaged.
            guard case .failed(let failure) = error, failure.operation == .read else { throw .journal(error) }
            found = nil
        }
        guard let found, let line = JournalArchive.delivery(found, journal: journal) else {
            gone += 1
            return
        }
        if found.story.state == .owed { owed.insert(sequence) }
        count += 1
        try write(line, file)
    }

    private func write(_ bytes: [UInt8], _ file: ArchiveFile) throws(Failure) {
        if let trouble = file.write(bytes) { throw .output(trouble) }
    }
}

/// Where an export goes: a file that has its name only once it is whole, or standard output.
final class ArchiveFile {
    let name: String
    private let partial: String?
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    private static let bufferBytes = 1 << 20

    init(_ path: String) throws(CommandFailure) {
        name = path == "-" ? "standard output" : path
        guard path != "-" else {
            partial = nil
            descriptor = 1
            return
        }
        var status = stat()
        guard unsafe lstat(path, &status) != 0 else {
            throw .input("\(path) exists. Name a new file, or remove it.")
        }
        let partial = path + ".partial"
        descriptor = unsafe open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .environment("\(partial): \(SmallFile.text(of: errno))") }
        self.partial = partial
    }

    /// nil, or why it could not be written.
    func write(_ bytes: [UInt8]) -> String? {
        buffer += bytes
        return buffer.count >= Self.bufferBytes ? flush() : nil
    }

    private func flush() -> String? {
        var done = 0
        while done < buffer.count {
            let rest = done
            // In bounds: rest < buffer.count.
            let count = unsafe buffer.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress! + rest, $0.count - rest)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return SmallFile.text(of: errno)
            }
            done += count
        }
        buffer.removeAll(keepingCapacity: true)
        return nil
    }

    /// Gives the file its name, once it is on the disk.
    func close() -> String? {
        if let trouble = flush() { return trouble }
        guard let partial else { return nil }
        guard fsync(descriptor) == 0 else { return SmallFile.text(of: errno) }
        _ = Glibc.close(descriptor)
        return unsafe rename(partial, name) == 0 ? nil : SmallFile.text(of: errno)
    }

    func discard() {
        if let partial { _ = unsafe unlink(partial) }
    }
}
