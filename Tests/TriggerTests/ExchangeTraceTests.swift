import Delivery
import Foundation
import Kubernetes
import Logging
import Synchronization
import Testing

@testable import Trigger

/// What is kept of an attempt's request and answer, and that no secret is among it.
@Suite("Exchanges of attempts")
struct ExchangeTraceTests {
    /// What was noted while `body` ran.
    private func traced(_ body: () async throws -> Void) async rethrows -> ExchangeRecord? {
        let trace = ExchangeTrace()
        try await ExchangeTrace.$current.withValue(trace) { try await body() }
        return trace.last
    }

    private func posted(_ url: String, secret: String? = nil) async throws -> ExchangeRecord? {
        try await traced { _ = try await HTTPActionTests().run(HTTPActionTests().attempt(url, secret: secret)) }
    }

    private func client(_ server: RawServer) throws -> KubernetesClient {
        try KubernetesClient(
            Kubeconfig(server: server.url, token: .inline(SecretText("tok"))), settings: .patient,
            logger: Logger(label: "test"))
    }

    private let gitRepositories = APIResource(
        group: "source.toolkit.fluxcd.io", version: "v1", kind: "GitRepository", plural: "gitrepositories",
        isNamespaced: true)

    @Test("of an http action scheme, host and port are shown, the status, and the beginning of a refusal")
    func httpAction() async throws {
        let server = RawServer { _, _ in .bytes(answer("422 No", "no such\nproject")) }
        defer { server.stop() }
        let record = try await posted(server.url + "/x1?q=2")
        #expect(record == ExchangeRecord(request: "POST \(server.url)", status: 422, answer: "no such project"))
        let done = RawServer { _, _ in .bytes(answer("200 OK", "fine")) }
        defer { done.stop() }
        #expect(try await posted(done.url) == ExchangeRecord(request: "POST \(done.url)", status: 200))
    }

    @Test("without an answer there is a request and no status; what was not sent leaves nothing")
    func noAnswer() async throws {
        let url = "http://127.0.0.1:\(RawServer.closedPort())"
        #expect(try await posted(url + "/secret-path") == ExchangeRecord(request: "POST \(url)"))
        #expect(await traced {} == nil)
        // Who makes no attempt notes nothing.
        #expect(ExchangeTrace.current == nil)
    }

    @Test(
        "an answer that repeats a part of the address, however it is written, is left out",
        arguments: [
            "Cannot POST /hooks/T0K-en%2Fsecret", "<pre>/HOOKS/t0k-en/SECRET</pre>", "\\/hooks\\/T0K-en\\/secret",
            "user s3cr3t-passw0rd is locked", "key=AbCdEf123",
            "AbCdEf123".map { "%\(String($0.asciiValue!, radix: 16))" }.joined(),
            "signed with whsec_aGVsbG8=",
        ])
    func echo(_ text: String) async throws {
        let url = "http://me:s3cr3t-passw0rd@127.0.0.1:1/hooks/T0K-en%2Fsecret?key=AbCdEf123"
        #expect(AnswerText.shown(Array(text.utf8), url: url, secret: "whsec_aGVsbG8=") == AnswerText.leftOut)
        let late = Array((String(repeating: "x ", count: 5000) + text).utf8)
        #expect(AnswerText.shown(late, url: url, secret: "whsec_aGVsbG8=") == AnswerText.leftOut)
    }

    @Test("other answers are shown, of any bytes")
    func shown() {
        let url = "http://127.0.0.1:1/build?x=1"
        #expect(AnswerText.shown(Array("no such project".utf8), url: url, secret: nil) == "no such project")
        #expect(AnswerText.shown([], url: url, secret: nil) == "")
        #expect(AnswerText.shown([0xff, 0x25, 0x25, 0x34], url: url, secret: nil).hasSuffix("%%4"))
        #expect(AnswerText.shown(Array(repeating: 97, count: 70_000), url: url, secret: nil).utf8.count <= 400)
    }

