// SimulatedDisk: a disk that keeps exactly what `Disk` promises and nothing more.
//
//   - What was written and not synced is lost, kept or torn at 512-byte sectors by `crash`, each sector for itself.
//   - Names that were created, renamed or removed since the last directory sync are as they were or as they are.
//   - A failed sync leaves some sectors written and the others *clean but not written*, as Linux does: a later good sync
//     does not bring them back, though reads show them until the crash.
//   - Faults are drawn from the seed, or asked for one by one.

import Glibc
import Journal

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

final class SimulatedDisk: Disk {
    static let sectorBytes = 512

    struct Faults {
        /// Per cent of writes that write only a part.
        var shortWritePercent = 0
        var failedWritePercent = 0
        var failedSyncPercent = 0
        var failedReadPercent = 0
        /// Fails the next so many writes or syncs of files.
        var failWrites = 0
        var failSyncs = 0
        var failDirectorySyncs = 0
        var failReads = 0
        /// Sum of file sizes beyond which writes and creations get ENOSPC.
        var capacity = Int.max
        /// After so many changing operations the disk is dead: all fail until `crash`.
        var dieAfter = Int.max
        /// The changing operation, and the read, of this number fails, once and without an effect.
        var failChangeAt = Int.max
        var failReadAt = Int.max
        /// How many reads from there on.
        var failReadCount = 1
        var failCode = EIO
        /// Bytes of files that cannot be read.
        var unreadable: [String: Range<Int>] = [:]
    }

    /// What a file shows, and what of it would survive. By memcpy and memset, so that debug builds are fast enough.
    private final class Node {
        private(set) var bytes: [UInt8] = []
        private(set) var durable: [UInt8] = []
        // One per sector; 1: written since the last sync.
        private var dirty: [UInt8] = []

        init() {}

        init(durable: [UInt8]) {
            bytes = durable
            self.durable = durable
            dirty = Self.resized([], to: Self.sectors(durable.count))
        }

        static func sectors(_ count: Int) -> Int { (count + sectorBytes - 1) / sectorBytes }

