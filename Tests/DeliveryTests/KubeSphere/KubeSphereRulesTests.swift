// What the vectors leave out: what is stored, pings, both routes, overrides, paths, attacks.

import Testing

@testable import Delivery

@Suite("KubeSphere rules")
struct KubeSphereRulesTests: KubeSphereSending {
    // - What is stored

    @Test(
        "no secret is left in the stored request, however it was sent",
        arguments: [
            request(query: "a=1&secretCode=t0psecret&b=2"), request(query: "secretCode=t0p%73ecret"),
            request(query: "secret%43ode=t0psecret&secretCode=t0psecret-2"),
            request(path, [form], body: "x=y&secretCode=t0psecret&z="),
            request(path, [form], body: "secretCode=t0psecret", query: "secretCode=t0psecret"),
            request(path, [("X-Gitlab-Token", "t0psecret")]), request(path, [("Authorization", "Bearer t0psecret")]),
            request(path, [("authorization", "bearer  t0psecret"), ("Cookie", "c=t0psecret")]),
            request(query: "secretCode=t0psecret&secretCode=t0psecret%"),
            request(
                path, [("Content-Type", "multipart/form-data; boundary=\"b b\"")],
                body: "--b b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\ny\r\n--b b\r\n"
                    + "content-disposition: form-data; name=\"secretCode\"\r\n\r\nt0psecret\r\n--b b--\r\n"),
        ])
    func storedSecrets(_ request: InboundRequest) throws {
        let outcome = try send(Self.builder(), request)
        #expect(outcome.ruling.decision == .accepted)
        #expect(!outcome.stored.everything.contains("t0p"))
        #expect(run(outcome)?["spec"]?["builderName"]?.text == "app")
    }

    // - Pings

    @Test("a ping that proves nothing is answered and not stored") func pings() throws {
        let ping = [Self.json, ("X-GitHub-Event", "ping")]
        let unproven = try send(Self.builder(), Self.request(Self.githubPath, ping))
        #expect(unproven.ruling.answer.status == 200)
        guard case .refused = unproven.ruling.decision else {
            Issue.record("stored")
            return
        }
        let proven = try send(Self.builder(), Self.request(Self.githubPath, ping, query: "secretCode=t0psecret"))
        #expect(proven.ruling.decision == .ignored(.ping))
        let wrong = try send(Self.builder(), Self.request(Self.githubPath, ping, query: "secretCode=x"))
        #expect(wrong.ruling.answer.status == 401)
        let unknown = try KubeSphereFront(builders: []).send(Self.request(Self.githubPath, ping))
        #expect(unknown.ruling.answer.status == 200)
        #expect(unknown.ruling.decision == .refused(.receiverUnknown))
    }

    @Test("requireSecret refuses open builders on both routes") func requireSecret() throws {
        let settings = KubeSphereSettings(requireSecret: true)
        #expect(try send(Self.builder(nil), Self.request(), settings).ruling.answer.status == 403)
        let push = Self.request(Self.githubPath, Self.github, body: Self.push)
        #expect(try send(Self.builder(nil), push, settings).ruling.answer.status == 403)
    }

    // - GitHub route

