// `grapnel deliveries list`: pages of the API, put together.

import ArgumentParser
import Delivery

extension DeliveriesCommand {
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List deliveries, newest first.")

        @OptionGroup var filter: Filter
        @Option(help: ArgumentHelp("At most so many.", valueName: "count"))
        var limit = 50
        @Option(help: ArgumentHelp("Go on behind an earlier list: `next` of its JSON.", valueName: "text"))
        var cursor: String?
        @Option(name: [.customShort("o"), .long], help: "table, wide or json.")
        var output = DeliveryOutput.table
        @OptionGroup var admin: AdminOptions

        func validate() throws {
            guard (1...100_000).contains(limit) else { throw ValidationError("--limit is 1 to 100000") }
        }

        func run() throws {
            let client = try admin.client()
            var rows: [JSONValue] = []
            var next = cursor
            repeat {
                let page = try self.page(client, min(200, limit - rows.count), next)
                rows += page["deliveries"]?.elements ?? []
                next = page["next"]?.text
            } while next != nil && rows.count < limit
            // A page that is full does not know whether anything follows.
            if let behind = next {
                let page = try self.page(client, 1, behind)
                if page["deliveries"]?.elements?.isEmpty ?? true { next = page["next"]?.text }
            }
            if output == .json {
                print(JSONText.pretty.text(["deliveries": .array(rows), "next": next.map { .string($0) } ?? .null]))
            } else if rows.isEmpty {
                Terminal.error("no deliveries")
            } else {
                let isWide = output == .wide
                let header = isWide ? DeliveryTable.wideColumns : DeliveryTable.columns
                for line in Terminal.lines([header] + rows.map { DeliveryTable.cells($0, isWide: isWide) }) {
                    print(line)
                }
            }
            if let next {
                Terminal.error(
                    "there are more than these \(rows.count): --limit shows more, --cursor \(Plain.text(next)) goes on")
            }
        }

        private func page(_ client: AdminClient, _ limit: Int, _ cursor: String?) throws -> JSONValue {
            try client.get(
                "/deliveries", filter.query + [("limit", "\(limit)")] + (cursor.map { [("cursor", $0)] } ?? []))
        }
    }
}
