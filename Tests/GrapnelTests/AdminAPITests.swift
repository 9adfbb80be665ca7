// The admin API's pure parts: who may, what a filter and a cursor say, what becomes of plans and outcomes.

import Delivery
import Foundation
import Journal
import NIOHTTP1
import Testing
import Trigger

@testable import Grapnel

@Suite("Admin API: who may")
struct AdminGuardTests {
    private func request(
        _ headers: HTTPHeaders, method: HTTPMethod = .GET, loopback: Bool = true, role: AdminListener.Role = .full
    ) throws -> AdminRequest {
        var request = try #require(AdminRequest(method: method, target: "/api/v1/journal", headers: headers))
        request.isOnLoopback = loopback
        request.listener = role
        return request
    }

    private func withToken(_ text: String, _ body: (AdminGuard, String) throws -> Void) throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        try body(AdminGuard(tokenFile: file), file)
    }

    @Test(
        "without a token only names of this machine are answered",
        arguments: [
            ("127.0.0.1:9293", true), ("LOCALHOST", true), ("[::1]:1", true), ("127.1.2.3", true),
            ("evil.example", false), ("127.0.0.1.evil.example", false), ("127.0.0.256", false), ("[::2]", false),
            ("", false), ("127.0.0.1@evil.example", false), ("localhost.", false),
        ])
    func hosts(host: String, isOpen: Bool) throws {
        let open = AdminGuard(tokenFile: nil)
        #expect((open.refusal(of: try request(["Host": host])) == nil) == isOpen)
        #expect(open.refusal(of: try request(["Host": host], loopback: false))?.status == .forbidden)
        #expect(open.refusal(of: try request(["Host": host], role: .metrics))?.status == .notFound)
    }

    @Test(
        "a token is compared as a whole",
        arguments: [
            ("Bearer t0ken-0123456789", true), ("bearer t0ken-0123456789", true), ("Bearer t0ken-012345678", false),
            ("Bearer t0ken-01234567890", false), ("Basic t0ken-0123456789", false), ("Bearer ", false), ("", false),
            ("t0ken-0123456789", false), ("Bearer T0KEN-0123456789", false),
        ])
    func tokens(value: String, isRight: Bool) throws {
        try withToken("  t0ken-0123456789\r\n") { guardian, _ in
            let refusal = guardian.refusal(of: try request(["Host": "any.example", "Authorization": value]))
            #expect(refusal == nil ? isRight : !isRight && refusal?.status == .unauthorized)
            #expect(isRight || refusal?.fields.contains { $0.name == "WWW-Authenticate" } == true)
        }
    }

    @Test("an empty file lets nobody in, not even with an empty token")
    func emptyToken() throws {
        try withToken(" \n") { guardian, _ in
            for value in ["Bearer ", "Bearer x"] {
                let answer = guardian.refusal(of: try request(["Host": "localhost", "Authorization": value]))
                #expect(answer?.status == .serviceUnavailable)
            }
        }
    }

    @Test("what changes something takes JSON, and no other origin's")
    func crossSite() throws {
        let open = AdminGuard(tokenFile: nil)
        func status(_ headers: HTTPHeaders) throws -> HTTPResponseStatus? {
            var all: HTTPHeaders = ["Host": "127.0.0.1:9293"]
            all.add(contentsOf: headers)
            return open.refusal(of: try request(all, method: .POST))?.status
        }
        #expect(try status(["Content-Type": "application/json; charset=utf-8"]) == nil)
        #expect(try status(["Content-Type": "application/json", "Origin": "http://127.0.0.1:9293"]) == nil)
        #expect(try status([:]) == .unsupportedMediaType)
        #expect(try status(["Content-Type": "text/plain"]) == .unsupportedMediaType)
        #expect(try status(["Content-Type": "application/json", "Origin": "http://evil.example"]) == .forbidden)
        #expect(try status(["Content-Type": "application/json", "Origin": "null"]) == .forbidden)
    }

    @Test("targets that are no percent-encoded UTF-8 are none")
    func targets() {
        for target in ["/a%", "/a%2", "/a%zz", "/%ff", "/x?ref=%c3"] {
            #expect(AdminRequest(method: .GET, target: target) == nil, "\(target)")
        }
        let request = AdminRequest(method: .GET, target: "/a%20b?ref=a+b%2Bc&x&y=1=2")
        #expect(request?.path == "/a b")
        #expect(request?.query.map { "\($0.name):\($0.value)" } == ["ref:a b+c", "x:", "y:1=2"])
    }
}

@Suite("Admin API: filters and cursors")
struct DeliveryFilterTests {
    private let now: UInt64 = 1_800_000_000_000_000_000

