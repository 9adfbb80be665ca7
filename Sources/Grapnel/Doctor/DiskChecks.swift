// DiskChecks: the data directory: whose it is, what it lies on, how much room there is, how long a sync takes.
//
// Source: statvfs(3), fdatasync(2), proc(5) mountinfo.

import CLinuxIO
import Catalog
import Foundation
import Glibc

struct DiskChecks {
    let settings: ServerSettings

    private static let subject = "data directory"
    private static let syncs = 8
    /// Above, every delivery waits noticeably: disks with a write cache that survives a power cut take far less.
    private static let slowNanoseconds: UInt64 = 20_000_000

    private var directory: String { settings.dataDirectory }

    func run() -> [Finding] {
        let directory = directory
        guard let found = Bounded.call({ Self.status(directory) }) else {
            return [Bounded.hung(Self.subject, "see whether the volume of \(directory) answers (df, dmesg)")]
        }
        switch found {
        case .failure(let code) where code == ENOENT: return [missing()]
        case .failure(let code):
            return [.fail(Self.subject, "\(directory): \(SmallFile.text(of: code))", "choose another --data-dir")]
        case .success(let status):
            guard status.st_mode & S_IFMT == S_IFDIR else {
                return [
                    .fail(
                        Self.subject, "\(directory) is not a directory",
                        "remove what is there, or choose another --data-dir")
                ]
            }
            return [owner(status), holder(), room(), fileSystem()] + sync()
        }
    }

    private enum Status: Sendable {
        case success(stat)
        case failure(Int32)
    }

    private static func status(_ path: String) -> Status {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? .success(status) : .failure(errno)
    }

    /// The server makes it, if it may.
    private func missing() -> Finding {
        let parent = URL(fileURLWithPath: directory).deletingLastPathComponent().path
        guard unsafe access(parent, W_OK | X_OK) == 0 else {
            return .fail(
                Self.subject, "\(directory) does not exist and cannot be made: \(parent): \(SmallFile.text(of: errno))",
                "make it (mode 0700) for the user of the server, or mount the volume there")
        }
        return .note(Self.subject, "\(directory) does not exist yet; the server makes it")
    }

    private func owner(_ status: stat) -> Finding {
        let mode = String(status.st_mode & 0o7777, radix: 8)
        guard unsafe access(directory, R_OK | W_OK | X_OK) == 0 else {
            return .fail(
                Self.subject,
                "\(directory) (owner \(status.st_uid), mode \(mode)) cannot be written by user \(geteuid())",
                "chown it to the user of the server, mode 0700; in a pod set fsGroup")
        }
        if status.st_mode & 0o007 != 0 {
            return .warn(Self.subject, "\(directory) has mode \(mode): others can enter it", "chmod 0700 \(directory)")
        }
        return .ok(Self.subject, "\(directory): owner \(status.st_uid), mode \(mode)")
    }

    private func holder() -> Finding {
        switch DataDirectory.holder(directory) {
        case .somebody:
            let pid = ServerRecord.read(directory).map { ", process \($0.process.pid)" } ?? ""
            return .note(Self.subject, "a grapnel runs on it\(pid)")
        case .nobody: return .ok(Self.subject, "no other grapnel holds it")
        case .unknown(let code):
            return .fail(
                Self.subject, "its lock cannot be opened: \(SmallFile.text(of: code))",
                "chown \(directory) to the user of the server")
        }
    }

