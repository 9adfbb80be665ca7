import ArgumentParser
import Catalog
import Delivery
import Foundation
import Testing

@testable import Grapnel

/// A manifest directory of a test's own.
private final class Manifests: Sendable {
    let path: String

    init(_ text: String) throws {
        path = NSTemporaryDirectory() + "grapnel-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/m.yaml"))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var snapshot: CatalogSnapshot { ManifestCatalog(options: CatalogOptions(directories: [path])).load() }
}

private let token = "bed6d00b5555b1603e1f59b94d7fdbca"
private let manifests = """
    {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: team-a}, stringData: {token: \(token)}}
    ---
    apiVersion: grapnel.dev/v1alpha1
    kind: Hook
    metadata: {name: webapp, namespace: team-a}
    spec:
      type: github
      host: hooks.example.org
      events: [ping, push]
      secretRefs: [{name: s}]
      actions: [{http: {url: "http://127.0.0.1/x?key=hunter2"}}, {log: {}}]
    ---
    apiVersion: notification.toolkit.fluxcd.io/v1
    kind: Receiver
    metadata: {name: flux, namespace: team-a}
    spec: {type: generic-hmac, secretRef: {name: s}, resources: [{kind: GitRepository, name: webapp}]}
    ---
    apiVersion: notification.toolkit.fluxcd.io/v1
    kind: Receiver
    metadata: {name: orphan, namespace: team-b}
    spec: {type: github, secretRef: {name: nope}, resources: []}

    """

@Suite struct GrapnelTests {
    /// The status that the process would end with.
    private func status(_ arguments: [String]) -> Int32 {
        do {
            var command = try Grapnel.parseAsRoot(arguments)
            try command.run()
            return 0
        } catch {
            return Grapnel.report(error)
        }
    }

    @Test(
        "wrong usage ends with 2, wrong input with 1, nobody listening with 3, and help with 0",
        arguments: [
            (["nonsense"], 2), (["check", "--nonsense"], 2), (["check", "--format", "xml"], 2), (["url"], 2),
            (["send"], 2),
            (["send", "--url", "nonsense", "--secret", "x"], 2), (["send", "--url", "http://127.0.0.1:1/"], 2),
            (["send", "Nonsense/x", "--manifests", "/nonexistent"], 2),
            (["check"], 1), (["check", "--manifests", "/nonexistent"], 1), (["check", "--config", "/nonexistent"], 1),
            (["check", "--manifests", "/", "--max-body", "x"], 1),
            (["url", "Hook/x", "--manifests", "/nonexistent"], 1),
            (["send", "--url", "https://127.0.0.1/", "--secret", "x"], 1),
            (["send", "--url", "http://127.0.0.1:1/", "--secret-file", "/nonexistent"], 1),
            (["send", "--url", "http://127.0.0.1:1/", "--secret", "x"], 3),
            (["--help"], 0), (["help", "check"], 0), (["--version"], 0), (["version"], 0),
        ] as [([String], Int32)])
    func statuses(arguments: [String], expected: Int32) {
        #expect(status(arguments) == expected)
    }

    @Test("check ends with 0 when nothing is wrong and with 1 when a route is")
    func check() throws {
        let (empty, wrong) = (try Manifests(""), try Manifests(manifests))
        withExtendedLifetime((empty, wrong)) {
            #expect(status(["check", "--manifests", empty.path]) == 0)
            #expect(status(["check", "--manifests", wrong.path]) == 1)
        }
    }
}

