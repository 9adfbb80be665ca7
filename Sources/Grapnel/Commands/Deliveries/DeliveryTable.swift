// DeliveryTable: deliveries of the API as lines for people: a table, or with more columns. What is in them was escaped by the server; it is
// escaped again here, since a terminal acts on what it is sent.

import ArgumentParser
import Delivery

enum DeliveryOutput: String, ExpressibleByArgument, CaseIterable {
    case table, wide, json
}

enum DeliveryTable {
    private static let common = ["SEQUENCE", "RECEIVED", "OUTCOME", "ROUTE", "EVENT", "DELIVERY"]
    static let columns = common + ["NOTE"]
    static let wideColumns = common + ["SENDER", "BYTES", "REPOSITORY", "REF", "COMMIT", "NOTE"]

    static func cells(_ row: JSONValue, isWide: Bool) -> [String] {
        let outcome = text(row["outcome"]) + (row["reason"]?.text.map { "(\(Plain.text($0)))" } ?? "")
        let cells = [
            text(row["sequence"]), time(row["received"]), outcome, route(row["route"]), text(row["event"]),
            text(row["deliveryID"]),
        ]
        guard isWide else { return cells + [note(row)] }
        return cells + [
            text(row["sender"]), text(row["bodyBytes"]), text(row["repository"]), text(row["ref"]),
            String(text(row["commit"]).prefix(12)), note(row),
        ]
    }

    /// What it has to do with other deliveries, and what holds it up.
    private static func note(_ row: JSONValue) -> String {
        var notes: [String] = []
        if let first = number(row["redeliveryOf"]) { notes.append("again #\(first)") }
        if let original = number(row["duplicateOf"]) { notes.append("of #\(original)") }
        if let into = number(row["mergedInto"]) {
            notes.append("into #\(number(row["mergedLast"]) ?? into)" + merged(row))
        }
        if row["adopted"]?.boolean == true { notes.append("adopted") }
        if row["sameIDOtherBody"]?.boolean == true { notes.append("same id, other body") }
        if let subject = row["pausedBy"], !subject.isNull { notes.append("paused by \(QueueText.subject(subject))") }
        return notes.isEmpty ? "-" : notes.joined(separator: ", ")
    }

    /// What became of it there.
    private static func merged(_ row: JSONValue) -> String { row["mergedOutcome"]?.text.map { " (\($0))" } ?? "" }

    static func route(_ value: JSONValue?) -> String {
        guard let value, value.members != nil else { return "-" }
        let path = "\(text(value["kind"]))/\(text(value["namespace"]))/\(text(value["name"]))"
        return value["cluster"]?.text == "local" ? path : "\(text(value["cluster"])):\(path)"
    }

    static func text(_ value: JSONValue?) -> String {
        switch value {
        case .string(let text): text.isEmpty ? "-" : Plain.text(text)
        case .number(let text): text
        case .bool(let value): value ? "yes" : "no"
        default: "-"
        }
    }

    private static func number(_ value: JSONValue?) -> String? {
        if case .number(let text)? = value { text } else { nil }
    }

    /// Without fractions of a second.
    static func time(_ value: JSONValue?) -> String {
        let text = text(value)
        guard let dot = text.firstIndex(of: ".") else { return text }
        return text[..<dot] + "Z"
    }
}
