// DataDirectory: who has a data directory, and small files in it that commands and servers leave for each other.
//
//   lock          flock(2) of the server that runs on it (Journal/Store/RealDisk.swift)
//   server.json   that server's process, so that `grapnel drain` finds it
//   adopted       which deliveries of other journals were taken over (`AdoptionLedger`)
//
// The lock alone says whether a server runs: `server.json` may have been left behind by one that was killed.

import Foundation
import Glibc

enum DataDirectory {
    enum Holder: Equatable {
        case nobody
        case somebody
        /// No such directory, or none that was ever used: errno of the attempt.
        case unknown(Int32)
    }

    /// Whether a grapnel of this machine holds the directory. Nothing is changed; the lock is held for an instant.
    static func holder(_ directory: String) -> Holder {
        let lock = unsafe open(directory + "/lock", O_RDONLY | O_CLOEXEC)
        guard lock >= 0 else {
            let code = errno
            var status = stat()
            // A directory without a lock was never used.
            if code == ENOENT, unsafe stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
                return .nobody
            }
            return .unknown(code)
        }
        defer { close(lock) }
        while flock(lock, LOCK_SH | LOCK_NB) != 0 {
            if errno == EWOULDBLOCK { return .somebody }
            if errno != EINTR { return .unknown(errno) }
        }
        return .nobody
    }

    /// Replaces a small file as a whole, for the owner alone. nil, or why it could not be written.
    static func replace(_ path: String, with data: Data) -> String? {
        let new = path + ".new"
        _ = unsafe unlink(new)
        let file = unsafe open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return "\(new): \(SmallFile.text(of: errno))" }
        let trouble = write(data, to: file)
        close(file)
        if let trouble { return "\(new): \(trouble)" }
        return unsafe rename(new, path) == 0 ? nil : "\(path): \(SmallFile.text(of: errno))"
    }

    /// Writes all of it and syncs. nil, or why not.
    static func write(_ data: Data, to file: Int32) -> String? {
        var rest = data[...]
        while !rest.isEmpty {
            // Sound: at most the rest's own bytes are read.
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                return SmallFile.text(of: errno)
            }
            rest = rest.dropFirst(count)
        }
        return fsync(file) == 0 ? nil : SmallFile.text(of: errno)
    }
}

/// A process: its number and when it began, so that another one with the same number is not taken for it.
struct ProcessIdentity: Codable, Equatable {
    var pid: Int32
    /// Clock ticks since the machine started (proc(5), `starttime`).
    var started: UInt64

    static var own: ProcessIdentity? { ProcessIdentity(pid: getpid()) }

    /// nil when there is no such process, or /proc does not show it.
    init?(pid: Int32) {
        guard case .success(let bytes) = SmallFile.read("/proc/\(pid)/stat", bytesMax: 4096),
            // The second field is the name in parentheses, with anything in it.
            let fields = String(decoding: bytes, as: UTF8.self).split(separator: ")").last?.split(separator: " "),
            fields.count > 19, let started = UInt64(fields[19]),
            // One that has ended and was not waited for.
            fields[0] != "Z", fields[0] != "X"
        else { return nil }
        self.pid = pid
        self.started = started
    }

    var isRunning: Bool { ProcessIdentity(pid: pid) == self }
}
