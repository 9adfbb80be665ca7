// `grapnel deliveries tail`: events as lines, until it is told to stop.
//
// Exit status: 0 when it was told to (SIGINT, --count), 1 what was asked for is wrong (filter, token), 3 no server answers at first. A
// connection that is lost later is made again.

import ArgumentParser
import Delivery
import Foundation
import Glibc

extension DeliveriesCommand {
    struct Tail: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "tail", abstract: "Print deliveries and outcomes as they come.",
            discussion: """
                With --outcome dead: what dies, whenever it came. A connection that is lost is made again, and what lay between is printed \
                as far as the server still has it. Interrupt it to end.
                """)

        @OptionGroup var filter: Filter
        @Option(
            help: ArgumentHelp(
                "End after so many deliveries; with --outcome, after so many deliveries and outcomes.",
                valueName: "count"))
        var count: Int?
        @Option(name: [.customShort("o"), .long], help: "table, wide or json (one object a line).")
        var output = DeliveryOutput.table
        @OptionGroup var admin: AdminOptions

        func validate() throws {
            if let count { guard count > 0 else { throw ValidationError("--count is 1 or more") } }
        }

        func run() throws {
            // What was told to end did what it was asked for.
            _ = signal(SIGINT) { _ in _exit(0) }
            var left = count ?? .max
            let counted: Set<String> = filter.outcome == nil ? ["delivery"] : ["delivery", "outcome"]
            try EventStream(client: { try admin.client() }, query: filter.query).follow { event in
                if output == .json {
                    Self.write(JSONText().text(["event": .string(event.name), "data": event.data]))
                } else if let line = Self.line(event, isWide: output == .wide) {
                    Self.write(line)
                }
                if counted.contains(event.name) { left -= 1 }
                return left > 0
            }
        }

        /// At once, also into a pipe.
        private static func write(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

        /// In brackets, as far as it is known: the attempt and how long it took, and how many it stood for; wide: what was asked for.
        private static func details(_ data: JSONValue, isWide: Bool) -> String {
            func number(_ name: String) -> String? { if case .number(let text)? = data[name] { text } else { nil } }
            var parts: [String] = []
            if let attempt = number("attempt") { parts.append("attempt \(attempt)") }
            if let seconds = number("seconds") { parts.append("\(seconds) s") }
            if let merged = number("merged"), merged != "0" { parts.append("\(merged) merged into it") }
            if isWide, let request = data["request"]?.text {
                parts.append(Plain.text(request) + (number("status").map { " -> \($0)" } ?? ""))
            }
            return parts.isEmpty ? "" : "  (\(parts.joined(separator: ", ")))"
        }

        private static func line(_ event: ServerEvent, isWide: Bool) -> String? {
            let data = event.data
            func text(_ name: String) -> String { DeliveryTable.text(data[name]) }
            switch event.name {
            case "delivery": return DeliveryTable.cells(data, isWide: isWide).joined(separator: "  ")
            case "outcome":
                let place = data["planIndex"].map { $0.isNull ? "" : "[\(DeliveryTable.text($0))]" } ?? ""
                let words = [
                    text("sequence") + place, "->", text("outcome"), DeliveryTable.route(data["route"]), text("event"),
                    text("deliveryID"),
                ]
                let reason = data["reason"]?.text.map { ": " + Plain.text($0) } ?? ""
                return words.joined(separator: "  ") + reason + details(data, isWide: isWide)
            case "gap":
                // The next connection brings what is missing.
                guard !["slow-client", "server-ends"].contains(data["reason"]?.text) else { return nil }
                return "-- some are missing here (\(text("reason"))); list shows them"
            default: return nil
            }
        }
    }
}
