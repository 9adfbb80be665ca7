// SampleJournal: a journal on a simulated disk, filled record by record, for those who read it.

import CCrypto
import Delivery
import Journal
import Testing

@testable import Grapnel

final class SampleJournal {
    static let second: UInt64 = 1_000_000_000

    let writer: JournalWriter
    let disk: SimulatedDisk
    /// Nanoseconds since 1970; moves only when it is set.
    var now: UInt64 = 1_800_000_000 * SampleJournal.second
    private(set) var last: UInt64 = 0

    init(seed: UInt64 = 1, maxBytes: UInt64 = 16 << 20) throws {
        disk = SimulatedDisk(seed: seed)
        (writer, _) = try JournalWriter.open(
            options: JournalOptions(
                maxBytes: maxBytes, segmentBytes: 1 << 20, firstSegmentBytes: 256 << 10, recordBytesMax: 256 << 10,
                preparesInBackground: false),
            disk: disk, checksum: { cc_crc32($0, $1, $2) }, now: now)
    }

    var index: DeliveryIndex {
        DeliveryIndex(reader: writer.reader, durableSequence: { [writer] in writer.history.durableThrough })
    }

    static func route(_ name: String) -> RouteIdentity { RouteIdentity(kind: .hook, namespace: "team-a", name: name) }

    /// Gives its sequence.
    @discardableResult
    func deliver(
        to name: String = "webapp", id: String = "", decision: Decision = .accepted, bytes: Int = 100,
        body: [UInt8]? = nil
    ) -> UInt64 {
        let texts = ["local", "team-a", name, id].map { Array($0.utf8) }
        let head = Array("POST /hooks/team-a/webapp HTTP/1.1\r\nHost: hooks.example.org\r\n\r\n".utf8)
        let body = body ?? [UInt8](repeating: 0x20, count: bytes)
        return texts[0].withUnsafeBytes { cluster in
            texts[1].withUnsafeBytes { namespace in
                texts[2].withUnsafeBytes { name in
                    texts[3].withUnsafeBytes { id in
                        head.withUnsafeBytes { head in
                            body.withUnsafeBytes { body in
                                var append = DeliveryAppend()
                                append.cluster = cluster
                                append.namespace = namespace
                                append.name = name
                                append.deliveryID = id
                                append.receiverKind = ReceiverKind.hook.rawValue
                                append.senderType = SenderType.github.rawValue
                                append.head = head
                                append.body = body
                                append.bodyChecksum = cc_crc32(0, body.baseAddress, body.count)
                                append.decision = decision
                                append.receivedAtUnixNanoseconds = now
                                return committed(writer.append(append))
                            }
                        }
                    }
                }
            }
        }
    }

    func conclude(_ sequence: UInt64, _ outcome: Journal.Outcome, reason: String = "") {
        writer.appendOutcomes([Journal.OutcomeEntry(sequence: sequence, outcome: outcome, reason: reason)], now: now)
        _ = writer.commit(now: now)
    }

    /// One action of it, or all, was left to a later one.
    func merge(_ sequence: UInt64, into later: UInt64, planIndex: UInt16 = Journal.OutcomeEntry.wholeDelivery) {
        writer.appendOutcomes(
            [Journal.OutcomeEntry(sequence: sequence, planIndex: planIndex, outcome: .merged, detail: later)], now: now)
        _ = writer.commit(now: now)
    }

    /// Takes a delivery of another one over.
    @discardableResult
    func adopt(_ sequence: UInt64, of other: SampleJournal) throws -> UInt64 {
        let record = try #require(try other.writer.history.record(of: sequence))
        return committed(writer.adopt(record, from: RecordOrigin(journal: 7, sequence: sequence)))
    }

    /// As a person asks for it.
    @discardableResult
    func redeliver(_ sequence: UInt64, to name: String? = nil) throws -> UInt64 {
        let record = try #require(try writer.history.record(of: sequence))
        let pinned = name.map { name in
            PinnedRecord(
                record,
                as: RecordRoute(
                    cluster: "local", namespace: "team-a", name: name, receiverKind: ReceiverKind.hook.rawValue))
        }
        return committed(writer.redeliver(try #require(pinned ?? PinnedRecord(record)), now: now))
    }

    private func committed(_ result: AppendResult) -> UInt64 {
        guard case .appended(let sequence) = result, case .durable = writer.commit(now: now) else {
            Issue.record("the journal refused: \(result)")
            return 0
        }
        last = sequence
        return sequence
    }
}
