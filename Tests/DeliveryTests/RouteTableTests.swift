import Testing

@testable import Delivery

@Suite("RouteTable")
struct RouteTableTests {
    private func route(_ name: String, path: String, host: String? = nil, readiness: RouteReadiness = .ready)
        -> RouteDefinition
    {
        RouteDefinition(
            identity: RouteIdentity(kind: .hook, namespace: "n", name: name), host: host, path: path, sender: .github,
            secrets: [SecretBytes([1, 2, 3])], readiness: readiness, actions: [.log])
    }

    private func find(_ table: RouteTable, _ path: String, _ host: String = "any.example") -> String? {
        let number = Array(path.utf8).withUnsafeBytes { path in
            Array(host.utf8).withUnsafeBytes { host in table.find(path: path, host: host) }
        }
        return number < 0 ? nil : table.definitions[number].identity.name
    }

    @Test("a path with a host of its own goes before the same path for any host")
    func hosts() {
        let orders = [["any", "a", "b"], ["a", "any", "b"], ["b", "a", "any"]]
        for order in orders {
            let table = RouteTable(
                order.map { route($0, path: "/x", host: $0 == "any" ? nil : "\($0).example") }, bodyBytesMax: 1000)
            #expect(find(table, "/x", "a.example") == "a")
            #expect(find(table, "/x", "A.Example") == "a")
            #expect(find(table, "/x", "b.example") == "b")
            #expect(find(table, "/x", "c.example") == "any")
            #expect(find(table, "/x", "") == "any")
        }
        let only = RouteTable([route("a", path: "/x", host: "a.example")], bodyBytesMax: 1000)
        #expect(find(only, "/x", "b.example") == nil)
    }

    @Test("finds each of 5,000 paths, and nothing else")
    func many() {
        let table = RouteTable((0..<5_000).map { route("r\($0)", path: "/hook/\($0)") }, bodyBytesMax: 1000)
        for number in stride(from: 0, to: 5_000, by: 37) { #expect(find(table, "/hook/\(number)") == "r\(number)") }
        for path in ["", "/", "/hook/", "/hook/5000", "/hook/1 ", "/HOOK/1", "/hook/01"] {
            #expect(find(table, path) == nil)
        }
        #expect(find(RouteTable([], bodyBytesMax: 10), "/x") == nil)
    }

    @Test("credentials are overwritten in the head, signatures and the rest stay")
    func masking() throws {
        let request = try ParsedRequest(
            "/hook/0123abc",
            [
                ("Authorization", "Bearer abc"), ("Cookie", "session=1"), ("X-Gitlab-Token", "tok"),
                ("X-Hub-Signature-256", "sha256=00"), ("X-Gitlab-Event", "Push Hook"),
            ])
        let before = String(decoding: request.memory, as: UTF8.self)
        let receiver = RouteTable(
            [
                RouteDefinition(
                    identity: RouteIdentity(kind: .receiver, namespace: "n", name: "r"), path: "/hook/0123abc",
                    sender: .generic,
                    secrets: [])
            ], bodyBytesMax: 1000)
        receiver.maskCredentials(request.view, path: request.head.path, in: request.memory.baseAddress!, route: 0)
        let after = String(decoding: request.memory, as: UTF8.self)
        #expect(after.utf8.count == before.utf8.count)
        for secret in ["abc", "session", "tok\r"] { #expect(!after.contains(secret)) }
        for kept in ["POST /hook/******* HTTP/1.1", "sha256=00", "Push Hook", "Authorization: **********"] {
            #expect(after.contains(kept))
        }
    }

    @Test("events: listed in any case, ping only when listed, Receivers refuse what Hooks ignore")
    func events() throws {
        func judge(_ kind: ReceiverKind, _ events: [String], _ event: String?) throws -> Judgement {
            let table = RouteTable(
                [
                    RouteDefinition(
                        identity: RouteIdentity(kind: kind, namespace: "n", name: "r"), path: "/h", sender: .github,
                        secrets: [SecretBytes([1])], events: events)
                ], bodyBytesMax: 10)
            let request = try ParsedRequest("/h", event.map { [("X-GitHub-Event", $0)] } ?? [])
            return table.judge(request.view, table.labels(request.view, route: 0), route: 0)
        }
        #expect(try judge(.hook, ["push"], "PUSH") == .accepted)
        #expect(try judge(.hook, ["push"], "release") == .ignored(.eventNotListed))
        #expect(try judge(.hook, ["push"], nil) == .ignored(.eventNotListed))
        #expect(try judge(.hook, ["push"], "ping") == .ignored(.ping))
        #expect(try judge(.hook, [], "ping") == .ignored(.ping))
        #expect(try judge(.hook, ["ping"], "ping") == .accepted)
        #expect(try judge(.hook, [], "anything") == .accepted)
        #expect(try judge(.receiver, ["push"], "release") == .refused(.eventNotListed))
        #expect(try judge(.receiver, [], "ping") == .accepted)
        #expect(try judge(.receiver, ["Push"], "push") == .accepted)
    }

    @Test("the fingerprint changes with the target and not with the events")
    func fingerprint() {
        func fingerprint(_ change: (inout RouteDefinition) -> Void) -> UInt32 {
            var definition = route("a", path: "/x")
            change(&definition)
            return RouteTable([definition], bodyBytesMax: 10).fingerprint(of: 0)
        }
        let base = fingerprint { _ in }
        #expect(fingerprint { $0.events = ["push"] } == base)
        #expect(fingerprint { $0.actions = [.exec(command: ["x"], timeoutNanoseconds: 1)] } != base)
        #expect(fingerprint { $0.path = "/y" } != base)
    }
}
