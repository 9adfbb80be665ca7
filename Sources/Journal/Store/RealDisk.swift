// RealDisk: a directory of Linux, by openat(2) and friends relative to its descriptor.
//
// The data directory holds `lock` (flock(2), so that it goes with its holder however that ends) and `journal/`, where
// the segments are. Directories are 0700, files 0600: requests are in them. EINTR is retried everywhere it can come;
// every other errno is the caller's.

public import Glibc
import Synchronization

/// The journal directory below a data directory.
public final class RealDisk: Disk {
    /// The data directory as it was given.
    public let dataDirectory: String
    private let state = Mutex(Descriptors())

    private struct Descriptors {
        // -1: not open.
        var journal: Int32 = -1
        var lock: Int32 = -1
    }

    public init(dataDirectory: String) {
        self.dataDirectory = dataDirectory
    }

    deinit { close() }

    // MARK: Directory

    public func open(_ access: DiskAccess) throws(DiskError) {
        if access == .exclusive { try makeDirectory(dataDirectory) }
        let data = try openDirectory(dataDirectory)
        defer { _ = Glibc.close(data) }
        if access == .exclusive { try takeLock(in: data) }
        do throws(DiskError) {
            try openJournal(access, data)
        } catch {
            close()
            throw error
        }
    }

    private func openJournal(_ access: DiskAccess, _ data: Int32) throws(DiskError) {
        let journal = dataDirectory + "/journal"
        if access == .exclusive {
            try makeDirectory(journal)
            try check(retrying { fsync(data) }, .syncDirectory)
        }
        let descriptor = try openDirectory(journal)
        state.withLock { $0.journal = descriptor }
    }

    private func makeDirectory(_ path: String) throws(DiskError) {
        guard unsafe mkdir(path, 0o700) != 0, errno != EEXIST else { return }
        throw DiskError(code: errno, operation: .openDirectory)
    }

    private func openDirectory(_ path: String) throws(DiskError) -> Int32 {
        try check(retrying { unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }, .openDirectory)
    }

    private static let lockAttempts = 3

    private func takeLock(in data: Int32) throws(DiskError) {
        let lock = try check(retrying { unsafe openat(data, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }, .lock)
        var result = retrying { flock(lock, LOCK_EX | LOCK_NB) }
        // Commands look at the lock for an instant, to see whether somebody has it.
        for _ in 0..<Self.lockAttempts where result != 0 && errno == EWOULDBLOCK {
            usleep(20_000)
            result = retrying { flock(lock, LOCK_EX | LOCK_NB) }
        }
        guard result == 0 else {
            let code = errno
            _ = Glibc.close(lock)
            throw DiskError(code: code, operation: .lock)
        }
        state.withLock { $0.lock = lock }
    }

    public func close() {
        state.withLock { descriptors in
            if descriptors.journal >= 0 { _ = Glibc.close(descriptors.journal) }
            // Closing the only descriptor gives the lock back.
            if descriptors.lock >= 0 { _ = Glibc.close(descriptors.lock) }
            descriptors = Descriptors()
        }
    }

    private var directory: Int32 { state.withLock { $0.journal } }

    public func list() throws(DiskError) -> [DiskEntry] {
        // A descriptor of its own: the directory stream owns and closes it.
        let copy = try check(unsafe openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .list)
        guard let stream = unsafe fdopendir(copy) else {
            let code = errno
            _ = Glibc.close(copy)
            throw DiskError(code: code, operation: .list)
        }
        defer { unsafe closedir(stream) }
        var entries: [DiskEntry] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                guard errno == 0 else { throw DiskError(code: errno, operation: .list) }
                return entries
            }
            // d_name is a terminated string inside the entry, which lives until the next readdir.
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            var status = stat()
            guard unsafe fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            guard status.st_mode & S_IFMT == S_IFREG else { continue }
            entries.append(DiskEntry(name: name, byteCount: UInt64(max(0, status.st_size))))
        }
    }

    public func syncDirectory() throws(DiskError) {
        try check(retrying { fsync(directory) }, .syncDirectory)
    }

    public func rename(_ name: String, to newName: String) throws(DiskError) {
        let directory = directory
        try check(unsafe renameat(directory, name, directory, newName), .rename)
    }

    public func remove(_ name: String) throws(DiskError) {
        try check(unsafe unlinkat(directory, name, 0), .remove)
    }

    // MARK: Files

    public func create(_ name: String) throws(DiskError) -> DiskFile {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        return DiskFile(descriptor: try check(retrying { unsafe openat(directory, name, flags, 0o600) }, .create))
    }

    public func open(_ name: String, writable: Bool) throws(DiskError) -> DiskFile {
        let flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW
        return DiskFile(descriptor: try check(retrying { unsafe openat(directory, name, flags) }, .open))
    }

    public func close(_ file: DiskFile) {
        _ = Glibc.close(file.descriptor)
    }

    public func write(
        _ vectors: UnsafePointer<iovec>, count: Int, to file: DiskFile, at offset: UInt64
    ) throws(DiskError) -> Int {
        while true {
            let written = unsafe pwritev(file.descriptor, vectors, Int32(count), off_t(offset))
            if written > 0 { return written }
            // Nothing written and no error cannot happen for a regular file; do not spin on it.
            if written == 0 { throw DiskError(code: EIO, operation: .write) }
            if errno != EINTR { throw DiskError(code: errno, operation: .write) }
        }
    }

    public func reserve(_ file: DiskFile, byteCount: UInt64) throws(DiskError) {
        while true {
            // Unlike the others it returns the error's number.
            let code = posix_fallocate(file.descriptor, 0, off_t(byteCount))
            switch code {
            case 0: return
            case EINTR: continue
            // Zeroing finds out in its own way where the file system cannot reserve.
            case EOPNOTSUPP, ENOSYS, EINVAL: return
            default: throw DiskError(code: code, operation: .reserve)
            }
        }
    }

    public func read(
        _ file: DiskFile, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Int {
        var done = 0
        while done < buffer.count {
            // In bounds: done < buffer.count.
            let count = unsafe pread(
                file.descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
            if count > 0 {
                done += count
            } else if count == 0 {
                break
            } else if errno != EINTR {
                throw DiskError(code: errno, operation: .read)
            }
        }
        return done
    }

    public func syncData(_ file: DiskFile) throws(DiskError) {
        // Retried only when it did not run: EINTR is not a report about pages.
        try check(retrying { fdatasync(file.descriptor) }, .sync)
    }

    public func syncFile(_ file: DiskFile) throws(DiskError) {
        try check(retrying { fsync(file.descriptor) }, .sync)
    }

    public func truncate(_ file: DiskFile, to byteCount: UInt64) throws(DiskError) {
        try check(retrying { ftruncate(file.descriptor, off_t(byteCount)) }, .truncate)
    }

    public func randomBits() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }

    // MARK: Results

    @discardableResult
    private func check(_ result: Int32, _ operation: DiskOperation) throws(DiskError) -> Int32 {
        guard result >= 0 else { throw DiskError(code: errno, operation: operation) }
        return result
    }

    private func retrying(_ call: () -> Int32) -> Int32 {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }
}
