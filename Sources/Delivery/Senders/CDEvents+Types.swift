// CDEvents+Types: the event types of CDEvents spec 0.4.1 and 0.5, and what their schemas demand of `subject.content`.
//
// One line each: subject, predicate, the type's version in 0.4.1 and in 0.5, demands. Texts that may be empty are not demanded: a
// decoder that fills absent members in, as upstream's does, cannot tell them from absent ones.

/// `dev.cdevents.<subject>.<predicate>.<version>`, or `dev.cdeventsx.<tool>-<subject>.<predicate>.<version>`.
struct CDEventType: Equatable {
    let isCustom: Bool
    let subject: String
    let predicate: String
    let version: String

    init?(_ text: String) {
        guard text.utf8.count <= 256 else { return nil }
        let parts = text.split(separator: ".", maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0] == "dev", parts[1] == "cdevents" || parts[1] == "cdeventsx" else {
            return nil
        }
        isCustom = parts[1] == "cdeventsx"
        subject = String(parts[2])
        predicate = String(parts[3])
        version = String(parts[4])
        let isWord = { (text: Substring) in
            !text.isEmpty && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
        }
        let numbers = parts[4].split(separator: ".", omittingEmptySubsequences: false)
        guard numbers.count == 3, numbers.allSatisfy(isWord), isWord(parts[3]) else { return nil }
        let words = parts[2].split(separator: "-", omittingEmptySubsequences: false)
        guard words.count == (isCustom ? 2 : 1), words.allSatisfy(isWord) else { return nil }
    }

    /// Without the version.
    var unversioned: String { "dev.\(isCustom ? "cdeventsx" : "cdevents").\(subject).\(predicate)" }
}

struct CDEventRule: Sendable {
    enum Demand: Sendable {
        /// An object with an `id`.
        case reference(String)
        /// A text that is not empty.
        case text(String)
        /// One of the words.
        case word(String, Set<String>)
    }

    let subject: String
    let predicate: String
    let version04: String
    let version05: String
    let demands: [Demand]

    /// As 0.4.1 spells it in `subject.type`.
    var subjectType: String {
        switch subject {
        case "pipelinerun": "pipelineRun"
        case "taskrun": "taskRun"
        case "testcaserun": "testCaseRun"
        case "testsuiterun": "testSuiteRun"
        case "testoutput": "testOutput"
        default: subject
        }
    }

    /// Members that are references wherever they stand.
    private static let references = [
        "change", "environment", "pipelineRun", "repository", "service", "testCase", "testCaseRun", "testSuite",
        "testSuiteRun",
    ]
    private static let texts = [
        "artifactId", "description", "name", "owner", "pipelineName", "taskName", "uri", "url", "user", "viewUrl",
    ]

    func accepts(_ content: JSONValue) -> Bool {
        for name in Self.references where !CDEvents.isAbsentOr(content[name], Self.isReference) { return false }
        for name in Self.texts where !CDEvents.isAbsentOr(content[name], { $0.text != nil }) { return false }
        return demands.allSatisfy { demand in
            switch demand {
            case .reference(let name): content[name].map(Self.isReference) ?? false
            case .text(let name): CDEvents.filled(content[name]) != nil
            case .word(let name, let words): content[name]?.text.map(words.contains) ?? false
            }
        }
    }

    private static func isReference(_ value: JSONValue) -> Bool {
        CDEvents.filled(value["id"]) != nil && CDEvents.isAbsentOr(value["source"]) { $0.text != nil }
    }

    static func of(_ type: CDEventType) -> CDEventRule? { byName[type.subject + "." + type.predicate] }

    private static let byName: [String: CDEventRule] = Dictionary(
        all.map { ($0.subject + "." + $0.predicate, $0) }, uniquingKeysWith: { first, _ in first })

    private static let environment = Demand.reference("environment")
    private static let outcome = Demand.word(
        "outcome", ["pass", "fail", "cancel", "error", "success", "failure", "skip"])
    private static let outputType = Demand.word("outputType", ["report", "video", "image", "log", "other"])

