// JournalError: why a journal cannot be opened or written, and what to do about it.

import Glibc

public enum JournalError: Error, Sendable, Equatable {
    /// Another process holds the data directory.
    case locked
    case notADirectory
    case missing
    case notWritable(code: Int32)
    case noSpace
    /// All of `maxBytes` is owed or in use.
    case full
    /// A segment of a format that this binary does not know; nothing was changed.
    case unknownVersion(segment: UInt64, version: UInt32, known: FormatVersions)
    /// The disk cannot read a segment; nothing was changed.
    case unreadableSegment(UInt64, code: Int32)
    /// The data directory is in `found`, which is newer than the version to write.
    case formatInUse(found: UInt32, asked: UInt32)
    case failed(DiskError)
    case options(OptionsProblem)
    /// The writer was closed.
    case closed

    public enum OptionsProblem: String, Sendable {
        case segmentTooSmall = "a segment must have at least 48 KiB and at most 2 GiB: change the segment size"
        case recordTooLarge =
            "the largest record must have at least 24 KiB and fit half a segment: lower --max-body or raise the segment size"
        case logTooSmall = "--journal-max-bytes must be at least three segments, which are of 64 MiB: raise it"
        case format = "this grapnel does not write the format version that is asked for: leave --journal-format out"
        case share = "the share of one namespace must be above 0 and at most 1"
    }

    public init(_ error: DiskError) {
        switch (error.operation, error.code) {
        case (.lock, EWOULDBLOCK): self = .locked
        case (_, ENOSPC), (_, EDQUOT): self = .noSpace
        case (.openDirectory, ENOTDIR): self = .notADirectory
        case (.openDirectory, ENOENT): self = .missing
        case (_, EACCES), (_, EPERM), (_, EROFS): self = .notWritable(code: error.code)
        default: self = .failed(error)
        }
    }

    /// One sentence of what is wrong and one of what to do. Contains nothing that came with a request.
    public var message: String { message(dataDirectory: nil) }

    public func message(dataDirectory: String?) -> String {
        let directory = dataDirectory.map { "the data directory \($0)" } ?? "the data directory"
        switch self {
        case .locked:
            return "\(directory) is in use by another grapnel. Stop it, or give this one a --data-dir of its own."
        case .notADirectory:
            return "\(directory) is not a directory. Remove what is there, or choose another --data-dir."
        case .missing:
            return "\(directory) does not exist. Create it, or choose another --data-dir."
        case .notWritable(let code):
            return
                "\(directory) cannot be written: \(Self.text(code)). Give it to the user that runs grapnel, mode 0700."
        case .noSpace:
            return "the disk of \(directory) is full. Free space there, or lower --journal-max-bytes."
        case .full:
            return "the journal is full of deliveries that still wait for their actions. "
                + "See why they fail (grapnel deliveries list), or raise --journal-max-bytes."
        case .unknownVersion(let segment, let version, let known):
            let remedy =
                version > known.newest
                ? "Start the version of grapnel that wrote it, or use another --data-dir."
                : "Run `grapnel journal upgrade` of a version that reads \(version) and \(version + 1) first, and of those between."
            return
                "\(directory): segment \(segment) has format version \(version), and this grapnel reads \(known.text). "
                + "Nothing was changed. \(remedy)"
        case .unreadableSegment(let segment, let code):
            return
                "\(directory): segment \(segment) cannot be read: \(Self.text(code)). Nothing was changed. Check the disk and "
                + "start again; if it stays so, copy the directory to a sound disk, or move the segment's file out of journal/ and "
                + "lose what is in it."
        case .formatInUse(let found, let asked):
            return "\(directory) is in format version \(found) and cannot go back to \(asked). "
                + "Export it (grapnel journal export) and import it into a new directory with --journal-format \(asked)."
        case .failed(let error):
            return "\(directory): \(error.operation.rawValue) failed: \(Self.text(error.code)). "
                + "Check the disk and its kernel log."
        case .options(let problem):
            return "the journal's settings cannot work: \(problem.rawValue)."
        case .closed:
            return "the journal is closed."
        }
    }

    private static func text(_ code: Int32) -> String {
        guard let text = unsafe strerror(code) else { return "error \(code)" }
        return unsafe String(cString: text)
    }
}
