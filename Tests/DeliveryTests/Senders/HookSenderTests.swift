import Testing

@testable import Delivery

@Suite("Senders of Hooks")
struct HookSenderTests {
    private func signature(_ body: [UInt8], _ key: String = "key", _ algorithm: DigestAlgorithm = .sha256) -> String {
        senderHex(senderSecret(key).hmac(algorithm, of: body))
    }

    private func status(_ rules: SenderRules, _ request: InboundRequest) -> UInt16 {
        rules.rule(on: request, now: senderNow).answer.status
    }

    @Test("Gitea and Forgejo: either field proves, and all that are there must be right")
    func gitea() throws {
        let body = Array("{}".utf8)
        let right = signature(body)
        let wrong = signature(body, "other")
        let rules = try senderHook(.gitea, ["old", "key"])
        let cases: [([(String, String)], VerifyCause?)] = [
            ([("X-Gitea-Signature", right)], nil), ([("X-Forgejo-Signature", right)], nil),
            ([("X-Hub-Signature-256", "sha256=" + right)], nil),
            ([("X-Gitea-Signature", right), ("X-Hub-Signature-256", "sha256=" + right)], nil),
            ([("X-Gitea-Signature", right), ("X-Hub-Signature-256", "sha256=" + wrong)], .signatureWrong),
            ([("X-Gitea-Signature", wrong), ("X-Hub-Signature-256", "sha256=" + right)], .signatureWrong),
            ([("X-Gitea-Signature", ""), ("X-Hub-Signature-256", "sha256=" + right)], .signatureMalformed),
            ([("X-Gitea-Signature", right), ("X-Gitea-Signature", right)], .signatureRepeated),
            ([("X-Hub-Signature-256", right)], .signaturePrefix), ([], .signatureMissing),
            ([("X-Hub-Signature", "sha1=" + signature(body, "key", .sha1))], .signatureMissing),
            ([("X-Gitea-Signature", signature(body, "key", .sha512))], .signatureMalformed),
        ]
        for (fields, cause) in cases {
            let ruling = rules.rule(on: senderRequest(fields, body: body), now: senderNow)
            #expect(ruling.senderCause == cause && ruling.answer.status == (cause == nil ? 200 : 401), "\(fields)")
        }
        let named = rules.rule(
            on: senderRequest(
                [("X-Gitea-Signature", right), ("X-Gitea-Event", "push"), ("X-Gitea-Delivery", "d-1")], body: body),
            now: senderNow)
        #expect(named.eventName == "push" && named.deliveryID == "d-1")
    }

    @Test("Bitbucket: one sha256 signature, deduplicated by request, pings ignored")
    func bitbucket() throws {
        let body = try SenderFixtures.bytes("payloads/bitbucket-cloud-push.json")
        let rules = try senderHook(.bitbucket, ["key"])
        func ruling(_ fields: [(String, String)]) -> Ruling {
            rules.rule(on: senderRequest(fields, body: body), now: senderNow)
        }
        let proof = ("X-Hub-Signature", "sha256=" + signature(body))
        let push = ruling([proof, ("X-Event-Key", "repo:push"), ("X-Request-UUID", "u-1")])
        #expect(push.senderAccepts && push.deliveryID == "u-1" && push.eventName == "repo:push")
        #expect(ruling([proof]).deliveryID == nil)
        #expect(ruling([proof, ("X-Event-Key", "diagnostics:ping")]).decision == .ignored(.ping))
        #expect(ruling([proof, proof]).senderCause == .signatureRepeated)
        let sha1 = ("X-Hub-Signature", "sha1=" + signature(body, "key", .sha1))
        #expect(ruling([sha1]).senderCause == .signaturePrefix)
    }

    @Test("An unlisted event is taken and ignored; a listed ping is not ignored")
    func events() throws {
        let body = Array("{}".utf8)
        let proof = ("X-Gitea-Signature", signature(body))
        let rules = try senderHook(.gitea, ["key"], events: ["Push", "ping"])
        func decision(_ event: String) -> Ruling.Decision {
            let request = senderRequest([proof, ("X-Gitea-Event", event)], body: body)
            #expect(status(rules, request) == 200)
            return rules.rule(on: request, now: senderNow).decision
        }
        #expect(decision("push") == .accepted && decision("ping") == .accepted)
        #expect(decision("issues") == .ignored(.eventNotListed))
    }

