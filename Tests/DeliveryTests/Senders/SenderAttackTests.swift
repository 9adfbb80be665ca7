import Testing

@testable import Delivery

/// What webhook receivers got wrong before us, each named by what it taught.
@Suite("Known mistakes of webhook receivers")
struct SenderAttackTests {
    private static let ruled = SenderType.allCases.filter(SenderTable.hasRules)

    /// Types that somebody without the secret must not get through; `none` says in its name that it has no proof.
    private static let proven = ruled.filter { $0 != .unverified }

    private static let full = SenderConfiguration(
        email: "a@example.com", audience: "grapnel",
        providers: [OIDCProvider(issuerURL: "https://issuer.example") { _ in .success(()) }])

    @Test("No signature, no token, no credentials: refused, not accepted (fail closed)", arguments: proven)
    func failsClosed(type: SenderType) throws {
        let rules = try senderHook(type, ["key"], Self.full)
        let ruling = rules.rule(on: senderRequest(body: Array("{}".utf8)), now: senderNow)
        #expect(ruling.answer.status == 401 && !ruling.senderAccepts)
    }

    @Test("A missing or empty secret closes a Hook and never opens it", arguments: proven)
    func emptySecret(type: SenderType) throws {
        let signed = { (name: String, prefix: String, algorithm: DigestAlgorithm) in
            (name, prefix + senderHex(SecretBytes([]).hmac(algorithm, of: Array("{}".utf8))))
        }
        let attempts: [[(String, String)]] = [
            [], [("Authorization", "")], [("Authorization", "Bearer ")], [("Authorization", "Basic Og==")],
            [signed("X-Gitea-Signature", "", .sha256)], [signed("X-Hub-Signature", "sha256=", .sha256)],
            [signed("X-JFrog-Event-Auth", "", .sha256)], [signed("X-Nexus-Webhook-Signature", "", .sha1)],
        ]
        for secrets in [[], [""]] {
            let rules = try senderHook(type, secrets)
            for fields in attempts {
                let request = senderRequest(fields, body: Array("{}".utf8), query: "token=")
                let ruling = rules.rule(on: request, now: senderNow)
                #expect(ruling.senderCause != nil && (ruling.answer.status == 503 || ruling.answer.status == 401))
            }
        }
    }

    @Test("An empty token of a Flux Receiver proves nothing where the token is the proof")
    func emptyFluxToken() throws {
        let body = Array("{}".utf8)
        let json = ("Content-Type", "application/json")
        for type in [SenderType.bitbucket, .harbor, .nexus] {
            let rules = try #require(SenderRules(sender: type, isFlux: true, secrets: [SecretBytes([])]))
            let attempts: [[(String, String)]] = [
                [json], [json, ("Authorization", "")],
                [json, ("X-Hub-Signature", "sha256=" + senderHex(SecretBytes([]).hmac(.sha256, of: body)))],
                [json, ("X-Nexus-Webhook-Signature", senderHex(SecretBytes([]).hmac(.sha1, of: body)))],
            ]
            for fields in attempts {
                #expect(rules.rule(on: senderRequest(fields, body: body), now: senderNow).answer.status == 400)
            }
        }
    }

    @Test("No configuration opens a type: what it does not know proves nothing", arguments: proven)
    func configurationNeverOpens(type: SenderType) throws {
        let known = Set(SenderTable.credentials(of: type).map(\.name))
        let all: [SenderCredential] = [
            .nothing, .signature, .bearer, .basic(username: nil), .header("x"), .query("q"), .pathSegment, .idToken,
        ]
        for credential in all where !known.contains(credential.name) {
            let configuration = SenderConfiguration(credential: credential)
            #expect(SenderTable.problem(type, configuration, secretCount: 1) != nil)
            let rules = try senderHook(type, ["key"], configuration)
            #expect(!rules.rule(on: senderRequest(body: Array("{}".utf8)), now: senderNow).senderAccepts)
        }
        #expect(SenderTable.problem(type, SenderConfiguration(), secretCount: 0) != nil)
    }