    @Test(
        "what cannot be understood is refused",
        arguments: [
            ("since", "yesterday"), ("since", "2026-13-01T00:00:00Z"), ("since", "-1h"), ("since", ""),
            ("route", "a/b/c/d"), ("route", "/a"), ("route", "Nothing/a/b"), ("sender", "nobody"),
            ("outcome", "good"), ("outcome", "dead,"), ("commit", "abc"),
        ])
    func refused(name: String, value: String) {
        #expect(throws: DeliveryFilter.Problem.self) { try DeliveryFilter([(name, value)], now: now) }
    }

    @Test("a filter that is given twice, or means no time at all, is refused")
    func contradictions() {
        #expect(throws: DeliveryFilter.Problem.self) {
            try DeliveryFilter([("ref", "a"), ("ref", "b")], now: now)
        }
        #expect(throws: DeliveryFilter.Problem.self) {
            try DeliveryFilter([("since", "1h"), ("until", "2h")], now: now)
        }
    }

    @Test("times are RFC 3339, seconds, or a duration ago")
    func times() throws {
        func since(_ text: String) throws -> UInt64? { try DeliveryFilter([("since", text)], now: now).since }
        #expect(try since("1h") == now - 3_600_000_000_000)
        #expect(try since("7d") == now - 7 * 86_400_000_000_000)
        #expect(try since("1767225600") == 1_767_225_600_000_000_000)
        #expect(try since("2026-01-01T00:00:00Z") == 1_767_225_600_000_000_000)
        #expect(try since("2026-01-01T01:00:00.250+01:00") == 1_767_225_600_250_000_000)
    }

    @Test("routes are named in one, two or three parts")
    func routes() throws {
        let route = RouteIdentity(kind: .hook, namespace: "team-a", name: "webapp")
        for text in ["webapp", "team-a/webapp", "Hook/team-a/webapp", "hook/team-a/webapp"] {
            #expect(try DeliveryFilter([("route", text)], now: now).isMeant(route), "\(text)")
        }
        for text in ["web", "team-b/webapp", "Receiver/team-a/webapp"] {
            #expect(try !DeliveryFilter([("route", text)], now: now).isMeant(route), "\(text)")
        }
    }

    @Test("refs and commits are met by their short forms, repositories whole")
    func events() throws {
        var event = Event(kind: "push", repository: "Team/App", ref: "refs/heads/main", commit: "0123456789ABCDEF")
        event.repositoryURLs = ["https://git.example.org/team/app.git"]
        func matches(_ name: String, _ value: String) throws -> Bool {
            try DeliveryFilter([(name, value)], now: now).matches(event)
        }
        #expect(try matches("ref", "main") && matches("ref", "refs/heads/main") && !matches("ref", "mai"))
        #expect(try matches("commit", "0123abcd") == false && matches("commit", "01234567"))
        #expect(try matches("repository", "team/app") && !matches("repository", "app"))
        #expect(try matches("repository", "https://git.example.org/team/app.git"))
        #expect(try !DeliveryFilter([("ref", "main")], now: now).matches(Event()))
    }

    @Test("a cursor is what was given out, and nothing else")
    func cursors() {
        for sequence: UInt64 in [1, 42, 1 << 61] {
            #expect(PageCursor(PageCursor(before: sequence).text)?.before == sequence)
        }
        func encoded(_ text: String) -> String {
            Data(text.utf8).base64EncodedString().replacing("=", with: "")
        }
        for text in [
            "", "x", "AAAA", String(repeating: "A", count: 100_000), encoded("gd1.x"), encoded("gd1.007"),
            encoded("gd1.-1"), encoded("gd2.1"), encoded("gd1.4611686018427387904"), encoded("gd1.1") + "=", "é",
        ] { #expect(PageCursor(text) == nil, "\(text.prefix(40))") }
    }
}

@Suite("Admin API: what has become of a delivery")
struct DeliveryProgressTests {
    private func entry(_ index: UInt16, _ outcome: Journal.Outcome, _ detail: UInt64 = 0) -> Journal.OutcomeEntry {
        Journal.OutcomeEntry(sequence: 1, planIndex: index, outcome: outcome, detail: detail)
    }

    @Test("it is owed until every entry of the plan is final, and dead when one is")
    func states() {
        var progress = DeliveryProgress()
        #expect(progress.state == .owed)
        progress.planCount = 2
        progress.take(entry(0, .done))
        #expect(progress.state == .owed)
        progress.take(entry(0, .done))
        #expect(progress.state == .owed, "the same entry counts once")
        progress.take(entry(1, .failed, 1))
        #expect(progress.state == .failed)
        progress.take(entry(1, .dead))
        #expect(progress.state == .dead)
    }