    private static func rule(_ name: String, _ version04: String, _ version05: String, _ demands: Demand...)
        -> CDEventRule
    {
        let dot = name.firstIndex(of: ".") ?? name.endIndex
        return CDEventRule(
            subject: String(name[..<dot]), predicate: String(name[dot...].dropFirst()), version04: version04,
            version05: version05, demands: demands)
    }

    static let all: [CDEventRule] = [
        rule("artifact.deleted", "0.1.0", "0.2.0"),
        rule("artifact.downloaded", "0.1.0", "0.2.0"),
        rule("artifact.packaged", "0.2.0", "0.3.0", .reference("change")),
        rule("artifact.published", "0.2.0", "0.3.0"),
        rule("artifact.signed", "0.2.0", "0.3.0", .text("signature")),
        rule("branch.created", "0.2.0", "0.3.0"),
        rule("branch.deleted", "0.2.0", "0.3.0"),
        rule("build.finished", "0.2.0", "0.3.0"),
        rule("build.queued", "0.2.0", "0.3.0"),
        rule("build.started", "0.2.0", "0.3.0"),
        rule("change.abandoned", "0.2.0", "0.3.0"),
        rule("change.created", "0.3.0", "0.4.0"),
        rule("change.merged", "0.2.0", "0.3.0"),
        rule("change.reviewed", "0.2.0", "0.3.0"),
        rule("change.updated", "0.2.0", "0.3.0"),
        rule("environment.created", "0.2.0", "0.3.0"),
        rule("environment.deleted", "0.2.0", "0.3.0"),
        rule("environment.modified", "0.2.0", "0.3.0"),
        rule("incident.detected", "0.2.0", "0.3.0", environment),
        rule("incident.reported", "0.2.0", "0.3.0", environment, .text("ticketURI")),
        rule("incident.resolved", "0.2.0", "0.3.0", environment),
        rule("pipelinerun.finished", "0.2.0", "0.3.0"),
        rule("pipelinerun.queued", "0.2.0", "0.3.0"),
        rule("pipelinerun.started", "0.2.0", "0.3.0"),
        rule("repository.created", "0.2.0", "0.3.0", .text("name"), .text("url")),
        rule("repository.deleted", "0.2.0", "0.3.0"),
        rule("repository.modified", "0.2.0", "0.3.0", .text("name"), .text("url")),
        rule("service.deployed", "0.2.0", "0.3.0", environment, .text("artifactId")),
        rule("service.published", "0.2.0", "0.3.0", environment),
        rule("service.removed", "0.2.0", "0.3.0", environment),
        rule("service.rolledback", "0.2.0", "0.3.0", environment, .text("artifactId")),
        rule("service.upgraded", "0.2.0", "0.3.0", environment, .text("artifactId")),
        rule("taskrun.finished", "0.2.0", "0.3.0"),
        rule("taskrun.started", "0.2.0", "0.3.0"),
        rule("testcaserun.finished", "0.2.0", "0.3.0", outcome, environment),
        rule("testcaserun.queued", "0.2.0", "0.3.0", environment),
        rule("testcaserun.skipped", "0.1.0", "0.2.0", environment),
        rule("testcaserun.started", "0.2.0", "0.3.0", environment),
        rule("testoutput.published", "0.2.0", "0.3.0", outputType),
        rule("testsuiterun.finished", "0.2.0", "0.3.0", outcome, environment),
        rule("testsuiterun.queued", "0.2.0", "0.3.0", environment),
        rule("testsuiterun.started", "0.2.0", "0.3.0", environment),
        rule("ticket.closed", "0.1.0", "0.2.0", .text("uri"), .text("resolution")),
        rule("ticket.created", "0.1.0", "0.2.0", .text("uri"), .text("creator")),
        rule("ticket.updated", "0.1.0", "0.2.0", .text("uri")),
    ]
}
