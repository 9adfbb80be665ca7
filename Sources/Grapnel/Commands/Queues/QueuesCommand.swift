// QueuesCommand: `grapnel queues`: what a running server has still to do, and what holds it up, through its admin API.
//
// Exit status: 0 well, 1 what was asked for is wrong (token), 2 usage, 3 no server answers.

import ArgumentParser
import Delivery

struct QueuesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queues", abstract: "Show what a running server has still to do, and what holds it up.",
        discussion: """
            The queues with the oldest deliveries first, then what waits in the journal alone, servers that are left alone after \
            failures, and what is paused.
            """)

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Of routes of this namespace.", valueName: "name"))
    var namespace: String?
    @Option(help: ArgumentHelp("Of routes of this cluster.", valueName: "name"))
    var cluster: String?
    @Option(help: ArgumentHelp("At most so many queues, up to 1000.", valueName: "count"))
    var limit = 50
    @Option(name: [.customShort("o"), .long], help: "table, wide or json.")
    var output = DeliveryOutput.table
    @OptionGroup var admin: AdminOptions

    func validate() throws {
        guard (1...1000).contains(limit) else { throw ValidationError("--limit is 1 to 1000") }
    }

    func run() throws {
        var query = [("limit", "\(limit)")]
        if let namespace { query.append(("namespace", namespace)) }
        if let cluster { query.append(("cluster", cluster)) }
        let queues = try admin.client().get("/queues", query)
        if output == .json {
            print(JSONText.pretty.text(queues))
        } else {
            for line in QueueText.lines(queues, isWide: output == .wide) { print(line) }
        }
    }
}
