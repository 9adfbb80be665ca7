// DeliveriesCommand: `grapnel deliveries list|show|tail|redeliver`: a running server's deliveries, through its admin API.
//
//     grapnel deliveries list --since 1h --outcome dead
//     grapnel deliveries show 4711
//     grapnel deliveries tail --route Hook/team-a/webapp
//     grapnel deliveries redeliver --outcome dead --since 2h --dry-run
//
// Exit status: 0 well, 1 what was asked for is not there or wrong (token, sequence), 2 usage, 3 no server answers.

import ArgumentParser
import Delivery
import Foundation

struct DeliveriesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deliveries", abstract: "List, show, follow and redeliver a running server's deliveries.",
        subcommands: [List.self, Show.self, Tail.self, Redeliver.self])

    struct Filter: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "Received since then: a duration ago (15m, 2h, 7d), an RFC 3339 time, or seconds since 1970.",
                valueName: "time"))
        var since: String?
        @Option(help: ArgumentHelp("Received before then.", valueName: "time"))
        var until: String?
        @Option(help: ArgumentHelp("Kind/namespace/name, namespace/name, or name.", valueName: "route"))
        var route: String?
        @Option(
            name: [.customShort("n"), .long], help: ArgumentHelp("Of routes of this namespace.", valueName: "name"))
        var namespace: String?
        @Option(help: ArgumentHelp("Of this sender type, such as github.", valueName: "type"))
        var sender: String?
        @Option(
            help: ArgumentHelp(
                "accepted, ignored, duplicate, done, failed, dead, owed, merged; several with commas.",
                valueName: "outcome"))
        var outcome: String?
        @Option(help: ArgumentHelp("With this delivery id of the sender.", valueName: "id"))
        var delivery: String?
        @Option(help: ArgumentHelp("Of this repository or image.", valueName: "name"))
        var repository: String?
        @Option(help: ArgumentHelp("Of this ref, branch or tag.", valueName: "ref"))
        var ref: String?
        @Option(help: ArgumentHelp("Of this commit, or one that begins so.", valueName: "sha"))
        var commit: String?

        var query: [(String, String)] {
            let all = [
                ("since", since), ("until", until), ("route", route), ("namespace", namespace), ("sender", sender),
                ("outcome", outcome), ("delivery", delivery), ("repository", repository), ("ref", ref),
                ("commit", commit),
            ]
            return all.compactMap { name, value in value.map { (name, $0) } }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List deliveries, newest first.")

        @OptionGroup var filter: Filter
        @Option(help: ArgumentHelp("At most so many.", valueName: "count"))
        var limit = 50
        @Option(name: [.customShort("o"), .long], help: "table, wide or json.")
        var output = DeliveryOutput.table
        @OptionGroup var admin: AdminOptions

        func validate() throws {
            guard (1...100_000).contains(limit) else { throw ValidationError("--limit is 1 to 100000") }
        }

        func run() throws {
            let client = try admin.client()
            var rows: [JSONValue] = []
            var cursor: String?
            repeat {
                var query = filter.query + [("limit", "\(min(200, limit - rows.count))")]
                if let cursor { query.append(("cursor", cursor)) }
                let page = try client.get("/deliveries", query)
                rows += page["deliveries"]?.elements ?? []
                cursor = page["next"]?.text
            } while cursor != nil && rows.count < limit
            if output == .json {
                print(JSONText.pretty.text(["deliveries": .array(rows)]))
                return
            }
            let isWide = output == .wide
            let header = isWide ? DeliveryTable.wideColumns : DeliveryTable.columns
            guard !rows.isEmpty else {
                Terminal.error("no deliveries")
                return
            }
            for line in DeliveryTable.render([header] + rows.map { DeliveryTable.cells($0, isWide: isWide) }) {
                print(line)
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show one delivery: request, plan, attempts, match.")

        @Argument(help: "The delivery's sequence: Grapnel-Delivery of its answer.")
        var sequence: String
        @Option(name: [.customShort("o"), .long], help: "table, wide (with the body) or json.")
        var output = DeliveryOutput.table
        @OptionGroup var admin: AdminOptions

        func validate() throws {
            guard AdminAPI.sequence(sequence) != nil else {
                throw ValidationError("a sequence is a number such as 4711")
            }
        }

        func run() throws {
            let delivery = try admin.client().get("/deliveries/\(sequence)")
            if output == .json {
                print(JSONText.pretty.text(delivery))
            } else {
                for line in DeliveryText.lines(delivery, withBody: output == .wide) { print(line) }
            }
        }
    }

    struct Tail: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "tail", abstract: "Print deliveries and outcomes as they come.")

        @OptionGroup var filter: Filter
        @Option(help: ArgumentHelp("End after so many deliveries.", valueName: "count"))
        var count: Int?
        @Option(name: [.customShort("o"), .long], help: "table, wide or json (one object a line).")
        var output = DeliveryOutput.table
        @OptionGroup var admin: AdminOptions

        func run() throws {
            let client = try admin.client()
            var left = count ?? .max
            try client.events(filter.query) { name, data in
                if output == .json {
                    Self.write(JSONText().text(["event": .string(name), "data": data]))
                } else if let line = Self.line(name, data, isWide: output == .wide) {
                    Self.write(line)
                }
                if name == "delivery" { left -= 1 }
                return left > 0
            }
        }

        /// At once, also into a pipe.
        private static func write(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

        private static func line(_ name: String, _ data: JSONValue, isWide: Bool) -> String? {
            switch name {
            case "delivery": DeliveryTable.cells(data, isWide: isWide).joined(separator: "  ")
            case "outcome":
                "\(DeliveryTable.text(data["sequence"]))  -> \(DeliveryTable.text(data["outcome"]))"
                    + (data["reason"]?.text.map { ": " + Plain.text($0) } ?? "")
            case "gap": "-- some are missing here (\(DeliveryTable.text(data["reason"]))); list shows them"
            default: nil
            }
        }
    }
}