    @Test("of a call to an API server method and path are shown without a query, and why it refused")
    func kubernetes() async throws {
        let status = #"{"kind":"Status","reason":"Forbidden","message":"gitrepositories is forbidden"}"#
        let server = RawServer { request, _ in
            request.line.hasPrefix("PATCH")
                ? .bytes(answer("403 Forbidden", status)) : .bytes(answer("502 Bad", "<h1>bad\ngateway</h1>"))
        }
        defer { server.stop() }
        let client = try client(server)
        let patched = await traced {
            try? await client.mergePatch(gitRepositories, namespace: "team-a", name: "webapp", body: [])
        }
        #expect(
            patched
                == ExchangeRecord(
                    request: "PATCH /apis/source.toolkit.fluxcd.io/v1/namespaces/team-a/gitrepositories/webapp",
                    status: 403,
                    answer: "gitrepositories is forbidden"))
        let listed = await traced {
            _ = try? await client.listMetadata(gitRepositories, namespace: "team-a", labelSelector: "a=b")
        }
        #expect(
            listed
                == ExchangeRecord(
                    request: "GET /apis/source.toolkit.fluxcd.io/v1/namespaces/team-a/gitrepositories", status: 502,
                    answer: "<h1>bad gateway</h1>"))
        await client.shutdown()
    }

    @Test("what was made is named")
    func made() async throws {
        let server = RawServer { _, _ in .bytes(answer("201 Created", #"{"kind":"Build","metadata":{"name":"app-7"}}"#))
        }
        defer { server.stop() }
        let client = try client(server)
        let record = await traced {
            _ = try? await client.create(
                gitRepositories, namespace: "team-a", name: "app", subresource: "instantiate", body: [])
        }
        #expect(record?.status == 201)
        #expect(record?.answer == "app-7")
        #expect(record?.request.hasSuffix("/app/instantiate") == true)
        await client.shutdown()
    }

    @Test("the secret in a relayed path shows neither in the request nor in an answer that repeats it")
    func relay() async throws {
        let server = RawServer { request, _ in .bytes(answer("404 Not Found", "no \(request.line)")) }
        defer { server.stop() }
        let client = try client(server)
        let record = await traced {
            try? await client.relay(
                gitRepositories, namespace: "team-a", name: "app",
                segments: [Array("webhooks".utf8), Array("tOp-s3cret".utf8), Array("github".utf8)], fields: [],
                contentType: "application/json", body: [])
        }
        #expect(server.requests.first?.line.contains("tOp-s3cret") == true)
        #expect(record?.request.hasSuffix("/app/webhooks/…") == true)
        #expect(record?.status == 404)
        #expect(record?.answer == "")
        await client.shutdown()
    }

    @Test("an outcome tells when its attempt ended, how long it took, its number, and what was asked for")
    func dispatcher() async throws {
        let log = MemoryLog()
        let routes = MemoryRoutes()
        var definition = route(hook("a"), [post("http://127.0.0.1:1/x")])
        definition.retry = RetryPolicy(attempts: 5, backoffNanoseconds: 1, maxBackoffNanoseconds: 1)
        routes.define(definition)
        log.add(1)
        let calls = Mutex(0)
        let runner = ClosureRunner { _ in
            ExchangeTrace.current?.begin("POST", "http://127.0.0.1:1")
            ExchangeTrace.current?.end(status: 503, "busy")
            try? await Task.sleep(for: .milliseconds(20))
            let count = calls.withLock { calls in
                calls += 1
                return calls
            }
            return count == 4 ? .done : .failed(ActionFailure(.healable, scope: .none, reason: "answered 503"))
        }
        let before = DispatcherClock.wall
        let dispatcher = Dispatcher(
            log: log, routes: routes, runners: ActionRunners(http: runner), decodeEvent: { _ in Event() },
            logger: Logger(label: "test"))
        var delivery = DispatcherTests().delivery(1, hook("a"))
        delivery.durableNanoseconds = 77
        dispatcher.enqueue([delivery])
        #expect(await log.waitForFinals(1))
        await dispatcher.drain(deadline: .distant)
        let outcomes = log.outcomes
        // Those that time heals are recorded once; how many there were is not lost.
        #expect(outcomes.map(\.code) == [.failed, .done])
        #expect(outcomes.map(\.details.attempts) == [1, 4])
        for outcome in outcomes {
            #expect(outcome.details.durationNanoseconds >= 20_000_000)
            #expect(outcome.details.atNanoseconds >= before + outcome.details.durationNanoseconds)
            #expect(outcome.details.atNanoseconds <= DispatcherClock.wall)
            #expect(
                outcome.details.exchange
                    == ExchangeRecord(request: "POST http://127.0.0.1:1", status: 503, answer: "busy"))
        }
        let times = try #require(log.state.withLock { $0.times[1] })
        #expect(times.durableNanoseconds == 77)
        #expect(times.plannedNanoseconds >= before && times.plannedNanoseconds <= outcomes[0].details.atNanoseconds)
    }
}
