// CommandFailure: how a command ends when it cannot do what it was asked to.

/// Exit codes: 0 well, 1 the input is wrong, 2 usage, 3 the environment failed (port taken, disk full).
enum ExitStatus: Int32, Sendable {
    case wrongInput = 1
    case usage = 2
    case environment = 3
}

/// Ends a command with a message on standard error. Each line names what to do.
struct CommandFailure: Error, CustomStringConvertible {
    let status: ExitStatus
    /// Lines without a program's name in front. Empty: everything was said already.
    let messages: [String]

    init(_ status: ExitStatus, _ messages: [String]) {
        self.status = status
        self.messages = messages
    }

    init(_ status: ExitStatus, _ message: String) {
        self.init(status, [message])
    }

    static func input(_ message: String) -> CommandFailure { CommandFailure(.wrongInput, message) }
    static func environment(_ message: String) -> CommandFailure { CommandFailure(.environment, message) }

    var description: String { messages.joined(separator: "\n") }
}
