// What the journal's tests share.

import Glibc
import Journal

/// CRC-32 as zlib's, from a table: slow, and right.
nonisolated(unsafe) private let table: UnsafePointer<UInt32> = {
    let table = UnsafeMutablePointer<UInt32>.allocate(capacity: 256)
    for byte in 0..<256 {
        var value = UInt32(byte)
        for _ in 0..<8 { value = value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
        table[byte] = value
    }
    return UnsafePointer(table)
}()

let tableChecksum: Checksum = { seed, bytes, count in
    guard let bytes else { return seed }
    let table = table
    var value = ~seed
    var position = 0
    while position < count {
        let byte = bytes.load(fromByteOffset: position, as: UInt8.self)
        value = table[Int(truncatingIfNeeded: (value ^ UInt32(truncatingIfNeeded: byte)) & 0xFF)] ^ value &>> 8
        position &+= 1
    }
    return ~value
}

func crc(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { tableChecksum(0, $0.baseAddress, $0.count) } }

/// Seconds as Unix nanoseconds.
func seconds(_ value: Int) -> UInt64 { UInt64(value) * 1_000_000_000 }

/// Keeps what was appended alive until its group is committed, whatever the test does with it: the latest 4096, where a group
/// has some dozens.
private let appended = Locked<(kept: [TestDelivery?], next: Int)>((Array(repeating: nil, count: 4096), 0))

/// A delivery with bytes of its own. `@unchecked Sendable` for `appended`, which only holds it: one test uses it.
final class TestDelivery: @unchecked Sendable {
    let head: [UInt8]
    let body: [UInt8]
    var cluster = "local"
    var namespace = "team-a"
    var name = "webapp"
    var deliveryID = ""
    var eventName = "push"
    var decision = Decision.accepted
    var ignoredReason: UInt8 = 0
    var receivedAt = seconds(1000)
    var hash = DedupeHash.none
    var windowSeconds: UInt32 = 0
    var fingerprint: UInt64 = 7
    var token: UInt64 = 0

    init(head: [UInt8] = Array("POST / HTTP/1.1\r\n\r\n".utf8), body: [UInt8] = Array("{}".utf8)) {
        self.head = head
        self.body = body
    }

    init(_ text: String) {
        head = Array("POST /hooks HTTP/1.1\r\nhost: x\r\n\r\n".utf8)
        body = Array(text.utf8)
    }

    func identified(_ id: String, by writer: JournalWriter, window: UInt32 = 600) -> TestDelivery {
        deliveryID = id
        windowSeconds = window
        hash = Array("route".utf8).withUnsafeBytes { route in
            Array(id.utf8).withUnsafeBytes { writer.dedupeKey.hash(route: route, deliveryID: $0) }
        }
        return self
    }

    /// Appends it. Head and body stay where they are as long as `self` lives.
    func append(to writer: JournalWriter) -> AppendResult {
        appended.withLock { appended in
            appended.kept[appended.next] = self
            appended.next = (appended.next + 1) % appended.kept.count
        }
        var append = DeliveryAppend()
        append.bodyChecksum = crc(body)
        append.receiverKind = 2
        append.senderType = 3
        append.decision = decision
        append.ignoredReason = ignoredReason
        append.receivedAtUnixNanoseconds = receivedAt
        append.dedupeKeyHigh = hash.high
        append.dedupeKeyLow = hash.low
        append.dedupeWindowSeconds = windowSeconds
        append.routeFingerprint = fingerprint
        append.routeToken = token
        // The array's storage does not move while the array lives and is not changed: `head` and `body` are constants.
        append.head = head.withUnsafeBytes { $0 }
        append.body = body.withUnsafeBytes { $0 }
        let texts = [cluster, namespace, name, deliveryID, eventName].map { Array($0.utf8) }
        return texts[0].withUnsafeBytes { cluster in
            texts[1].withUnsafeBytes { namespace in
                texts[2].withUnsafeBytes { name in
                    texts[3].withUnsafeBytes { id in
                        texts[4].withUnsafeBytes { event in
                            append.cluster = cluster
                            append.namespace = namespace
                            append.name = name
                            append.deliveryID = id
                            append.eventName = event
                            return writer.append(append)
                        }
                    }
                }
            }
        }
    }
}

extension JournalOptions {
    /// 64 KiB segments, prepared in the caller.
    static func small(
        maxBytes: UInt64 = 512 << 10, durability: Durability = .sync, namespaceShare: Double = 1,
        maxAgeSeconds: UInt64 = 7 * 24 * 3600
    ) -> JournalOptions {
        JournalOptions(
            maxBytes: maxBytes, maxAgeSeconds: maxAgeSeconds, durability: durability, segmentBytes: 64 << 10,
            firstSegmentBytes: 48 << 10, namespaceShare: namespaceShare, preparesInBackground: false)
    }
}

func openJournal(
    _ disk: any Disk, _ options: JournalOptions = .small(), now: UInt64 = seconds(1000)
) throws -> (JournalWriter, RecoveryReport) {
    try JournalWriter.open(options: options, disk: disk, checksum: tableChecksum, now: now)
}

/// Appends and commits; the sequence.
@discardableResult
func store(_ delivery: TestDelivery, in writer: JournalWriter, now: UInt64 = seconds(1000)) throws -> UInt64 {
    let result = delivery.append(to: writer)
    guard case .durable = writer.commit(now: now) else { throw TestFailure.notDurable }
    switch result {
    case .appended(let sequence), .duplicate(_, let sequence): return sequence
    case .refused: throw TestFailure.refused
    }
}

enum TestFailure: Error { case notDurable, refused }

/// How many seeds to run: GRAPNEL_SEEDS, or `quick`. GRAPNEL_SEED runs that one alone.
func seeds(quick: Int) -> [UInt64] {
    if let one = getenv("GRAPNEL_SEED"), let seed = UInt64(String(cString: one)) { return [seed] }
    let count = getenv("GRAPNEL_SEEDS").flatMap { Int(String(cString: $0)) } ?? quick
    return (0..<UInt64(count)).map { $0 }
}
