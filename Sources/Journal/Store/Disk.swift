// Disk: what the store needs of one directory of files, so that tests can put a disk underneath that fails.
//
// The contract is POSIX's, no more:
//   - What `write` returned for may be lost, torn at 512-byte sectors and reordered until `syncData` or `syncFile` of
//     that file returned. After a failed sync nothing is known about what was written since the last good one, and a
//     later good sync says nothing about it either.
//   - A name that was created, renamed or removed is as it was, or as it is, until `syncDirectory` returned.
//   - `rename` replaces no existing file in the store's use, and is atomic.
//
// `RealDisk` is the one on Linux. All functions may be called from any thread.

public import Glibc

/// An open file of a `Disk`.
public struct DiskFile: Sendable, Hashable {
    public var descriptor: Int32
    public init(descriptor: Int32) { self.descriptor = descriptor }
}

public struct DiskEntry: Sendable, Equatable {
    public var name: String
    public var byteCount: UInt64

    public init(name: String, byteCount: UInt64) {
        self.name = name
        self.byteCount = byteCount
    }
}

public enum DiskOperation: String, Sendable {
    case openDirectory = "open directory"
    case lock, list, create, open, write, sync
    case syncDirectory = "sync directory"
    case rename, remove, truncate, reserve, read
}

/// A system call that failed.
public struct DiskError: Error, Sendable, Equatable {
    public var code: Int32
    public var operation: DiskOperation

    public init(code: Int32, operation: DiskOperation) {
        self.code = code
        self.operation = operation
    }
}

public enum DiskAccess: Sendable {
    /// Creates the directory (0700) when it is missing, and holds its lock until `close`. EWOULDBLOCK: another has it.
    case exclusive
    /// Changes nothing and takes no lock.
    case readOnly
}

public protocol Disk: AnyObject, Sendable {
    /// Must come first. What it took before it failed it gives back.
    func open(_ access: DiskAccess) throws(DiskError)
    /// Gives the lock back.
    func close()
    func list() throws(DiskError) -> [DiskEntry]
    /// A new file (0600), open for reading and writing. EEXIST when there is one.
    func create(_ name: String) throws(DiskError) -> DiskFile
    func open(_ name: String, writable: Bool) throws(DiskError) -> DiskFile
    func close(_ file: DiskFile)
    /// Writes `count` vectors (at most `IOVectorLimit.max`) at `offset`; returns how many bytes went, at least 1.
    func write(
        _ vectors: UnsafePointer<iovec>, count: Int, to file: DiskFile, at offset: UInt64
    ) throws(DiskError) -> Int
    /// Takes the space for `byteCount` bytes from offset 0, as far as the file system can; ENOSPC when it is not there.
    func reserve(_ file: DiskFile, byteCount: UInt64) throws(DiskError)
    /// Returns how many bytes came; fewer than asked for only at the end of the file.
    func read(_ file: DiskFile, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int
    /// fdatasync.
    func syncData(_ file: DiskFile) throws(DiskError)
    /// fsync.
    func syncFile(_ file: DiskFile) throws(DiskError)
    func syncDirectory() throws(DiskError)
    func rename(_ name: String, to newName: String) throws(DiskError)
    func remove(_ name: String) throws(DiskError)
    func truncate(_ file: DiskFile, to byteCount: UInt64) throws(DiskError)
    /// 64 random bits that nobody can guess.
    func randomBits() -> UInt64
}

public enum IOVectorLimit {
    /// IOV_MAX on Linux.
    public static let max = 1024
}

/// Names of the files in the journal's directory.
enum SegmentFileName {
    static let segmentSuffix = ".segment"
    /// A segment that was carried forward as a whole: only what a keep record lists counts.
    static let keptSuffix = ".kept"
    /// A file that is being zeroed or recycled: never read, removed at the next start.
    static let preparingSuffix = ".preparing"

    static func segment(_ number: UInt64) -> String { hexadecimal(number) + segmentSuffix }
    static func kept(_ number: UInt64) -> String { hexadecimal(number) + keptSuffix }
    static func preparing(_ number: UInt64) -> String { hexadecimal(number) + preparingSuffix }

    /// The number of a segment file's name; nil for other names.
    static func segmentNumber(_ name: String) -> UInt64? { number(name, suffix: segmentSuffix) }
    static func keptNumber(_ name: String) -> UInt64? { number(name, suffix: keptSuffix) }
    static func preparingNumber(_ name: String) -> UInt64? { number(name, suffix: preparingSuffix) }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    private static func number(_ name: String, suffix: String) -> UInt64? {
        guard name.hasSuffix(suffix), name.utf8.count == 16 + suffix.utf8.count else { return nil }
        let digits = name.utf8.prefix(16)
        let isPlain = digits.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        guard isPlain, let number = UInt64(String(name.prefix(16)), radix: 16), number < 1 << 62 else { return nil }
        return number
    }
}