    @Test("Nothing in the body is looked at before the proof (no side effect, no parse before authentication)")
    func proofComesFirst() throws {
        // Deeper than any parser goes: were it parsed, the answer would be 400.
        let bomb = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
        for type in Self.proven {
            let ruling = try senderHook(type, ["key"], Self.full).rule(on: senderRequest(body: bomb), now: senderNow)
            #expect(ruling.answer.status == 401, "\(type)")
        }
    }

    @Test("One answer for every cause: nothing expected is disclosed", arguments: proven)
    func oneAnswer(type: SenderType) throws {
        let rules = try senderHook(type, ["key"], Self.full)
        let attempts: [[(String, String)]] = [
            [], [("Authorization", "Bearer x")], [("Authorization", "Basic eDp5")], [("X-Gitea-Signature", "00")],
            [("X-Hub-Signature", "sha256=zz")], [("X-JFrog-Event-Auth", "x")], [("Webhook-Signature", "v1,x")],
        ]
        for fields in attempts {
            let answer = rules.rule(on: senderRequest(fields, query: "token=x"), now: senderNow).answer
            #expect(answer == Answer(401))
        }
        if case .awaitsToken = rules.rule(on: senderRequest(), now: senderNow).decision { Issue.record("open") }
        #expect(rules.refuseToken(senderRequest()).answer == Answer(401))
    }

