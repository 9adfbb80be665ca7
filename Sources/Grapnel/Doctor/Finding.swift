// Finding: what one check of `grapnel doctor` came to, as a line and as JSON.

import Delivery

struct Finding: Sendable, Equatable {
    enum Level: String, Sendable {
        case ok
        /// True, worth knowing, and nobody's fault.
        case note
        /// It works, but not as well or as safely as it could.
        case warn
        case fail
    }

    var level: Level
    /// What was looked at, in a word or two.
    var subject: String
    var message: String
    /// What to do; of every warning and failure.
    var remedy: String?

    static func ok(_ subject: String, _ message: String) -> Finding {
        Finding(level: .ok, subject: subject, message: message)
    }
    static func note(_ subject: String, _ message: String) -> Finding {
        Finding(level: .note, subject: subject, message: message)
    }
    static func warn(_ subject: String, _ message: String, _ remedy: String) -> Finding {
        Finding(level: .warn, subject: subject, message: message, remedy: remedy)
    }
    static func fail(_ subject: String, _ message: String, _ remedy: String) -> Finding {
        Finding(level: .fail, subject: subject, message: message, remedy: remedy)
    }

    /// `FAIL  disk: …` and, below, what to do.
    var line: String {
        let word = level == .fail ? "FAIL" : level.rawValue
        let first = word + String(repeating: " ", count: 6 - word.count) + "\(subject): \(message)"
        return remedy.map { "\(first)\n      remedy: \($0)" } ?? first
    }

    var json: JSONValue {
        var members: [JSONValue.Member] = [
            .init(name: "result", value: .string(level.rawValue)), .init(name: "subject", value: .string(subject)),
            .init(name: "message", value: .string(message)),
        ]
        if let remedy { members.append(.init(name: "remedy", value: .string(remedy))) }
        return .object(members)
    }
}

/// Everything that was found.
struct Diagnosis: Sendable {
    var findings: [Finding] = []
    /// Kubernetes objects that grant what was denied, as YAML; empty when nothing was.
    var missingRules = ""

    var hasFailed: Bool { findings.contains { $0.level == .fail } }

    var summary: String {
        func count(_ level: Finding.Level) -> Int { findings.count { $0.level == level } }
        return "\(findings.count) checks: \(count(.ok)) ok, \(count(.note)) notes, \(count(.warn)) warnings, "
            + "\(count(.fail)) failed"
    }

    var json: JSONValue {
        [
            "checks": .array(findings.map(\.json)), "missingRules": .string(missingRules),
            "failed": .bool(hasFailed),
        ]
    }
}
