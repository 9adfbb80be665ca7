// RedeliverCommand: `grapnel deliveries redeliver`: one delivery, or all that a filter means, carried out once more.

import ArgumentParser
import Delivery
import Foundation

extension DeliveriesCommand {
    struct Redeliver: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "redeliver", abstract: "Carry deliveries out once more.",
            discussion: """
                One by its sequence, or all that a filter means, oldest first, at a rate. What is not final yet is left out. \
                --dry-run says which, and changes nothing.
                """)

        @Argument(help: "The delivery's sequence; without one, a filter is needed.")
        var sequence: String?
        @OptionGroup var filter: Filter
        @Option(help: ArgumentHelp("So many a second, 1 to 1000.", valueName: "rate"))
        var rate = 10
        @Option(help: ArgumentHelp("At most so many, up to 10000.", valueName: "count"))
        var limit = 1000
        @Option(help: ArgumentHelp("Only the actions on this target, as `show` names it.", valueName: "target"))
        var target: String?
        @Flag(help: "Say what would be redelivered.")
        var dryRun = false
        @Option(name: [.customShort("o"), .long], help: "table or json.")
        var output = DeliveryOutput.table
        @OptionGroup var admin: AdminOptions

        func validate() throws {
            if let sequence {
                guard AdminAPI.sequence(sequence) != nil else {
                    throw ValidationError("a sequence is a number such as 4711")
                }
                guard filter.query.isEmpty else { throw ValidationError("give a sequence or a filter, not both") }
            } else if filter.query.isEmpty {
                throw ValidationError(
                    "which deliveries? Give a sequence, or a filter such as --outcome dead --since 1h")
            }
            guard (1...1000).contains(rate) else { throw ValidationError("--rate is 1 to 1000 a second") }
            guard (1...10_000).contains(limit) else { throw ValidationError("--limit is 1 to 10000") }
        }

        func run() throws {
            let client = try admin.client()
            var body: [JSONValue.Member] = [.init(name: "dryRun", value: .bool(dryRun))]
            if let target { body.append(.init(name: "target", value: .string(target))) }
            if let sequence {
                let answer = try client.post("/deliveries/\(sequence)/redeliver", .object(body))
                if output == .json {
                    print(JSONText.pretty.text(answer))
                } else if dryRun {
                    print("delivery \(sequence) would be redelivered")
                } else {
                    print("delivery \(sequence) is redelivered as \(DeliveryTable.text(answer["redelivered"]))")
                }
                return
            }
            body += [
                .init(
                    name: "filter",
                    value: .object(filter.query.map { JSONValue.Member(name: $0.0, value: .string($0.1)) })),
                .init(name: "rate", value: .number("\(rate)")), .init(name: "limit", value: .number("\(limit)")),
            ]
            let answer = try client.post("/redeliveries", .object(body))
            guard !dryRun, let id = answer["redelivery"]?["id"]?.text else {
                report(answer)
                return
            }
            try follow(client, id)
        }

        private func report(_ answer: JSONValue) {
            if output == .json { return print(JSONText.pretty.text(answer)) }
            let selection = answer["selection"]
            print("\(DeliveryTable.text(selection?["count"])) deliveries would be redelivered")
            for sequence in selection?["sequences"]?.elements ?? [] { print(DeliveryTable.text(sequence)) }
        }

        /// Until the job has ended. Interrupting the command does not end the job.
        private func follow(_ client: AdminClient, _ id: String) throws {
            while true {
                let job = try client.get("/redeliveries/\(id)")
                guard job["state"]?.text != "running" else {
                    usleep(250_000)
                    continue
                }
                if output == .json {
                    print(JSONText.pretty.text(job))
                } else {
                    print(
                        "\(DeliveryTable.text(job["redelivered"])) redelivered, \(DeliveryTable.text(job["refused"])) refused"
                    )
                    for refusal in job["refusals"]?.elements ?? [] {
                        Terminal.error(
                            "\(DeliveryTable.text(refusal["sequence"])): \(DeliveryTable.text(refusal["message"]))")
                    }
                }
                if job["refused"] != .number("0") { throw CommandFailure(.wrongInput, []) }
                return
            }
        }
    }
}
