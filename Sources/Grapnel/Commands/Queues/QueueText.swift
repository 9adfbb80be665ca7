// QueueText: the queues of the API as text for people.

import Delivery

enum QueueText {
    private static let columns = ["TARGET", "ROUTE", "WAITING", "RUNNING", "PAUSED", "OLDEST", "NEXT", "LAST FAILURE"]
    private static let wideColumns = columns + ["ACTION", "MERGED", "BREAKER", "FAILED AT"]

    static func lines(_ queues: JSONValue, isWide: Bool) -> [String] {
        let totals = queues["totals"]
        func total(_ name: String) -> String { DeliveryTable.text(totals?[name]) }
        var lines = [
            "\(total("owedDeliveries")) deliveries owed: \(total("running")) actions run, \(total("waiting")) wait "
                + "(\(total("spilled")) in the journal alone, \(total("planning")) for their targets to be found), "
                + "\(total("paused")) are paused; \(total("dead")) given up since the start"
        ]
        let rows = queues["queues"]?.elements ?? []
        if !rows.isEmpty {
            lines += [""] + Terminal.lines([isWide ? wideColumns : columns] + rows.map { cells($0, isWide) })
        }
        if case .number(let count)? = queues["queueCount"], let all = Int(count), all > rows.count {
            lines.append("… \(all - rows.count) more queues; --limit shows them")
        }
        lines += section("In the journal alone", queues["spilled"]) {
            [
                DeliveryTable.route($0["route"]), "\(DeliveryTable.text($0["count"])) deliveries",
                "oldest \(DeliveryTable.text($0["oldestReceived"]))",
            ]
        }
        lines += section("Left alone after failures", queues["openBreakers"]) {
            [
                DeliveryTable.text($0["key"]), DeliveryTable.text($0["state"]),
                "\(DeliveryTable.text($0["waitingQueues"])) queues wait", DeliveryTable.text($0["reason"]),
            ]
        }
        lines += section("Paused", queues["paused"]) { [subject($0)] }
        return lines
    }

    /// A pause's subject as the options of `grapnel pause` and `grapnel resume` say it.
    static func subject(_ value: JSONValue) -> String {
        if let route = value["route"], !route.isNull {
            let path = ["kind", "namespace", "name"].map { DeliveryTable.text(route[$0]) }.joined(separator: "/")
            return "--route \(path)" + cluster(route["cluster"])
        }
        for name in ["namespace", "target"] {
            if let text = value[name]?.text { return "--\(name) \(Plain.text(text))" + cluster(value["cluster"]) }
        }
        return "-"
    }

    private static func cluster(_ value: JSONValue?) -> String {
        guard let name = value?.text, name != "local" else { return "" }
        return " --cluster \(Plain.text(name))"
    }

    private static func cells(_ row: JSONValue, _ isWide: Bool) -> [String] {
        func text(_ name: String) -> String { DeliveryTable.text(row[name]) }
        let cells = [
            text("target"), DeliveryTable.route(row["route"]), text("waiting"), text("running"), text("paused"),
            DeliveryTable.time(row["oldestReceived"]), DeliveryTable.time(row["nextDue"]), text("lastFailure"),
        ]
        guard isWide else { return cells }
        let breaker = text("breaker")
        return cells + [
            text("action"), text("merged"), breaker == "closed" ? breaker : "\(breaker): \(text("breakerKey"))",
            DeliveryTable.time(row["lastFailureTime"]),
        ]
    }

    private static func section(_ title: String, _ value: JSONValue?, _ cells: (JSONValue) -> [String]) -> [String] {
        guard let elements = value?.elements, !elements.isEmpty else { return [] }
        return ["", title] + Terminal.lines(elements.map(cells)).map { "  " + $0 }
    }
}
