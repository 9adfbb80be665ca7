import Testing

@testable import Delivery

@Suite("Build Service: credentials")
struct BuildServiceProofTests {
    typealias Sample = BuildServiceSample
    static let body = Sample.envelope(Sample.event())
    static let jfrogBody = Array(#"{"domain":"docker","event_type":"deleted"}"#.utf8)

    func base64(_ text: String) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        let bytes = Array(text.utf8)
        var result = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let chunk = bytes[start..<min(start + 3, bytes.count)]
            var group: UInt32 = 0
            for index in 0..<3 { group = group << 8 | UInt32(index < chunk.count ? chunk[start + index] : 0) }
            for index in 0..<4 {
                result.append(index <= chunk.count ? alphabet[Int(group >> UInt32(18 - 6 * index)) & 63] : "=")
            }
        }
        return result
    }

    func answers(
        _ credentials: [BuildServiceCredential], _ fields: [(String, String)],
        _ endpoint: BuildServiceEndpoint = .notification,
        query: String? = nil, path: String? = nil
    ) -> UInt16 {
        let body = endpoint == .notification ? Self.body : Self.jfrogBody
        return Sample.rules(endpoint, credentials).status(
            Sample.request(endpoint, body, path: path, query: query, fields))
    }

    @Test("a bearer token: the scheme in any case, the token exactly")
    func bearer() {
        let credentials = [BuildServiceCredential.bearer(Sample.secret("token-1"))]
        for good in ["Bearer token-1", "bearer token-1", "BEARER   token-1"] {
            #expect(answers(credentials, [("Authorization", good)]) == 200, "\(good)")
        }
        for bad in [
            "", "token-1", "Bearer", "Bearer ", "Bearer token-", "Bearer token-12", "Bearer Token-1", "Basic token-1",
            "Bearertoken-1",
        ] {
            #expect(answers(credentials, [("Authorization", bad)]) == 401, "\(bad)")
        }
        #expect(answers(credentials, []) == 401)
        #expect(answers(credentials, [("X-Authorization", "Bearer token-1")]) == 401)
        #expect(answers(credentials, [], query: "token=token-1") == 401)
    }

    @Test("two lines of one field, as a registry's configuration makes them: one that is right is enough")
    func repeated() {
        let credentials = [BuildServiceCredential.bearer(Sample.secret("new"))]
        #expect(answers(credentials, [("Authorization", "Bearer old"), ("Authorization", "Bearer new")]) == 200)
        let many = Array(repeating: ("Authorization", "Bearer old"), count: 50) + [("Authorization", "Bearer new")]
        #expect(answers(credentials, many) == 401, "only the first few are looked at")
    }

    @Test("Basic: user and password together; broken base64 is refused")
    func basic() {
        let credentials = [BuildServiceCredential.basic(username: "hook", password: Sample.secret("p:ss"))]
        #expect(answers(credentials, [("Authorization", "Basic " + base64("hook:p:ss"))]) == 200)
        #expect(answers(credentials, [("Authorization", "basic " + base64("hook:p:ss").filter { $0 != "=" })]) == 200)
        for bad in ["hook:p:s", "hook:p:sss", "Hook:p:ss", "hook", ":p:ss", "hook:", ""] {
            #expect(answers(credentials, [("Authorization", "Basic " + base64(bad))]) == 401, "\(bad)")
        }
        for bad in ["Basic ####", "Basic aG9", "Basic =", "Basic aG9vaw====", "Basic aG9v=aw"] {
            #expect(answers(credentials, [("Authorization", bad)]) == 401, "\(bad)")
        }
    }

    @Test("the Artifactory plugin's escapes are taken as they stand or decoded, and nowhere else")
    func escapes() {
        let credentials = [BuildServiceCredential.basic(username: "us/er", password: Sample.secret("p@s%s"))]
        for good in ["us/er:p@s%s", "us%2Fer:p%40s%25s", "us%2fer:p@s%s"] {
            #expect(answers(credentials, [("Authorization", "Basic " + base64(good))], .artifactory) == 200, "\(good)")
        }
        for bad in ["us%2Fer:p%40s%2525s", "us%2Fer:p%4", "us%2Fer:p%40s%"] {
            #expect(answers(credentials, [("Authorization", "Basic " + base64(bad))], .artifactory) == 401, "\(bad)")
        }
        #expect(answers(credentials, [("Authorization", "Basic " + base64("us%2Fer:p%40s%25s"))]) == 401)
    }

    @Test("a configured field: any of its lines, the value exactly")
    func header() {
        let credentials = [BuildServiceCredential.header(name: "X-Grapnel-Key", value: Sample.secret("k1"))]
        #expect(answers(credentials, [("x-grapnel-key", "k1")]) == 200)
        #expect(answers(credentials, [("X-Grapnel-Key", "k0"), ("X-Grapnel-Key", "k1")]) == 200)
        #expect(answers(credentials, [("X-Grapnel-Key", "k1,k1")]) == 401)
        #expect(answers(credentials, [("X-Grapnel-Keys", "k1")]) == 401)
    }

    @Test("a token in the query, escaped or not")
    func queryToken() {
        let credentials = [BuildServiceCredential.urlToken(Sample.secret("a+b/c=="))]
        for good in ["token=a+b/c==", "x=1&token=a%2Bb%2Fc%3D%3D&y", "%74oken=a+b/c==", "token=wrong&token=a+b/c=="] {
            #expect(answers(credentials, [], query: good) == 200, "\(good)")
        }
        for bad in [
            "", "token", "token=", "Token=a+b/c==", "token=a+b/c=", "tokens=a+b/c==", "&&&", "=a+b/c==",
            "token=a b/c==",
        ] {
            #expect(answers(credentials, [], query: bad) == 401, "\(bad)")
        }
        #expect(answers(credentials, [], query: nil) == 401)
    }

    @Test("Docker Hub's token as the last segment of the path, and for no other endpoint")
    func pathToken() {
        let credentials = [BuildServiceCredential.urlToken(Sample.secret("hub-1"))]
        let path = { (endpoint: BuildServiceEndpoint, token: String) in endpoint.path + "/" + token }
        let body = Array(#"{"repository":{"repo_name":"a/b"}}"#.utf8)
        func status(_ endpoint: BuildServiceEndpoint, _ token: String) -> UInt16 {
            Sample.rules(endpoint, credentials).status(
                Sample.request(endpoint, body, path: path(endpoint, token)))
        }
        #expect(status(.dockerHub, "hub-1") == 200)
        #expect(status(.dockerHub, "hub%2D1") == 200)
        #expect(status(.dockerHub, "hub-2") == 401)
        #expect(status(.dockerHub, "hub-1/") == 401)
        #expect(status(.dockerHub, "") == 401)
        #expect(status(.artifactory, "hub-1") == 401)
    }

    @Test("JFrog's signature is over the body as it came, and the plain secret is not taken for one")
    func jfrogSignature() {
        let key = Sample.secret("jf-secret")
        let digest = hex(key.hmac(.sha256, of: Self.jfrogBody))
        let signed = [BuildServiceCredential.jfrogSignature(key)]
        #expect(answers(signed, [("X-JFrog-Event-Auth", digest)], .artifactory) == 200)
        #expect(answers(signed, [("X-JFrog-Event-Auth", digest.uppercased())], .artifactory) == 200)
        for bad in [
            "", "jf-secret", String(digest.dropLast()), digest + "0", "sha256=" + digest,
            String(repeating: "0", count: 64),
        ] {
            #expect(answers(signed, [("X-JFrog-Event-Auth", bad)], .artifactory) == 401, "\(bad)")
        }
        let other = Sample.rules(.artifactory, signed).rule(
            on: Sample.request(.artifactory, Self.jfrogBody + [0x20], [("X-JFrog-Event-Auth", digest)]), now: 0)
        #expect(other.decision == .refused(.signatureWrong))
        #expect(answers([.jfrogToken(key)], [("X-JFrog-Event-Auth", digest)], .artifactory) == 401)
        #expect(answers([.jfrogToken(key)], [("X-JFrog-Event-Auth", "jf-secret")], .artifactory) == 200)
    }

    @Test("one credential for each tenant: any proves, whatever its type")
    func tenants() {
        let credentials: [BuildServiceCredential] = [
            .bearer(Sample.secret("a")), .bearer(Sample.secret("b")),
            .basic(username: "u", password: Sample.secret("c")),
            .urlToken(Sample.secret("d")),
        ]
        #expect(answers(credentials, [("Authorization", "Bearer b")]) == 200)
        #expect(answers(credentials, [("Authorization", "Basic " + base64("u:c"))]) == 200)
        #expect(answers(credentials, [], query: "token=d") == 200)
        #expect(answers(credentials, [("Authorization", "Bearer d")], query: "token=a") == 401)
    }

    @Test("nothing configured, empty secrets, or type none without its opt-in: 503 with Retry-After, never open")
    func closed() {
        let unusable: [[BuildServiceCredential]] = [
            [], [.bearer(Sample.secret(""))], [.basic(username: "u", password: Sample.secret(""))],
            [.header(name: "", value: Sample.secret("x"))], [.urlToken(Sample.secret(""))],
            [.jfrogSignature(Sample.secret(""))],
            [.unauthenticated],
        ]
        for credentials in unusable {
            let ruling = Sample.rules(.notification, credentials).rule(
                on: Sample.request(.notification, Self.body, query: "token=", [("Authorization", "Bearer ")]), now: 0)
            #expect(ruling.answer.status == 503 && ruling.decision == .refused(.secretUnusable))
            #expect(ruling.answer.fields.map(\.name) == ["Retry-After"])
        }
        let open = Sample.rules(.notification, [.unauthenticated]) { $0.allowUnauthenticated = true }
        #expect(open.status(Sample.request(.notification, Self.body)) == 200)
    }

    @Test("every cause of a refusal is answered alike")
    func indistinguishable() {
        let rules = Sample.rules(.artifactory, [.jfrogSignature(Sample.secret("s")), .bearer(Sample.secret("t"))])
        let attempts: [[(String, String)]] = [
            [], [("Authorization", "Bearer x")], [("X-JFrog-Event-Auth", "zz")],
            [("X-JFrog-Event-Auth", String(repeating: "0", count: 64))],
        ]
        for fields in attempts {
            let ruling = rules.rule(
                on: Sample.request(.artifactory, Array("{".utf8), type: "text/plain", fields), now: 0)
            #expect(ruling.answer == Answer(401), "before media type and body")
        }
    }

    @Test("what proves a request does not reach the disk; a signature does")
    func masked() {
        let key = Sample.secret("jf-secret")
        let signature = hex(key.hmac(.sha256, of: Self.jfrogBody))
        let rules = Sample.rules(
            .artifactory,
            [
                .jfrogSignature(key), .jfrogToken(Sample.secret("plain")),
                .header(name: "X-Key", value: Sample.secret("kk")), .urlToken(Sample.secret("uu")),
            ])
        let request = Sample.request(
            .artifactory, Self.jfrogBody, query: "a=b&token=uu&t%6Fken=vv",
            [
                ("Authorization", "Bearer x"), ("X-Key", "kk"), ("Cookie", "c=1"), ("X-JFrog-Event-Auth", signature),
                ("X-JFrog-Event-Auth", "plain"), ("Accept", "*/*"),
            ])
        let ruling = rules.rule(on: request, now: 0)
        #expect(ruling.answer.status == 200)
        let stored = request.masked(ruling.credentials)
        #expect(stored.query == "a=b&token=**&t%6Fken=**")
        #expect(
            stored.fields.map(\.value) == [
                "application/json", "********", "**", "***", signature, "*****", "*/*",
            ])
        let hub = Sample.rules(.dockerHub, [.urlToken(Sample.secret("hub-1"))])
        let payload = Array(#"{"repository":{"repo_name":"a/b"}}"#.utf8)
        let byPath = Sample.request(.dockerHub, payload, path: "/v1/docker/webhook/hub-1", query: "token=zz")
        let kept = byPath.masked(hub.rule(on: byPath, now: 0).credentials)
        #expect(kept.path == "/v1/docker/webhook/*****" && kept.query == "token=**")
    }
}
