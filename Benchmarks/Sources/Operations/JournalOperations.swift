// Journal: appending the deliveries of a turn and committing them: on a disk that costs nothing (what the room itself
// costs) and on the real one, with its fdatasync.

import CCrypto
import Glibc
import Journal
import Synchronization

func journalOperations() -> [Operation] {
    [1, 16, 64].map { append(batch: $0, disk: "no disk") { NoDisk() } }
        + [1, 64].map { append(batch: $0, disk: "the real disk") { nil } }
}

private func append(batch: Int, disk name: String, _ disk: @escaping () -> (any Disk)?) -> Operation {
    Operation("Journal: append and commit \(batch) of 8 KiB, \(name)") {
        let head = UnsafeRawBufferPointer(pinned(Samples.pushHead))
        let body = UnsafeRawBufferPointer(pinned(Samples.pushBody))
        let cluster = UnsafeRawBufferPointer(pinned(Array("local".utf8)))
        let namespace = UnsafeRawBufferPointer(pinned(Array("team-a".utf8)))
        let route = UnsafeRawBufferPointer(pinned(Array("webapp".utf8)))
        let id = UnsafeRawBufferPointer(pinned(Array("72d3162e-cc78-11e3-81ab-4c9367dc0958".utf8)))
        let event = UnsafeRawBufferPointer(pinned(Array("push".utf8)))
        var options = JournalOptions(maxBytes: 512 << 20)
        options.directory = temporaryDirectory()
        guard
            let (writer, _) = try? JournalWriter.open(
                options: options, disk: disk(), checksum: { cc_crc32($0, $1, $2) }, now: nanoseconds())
        else { preconditionFailure("the journal does not open in \(options.directory)") }
        var number: UInt64 = 0
        return { count in
            for _ in 0..<count {
                let now = nanoseconds()
                for _ in 0..<batch {
                    number &+= 1
                    var delivery = DeliveryAppend()
                    delivery.cluster = cluster
                    delivery.namespace = namespace
                    delivery.name = route
                    delivery.deliveryID = id
                    delivery.eventName = event
                    delivery.head = head
                    delivery.body = body
                    delivery.bodyChecksum = cc_crc32(0, body.baseAddress, body.count)
                    delivery.decision = .stored
                    delivery.receivedAtUnixNanoseconds = now
                    delivery.dedupeKeyHigh = number
                    delivery.dedupeKeyLow = number &* 0x9e37_79b9_7f4a_7c15
                    delivery.dedupeWindowSeconds = 60
                    guard case .appended = writer.append(delivery) else {
                        preconditionFailure("a delivery was not taken")
                    }
                }
                guard case .durable = writer.commit(now: now) else { preconditionFailure("a commit failed") }
            }
            writer.tick(now: nanoseconds())
        }
    }
}

private func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// A new directory below TMPDIR, which `run.sh` removes.
private func temporaryDirectory() -> String {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/grapnel-bench-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { preconditionFailure("no temporary directory in \(parent)") }
    return String(cString: made)
}

/// A disk whose writes and syncs succeed at once and keep nothing but names and sizes.
private final class NoDisk: Disk {
    private struct Files {
        var names: [String: Int32] = [:]
        var sizes: [Int32: UInt64] = [:]
        var next: Int32 = 1
    }

    private let files = Mutex(Files())

    func open(_ access: DiskAccess) throws(DiskError) {}
    func close() {}
    func list() throws(DiskError) -> [DiskEntry] {
        files.withLock { files in
            files.names.map { DiskEntry(name: $0.key, byteCount: files.sizes[$0.value] ?? 0) }
        }
    }
    func create(_ name: String) throws(DiskError) -> DiskFile {
        files.withLock { files in
            files.names[name] = files.next
            files.sizes[files.next] = 0
            files.next += 1
            return DiskFile(descriptor: files.next - 1)
        }
    }
    func open(_ name: String, writable: Bool) throws(DiskError) -> DiskFile {
        guard let descriptor = files.withLock({ $0.names[name] }) else {
            throw DiskError(code: ENOENT, operation: .open)
        }
        return DiskFile(descriptor: descriptor)
    }
    func close(_ file: DiskFile) {}
    func write(
        _ vectors: UnsafePointer<iovec>, count: Int, to file: DiskFile, at offset: UInt64
    ) throws(DiskError) -> Int {
        var sum = 0
        for index in 0..<count { sum += vectors[index].iov_len }
        return sum
    }
    func reserve(_ file: DiskFile, byteCount: UInt64) throws(DiskError) {}

    func read(_ file: DiskFile, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int
    {
        0
    }
    func syncData(_ file: DiskFile) throws(DiskError) {}
    func syncFile(_ file: DiskFile) throws(DiskError) {}
    func syncDirectory() throws(DiskError) {}
    func rename(_ name: String, to newName: String) throws(DiskError) {
        files.withLock { $0.names[newName] = $0.names.removeValue(forKey: name) }
    }
    func remove(_ name: String) throws(DiskError) { files.withLock { $0.names[name] = nil } }
    func truncate(_ file: DiskFile, to byteCount: UInt64) throws(DiskError) {
        files.withLock { $0.sizes[file.descriptor] = byteCount }
    }
    func randomBits() -> UInt64 { .random(in: .min ... .max) }
}
