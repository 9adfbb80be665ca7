// Calls to hosts that may not be called: by name, by address, and by names that change their address.

import Delivery
import Foundation
import Synchronization
import Testing

@testable import Trigger

@Suite("Restricted http actions")
struct RestrictedCallTests {
    /// Runs one attempt. `resolve` stands for the name service; what it was asked is counted.
    private func run(
        _ url: String, allow: [String], isOfTenant: Bool = false, proxy: String? = nil, apiServers: [String] = [],
        _ addresses: [String] = [], asked: AskedNames = AskedNames(), seconds: UInt64 = 600
    ) async throws -> ActionResult {
        let settings = OutboundSettings(
            proxy: proxy, userAgent: "grapnel/test", allow: OutboundAllowList.read(allow).list,
            apiServerHosts: apiServers)
        let action = try HTTPAction(
            settings: settings, hmacSHA256: { _, _ in [] }, clock: { epoch },
            resolve: { host in
                asked.note(host)
                return addresses.compactMap { IPAddress($0) }
            })
        let attempt = ActionAttempt(
            sequence: 7, planIndex: 0, number: 1, route: hook("a"), receivedNanoseconds: epoch,
            action: .http(url: url, timeoutNanoseconds: seconds * second, signingSecret: nil),
            payload: DeliveryPayload(
                sender: .github, deliveryID: "d", eventKind: "push", contentType: "application/json", headers: [],
                body: Array("{}".utf8)), event: Event(), isOfTenant: isOfTenant)
        let result = await action.run(attempt)
        await action.shutdown()
        return result
    }

    private func failure(_ result: ActionResult) -> ActionFailure? {
        if case .failed(let failure) = result { failure } else { nil }
    }

    private func server() -> RawServer { RawServer { _, _ in .bytes(answer("200 OK")) } }

    @Test("a host that is not listed is not called, and not even resolved")
    func unlisted() async throws {
        let server = server()
        defer { server.stop() }
        let asked = AskedNames()
        let result = failure(
            try await run("http://evil.test:\(server.port)/secret", allow: ["good.test"], ["127.0.0.1"], asked: asked))
        #expect(result?.verdict == .final && result?.reason.contains("does not list evil.test") == true)
        #expect(result?.reason.contains("secret") == false)
        #expect(server.requests.isEmpty && asked.names.isEmpty)
    }

    @Test("the call goes to the address that was checked: one resolution, and the name in the Host field")
    func pinned() async throws {
        let server = server()
        defer { server.stop() }
        let asked = AskedNames()
        // No name service knows this name: only the checked address can have been called.
        let result = try await run(
            "http://Rebind.test:\(server.port)/x", allow: ["127.0.0.1"], ["127.0.0.1"], asked: asked)
        #expect(result == .done, "\(result)")
        #expect(asked.names == ["Rebind.test"])
        #expect(server.requests.map { $0.field("Host") } == ["Rebind.test:\(server.port)"])
    }

    @Test("a tenant's call never goes to an API server, by its name, its address, or a name that leads there")
    func apiServer() async throws {
        let refused: [(url: String, apiServers: [String])] = [
            ("https://API.test./version", ["api.test"]), ("http://192.0.2.7:6443/", ["192.0.2.7"]),
            ("http://[2001:db8::7]/", ["2001:db8:0::7"]), ("http://alias.test/", ["192.0.2.7"]),
            // The name service gives both the same address.
            ("http://alias.test/", ["api.test"]),
        ]
        for (url, apiServers) in refused {
            let allow = ["api.test", "alias.test", "192.0.2.0/24", "2001:db8::/32"]
            let result = failure(
                try await run(url, allow: allow, isOfTenant: true, apiServers: apiServers, ["192.0.2.7"]))
            #expect(result?.reason.contains("is an API server") == true, "\(url): \(result as Any)")
            #expect(result?.verdict != .healable, "\(url)")
        }
        // Behind a proxy the name alone can tell.
        let proxied = failure(
            try await run(
                "http://api.test/", allow: ["api.test"], isOfTenant: true, proxy: "http://127.0.0.1:9",
                apiServers: ["api.test"]))
        #expect(proxied?.reason.contains("is an API server") == true, "\(proxied as Any)")
    }

    @Test("the operator's own call may go to an API server")
    func ownCallToAPIServer() async throws {
        let server = server()
        defer { server.stop() }
        let result = try await run(
            "http://api.test:\(server.port)/", allow: ["127.0.0.1"], apiServers: ["api.test"], ["127.0.0.1"])
        #expect(result == .done, "\(result)")
    }

