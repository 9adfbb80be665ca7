// DeliveryText: one delivery of the API as text for people.

import Delivery

enum DeliveryText {
    static func lines(_ delivery: JSONValue, withBody: Bool) -> [String] {
        func text(_ value: JSONValue?) -> String { DeliveryTable.text(value) }
        var lines: [String] = []
        var pairs: [[String]] = [
            ["Delivery", text(delivery["sequence"])], ["Received", text(delivery["received"])],
            [
                "Route",
                DeliveryTable.route(delivery["route"]) + (delivery["routeExists"]?.boolean == false ? " (gone)" : ""),
            ],
            ["Sender", text(delivery["sender"])], ["Event", text(delivery["event"])],
            ["Id", text(delivery["deliveryID"])], ["Decision", text(delivery["decision"])],
            ["Outcome", text(delivery["outcome"]) + (delivery["reason"]?.text.map { " (\(Plain.text($0)))" } ?? "")],
            ["Verification", verification(delivery["verification"])],
        ]
        for (name, member) in [
            ("Repository", "repository"), ("Ref", "ref"), ("Commit", "commit"), ("Image", "image"),
            ("Redelivery of", "redeliveryOf"), ("Duplicate of", "duplicateOf"), ("Merged into", "mergedInto"),
        ] where delivery[member].map({ !$0.isNull }) == true {
            pairs.append([name, text(delivery[member])])
        }
        if let subject = delivery["pausedBy"], !subject.isNull {
            pairs.append(["Paused", "by \(QueueText.subject(subject)); `grapnel resume` lets it go on"])
        }
        if let origin = delivery["origin"], !origin.isNull {
            pairs.append(["Origin", "\(text(origin["sequence"])) of journal \(text(origin["journal"]))"])
        }
        if let last = delivery["mergedLast"], !last.isNull {
            pairs.append(["Stands for it", "\(text(last)) (\(text(delivery["mergedOutcome"])))"])
        }
        if case .number(let count)? = delivery["merged"], count != "0" { pairs.append(["Merged into it", count]) }
        lines += Terminal.lines(pairs)
        lines += timing(delivery) + plan(delivery) + history(delivery) + match(delivery)
        return lines + request(delivery, withBody: withBody)
    }

    private static func verification(_ value: JSONValue?) -> String {
        guard let proof = value?["proof"]?.text, proof != "none" else { return DeliveryTable.text(value?["status"]) }
        return "\(DeliveryTable.text(value?["status"])) (\(Plain.text(proof)))"
    }

    /// The stages that are known, in their order.
    private static func timing(_ delivery: JSONValue) -> [String] {
        guard let timing = delivery["timing"] else { return [] }
        var rows: [[String]] = []
        for (name, member) in [
            ("received", "received"), ("durable", "durable"), ("planned", "planned"), ("first attempt", "firstAttempt"),
            ("final", "lastFinalOutcome"),
        ] {
            guard let time = timing[member]?.text else { continue }
            rows.append(["  \(name)", Plain.text(time)])
        }
        if case .number(let seconds)? = timing["seconds"] { rows.append(["  in all", "\(seconds) s"]) }
        return ["", "Timing"] + Terminal.lines(rows)
    }

    private static func match(_ delivery: JSONValue) -> [String] {
        guard let match = delivery["match"], !match.isNull else { return [] }
        let filters = (match["filters"]?.elements ?? []).map { filter in
            let result = filter["error"]?.text.map { "error: \(Plain.text($0))" }
            return [
                "  \(DeliveryTable.text(filter["place"]))", DeliveryTable.text(filter["target"]),
                result ?? (filter["result"]?.isNull == false ? DeliveryTable.text(filter["result"]) : "not asked"),
                filter["filter"]?.text.map { Plain.text($0) } ?? "",
            ]
        }
        let writes = (match["writes"]?.elements ?? []).map { write in
            [
                "  \(DeliveryTable.text(write["action"]))", DeliveryTable.text(write["verb"]),
                DeliveryTable.text(write["path"]),
            ]
        }
        let notes = (match["notes"]?.elements ?? []).compactMap { $0.text.map { "  \(Plain.text($0))" } }
        guard !filters.isEmpty || !writes.isEmpty || !notes.isEmpty else { return [] }
        return ["", "Match, as the route is now"] + Terminal.lines(filters) + Terminal.lines(writes) + notes
    }

    private static func plan(_ delivery: JSONValue) -> [String] {
        guard let plan = delivery["plan"]?.elements else { return [] }
        let rows = plan.map { entry in
            [
                "  \(DeliveryTable.text(entry["index"]))", DeliveryTable.text(entry["action"]),
                DeliveryTable.text(entry["target"]), DeliveryTable.text(entry["outcome"]), attempts(entry["attempts"]),
                entry["reason"]?.text.map { Plain.text($0) } ?? "",
            ]
        }
        return ["", "Plan" + (plan.isEmpty ? ": nothing to do" : "")] + Terminal.lines(rows)
    }

    private static func attempts(_ value: JSONValue?) -> String {
        guard case .number(let count)? = value else { return "-" }
        return count == "1" ? "1 attempt" : "\(count) attempts"
    }

    /// Outcomes and attempts, with what was asked for and how it was answered behind them.
    private static func history(_ delivery: JSONValue) -> [String] {
        let events = delivery["history"]?.elements ?? []
        guard !events.isEmpty else { return [] }
        func number(_ value: JSONValue?) -> String? { if case .number(let text)? = value { text } else { nil } }
        let rows: [[String]] = events.map { event in
            let attempt = number(event["attempt"]).map { "attempt \($0)" }
            let seconds = number(event["seconds"]).map { "\($0) s" }
            let status = number(event["status"]).map { " -> \($0)" } ?? ""
            let request = event["request"]?.text.map { Plain.text($0) + status }
            let reason = event["reason"]?.text.map { Plain.text($0) }
            return [
                "  \(DeliveryTable.text(event["time"]))", DeliveryTable.text(event["planIndex"]), attempt ?? "-",
                DeliveryTable.text(event["outcome"]), seconds ?? "-", request ?? "-", reason ?? "",
            ]
        }
        var lines = ["", "History"]
        for (line, event) in zip(Terminal.lines(rows), events) {
            lines.append(line)
            if let answer = event["answer"]?.text { lines.append("    answer: \(Plain.text(answer))") }
        }
        return lines
    }

    private static func request(_ delivery: JSONValue, withBody: Bool) -> [String] {
        guard let request = delivery["request"], !request.isNull else { return [] }
        var lines = [
            "", "Request",
            "  \(DeliveryTable.text(request["method"])) \(DeliveryTable.text(request["path"]))"
                + (request["query"]?.text.map { "?" + Plain.text($0) } ?? ""),
        ]
        for field in request["fields"]?.elements ?? [] {
            lines.append("  \(DeliveryTable.text(field["name"])): \(field["value"]?.text.map { Plain.text($0) } ?? "")")
        }
        let body = request["body"]
        lines.append("  body: \(DeliveryTable.text(body?["bytes"])) bytes")
        if withBody, body?["encoding"]?.text == "text", let content = body?["content"]?.text {
            lines.append("")
            lines += content.split(separator: "\n", omittingEmptySubsequences: false).map {
                Plain.text($0, max: 100_000)
            }
        }
        return lines
    }
}
