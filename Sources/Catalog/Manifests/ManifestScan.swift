// ManifestScan: finds and reads the files of the manifest directories.
//
// Files `*.yaml`, `*.yml` and `*.json`, directories recursively, in the order of their names' bytes. Names that begin with a
// dot are passed over: in a ConfigMap or Secret volume `..data` is a link to the present version and each visible file a
// link through it, so every file is met exactly once (Kubernetes AtomicWriter). Links are followed, loops are not. Nothing
// but regular files is opened to be read, so a named pipe cannot hold anyone up.

import CLinuxIO
import Glibc

/// What tells a file's version from another: everything that a write, a rename or a new link changes.
struct FileStamp: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64
    let bytes: Int64
    let modifiedNanoseconds: Int64
    let changedNanoseconds: Int64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        bytes = Int64(status.st_size)
        modifiedNanoseconds = Self.nanoseconds(status.st_mtim)
        changedNanoseconds = Self.nanoseconds(status.st_ctim)
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

/// A file to read, or a place that could not be looked at.
struct ManifestEntry: Sendable {
    enum Content: Sendable {
        case file(FileStamp)
        /// The message names the remedy. Everything that was read from below this path before stays.
        case unreadable(String)
    }

    /// As the operator wrote the directory, and on from there.
    let path: String
    /// Index of the directory in the options.
    let directory: Int
    let content: Content
}

struct ManifestScan {
    static let filesMax = 100_000
    private static let depthMax = 32

    private(set) var entries: [ManifestEntry] = []
    /// Each directory that was listed, links resolved by the kernel: what a watcher has to watch.
    private(set) var directories: [String] = []
    private var seen: Set<[UInt64]> = []
    private var isFull = false

    init(directories roots: [String]) {
        for (index, root) in roots.enumerated() { visitRoot(root, index) }
        // Whole paths, not names: the order does not depend on what is a directory.
        entries.sort {
            $0.directory != $1.directory
                ? $0.directory < $1.directory : $0.path.utf8.lexicographicallyPrecedes($1.path.utf8)
        }
    }

    private mutating func visitRoot(_ path: String, _ index: Int) {
        switch Self.status(of: path) {
        case .failure(let code):
            let remedy =
                code.number == ENOENT
                ? "does not exist; create it or correct --manifests"
                : "cannot be read: \(code.text); check its permissions"
            entries.append(ManifestEntry(path: path, directory: index, content: .unreadable(remedy)))
        case .success(let status): visit(path, status, index, depth: 0, isNamed: true)
        }
    }

    private mutating func visit(_ path: String, _ status: stat, _ index: Int, depth: Int, isNamed: Bool) {
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            guard seen.insert([UInt64(status.st_dev), UInt64(status.st_ino)]).inserted else { return }
            guard depth < Self.depthMax else {
                return refuse(path, index, "directories are nested deeper than \(Self.depthMax)")
            }
            list(path, index, depth: depth)
        case S_IFREG:
            guard isNamed || Self.isManifest(path) else { return }
            guard seen.insert([UInt64(status.st_dev), UInt64(status.st_ino)]).inserted, !isFull else { return }
            if entries.count >= Self.filesMax {
                isFull = true
                return refuse(path, index, "more than \(Self.filesMax) files; the rest is not read")
            }
            entries.append(ManifestEntry(path: path, directory: index, content: .file(FileStamp(status))))
        default:
            if isNamed || Self.isManifest(path) { refuse(path, index, "is neither a file nor a directory") }
        }
    }

    private mutating func list(_ path: String, _ index: Int, depth: Int) {
        directories.append(path)
        let names: [String]
        switch Self.names(in: path) {
        case .failure(let code):
            return refuse(path, index, "cannot be listed: \(code.text); check its permissions")
        case .success(let found): names = found
        }
        for name in names.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) where !name.hasPrefix(".") {
            let child = path.hasSuffix("/") ? path + name : path + "/" + name
            switch Self.status(of: child) {
            case .success(let status): visit(child, status, index, depth: depth + 1, isNamed: false)
            case .failure(let code):
                // A name that is gone again is no trouble; a link that leads nowhere is.
                guard Self.isManifest(child) else { continue }
                if code.number == ENOENT, !Self.isLink(child) { continue }
                refuse(child, index, "cannot be read: \(code.text); correct the link or its permissions")
            }
        }
    }

    private mutating func refuse(_ path: String, _ index: Int, _ message: String) {
        entries.append(ManifestEntry(path: path, directory: index, content: .unreadable(message)))
    }

    private static func isManifest(_ path: String) -> Bool {
        path.hasSuffix(".yaml") || path.hasSuffix(".yml") || path.hasSuffix(".json")
    }

    /// An errno and its words.
    struct Failure: Error {
        let number: Int32
        var text: String { unsafe String(cString: strerror(number)) }
    }

    private static func status(of path: String) -> Result<stat, Failure> {
        var status = stat()
        // Sound: `path` is NUL-terminated for the call and `status` is ours.
        guard unsafe stat(path, &status) == 0 else { return .failure(Failure(number: errno)) }
        return .success(status)
    }

    private static func isLink(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    private static func names(in path: String) -> Result<[String], Failure> {
        guard let directory = unsafe opendir(path) else { return .failure(Failure(number: errno)) }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        errno = 0
        // Sound: an entry is valid until the next call on this stream, and d_name is NUL-terminated (readdir(3)).
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            names.append(name)
            errno = 0
        }
        return errno == 0 ? .success(names) : .failure(Failure(number: errno))
    }

    /// The bytes of a regular file, bounded; or why not.
    static func read(_ path: String) -> Result<[UInt8], ManifestReadFailure> {
        // O_NONBLOCK: opening a named pipe that took the file's place must not wait.
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard fd >= 0 else {
            let failure = Failure(number: errno)
            return .failure(
                ManifestReadFailure(message: "cannot be read: \(failure.text); check the file and its permissions"))
        }
        defer { close(fd) }
        var status = stat()
        guard unsafe fstat(fd, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return .failure(ManifestReadFailure(message: "is no regular file"))
        }
        let tooLarge = ManifestReadFailure(
            message: "is larger than \(Quantity.text(bytes: YAMLReader.fileBytesMax)); split it")
        guard Int(status.st_size) <= YAMLReader.fileBytesMax else { return .failure(tooLarge) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(status.st_size))
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            // Sound: at most block.count bytes are written to the block.
            let count = unsafe block.withUnsafeMutableBytes { unsafe Glibc.read(fd, $0.baseAddress, $0.count) }
            if count == 0 { return .success(bytes) }
            if count < 0 {
                if errno == EINTR { continue }
                return .failure(ManifestReadFailure(message: "cannot be read: \(Failure(number: errno).text)"))
            }
            bytes += block[..<count]
            // It may have grown since it was measured.
            guard bytes.count <= YAMLReader.fileBytesMax else { return .failure(tooLarge) }
        }
    }
}

struct ManifestReadFailure: Error {
    let message: String
}
