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
        ]
        for (name, member) in [
            ("Repository", "repository"), ("Ref", "ref"), ("Commit", "commit"), ("Image", "image"),
            ("Duplicate of", "duplicateOf"), ("Merged into", "mergedInto"),
        ] where delivery[member].map({ !$0.isNull }) == true {
            pairs.append([name, text(delivery[member])])
        }
        if let origin = delivery["origin"], !origin.isNull {
            pairs.append(["Origin", "\(text(origin["sequence"])) of journal \(text(origin["journal"]))"])
        }
        lines += DeliveryTable.render(pairs)
        lines += plan(delivery) + history(delivery) + request(delivery, withBody: withBody)
        return lines
    }

    private static func plan(_ delivery: JSONValue) -> [String] {
        guard let plan = delivery["plan"]?.elements else { return [] }
        let rows = plan.map { entry in
            [
                "  \(DeliveryTable.text(entry["index"]))", DeliveryTable.text(entry["action"]),
                DeliveryTable.text(entry["target"]), DeliveryTable.text(entry["outcome"]),
                entry["reason"]?.text.map { Plain.text($0) } ?? "",
            ]
        }
        return ["", "Plan" + (plan.isEmpty ? ": nothing to do" : "")] + DeliveryTable.render(rows)
    }

    private static func history(_ delivery: JSONValue) -> [String] {
        let events = delivery["history"]?.elements ?? []
        guard !events.isEmpty else { return [] }
        let rows = events.map { event in
            [
                "  \(DeliveryTable.text(event["time"]))", DeliveryTable.text(event["planIndex"]),
                DeliveryTable.text(event["outcome"]), event["reason"]?.text.map { Plain.text($0) } ?? "",
            ]
        }
        return ["", "History"] + DeliveryTable.render(rows)
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
