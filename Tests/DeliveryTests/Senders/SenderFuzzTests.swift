import Testing

@testable import Delivery

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Random and mutated requests: whatever comes, an answer below 500 (or 503 for a route without a secret) and no trap.
@Suite("Random requests")
struct SenderFuzzTests {
    /// `SENDER_SEED` repeats a run.
    private static let seed =
        ProcessInfo.processInfo.environment["SENDER_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 1...UInt64.max)

    private static let names = [
        "authorization", "x-hub-signature", "x-hub-signature-256", "x-gitea-signature", "x-forgejo-signature",
        "webhook-id", "webhook-timestamp", "webhook-signature", "svix-id", "svix-signature", "x-jfrog-event-auth",
        "x-nexus-webhook-signature", "content-type", "ce-type", "x-event-key", "x-gitlab-event", "x-request-uuid",
    ]
    private static let values = [
        "", "Bearer ", "Bearer a.b.c", "Basic Og==", "sha256=", "sha256=00", "v1,", "v1a,AAAA v1,====",
        "application/json",
        "application/x-www-form-urlencoded", "1750000000", "dev.cdevents.change.merged.0.2.0", "\u{212A}", "é", "\u{0}",
    ]

    @Test("Every type is a fuzz target of its own")
    func everyTypeIsFuzzed() throws {
        let variants = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../../Fuzz/Decoder/variants")
        let lines = try String(contentsOf: variants, encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(Set(SenderType.allCases.map(\.name)).subtracting(lines) == [])
    }

    @Test("No request traps, and every answer is one that its sender understands")
    func everyRequestIsAnswered() throws {
        var random = SenderRandom(seed: Self.seed)
        let files = try FileManager.default.contentsOfDirectory(atPath: SenderFixtures.folder + "payloads").sorted()
        let bodies = try files.map { try SenderFixtures.bytes("payloads/" + $0) }
        let fixture = try SenderFixtures.json("id-tokens.json")
        let tokens = (fixture["good"]?.members ?? []).compactMap(\.value.text)
        let types = SenderType.allCases.filter(SenderTable.hasRules)
        let credentials: [SenderCredential?] = [
            nil, .bearer, .basic(username: "u"), .header("authorization"), .query("token"), .pathSegment, .signature,
        ]
        for round in 0..<4_000 {
            let type = try #require(types.randomElement(using: &random))
            var body = try #require(bodies.randomElement(using: &random))
            mutate(&body, &random)
            var fields: [(String, String)] = []
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                var value = Array(
                    try #require((Self.values + tokens.map { "Bearer " + $0 }).randomElement(using: &random)).utf8)
                if Bool.random(using: &random) { mutate(&value, &random) }
                fields.append(
                    (try #require(Self.names.randomElement(using: &random)), String(decoding: value, as: UTF8.self)))
            }
            let request = senderRequest(
                fields, body: body, path: ["", "/", "/hook/x", "/a/%zz", "%"].randomElement(using: &random) ?? "",
                query: [nil, "", "token=key", "token", "&&=&token=%", "token=%4"].randomElement(using: &random) ?? nil)
            let isFlux = Bool.random(using: &random)
            let rules = try #require(
                SenderRules(
                    sender: type, isFlux: isFlux, secrets: [senderSecret("key")],
                    events: Bool.random(using: &random) ? [] : ["push"],
                    configuration: SenderConfiguration(
                        credential: credentials.randomElement(using: &random) ?? nil, email: "e", audience: "grapnel",
                        providers: [OIDCProvider(issuerURL: "https://issuer.example") { _ in .success(()) }])))
            let ruling = rules.rule(on: request, now: random.next())
            let allowed: Set<UInt16> = isFlux ? [200, 400] : [200, 400, 401, 503]
            #expect(allowed.contains(ruling.answer.status), "seed \(Self.seed), round \(round), \(type)")
            #expect(ruling.answer.body.isEmpty)
            // Proven: what follows must hold as well.
            let judged = rules.rule(on: request, claims: JSONValue(body) ?? .null, now: 0)
            #expect(judged.answer.status < 500 || judged.answer.status == 503)
            _ = SenderTable.decode(type, senderMasked(request, judged.credentials), eventName: "push")
            _ = SenderTable.filterBody(type, request)
            _ = rules.tokenText(request)
            if case .awaitsToken(let demand) = ruling.decision, let keys = fixture["jwks"].flatMap(JWKS.init) {
                _ = try? IDToken(demand.token).verify(keys: keys, demand: demand, now: random.next())
            }
        }
    }

    @Test("Mutated tokens are refused by whatever keys")
    func mutatedTokens() throws {
        var random = SenderRandom(seed: Self.seed)
        let fixture = try SenderFixtures.json("id-tokens.json")
        let keys = try #require(fixture["jwks"].flatMap(JWKS.init))
        let demand = IDTokenDemand(
            token: "", keys: .discovery(issuer: "https://issuer.example"), issuers: ["https://issuer.example"],
            audience: "grapnel", algorithms: ["RS256", "RS384", "RS512", "ES256", "ES384"])
        for token in (fixture["good"]?.members ?? []).compactMap(\.value.text) {
            for round in 0..<200 {
                var bytes = Array(token.utf8)
                mutate(&bytes, &random)
                let text = String(decoding: bytes, as: UTF8.self)
                guard text != token else { continue }
                #expect(throws: IDTokenFailure.self, "seed \(Self.seed), round \(round)") {
                    try IDToken(text).verify(keys: keys, demand: demand, now: senderNow)
                }
            }
        }
    }

    @Test("Mutated key sets and discovery documents verify nothing they should not, and stop nothing")
    func mutatedKeys() throws {
        var random = SenderRandom(seed: Self.seed)
        let fixture = try SenderFixtures.json("id-tokens.json")
        let bad = (fixture["bad"]?.members ?? []).compactMap(\.value.text)
        let original = try #require(fixture["jwks"]?.serialized)
        let demand = IDTokenDemand(
            token: "", keys: .discovery(issuer: "i"), issuers: ["https://issuer.example"], audience: "grapnel",
            algorithms: ["RS256", "RS512", "ES256"])
        for _ in 0..<300 {
            var bytes = original
            mutate(&bytes, &random)
            guard let document = JSONValue(bytes) else { continue }
            _ = try? OIDCDiscovery(document, issuer: "i")
            guard let keys = JWKS(document), let token = bad.randomElement(using: &random) else { continue }
            _ = try? IDToken(token).verify(keys: keys, demand: demand, now: senderNow)
        }
    }

    /// Changes, removes, doubles or inserts a few bytes.
    private func mutate(_ bytes: inout [UInt8], _ random: inout SenderRandom) {
        let interesting = Array("{}[]\",:0-eE.tn\\/=% \u{0}".utf8) + [0xff, 0xc3, 0x80]
        for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[index] = interesting.randomElement(using: &random) ?? 0
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(interesting.randomElement(using: &random) ?? 0, at: index)
            case 3: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...40, using: &random)))
            default: bytes.insert(contentsOf: bytes[index..<min(bytes.count, index + 20)], at: index)
            }
        }
    }
}
