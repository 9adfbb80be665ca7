// JournalArchive: deliveries as lines of JSON, one each, that `grapnel journal export` writes and `import` reads back exactly.
//
//   {"archive":"grapnel-journal","version":1,"journal":"00c0ffee00c0ffee","through":123}
//   {"sequence":17,"state":"owed","receivedAt":1767322984000000000,"decision":"accepted","route":…,"plan":[…],"outcomes":[…],
//    "bodyBytes":8119,"body":"<base64>","record":"<base64>","head":"<base64>"}
//   …
//   {"end":true,"deliveries":107}
//
// What is read back is `record` (the fixed part and the meta as they are on disk, with their checksum), `head`, `body`, `plan` and
// `outcomes`; the other members say the same for people and programs. Members that are not known are passed over. A text
// without its last line was cut off.

import CCrypto
import Delivery
import Foundation
import Journal

enum JournalArchive {
    static let name = "grapnel-journal"
    static let version = 1
    /// Longest line that is read: a record of half a segment with its plan, in base64.
    static let lineBytesMax = 192 << 20

    /// A delivery with all that was written about it.
    struct Entry {
        var record: StoredRecord
        var story: DeliveryStory
    }

    /// What a line is.
    enum Line {
        case begin(journal: UInt64?)
        case delivery(Entry)
        case end(deliveries: Int)
    }

    struct Trouble: Error {
        let text: String
    }

    // MARK: - Writing

    static func begin(journal: UInt64?, through: UInt64) -> [UInt8] {
        line([
            ("archive", .string(name)), ("version", .number("\(version)")),
            ("journal", journal.map { .string(hexadecimal($0)) } ?? .null), ("through", .number("\(through)")),
        ])
    }

    static func end(deliveries: Int) -> [UInt8] {
        line([("end", true), ("deliveries", .number("\(deliveries)"))])
    }

    static func delivery(_ entry: Entry, journal: UInt64?) -> [UInt8]? {
        guard let summary = DeliverySummary(entry.record) else { return nil }
        let record = entry.record
        var members: [(String, JSONValue)] = [
            ("sequence", .number("\(summary.sequence)")), ("state", .string(entry.story.state.rawValue)),
            ("receivedAt", .number("\(summary.receivedAtUnixNanoseconds)")),
            ("decision", .string(summary.decision.name)),
            ("cluster", .string(summary.cluster)),
            ("kind", .string(JournalCommand.receiverKind(summary.receiverKind))),
            ("namespace", .string(summary.namespace)), ("name", .string(summary.name)),
            ("sender", .string(SenderType(rawValue: summary.senderType)?.name ?? "sender-\(summary.senderType)")),
            ("deliveryID", .string(summary.deliveryID)), ("event", .string(summary.eventName)),
        ]
        if summary.decision == .ignored {
            let reason = IgnoredReason(rawValue: summary.ignoredReason)?.name ?? "reason-\(summary.ignoredReason)"
            members.append(("ignoredReason", .string(reason)))
        }
        if let original = summary.duplicateOf { members.append(("duplicateOf", .number("\(original)"))) }
        if let original = summary.redeliveryOf { members.append(("redeliveryOf", .number("\(original)"))) }
        let origin =
            summary.adoptedFrom ?? journal.map { RecordOrigin(journal: $0, sequence: summary.sequence) }
        if let origin { members.append(("origin", .string(origin.description))) }
        if let plan = entry.story.plan {
            members.append(("plannedAt", .number("\(entry.story.plannedAtUnixNanoseconds ?? 0)")))
            if let durable = entry.story.durableAtUnixNanoseconds {
                members.append(("durableAt", .number("\(durable)")))
            }
            members.append(("plan", .array(plan.map(Self.plan))))
        }
        if !entry.story.events.isEmpty { members.append(("outcomes", .array(entry.story.events.map(Self.outcome)))) }
        members.append(("bodyBytes", .number("\(summary.bodyBytes)")))
        var bytes = JSONValue.object(members.map { JSONValue.Member(name: $0.0, value: $0.1) }).serialized
        // Base64 needs no escapes, and bodies are long.
        bytes.removeLast()
        add("body", record.body, to: &bytes)
        add("head", record.head, to: &bytes)
        add("record", record.fixedAndMeta, to: &bytes)
        bytes += "}\n".utf8
        return bytes
    }

    private static func plan(_ entry: PlanEntry) -> JSONValue {
        let name = JournalCommand.Inspect.actionWords[entry.actionKind] ?? "action-\(entry.actionKind)"
        return [
            "action": .number("\(entry.actionKind)"), "name": .string(name),
            "target": .string(Data(entry.target).base64EncodedString()),
        ]
    }

