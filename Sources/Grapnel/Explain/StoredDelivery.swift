// StoredDelivery: one delivery of a stopped server's journal.
//
// The journal's inspection finds it: it judges every segment as a start does, and says in which one and where the record lies. Its
// bytes are then read from there. Nothing is changed and no lock is taken. Layout of a record: Sources/Journal/Format/Record.swift.

import CCrypto
import Delivery
import Foundation
import HTTP
import Journal

struct StoredDelivery: Sendable {
    enum Failure: Error, Equatable {
        case journal(String)
        case unknown
        /// The record is not of a kind that this version knows.
        case unreadable
    }

    var sequence: UInt64
    /// Nanoseconds since 1970.
    var receivedNanoseconds: UInt64
    var decision: Decision
    var ignoredReason: IgnoredReason?
    /// Of a duplicate: what it repeats.
    var original: UInt64
    var route: RouteIdentity
    var sender: SenderType
    var deliveryID: String
    var eventName: String
    var dedupeWindowSeconds: UInt32
    /// Credentials are overwritten.
    var request: InboundRequest
    var host: String
    /// Bytes of the body as it came; a duplicate's is not kept.
    var receivedBodyBytes: Int
    /// Lines of the journal about it: its plan and its outcomes.
    var history: [String]

    static func find(_ sequence: UInt64, dataDirectory: String) throws(Failure) -> StoredDelivery {
        var search = Search(sequence: sequence)
        do throws(JournalError) {
            _ = try unsafe JournalInspection.inspect(
                disk: RealDisk(dataDirectory: dataDirectory), checksum: cc_crc32,
                names: InspectionNames(actionKind: { Self.actionWords[$0] ?? "action-\($0)" })
            ) { search.take($0) }
        } catch {
            throw .journal(error.message(dataDirectory: dataDirectory))
        }
        guard let place = search.place else { throw .unknown }
        guard let bytes = read(dataDirectory + "/journal/" + place.file, at: place.offset),
            let delivery = StoredDelivery(bytes, history: search.history), delivery.sequence == sequence
        else { throw .unreadable }
        return delivery
    }

    // MARK: - Where it lies

    /// The codes of `PlannedAction`.
    private static let actionWords: [UInt8: String] = [
        1: "reconcile", 2: "http", 3: "exec", 4: "log", 5: "openshift-build", 6: "s2i-run", 7: "kpack-refresh",
        8: "docker-hub-callback", 9: "openshift-relay",
    ]

    /// Reads the lines of the inspection: a segment's name, then `  <offset> #<sequence> <time> <type> …` for its records.
    struct Search {
        let sequence: UInt64
        private(set) var place: (file: String, offset: UInt64)?
        private(set) var history: [String] = []
        private var file = ""

        init(sequence: UInt64) { self.sequence = sequence }

        mutating func take(_ line: String) {
            guard line.hasPrefix("  ") else {
                if let name = line.split(separator: " ").first, name.hasSuffix(".segment") || name.hasSuffix(".kept") {
                    file = String(name)
                }
                return
            }
            let words = line.dropFirst(2).split(separator: " ").map(String.init)
            // Void records have no time.
            guard words.count >= 4, let offset = UInt64(words[0]), words[2].contains("T") else { return }
            let type = words[3]
            if words[1] == "#\(sequence)", type == "delivery" { place = place ?? (file, offset) }
            if type == "plan", words.contains("#\(sequence):") {
                history.append(
                    "\(words[2]) planned: " + words.drop { $0 != "#\(sequence):" }.dropFirst().joined(separator: " "))
            }
            if type == "outcome", let entry = Self.outcome(line, sequence) { history.append("\(words[2]) \(entry)") }
        }

        /// The entry of one delivery in an outcome record.
        private static func outcome(_ line: String, _ sequence: UInt64) -> String? {
            let entries = line.components(separatedBy: ", #").enumerated().map { index, text in
                index == 0 ? String(text[(text.range(of: " outcome ")?.upperBound ?? text.startIndex)...]) : "#" + text
            }
            let own = entries.filter { $0.hasPrefix("#\(sequence) ") || $0.hasPrefix("#\(sequence)[") }
            return own.isEmpty ? nil : own.map { $0.drop { $0 != " " }.dropFirst() }.joined(separator: ", ")
        }
    }

    private static func read(_ path: String, at offset: UInt64) -> [UInt8]? {
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }
        guard (try? file.seek(toOffset: offset)) != nil,
            let fixed = try? file.read(upToCount: 112).map({ [UInt8]($0) }), fixed.count == 112
        else { return nil }
        let length = Int(Fields(bytes: fixed).uint32(32))
        // The inspection has checked the record; a segment is bounded.
        guard length >= 112, length <= 2 << 30, let rest = try? file.read(upToCount: length - 112).map({ [UInt8]($0) })
        else { return nil }
        return fixed + rest
    }

    // MARK: - What it says

    /// Little-endian members of a record.
    private struct Fields {
        let bytes: [UInt8]
        func uint8(_ offset: Int) -> UInt8 { bytes[offset] }
        func uint16(_ offset: Int) -> UInt16 { UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8 }
        func uint32(_ offset: Int) -> UInt32 { UInt32(uint16(offset)) | UInt32(uint16(offset + 2)) << 16 }
        func uint64(_ offset: Int) -> UInt64 { UInt64(uint32(offset)) | UInt64(uint32(offset + 4)) << 32 }
    }

    /// nil when the bytes are no record of a delivery.
    init?(_ bytes: [UInt8], history: [String] = []) {
        guard bytes.count >= 112 else { return nil }
        let fields = Fields(bytes: bytes)
        let metaEnd = 112 + Int(fields.uint16(38))
        let headEnd = metaEnd + Int(fields.uint32(48))
        let bodyEnd = headEnd + Int(fields.uint32(56))
        guard bytes.starts(with: "GJR1".utf8), fields.uint8(36) == 1, bodyEnd <= bytes.count,
            let decision = Decision(rawValue: fields.uint8(64)), let kind = ReceiverKind(rawValue: fields.uint8(66)),
            let sender = SenderType(rawValue: fields.uint8(67))
        else { return nil }
        var texts: [String] = []
        var position = 112
        while texts.count < 5 {
            guard position < metaEnd else { return nil }
            let end = position + 1 + Int(bytes[position])
            guard end <= metaEnd else { return nil }
            texts.append(String(decoding: bytes[(position + 1)..<end], as: UTF8.self))
            position = end
        }
        guard
            let parsed = try? RawRequest.parse(Array(bytes[metaEnd..<headEnd]), limits: .ceiling)
        else { return nil }
        var request = parsed.inbound
        request.body = Array(bytes[headEnd..<bodyEnd])
        self.request = request
        host = parsed.text(parsed.head.host)
        sequence = fields.uint64(16)
        receivedNanoseconds = fields.uint64(40)
        self.decision = decision
        ignoredReason = IgnoredReason(rawValue: fields.uint8(65))
        original = fields.uint64(96)
        route = RouteIdentity(cluster: texts[0], kind: kind, namespace: texts[1], name: texts[2])
        self.sender = sender
        deliveryID = texts[3]
        eventName = texts[4]
        dedupeWindowSeconds = fields.uint32(68)
        receivedBodyBytes = Int(fields.uint32(104))
        self.history = history
    }
}
