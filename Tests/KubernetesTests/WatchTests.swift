import Foundation
import Logging
import NIOCore
import Synchronization
import Testing

@testable import Kubernetes

@Suite("Watches, lists and writes")
struct WatchTests {
    static let resource = APIResource(group: "g", version: "v1", kind: "A", plural: "as", isNamespaced: true)

    func client(_ url: String, _ change: (inout KubernetesClient.Settings) -> Void = { _ in }) throws
        -> KubernetesClient
    {
        var settings = KubernetesClient.Settings.patient
        change(&settings)
        return try KubernetesClient(
            Kubeconfig(server: url, token: .inline(SecretText("tok"))), settings: settings,
            logger: Logger(label: "test"))
    }

    // MARK: - Lines

    @Test("Lines come out the same however the bytes are cut; empty ones are left out; the bound holds")
    func lines() throws {
        let text = "one\n\ntwo\nthree"
        for size in 1...text.utf8.count {
            var splitter = LineSplitter(lineBytesMax: 5)
            var lines: [String] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                splitter.append(ByteBuffer(bytes: rest.prefix(size)))
                rest = rest.dropFirst(size)
                while let line = try splitter.next() { lines.append(String(decoding: line, as: UTF8.self)) }
            }
            #expect(lines == ["one", "two"])
            #expect(splitter.pendingBytes == 5)
        }
        var splitter = LineSplitter(lineBytesMax: 5)
        splitter.append(ByteBuffer(string: "12345\n"))
        #expect(try splitter.next()?.count == 5)
        splitter.append(ByteBuffer(string: "123456"))
        #expect(throws: LineSplitter.TooLong.self) { try splitter.next() }
        splitter = LineSplitter(lineBytesMax: 5)
        splitter.append(ByteBuffer(string: "123456\n"))
        #expect(throws: LineSplitter.TooLong.self) { try splitter.next() }
    }

    @Test("A wait lies below a ceiling that doubles to the maximum, but not below Retry-After")
    func backoff() {
        var backoff = Backoff(first: .milliseconds(200), max: .seconds(30))
        #expect(backoff.isFresh)
        let waits = (0..<10).map { _ in backoff.next(random: 0.999) }
        #expect(waits[0] < .milliseconds(200) && waits[0] > .milliseconds(190))
        #expect(waits[3] > .milliseconds(1590) && waits[3] < .milliseconds(1600))
        #expect(waits.allSatisfy { $0 < .seconds(30) } && waits[9] > .seconds(29))
        #expect(backoff.next(random: 0) == .zero)
        #expect(backoff.next(retryAfterNanoseconds: 40_000_000_000, random: 0.5) == .seconds(40))
        backoff.reset()
        #expect(backoff.isFresh && backoff.next(random: 0.5) == .milliseconds(100))
    }

    // MARK: - Watches

    @Test("A watch that is refused carries the status; a silent one the time; the call is named")
    func refusedWatch() async throws {
        let server = RawServer { request, number in
            if number == 0 { return refusal(403, "Forbidden") }
            return .stream { connection in
                connection.wait(600)
                return false
            }
        }
        for (seconds, expected) in [(600, #"verbs: ["watch"]"#), (2, "within 2 s")] {
            let client = try client(server.url) { $0.watchHeadSeconds = seconds }
            do throws(KubernetesError) {
                _ = try await client.watch(Self.resource, namespace: "n")
                Issue.record("opened")
            } catch { #expect(error.description.contains(expected), "\(error)") }
            await client.shutdown()
            await #expect(throws: KubernetesError.self) { try await client.watch(Self.resource, namespace: nil) }
        }
        server.stop()
    }

    @Test("Lines come as they are written, for longer than a call may take; the end is nil, a cut an error")
    func stream() async throws {
        let server = RawServer { request, number in
            .stream { connection in
                connection.begin()
                for index in 0..<3 {
                    connection.chunk("line \(index)\n")
                    connection.wait(1.2)
                }
                if number == 0 { connection.end() } else { connection.chunk("half") }
                return false
            }
        }
        let client = try client(server.url) { settings in
            settings.timeoutSeconds = 3
            settings.listTimeoutSeconds = 3
        }
        var iterator = try await client.watch(
            Self.resource, namespace: nil,
            query: WatchQuery(labelSelector: "a=b", resourceVersion: "5", timeoutSeconds: 60)
        ).makeAsyncIterator()
        for index in 0..<3 {
            #expect(try await iterator.next().map { String(decoding: $0, as: UTF8.self) } == "line \(index)")
        }
        #expect(try await iterator.next() == nil)
        #expect(
            server.requests[0].line
                == "GET /apis/g/v1/as?watch=true&resourceVersion=5&labelSelector=a%3Db&timeoutSeconds=60&allowWatchBookmarks=true HTTP/1.1"
        )
        #expect(server.requests[0].field("Authorization") == "Bearer tok")
        iterator = try await client.watch(Self.resource, namespace: nil).makeAsyncIterator()
        for _ in 0..<3 { _ = try await iterator.next() }
        await #expect(throws: KubernetesError.self) { _ = try await iterator.next() }
        await client.shutdown()
        server.stop()
    }

    @Test("A reader that stops reading stops the server: no bytes pile up here")
    func backpressure() async throws {
        let written = Mutex(0)
        let server = RawServer { _, _ in
            .stream { connection in
                connection.begin()
                let line = String(repeating: "x", count: 65_535) + "\n"
                for _ in 0..<2000 {
                    guard connection.chunk(line) else { break }
                    written.withLock { $0 += line.utf8.count }
                }
                return false
            }
        }
        let client = try client(server.url)
        do {
            var iterator = try await client.watch(Self.resource, namespace: nil).makeAsyncIterator()
            #expect(try await iterator.next()?.count == 65_535)
            try await Task.sleep(for: .milliseconds(500))
            #expect(written.withLock { $0 } < 40 << 20)
            #expect(try await iterator.next()?.count == 65_535)
        }
        await client.shutdown()
        server.stop()
    }

    @Test("Hundreds of open watches leave single calls their connections, and pools open and close with them")
    func manyWatches() async throws {
        let server = RawServer { request, _ in
            request.line.contains("watch=true") ? watching("x\n") : .bytes(answer("200 OK", "{}"))
        }
        let client = try client(server.url) { settings in
            settings.watchesPerPool = 20
            settings.requestsPerSecond = 10_000
            settings.requestsBurst = 10_000
            settings.connectionsMax = 2
        }
        let opened = Counter()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    var iterator = try await client.watch(Self.resource, namespace: nil).makeAsyncIterator()
                    #expect(try await iterator.next() == Data("x".utf8))
                    opened.add()
                    _ = try await iterator.next()
                }
            }
            await eventually { opened.value == 100 }
            #expect(server.requests.count == 100)
            #expect(client.watchClients.poolCount == 5)
            try await client.ping()
            group.cancelAll()
        }
        #expect(client.watchClients.poolCount <= 1)
        await client.shutdown()
        server.stop()
    }

    // MARK: - Lists and writes

    @Test("A page may be large, within a bound of its own")
    func largePage() async throws {
        let server = RawServer { _, _ in .bytes(answer("200 OK", String(repeating: "x", count: 3 << 20))) }
        let client = try client(server.url)
        #expect(try await client.list(Self.resource, namespace: nil).count == 3 << 20)
        await #expect(throws: KubernetesError.self) {
            try await client.list(Self.resource, namespace: nil, bodyBytesMax: 1 << 20)
        }
        await #expect(throws: KubernetesError.self) {
            try await client.getObject(Self.resource, namespace: "n", name: "x")
        }
        await client.shutdown()
        server.stop()
    }

    @Test("Each write goes out with its method, path, type and body")
    func writes() async throws {
        let server = RawServer { _, _ in .bytes(answer("200 OK", "{}")) }
        let client = try client(server.url)
        let body = Array("{}".utf8)
        try await client.replace(Self.resource, namespace: "n", name: "x", body: body)
        try await client.patch(Self.resource, namespace: "n", name: "x", subresource: "status", body: body)
        try await client.apply(
            Self.resource, namespace: "n", name: "x", fieldManager: "a b&c", force: true, body: body)
        try await client.delete(
            Self.resource, namespace: "n", name: "x", preconditions: .init(uid: "u", resourceVersion: "7"))
        try await client.delete(Self.resource, namespace: "n", name: "x")
        _ = try await client.getObject(Self.resource, namespace: "n", name: "x", isMetadataOnly: true)
        _ = try await client.list(
            Self.resource, namespace: "n",
            query: ListQuery(limit: 3, continueToken: "t+/=", fieldSelector: "a=b", resourceVersion: "9"))
        let requests = server.requests
        try #require(requests.count == 7)
        let object = "/apis/g/v1/namespaces/n/as/x"
        #expect(
            requests.map(\.line) == [
                "PUT \(object) HTTP/1.1", "PATCH \(object)/status HTTP/1.1",
                "PATCH \(object)?fieldManager=a%20b%26c&force=true HTTP/1.1", "DELETE \(object) HTTP/1.1",
                "DELETE \(object) HTTP/1.1", "GET \(object) HTTP/1.1",
                "GET /apis/g/v1/namespaces/n/as?limit=3&continue=t%2B%2F%3D&fieldSelector=a%3Db HTTP/1.1",
            ])
        #expect(
            requests.map { $0.field("Content-Type") } == [
                "application/json", "application/merge-patch+json", "application/apply-patch+yaml", "application/json",
                nil, nil, nil,
            ])
        let options = try #require(
            try JSONSerialization.jsonObject(with: Data(requests[3].body)) as? [String: Any])
        #expect(options["preconditions"] as? [String: String] == ["uid": "u", "resourceVersion": "7"])
        #expect(options["kind"] as? String == "DeleteOptions")
        #expect(requests[4].body.isEmpty)
        await client.shutdown()
        server.stop()
    }

    @Test("A refused write names verb and subresource; an empty namespace is not all namespaces")
    func refusedWrite() async throws {
        let server = RawServer { _, _ in refusal(403, "Forbidden") }
        let client = try client(server.url)
        do throws(KubernetesError) {
            try await client.patch(Self.resource, namespace: "n", name: "x", subresource: "status", body: [])
        } catch { #expect(error.description.contains(#"resources: ["as/status"], verbs: ["patch"]"#)) }
        do throws(KubernetesError) {
            try await client.replace(Self.resource, namespace: "n", name: "x", body: [])
        } catch { #expect(error.description.contains(#"verbs: ["update"]"#)) }
        do throws(KubernetesError) {
            _ = try await client.list(Self.resource, namespace: "")
            Issue.record("listed")
        } catch { #expect(error.cause == .invalidName("the namespace")) }
        await client.shutdown()
        server.stop()
    }

    // MARK: - Memory

    /// Names only; notes how much memory is in use when each page is decoded.
    struct MeasuringDecoder: ObjectDecoder {
        let used: @Sendable () -> Void
        func page(_ body: Data, of resource: APIResource) throws -> ObjectPage<String> {
            used()
            return try NameDecoder().page(body, of: resource)
        }
        func event(_ line: Data, of resource: APIResource) throws -> WatchEvent<String> {
            try NameDecoder().event(line, of: resource)
        }
    }

    @Test("A list of 10,000 objects of 8 KiB never holds more than a few of its pages")
    func memory() async throws {
        let filler = String(repeating: "x", count: 8192)
        let collection = FakeCollection(
            list: { number, _ in
                let items = (0..<500).map {
                    #"{"metadata":{"name":"\#(number * 500 + $0)"},"data":"\#(filler)"}"#
                }
                let next = number < 19 ? "t\(number)" : ""
                return .bytes(
                    answer(
                        "200 OK",
                        #"{"metadata":{"resourceVersion":"1","continue":"\#(next)"},"items":[\#(items.joined(separator: ","))]}"#
                    ))
            }, watch: { _, _ in watching() })
        let used = Mutex([Int]())
        let count = Mutex(0)
        let client = try collection.client()
        let reflector = Reflector(
            client: client, group: "g", kind: "A",
            decoder: MeasuringDecoder {
                // proc(5): resident pages.
                let statm = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
                let pages = statm.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
                used.withLock { $0.append(pages * 4096) }
            },
            logger: Logger(label: "test")
        ) { update in
            if case .replaced(let objects) = update { count.withLock { $0 = objects.count } }
        }
        let task = Task { await reflector.run() }
        await eventually { count.withLock { $0 } > 0 }
        task.cancel()
        await task.value
        #expect(count.withLock { $0 } == 10_000)
        let pages = used.withLock { $0 }
        #expect(pages.count == 20)
        // The first five fill what the allocator keeps; the other fifteen are 60 MiB. Other tests run at the same time. A sanitizer
        // keeps what was freed.
        if ProcessInfo.processInfo.environment["GRAPNEL_SANITIZER"] == nil, let early = pages.dropFirst(4).first,
            let last = pages.last
        {
            #expect(last - early < 30 << 20, "\(last - early)")
        }
        await client.shutdown()
        collection.stop()
    }
}