    private func room() -> Finding {
        let directory = directory
        let free = Bounded.call { () -> UInt64? in
            var status = statvfs()
            return unsafe statvfs(directory, &status) == 0 ? UInt64(status.f_bavail) * UInt64(status.f_frsize) : nil
        }
        guard let free = free ?? nil else {
            return Bounded.hung("disk space", "see whether the volume of \(directory) answers")
        }
        let journal = (try? FileManager.default.contentsOfDirectory(atPath: directory + "/journal")) ?? []
        var used = 0
        for name in journal.prefix(100_000) {
            let attributes = try? FileManager.default.attributesOfItem(atPath: "\(directory)/journal/\(name)")
            used += (attributes?[.size] as? NSNumber)?.intValue ?? 0
        }
        let limit = settings.journalBytesMax
        let text =
            "\(Quantity.text(bytes: Int(clamping: free >> 20) << 20)) free, journal \(used >> 20) MiB of at most "
            + Quantity.text(bytes: limit)
        if free + UInt64(used) < UInt64(limit) {
            let remedy = "enlarge the volume, or lower --journal-max-bytes: a full disk is answered 503"
            return free < 256 << 20 ? .fail("disk space", text, remedy) : .warn("disk space", text, remedy)
        }
        return .ok("disk space", text)
    }

    private func fileSystem() -> Finding {
        guard case .success(let bytes) = SmallFile.read("/proc/self/mountinfo", bytesMax: 4 << 20),
            let resolved = unsafe realpath(directory, nil)
        else { return .note("file system", "/proc/self/mountinfo cannot be read") }
        defer { unsafe free(resolved) }
        let path = unsafe String(cString: resolved)
        let type = Self.type(of: path, mounts: String(decoding: bytes, as: UTF8.self))
        switch type {
        case "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse", "fuse.sshfs", "glusterfs", "virtiofs":
            return .warn(
                "file system", "\(type): a disk of the network",
                "use a block volume of this node's: locks and syncs over the network are slow or not what they say")
        case "tmpfs", "ramfs":
            return .warn(
                "file system", "\(type): memory", "what was answered is lost with the machine or the pod: use a volume")
        case "overlay", "overlayfs", "aufs":
            return .warn(
                "file system", "\(type): the container's own layer",
                "what was answered is lost with the container: mount a volume on \(path)")
        default: return .ok("file system", type)
        }
    }

    /// The type of the mount that `path` lies in: the longest mount point that leads to it, the last of equals.
    static func type(of path: String, mounts: String) -> String {
        var best = (point: "", type: "unknown")
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count else { continue }
            let point = unescaped(fields[4])
            let isAbove = point == "/" || path == point || path.hasPrefix(point + "/")
            if isAbove, point.utf8.count >= best.point.utf8.count { best = (point, String(fields[dash + 1])) }
        }
        return best.type
    }

    /// Blanks and their like stand as `\040`.
    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func sync() -> [Finding] {
        guard unsafe access(directory, W_OK | X_OK) == 0 else { return [] }
        let path = "\(directory)/.doctor-\(getpid())"
        guard let result = Bounded.call({ Self.measure(path) }) else {
            return [Bounded.hung("disk sync", "see whether the volume of \(directory) answers (dmesg)")]
        }
        switch result {
        case .success(let nanoseconds):
            let text = "\(Double(nanoseconds / 1000) / 1000) ms for 4 KiB (median of \(Self.syncs))"
            return [
                nanoseconds > Self.slowNanoseconds
                    ? .warn(
                        "disk sync", text,
                        "every answer waits for one: use a faster volume, best with a write cache that is safe")
                    : .ok("disk sync", text)
            ]
        case .failure(let failure):
            return [
                .fail(
                    "disk sync", failure.description, "free space, or mend the volume: without it nothing can be stored"
                )
            ]
        }
    }

    private static func measure(_ path: String) -> Result<UInt64, SmallFile.Failure> {
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return .failure(.init(description: "\(path): \(SmallFile.text(of: errno))")) }
        defer {
            close(file)
            _ = unsafe unlink(path)
        }
        let block = [UInt8](repeating: 0x5a, count: 4096)
        var times: [UInt64] = []
        for _ in 0..<syncs {
            let began = cl_now_monotonic()
            // Sound: the block's own bytes are read.
            let count = unsafe block.withUnsafeBytes { unsafe pwrite(file, $0.baseAddress, $0.count, 0) }
            guard count == block.count, fdatasync(file) == 0 else {
                return .failure(.init(description: "\(path): \(SmallFile.text(of: errno))"))
            }
            times.append(cl_now_monotonic() - began)
        }
        return .success(times.sorted()[syncs / 2])
    }
}
