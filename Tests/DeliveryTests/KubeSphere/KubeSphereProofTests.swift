// Which requests prove that they know a builder's secret.

import Testing

@testable import Delivery

@Suite("KubeSphere proofs")
struct KubeSphereProofTests: KubeSphereSending {
    @Test(
        "one wrong proof refuses a request beside right ones",
        arguments: [
            [("X-Gitlab-Token", "wrong")], [("Authorization", "Bearer wrong")], [("X-Hub-Signature-256", "")],
            [("X-Gitlab-Token", "t0psecret"), ("X-Gitlab-Token", "wrong")], [("Authorization", "Bearer ")],
            [("X-Hub-Signature-256", "sha256=")],
        ])
    func wrongBesideRight(_ fields: [(String, String)]) throws {
        let outcome = try send(Self.builder(), Self.request(Self.path, fields, query: "secretCode=t0psecret"))
        #expect(outcome.ruling.answer.status == 401)
    }

    @Test("what is no proof neither helps nor harms") func noProofs() throws {
        let fields = [("Authorization", "Basic dDpw"), ("X-Hub-Signature", "sha1=00")]
        #expect(try send(Self.builder(), Self.request(Self.path, fields)).ruling.answer.status == 401)
        let right = Self.request(Self.path, fields, query: "secretCode=t0psecret")
        #expect(try send(Self.builder(), right).ruling.answer.status == 201)
        // The builder without a secret ignores them too.
        let open = Self.request(Self.path, [("X-Gitlab-Token", "x"), ("X-Hub-Signature-256", "y")])
        #expect(try send(Self.builder(nil), open).ruling.answer.status == 201)
    }

    @Test(
        "the code is compared as bytes: no prefix, no case, nothing empty",
        arguments: [
            "secretCode=t0psecre", "secretCode=t0psecret%00", "secretCode=T0PSECRET", "secretCode=",
            "secretcode=t0psecret",
            "secretCode", "secretCode=t0psecret;x", "x=1;secretCode=t0psecret", "secretCode=%", "",
        ])
    func wrongCodes(_ query: String) throws {
        #expect(try send(Self.builder(), Self.request(query: query)).ruling.answer.status == 401)
    }

    @Test("an empty code is none for a builder without a secret") func emptyCode() throws {
        #expect(try send(Self.builder(nil), Self.request(query: "secretCode=")).ruling.answer.status == 201)
        #expect(try send(Self.builder(""), Self.request(query: "secretCode=x")).ruling.answer.status == 401)
    }

    @Test("the form comes before the query, and only of a POST") func formFirst() throws {
        let both = Self.request(Self.path, [Self.form], body: "secretCode=wrong", query: "secretCode=t0psecret")
        #expect(try send(Self.builder(), both).ruling.answer.status == 401)
        var get = both
        get.method = "GET"
        #expect(try send(Self.builder(), get).ruling.answer.status == 201)
        // A part with a file name is a file.
        let file = Self.request(
            Self.path, [("Content-Type", "multipart/form-data; boundary=b")],
            body:
                "--b\r\nContent-Disposition: form-data; name=\"secretCode\"; filename=\"f\"\r\n\r\nt0psecret\r\n--b--\r\n"
        )
        #expect(try send(Self.builder(), file).ruling.answer.status == 401)
    }

    @Test("a form of nothing but codes is refused in little time") func manyCodes() throws {
        let time = ProcessorTime()
        let many = Self.request(Self.path, [Self.form], body: String(repeating: "secretCode=t0psecret&", count: 20_000))
        #expect(try send(Self.builder(), many).ruling.answer.status == 401)
        let other = Self.request(Self.path, [Self.form], body: String(repeating: "a&", count: 500_000))
        #expect(try send(Self.builder(), other).ruling.answer.status == 401)
        let lines = Self.request(
            Self.path, [("Content-Type", "multipart/form-data; boundary=" + String(repeating: "-", count: 70))],
            body: String(repeating: "\n" + String(repeating: "-", count: 71), count: 10_000))
        #expect(try send(Self.builder(), lines).ruling.answer.status == 401)
        time.expectAtMost(5)
    }

    @Test("one HMAC a request, however many signatures it has") func manySignatures() throws {
        let secret = SecretBytes(Array("t0psecret".utf8))
        let digest = secret.hmac(.sha256, of: Array("{}".utf8))
        let right = "sha256=" + digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let one = Self.request(Self.path, [("X-Hub-Signature-256", right)], body: "{}")
        #expect(try send(Self.builder(), one).ruling.answer.status == 201)
        let two = Self.request(Self.path, [("X-Hub-Signature-256", right), ("X-Hub-Signature-256", right)], body: "{}")
        #expect(try send(Self.builder(), two).ruling.answer.status == 401)
    }

    @Test("a wrong code refuses a request beside right header fields") func wrongCodeBesideRight() throws {
        let fields = [("X-Gitlab-Token", "t0psecret"), ("Authorization", "Bearer t0psecret")]
        #expect(try send(Self.builder(), Self.request(Self.path, fields)).ruling.answer.status == 201)
        let wrong = Self.request(Self.path, fields, query: "secretCode=x")
        #expect(try send(Self.builder(), wrong).ruling.answer.status == 401)
    }
}
