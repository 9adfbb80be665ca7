import Testing

@testable import Delivery

@Suite("Standard Webhooks")
struct StandardWebhooksTests {
    private let known: JSONValue
    private let own: JSONValue

    init() throws {
        let fixture = try SenderFixtures.json("standard-webhooks.json")
        known = try #require(fixture["known"])
        own = try #require(fixture["own"])
    }

    private func text(_ sample: JSONValue, _ name: String) -> String { sample[name]?.text ?? "" }

    private func delivery(
        _ sample: JSONValue, _ signature: String, id: String? = nil, timestamp: String? = nil,
        prefix: String = "webhook-"
    ) -> InboundRequest {
        senderRequest(
            [
                (prefix + "id", id ?? text(sample, "id")),
                (prefix + "timestamp", timestamp ?? text(sample, "timestamp")), (prefix + "signature", signature),
            ], body: Array(text(sample, "body").utf8))
    }

    private func ruling(_ request: InboundRequest, _ secrets: String..., later seconds: Int = 0) throws -> Ruling {
        let rules = try senderHook(.standardWebhooks, secrets)
        return rules.rule(on: request, now: UInt64(1_614_265_330 + seconds) * 1_000_000_000)
    }

    @Test("The documentation's example is accepted, under both names of the fields")
    func documented() throws {
        for prefix in ["webhook-", "svix-", "Webhook-"] {
            let ruling = try ruling(
                delivery(known, text(known, "signature"), prefix: prefix), text(known, "secret"))
            #expect(ruling.senderAccepts && ruling.answer.status == 200)
            #expect(ruling.deliveryID == text(known, "id"))
        }
    }

    @Test("Ed25519 signatures are accepted by the configured public key only")
    func publicKey() throws {
        let request = delivery(own, text(own, "v1a"))
        #expect(try ruling(request, text(own, "publicKey")).senderAccepts)
        #expect(try ruling(request, text(own, "secret")).senderCause == .signatureWrong)
        let other = "whpk_" + text(own, "publicKey").dropFirst(5).reversed()
        #expect(try ruling(request, other).answer.status != 200)
    }

    @Test("Any match of a list passes; unknown versions are skipped and never fail it")
    func lists() throws {
        let secret = text(own, "secret")
        let right = text(own, "v1")
        let wrong = "v1," + String(repeating: "A", count: 43) + "="
        for list in ["\(wrong) \(right)", "v2,x \(right)", "\(right) v9", ", \(right)", "v1a,\(wrong) \(right)"] {
            #expect(try ruling(delivery(own, list), secret).senderAccepts, "\(list)")
        }
        #expect(try ruling(delivery(own, "\(wrong) \(wrong)"), secret).senderCause == .signatureWrong)
        #expect(try ruling(delivery(own, "v2,abc"), secret).senderCause == .signaturePrefix)
        // Both secrets of a rotation count.
        #expect(try ruling(delivery(own, right), text(known, "secret"), secret).senderAccepts)
    }

    @Test("Empty, shortened and lengthened signatures are refused (CVE-2024-21491: lengths first)")
    func lengths() throws {
        let secret = text(own, "secret")
        let right = text(own, "v1")
        let digest = try #require(SenderBase64.standard(right.dropFirst(3).utf8))
        var refused = ["", "v1,", "v1", "v1,=", ",", " ", right + "AAAA", right + " x".dropFirst(2) + "="]
        for count in [0, 1, 31, 33, 64] {
            let bytes = count <= 32 ? Array(digest.prefix(count)) : digest + [UInt8](repeating: 0, count: count - 32)
            refused.append("v1," + base64(bytes))
        }
        for list in refused {
            let answer = try ruling(delivery(own, list), secret)
            #expect(answer.answer.status == 401 && !answer.senderAccepts, "\(list)")
        }
    }

    @Test("The timestamp may lie the tolerance away, either way, and is part of what is signed")
    func tolerance() throws {
        let request = delivery(own, text(own, "v1"))
        let secret = text(own, "secret")
        for seconds in [-300, 0, 300] { #expect(try ruling(request, secret, later: seconds).senderAccepts) }
        for seconds in [-301, 301, 1_000_000] {
            #expect(try ruling(request, secret, later: seconds).senderCause == .timestampOutOfRange)
        }
        let shifted = delivery(own, text(own, "v1"), timestamp: "1614265331")
        #expect(try ruling(shifted, secret).senderCause == .signatureWrong)
        for odd in ["", "+1614265330", " 1614265330x", "1614265330.0", "16e8", "9999999999999", "１６１４"] {
            #expect(
                try ruling(delivery(own, text(own, "v1"), timestamp: odd), secret).senderCause == .timestampMalformed)
        }
    }

    @Test("An id with a dot is refused: it could be read as another id and another time")
    func dots() throws {
        // id `a.1614265330` at time t signs the same bytes as id `a` at time 1614265330 with a body that begins with `t.`.
        let secret = text(own, "secret")
        let key = SecretBytes(try #require(SenderBase64.standard(secret.dropFirst(6).utf8)))
        let digest = key.hmac(.sha256, of: Array("a.1614265330.1614265330.{}".utf8))
        let request = senderRequest(
            [
                ("webhook-id", "a.1614265330"), ("webhook-timestamp", "1614265330"),
                ("webhook-signature", "v1," + base64(digest)),
            ], body: Array("{}".utf8))
        #expect(try ruling(request, secret).senderCause == .signatureMalformed)
    }

    @Test("Each field must be there once")
    func repeated() throws {
        let secret = text(own, "secret")
        for index in 0..<3 {
            var request = delivery(own, text(own, "v1"))
            request.fields.append(request.fields[index])
            #expect(try ruling(request, secret).senderCause == .signatureRepeated)
            let name = request.fields[index].name
            request.fields.removeAll { $0.name == name }
            #expect(try ruling(request, secret).answer.status == 401)
        }
    }

    @Test("Secrets that are no keys leave the route not ready, never open")
    func falseSecrets() throws {
        let request = delivery(own, text(own, "v1"))
        for secret in [
            "", "whsec_", "whsec_!!!!", "whsk_" + text(own, "secret").dropFirst(6), "whsec_AAAA", "whpk_AAAA",
        ] {
            let ruling = try ruling(request, secret)
            #expect(ruling.senderCause == .secretUnusable && ruling.answer.status == 503, "\(secret)")
        }
        #expect(try ruling(request, text(own, "secret") + "\n").senderAccepts)
    }

    private func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let padded = Array(group) + [UInt8](repeating: 0, count: 3 - group.count)
            let value = Int(padded[0]) << 16 | Int(padded[1]) << 8 | Int(padded[2])
            for digit in 0..<4 {
                text.append(digit <= group.count ? alphabet[value >> (18 - 6 * digit) & 63] : "=")
            }
        }
        return text
    }
}
