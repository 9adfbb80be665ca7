// SimulatedDisk: a disk that keeps exactly what `Disk` promises and nothing more.
//
//   - What was written and not synced is lost, kept or torn at 512-byte sectors by `crash`, each sector for itself.
//   - Names that were created, renamed or removed since the last directory sync are as they were or as they are.
//   - A failed sync leaves some sectors written and the others *clean but not written*, as Linux does: a later good sync
//     does not bring them back, though reads show them until the crash.
//   - Faults are drawn from the seed, or asked for one by one.

import Glibc
import Journal
import Synchronization

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

// `@unchecked Sendable`: `guarded` is touched only while `lock` is held.
final class SimulatedDisk: Disk, @unchecked Sendable {
    static let sectorBytes = 512

    struct Faults {
        /// Per cent of writes that write only a part.
        var shortWritePercent = 0
        var failedWritePercent = 0
        var failedSyncPercent = 0
        /// Fails the next so many writes or syncs of files.
        var failWrites = 0
        var failSyncs = 0
        var failDirectorySyncs = 0
        var failReads = 0
        /// Sum of file sizes beyond which writes and creations get ENOSPC.
        var capacity = Int.max
        /// After so many changing operations the disk is dead: all fail until `crash`.
        var dieAfter = Int.max
    }

    private final class Node {
        var bytes: [UInt8] = []
        var durable: [UInt8] = []
        // Sectors that differ, or may differ, from what is durable.
        var dirty: Set<Int> = []
        // Clean for the kernel, but not written: a failed sync's.
        var lost: Set<Int> = []
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
        var directorySyncs = 0
        var writtenBytes = 0
    }

    private let lock = Mutex(())
    private var guarded: State

    private struct Guarded {
        let disk: SimulatedDisk

        func withLock<Result>(_ body: (inout State) -> Result) -> Result {
            var result: Result?
            disk.lock.withLock { _ in result = body(&disk.guarded) }
            return result!
        }
    }

    private var state: Guarded { Guarded(disk: self) }

    init(seed: UInt64) { guarded = State(generator: SeededGenerator(seed: seed)) }

    func withFaults(_ change: (inout Faults) -> Void) { state.withLock { change(&$0.faults) } }

    var writeCount: Int { state.withLock { $0.writes } }
    var syncCount: Int { state.withLock { $0.syncs } }
    var names: [String] { state.withLock { $0.names.keys.sorted() } }
    var openHandles: Int { state.withLock { $0.handles.count } }
    func content(_ name: String) -> [UInt8]? { state.withLock { $0.names[name]?.bytes } }

    /// Puts a file there, durable.
    func place(_ name: String, _ bytes: [UInt8]) {
        state.withLock { state in
            let node = Node()
            node.bytes = bytes
            node.durable = bytes
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
                if isPrefix { isKept = isKept && state.generator.chance(60) } else { isKept = state.generator.chance(50) }
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
            for node in names.values where seen.insert(ObjectIdentifier(node)).inserted {
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
        if node.bytes.count != node.durable.count, generator.chance(percent) {
            resize(&node.durable, to: node.bytes.count)
        }
        for sector in node.dirty.sorted() where generator.chance(percent) { copy(sector, node) }
        node.bytes = node.durable
        node.dirty = []
        node.lost = []
    }

    private static func copy(_ sector: Int, _ node: Node) {
        let start = sector * sectorBytes
        let end = min(start + sectorBytes, node.bytes.count, node.durable.count)
        if start < end { node.durable.replaceSubrange(start..<end, with: node.bytes[start..<end]) }
    }

    private static func resize(_ bytes: inout [UInt8], to count: Int) {
        if count < bytes.count {
            bytes.removeLast(bytes.count - count)
        } else {
            bytes.append(contentsOf: repeatElement(0, count: count - bytes.count))
        }
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
        var bytes: [UInt8] = []
        for index in 0..<count {
            bytes += UnsafeRawBufferPointer(start: vectors[index].iov_base, count: vectors[index].iov_len)
        }
        return try changing(.write) { state throws(DiskError) in
            guard let node = state.handles[file.descriptor] else { throw DiskError(code: EBADF, operation: .write) }
            state.writes += 1
            var kept = bytes.count
            let isShort = state.generator.chance(state.faults.shortWritePercent)
            if isShort, kept > 1 { kept = Int.random(in: 1..<kept, using: &state.generator) }
            let isFailing = state.faults.failWrites > 0 || state.generator.chance(state.faults.failedWritePercent)
            if isFailing {
                state.faults.failWrites -= state.faults.failWrites > 0 ? 1 : 0
                kept = Int.random(in: 0...kept, using: &state.generator)
            }
            let end = Int(offset) + kept
            let used = state.names.values.reduce(0) { $0 + $1.bytes.count }
            guard used + max(0, end - node.bytes.count) <= state.faults.capacity else {
                throw DiskError(code: ENOSPC, operation: .write)
            }
            if kept > 0 {
                if end > node.bytes.count { Self.resize(&node.bytes, to: end) }
                node.bytes.replaceSubrange(Int(offset)..<end, with: bytes[0..<kept])
                for sector in Int(offset) / Self.sectorBytes...(end - 1) / Self.sectorBytes {
                    node.dirty.insert(sector)
                    node.lost.remove(sector)
                }
                state.writtenBytes += kept
            }
            if isFailing { throw DiskError(code: EIO, operation: .write) }
            return kept
        }
    }

    func read(_ file: DiskFile, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
        let (bytes, isFailing) = state.withLock { state -> ([UInt8], Bool) in
            if state.isDead { return ([], true) }
            if state.faults.failReads > 0 {
                state.faults.failReads -= 1
                return ([], true)
            }
            guard let node = state.handles[file.descriptor] else { return ([], true) }
            let start = min(Int(offset), node.bytes.count)
            return (Array(node.bytes[start..<min(start + buffer.count, node.bytes.count)]), false)
        }
        if isFailing { throw DiskError(code: EIO, operation: .read) }
        buffer.copyBytes(from: bytes)
        return bytes.count
    }

    func syncData(_ file: DiskFile) throws(DiskError) { try syncFile(file) }

    func syncFile(_ file: DiskFile) throws(DiskError) {
        try changing(.sync) { state throws(DiskError) in
            guard let node = state.handles[file.descriptor] else { throw DiskError(code: EBADF, operation: .sync) }
            state.syncs += 1
            let isFailing = state.faults.failSyncs > 0 || state.generator.chance(state.faults.failedSyncPercent)
            if isFailing { state.faults.failSyncs -= state.faults.failSyncs > 0 ? 1 : 0 }
            if !isFailing, node.bytes.count != node.durable.count { Self.resize(&node.durable, to: node.bytes.count) }
            for sector in node.dirty.sorted() {
                if !isFailing || state.generator.chance(50) {
                    Self.copy(sector, node)
                } else {
                    node.lost.insert(sector)
                }
            }
            node.dirty = []
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
            Self.resize(&node.bytes, to: Int(byteCount))
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