@Suite struct RouteReportTests {
    @Test("neither table nor JSON shows a secret, and the table shows every route and what has none")
    func secrets() throws {
        let directory = try Manifests(manifests)
        let snapshot = directory.snapshot
        let table = RouteReport.table(snapshot, reveal: false)
        let json = try RouteReport.json(snapshot, reveal: false)
        let flux = try #require(snapshot.routes.first { $0.sender == .genericHMAC }?.path)
        for text in [table, json] {
            #expect(!text.contains(token) && !text.contains("hunter2") && !text.contains(flux))
            #expect(text.contains("Hook/team-a/webapp") && text.contains("Receiver/team-b/orphan"))
            #expect(text.contains(flux.prefix(10) + "…"))
        }
        #expect(RouteReport.table(snapshot, reveal: true).contains(flux))
        #expect(table.contains("http http://127.0.0.1/…, log"))
        #expect(table.contains("hooks.example.org/hooks/team-a/webapp"))
        #expect(
            table.contains("2 routes, 2 ready; 1 files with 2 Receivers, 1 Hooks, 1 Secrets, 0 Flux objects, 0 others"))
        let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
        #expect((object?["routes"] as? [Any])?.count == 2 && (object?["problems"] as? [Any])?.count == 1)
    }
}

@Suite struct SenderFormTests {
    private func form(_ name: String, reveal: Bool) throws -> String {
        let snapshot = try Manifests(manifests).snapshot
        let lookup = try RouteLookup(name, namespace: "team-a")
        let route = try lookup.route(in: snapshot)
        return Terminal.table(
            SenderForm.rows(
                route, secretPlaces: snapshot.secretPlaces[route.identity] ?? [],
                base: "https://in.example.org:8443/base", reveal: reveal))
    }

    @Test("the form has the full URL and names the secret, whose value needs --reveal")
    func forms() throws {
        let hook = try form("hook/webapp", reveal: false)
        #expect(hook.contains("https://hooks.example.org:8443/base/hooks/team-a/webapp"))
        #expect(hook.contains("key \"token\" of Secret/team-a/s (shown with --reveal)") && !hook.contains(token))
        #expect(hook.contains("ping, push") && hook.contains("application/json"))
        let flux = try form("Receiver/flux", reveal: true)
        #expect(
            flux.contains(WebhookPath.flux(token: Array(token.utf8), name: "flux", namespace: "team-a"))
                && flux.contains(token))
        #expect(flux.contains("X-Signature: sha256=HEX"))
    }

    @Test(
        "a receiver that is not there, or has no route, says why",
        arguments: [
            ("Hook/webap", "team-a", "does not exist in the manifests (did you mean \"webapp\"?)"),
            ("Hook/webapp", nil, "there is one in team-a: add -n team-a"),
            ("Receiver/orphan", "team-b", "Secret/team-b/nope does not exist"),
            ("Hok/x", nil, "did you mean \"Hook\"?"), ("webapp", nil, "names no receiver"),
            ("Hook//x", nil, "names no receiver"),
            ("Hook/a/x", "b", "two namespaces were given"),
        ])
    func missing(name: String, namespace: String?, expected: String) throws {
        let snapshot = try Manifests(manifests).snapshot
        do throws(CommandFailure) {
            _ = try RouteLookup(name, namespace: namespace).route(in: snapshot)
            Issue.record("found")
        } catch {
            #expect(error.description.contains(expected), "\(error)")
        }
    }
}

@Suite struct SignedDeliveryTests {
    private func field(_ delivery: SignedDelivery, _ name: String) -> String? {
        delivery.fields.first { $0.name == name }?.value
    }

