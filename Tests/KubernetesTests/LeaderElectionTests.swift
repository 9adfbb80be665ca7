import Foundation
import Logging
import Synchronization
import Testing

@testable import Kubernetes

/// An API server that keeps one Lease and refuses writes with an old resourceVersion.
private final class LeaseServer: Sendable {
    struct State {
        var lease: [String: Any]?
        var version = 1
        var writes: [String] = []
        var isDown = false
        var conflictsLeft = 0
        /// Another holds the lease and renews it whenever somebody reads it.
        var isRenewedWhenRead = false
    }
    let state = Mutex(State())
    private let box = Mutex<RawServer?>(nil)

    init() {
        let server = RawServer { [self] request, _ in
            let method = request.line.split(separator: " ")[0]
            return state.withLock { state in
                if state.isDown { return refusal(503, "ServiceUnavailable") }
                switch method {
                case "GET":
                    if state.isRenewedWhenRead {
                        state.version += 1
                        state.lease?["metadata"] = ["name": "l", "resourceVersion": "\(state.version)"]
                        state.lease?["spec"] = [
                            "holderIdentity": "other", "leaseDurationSeconds": 1, "renewTime": "\(state.version)",
                        ]
                    }
                    guard let lease = state.lease else {
                        return .bytes(
                            answer(
                                "404 Not Found",
                                #"{"kind":"Status","reason":"NotFound","code":404,"details":{"name":"l","kind":"leases"}}"#
                            ))
                    }
                    return Self.object(lease)
                case "POST", "PUT":
                    guard var lease = try? JSONSerialization.jsonObject(with: Data(request.body)) as? [String: Any],
                        var metadata = lease["metadata"] as? [String: Any]
                    else { return refusal(400, "BadRequest") }
                    if state.conflictsLeft > 0 {
                        state.conflictsLeft -= 1
                        return refusal(409, "Conflict")
                    }
                    if method == "POST", state.lease != nil { return refusal(409, "AlreadyExists") }
                    if method == "PUT", metadata["resourceVersion"] as? String != "\(state.version)" {
                        return refusal(409, "Conflict")
                    }
                    state.version += 1
                    metadata["resourceVersion"] = "\(state.version)"
                    lease["metadata"] = metadata
                    state.lease = lease
                    let holder = (lease["spec"] as? [String: Any])?["holderIdentity"] as? String ?? ""
                    state.writes.append(holder)
                    return Self.object(lease)
                default: return refusal(405, "MethodNotAllowed")
                }
            }
        }
        box.withLock { $0 = server }
    }

    private static func object(_ lease: [String: Any]) -> RawAnswer {
        let data = (try? JSONSerialization.data(withJSONObject: lease)) ?? Data()
        return .bytes(answer("200 OK", String(decoding: data, as: UTF8.self)))
    }

    var url: String { box.withLock { $0?.url ?? "" } }
    var spec: [String: Any] { state.withLock { $0.lease?["spec"] as? [String: Any] ?? [:] } }
    var holder: String { state.withLock { ($0.lease?["spec"] as? [String: Any])?["holderIdentity"] as? String ?? "" } }
    func stop() {
        box.withLock { server in
            server?.stop()
            server = nil
        }
    }
}

/// One candidate of a test and what it was told.
private final class Member: Sendable {
    let identity: String
    let client: KubernetesClient
    private let told = Mutex([Bool]())
    private let task = Mutex<Task<Void, Never>?>(nil)
    var changes: [Bool] { told.withLock { $0 } }
    var isLeading: Bool { changes.last == true }

    init(_ identity: String, _ server: LeaseServer, _ settings: LeaderElectionSettings) throws {
        self.identity = identity
        client = try KubernetesClient(
            Kubeconfig(server: server.url), settings: .patient, logger: Logger(label: "test"))
        let election = LeaderElection(
            client: client, namespace: "n", name: "l", identity: identity, settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        task.withLock {
            $0 = Task { [self] in await election.run { change in told.withLock { $0.append(change) } } }
        }
    }

    func stop() async {
        let running = task.withLock { $0 }
        running?.cancel()
        await running?.value
        await client.shutdown()
    }
}

@Suite("Leader election")
struct LeaderElectionTests {
    /// Own times that no busy machine reaches; how soon another's lease runs out stands in that lease.
    static func settings(_ change: (inout LeaderElectionSettings) -> Void = { _ in }) -> LeaderElectionSettings {
        var settings = LeaderElectionSettings()
        settings.leaseSeconds = 3_600
        settings.renewDeadline = .seconds(600)
        settings.retryInterval = .milliseconds(50)
        settings.releaseDeadline = .seconds(600)
        change(&settings)
        return settings
    }

