import Delivery
import Foundation
import Synchronization
import Testing

@testable import Trigger

@Suite("HTTP action")
struct HTTPActionTests {
    func attempt(_ url: String, secret: String? = nil, timeout: UInt64 = 600 * second, number: Int = 1) -> ActionAttempt
    {
        ActionAttempt(
            sequence: 7, planIndex: 2, number: number, route: hook("a"), receivedNanoseconds: epoch,
            action: .http(
                url: url, timeoutNanoseconds: timeout, signingSecret: secret.map { SecretBytes(Array($0.utf8)) }),
            payload: DeliveryPayload(
                sender: .github, deliveryID: "d", eventKind: "push", contentType: "application/json; charset=utf-8",
                headers: [], body: Array("{\"x\":1}".utf8)), event: Event())
    }

    /// Runs one attempt; the signer shows what it was given.
    func run(_ attempt: ActionAttempt, settings: OutboundSettings = OutboundSettings(userAgent: "grapnel/test"))
        async throws
        -> ActionResult
    {
        let action = try HTTPAction(
            settings: settings, hmacSHA256: { key, message in key + [0x7c] + message }, clock: { epoch })
        let result = await action.run(attempt)
        await action.shutdown()
        return result
    }

    func failure(_ result: ActionResult) -> ActionFailure? {
        if case .failed(let failure) = result { failure } else { nil }
    }

    @Test("A closed port heals with time and accuses the server")
    func closedPort() async throws {
        let result = failure(try await run(attempt("http://127.0.0.1:\(RawServer.closedPort())/secret-path")))
        #expect(result?.verdict == .healable)
        #expect(result?.scope == .server)
        #expect(result?.reason.contains("Connection refused") == true)
        #expect(result?.reason.contains("secret-path") == false)
    }

    @Test("An answer that is cut off, garbage or silence heals with time", arguments: [0, 1, 2, 3])
    func brokenAnswers(kind: Int) async throws {
        let server = RawServer { _, _ in
            switch kind {
            case 0: .cut
            case 1: .last("this is not HTTP\r\n\r\n")
            case 2: .silence(seconds: 2)
            default: .last("HTTP/1.1 200 O")
            }
        }
        defer { server.stop() }
        let result = failure(try await run(attempt(server.url, timeout: second / 2)))
        #expect(result?.verdict == .healable)
        #expect(result?.scope == .server)
    }

    @Test("A URL that cannot be used is final")
    func badURL() async throws {
        for url in ["ftp://127.0.0.1/x", "http://", "nonsense"] {
            #expect(failure(try await run(attempt(url)))?.verdict == .final, "\(url)")
        }
    }

    @Test(
        "Statuses are judged",
        arguments: [
            (200, nil), (204, nil), (301, .final), (400, .final), (401, .final), (404, .final), (410, .final),
            (408, .healable), (409, .judged), (425, .healable), (429, .healable), (500, .healable), (503, .healable),
        ] as [(Int, ActionFailure.Verdict?)])
    func statuses(status: Int, verdict: ActionFailure.Verdict?) async throws {
        let server = RawServer { _, _ in .bytes(answer("\(status) X", fields: ["Location: http://127.0.0.1:1/other"])) }
        defer { server.stop() }
        let result = try await run(attempt(server.url))
        if verdict == nil { #expect(result == .done) } else { #expect(failure(result)?.verdict == verdict) }
        #expect(server.requests.count == 1, "a redirect is not followed")
    }

    @Test("Retry-After is handed on, as seconds and as a date")
    func retryAfter() async throws {
        let server = RawServer { _, _ in .bytes(answer("503 Busy", fields: ["Retry-After: 17"])) }
        defer { server.stop() }
        #expect(failure(try await run(attempt(server.url)))?.retryAfterNanoseconds == 17 * second)
    }

    @Test("Body and content type go on as they came; the id is the same in every attempt")
    func request() async throws {
        let server = RawServer { _, _ in .bytes(answer("202 Accepted")) }
        defer { server.stop() }
        #expect(try await run(attempt(server.url + "/build?x=1")) == .done)
        #expect(try await run(attempt(server.url + "/build?x=1", number: 9)) == .done)
        let requests = server.requests
        #expect(requests[0].line == "POST /build?x=1 HTTP/1.1")
        #expect(requests[0].body == Array("{\"x\":1}".utf8))
        #expect(requests[0].field("content-type") == "application/json; charset=utf-8")
        #expect(requests[0].field("user-agent") == "grapnel/test")
        #expect(requests[0].field("webhook-id") == requests[1].field("webhook-id"))
        #expect(requests[0].field("webhook-id")?.hasSuffix("_7_2") == true)
        #expect(requests[0].field("webhook-timestamp") == String(epoch / second))
        #expect(requests[0].field("webhook-signature") == nil)
    }

    @Test("With a secret the body is signed as Standard Webhooks says")
    func signature() async throws {
        let server = RawServer { _, _ in .bytes(answer("200 OK")) }
        defer { server.stop() }
        for (secret, key) in [("plain-secret", "plain-secret"), ("whsec_aGVsbG8=", "hello")] {
            #expect(try await run(attempt(server.url, secret: secret)) == .done)
            let request = try #require(server.requests.last)
            let id = try #require(request.field("webhook-id"))
            let signed = "\(key)|\(id).\(epoch / second).{\"x\":1}"
            #expect(request.field("webhook-signature") == "v1," + Data(signed.utf8).base64EncodedString())
        }
    }

    @Test("A secret that is no key is final, before anything is sent")
    func badSecret() async throws {
        let server = RawServer { _, _ in .bytes(answer("200 OK")) }
        defer { server.stop() }
        for secret in ["", "whsec_", "whsec_***"] {
            #expect(failure(try await run(attempt(server.url, secret: secret)))?.verdict == .final)
        }
        #expect(server.requests.isEmpty)
    }

    @Test("Calls go through the proxy that the settings name")
    func proxy() async throws {
        let proxy = RawServer { request, _ in
            request.line.hasPrefix("CONNECT") ? .bytes("HTTP/1.1 200 OK\r\n\r\n") : .bytes(answer("200 OK"))
        }
        defer { proxy.stop() }
        let settings = OutboundSettings(proxy: proxy.url, userAgent: "grapnel/test")
        #expect(try await run(attempt("http://hooks.example.test/x"), settings: settings) == .done)
        #expect(proxy.requests.map(\.line) == ["CONNECT hooks.example.test:80 HTTP/1.1", "POST /x HTTP/1.1"])
    }

    @Test("A proxy or CA file that cannot be used is an error that names the setting")
    func badSettings() {
        let ignore: @Sendable ([UInt8], [UInt8]) -> [UInt8] = { _, _ in [] }
        #expect(throws: OutboundSettingsError.proxyInvalid) {
            try HTTPAction(settings: OutboundSettings(proxy: "not a url", userAgent: "x"), hmacSHA256: ignore)
        }
        #expect(throws: OutboundSettingsError.caFileUnreadable(path: "/nonexistent.pem")) {
            try HTTPAction(settings: OutboundSettings(caFile: "/nonexistent.pem", userAgent: "x"), hmacSHA256: ignore)
        }
    }
}
