import Testing

@testable import Delivery

@Suite("ID tokens")
struct IDTokenTests {
    private let fixture: JSONValue
    private let keys: JWKS
    private let demand = IDTokenDemand(
        token: "", keys: .discovery(issuer: "https://issuer.example"), issuers: ["https://issuer.example"],
        audience: "grapnel", algorithms: ["RS256", "RS384", "RS512", "ES256", "ES384", "none", "HS256"])

    init() throws {
        fixture = try SenderFixtures.json("id-tokens.json")
        keys = try #require(fixture["jwks"].flatMap(JWKS.init))
    }

    private func failure(_ token: String, _ demand: IDTokenDemand? = nil, at seconds: UInt64 = 1_750_000_000)
        -> IDTokenFailure?
    {
        do throws(IDTokenFailure) {
            _ = try IDToken(token).verify(keys: keys, demand: demand ?? self.demand, now: seconds * 1_000_000_000)
            return nil
        } catch { return error }
    }

    private func good(_ name: String = "rs256") throws -> String {
        try #require(fixture.at("good", name)?.text)
    }

    @Test("Each algorithm verifies with its own kind of key, with and without a key id")
    func algorithms() throws {
        let good = try #require(fixture["good"]?.members)
        #expect(good.count == 6)
        for token in good { #expect(failure(token.value.text ?? "") == nil, "\(token.name)") }
    }

    @Test("Unsigned tokens, confused algorithms, unsuitable keys and wrong claims are refused")
    func refused() throws {
        let bad = try #require(fixture["bad"]?.members)
        #expect(bad.count > 20)
        for token in bad { #expect(failure(token.value.text ?? "") != nil, "\(token.name)") }
        let expected: [String: IDTokenFailure] = [
            "none": .algorithmRefused, "hs256-with-public-key-pem": .algorithmRefused, "ps256": .algorithmRefused,
            "rs256-by-encryption-key": .keyUnknown, "rs256-by-key-for-rs512": .keyUnknown,
            "rs256-by-1024-bits": .signatureWrong, "es256-der-signature": .signatureWrong,
            "es256-zero-signature": .signatureWrong, "own-key-in-header": .signatureWrong,
            "wrong-issuer": .issuerWrong, "two-issuers-named": .issuerWrong, "wrong-audience": .audienceWrong,
            "audience-prefix": .audienceWrong, "no-exp": .expired, "exp-text": .malformed, "crit": .malformed,
        ]
        for (name, cause) in expected { #expect(failure(fixture.at("bad", name)?.text ?? "") == cause, "\(name)") }
    }

    @Test("Expiry is exact; not-before has five minutes")
    func times() throws {
        let token = try good()
        #expect(failure(token, at: 1_750_003_600) == nil)
        #expect(failure(token, at: 1_750_003_601) == .expired)
        #expect(failure(token, at: 1_749_999_700) == nil)
        #expect(failure(token, at: 1_749_999_699) == .notYetValid)
    }

    @Test("Only what the issuer advertises is accepted, RS256 when it says nothing")
    func advertised() throws {
        var demand = demand
        demand.algorithms = []
        #expect(failure(try good("rs256"), demand) == nil)
        #expect(failure(try good("es256"), demand) == .algorithmRefused)
        let token = try IDToken(good("es256"))
        let now: UInt64 = 1_750_000_000_000_000_000
        #expect(throws: Never.self) { try token.verify(keys: keys, demand: demand, advertised: ["ES256"], now: now) }
        #expect(throws: IDTokenFailure.algorithmRefused) {
            try token.verify(keys: keys, demand: demand, advertised: ["PS256"], now: now)
        }
    }

    @Test("One changed character anywhere breaks the token")
    func everyCharacterCounts() throws {
        let token = Array(try good("es256").utf8)
        for index in token.indices {
            var changed = token
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(failure(String(decoding: changed, as: UTF8.self)) != nil, "character \(index)")
        }
    }

    @Test("An empty audience is nobody's")
    func emptyAudience() throws {
        var demand = demand
        demand.audience = ""
        #expect(failure(try good(), demand) == .audienceWrong)
    }

    @Test("The issuer is read without belief, and only out of a whole token")
    func unverifiedIssuer() throws {
        #expect(try IDToken.unverifiedIssuer(good()).get() == "https://issuer.example")
        for text in ["", "a", "a.b", "a.b.c", "..", "e30.e30.", "e30.W10.e30", "e30.e30.e30.e30", "e30=.e30.e30"] {
            #expect(throws: IDTokenFailure.self) { try IDToken.unverifiedIssuer(text).get() }
        }
        #expect(throws: IDTokenFailure.issuerMissing) { try IDToken.unverifiedIssuer("e30.e30.e30").get() }
        #expect(throws: IDTokenFailure.malformed) {
            try IDToken(String(repeating: "a", count: IDToken.bytesMax + 1))
        }
    }

    @Test("A discovery document must name its issuer byte for byte")
    func discovery() throws {
        let document: JSONValue = [
            "issuer": "https://a.example", "jwks_uri": "https://a.example/keys",
            "id_token_signing_alg_values_supported": ["ES256"],
        ]
        let discovery = try OIDCDiscovery(document, issuer: "https://a.example")
        #expect(discovery.keysURL == "https://a.example/keys" && discovery.algorithms == ["ES256"])
        #expect(throws: IDTokenFailure.discoveryWrong) { try OIDCDiscovery(document, issuer: "https://a.example/") }
        #expect(throws: IDTokenFailure.discoveryWrong) {
            try OIDCDiscovery(
                ["issuer": "https://a.example", "jwks_uri": "file:///etc/x"], issuer: "https://a.example")
        }
        #expect(OIDCDiscovery.url(of: "https://a.example/") == OIDCDiscovery.url(of: "https://a.example"))
    }

    @Test("Keys that are no keys verify nothing")
    func falseKeys() {
        for (modulus, exponent) in [([UInt8](), [UInt8]()), ([0], [0]), ([UInt8](repeating: 255, count: 256), [1])] {
            #expect(!PublicKeySignature.rsa([1], of: [], modulus, exponent, digestBits: 256))
        }
        let zero = [UInt8](repeating: 0, count: 32)
        #expect(!PublicKeySignature.ecdsa(zero + zero, of: [], zero, zero, digestBits: 256))
        #expect(!PublicKeySignature.ecdsa(zero + zero, of: [], zero, zero, digestBits: 512))
        #expect(!PublicKeySignature.ed25519([UInt8](repeating: 0, count: 63), of: [], key: zero))
        #expect(!PublicKeySignature.ed25519([], of: [], key: []))
    }

    @Test("The log's texts begin as operators know them", arguments: IDTokenFailure.allCases)
    func texts(failure: IDTokenFailure) {
        let known = [
            "the Authorization header is missing", "failed to parse bearer token", "no oidcProvider configured",
            "failed to verify OIDC token",
        ]
        #expect(known.contains { failure.text.hasPrefix($0) })
    }
}
