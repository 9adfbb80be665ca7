// SegmentPreparation: makes segments out of nothing or out of old ones, and removes old ones.
//
// Only a file that is complete, zeroed or recycled, and synced, name included, is ever written to: growing a file
// during a commit would make each fdatasync write metadata as well (five times slower where we measured it).
//
//   create    N.preparing: zeros to the full size, identity; fsync; rename to N.segment; fsync of the directory
//   recycle   rename K.segment to N.preparing; fsync of the directory; only then the new identity over the old one (a
//             new incarnation, and an empty start); fsync; rename to N.segment; fsync of the directory
//   remove    unlink K.segment; fsync of the directory
//   keep      rename K.segment to K.kept; fsync of the directory
//
// Recycling needs both directory syncs. Were the old name still there after a power cut while its successors had been
// dropped already, old deliveries would come back without the outcomes that settled them. With one job at a time,
// oldest segment first, each durable before the next begins, what is left of the log is always its newest part. What a
// crash leaves as N.preparing is removed at the next start.

import Glibc

/// A segment ready to be written to.
struct PreparedSegment: Sendable {
    var number: UInt64
    var incarnation: UInt64
    var fileBytes: UInt64
    var file: DiskFile
}

struct PreparationJob: Sendable {
    enum Kind: Sendable {
        case create(number: UInt64, bytes: UInt64)
        case recycle(_ name: String, number: UInt64, bytes: UInt64)
        case remove(_ name: String)
        case keep(number: UInt64)
    }

    var kind: Kind
    var formatVersion: UInt32
    var dedupeKey: DedupeKey
    var nowUnixNanoseconds: UInt64
}

enum PreparationResult: Sendable {
    case prepared(PreparedSegment, isRecycled: Bool)
    case removed(String)
    case kept(UInt64)
    /// `lostSource`: the segment to recycle or remove is not there any more all the same.
    case failed(PreparationJob, DiskError, lostSource: Bool)
}

/// The work itself; no thread, no state.
struct SegmentPreparation {
    let disk: any Disk
    let checksum: Checksummer

    private static let chunkBytes = 1 << 20
    // Synced in steps, so that zeroing never leaves the disk a long queue in front of a commit's sync.
    private static let chunksPerSync = 8

    func run(_ job: PreparationJob) -> PreparationResult {
        switch job.kind {
        case .create(let number, let bytes):
            do throws(DiskError) {
                return .prepared(try create(number, bytes, job), isRecycled: false)
            } catch {
                discard(number)
                return .failed(job, error, lostSource: false)
            }
        case .recycle(let source, let number, let bytes):
            do throws(DiskError) {
                try settleNames()
                try disk.rename(source, to: SegmentFileName.preparing(number))
            } catch {
                return .failed(job, error, lostSource: error.code == ENOENT)
            }
            do throws(DiskError) {
                try disk.syncDirectory()
                return .prepared(try recycle(number, bytes, job), isRecycled: true)
            } catch {
                discard(number)
                return .failed(job, error, lostSource: true)
            }
        case .remove(let name):
            do throws(DiskError) {
                try settleNames()
                try disk.remove(name)
            } catch {
                return .failed(job, error, lostSource: error.code == ENOENT)
            }
            do throws(DiskError) {
                try disk.syncDirectory()
                return .removed(name)
            } catch {
                return .failed(job, error, lostSource: true)
            }
        case .keep(let number):
            do throws(DiskError) {
                try settleNames()
                try disk.rename(SegmentFileName.segment(number), to: SegmentFileName.kept(number))
            } catch {
                return .failed(job, error, lostSource: false)
            }
            do throws(DiskError) {
                try disk.syncDirectory()
                return .kept(number)
            } catch {
                // The file must have the name that the writer knows it by.
                do throws(DiskError) {
                    try disk.rename(SegmentFileName.kept(number), to: SegmentFileName.segment(number))
                    return .failed(job, error, lostSource: false)
                } catch {
                    return .kept(number)
                }
            }
        }
    }

    /// An older segment whose directory sync failed may come back after a power cut; no younger one may go before that is
    /// settled.
    private func settleNames() throws(DiskError) {
        try disk.syncDirectory()
    }