    /// RFC 4231 test case 2; RFC 2202 test case 2.
    @Test("digests are those of the RFCs")
    func digests() {
        let key = SecretBytes(Array("Jefe".utf8))
        let message = Array("what do ya want for nothing?".utf8)
        let github = SignedDelivery(sender: .github, body: message, secret: key, event: nil, deliveryID: "id")
        #expect(
            field(github, "X-Hub-Signature-256")
                == "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(field(github, "X-Hub-Signature") == "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
        let scheme = HMACScheme(header: "x-sig", algorithm: .sha512, encoding: .hex, prefix: "v1=")
        let hmac = SignedDelivery(
            sender: .hmac, body: message, secret: key, event: nil, deliveryID: "id", scheme: scheme)
        #expect(
            field(hmac, "x-sig")?.hasPrefix("v1=164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554")
                == true)
        let base64 = HMACScheme(header: "x-sig", algorithm: .sha256, encoding: .base64, prefix: "")
        let encoded = SignedDelivery(
            sender: .hmac, body: message, secret: key, event: nil, deliveryID: "id", scheme: base64)
        #expect(field(encoded, "x-sig") == "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=")
    }

    /// The signature GitHub's own documentation shows for this body and secret is over other bytes; this one is recorded.
    @Test("the bundled push has the bytes that were recorded, so its signature is the recorded one")
    func sample() {
        let delivery = SignedDelivery(
            sender: .github, body: Array(Samples.githubPush.utf8), secret: SecretBytes(Array(token.utf8)),
            event: "push",
            deliveryID: "id")
        #expect(
            field(delivery, "X-Hub-Signature-256")
                == "sha256=680777df254eda1897b2d6d639b99650ebe63cec1a1b84aa73766144a572f283")
        for sample in [Samples.githubPush, Samples.githubPing, Samples.gitlabPush] {
            #expect((try? JSONSerialization.jsonObject(with: Data(sample.utf8))) != nil)
        }
    }

    @Test("GitLab's token is marked as what must not be shown, and a repeated field replaces the first")
    func secretFields() {
        var delivery = SignedDelivery(
            sender: .gitlab, body: [], secret: SecretBytes(Array("t".utf8)), event: nil, deliveryID: "id")
        #expect(delivery.fields.filter(\.isSecret).map(\.name) == ["X-Gitlab-Token"])
        delivery.set("x-gitlab-event", "Tag Push Hook", isSecret: false)
        #expect(delivery.fields.filter { $0.name.lowercased() == "x-gitlab-event" }.map(\.value) == ["Tag Push Hook"])
    }

    @Test(
        "base64 pads as it should",
        arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")])
    func base64(text: String, expected: String) {
        #expect(SignedDelivery.base64(Array(text.utf8)) == expected)
    }
}

@Suite struct PlainAnswerTests {
    private func parse(_ text: String, isEnd: Bool = false) -> PlainAnswer? {
        PlainAnswer.parse(Array(text.utf8), isEnd: isEnd)
    }

    @Test(
        "an answer is complete by its length, by its status or by the end",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", false, "ab"),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, ""),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, ""),
            ("HTTP/1.1 400 Bad Request\r\n\r\nxyz", true, "xyz"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", true, "ab"),
        ])
    func complete(text: String, isEnd: Bool, body: String) throws {
        let answer = try #require(parse(text, isEnd: isEnd))
        #expect(answer.body == Array(body.utf8))
    }

    @Test(
        "what is no answer yet, or none at all, is none",
        arguments: [
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", "SSH-2.0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 x\r\n\r\n",
        ])
    func incomplete(text: String) {
        #expect(parse(text) == nil)
    }
}