    @Test("an empty plan and an outcome of the whole are final")
    func whole() {
        var empty = DeliveryProgress()
        empty.planCount = 0
        #expect(empty.state == .done)
        var ignored = DeliveryProgress()
        ignored.take(entry(Journal.OutcomeEntry.wholeDelivery, .ignored))
        #expect(ignored.state == .ignored)
        var merged = DeliveryProgress()
        merged.planCount = 1
        merged.take(entry(0, .merged, 9))
        #expect(merged.state == .merged && merged.mergedInto == 9)
    }

    @Test("what a later segment said joins what an earlier one says")
    func joined() {
        var later = DeliveryProgress()
        later.take(entry(1, .done))
        var earlier = DeliveryProgress()
        earlier.add(later)
        earlier.planCount = 2
        #expect(earlier.state == .owed)
        earlier.take(entry(0, .done))
        #expect(earlier.state == .done)
    }
}

@Suite("Admin API: bounds")
struct AdminBoundsTests {
    private func request(_ at: UInt64) -> RefusedRequest {
        RefusedRequest(
            at: at, source: "127.0.0.1", cause: .signatureWrong, headerNames: [], bodyBytes: 0, bodySHA256: nil)
    }

    @Test("one route's flood pushes out its own refused requests alone")
    func flood() {
        let refused = RefusedRequests()
        let quiet = RouteIdentity(kind: .hook, namespace: "a", name: "quiet")
        let loud = RouteIdentity(kind: .hook, namespace: "a", name: "loud")
        refused.note(request(1), of: quiet)
        for at in 2...1000 { refused.note(request(UInt64(at)), of: loud) }
        #expect(refused.last(of: quiet).map(\.at) == [1])
        #expect(refused.last(of: loud).count == 50 && refused.last(of: loud).first?.at == 1000)
        refused.keep { $0 == quiet }
        #expect(refused.last(of: loud).isEmpty && refused.last(of: quiet).count == 1)
    }

    @Test("paths match by segments, and nothing stands for an empty one")
    func paths() {
        #expect(AdminAPI.match("/deliveries/{sequence}", "/deliveries/17") == "17")
        #expect(AdminAPI.match("", "") == "")
        for path in ["/deliveries/", "/deliveries", "/deliveries/1/2", "/deliveries/1/", "deliveries/1"] {
            #expect(AdminAPI.match("/deliveries/{sequence}", path[...]) == nil, "\(path)")
        }
        for text in ["", "0", "-1", "+1", "01x", "4611686018427387904", "99999999999999999999", "１"] {
            #expect(AdminAPI.sequence(text) == nil, "\(text)")
        }
    }

    @Test("a stream of events is taken apart wherever it is cut")
    func events() {
        let stream = Array(
            "HTTP/1.0 200 OK\r\nA: b\r\n\r\n: hello\n\nevent: delivery\nid: 1\ndata: {\"a\":1}\n\nevent: gap\ndata: {}\n\n: still here\nid: 2.3\n\n"
                .utf8)
        for cut in 0...stream.count {
            var reader = EventReader()
            let first = reader.take(stream[..<cut]) ?? []
            let second = reader.take(stream[cut...]) ?? []
            #expect((first + second).map(\.name) == ["delivery", "gap"], "cut at \(cut)")
            #expect((first + second).map(\.id) == ["1", nil] && reader.lastID == "2.3", "cut at \(cut)")
        }
        var other = EventReader()
        let taken = other.take(Array("SSH-2.0-x\r\n\r\n".utf8))
        #expect(taken == nil)
    }

    @Test("what is paused survives, and a damaged file is refused")
    func pauses() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let book = try PauseBook(dataDirectory: folder.path) { _ in }
        let subjects: [JSONValue] = [
            ["route": "Hook/team-a/webapp"], ["namespace": "team-a"], ["target": "http://x", "cluster": "west"],
        ]
        for value in subjects {
            let subject = try #require(PauseSubject(value))
            #expect(book.change(subject, isPaused: true) == .done(isNew: true))
            #expect(book.change(subject, isPaused: true) == .done(isNew: false))
        }
        #expect(try PauseBook(dataDirectory: folder.path) { _ in }.all == book.all)
        #expect(book.all.count == 3)
        try Data("{\"paused\": [{\"route\": 1}]}".utf8).write(to: folder.appendingPathComponent("paused.json"))
        #expect(throws: CommandFailure.self) { try PauseBook(dataDirectory: folder.path) { _ in } }
    }
}