    private static func outcome(_ event: OutcomeEvent) -> JSONValue {
        var members: [(String, JSONValue)] = [
            ("at", .number("\(event.timeUnixNanoseconds)")), ("outcome", .string(event.outcome.name)),
        ]
        if event.planIndex != OutcomeEntry.wholeDelivery { members.append(("index", .number("\(event.planIndex)"))) }
        if event.detail != 0 { members.append(("detail", .number("\(event.detail)"))) }
        if !event.reason.isEmpty { members.append(("reason", .string(event.reason))) }
        if let details = event.details {
            members += [
                ("attempts", .number("\(details.attempts)")), ("merged", .number("\(details.merged)")),
                ("microseconds", .number("\(details.durationMicroseconds)")),
            ]
            if details.status != 0 { members.append(("status", .number("\(details.status)"))) }
            if !details.request.isEmpty { members.append(("request", .string(details.request))) }
            if !details.answer.isEmpty { members.append(("answer", .string(details.answer))) }
        }
        return .object(members.map { JSONValue.Member(name: $0.0, value: $0.1) })
    }

    private static func line(_ members: [(String, JSONValue)]) -> [UInt8] {
        JSONValue.object(members.map { JSONValue.Member(name: $0.0, value: $0.1) }).serialized + [0x0a]
    }

    private static func add(_ name: String, _ value: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
        bytes += ",\"\(name)\":\"".utf8
        bytes += Data(value).base64EncodedData()
        bytes.append(UInt8(ascii: "\""))
    }

    static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    // MARK: - Reading

    static func read(_ line: [UInt8]) throws(Trouble) -> Line {
        guard let value = JSONValue(line), case .object = value else { throw Trouble(text: "is not JSON") }
        if let archive = value["archive"]?.text {
            guard archive == name, let version = number(value["version"], UInt64.self) else {
                throw Trouble(text: "is not the beginning of a journal's archive")
            }
            guard version == UInt64(Self.version) else {
                throw Trouble(
                    text:
                        "says archive version \(version), and this grapnel reads \(Self.version): import it with the version "
                        + "that wrote it")
            }
            return .begin(journal: value["journal"]?.text.flatMap { UInt64($0, radix: 16) })
        }
        if value["end"]?.boolean == true, let count = number(value["deliveries"], Int.self) {
            return .end(deliveries: count)
        }
        var bytes = try base64(value, "record")
        bytes += try base64(value, "head")
        bytes += try base64(value, "body")
        guard let record = unsafe StoredRecord(archived: bytes, checksum: cc_crc32) else {
            throw Trouble(text: "holds a record that is not what was exported")
        }
        var story = DeliveryStory(record.header)
        if let plan = value["plan"] {
            guard let entries = plan.elements else { throw Trouble(text: "has a plan that is no list") }
            var planned: [PlanEntry] = []
            for entry in entries {
                guard let kind = number(entry["action"], UInt8.self) else {
                    throw Trouble(text: "has a plan with an unknown action")
                }
                let target = try base64(entry, "target")
                guard target.count <= Int(UInt16.max) else { throw Trouble(text: "has a plan with an endless target") }
                planned.append(PlanEntry(actionKind: kind, target: target))
            }
            let time = number(value["plannedAt"], UInt64.self) ?? 0
            let durable = number(value["durableAt"], UInt64.self) ?? 0
            story.take(
                plan: planned, PlanDetails(plannedUnixNanoseconds: time, durableUnixNanoseconds: durable), at: time)
        }
        for event in value["outcomes"]?.elements ?? [] {
            guard let outcome = Outcome.allCases.first(where: { $0.name == event["outcome"]?.text }) else {
                throw Trouble(text: "has an unknown outcome")
            }
            var index = OutcomeEntry.wholeDelivery
            if let given = event["index"] {
                guard let small = number(given, UInt16.self) else { throw Trouble(text: "has an unknown plan index") }
                index = small
            }
            let time = number(event["at"], UInt64.self) ?? 0
            story.take(
                OutcomeEntry(
                    sequence: record.sequence, planIndex: index, outcome: outcome,
                    detail: number(event["detail"], UInt64.self) ?? 0, reason: event["reason"]?.text ?? "",
                    details: details(event, at: time)),
                at: time)
        }
        return .delivery(Entry(record: record, story: story))
    }

    /// nil where an older archive tells nothing.
    private static func details(_ event: JSONValue, at time: UInt64) -> OutcomeDetails? {
        guard let attempts = number(event["attempts"], UInt32.self), time != 0 else { return nil }
        return OutcomeDetails(
            timeUnixNanoseconds: time, durationMicroseconds: number(event["microseconds"], UInt32.self) ?? 0,
            attempts: attempts, merged: number(event["merged"], UInt32.self) ?? 0,
            status: number(event["status"], UInt16.self) ?? 0, request: event["request"]?.text ?? "",
            answer: event["answer"]?.text ?? "")
    }

    private static func base64(_ value: JSONValue, _ name: String) throws(Trouble) -> [UInt8] {
        guard let text = value[name]?.text, let data = Data(base64Encoded: text) else {
            throw Trouble(text: "has no member `\(name)` in base64")
        }
        return [UInt8](data)
    }

    private static func number<Value: FixedWidthInteger>(_ value: JSONValue?, _: Value.Type) -> Value? {
        guard case .number(let text) = value else { return nil }
        return Value(text)
    }
}
