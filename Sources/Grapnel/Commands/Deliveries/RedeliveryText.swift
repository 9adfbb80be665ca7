// RedeliveryText: a redelivery of many as lines for people: what is selected, how far it is, how it ended.

import Delivery

enum RedeliveryText {
    /// How many, of how many, and what is left out for which reason.
    static func selection(_ selection: JSONValue?, isDry: Bool) -> [String] {
        func number(_ name: String) -> Int {
            if case .number(let text)? = selection?[name] { Int(text) ?? 0 } else { 0 }
        }
        let verb = isDry ? "would be redelivered" : "are redelivered"
        var lines = [
            "\(number("count")) deliveries \(verb), oldest first, of \(number("matched")) that match"
        ]
        let leftOut = [
            ("skippedRedelivered", "redelivered before (--again takes them)"), ("skippedOwed", "still owed"),
            ("covered", "merged with others, of which one stands for all"),
            ("skippedDuplicates", "duplicates, whose body another delivery has"),
            ("skippedGone", "whose route is gone, or not read from its cluster yet"),
            ("skippedUnfit", "that have no such action, or that --to does not take"),
        ].filter { number($0.0) > 0 }
        if !leftOut.isEmpty {
            lines.append("left out: " + leftOut.map { "\(number($0.0)) \($0.1)" }.joined(separator: ", "))
        }
        if number("beyondLimit") > 0 {
            lines.append("\(number("beyondLimit")) more match beyond the limit: give the command again for the next")
        } else if selection?["isComplete"]?.boolean == false {
            lines.append("the journal could not be looked through in time: narrow the filter")
        }
        return lines
    }

    static func progress(_ job: JSONValue) -> String {
        let refused = job["refused"] == .number("0") ? "" : ", \(text(job, "refused")) refused"
        return "redelivery \(text(job, "id")): \(text(job, "redelivered")) of \(text(job, "count"))\(refused)"
    }

    /// How it ended, or that it runs.
    static func state(_ job: JSONValue) -> String {
        switch job["state"]?.text {
        case "cancelled":
            "cancelled: \(text(job, "redelivered")) of \(text(job, "count")) redelivered, \(text(job, "refused")) refused. "
                + "The same command goes on: what was redelivered is left out then"
        case "running": progress(job) + ", still running"
        default: "\(text(job, "redelivered")) redelivered, \(text(job, "refused")) refused"
        }
    }

    static func detached(_ job: JSONValue) -> String {
        let id = text(job, "id")
        return "redelivery \(id) runs: GET \(AdminAPI.prefix)/redeliveries/\(id) says how far it is, "
            + "`grapnel deliveries redeliver --cancel \(id)` ends it"
    }

    private static func text(_ job: JSONValue, _ name: String) -> String { DeliveryTable.text(job[name]) }
}