@Suite struct PlainExchangeTests {
    /// Answers one connection on a free loopback port with `answer` after the whole head arrived; gives the port.
    private func answerOnce(_ answer: String) throws -> UInt16 {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listener, generic, size) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, generic, &size) == 0
            }
        }
        try #require(port)
        Thread.detachNewThread {
            let peer = accept(listener, nil, nil)
            var received: [UInt8] = []
            var block = [UInt8](repeating: 0, count: 4_096)
            while !String(decoding: received, as: UTF8.self).contains("\r\n\r\n") {
                let count = recv(peer, &block, block.count, 0)
                if count <= 0 { break }
                received += block[..<count]
            }
            _ = Array(answer.utf8).withUnsafeBytes { send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            // Not closed alone: a process that another test started meanwhile may have inherited the descriptors.
            shutdown(peer, Int32(SHUT_RDWR))
            close(peer)
            close(listener)
        }
        return UInt16(bigEndian: address.sin_port)
    }

    @Test("an answer comes back over a real socket")
    func exchange() throws {
        let port = try answerOnce("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nGrapnel-Delivery: 7\r\n\r\nok")
        let request = Array("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".utf8)
        let answer = try PlainExchange.send(request, host: "127.0.0.1", port: port)
        #expect(answer.status == 202 && answer.field("grapnel-delivery") == "7" && answer.body == Array("ok".utf8))
    }

    @Test("a peer that says nothing, or no HTTP, has not answered", arguments: ["", "220 smtp ready\r\n\r\n"])
    func noAnswer(answer: String) throws {
        let port = try answerOnce(answer)
        #expect(throws: PlainExchange.Failure.self) {
            try PlainExchange.send(Array("POST / HTTP/1.1\r\n\r\n".utf8), host: "127.0.0.1", port: port)
        }
    }
}

@Suite struct VectorJudgeTests {
    @Test(
        "what cannot be judged gets an error and keeps its id",
        arguments: [
            ("nonsense", "{\"error\":\"the line is no JSON object\",\"id\":null}"),
            ("[]", "{\"error\":\"the line is no JSON object\",\"id\":null}"),
            (
                "{\"id\":\"1\",\"kind\":\"cel\",\"input\":{}}",
                "{\"error\":\"unknown kind \\\"cel\\\"; known: path, cel-compile, cel-eval, cel-stack, oidc-claims, oidc-spec, "
                    + "oidc-compile, jwt-issuer, receiver-spec, crd-admission\",\"id\":\"1\"}"
            ),
            ("{\"id\":\"2\",\"kind\":\"path\"}", "{\"error\":\"input must be an object\",\"id\":\"2\"}"),
            (
                "{\"id\":\"3\",\"kind\":\"path\",\"input\":{\"name\":\"a\",\"namespace\":\"b\"}}",
                "{\"error\":\"path needs token or tokenBase64\",\"id\":\"3\"}"
            ),
            (
                "{\"id\":\"4\",\"kind\":\"path\",\"input\":{\"name\":\"a\",\"namespace\":\"b\",\"tokenBase64\":\"%\"}}",
                "{\"error\":\"tokenBase64 is not base64\",\"id\":\"4\"}"
            ),
        ])
    func errors(line: String, expected: String) {
        #expect(VectorJudge.answer(to: line) == expected)
    }

    @Test("a path is computed from text and from bytes")
    func path() {
        #expect(
            VectorJudge.answer(
                to: #"{"id":"a","kind":"path","input":{"token":"token","name":"webapp","namespace":"flux-system"}}"#)
                == #"{"id":"a","webhookPath":"/hook/fa11f91add0541d3260e46b7920f6222cf027249d5ba9c787b4e2e49b193cddc"}"#
        )
        #expect(
            VectorJudge.answer(
                to: #"{"id":"b","kind":"path","input":{"tokenBase64":"AP/+AQ==","name":"r","namespace":"n"}}"#)
                == #"{"id":"b","webhookPath":"/hook/92330d459c68a20c5d02663183608805ab94d2ddfdeeb0e1029bd5b7a5a77301"}"#
        )
    }

    @Test("a Receiver's spec is judged in the words of its admission")
    func admission() {
        #expect(
            VectorJudge.answer(
                to:
                    #"{"id":"a","kind":"crd-admission","input":{"spec":{"type":"github","resources":[],"secretRef":{"name":"s"}}}}"#
            )
                == #"{"id":"a","ok":true}"#)
        #expect(
            VectorJudge.answer(
                to: #"{"id":"b","kind":"receiver-spec","input":{"spec":{"type":"generic-oidc","resources":[]}}}"#)
                == #"{"error":"generic-oidc receivers must define at least one oidcProvider","id":"b","ok":false}"#)
    }
}