    @Test("of several addresses only permitted ones are tried")
    func mixed() async throws {
        let server = server()
        defer { server.stop() }
        // Nobody listens at the permitted one.
        let result = failure(
            try await run("http://two.test:\(server.port)/", allow: ["127.0.0.9"], ["127.0.0.1", "127.0.0.9"]))
        #expect(
            result?.verdict == .healable && result?.reason.contains("Connection refused") == true, "\(result as Any)")
        #expect(server.requests.isEmpty)
        // And where somebody does, behind one where nobody does.
        let second = try await run(
            "http://two.test:\(server.port)/", allow: ["127.0.0.0/8"], ["127.0.0.9", "127.0.0.1"])
        #expect(second == .done && server.requests.count == 1, "\(second)")
    }

    @Test("a name that leads to no permitted address uses up an attempt")
    func forbiddenAddress() async throws {
        let server = server()
        defer { server.stop() }
        let result = failure(try await run("http://x.test:\(server.port)/", allow: ["10.0.0.0/8"], ["127.0.0.1"]))
        #expect(result?.verdict == .judged && result?.reason.contains("127.0.0.1") == true)
        #expect(server.requests.isEmpty)
    }

    @Test("a name that cannot be resolved heals with time")
    func unresolved() async throws {
        let result = failure(try await run("http://x.test/", allow: ["x.test"]))
        #expect(result?.verdict == .healable && result?.reason.contains("cannot be resolved") == true)
    }

    @Test(
        "a tenant's Hook never reaches this machine or a metadata service, by any name or spelling",
        arguments: [
            "localhost", "listed.test", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "127.1",
            "0x7f.0.0.1", "LOCALHOST.",
        ])
    func tenant(host: String) async throws {
        let server = server()
        defer { server.stop() }
        let everything = ["0.0.0.0/0", "::/0", "localhost", "listed.test"]
        for addresses in [["127.0.0.1"], ["169.254.169.254", "127.0.0.1"], ["::1", "::ffff:127.0.0.1", "0.0.0.0"]] {
            let result = failure(
                try await run("http://\(host):\(server.port)/", allow: everything, isOfTenant: true, addresses))
            #expect(result != nil && result?.verdict != .healable, "\(host): \(result as Any)")
        }
        #expect(server.requests.isEmpty)
    }

    @Test("a tenant's Hook calls nobody while nothing is listed; the operator's calls whom it names")
    func empty() async throws {
        let server = server()
        defer { server.stop() }
        #expect(failure(try await run(server.url, allow: [], isOfTenant: true, ["127.0.0.1"]))?.verdict == .final)
        #expect(server.requests.isEmpty)
        #expect(try await run(server.url, allow: []) == .done)
    }

    @Test(
        "a URL whose host can be read in two ways is refused",
        arguments: [
            "http://good.test@127.0.0.1/", "http://127.0.0.1\\@good.test/", "http://good.test%00.evil/",
            "http://good.test%2f/",
            "http:///x", "http://good.test%252f@127.0.0.1/",
        ])
    func ambiguous(url: String) async throws {
        let asked = AskedNames()
        let result = failure(try await run(url, allow: ["good.test"], ["127.0.0.9"], asked: asked))
        #expect(result != nil)
        // Nothing but the listed name is ever resolved.
        #expect(asked.names.allSatisfy { $0 == "good.test" }, "\(asked.names)")
    }

    @Test("a redirect to a host that is not listed is not followed")
    func redirect() async throws {
        let target = server()
        defer { target.stop() }
        let port = target.port
        let server = RawServer { _, _ in
            .bytes(answer("302 Found", fields: ["Location: http://127.0.0.1:\(port)/latest/meta-data"]))
        }
        defer { server.stop() }
        let result = failure(
            try await run("http://a.test:\(server.port)/", allow: ["a.test"], ["127.0.0.1"]))
        #expect(result?.verdict == .final && target.requests.isEmpty)
    }

    @Test("behind a proxy the name itself must be listed: the proxy resolves it")
    func proxied() async throws {
        let proxy = server()
        defer { proxy.stop() }
        let asked = AskedNames()
        let result = failure(
            try await run("http://x.test/", allow: ["10.0.0.0/8"], proxy: proxy.url, ["10.0.0.1"], asked: asked))
        #expect(result?.verdict == .final && proxy.requests.isEmpty && asked.names.isEmpty)
    }

    @Test("a server that hangs is given up when the time is over")
    func timeout() async throws {
        let server = RawServer { _, _ in .silence(seconds: 5) }
        defer { server.stop() }
        let addresses = ["127.0.0.1", "127.0.0.1"]
        let result = failure(
            try await run("http://a.test:\(server.port)/", allow: ["a.test"], addresses, seconds: 1))
        #expect(result?.verdict == .healable && result?.reason.contains("timeout") == true, "\(result as Any)")
    }

    @Test("clients that are idle are kept up to a number, those in use always")
    func clients() throws {
        let clients = PinnedClients(try OutboundSettings(userAgent: "grapnel/test").clientConfiguration())
        let address = try #require(IPAddress("192.0.2.1"))
        let places = (0..<100).map { PinnedClients.Place(host: "h\($0)", address: address) }
        for place in places { _ = clients.take(place) }
        #expect(clients.count == 100)
        for place in places { clients.giveBack(place) }
        #expect(clients.take(places[99]) === clients.take(places[99]))
        for place in places {
            _ = clients.take(place)
            clients.giveBack(place)
        }
        #expect(clients.count <= PinnedClients.idleMax + 37)
        clients.shutdown()
        #expect(clients.count == 0)
    }

    @Test("the system's names are resolved; who is cancelled does not wait")
    func resolver() async throws {
        #expect(await HostResolver.shared.addresses(of: "localhost").contains { $0.danger != nil })
        #expect(await HostResolver.shared.addresses(of: "no-such-host.invalid").isEmpty)
        let task = Task { await HostResolver.shared.addresses(of: "no-such-host.invalid") }
        task.cancel()
        #expect(await task.value.isEmpty)
    }
}

private final class AskedNames: Sendable {
    private let state = Mutex<[String]>([])
    var names: [String] { state.withLock { $0 } }
    func note(_ name: String) { state.withLock { $0.append(name) } }
}