    @Test("JFrog: the plain secret or the signature, as configured, never either")
    func jfrog() throws {
        let body = Array(#"{"domain":"docker","event_type":"pushed","data":{}}"#.utf8)
        let signed = senderRequest([("X-JFrog-Event-Auth", signature(body))], body: body)
        let plain = senderRequest([("X-JFrog-Event-Auth", "key")], body: body)
        let byHeader = SenderConfiguration(credential: .header("X-JFrog-Event-Auth"))
        #expect(status(try senderHook(.jfrog, ["key"]), signed) == 200)
        #expect(status(try senderHook(.jfrog, ["key"]), plain) == 401)
        #expect(status(try senderHook(.jfrog, ["key"], byHeader), plain) == 200)
        #expect(status(try senderHook(.jfrog, ["key"], byHeader), signed) == 401)
        let ruling = try senderHook(.jfrog, ["key"], byHeader).rule(on: plain, now: senderNow)
        #expect(ruling.credentials == [.field(0)] && ruling.eventName == "docker.pushed")
    }

    @Test("Docker registry: pushes count, pulls do not, and what can never be valid is taken and dropped")
    func dockerRegistry() throws {
        let rules = try senderHook(.dockerRegistry, ["key"])
        func decision(_ body: String, _ rules: SenderRules) -> Ruling.Decision {
            let request = senderRequest([("Authorization", "Bearer key")], body: Array(body.utf8))
            #expect(status(rules, request) == 200)
            return rules.rule(on: request, now: senderNow).decision
        }
        let digest = "sha256:" + String(repeating: "1", count: 64)
        let pull = #"{"id":"1","action":"pull"}"#
        let push =
            #"{"id":"2","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","repository":"a/b","tag":"v1","digest":"\#(digest)","url":"https://registry.example.com/v2/a/b"},"request":{"host":"r:5000"}}"#
        let blob =
            #"{"id":"3","action":"push","target":{"mediaType":"application/octet-stream","repository":"a/b","digest":"\#(digest)"},"request":{"host":"r:5000"}}"#
        // A blob comes before its manifest: nothing can be read yet.
        #expect(decision(#"{"events":[\#(blob)]}"#, rules) == .ignored(.eventIrrelevant))
        #expect(decision(#"{"events":[\#(pull),\#(push)]}"#, rules) == .accepted)
        #expect(decision(#"{"events":[\#(pull)]}"#, rules) == .ignored(.eventIrrelevant))
        for unusable in ["", "{", "[]", "{}", #"{"events":[]}"#, #"{"events":[1]}"#, #"{"events":{}}"#] {
            #expect(decision(unusable, rules) == .ignored(.bodyUnusable), "\(unusable)")
        }
        let listed = try senderHook(.dockerRegistry, ["key"], events: ["pull"])
        #expect(decision(#"{"events":[\#(pull)]}"#, listed) == .accepted)
        #expect(decision(#"{"events":[\#(push)]}"#, listed) == .ignored(.eventNotListed))
        let request = senderRequest(
            [("Authorization", "Bearer key")], body: Array(#"{"events":[\#(pull),\#(push)]}"#.utf8))
        #expect(rules.rule(on: request, now: senderNow).deliveryID == "1")
        #expect(
            SenderTable.decode(.dockerRegistry, request, eventName: "push")?.images == [
                // The host of the registry's own URL goes before the name that its client used.
                ImageEvent(image: "registry.example.com/a/b", tag: "v1", digest: digest)
            ])
        #expect(status(rules, senderRequest([("Authorization", "Bearer x")])) == 401)
    }

    @Test("Azure DevOps: Basic credentials, deduplicated by notification within the subscription")
    func azureDevOps() throws {
        let rules = try senderHook(
            .azureDevOps, ["pass:word"], SenderConfiguration(credential: .basic(username: "hook")))
        // hook:pass:word
        let basic = ("Authorization", "Basic aG9vazpwYXNzOndvcmQ=")
        let body = Array(
            #"{"subscriptionId":"s","notificationId":7,"id":"x","eventType":"git.push","resource":{"refUpdates":[{"name":"refs/heads/main","newObjectId":"00a1"}]}}"#
                .utf8)
        let ruling = rules.rule(on: senderRequest([basic], body: body), now: senderNow)
        #expect(ruling.senderAccepts && ruling.deliveryID == "s/7" && ruling.eventName == "git.push")
        let event = SenderTable.decode(.azureDevOps, senderRequest(body: body), eventName: "git.push")?.event
        #expect(event?.ref == "refs/heads/main" && event?.commit == "00a1")
        // other:pass:word, hook:pass, no colon, no base64, another scheme.
        for value in [
            "Basic b3RoZXI6cGFzczp3b3Jk", "Basic aG9vazpwYXNz", "Basic aG9vaw==", "Basic ???", "Bearer pass:word",
        ] {
            let answer = rules.rule(on: senderRequest([("Authorization", value)], body: body), now: senderNow)
            #expect(answer.senderCause == .credentialsWrong && answer.answer.status == 401, "\(value)")
        }
        #expect(status(rules, senderRequest([basic], body: Array("[]".utf8))) == 400)
    }

    @Test("Tokens in a field, in the query and as the path's end, each exactly once, each overwritten")
    func tokens() throws {
        let query = try senderHook(.token, ["se cret"], SenderConfiguration(credential: .query("token")))
        let good = senderRequest(query: "a=1&token=se%20cret&b=2")
        #expect(status(query, good) == 200)
        #expect(senderMasked(good, query.rule(on: good, now: senderNow).credentials).query == "a=1&token=*********&b=2")
        for text in [
            "token=se%2", "token=", "token", "token=se+cret&token=se+cret", "Token=se+cret", "xtoken=se+cret", "",
        ] {
            #expect(status(query, senderRequest(query: text)) == 401, "\(text)")
        }
        #expect(status(query, senderRequest()) == 401)
        let header = try senderHook(.token, ["key"], SenderConfiguration(credential: .header("X-My-Token")))
        #expect(status(header, senderRequest([("x-my-token", "key")])) == 200)
        #expect(status(header, senderRequest([("x-my-token", "key"), ("X-My-Token", "key")])) == 401)
        let path = try senderHook(.token, ["key"], SenderConfiguration(credential: .pathSegment))
        let byPath = senderRequest(path: "/hooks/team/app/k%65y")
        #expect(status(path, byPath) == 200)
        #expect(senderMasked(byPath, path.rule(on: byPath, now: senderNow).credentials).path == "/hooks/team/app/*****")
        #expect(status(path, senderRequest(path: "/hooks/team/app/")) == 401)
        let bearer = try senderHook(.token, ["key"])
        #expect(status(bearer, senderRequest([("Authorization", "bearer key")])) == 200)
        #expect(status(bearer, senderRequest([("Authorization", "Bearer  key")])) == 200)
        #expect(status(bearer, senderRequest([("Authorization", "key")])) == 401)
        #expect(status(bearer, senderRequest([("Authorization", "Bearer")])) == 401)
    }

    @Test("Registries without a signature need a token in their address")
    func registries() throws {
        for type in [SenderType.dockerHub, .quay, .acr, .cdEvents] {
            let rules = try senderHook(type, ["key"])
            let body = type == .cdEvents ? "payloads/cdevents-change-merged-0.5.1.json" : nil
            let bytes = try body.map { try SenderFixtures.bytes($0) } ?? Array("{}".utf8)
            #expect(status(rules, senderRequest(body: bytes, query: "token=key")) == 200, "\(type)")
            #expect(status(rules, senderRequest(body: bytes, query: "token=kez")) == 401, "\(type)")
            #expect(status(rules, senderRequest(body: bytes)) == 401, "\(type)")
            #expect(status(rules, senderRequest(body: Array("{} x".utf8), query: "token=key")) == 400, "\(type)")
        }
    }

    @Test("Nexus: SHA-1 alone never proves a Hook's delivery, and must be right where it stands")
    func nexus() throws {
        let body = try SenderFixtures.bytes("payloads/nexus-component-created.json")
        let rules = try senderHook(.nexus, ["key"])
        let right = ("X-Nexus-Webhook-Signature", signature(body, "key", .sha1))
        #expect(status(rules, senderRequest([right], body: body)) == 401)
        #expect(status(rules, senderRequest(body: body, query: "token=key")) == 200)
        #expect(status(rules, senderRequest([right], body: body, query: "token=key")) == 200)
        let wrong = ("X-Nexus-Webhook-Signature", signature(body, "other", .sha1))
        #expect(status(rules, senderRequest([wrong], body: body, query: "token=key")) == 401)
    }

    @Test("CDEvents: an entry of a Hook matches without its version, an entry of a Flux Receiver does not")
    func cdEvents() throws {
        let body = try SenderFixtures.bytes("payloads/cdevents-change-merged-0.4.1.json")
        let request = senderRequest(
            [("Ce-Type", "dev.cdevents.change.merged.0.2.0")], body: body, query: "token=key")
        for (entry, isListed) in [
            ("dev.cdevents.change.merged", true), ("DEV.CDEvents.change.merged", true), ("dev.cdevents.change", false),
            ("dev.cdevents.change.merged.0", false), ("dev.cdevents.change.merged.0.2.0", true),
        ] {
            let decision = try senderHook(.cdEvents, ["key"], events: [entry]).rule(on: request, now: senderNow)
                .decision
            #expect(decision == (isListed ? .accepted : .ignored(.eventNotListed)), "\(entry)")
        }
        let receiver = try #require(
            SenderRules(sender: .cdEvents, isFlux: true, secrets: [], events: ["dev.cdevents.change.merged"]))
        #expect(receiver.rule(on: request, now: senderNow).senderCause == .eventNotListed)
    }

    @Test("Every other method is answered 405 with Allow", arguments: [true, false])
    func methods(isFlux: Bool) throws {
        for type in SenderType.allCases {
            guard let rules = SenderRules(sender: type, isFlux: isFlux, secrets: [senderSecret("key")]) else {
                continue
            }
            for method in ["GET", "PUT", "HEAD", "post", ""] {
                let ruling = rules.rule(on: senderRequest(method: method), now: senderNow)
                #expect(ruling.answer.status == 405 && ruling.answer.fields == [Answer.Field("Allow", "POST")])
            }
        }
    }

    @Test("The table lists every type that is not proven on the loop, once")
    func table() {
        let onLoop: Set<SenderType> = [.generic, .genericHMAC, .github, .gitlab, .hmac]
        #expect(Set(SenderTable.all.map { $0.type }) == Set(SenderType.allCases).subtracting(onLoop))
        #expect(SenderTable.all.count == SenderType.allCases.count - onLoop.count)
    }
}
