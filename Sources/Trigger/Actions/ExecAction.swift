// ExecAction: runs a command with the delivery as JSON on its standard input and the key facts in its environment.
//
// Never through a shell: what a sender writes reaches the command as data only. A name with a slash is taken relative to
// `directory`, a bare name is looked for in PATH. Exit 0 is done; 75 (EX_TEMPFAIL of sysexits.h) says that time heals it;
// any other end uses up an attempt. What the command prints goes to the log at debug, its last words into the reason.

import Delivery
import Foundation
public import Logging

public struct ExecAction: ActionRunner {
    private let directory: String
    private let environment: [String: String]
    private let logger: Logger

    /// How much of one fact goes into the environment.
    static let factBytesMax = 4096
    /// How many lines of output are logged for one run.
    static let loggedLinesMax = 100
    static let temporaryFailureStatus: Int32 = 75
    /// Field names whose values may prove something. The journal has masked them already; they are of no use either.
    private static let credentialFields: Set<String> = [
        "authorization", "proxy-authorization", "cookie", "x-gitlab-token", "x-api-key", "x-webhook-token",
    ]

    /// `directory` is where relative commands are looked for. Our own settings (`GRAPNEL_*`) are not passed on.
    public init(directory: String, logger: Logger) {
        self.init(directory: directory, environment: ProcessInfo.processInfo.environment, logger: logger)
    }