    @Test("A signature of another length, case or place is no signature (lengths first, CVE-2024-21491)")
    func lengths() throws {
        let body = Array("{}".utf8)
        let right = senderHex(senderSecret("key").hmac(.sha256, of: body))
        let rules = try senderHook(.gitea, ["key"])
        #expect(rules.rule(on: senderRequest([("X-Gitea-Signature", right)], body: body), now: senderNow).senderAccepts)
        for count in 0..<right.utf8.count {
            let ruling = rules.rule(
                on: senderRequest([("X-Gitea-Signature", String(right.prefix(count)))], body: body), now: senderNow)
            #expect(ruling.senderCause == .signatureMalformed)
        }
        for odd in [right + "00", right + " ", "sha256=" + right, right.replacing("a", with: "а")] where odd != right {
            #expect(
                !rules.rule(on: senderRequest([("X-Gitea-Signature", odd)], body: body), now: senderNow).senderAccepts)
        }
    }

    @Test("A signed body that was re-encoded, cut or lengthened by one byte is refused")
    func everyByteCounts() throws {
        let body = Array(#"{"a": 1}"#.utf8)
        let right = ("X-Gitea-Signature", senderHex(senderSecret("key").hmac(.sha256, of: body)))
        let rules = try senderHook(.gitea, ["key"])
        var changed = [body + [0x0a], Array(body.dropLast()), Array(#"{"a":1}"#.utf8)]
        for index in body.indices {
            var other = body
            other[index] ^= 1
            changed.append(other)
        }
        for other in changed {
            #expect(!rules.rule(on: senderRequest([right], body: other), now: senderNow).senderAccepts)
        }
    }

    @Test(
        "Bodies of every wrong shape are refused or decoded to nothing, and nothing stops (CVE-2025-59531, -59537, -59538)"
    )
    func shapes() throws {
        let shapes = [
            "null", "[]", "{}", "1", "\"x\"", "true", #"{"push":{"changes":[null]}}"#, #"{"push":{"changes":{}}}"#,
            #"{"repository":{},"push":{"changes":[{"new":{"name":1,"target":[]},"old":null}]}}"#,
            #"{"repository":{"links":{"clone":[1,{"href":[]}]}},"changes":[{"toHash":{}}]}"#,
            #"{"resource":{"refUpdates":[{}],"repository":[]}}"#, #"{"resource":[],"eventType":1}"#,
            #"{"events":[{"target":[]}]}"#,
            #"{"event_data":{"resources":[{"resource_url":":"},{"resource_url":"@"}]}}"#,
            #"{"message":{"data":"e30="}}"#, #"{"data":{"path":"///"},"domain":"docker"}"#,
            #"{"docker_url":"","updated_tags":[null]}"#, #"{"context":{},"subject":[]}"#,
        ]
        for type in Self.ruled {
            for shape in shapes {
                let request = senderRequest(
                    [("Content-Type", "application/json"), ("X-Event-Key", "repo:push")], body: Array(shape.utf8))
                let event = SenderTable.decode(type, request, eventName: "push")
                #expect(event != nil)
                for isFlux in [true, false] {
                    let rules = try #require(
                        SenderRules(
                            sender: type, isFlux: isFlux,
                            secrets: [senderSecret("whsec_" + String(repeating: "A", count: 32))],
                            configuration: Self.full))
                    #expect(rules.rule(on: request, now: senderNow).answer.status < 500, "\(type)")
                    #expect(rules.rule(on: request, claims: [:], now: senderNow).answer.status < 500, "\(type)")
                }
            }
        }
    }

    @Test("A payload of another repository does not choose its secret: the path does (CVE-2025-27616)")
    func secretByPath() throws {
        let body = try SenderFixtures.bytes("payloads/gitea-push.json")
        let mine = ("X-Gitea-Signature", senderHex(senderSecret("mine").hmac(.sha256, of: body)))
        #expect(
            !(try senderHook(.gitea, ["theirs"]).rule(on: senderRequest([mine], body: body), now: senderNow)
                .senderAccepts))
    }

    @Test("Nothing that proves something stays in the record")
    func credentialsAreMasked() throws {
        let token = "super-secret-value"
        let fields = [
            ("Authorization", token), ("Cookie", "a=" + token), ("Proxy-Authorization", token),
            ("X-Gitlab-Token", token),
            ("X-My-Token", token),
        ]
        let request = senderRequest(fields, path: "/hook/" + token, query: "token=" + token)
        let flux = try #require(SenderRules(sender: .harbor, isFlux: true, secrets: [senderSecret(token)]))
        var places = flux.rule(on: request, now: senderNow).credentials
        #expect(places.contains(.path(6..<24)))
        for credential in [SenderCredential.header("x-my-token"), .query("token"), .pathSegment] {
            let rules = try senderHook(.token, [token], SenderConfiguration(credential: credential))
            let ruling = rules.rule(on: request, now: senderNow)
            #expect(ruling.senderAccepts)
            places += ruling.credentials
        }
        let record = senderMasked(request, places)
        let text = "\(record.path)\(record.query ?? "")\(record.fields.map(\.value))"
        #expect(!text.contains(token) && text.contains("*"))
    }

    @Test("A long list of signatures costs no more than a short one")
    func manySignatures() throws {
        let item = "v1a," + String(repeating: "A", count: 86) + "=="
        let list = Array(repeating: item, count: 300).joined(separator: " ")
        let fixture = try #require(SenderFixtures.json("standard-webhooks.json")["own"])
        let right = try #require(fixture["v1a"]?.text)
        let fields = { (signature: String) in
            [
                ("webhook-id", fixture["id"]?.text ?? ""), ("webhook-timestamp", fixture["timestamp"]?.text ?? ""),
                ("webhook-signature", signature),
            ]
        }
        let rules = try senderHook(.standardWebhooks, [fixture["publicKey"]?.text ?? ""])
        let now: UInt64 = 1_614_265_330_000_000_000
        let body = Array((fixture["body"]?.text ?? "").utf8)
        // Behind the items that are looked at, even a right one is not seen.
        #expect(!rules.rule(on: senderRequest(fields(list + " " + right), body: body), now: now).senderAccepts)
        #expect(rules.rule(on: senderRequest(fields(item + " " + right), body: body), now: now).senderAccepts)
    }
}
