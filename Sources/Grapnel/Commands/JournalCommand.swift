import ArgumentParser

struct JournalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "journal", abstract: "Look into a stopped server's journal.")
}