    init(directory: String, environment: [String: String], logger: Logger) {
        self.directory = directory
        self.environment = environment.filter { !$0.key.hasPrefix("GRAPNEL_") }
        self.logger = logger
    }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .exec(let command, let timeout) = attempt.action, let payload = attempt.payload,
            let program = command.first, !program.isEmpty
        else { return .failed(ActionFailure(.final, scope: .none, reason: "not an exec action with a command")) }
        let input: [UInt8]
        do { input = try Self.input(attempt, payload) } catch {
            return .failed(ActionFailure(.final, scope: .none, reason: "the delivery cannot be written as JSON"))
        }
        let path = program.contains("/") && !program.hasPrefix("/") ? "\(directory)/\(program)" : program
        let process = CommandRun(
            arguments: [path] + command.dropFirst(),
            environment: environment.merging(Self.facts(attempt, payload)) { _, fact in fact }, input: input,
            timeoutNanoseconds: timeout)
        let end = await process.run()
        log(end, attempt)
        return Self.result(end.ending, Self.lastWords(end.output), program, timeout)
    }

    static func result(
        _ ending: CommandRun.Ending, _ lastWords: String, _ program: String, _ timeout: UInt64
    ) -> ActionResult {
        let words = lastWords.isEmpty ? "" : ": \(lastWords)"
        let reason: String
        var verdict = ActionFailure.Verdict.judged
        switch ending {
        case .exited(0): return .done
        case .exited(let status):
            reason = "\(program) exited with \(status)\(words)"
            if status == temporaryFailureStatus { verdict = .healable }
        case .signalled(let number): reason = "\(program) was ended by signal \(number)\(words)"
        case .timedOut: reason = "\(program) took longer than \(Double(timeout) / 1e9) s and was ended\(words)"
        case .cancelled:
            reason = "\(program) was ended because the server stops"
            verdict = .healable
        case .notStarted(let code):
            reason = "\(program) cannot be started (\(CommandRun.text(code))); correct the command or the file's mode"
        case .noResources(let code):
            reason = "\(program) cannot be started now (\(CommandRun.text(code)))"
            verdict = .healable
        }
        return .failed(ActionFailure(verdict, scope: .none, reason: reason))
    }

    /// The end of what was printed, on one line.
    static func lastWords(_ output: [UInt8]) -> String {
        let text = Printable.line(String(decoding: output, as: UTF8.self), bytesMax: CommandRun.outputBytesMax)
            .trimmingCharacters(in: .whitespaces)
        return text.count > 120 ? "…" + text.suffix(120) : text
    }

    private func log(_ end: CommandRun.End, _ attempt: ActionAttempt) {
        guard logger.logLevel <= .debug else { return }
        let lines = end.output.split(separator: UInt8(ascii: "\n"))
        for line in lines.suffix(Self.loggedLinesMax) {
            logger.debug(
                "command output",
                metadata: [
                    "sequence": "\(attempt.sequence)", "route": "\(attempt.route)",
                    "line": "\(Printable.line(String(decoding: line, as: UTF8.self), bytesMax: 1024))",
                ])
        }
        if end.droppedBytes > 0 {
            logger.debug(
                "command output cut",
                metadata: ["sequence": "\(attempt.sequence)", "dropped_bytes": "\(end.droppedBytes)"])
        }
    }

    // MARK: - What the command is told

    private struct Input: Encodable {
        struct Route: Encodable { var cluster, kind, namespace, name: String }
        struct Event: Encodable { var kind, repository, repositoryURL, ref, commit: String? }
        struct Header: Encodable { var name, value: String }
        var sequence: UInt64
        var deliveryID: String
        var attempt: Int
        var receivedAt: String
        var sender: String
        var route: Route
        var event: Event
        var contentType: String
        var headers: [Header]
        /// The body as text, when it is UTF-8; else `bodyBase64` has it.
        var body: String?
        var bodyBase64: String?
    }

    static func input(_ attempt: ActionAttempt, _ payload: DeliveryPayload) throws -> [UInt8] {
        let text = String(validating: payload.body, as: UTF8.self)
        let input = Input(
            sequence: attempt.sequence, deliveryID: payload.deliveryID, attempt: attempt.number,
            receivedAt: Timestamp.rfc3339(nanoseconds: attempt.receivedNanoseconds), sender: payload.sender.name,
            route: .init(
                cluster: attempt.route.cluster, kind: attempt.route.kind.name, namespace: attempt.route.namespace,
                name: attempt.route.name),
            event: .init(
                kind: attempt.event.kind ?? (payload.eventKind.isEmpty ? nil : payload.eventKind),
                repository: attempt.event.repository, repositoryURL: attempt.event.repositoryURL,
                ref: attempt.event.ref, commit: attempt.event.commit),
            contentType: payload.contentType,
            headers: payload.headers.compactMap { field in
                let isMasked = !field.value.isEmpty && field.value.utf8.allSatisfy { $0 == UInt8(ascii: "*") }
                if isMasked || credentialFields.contains(field.name.lowercased()) { return nil }
                return .init(name: field.name.lowercased(), value: field.value)
            },
            body: text, bodyBase64: text == nil ? Data(payload.body).base64EncodedString() : nil)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(input)) + [UInt8(ascii: "\n")]
    }

    static func facts(_ attempt: ActionAttempt, _ payload: DeliveryPayload) -> [String: String] {
        let facts: [String: String?] = [
            "GRAPNEL_SEQUENCE": String(attempt.sequence), "GRAPNEL_ATTEMPT": String(attempt.number),
            "GRAPNEL_DELIVERY_ID": payload.deliveryID, "GRAPNEL_ROUTE": attempt.route.description,
            "GRAPNEL_CLUSTER": attempt.route.cluster, "GRAPNEL_NAMESPACE": attempt.route.namespace,
            "GRAPNEL_NAME": attempt.route.name, "GRAPNEL_SENDER": payload.sender.name,
            "GRAPNEL_EVENT": attempt.event.kind ?? payload.eventKind,
            "GRAPNEL_REPOSITORY": attempt.event.repository, "GRAPNEL_REPOSITORY_URL": attempt.event.repositoryURL,
            "GRAPNEL_REF": attempt.event.ref, "GRAPNEL_COMMIT": attempt.event.commit,
        ]
        var result: [String: String] = [:]
        for (name, value) in facts {
            guard let value, !value.isEmpty else { continue }
            result[name] = Printable.line(value, bytesMax: factBytesMax)
        }
        return result
    }
}
