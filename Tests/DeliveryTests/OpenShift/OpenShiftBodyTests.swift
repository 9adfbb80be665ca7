// Bodies and content types that are odd, huge or hostile: nothing traps, nothing takes long.

import Testing

@testable import Delivery

@Suite("OpenShift bodies")
struct OpenShiftBodyTests {
    @Test(
        "content types as Go's mime package takes them",
        arguments: [
            ("application/json", "application/json"), (" Application/JSON ; Charset=UTF-8", "application/json"),
            ("application/json;", "application/json"), ("application/json; ", "application/json"), ("json", "json"),
            ("a/b; c=\"d;\\\"e\"", "a/b"), ("a/b; c=d; c=d", "a/b"), ("text/plain; a=b ; c=d", "text/plain"),
        ])
    func goodTypes(_ field: String, _ name: String) {
        #expect(MediaType(field)?.name == name)
    }

    @Test(
        "content types that Go refuses",
        arguments: [
            "", " ", "/json", "application/", "bad//bad", "a/b c", "a/b; c", "a/b; =d", "a/b; c=", "a/b; c=d; c=e",
            "a/b;; c=d",
            "a/b; c=\"d", "a/b, c/d", "a b",
        ])
    func badTypes(_ field: String) {
        #expect(MediaType(field) == nil)
    }

    @Test("YAML becomes what Kubernetes makes of it") func yaml() {
        let text = "a: yes\nb: 'yes'\nc: ~\nd: 1.5\ne: [x, {y: z}]\n# end\nf: |-\n  one\n  two\n---\nignored: true\n"
        let value = YAMLPayload.json(Array(text.utf8))
        #expect(value?["a"] == .bool(true))
        #expect(value?["b"]?.text == "yes")
        #expect(value?["c"]?.isNull == true)
        #expect(value?["d"]?.text == nil)
        #expect(value?["e"]?.elements?.last?["y"]?.text == "z")
        #expect(value?["f"]?.text == "one\ntwo")
        #expect(value?["ignored"] == nil)
        #expect(YAMLPayload.json(Array("base: &b {k: v}\nuse: *b\n".utf8))?["use"]?["k"]?.text == "v")
    }

    @Test("YAML that would grow or nest without end is refused at once") func hostileYAML() {
        var laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
        for level in 1..<12 {
            let alias = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",")
            laughs += "a\(level): &a\(level) [\(alias)]\n"
        }
        let hostile = [
            laughs, laughs + "? *a11\n: 1\n", String(repeating: "[", count: 100_000),
            String(repeating: "- ", count: 100_000),
            String(repeating: "{a: ", count: 50_000), String(repeating: "? ", count: 50_000),
            (0..<2_000).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
            String(repeating: "{[", count: 60_000),
            "a: &a\n  b: *a\n", "*x", "\u{0}", "a: \u{7}",
            String(repeating: "{? ", count: 70_000), String(repeating: "x", count: (256 << 10) + 1),
        ]
        let time = ProcessorTime()
        for text in hostile { #expect(YAMLPayload.json(Array(text.utf8)) == nil, "\(text.prefix(20))") }
        #expect(YAMLPayload.json([0xff, 0xfe]) == nil)
        time.expectAtMost(5)
        // Below the bounds the count of values still holds.
        let wide =
            "a: &a [" + Array(repeating: "x", count: 2_000).joined(separator: ",") + "]\nb: ["
            + Array(repeating: "*a", count: 400).joined(separator: ",") + "]\n"
        #expect(YAMLPayload.json(Array(wide.utf8)) == nil)
    }

    @Test("a form is taken only when asked for, and only with its payload") func forms() {
        let fields = [("Content-Type", "application/x-www-form-urlencoded"), ("X-GitHub-Event", "push")]
        let trigger = OpenShiftRulesTests.trigger(.github, "one")
        for (body, status) in [
            ("payload=%7B%22ref%22%3A%22main%22%7D", 200), ("payload=", 400), ("x=1", 400), ("payload=%zz", 400),
        ] {
            let request = OpenShiftRulesTests.request("one/github", fields, body: body)
            let with = OpenShiftRules(OpenShiftRulesTests.config([trigger], options: [.formBodies]))
            #expect(Int(with.rule(on: request, now: 0).answer.status) == status, "\(body)")
            let without = OpenShiftRules(OpenShiftRulesTests.config([trigger]))
            #expect(without.rule(on: request, now: 0).answer.status == 400)
        }
    }