    @Test("the creator's name falls back and is bounded") func creators() throws {
        func creator(_ body: String) throws -> String? {
            let outcome = try send(Self.builder(nil), Self.request(Self.githubPath, Self.github, body: body))
            return run(outcome)?["metadata"]?["annotations"]?["kubesphere.io/creator"]?.text
        }
        let head = #"{"ref":"refs/heads/master","head_commit":{"id":"1cb2""#
        #expect(try creator(Self.push) == "trigger-Dana")
        #expect(try creator(head + #"},"pusher":{"name":"p"}}"#) == "trigger-p")
        #expect(try creator(head + #","committer":null},"sender":{"login":"s"}}"#) == "trigger-s")
        #expect(try creator(head + #","committer":{"name":7}},"pusher":[]}"#) == "trigger-unknown")
        #expect(try creator(head + #","committer":{"name":"a\u0000\nb"}}}"#) == "trigger-ab")
        let long = try creator(head + #","committer":{"name":"\#(String(repeating: "é", count: 999))"}}}"#)
        #expect((long?.utf8.count ?? 0) < 220)
    }

    @Test("bodies of every odd shape are answered") func shapes() throws {
        let odd = ["null", "[]", "{}", "7", "\"x\"", "[null]", "{\"name\":7}", "true", "\"refs/heads/\"", "\"///\""]
        for value in odd {
            for name in [
                "ref", "head_commit", "deleted", "pusher", "sender", "push", "changes", "newTag", "newSourceURL",
                "builderName",
            ] {
                for text in [value, #"{"ref":"refs/heads/master","head_commit":{"id":"1"},"\#(name)":\#(value)}"#] {
                    for path in [Self.path, Self.githubPath] {
                        let settings = KubeSphereSettings(branchFilter: true, overrides: true)
                        let request = Self.request(path, Self.github, body: text, query: "secretCode=t0psecret")
                        let outcome = try send(Self.builder(), request, settings)
                        #expect([200, 201, 400, 422].contains(outcome.ruling.answer.status))
                        if outcome.ruling.decision == .accepted { #expect(run(outcome) != nil) }
                    }
                }
            }
        }
    }

    @Test("a branch expression that would explode elsewhere ends in little time") func hostileExpression() throws {
        let builder = Self.builder(nil, expression: "^(a+)+$")
        let time = ProcessorTime()
        for count in [1_000, 1 << 20] {
            let body = #"{"ref":"refs/heads/\#(String(repeating: "a", count: count))!","head_commit":{"id":"1"}}"#
            let outcome = try send(builder, Self.request(Self.githubPath, Self.github, body: body))
            #expect(outcome.ruling.decision == .ignored(.refMismatch))
        }
        time.expectAtMost(3)
        #expect(Self.builder(expression: "(").branchExpressionTrouble != nil)
        #expect(Self.builder(expression: "(a|b)").branchExpressionTrouble == nil)
        #expect(Self.builder().branchExpressionTrouble == nil)
    }

    // - General route

    @Test(
        "the branch filter knows the pushes of four hosts",
        arguments: [
            ([("X-GitHub-Event", "push")], #"{"ref":"refs/heads/BRANCH"}"#),
            ([("X-Gitea-Event", "push")], #"{"ref":"refs/heads/BRANCH"}"#),
            ([("X-Gitlab-Event", "Push Hook")], #"{"ref":"refs/heads/BRANCH"}"#),
            ([("X-Event-Key", "repo:push")], #"{"push":{"changes":[{"new":{"name":"x"}},{"new":{"name":"BRANCH"}}]}}"#),
            ([("X-Event-Key", "repo:refs_changed")], #"{"changes":[{"ref":{"displayId":"BRANCH"}}]}"#),
        ])
    func branchFilter(_ fields: [(String, String)], _ body: String) throws {
        let settings = KubeSphereSettings(branchFilter: true)
        func decision(_ branch: String) throws -> Ruling.Decision {
            let text = body.replacing("BRANCH", with: branch)
            return try send(Self.builder(nil), Self.request(Self.path, fields, body: text), settings).ruling.decision
        }
        #expect(try decision("master") == .accepted)
        #expect(try decision("dev") == .ignored(.refMismatch))
        // What is no push, or no JSON, starts a run as without the filter.
        #expect(try send(Self.builder(nil), Self.request(body: body), settings).ruling.decision == .accepted)
        #expect(
            try send(Self.builder(nil), Self.request(Self.path, fields, body: "x"), settings).ruling.decision
                == .accepted)
    }

    @Test(
        "overrides that may not be are 422",
        arguments: [
            #"{"builderName":"other"}"#, #"{"builderName":7}"#, #"{"newTag":""}"#, #"{"newTag":".a"}"#,
            #"{"newTag":7}"#,
            #"{"newTag":"\#(String(repeating: "a", count: 129))"}"#, #"{"newRevisionId":"--upload-pack=x"}"#,
            #"{"newRevisionId":"a b"}"#, #"{"newRevisionId":""}"#, #"{"newSourceURL":"file:///etc/passwd"}"#,
            #"{"newSourceURL":"https://"}"#, #"{"newSourceURL":"http:///x"}"#, #"{"newSourceURL":"https://a b"}"#,
        ])
    func wrongOverrides(_ body: String) throws {
        let settings = KubeSphereSettings(overrides: true)
        let request = Self.request(Self.path, [Self.json], body: body, query: "secretCode=t0psecret")
        let outcome = try send(Self.builder(isBinary: true), request, settings)
        #expect(outcome.ruling.answer.status == 422)
        #expect(outcome.triggers == nil)
    }

    @Test("overrides that may be are taken over, null and unknown ones are not") func overrides() throws {
        let settings = KubeSphereSettings(overrides: true)
        let body =
            #"{"builderName":"app","newTag":"\#(String(repeating: "a", count: 128))","newRevisionId":null,"x":1}"#
        let request = Self.request(Self.path, [Self.json], body: body, query: "secretCode=t0psecret")
        let spec = run(try send(Self.builder(), request, settings))?["spec"]
        #expect(spec?["newTag"]?.text?.utf8.count == 128)
        #expect(spec?["newRevisionId"] == nil)
        #expect(spec?.members?.count == 2)
    }

    @Test("delivery ids and the window come from request and settings") func repeats() throws {
        let settings = KubeSphereSettings(dedupeWindowSeconds: 7)
        let request = Self.request(Self.path, [("X-Gitlab-Event-UUID", "u-1")], query: "secretCode=t0psecret")
        let ruling = try send(Self.builder(), request, settings).ruling
        #expect(ruling.deliveryID == "u-1")
        #expect(ruling.dedupeWindowSeconds == 7)
        #expect(ruling.duplicateAnswer?.status == 200)
    }

    // - Paths

    @Test(
        "names are validated after decoding",
        arguments: [
            ("demo", "app", true), ("d%65mo", "app", true), ("demo", "a.b-c", true), ("Demo", "app", false),
            ("a.b", "app", false),
            ("demo", "app%2F..", false), ("demo", "..", false), ("demo", "a..b", false), ("-a", "app", false),
            ("demo", "app%00", false),
            ("demo", "%ff", false), (String(repeating: "a", count: 64), "app", false),
            ("demo", String(repeating: "a", count: 254), false),
        ])
    func names(_ namespace: String, _ name: String, _ isValid: Bool) {
        let path = "/s2itrigger/v1alpha1/github/namespaces/\(namespace)/s2ibuilders/\(name)"
        #expect((KubeSpherePathFamily().routePath(of: path) != nil) == isValid)
        #expect((KubeSpherePathFamily().routePath(of: path + "/") != nil) == isValid)
        #expect(KubeSpherePathFamily().routePath(of: path + "//") == nil)
    }

    @Test("mutated vectors never trap") func mutations() throws {
        var generator = SeededGenerator()
        for vector in KubeSphereVector.all {
            var front = KubeSphereFront(builders: vector.builders, settings: vector.settings)
            for step in vector.value["steps"]?.elements ?? [] {
                guard let value = step["request"] else { continue }
                let request = try KubeSphereVectorTests.request(value)
                for _ in 0..<40 {
                    front.settings.branchFilter.toggle()
                    front.settings.overrides = Bool.random(using: &generator)
                    let outcome = try front.send(request.mutated(&generator))
                    #expect([200, 201, 400, 401, 403, 404, 405, 415, 422].contains(outcome.ruling.answer.status))
                    if outcome.ruling.decision == .accepted { #expect(run(outcome) != nil) }
                }
            }
        }
    }
}
