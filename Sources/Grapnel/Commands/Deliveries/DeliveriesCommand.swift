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
        @Option(help: ArgumentHelp("Of routes of this cluster.", valueName: "name"))
        var cluster: String?
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
                ("since", since), ("until", until), ("route", route), ("namespace", namespace), ("cluster", cluster),
                ("sender", sender), ("outcome", outcome), ("delivery", delivery), ("repository", repository),
                ("ref", ref), ("commit", commit),
            ]
            return all.compactMap { name, value in value.map { (name, $0) } }
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
}
