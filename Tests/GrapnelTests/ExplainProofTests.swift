import Catalog
import Delivery
import Foundation
import Testing

@testable import Grapnel

private let token = "b59f3c1a7e0d4c2e8a6b"
private let other = "77aa0e41c9d25b8f6e13"
private let body = Array(#"{"ref":"refs/heads/main","n":1}"#.utf8)

private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 + 0, radix: 16) }.map { $0.count == 1 ? "0" + $0 : $0 }.joined()
}

private func signature(_ key: String, _ algorithm: DigestAlgorithm = .sha256, of message: [UInt8] = body) -> String {
    hex(SecretBytes(Array(key.utf8)).hmac(algorithm, of: message))
}

/// A route of team-a and one of team-b, with their secrets.
private struct Case {
    let route: RouteDefinition
    var secrets = KnownSecrets()

    init(_ sender: SenderType = .github, kind: ReceiverKind = .hook, hmac: HMACScheme? = nil, secret: String = token) {
        let identity = RouteIdentity(kind: kind, namespace: "team-a", name: "webapp")
        route = RouteDefinition(
            identity: identity, path: "/hooks/team-a/webapp", sender: sender,
            secrets: [SecretBytes(Array(secret.utf8))],
            hmac: hmac)
        secrets.add(
            SecretBytes(Array(secret.utf8)), "key \"token\" of Secret/team-a/s", object: "team-a/s", owner: identity)
        secrets.add(
            SecretBytes(Array(other.utf8)), "key \"token\" of Secret/team-b/s", object: "team-b/s",
            owner: RouteIdentity(kind: .hook, namespace: "team-b", name: "other"))
    }

    func findings(
        _ cause: VerifyCause, _ fields: [(String, String)], path: String = "/hooks/team-a/webapp", query: String? = nil,
        body: [UInt8] = body, now: UInt64 = 0
    ) -> [ProofFinding] {
        let request = InboundRequest(
            method: "POST", path: path, query: query,
            fields: fields.map { InboundRequest.Field(name: $0.0, value: $0.1) }, body: body)
        return ProofDiagnosis(request, route, secrets).findings(cause, now: now)
    }
}

@Suite struct ProofDiagnosisTests {
    private static let field = "X-Hub-Signature-256"

    @Test("a body that was written anew is recognised", arguments: JSONText.Layout.allCases, [false, true])
    func rewritten(layout: JSONText.Layout, sorted: Bool) throws {
        let value = try #require(JSONValue(body))
        let sent = JSONText(layout: layout, sortsKeys: sorted).bytes(value)
        guard sent != body else { return }
        let found = Case().findings(.signatureWrong, [(Self.field, "sha256=" + signature(token, of: sent))])
        #expect(found.first?.code == .bodyChanged)
    }

