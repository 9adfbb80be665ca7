// What the vectors leave out: what is stored, which trigger's rights count, repeated deliveries, options, attacks.

import Testing

@testable import Delivery

@Suite("OpenShift rules")
struct OpenShiftRulesTests {
    static let path = "/apis/build.openshift.io/v1/namespaces/demo/buildconfigs/orders/webhooks/"
    static let push = #"{"ref":"refs/heads/main","after":"4f6c","head_commit":{"id":"4f6c","message":"m"}}"#

    static func config(
        _ triggers: [BuildConfigFacts.Trigger], ref: String = "main", profile: OpenShiftProfile? = nil,
        options: Set<OpenShiftOption> = []
    ) -> BuildConfigFacts {
        BuildConfigFacts(
            namespace: "demo", name: "orders", triggers: triggers,
            git: .init(uri: "https://git.corp.example/acme/orders.git", ref: ref), profile: profile, options: options)
    }

    static func trigger(
        _ type: BuildHookType, _ secret: String, env: Bool = false
    ) -> BuildConfigFacts.Trigger {
        .init(type: type, inlineSecret: SecretBytes(Array(secret.utf8)), allowsEnv: env)
    }

    static func request(
        _ tail: String, _ fields: [(String, String)] = [], body: String = "", method: String = "POST",
        query: String? = nil
    ) -> InboundRequest {
        InboundRequest(
            method: method, path: path + tail, query: query,
            fields: fields.map { InboundRequest.Field(name: $0.0, value: $0.1) }, body: Array(body.utf8))
    }

