import Testing

@testable import Delivery

/// What receivers got wrong about whom an ID token speaks for.
@Suite("Known mistakes with ID tokens")
struct IDTokenAttackTests {
    private static let full = SenderConfiguration(
        email: "a@example.com", audience: "grapnel",
        providers: [OIDCProvider(issuerURL: "https://issuer.example") { _ in .success(()) }])

    @Test("An ID token proves an account, not just an issuer (CVE-2026-40109: bind issuer, audience and subject)")
    func tokenOfSomebodyElse() throws {
        func ruling(_ claims: JSONValue, _ configuration: SenderConfiguration = Self.full) throws -> Ruling {
            let rules = try #require(
                SenderRules(sender: .gcr, isFlux: true, secrets: [senderSecret("key")], configuration: configuration))
            let body = try SenderFixtures.bytes("payloads/gcr-pubsub-push.json")
            return rules.rule(on: senderRequest(body: body), claims: claims, now: senderNow)
        }
        let right: JSONValue = [
            "iss": "https://accounts.google.com", "aud": "grapnel", "email": "a@example.com", "email_verified": true,
        ]
        #expect(try ruling(right).senderAccepts)
        let wrong: [(String, JSONValue)] = [
            ("email", "b@example.com"), ("email", "A@example.com"), ("email", ["a@example.com"]), ("email", .null),
            ("email_verified", false), ("email_verified", "true"), ("email_verified", .number("1")),
            ("aud", "other"), ("aud", ["grapnel"]), ("aud", .null),
        ]
        for (name, value) in wrong {
            let claims = (right.members ?? []).map { $0.name == name ? JSONValue.Member(name: name, value: value) : $0 }
            #expect(try ruling(.object(claims)).senderCause == .idTokenRefused, "\(name)")
        }
        for configuration in [
            SenderConfiguration(audience: "grapnel"), SenderConfiguration(email: "", audience: "grapnel"),
        ] { #expect(try !ruling(right, configuration).senderAccepts) }
    }

    @Test("The token's own header never says how it is verified (algorithm confusion)")
    func algorithmConfusion() throws {
        let bad = try #require(SenderFixtures.json("id-tokens.json")["bad"])
        let rules = try senderHook(.gcr, [], Self.full)
        for name in ["none", "hs256-with-public-key-pem", "ps256", "no-alg"] {
            let token = try #require(bad[name]?.text)
            let ruling = rules.rule(on: senderRequest([("Authorization", "Bearer " + token)]), now: senderNow)
            #expect(ruling.senderCause == .idTokenRefused, "\(name)")
        }
    }

    @Test("Only a key set of the configured issuer is ever asked for (an unverified issuer chooses among ours)")
    func unverifiedIssuer() throws {
        let fixture = try SenderFixtures.json("id-tokens.json")
        let rules = try senderHook(.genericOIDC, [], Self.full)
        func decision(_ token: String) -> Ruling.Decision {
            rules.rule(on: senderRequest([("Authorization", "Bearer " + token)]), now: senderNow).decision
        }
        guard case .awaitsToken(let demand) = decision(fixture.at("good", "rs256")?.text ?? "") else {
            Issue.record("the token of the configured issuer is not asked about")
            return
        }
        #expect(demand.keys == .discovery(issuer: "https://issuer.example"))
        #expect(demand.issuers == ["https://issuer.example"] && demand.audience == OIDCProvider.audienceDefault)
        // A slash more is another issuer.
        #expect(decision(fixture.at("bad", "wrong-issuer")?.text ?? "") == .refused(.idTokenRefused))
    }

    @Test("Claims decide only through the provider of the token's own issuer")
    func claimsOfAnotherProvider() throws {
        let providers = [
            OIDCProvider(issuerURL: "https://lax.example") { _ in .success(()) },
            OIDCProvider(issuerURL: "https://strict.example") { _ in
                .failure(ClaimsFailure("token validation failed: no"))
            },
        ]
        let rules = try senderHook(.genericOIDC, [], SenderConfiguration(providers: providers))
        func accepts(_ issuer: JSONValue) -> Bool {
            rules.rule(on: senderRequest(), claims: ["iss": issuer], now: senderNow).senderAccepts
        }
        #expect(accepts("https://lax.example"))
        #expect(!accepts("https://strict.example") && !accepts("https://lax.example/") && !accepts(.null))
        #expect(
            rules.tokenText(senderRequest(), claims: ["iss": "https://strict.example"]) == "token validation failed: no"
        )
        #expect(rules.tokenText(senderRequest()) == "the Authorization header is missing or malformed")
    }

    @Test("Of an ID token the signature goes and the claims stay; what is no token goes whole")
    func storedTokens() throws {
        let token = try #require(SenderFixtures.json("id-tokens.json").at("good", "rs256")?.text)
        let signature = try #require(token.split(separator: ".").last)
        let rules = try senderHook(.genericOIDC, [], Self.full)
        func stored(_ value: String) -> InboundRequest {
            let request = senderRequest([("Authorization", value)])
            let ruling = rules.rule(on: request, claims: ["iss": "https://issuer.example"], now: senderNow)
            #expect(ruling.senderAccepts)
            return senderMasked(request, ruling.credentials)
        }
        let record = stored("Bearer " + token)
        let value = try #require(record.field("authorization"))
        #expect(!value.contains(signature) && value.utf8.count == token.utf8.count + 7)
        #expect(value.hasSuffix(String(repeating: "*", count: signature.utf8.count)))
        #expect(IDToken.storedClaims(record)?["sub"] == "ci")
        #expect(throws: IDTokenFailure.malformed) { try IDToken(String(value.dropFirst(7))) }
        for odd in ["opaque-secret", "Basic dXNlcjpwYXNzd29yZA=="] {
            #expect(stored(odd).field("authorization") == String(repeating: "*", count: odd.utf8.count), "\(odd)")
        }
    }
}
