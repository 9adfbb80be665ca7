// RedeliverCommand: `grapnel deliveries redeliver`: one delivery, or all that a filter means, carried out once more.
//
//     grapnel deliveries redeliver 4711 --to Hook/team-a/canary
//     grapnel deliveries redeliver --outcome dead --since 2h --dry-run
//     grapnel deliveries redeliver --outcome dead --since 2h --rate 5     Ctrl-C cancels; the same command goes on
//
// Exit status: as the other commands', and 130 after Ctrl-C.

import ArgumentParser
import CLinuxIO
import Delivery
import Foundation

extension DeliveriesCommand {
    struct Redeliver: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "redeliver", abstract: "Carry deliveries out once more.",
            discussion: """
                One by its sequence, or all that a filter means, oldest first, at a rate. Left out of those are what is not final \
                yet, and what was redelivered before: a command that was interrupted goes on when it is given again. --dry-run \
                says which would be redelivered, and changes nothing. Ctrl-C cancels.
                """)

        @Argument(help: "The delivery's sequence; without one, a filter is needed.")
        var sequence: String?
        @OptionGroup var filter: Filter
        @Option(help: ArgumentHelp("So many a second, 1 to 1000.", valueName: "rate"))
        var rate = 10
        @Option(help: ArgumentHelp("At most so many, the oldest, up to 10000.", valueName: "count"))
        var limit = 1000
        @Option(help: ArgumentHelp("Only the actions on this target, as `show` names it.", valueName: "target"))
        var target: String?
        @Option(help: ArgumentHelp("Only this entry of the plan, as `show` numbers it.", valueName: "index"))
        var planIndex: Int?
        @Option(
            help: ArgumentHelp(
                "To another route, such as Hook/team-a/canary, or what was planned for an object to another one, such as GitRepository/team-a/canary.",
                valueName: "route"))
        var to: String?
        @Flag(help: "Also what was redelivered before; once for each that came.")
        var again = false
        @Flag(help: "Say what would be redelivered.")
        var dryRun = false
        @Flag(help: "Begin, and leave the server to it.")
        var detach = false
        @Option(help: ArgumentHelp("End a redelivery of many that runs.", valueName: "id"))
        var cancel: String?
        @Option(name: [.customShort("o"), .long], help: "table or json.")
        var output = DeliveryOutput.table
        @OptionGroup var admin: AdminOptions

        func validate() throws {
            if let cancel {
                guard AdminAPI.sequence(cancel) != nil else { throw ValidationError("--cancel is a number such as 3") }
                guard sequence == nil, filter.query.isEmpty, wish.isEmpty, !again, !dryRun, !detach else {
                    throw ValidationError("--cancel stands alone: it ends a redelivery that runs")
                }
                return
            }
            if let sequence {
                guard AdminAPI.sequence(sequence) != nil else {
                    throw ValidationError("a sequence is a number such as 4711")
                }
                guard filter.query.isEmpty else { throw ValidationError("give a sequence or a filter, not both") }
                guard !again, !detach else {
                    throw ValidationError("--again and --detach are for many; one delivery is always redelivered")
                }
            } else if filter.query.isEmpty {
                throw ValidationError(
                    "which deliveries? Give a sequence, or a filter such as --outcome dead --since 1h")
            }
            guard (1...1000).contains(rate) else { throw ValidationError("--rate is 1 to 1000 a second") }
            guard (1...10_000).contains(limit) else { throw ValidationError("--limit is 1 to 10000") }
            guard (0...65_535).contains(planIndex ?? 0) else { throw ValidationError("--plan-index is 0 to 65535") }
            guard !detach || !dryRun else { throw ValidationError("--dry-run begins nothing that could be detached") }
        }

        private var wish: [JSONValue.Member] {
            var members: [JSONValue.Member] = []
            if let target { members.append(.init(name: "target", value: .string(target))) }
            if let planIndex { members.append(.init(name: "planIndex", value: .number("\(planIndex)"))) }
            if let to { members.append(.init(name: "to", value: .string(to))) }
            return members
        }

        func run() throws {
            let client = try admin.client()
            if let cancel {
                let job = try client.post("/redeliveries/\(cancel)/cancel", .object([]))
                return print(output == .json ? JSONText.pretty.text(job) : RedeliveryText.state(job))
            }
            let body = wish + [.init(name: "dryRun", value: .bool(dryRun))]
            if let sequence { return try redeliver(sequence, body, client) }
            // From here on Ctrl-C waits: it must not leave a redelivery behind that nobody knows of.
            if !dryRun, !detach { _ = cl_block_interrupt() }
            let answer = try client.post("/redeliveries", .object(body + selection))
            if dryRun {
                if output == .json { return print(JSONText.pretty.text(answer)) }
                for line in RedeliveryText.selection(answer["selection"], isDry: true) { print(line) }
                for sequence in answer["selection"]?["sequences"]?.elements ?? [] {
                    print(DeliveryTable.text(sequence))
                }
                return
            }
            guard let job = answer["redelivery"] else {
                throw CommandFailure.environment("the server's answer names no redelivery")
            }
            if output != .json {
                for line in RedeliveryText.selection(answer["selection"], isDry: false) { print(line) }
            }
            guard !detach else {
                return print(output == .json ? JSONText.pretty.text(answer) : RedeliveryText.detached(job))
            }
            let watch = RedeliveryWatch(client: client, first: job)
            try end(of: try watch.untilItEnds(), answer["selection"] ?? .null)
        }

        private var selection: [JSONValue.Member] {
            [
                .init(
                    name: "filter",
                    value: .object(filter.query.map { JSONValue.Member(name: $0.0, value: .string($0.1)) })),
                .init(name: "rate", value: .number("\(rate)")), .init(name: "limit", value: .number("\(limit)")),
                .init(name: "again", value: .bool(again)),
            ]
        }

        private func redeliver(_ sequence: String, _ body: [JSONValue.Member], _ client: AdminClient) throws {
            let answer = try client.post("/deliveries/\(sequence)/redeliver", .object(body))
            let place = to.map { " to \($0)" } ?? ""
            if output == .json {
                print(JSONText.pretty.text(answer))
            } else if dryRun {
                print("delivery \(sequence) would be redelivered\(place)")
            } else {
                print("delivery \(sequence) is redelivered\(place) as \(DeliveryTable.text(answer["redelivered"]))")
            }
        }

        private func end(of ending: RedeliveryWatch.Ending, _ selection: JSONValue) throws {
            let job = ending.job
            if output == .json {
                print(JSONText.pretty.text(.object((job.members ?? []) + [.init(name: "selection", value: selection)])))
            }
            for refusal in job["refusals"]?.elements ?? [] {
                Terminal.error("\(DeliveryTable.text(refusal["sequence"])): \(DeliveryTable.text(refusal["message"]))")
            }
            if job["state"]?.text == "cancelled" {
                Terminal.error(RedeliveryText.state(job))
                throw ending.isInterrupted ? ExitCode(130) : ExitCode(ExitStatus.wrongInput.rawValue)
            }
            if output != .json { print(RedeliveryText.state(job)) }
            if job["refused"] != .number("0") { throw CommandFailure(.wrongInput, []) }
        }
    }
}