        private static func resized(_ bytes: [UInt8], to count: Int) -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                memset(buffer.baseAddress!, 0, count)
                bytes.withUnsafeBytes {
                    _ = $0.isEmpty ? nil : memcpy(buffer.baseAddress!, $0.baseAddress!, min($0.count, count))
                }
                initialized = count
            }
        }

        func resize(to count: Int) {
            guard count != bytes.count else { return }
            bytes = count == 0 ? [] : Self.resized(bytes, to: count)
            dirty = count == 0 ? [] : Self.resized(dirty, to: Self.sectors(count))
        }

        func resizeDurable() {
            if durable.count != bytes.count { durable = bytes.isEmpty ? [] : Self.resized(durable, to: bytes.count) }
        }

        func write(_ source: UnsafeRawPointer, _ count: Int, at offset: Int) {
            guard count > 0 else { return }
            if offset + count > bytes.count { resize(to: offset + count) }
            bytes.withUnsafeMutableBytes { _ = memcpy($0.baseAddress! + offset, source, count) }
            let first = offset / sectorBytes
            dirty.withUnsafeMutableBytes {
                _ = memset($0.baseAddress! + first, 1, (offset + count - 1) / sectorBytes - first + 1)
            }
        }

        /// Makes what is dirty durable, each sector for which `isWritten` holds; all sectors are clean afterwards.
        func clean(_ isWritten: () -> Bool) {
            for sector in 0..<dirty.count where dirty[sector] != 0 {
                dirty[sector] = 0
                let start = sector * sectorBytes
                let end = min(start + sectorBytes, bytes.count, durable.count)
                guard start < end, isWritten() else { continue }
                bytes.withUnsafeBytes { from in
                    durable.withUnsafeMutableBytes { to in
                        _ = memcpy(to.baseAddress! + start, from.baseAddress! + start, end - start)
                    }
                }
            }
        }

        /// What was not written is gone.
        func revert() {
            bytes = durable
            dirty = Self.resized([], to: Self.sectors(durable.count))
        }
    }

    private enum NameChange {
        case link(String, Node)
        case rename(String, String)
        case unlink(String)
    }

    private struct State {
        var generator: SeededGenerator
        var faults = Faults()
        var names: [String: Node] = [:]
        var durableNames: [String: Node] = [:]
        var changes: [NameChange] = []
        var handles: [Int32: Node] = [:]
        var nextHandle: Int32 = 100
        var isLocked = false
        var isDead = false
        var writes = 0
        var syncs = 0
        var reads = 0
        var hadReadFaults = false
        var directorySyncs = 0
    }

    private let state: Locked<State>

    init(seed: UInt64) { state = Locked(State(generator: SeededGenerator(seed: seed))) }

    func withFaults<Result>(_ change: (inout Faults) -> Result) -> Result { state.withLock { change(&$0.faults) } }

    var writeCount: Int { state.withLock { $0.writes } }
    var syncCount: Int { state.withLock { $0.syncs } }
    var readCount: Int { state.withLock { $0.reads } }
    var names: [String] { state.withLock { $0.names.keys.sorted() } }
    /// It died, and answers nothing until `crash` or `kill`.
    var isGone: Bool { state.withLock { $0.isDead } }
    var usedBytes: Int { state.withLock { $0.names.values.reduce(0) { $0 + $1.bytes.count } } }
    var openHandles: Int { state.withLock { $0.handles.count } }
    func content(_ name: String) -> [UInt8]? { state.withLock { $0.names[name]?.bytes } }

    /// The file of a segment.
    func name(ofSegment number: UInt64) -> String? {
        names.first { UInt64($0.prefix(16), radix: 16) == number && !$0.hasSuffix(".preparing") }
    }

    /// A read failed by chance since `forgetReadFaults`.
    var hadReadFaults: Bool { state.withLock { $0.hadReadFaults } }

    func forgetReadFaults() {
        state.withLock { state in
            state.hadReadFaults = false
            state.faults.failedReadPercent = 0
        }
    }

    /// No read fails by chance meanwhile.
    func reliably<Result>(_ body: () -> Result) -> Result {
        let percent = state.withLock { state in
            defer { state.faults.failedReadPercent = 0 }
            return state.faults.failedReadPercent
        }
        defer { state.withLock { $0.faults.failedReadPercent = percent } }
        return body()
    }

    /// Whether these bytes would be there after the worst crash that can come now.
    func holdsDurably(_ text: [UInt8]) -> Bool { state.withLock { Self.holds(text, $0.durableNames, \.durable) } }

    /// Whether these bytes stand in any file.
    func holds(_ text: [UInt8]) -> Bool { state.withLock { Self.holds(text, $0.names, \.bytes) } }

    private static func holds(_ text: [UInt8], _ names: [String: Node], _ part: KeyPath<Node, [UInt8]>) -> Bool {
        // The newest first: there it mostly is.
        names.sorted(by: { $0.key > $1.key }).contains { _, node in
            node[keyPath: part].withUnsafeBytes { bytes in
                guard var place = bytes.baseAddress, let first = text.first else { return false }
                let end = place + bytes.count
                while end - place >= text.count, let found = memchr(place, Int32(first), end - place - text.count + 1) {
                    if memcmp(found, text, text.count) == 0 { return true }
                    place = UnsafeRawPointer(found) + 1
                }
                return false
            }
        }
    }

    /// Puts a file there, durable.
    func place(_ name: String, _ bytes: [UInt8]) {
        state.withLock { state in
            let node = Node(durable: bytes)
            state.names[name] = node
            state.durableNames[name] = node
        }
    }

    /// The process is killed: the page cache stays.
    func kill() {
        state.withLock { state in
            state.handles = [:]
            state.isLocked = false
            state.isDead = false
            state.faults = Faults()
        }
    }

    /// The power fails.
    func crash() {
        state.withLock { state in
            var names = state.durableNames
            // Mostly a prefix, as a journaling file system keeps it; sometimes any subset.
            let isPrefix = state.generator.chance(70)
            var isKept = true
            for change in state.changes {
                if isPrefix {
                    isKept = isKept && state.generator.chance(60)
                } else {
                    isKept = state.generator.chance(50)
                }
                guard isKept else { continue }
                switch change {
                case .link(let name, let node): names[name] = node
                case .rename(let old, let new):
                    guard let node = names.removeValue(forKey: old) else { continue }
                    names[new] = node
                case .unlink(let name): names[name] = nil
                }
            }
            state.changes = []
            var seen: Set<ObjectIdentifier> = []
            // In the order of names, so that a seed means the same in every process.
            for (_, node) in names.sorted(by: { $0.key < $1.key })
            where seen.insert(ObjectIdentifier(node)).inserted {
                Self.settle(node, &state.generator)
            }
            state.names = names
            state.durableNames = names
            state.handles = [:]
            state.isLocked = false
            state.isDead = false
            state.faults = Faults()
        }
    }

    private static func settle(_ node: Node, _ generator: inout SeededGenerator) {
        // All, none or some of what was dirty is there.
        let percent = [0, 100, 50, 90][Int.random(in: 0..<4, using: &generator)]
        if node.bytes.count != node.durable.count, generator.chance(percent) { node.resizeDurable() }
        node.clean { generator.chance(percent) }
        node.revert()
    }

    // MARK: Disk

    func open(_ access: DiskAccess) throws(DiskError) {
        guard access == .exclusive else { return }
        let isFree = state.withLock { state in
            defer { state.isLocked = true }
            return !state.isLocked
        }
        guard isFree else { throw DiskError(code: EWOULDBLOCK, operation: .lock) }
    }

    func close() { state.withLock { $0.isLocked = false } }

    func list() throws(DiskError) -> [DiskEntry] {
        state.withLock { state in
            state.names.map { DiskEntry(name: $0.key, byteCount: UInt64($0.value.bytes.count)) }
        }
    }

    func create(_ name: String) throws(DiskError) -> DiskFile {
        try changing(.create) { state throws(DiskError) in
            guard state.names[name] == nil else { throw DiskError(code: EEXIST, operation: .create) }
            let used = state.names.values.reduce(0) { $0 + $1.bytes.count }
            guard used < state.faults.capacity else { throw DiskError(code: ENOSPC, operation: .create) }
            let node = Node()
            state.names[name] = node
            state.changes.append(.link(name, node))
            return Self.makeHandle(node, &state)
        }
    }

    func open(_ name: String, writable: Bool) throws(DiskError) -> DiskFile {
        try locked { state throws(DiskError) in
            guard !state.isDead else { throw DiskError(code: EIO, operation: .open) }
            guard let node = state.names[name] else { throw DiskError(code: ENOENT, operation: .open) }
            return Self.makeHandle(node, &state)
        }
    }

    private static func makeHandle(_ node: Node, _ state: inout State) -> DiskFile {
        state.nextHandle += 1
        state.handles[state.nextHandle] = node
        return DiskFile(descriptor: state.nextHandle)
    }

    func close(_ file: DiskFile) { state.withLock { $0.handles[file.descriptor] = nil } }

    func write(
        _ vectors: UnsafePointer<iovec>, count: Int, to file: DiskFile, at offset: UInt64
    ) throws(DiskError) -> Int {
        precondition(count > 0 && count <= IOVectorLimit.max)
        let total = (0..<count).reduce(0) { $0 + vectors[$1].iov_len }
        return try changing(.write) { state throws(DiskError) in
            guard let node = state.handles[file.descriptor] else { throw DiskError(code: EBADF, operation: .write) }
            state.writes += 1
            var kept = total
            let isShort = state.generator.chance(state.faults.shortWritePercent)
            if isShort, kept > 1 { kept = Int.random(in: 1..<kept, using: &state.generator) }
            let isFailing = state.faults.failWrites > 0 || state.generator.chance(state.faults.failedWritePercent)
            if isFailing {
                state.faults.failWrites -= state.faults.failWrites > 0 ? 1 : 0
                kept = Int.random(in: 0...kept, using: &state.generator)
            }
            let growth = max(0, Int(offset) + kept - node.bytes.count)
            let used = state.names.values.reduce(0) { $0 + $1.bytes.count }
            guard used + growth <= state.faults.capacity else { throw DiskError(code: ENOSPC, operation: .write) }
            if growth > 0 { node.resize(to: Int(offset) + kept) }
            var position = Int(offset)
            for index in 0..<count {
                let length = min(vectors[index].iov_len, Int(offset) + kept - position)
                guard length > 0 else { break }
                node.write(vectors[index].iov_base, length, at: position)
                position += length
            }
            if isFailing { throw DiskError(code: EIO, operation: .write) }
            return kept
        }
    }

    func reserve(_ file: DiskFile, byteCount: UInt64) throws(DiskError) {
        try changing(.reserve) { state throws(DiskError) in
            guard let node = state.handles[file.descriptor] else { throw DiskError(code: EBADF, operation: .reserve) }
            let used = state.names.values.reduce(0) { $0 + $1.bytes.count }
            guard used + max(0, Int(byteCount) - node.bytes.count) <= state.faults.capacity else {
                throw DiskError(code: ENOSPC, operation: .reserve)
            }
        }
    }

    func read(_ file: DiskFile, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int
    {
        let result = state.withLock { state -> Int? in
            if state.isDead { return nil }
            state.reads += 1
            if state.faults.failReadAt != Int.max {
                state.faults.failReadAt -= 1
                if state.faults.failReadAt < 0 {
                    state.faults.failReadCount -= 1
                    if state.faults.failReadCount == 0 { state.faults.failReadAt = Int.max }
                    return nil
                }
            }
            if state.faults.failReads > 0 {
                state.faults.failReads -= 1
                return nil
            }
            if state.faults.failedReadPercent > 0, state.generator.chance(state.faults.failedReadPercent) {
                state.hadReadFaults = true
                return nil
            }
            guard let node = state.handles[file.descriptor] else { return nil }
            let asked = Int(offset)..<Int(offset) + buffer.count
            let isUnreadable = state.faults.unreadable.contains {
                state.names[$0.key] === node && $0.value.overlaps(asked)
            }
            if isUnreadable { return nil }
            let start = min(Int(offset), node.bytes.count)
            let length = min(buffer.count, node.bytes.count - start)
            if length > 0 {
                node.bytes.withUnsafeBytes { _ = memcpy(buffer.baseAddress!, $0.baseAddress! + start, length) }
            }
            return length
        }
        guard let result else { throw DiskError(code: EIO, operation: .read) }
        return result
    }

    func syncData(_ file: DiskFile) throws(DiskError) { try syncFile(file) }

    func syncFile(_ file: DiskFile) throws(DiskError) {
        try changing(.sync) { state throws(DiskError) in
            guard let node = state.handles[file.descriptor] else { throw DiskError(code: EBADF, operation: .sync) }
            state.syncs += 1
            let isFailing = state.faults.failSyncs > 0 || state.generator.chance(state.faults.failedSyncPercent)
            if isFailing { state.faults.failSyncs -= state.faults.failSyncs > 0 ? 1 : 0 }
            if !isFailing { node.resizeDurable() }
            node.clean { !isFailing || state.generator.chance(50) }
            if isFailing { throw DiskError(code: EIO, operation: .sync) }
        }
    }

    func syncDirectory() throws(DiskError) {
        try changing(.syncDirectory) { state throws(DiskError) in
            state.directorySyncs += 1
            if state.faults.failDirectorySyncs > 0 {
                state.faults.failDirectorySyncs -= 1
                throw DiskError(code: EIO, operation: .syncDirectory)
            }
            state.durableNames = state.names
            state.changes = []
        }
    }

    func rename(_ name: String, to newName: String) throws(DiskError) {
        try changing(.rename) { state throws(DiskError) in
            guard let node = state.names.removeValue(forKey: name) else {
                throw DiskError(code: ENOENT, operation: .rename)
            }
            precondition(state.names[newName] == nil, "the store renames over \(newName)")
            state.names[newName] = node
            state.changes.append(.rename(name, newName))
        }
    }

    func remove(_ name: String) throws(DiskError) {
        try changing(.remove) { state throws(DiskError) in
            guard state.names.removeValue(forKey: name) != nil else {
                throw DiskError(code: ENOENT, operation: .remove)
            }
            state.changes.append(.unlink(name))
        }
    }

    func truncate(_ file: DiskFile, to byteCount: UInt64) throws(DiskError) {
        try changing(.truncate) { state throws(DiskError) in
            guard let node = state.handles[file.descriptor] else { throw DiskError(code: EBADF, operation: .truncate) }
            node.resize(to: Int(byteCount))
        }
    }

    func randomBits() -> UInt64 { state.withLock { $0.generator.next() } }

    // MARK: Dying

    /// Runs a changing operation, unless the disk is dead or dies at it.
    private func changing<Result>(
        _ operation: DiskOperation, _ body: (inout State) throws(DiskError) -> Result
    ) throws(DiskError) -> Result {
        try locked { state throws(DiskError) in
            if !state.isDead, state.faults.dieAfter != Int.max {
                state.faults.dieAfter -= 1
                if state.faults.dieAfter < 0 { state.isDead = true }
            }
            guard !state.isDead else { throw DiskError(code: EIO, operation: operation) }
            if state.faults.failChangeAt != Int.max {
                state.faults.failChangeAt -= 1
                if state.faults.failChangeAt < 0 {
                    state.faults.failChangeAt = Int.max
                    throw DiskError(code: state.faults.failCode, operation: operation)
                }
            }
            return try body(&state)
        }
    }

    private func locked<Result>(_ body: (inout State) throws(DiskError) -> Result) throws(DiskError) -> Result {
        var result: Swift.Result<Result, DiskError>?
        state.withLock { state in
            do throws(DiskError) {
                result = .success(try body(&state))
            } catch {
                result = .failure(error)
            }
        }
        return try result!.get()
    }
}
