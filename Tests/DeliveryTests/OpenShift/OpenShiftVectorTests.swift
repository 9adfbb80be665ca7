// Every vector in both profiles. What the API server would answer when the build fails is 200 here: the answer comes before the build.

import Testing

@testable import Delivery

@Suite("OpenShift vectors")
struct OpenShiftVectorTests {
    @Test("all files are read") func count() {
        #expect(OpenShiftVector.all.count == 129)
    }

    @Test("profile upstream answers and builds as the API server does", arguments: OpenShiftVector.all)
    func upstream(_ vector: OpenShiftVector) throws {
        try judge(vector, profile: .upstream)
    }

    @Test("profile grapnel does what users ask for", arguments: OpenShiftVector.all)
    func grapnel(_ vector: OpenShiftVector) throws {
        try judge(vector, profile: .grapnel)
    }

    private func judge(_ vector: OpenShiftVector, profile: OpenShiftProfile) throws {
        // Callers that the API server turns away: here everybody may call.
        var useBetter = vector.better != nil && vector.caller == "anonymous-unbound"
        if vector.caller == "anonymous-unbound", vector.better == nil { return }
        var options: Set<OpenShiftOption> = []
        var annotated: OpenShiftProfile?
        if profile == .grapnel, vector.better != nil, !useBetter {
            useBetter = true
            if vector.isOptIn {
                options = [try #require(OpenShiftVector.options[vector.id])]
                annotated = .grapnel
            }
        }
        let front = OpenShiftFront(
            configs: try vector.facts(profile: annotated, options: options),
            settings: OpenShiftSettings(profile: annotated == nil ? profile : .upstream))
        let request = try vector.request()
        let outcome = front.send(request)
        checkEchoes(outcome.ruling.answer, request)

        if useBetter { return try checkBetter(vector, outcome) }
        let expect = try #require(vector.value["expect"])
        let isCrash = expect["body"]?["kind"]?.text == "text"
        let mayBeBetter = isCrash || vector.tags.contains("legacy") || !vector.unreadableSecrets.isEmpty
        if mayBeBetter, vector.better != nil, isCrash || outcome.ruling.answer.status != status(expect) {
            return try checkBetter(vector, outcome)
        }
        try checkBase(expect, outcome)
    }

    private func status(_ block: JSONValue) -> UInt16 {
        if case .number(let text)? = block["status"] { return UInt16(text) ?? 0 }
        return 0
    }

    private func checkBetter(_ vector: OpenShiftVector, _ outcome: OpenShiftFront.Outcome) throws {
        let better = try #require(vector.better)
        #expect(outcome.ruling.answer.status == status(better))
        guard better["outcome"]?.text == "built" else {
            #expect(outcome.ruling.decision != .accepted)
            return
        }
        let request = try onlyRequest(outcome)
        if let commit = better["commit"]?.text { #expect(request["revision"]?["git"]?["commit"]?.text == commit) }
        #expect(request["triggeredBy"]?.elements?.count == 1)
    }

    private func checkBase(_ expect: JSONValue, _ outcome: OpenShiftFront.Outcome) throws {
        let answer = outcome.ruling.answer
        let call = expect["instantiate"].flatMap { $0.isNull ? nil : $0 }
        // A build that fails is answered before it fails.
        let isLate = expect["outcome"]?.text == "error" && call != nil
        #expect(answer.status == (isLate ? 200 : status(expect)))
        if !isLate { try checkBody(try #require(expect["body"]), answer) }
        guard let call else {
            #expect(outcome.ruling.decision != .accepted)
            return
        }
        let request = try onlyRequest(outcome)
        let wanted = try #require(call["request"])
        #expect(normal(wanted) == normal(request))
        guard case .actions(let actions)? = outcome.triggers, case .openshiftBuild(let target, _) = actions[0] else {
            return
        }
        let path = "/apis/build.openshift.io/v1/namespaces/\(target.namespace)/buildconfigs/\(target.name)/instantiate"
        #expect(call["path"]?.text == path)
    }

    private func onlyRequest(_ outcome: OpenShiftFront.Outcome) throws -> JSONValue {
        #expect(outcome.ruling.decision == .accepted)
        guard case .actions(let actions)? = outcome.triggers, actions.count == 1,
            case .openshiftBuild(let target, let request) = actions[0]
        else {
            Issue.record("expected one build, came \(String(describing: outcome.triggers))")
            throw MissingBuild()
        }
        #expect(target.kind == "BuildConfig")
        #expect(target.apiVersion == "build.openshift.io/v1")
        let json = try #require(JSONValue(request))
        #expect(json["metadata"]?["name"]?.text == target.name)
        return json
    }

    private struct MissingBuild: Error {}

    private func checkBody(_ expected: JSONValue, _ answer: Answer) throws {
        switch expected["kind"]?.text {
        case "any": return
        case "build", "build+status", "empty": #expect(answer.body.isEmpty)
        case "status":
            #expect(answer.contentType == "application/json")
            let came = try #require(JSONValue(answer.body))
            var wanted = try #require(expected["status"]?.members)
            wanted.removeAll { $0.name == "message" }
            for member in wanted { #expect(came[member.name] == member.value, "\(member.name)") }
            let message = expected["status"]?["message"]?.text ?? expected["messagePrefix"]?.text ?? ""
            let shown = came["message"]?.text ?? ""
            // Texts that go on with something of the request stop before it.
            let echoing = [
                "unexpected hook subpath", "non-parseable Content-Type", "unsupported Content-Type",
                "error parsing Content-Type", "Unknown X-GitHub-Event or X-Gogs-Event", "Unknown X-Gitlab-Event",
                "Unknown Bitbucket X-Event-Key", "Unable to extract valid event from payload",
            ]
            if let fixed = echoing.first(where: { message.hasPrefix($0) }) {
                #expect(shown.hasPrefix(fixed))
            } else if expected["status"]?["message"] != nil {
                #expect(shown == message)
            } else {
                #expect(shown.hasPrefix(message))
            }
        default: Issue.record("unknown kind of body")
        }
    }

    private func checkEchoes(_ answer: Answer, _ request: InboundRequest) {
        guard answer.status >= 400 else { return }
        if answer.status == 405 { #expect(answer.fields.contains(.init("Allow", "POST"))) }
        let text = String(decoding: answer.body, as: UTF8.self)
        #expect(!text.contains("s3cr3t"))
        if request.body.count >= 32 {
            #expect(!text.contains(String(decoding: request.body.prefix(32), as: UTF8.self)))
        }
    }

    /// Absent, null, empty text, list and object are one; the revision's type and our own annotations do not count.
    private func normal(_ value: JSONValue, key: String = "") -> JSONValue? {
        switch value {
        case .null: return nil
        case .string(let text): return text.isEmpty ? nil : value
        case .array(let elements):
            let kept = elements.map { normal($0, key: key + "[]") ?? .null }
            return kept.isEmpty ? nil : .array(kept)
        case .object(let members):
            let kept = members.compactMap { member -> JSONValue.Member? in
                if key == "revision", member.name == "type" { return nil }
                if key == "annotations", member.name.hasPrefix("grapnel.dev/") { return nil }
                return normal(member.value, key: member.name).map { .init(name: member.name, value: $0) }
            }
            return kept.isEmpty ? nil : .object(kept.sorted { $0.name < $1.name })
        default: return value
        }
    }
}