    @Test(
        "A lease whose times lie hours ahead or behind is judged by our own clock alone", arguments: [-36_000, 36_000])
    func clockSkew(seconds: Double) async throws {
        let server = LeaseServer()
        let time = LeaseRecord.text(Date(timeIntervalSinceNow: seconds))
        server.state.withLock {
            $0.lease = [
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": ["name": "l", "namespace": "n", "resourceVersion": "1", "labels": ["kept": "yes"]],
                "spec": [
                    "holderIdentity": "other", "leaseDurationSeconds": 1, "renewTime": time, "acquireTime": time,
                    "leaseTransitions": 4, "strategy": "kept",
                ],
            ]
        }
        let started = ContinuousClock.now
        let member = try Member("me", server, Self.settings())
        #expect(await eventually { member.isLeading })
        #expect(ContinuousClock.now - started >= .seconds(1))
        #expect(server.spec["leaseTransitions"] as? Int == 5)
        #expect(server.spec["strategy"] as? String == "kept")
        await member.stop()
        server.stop()
    }

    @Test("A lease that goes on being renewed is never taken")
    func renewedByOther() async throws {
        let server = LeaseServer()
        // Each look at it finds it renewed, for three times as long as it lasts.
        server.state.withLock {
            $0.lease = [
                "metadata": ["name": "l", "resourceVersion": "1"],
                "spec": ["holderIdentity": "other", "leaseDurationSeconds": 1, "renewTime": "0"],
            ]
            $0.isRenewedWhenRead = true
        }
        let started = ContinuousClock.now
        let member = try Member("me", server, Self.settings())
        #expect(
            await eventually {
                server.state.withLock { $0.version > 20 } && ContinuousClock.now - started > .seconds(3)
            })
        #expect(member.changes.isEmpty)
        await member.stop()
        #expect(server.holder == "other")
        server.stop()
    }

    @Test(
        "Of two there is one leader at a time; when it stops, the other follows without waiting for the lease to run out"
    )
    func two() async throws {
        let server = LeaseServer()
        let first = try Member("a", server, Self.settings())
        let second = try Member("b", server, Self.settings())
        #expect(await eventually { first.isLeading || second.isLeading })
        for _ in 0..<50 {
            #expect(!(first.isLeading && second.isLeading))
            try await Task.sleep(for: .milliseconds(10))
        }
        let (leader, other) = first.isLeading ? (first, second) : (second, first)
        #expect(other.changes.isEmpty)
        await leader.stop()
        #expect(leader.changes == [true, false])
        #expect(await eventually { other.isLeading })
        await other.stop()
        #expect(server.holder == "")
        server.stop()
    }

    @Test("A leader that cannot renew gives up before the lease runs out, and leads again when it can")
    func lost() async throws {
        let server = LeaseServer()
        let settings = Self.settings {
            $0.leaseSeconds = 300
            $0.renewDeadline = .seconds(2)
        }
        let member = try Member("me", server, settings)
        #expect(await eventually { member.isLeading })
        server.state.withLock { $0.isDown = true }
        let started = ContinuousClock.now
        #expect(await eventually(300) { !member.isLeading })
        // It gives up after seconds; the lease lasts for minutes.
        #expect(ContinuousClock.now - started < .seconds(200))
        server.state.withLock { $0.isDown = false }
        #expect(await eventually { member.isLeading })
        await member.stop()
        #expect(member.changes.prefix(3) == [true, false, true])
        #expect(!member.isLeading)
        server.stop()
    }

    @Test("A leader whose lease another has taken is told at once")
    func taken() async throws {
        let server = LeaseServer()
        let member = try Member("me", server, Self.settings())
        #expect(await eventually { member.isLeading })
        server.state.withLock { state in
            state.version += 1
            state.lease?["metadata"] = ["name": "l", "resourceVersion": "\(state.version)"]
            state.lease?["spec"] = ["holderIdentity": "thief", "leaseDurationSeconds": 60, "renewTime": "x"]
        }
        #expect(await eventually { !member.isLeading })
        await member.stop()
        #expect(server.holder == "thief", "what is not ours is not given back")
        server.stop()
    }

    @Test("Conflicts are tried again")
    func conflicts() async throws {
        let server = LeaseServer()
        server.state.withLock { $0.conflictsLeft = 3 }
        let member = try Member("me", server, Self.settings())
        #expect(await eventually { member.isLeading })
        await member.stop()
        server.stop()
    }

    @Test("Times are RFC 3339 with microseconds; what is no Lease is an error")
    func record() throws {
        #expect(LeaseRecord.text(Date(timeIntervalSince1970: 1_777_638_896.25)) == "2026-05-01T12:34:56.250000Z")
        #expect(LeaseRecord.text(Date(timeIntervalSince1970: 0)) == "1970-01-01T00:00:00.000000Z")
        for text in ["", "[]", "{}", "null", #"{"metadata":1}"#] {
            #expect(throws: LeaseRecord.Unreadable.self) { try LeaseRecord(json: Data(text.utf8)) }
        }
        let odd = try LeaseRecord(
            json: Data(#"{"metadata":{},"spec":{"holderIdentity":5,"leaseTransitions":"x"}}"#.utf8))
        #expect(odd.observed.holder == "")
    }
}