    @Test("no finding shows a part of a secret, of a right signature or of what was sent")
    func secrecy() {
        let right = signature(token)
        let fields: [[(String, String)]] = [
            [], [(Self.field, right)], [(Self.field, "sha1=" + signature(token, .sha1))],
            [(Self.field, "sha256=" + signature(other))], [("Authorization", "Bearer " + token)],
            [("X-Gitlab-Token", other)], [("X-Signature", "sha512=" + signature(token, .sha512))],
            [(Self.field, "\"sha256=\(right)\"")], [(Self.field, token)], [(Self.field, "=\(token)")],
            [("webhook-id", "m"), ("webhook-timestamp", "1"), ("webhook-signature", "v1," + token)],
        ]
        for sender in SenderType.allCases {
            // Of the other kinds the sender says nothing.
            for kind in sender == .generic ? ReceiverKind.allCases : [.hook, .receiver] {
                for cause in VerifyCause.allCases {
                    for fields in fields {
                        let found = Case(sender, kind: kind).findings(cause, fields, query: "token=" + token)
                        #expect(!found.isEmpty)
                        for finding in found {
                            for secret in [token, other, right, signature(token, .sha1), signature(other)] {
                                for start in 0...(secret.count - 6) {
                                    let part = secret.dropFirst(start).prefix(6)
                                    #expect(!finding.text.contains(part), "\(sender) \(cause): \(finding.text)")
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("an hmac Hook's own scheme is what is expected")
    func schemes() {
        let scheme = HMACScheme(header: "x-mine", algorithm: .sha512, encoding: .base64, prefix: "sig:")
        let made = Case(.hmac, hmac: scheme)
        let right = Data(SecretBytes(Array(token.utf8)).hmac(.sha512, of: body)).base64EncodedString()
        #expect(made.findings(.signaturePrefix, [("X-Mine", right)]).first?.code == .wrongPrefix)
        #expect(
            made.findings(.signatureMalformed, [("X-Mine", "sig:" + signature(token, .sha512))]).first?.code
                == .wrongEncoding)
        #expect(
            made.findings(.signatureMalformed, [("X-Mine", "sig:" + signature(token))]).first?.code == .wrongAlgorithm)
        #expect(made.findings(.signatureMissing, [("X-Other-Signature", "sig:" + right)]).first?.code == .wrongHeader)
    }

    @Test("secrets with a line break are told from those without")
    func newlines() {
        let stored = Case(secret: token + "\n").findings(.signatureWrong, [(Self.field, "sha256=" + signature(token))])
        #expect(stored.first?.code == .secretNewline && stored.first?.text.contains("without") == true)
        for ending in ["\n", "\r\n"] {
            let sent = Case().findings(.signatureWrong, [(Self.field, "sha256=" + signature(token + ending))])
            #expect(sent.first?.code == .secretNewline && sent.first?.text.contains("with a line break") == true)
        }
        let gitlab = Case(.gitlab, secret: token + "\n").findings(.tokenWrong, [("X-Gitlab-Token", token)])
        #expect(gitlab.first?.code == .secretNewline)
    }

    @Test("a secret used in another form is recognised")
    func forms() {
        let bytes = Array("0123456789abcdef01234567".utf8)
        let encoded = Data(bytes).base64EncodedString()
        let decoded = hex(SecretBytes(bytes).hmac(.sha256, of: body))
        #expect(
            Case(secret: encoded).findings(.signatureWrong, [(Self.field, "sha256=" + decoded)]).first?.code
                == .secretForm)
        #expect(
            Case(secret: hex(bytes)).findings(.signatureWrong, [(Self.field, "sha256=" + decoded)]).first?.code
                == .secretForm)
        #expect(Case(.gitlab).findings(.tokenWrong, [("X-Gitlab-Token", "'\(token)'")]).first?.code == .malformed)
    }

    @Test("the distance of clocks is told in seconds, both ways")
    func clocks() {
        for (sent, words) in [(1_000, "500 s before"), (2_000, "500 s after")] {
            let found = Case(.standardWebhooks).findings(
                .timestampOutOfRange, [("webhook-timestamp", "\(sent)")], now: 1_500_000_000_000)
            #expect(found.map(\.code) == [.clockSkew] && found[0].text.contains(words))
        }
        let nonsense = Case(.standardWebhooks).findings(.timestampOutOfRange, [("webhook-timestamp", "x")])
        #expect(nonsense.map(\.code) == [.clockSkew])
    }
}

@Suite struct RedactionTests {
    @Test("known secrets, their encodings and a request's credentials are taken out of texts and JSON")
    func redacted() {
        var secrets = KnownSecrets()
        secrets.add(SecretBytes(Array((token + "\n").utf8)), "a")
        secrets.add(SecretBytes(Array("main".utf8)), "b")
        let request = InboundRequest(
            method: "POST", path: "/x", query: "token=sent-in-query&page=harmless-value",
            fields: [
                .init(name: "X-My-Token", value: "sent-in-field"), .init(name: "X-Other", value: "harmless-field"),
            ])
        let redact = Redaction(secrets, values: Redaction.credentials(of: request))
        let encoded = Data(token.utf8).base64EncodedString()
        #expect(redact("a \(token) b \(encoded) c \(hex(Array(token.utf8))) main") == "a *** b *** c *** main")
        #expect(
            redact("sent-in-query sent-in-field harmless-value harmless-field")
                == "*** *** harmless-value harmless-field")
        #expect(redact(["k": [.string(token), .number("1")]]) == ["k": ["***", .number("1")]])
    }

    @Test(
        "paths are shown without what may be a secret",
        arguments: [
            ("/hook/0123456789abcdef0123", "/hook/…"), ("/hooks/a/b", "/hooks/a/b"), ("/hooks/a/b/", "/hooks/a/b/"),
            ("/hooks/a/b/secret", "/hooks/a/b/***"), ("/v1/docker/webhook/tok", "/v1/docker/webhook/***"),
            ("/apis/x/webhooks/s/github", "/apis/x/webhooks/***/github"),
            ("/apis/x/webhooks/s", "/apis/x/webhooks/***"),
            ("/apis/x/webhooks/a/b/c", "/apis/x/webhooks/***"), ("/no/b59f3c1a7e0d4c2e8a6b", "/no/***"),
            ("/a\u{1b}[2J", "/a\\u{1b}[2J"),
        ])
    func paths(path: String, shown: String) {
        #expect(Plain.path(path, tokenRoutes: ["/hooks/a/b"]) == shown)
    }
}

@Suite struct PlannedWriteTests {
    @Test(
        "paths of the API server are guessed from the kind",
        arguments: [
            (
                TargetReference(apiVersion: nil, kind: "GitRepository", namespace: "a", name: "b"),
                "/apis/source.toolkit.fluxcd.io/v1/namespaces/a/gitrepositories/b"
            ),
            (
                TargetReference(apiVersion: nil, kind: "ImageRepository", namespace: "a", name: "b"),
                "/apis/image.toolkit.fluxcd.io/v1/namespaces/a/imagerepositories/b"
            ),
            (
                TargetReference(apiVersion: "kpack.io/v1alpha2", kind: "ClusterStack", namespace: "", name: "b"),
                "/apis/kpack.io/v1alpha2/clusterstacks/b"
            ),
            (
                TargetReference(apiVersion: "v1", kind: "ConfigMap", namespace: "a", name: "b"),
                "/api/v1/namespaces/a/configmaps/b"
            ),
        ])
    func paths(target: TargetReference, path: String) {
        #expect(APIPath(target).text == path)
    }

    @Test("every action has its words, and no URL shows more than its host")
    func actions() {
        let target = TargetReference(apiVersion: "kpack.io/v1alpha2", kind: "Build", namespace: "a", name: "b")
        let actions: [Action] = [
            .reconcile(target), .openshiftBuild(target, buildRequest: Array("{}".utf8)),
            .openshiftRelay(target, type: "github"), .s2iRun(target, run: Array("{}".utf8)),
            .kpackRefresh(target, image: "h/i", forceBuild: true),
            .kpackRefresh(target, image: "h/i", forceBuild: false),
            .http(url: "https://h.example.com/\(token)?k=\(token)", timeoutNanoseconds: 1, signingSecret: nil),
            .exec(command: ["run", token], timeoutNanoseconds: 1), .log,
        ]
        for action in actions {
            let write = PlannedWrite.of(action)
            #expect(!write.action.isEmpty)
            #expect(!"\(write.action) \(write.path) \(write.notes)".contains(token))
        }
    }
}