    static let json = ("Content-Type", "application/json")
    static let github = [json, ("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "d-1")]

    func send(_ config: BuildConfigFacts, _ request: InboundRequest, id: String = "") -> OpenShiftFront.Outcome {
        OpenShiftFront(configs: [config], settings: OpenShiftSettings()).send(request, deliveryID: id)
    }

    func build(_ outcome: OpenShiftFront.Outcome) -> JSONValue? {
        guard case .actions(let actions)? = outcome.triggers, case .openshiftBuild(_, let json)? = actions.first else {
            return nil
        }
        return JSONValue(json)
    }

    // - What is stored

    @Test("no secret is left in the stored request") func storedSecrets() {
        let config = Self.config([Self.trigger(.gitlab, "t0psecret/é".replacing("/", with: "-"))])
        let request = Self.request(
            "t0psecret-%C3%A9/gitlab",
            [
                Self.json, ("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", "t0psecret-x"),
                ("Authorization", "Bearer t0psecret-y"), ("Cookie", "a=t0psecret-z"),
            ], body: #"{"ref":"main","commits":[{"id":"4f6c"}]}"#)
        let outcome = send(config, request)
        #expect(outcome.ruling.decision == .accepted)
        #expect(!outcome.stored.everything.contains("t0psecret"))
        #expect(outcome.stored.path == Self.path + "****************" + "/gitlab")
        #expect(build(outcome)?["revision"]?["git"]?["commit"]?.text == "4f6c")
    }

    @Test("an escaped slash in the secret is overwritten as well, profile grapnel") func storedEscapedSlash() {
        let config = Self.config([Self.trigger(.generic, "a/b")], profile: .grapnel)
        let outcome = send(config, Self.request("a%2Fb/generic/"))
        #expect(outcome.ruling.decision == .accepted)
        #expect(outcome.stored.path == Self.path + "*****/generic/")
        #expect(build(outcome) != nil)
    }

    // - Rights of the trigger that matched

    @Test("env is used only when the trigger that matched allows it, whatever the other one says")
    func envRights() {
        let config = Self.config([Self.trigger(.generic, "one"), Self.trigger(.generic, "two", env: true)])
        let body = #"{"env":[{"name":"A","value":"b"}]}"#
        let allowed = send(config, Self.request("two/generic", [Self.json], body: body))
        let refused = send(config, Self.request("one/generic", [Self.json], body: body))
        #expect(build(allowed)?["env"]?.elements?.count == 1)
        #expect(build(refused) != nil)
        #expect(build(refused)?["env"] == nil)
        // Without env the path keeps its type.
        let plain = send(config, Self.request("one/generic", [Self.json], body: "{}"))
        #expect(plain.stored.path == Self.path + "***/generic")
    }

    @Test("env of a Git type's payload is never used") func envOfPush() {
        let config = Self.config([Self.trigger(.github, "one", env: true)])
        let body = #"{"ref":"main","env":[{"name":"A","value":"b"}],"head_commit":{"id":"4f6c"}}"#
        let outcome = send(config, Self.request("one/github", Self.github, body: body))
        #expect(build(outcome)?["env"] == nil)
        #expect(build(outcome)?["revision"] != nil)
    }

    // - The request to instantiate

    @Test("the Build is told which delivery caused it, and why a payload was not used") func annotations() {
        let config = Self.config([Self.trigger(.generic, "one")])
        let outcome = send(config, Self.request("one/generic", [("Content-Type", "text/plain")], body: "x"), id: "d-9")
        let annotations = build(outcome)?["metadata"]?["annotations"]
        #expect(annotations?["grapnel.dev/sequence"]?.text == "41")
        #expect(annotations?["grapnel.dev/delivery-id"]?.text == "d-9")
        #expect(annotations?["grapnel.dev/warning"]?.text?.hasPrefix("invalid Content-Type") == true)
    }

    @Test("a huge commit message is cut") func hugeMessage() {
        let config = Self.config([Self.trigger(.github, "one")])
        let message = String(repeating: "ä", count: 200_000)
        let body = #"{"ref":"main","head_commit":{"id":"4f6c","message":"\#(message)"}}"#
        let cut = build(send(config, Self.request("one/github", Self.github, body: body)))?["revision"]?["git"]?[
            "message"]
        #expect((cut?.text?.utf8.count ?? 0) <= (64 << 10) + 3)
        #expect(cut?.text?.hasPrefix("ää") == true)
    }

    // - Repeated deliveries

    @Test("profile grapnel drops repeats, profile upstream builds them again") func repeats() {
        let request = Self.request("one/github", Self.github, body: Self.push)
        let grapnel = send(Self.config([Self.trigger(.github, "one")], profile: .grapnel), request).ruling
        #expect(grapnel.deliveryID == "d-1")
        #expect(grapnel.dedupeWindowSeconds == 60)
        #expect(grapnel.sender == .github)
        let upstream = send(Self.config([Self.trigger(.github, "one")]), request).ruling
        #expect(upstream.dedupeWindowSeconds == 0)
    }

    @Test("an id that is too long or not printable is none") func oddIDs() {
        let config = Self.config([Self.trigger(.github, "one")], profile: .grapnel)
        for id in [String(repeating: "x", count: 201), "a b", "ä", ""] {
            let fields = [Self.json, ("X-GitHub-Event", "push"), ("X-GitHub-Delivery", id)]
            #expect(send(config, Self.request("one/github", fields, body: Self.push)).ruling.deliveryID == nil)
        }
    }

    // - Options

    @Test("with verify-signature the sender's own proof must be right") func signatures() {
        let secret = SecretBytes(Array("one".utf8))
        let hex = { (bytes: [UInt8]) in bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
        let right = hex(secret.hmac(.sha256, of: Array(Self.push.utf8)))
        let sha1 = hex(secret.hmac(.sha1, of: Array(Self.push.utf8)))
        let config = Self.config([Self.trigger(.github, "one")], options: [.verifySignature])
        func status(_ fields: [(String, String)]) -> UInt16 {
            send(config, Self.request("one/github", Self.github + fields, body: Self.push)).ruling.answer.status
        }
        #expect(status([("X-Hub-Signature-256", "sha256=" + right)]) == 200)
        #expect(status([("X-Hub-Signature-256", "sha256=" + right.uppercased())]) == 200)
        #expect(status([("X-Gogs-Signature", right)]) == 200)
        #expect(status([]) == 401)
        for value in ["", "sha256=", right, "sha256=" + right.dropLast(), "sha256=" + right + "00", "sha1=" + sha1] {
            #expect(status([("X-Hub-Signature-256", value)]) == 401, "\(value)")
        }
        #expect(status([("X-Hub-Signature", "sha1=" + sha1)]) == 401)
        let both = [("X-Hub-Signature-256", "sha256=" + right), ("X-Hub-Signature-256", "sha256=" + right)]
        #expect(status(both) == 401)
    }

    @Test("a generic webhook with verify-signature needs a proof too") func genericSignature() {
        let config = Self.config([Self.trigger(.generic, "one")], options: [.verifySignature])
        #expect(send(config, Self.request("one/generic")).ruling.answer.status == 401)
        #expect(send(config, Self.request("one/generic", [("X-Gitlab-Token", "one")])).ruling.answer.status == 200)
    }

    @Test(
        "patterns: * also across slashes, ? one character, nothing else",
        arguments: [
            ("feature/*", "feature/a/b", true), ("*", "main", true), ("rel-?", "rel-1", true),
            ("rel-?", "rel-12", false),
            ("*-rc", "a-rc-b", false), ("a*b*c", "axxbyyc", true), ("refs/tags/v*", "refs/tags/v1", true),
            ("[ab]", "a", false),
            ("**", "x", true), ("*", "", false),
        ])
    func patterns(_ want: String, _ ref: String, _ isMatch: Bool) {
        let rule = BuildRefRule(Self.config([], ref: want, options: [.refPatterns]), .upstream)
        #expect(rule.matches(ref) == isMatch)
    }

    @Test("a pattern cannot be made slow") func slowPattern() {
        let want = String(repeating: "*a", count: 500) + "b"
        let rule = BuildRefRule(Self.config([], ref: want, options: [.refPatterns]), .upstream)
        let time = ProcessorTime()
        #expect(!rule.matches(String(repeating: "a", count: 4096)))
        #expect(!rule.matches(String(repeating: "a", count: 1 << 20)))
        time.expectAtMost(2)
    }

    @Test("verify-repository takes any clone URL of the payload and nothing without one") func repository() {
        let config = Self.config([Self.trigger(.github, "one")], options: [.verifyRepository])
        func decision(_ repository: String) -> Ruling.Decision {
            let body = #"{"ref":"main","head_commit":{"id":"4f6c"},"repository":\#(repository)}"#
            return send(config, Self.request("one/github", Self.github, body: body)).ruling.decision
        }
        #expect(decision(#"{"ssh_url":"git@git.corp.example:acme/orders.git"}"#) == .accepted)
        #expect(decision(#"{"clone_url":"https://evil.example/acme/orders.git"}"#) == .ignored(.repositoryMismatch))
        #expect(decision("{}") == .ignored(.repositoryMismatch))
        #expect(decision("null") == .ignored(.repositoryMismatch))
    }

    @Test("provider-headers knows a provider's push from a payload of OpenShift's own") func providerHeaders() {
        let config = Self.config([Self.trigger(.generic, "one")], options: [.providerHeaders])
        func decision(_ fields: [(String, String)], _ body: String) -> Ruling.Decision {
            send(config, Self.request("one/generic", [Self.json] + fields, body: body)).ruling.decision
        }
        let github = [("X-GitHub-Event", "push")]
        #expect(decision(github, Self.push) == .accepted)
        #expect(decision(github, #"{"ref":"refs/heads/x"}"#) == .ignored(.refMismatch))
        #expect(decision([("X-GitHub-Event", "ping")], "{}") == .ignored(.ping))
        #expect(decision(github, #"{"git":{"ref":"main","commit":"4f6c"}}"#) == .accepted)
        let deleted = #"{"push":{"changes":[{"old":{"name":"main"},"new":null,"commits":[]}]}}"#
        #expect(decision([("X-Event-Key", "repo:push")], deleted) == .ignored(.branchDeleted))
        #expect(decision([], deleted) == .accepted)
    }

    @Test("without a git source the payload's default branch does not count") func defaultBranch() {
        var config = Self.config([Self.trigger(.github, "one")], profile: .grapnel)
        config.git = nil
        let body = #"{"ref":"refs/heads/main","head_commit":{"id":"4f6c"},"repository":{"default_branch":"main"}}"#
        let request = Self.request("one/github", Self.github, body: body)
        #expect(send(config, request).ruling.decision == .ignored(.refMismatch))
        config.git = .init(uri: "https://git.corp.example/acme/orders.git")
        #expect(send(config, request).ruling.decision == .accepted)
    }

    @Test("an empty or missing secret accepts nothing") func emptySecrets() {
        let config = Self.config(
            [
                .init(type: .generic, inlineSecret: SecretBytes([]), referencedSecret: .found(SecretBytes([]))),
                .init(type: .generic, referencedSecret: .missing), .init(type: .generic),
                .init(type: .generic, referencedSecret: .found(SecretBytes([0x0a]))),
            ], options: [.trimNewline])
        for tail in ["/generic", "x/generic", "%00/generic"] {
            #expect(send(config, Self.request(tail)).ruling.decision != .accepted, "\(tail)")
        }
    }

    @Test("an unreadable Secret ends the search in profile upstream only, and not before it is reached")
    func unreadableSecret() {
        let locked = BuildConfigFacts.Trigger(type: .generic, referencedSecret: .unreadable)
        let other = Self.trigger(.generic, "one")
        func status(_ triggers: [BuildConfigFacts.Trigger], _ profile: OpenShiftProfile) -> UInt16 {
            send(Self.config(triggers, profile: profile), Self.request("one/generic")).ruling.answer.status
        }
        #expect(status([locked, other], .upstream) == 401)
        #expect(status([other, locked], .upstream) == 200)
        #expect(status([locked, other], .grapnel) == 200)
    }

    @Test("the same record and config always give the same request") func repeatable() {
        let rules = OpenShiftRules(Self.config([Self.trigger(.github, "one")]))
        let request = Self.request("***/github", Self.github, body: Self.push)
        let facts = DeliveryFacts(sequence: 1, receivedNanoseconds: 0, deliveryID: "d")
        #expect(rules.triggers(of: request, facts) == rules.triggers(of: request, facts))
    }
}