    @Test("payloads of every odd shape are answered, in every profile and type", arguments: OpenShiftProfile.allCases)
    func shapes(_ profile: OpenShiftProfile) {
        let odd = ["null", "[]", "{}", "7", "\"x\"", "[null]", "{\"name\":7}", "[{}]", "[[]]", "true"]
        let texts =
            odd
            + odd.flatMap { a in
                [
                    "ref", "after", "head_commit", "commits", "repository", "project", "push", "changes", "git", "env",
                    "dockerStrategyOptions", "toCommit", "checkout_sha", "deleted",
                ].map { "{\"ref\":\"main\",\"\($0)\":\(a)}" }
            }
            + odd.flatMap { a in
                ["old", "new", "commits", "ref", "toHash", "type"].flatMap { name in
                    [
                        "{\"push\":{\"changes\":[{\"\(name)\":\(a)}]}}",
                        "{\"changes\":[{\"ref\":{\"displayId\":\"main\"},\"\(name)\":\(a)}]}",
                    ]
                }
            } + odd.map { "{\"git\":{\"ref\":\"main\",\"refs\":\($0)}}" }
        let events = [
            ("github", "X-GitHub-Event", "push"), ("gitlab", "X-Gitlab-Event", "Push Hook"),
            ("bitbucket", "X-Event-Key", "repo:push"), ("bitbucket", "X-Event-Key", "repo:refs_changed"),
            ("generic", "X-Y", "z"),
        ]
        let config = OpenShiftRulesTests.config(
            BuildHookType.allCases.map { OpenShiftRulesTests.trigger($0, "one", env: true) }, profile: profile)
        for (type, name, event) in events {
            for text in texts {
                for content in ["application/json", "application/yaml"] {
                    let fields = [("Content-Type", content), (name, event)]
                    let outcome = OpenShiftFront(configs: [config], settings: OpenShiftSettings())
                        .send(OpenShiftRulesTests.request("one/\(type)", fields, body: text))
                    #expect([200, 400].contains(outcome.ruling.answer.status))
                    if case .actions(let actions)? = outcome.triggers { #expect(actions.count == 1) }
                    // What was accepted is carried out.
                    if outcome.ruling.decision == .accepted { #expect(outcome.triggers != .ignored(.bodyUnusable)) }
                }
            }
        }
    }

    @Test("mutated vectors never trap, and only a right secret is accepted") func mutations() throws {
        var generator = SeededGenerator()
        let options = Set(OpenShiftOption.allCases)
        for vector in OpenShiftVector.all {
            let request = try vector.request()
            for round in 0..<12 {
                let configs = try vector.facts(
                    profile: round % 2 == 0 ? .grapnel : .upstream,
                    options: round % 3 == 0 ? options.subtracting([.verifySignature]) : [])
                let mutated = request.mutated(&generator)
                let outcome = OpenShiftFront(configs: configs, settings: OpenShiftSettings()).send(mutated)
                #expect([200, 400, 401, 404, 405].contains(outcome.ruling.answer.status))
                if outcome.ruling.decision == .accepted { #expect(outcome.triggers != nil) }
            }
        }
    }

    @Test("deep and long bodies are refused in little time") func hugeBodies() {
        let config = OpenShiftRulesTests.config([OpenShiftRulesTests.trigger(.github, "one")], profile: .grapnel)
        let time = ProcessorTime()
        for body in [
            String(repeating: "[", count: 1 << 20), String(repeating: "{\"a\":", count: 1 << 18),
            "{\"ref\":\"" + String(repeating: "a", count: 1 << 20) + "\"}",
            "{" + (0..<20_000).map { "\"k\($0)\":\($0)" }.joined(separator: ",") + "}",
        ] {
            let request = OpenShiftRulesTests.request("one/github", OpenShiftRulesTests.github, body: body)
            #expect(OpenShiftRules(config).rule(on: request, now: 0).decision != .accepted)
        }
        time.expectAtMost(5)
    }
}

extension InboundRequest {
    /// A few bytes changed, removed or doubled, in path, query, fields and body.
    func mutated(_ generator: inout SeededGenerator) -> InboundRequest {
        var copy = self
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: copy.path = Self.mutated(path, &generator)
        case 1: copy.query = Self.mutated(query ?? "a=b&dryRun&%", &generator)
        case 2:
            guard let index = copy.fields.indices.randomElement(using: &generator) else { break }
            copy.fields[index].value = Self.mutated(copy.fields[index].value, &generator)
        case 3:
            guard let index = copy.fields.indices.randomElement(using: &generator) else { break }
            copy.fields.remove(at: index)
        default: copy.body = Self.mutated(copy.body, &generator)
        }
        return copy
    }

    private static func mutated(_ text: String, _ generator: inout SeededGenerator) -> String {
        String(decoding: mutated(Array(text.utf8), &generator), as: UTF8.self)
    }

    private static func mutated(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            guard let index = bytes.indices.randomElement(using: &generator) else {
                bytes.append(UInt8.random(in: 0...255, using: &generator))
                continue
            }
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: index)
            case 2: bytes.removeSubrange(index...)
            case 3: bytes.insert(contentsOf: "\"{}[]:,%/&=*\n".utf8.shuffled(using: &generator).prefix(2), at: index)
            default: bytes += bytes[index...].prefix(64)
            }
        }
        return bytes
    }
}
