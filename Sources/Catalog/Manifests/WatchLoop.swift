// WatchLoop: the waiting half of `ManifestWatcher`, owned by its thread.

import CLinuxIO
import Glibc

final class WatchLoop: @unchecked Sendable {
    // Handed over once, from the thread that makes it to the watcher's thread, by pthread_create; never shared.

    private enum Watch {
        /// Everything in this directory counts.
        case all
        /// A directory above a root: only these names count.
        case names(Set<String>)
    }

    private static let quietMilliseconds: Int32 = 50
    private static let gatherMillisecondsMax: UInt64 = 1_000
    private static let pollMilliseconds: Int32 = 2_000
    private static let mask = UInt32(
        IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF
    )

    private let roots: [String]
    private let wake: Int32
    /// -1 while polling.
    private var inotify: Int32 = -1
    private var watches: [Int32: Watch] = [:]
    private var fingerprint = 0
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    var isPolling: Bool { inotify < 0 }

    init(directories: [String], method: ManifestWatcher.Method, wake: Int32) {
        roots = directories
        self.wake = wake
        if method == .automatic { inotify = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)) }
        if isPolling { fingerprint = Self.fingerprint(roots) } else { renewWatches() }
    }

    deinit {
        if inotify >= 0 { _ = cl_close(inotify) }
    }

    /// Returns when something changed (true) or the wake-up was rung (false).
    func waitForChange() -> Bool {
        while true {
            let woken = wait(milliseconds: isPolling ? Self.pollMilliseconds : -1) == .wakeUp
            if isPolling {
                let now = Self.fingerprint(roots)
                let isChanged = now != fingerprint
                fingerprint = now
                if isChanged || woken { return isChanged }
            } else if drain() {
                if !woken { gather() }
                renewWatches()
                return true
            } else if woken {
                return false
            }
        }
    }

    /// Waits until nothing happens for a while. A wake-up ends it: the watcher has to look why.
    private func gather() {
        let deadline = cl_now_monotonic() + Self.gatherMillisecondsMax * 1_000_000
        while cl_now_monotonic() < deadline, wait(milliseconds: Self.quietMilliseconds) == .events { _ = drain() }
    }

    private enum Reason { case wakeUp, events, time }

    /// Waits for events, the wake-up, which it silences, or the time.
    private func wait(milliseconds: Int32) -> Reason {
        var fds = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
        if inotify >= 0 { fds.append(pollfd(fd: inotify, events: Int16(POLLIN), revents: 0)) }
        // EINTR looks like the time's end: nothing happened.
        guard unsafe poll(&fds, nfds_t(fds.count), milliseconds) > 0 else { return .time }
        guard fds[0].revents != 0 else { return .events }
        _ = cl_eventfd_clear(wake)
        return .wakeUp
    }

    /// Reads all events that are there; says whether one of them counts.
    private func drain() -> Bool {
        var counts = false
        while inotify >= 0 {
            // Sound: at most buffer.count bytes are written to the buffer.
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(inotify, $0.baseAddress, $0.count) }
            if count <= 0 { break }
            if countsAny(in: buffer[..<count]) { counts = true }
        }
        return counts
    }

    /// struct inotify_event: wd (4), mask (4), cookie (4), length (4), name (length, padded with NUL); host byte order.
    private func countsAny(in events: ArraySlice<UInt8>) -> Bool {
        var counts = false
        var offset = events.startIndex
        while offset + 16 <= events.endIndex {
            let wd = Int32(bitPattern: word(events, offset))
            let mask = word(events, offset + 4)
            let nameBytes = Int(word(events, offset + 12))
            let end = offset + 16 + nameBytes
            guard end <= events.endIndex else { break }
            let name = String(decoding: events[(offset + 16)..<end].prefix { $0 != 0 }, as: UTF8.self)
            if mask & UInt32(IN_IGNORED) != 0 { watches[wd] = nil }
            if mask & UInt32(IN_Q_OVERFLOW) != 0 || isRelevant(watches[wd], mask, name) { counts = true }
            offset = end
        }
        return counts
    }

    private func isRelevant(_ watch: Watch?, _ mask: UInt32, _ name: String) -> Bool {
        let isSelf = mask & UInt32(IN_DELETE_SELF | IN_MOVE_SELF) != 0
        switch watch {
        case nil: return false
        case .names(let names): return isSelf || names.contains(name)
        // `..data` is how a volume switches versions; other names with a dot are editors' and tools' own.
        case .all: return isSelf || name.isEmpty || !name.hasPrefix(".") || name.hasPrefix("..")
        }
    }

    private func word(_ bytes: ArraySlice<UInt8>, _ offset: Int) -> UInt32 {
        let little =
            UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8 | UInt32(bytes[offset + 2]) << 16
            | UInt32(bytes[offset + 3]) << 24
        return UInt32(littleEndian: little) == little ? little : little.byteSwapped
    }

    // - the set of watches

    /// Watches what is there now. Repeats while new directories turn up: one may have been filled before it was watched.
    private func renewWatches() {
        for _ in 0..<16 {
            guard let wanted = addWatches() else { return startPolling() }
            let isGrown = wanted.keys.contains { watches[$0] == nil }
            for wd in watches.keys where wanted[wd] == nil { _ = inotify_rm_watch(inotify, wd) }
            watches = wanted
            if !isGrown { return }
        }
    }

    /// nil when the kernel refuses more watches.
    private func addWatches() -> [Int32: Watch]? {
        var wanted: [Int32: Watch] = [:]
        for (directory, name) in roots.flatMap(Self.ancestors) {
            let wd = unsafe inotify_add_watch(inotify, directory, Self.mask)
            if wd < 0, Self.isRefusal(errno) { return nil }
            // What is not there yet is waited for at the directory above it.
            guard wd >= 0 else { continue }
            switch wanted[wd] {
            case .names(let names): wanted[wd] = .names(names.union([name]))
            case .all: break
            case nil: wanted[wd] = .names([name])
            }
        }
        let scan = ManifestScan(directories: roots)
        for directory in scan.directories + scan.entries.compactMap(Self.directoryOfLink) {
            let wd = unsafe inotify_add_watch(inotify, directory, Self.mask)
            if wd < 0, Self.isRefusal(errno) { return nil }
            if wd >= 0 { wanted[wd] = .all }
        }
        return wanted
    }

    /// No watches left (/proc/sys/fs/inotify/max_user_watches), or no memory.
    private static func isRefusal(_ code: Int32) -> Bool { code == ENOSPC || code == ENOMEM || code == EBADF }

    private func startPolling() {
        _ = cl_close(inotify)
        inotify = -1
        watches = [:]
        fingerprint = Self.fingerprint(roots)
    }

    /// Each directory above `root`, with the name in it that leads to `root`.
    static func ancestors(_ root: String) -> [(directory: String, name: String)] {
        var base = root
        if !root.hasPrefix("/") {
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            guard unsafe getcwd(&buffer, buffer.count) != nil else { return [] }
            let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            base = String(decoding: bytes, as: UTF8.self) + "/" + root
        }
        var directory = ""
        var result: [(directory: String, name: String)] = []
        for name in base.split(separator: "/") where name != "." {
            result.append((directory.isEmpty ? "/" : directory, String(name)))
            directory += "/" + name
        }
        return result
    }

    /// The directory of the file that a link leads to; nil for what is no link.
    private static func directoryOfLink(_ entry: ManifestEntry) -> String? {
        var status = stat()
        guard unsafe lstat(entry.path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return nil }
        // Sound: realpath(3) with NULL gives memory that is ours to free.
        guard let resolved = unsafe realpath(entry.path, nil) else { return nil }
        defer { unsafe free(resolved) }
        let path = unsafe String(cString: resolved)
        guard let slash = path.lastIndex(of: "/") else { return nil }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Changes whenever a file, its content or its readability does.
    private static func fingerprint(_ roots: [String]) -> Int {
        var hasher = Hasher()
        for entry in ManifestScan(directories: roots).entries {
            hasher.combine(entry.path)
            switch entry.content {
            case .file(let stamp): hasher.combine(stamp)
            case .unreadable(let message): hasher.combine(message)
            }
        }
        return hasher.finalize()
    }
}
