import Catalog
import Delivery
import Foundation
import HTTP
import Testing

@testable import Grapnel

private let token = "e1b7a93c5d204f68"
private let body = Array(#"{"ref":"refs/heads/main","after":"1111111111111111111111111111111111111111"}"#.utf8)
private let manifests = """
    {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: team-a}, stringData: {token: \(token)}}
    ---
    apiVersion: grapnel.dev/v1alpha1
    kind: Hook
    metadata: {name: webapp, namespace: team-a}
    spec:
      type: github
      events: [ping, push]
      secretRefs: [{name: s}]
      filter: "req.ref == 'refs/heads/main'"
      actions: [{log: {}}, {openshiftBuild: {name: app}}]
    ---
    apiVersion: grapnel.dev/v1alpha1
    kind: Hook
    metadata: {name: tea, namespace: team-a}
    spec: {type: gitea, secretRefs: [{name: s}], actions: []}
    ---
    apiVersion: build.openshift.io/v1
    kind: BuildConfig
    metadata: {name: app, namespace: team-a}
    spec: {triggers: [{type: Generic, generic: {secret: \(token)}}]}

    """

/// An explainer over manifests of a test's own.
private func makeExplainer() throws -> Explainer {
    let path = NSTemporaryDirectory() + "grapnel-explain-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(manifests.utf8).write(to: URL(fileURLWithPath: path + "/m.yaml"))
    var settings = ServerSettings()
    settings.manifests = [path]
    let snapshot = ManifestCatalog(options: settings.catalogOptions).load()
    return Explainer(
        settings: settings, snapshot: snapshot, secrets: KnownSecrets(snapshot, manifests: [path]),
        now: 1_700_000_000_000_000_000)
}

private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

private func request(
    _ path: String = "/hooks/team-a/webapp", event: String = "push", body: [UInt8] = body, key: String = token
) -> [UInt8] {
    let signature = hex(SecretBytes(Array(key.utf8)).hmac(.sha256, of: body))
    let head =
        "POST \(path) HTTP/1.1\r\nHost: h.example.com\r\nContent-Type: application/json\r\nX-GitHub-Event: \(event)\r\n"
        + "X-GitHub-Delivery: id-1\r\nX-Hub-Signature-256: sha256=\(signature)\r\nContent-Length: \(body.count)\r\n\r\n"
    return Array(head.utf8) + body
}

@Suite struct ExplainerTests {
    @Test("an accepted delivery is explained from route to writes, in text and in JSON alike")
    func accepted() async throws {
        let explainer = try makeExplainer()
        let explanation = await explainer.explain(try RawRequest.parse(request()), source: "test")
        #expect(explanation.outcome == .accepted && explanation.verification.status == .proven)
        #expect(explanation.verification.provenBy == "key \"token\" of Secret/team-a/s")
        #expect(explanation.decoded?.deliveryID == "id-1" && explanation.decoded?.event.ref == "refs/heads/main")
        #expect(explanation.planned?.writes.map(\.action) == ["log", "openshift-build BuildConfig/team-a/app"])
        #expect(explanation.planned?.filters.allSatisfy { $0.outcome == .holds && $0.basis == .request } == true)
        let redact = Redaction(explainer.secrets)
        let text = ExplanationText.make(explanation, redact)
        let json = redact(explanation.json)
        #expect(JSONValue(JSONText.pretty.bytes(json)) == json)
        #expect(json["judgement"]?["status"] == .number("200"))
        for step in ["1  ROUTE", "2  VERIFICATION", "3  EVENT", "4  JUDGEMENT", "5  FILTERS", "6  TARGETS AND WRITES"] {
            #expect(text.contains("\n\(step)\n"))
        }
        #expect(text.hasPrefix("VERDICT  accepted\n") && text.hasSuffix("\nVERDICT  accepted"))
        #expect(!text.split(separator: "\n").contains { $0.hasSuffix(" ") })
    }

    @Test(
        "outcome, status and reason belong together",
        arguments: [
            (request(), .accepted, 200, ""), (request(event: "issues"), .ignored, 200, "event-not-listed"),
            (request(event: "ping"), .accepted, 200, ""), (request(key: "x"), .refused, 401, "signature-wrong"),
            (request(body: Array("[]".utf8)), .refused, 400, "body-malformed"),
            (request("/nowhere"), .noRoute, 404, "unknown-path"),
            (
                request("/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/app/webhooks/\(token)/generic"),
                .accepted,
                200, ""
            ),
            (
                request("/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/no/webhooks/\(token)/generic"),
                .noRoute,
                401, "receiver-unknown"
            ),
        ] as [([UInt8], Explanation.Outcome, UInt16, String)])
    func outcomes(bytes: [UInt8], outcome: Explanation.Outcome, status: UInt16, reason: String) async throws {
        let explainer = try makeExplainer()
        let explanation = await explainer.explain(try RawRequest.parse(bytes), source: "test")
        #expect(explanation.outcome == outcome && explanation.judgement.status == status)
        #expect(explanation.judgement.reason == reason)
        #expect(!ExplanationText.make(explanation, Redaction(KnownSecrets())).contains(token))
    }

    @Test("whatever a request looks like, it is explained, and nothing of the secret is shown")
    func total() async throws {
        let explainer = try makeExplainer()
        let redact = Redaction(explainer.secrets)
        let seeds = [
            request(), request("/hooks/team-a/tea"), request("/hook/" + token),
            request("/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/app/webhooks/\(token)/generic"),
            request("/s2itrigger/v1alpha1/general/namespaces/a/s2ibuilders/b?secretCode=\(token)"),
        ]
        var random = Seeded()
        for round in 0..<1_500 {
            var bytes = seeds[round % seeds.count]
            for _ in 0..<Int.random(in: 0..<6, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(contentsOf: [0x0d, 0x0a, 0x3a, 0x20].shuffled(using: &random), at: place)
                }
            }
            let raw: RawRequest
            do throws(RawRequest.Failure) { raw = try RawRequest.parse(bytes) } catch { continue }
            let explanation = await explainer.explain(raw, source: "test")
            #expect(explanation.outcome.isWell == (explanation.judgement.status.map { $0 < 300 } ?? false))
            #expect(explanation.outcome.isWell || explanation.planned == nil)
            for text in [ExplanationText.make(explanation, redact), JSONText.pretty.text(redact(explanation.json))] {
                #expect(!text.contains(token))
            }
        }
    }
}