    /// Writes a new identity and an empty start over the header of `file`, and syncs.
    func renew(_ file: DiskFile, _ identity: SegmentIdentity) throws(DiskError) {
        try writeHeader(file, identity)
        try disk.syncFile(file)
    }

    private func create(_ number: UInt64, _ bytes: UInt64, _ job: PreparationJob) throws(DiskError) -> PreparedSegment {
        let file = try disk.create(SegmentFileName.preparing(number))
        let identity = identity(number, bytes, job)
        do throws(DiskError) {
            // First all of the space: a disk that is nearly full is not filled to the brim in vain.
            try disk.reserve(file, byteCount: bytes)
            try zero(file, bytes)
            try writeHeader(file, identity)
            try finish(file, number)
        } catch {
            disk.close(file)
            throw error
        }
        return PreparedSegment(number: number, incarnation: identity.incarnation, fileBytes: bytes, file: file)
    }

    private func recycle(_ number: UInt64, _ bytes: UInt64, _ job: PreparationJob) throws(DiskError) -> PreparedSegment
    {
        let file = try disk.open(SegmentFileName.preparing(number), writable: true)
        let identity = identity(number, bytes, job)
        do throws(DiskError) {
            try writeHeader(file, identity)
            try finish(file, number)
        } catch {
            disk.close(file)
            throw error
        }
        return PreparedSegment(number: number, incarnation: identity.incarnation, fileBytes: bytes, file: file)
    }

    private func finish(_ file: DiskFile, _ number: UInt64) throws(DiskError) {
        try disk.syncFile(file)
        try disk.rename(SegmentFileName.preparing(number), to: SegmentFileName.segment(number))
        try disk.syncDirectory()
    }

    private func identity(_ number: UInt64, _ bytes: UInt64, _ job: PreparationJob) -> SegmentIdentity {
        SegmentIdentity(
            version: job.formatVersion, segmentBytes: bytes, incarnation: disk.newIncarnation(), number: number,
            createdUnixNanoseconds: job.nowUnixNanoseconds, dedupeKey: job.dedupeKey)
    }

    private func zero(_ file: DiskFile, _ bytes: UInt64) throws(DiskError) {
        let chunkBytes = min(Self.chunkBytes, Int(bytes))
        let chunk = UnsafeMutableRawPointer.allocate(byteCount: chunkBytes, alignment: 4096)
        defer { unsafe chunk.deallocate() }
        unsafe chunk.initializeMemory(as: UInt8.self, repeating: 0, count: chunkBytes)
        var offset: UInt64 = 0
        var vectors = VectorWriter(capacity: 1)
        var chunks = 0
        while offset < bytes {
            let count = Int(min(UInt64(chunkBytes), bytes - offset))
            unsafe vectors.append(UnsafeRawBufferPointer(start: chunk, count: count))
            try vectors.write(to: file, at: offset, disk: disk)
            offset += UInt64(count)
            chunks += 1
            if chunks % Self.chunksPerSync == 0 { try disk.syncData(file) }
        }
    }

    private func writeHeader(_ file: DiskFile, _ identity: SegmentIdentity) throws(DiskError) {
        let bytes = JournalFormat.segmentHeaderBytes
        let page = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
        defer { unsafe page.deallocate() }
        unsafe page.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        unsafe identity.encode(into: ByteWriter(page, count: bytes), checksum: checksum)
        var vectors = VectorWriter(capacity: 1)
        unsafe vectors.append(UnsafeRawBufferPointer(start: page, count: bytes))
        try vectors.write(to: file, at: 0, disk: disk)
    }

    /// What is left of a failed preparation; if it stays, the next start removes it or finds it unstarted.
    private func discard(_ number: UInt64) {
        try? disk.remove(SegmentFileName.preparing(number))
        try? disk.remove(SegmentFileName.segment(number))
    }
}

extension Disk {
    /// Random and never 0: zeros must not look like a record.
    func newIncarnation() -> UInt64 {
        while true {
            let bits = randomBits()
            if bits != 0 { return bits }
        }
    }
}
