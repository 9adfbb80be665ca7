// PauseCommand: `grapnel pause` and `grapnel resume`: hold back what a route, a namespace or a target is to do, through the admin API.
//
//     grapnel pause --route Hook/team-a/webapp
//     grapnel pause --target GitRepository/team-a/webapp
//     grapnel resume --all
//
// Exit status: 0 well (also when it was so already), 1 what was asked for is wrong, 2 usage, 3 no server answers.

import ArgumentParser
import Delivery

/// What is meant.
struct PauseOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Kind/namespace/name.", valueName: "route"))
    var route: String?
    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("All routes of this namespace.", valueName: "name"))
    var namespace: String?
    @Option(
        help: ArgumentHelp(
            "All that acts on it, as `grapnel queues` names it; of http actions scheme, host and port, so all that call there.",
            valueName: "target"))
    var target: String?
    @Option(help: ArgumentHelp("Of this cluster (default: local).", valueName: "name"))
    var cluster: String?

    /// nil: nothing was given.
    func subject() throws -> JSONValue? {
        let given = [("route", route), ("namespace", namespace), ("target", target)].compactMap { name, value in
            value.map { JSONValue.Member(name: name, value: .string($0)) }
        }
        guard given.count <= 1 else { throw ValidationError("give one of --route, --namespace and --target") }
        guard let subject = given.first else { return nil }
        if let route, route.split(separator: "/", omittingEmptySubsequences: false).count != 3 {
            throw ValidationError("--route is Kind/namespace/name, such as Hook/team-a/webapp")
        }
        return .object([subject] + (cluster.map { [.init(name: "cluster", value: .string($0))] } ?? []))
    }
}

struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Hold back what a route, a namespace or a target is to do.",
        discussion: """
            Deliveries go on being accepted, stored and owed; nothing is started until `grapnel resume`, also after a restart. \
            Without an option: say what is paused.
            """)

    @OptionGroup var options: PauseOptions
    @OptionGroup var admin: AdminOptions

    func validate() throws { _ = try options.subject() }

    func run() throws {
        let client = try admin.client()
        guard let subject = try options.subject() else {
            let paused = try client.get("/queues", [("limit", "1")])["paused"]?.elements ?? []
            if paused.isEmpty { print("nothing is paused") }
            for subject in paused { print(QueueText.subject(subject)) }
            return
        }
        let answer = try client.post("/pause", subject)
        let text = answer["subject"].map { QueueText.subject($0) } ?? "-"
        print(answer["changed"]?.boolean == true ? "paused: \(text)" : "was paused already: \(text)")
        if let warning = answer["warning"]?.text { Terminal.error("warning: \(Plain.text(warning, max: 2000))") }
    }
}

struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let go on what was paused.",
        discussion: "What waits begins at once, builds in the order in which their deliveries came.")

    @OptionGroup var options: PauseOptions
    @Flag(help: "Everything that is paused.")
    var all = false
    @OptionGroup var admin: AdminOptions

    func validate() throws {
        let isGiven = try options.subject() != nil
        guard isGiven != all else {
            throw ValidationError(
                "what? Give one of --route, --namespace and --target, or --all; `grapnel pause` lists them")
        }
    }

    func run() throws {
        let client = try admin.client()
        if all {
            let paused = try client.get("/queues", [("limit", "1")])["paused"]?.elements ?? []
            if paused.isEmpty { print("nothing is paused") }
            for subject in paused { try resume(subject, client) }
        } else if let subject = try options.subject() {
            try resume(subject, client)
        }
    }

    private func resume(_ subject: JSONValue, _ client: AdminClient) throws {
        let answer = try client.post("/resume", subject)
        let text = answer["subject"].map { QueueText.subject($0) } ?? "-"
        guard answer["changed"]?.boolean == true else {
            let others = (answer["paused"]?.elements ?? []).map { QueueText.subject($0) }
            throw CommandFailure.input(
                "\(text) is not paused; "
                    + (others.isEmpty ? "nothing is" : "paused are: \(others.joined(separator: ", "))"))
        }
        print("resumed: \(text)")
    }
}
