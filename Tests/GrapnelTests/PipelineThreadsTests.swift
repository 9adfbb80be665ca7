import CCrypto
import Foundation
import Logging
import Synchronization
import Testing

@testable import Grapnel

/// The whole pipeline with its real threads, sockets and disk, in this process: what the thread sanitizer should see.
@Suite("Pipeline with its threads", .serialized)
struct PipelineThreadsTests {
    private static let secret = Array("threads-secret-0123".utf8)

    private static func manifests(in folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try """
        apiVersion: v1
        kind: Secret
        metadata: {name: s, namespace: n}
        stringData: {token: \(String(decoding: secret, as: UTF8.self))}
        ---
        apiVersion: grapnel.dev/v1alpha1
        kind: Hook
        metadata: {name: a, namespace: n}
        spec: {type: github, secretRefs: [{name: s}], actions: [log: {}]}
        """.write(to: folder.appendingPathComponent("a.yaml"), atomically: true, encoding: .utf8)
    }

    private static func request(_ id: String, good: Bool) -> [UInt8] {
        let body = Array("{\"ref\":\"refs/heads/main\",\"id\":\"\(id)\"}".utf8)
        let states = UnsafeMutableRawPointer.allocate(byteCount: cc_hmac_key_bytes(), alignment: 16)
        defer { states.deallocate() }
        cc_hmac_key_prepare(states, secret, secret.count)
        var digest = [UInt8](repeating: 0, count: 32)
        cc_hmac(states, Int32(CC_SHA256), body, body.count, &digest)
        if !good { digest[0] ^= 1 }
        let hex = digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let head =
            "POST /hooks/n/a HTTP/1.1\r\nHost: h\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: \(id)\r\n"
            + "X-Hub-Signature-256: sha256=\(hex)\r\nContent-Length: \(body.count)\r\n\r\n"
        return Array(head.utf8) + body
    }

    /// Sends requests one after the other on one connection; gives the statuses.
    private static func talk(_ port: Int, _ requests: [[UInt8]]) -> [String] {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { return ["no connection"] }
        var statuses: [String] = []
        for request in requests {
            _ = request.withUnsafeBytes { send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) }
            var answer: [UInt8] = []
            var room = [UInt8](repeating: 0, count: 4096)
            while !String(decoding: answer, as: UTF8.self).contains("\r\n\r\n") {
                let count = recv(descriptor, &room, room.count, 0)
                guard count > 0 else { return statuses + ["closed"] }
                answer += room[0..<count]
            }
            statuses.append(String(decoding: answer.dropFirst(9).prefix(3), as: UTF8.self))
        }
        return statuses
    }

    @Test(
        "deliveries over several loops are stored, triggered once, and found again by the next start",
        arguments: [1, 2])
    func run(loops: Int) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("grapnel-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try Self.manifests(in: folder.appendingPathComponent("m"))
        var settings = ServerSettings()
        settings.listen = [Endpoint(host: "127.0.0.1", port: 0)]
        settings.manifests = [folder.appendingPathComponent("m").path]
        settings.dataDirectory = folder.appendingPathComponent("d").path
        settings.loops = loops
        settings.shutdownGraceNanoseconds = 20_000_000_000
        // A busy machine may take its time with a client.
        settings.headerTimeoutNanoseconds = 600_000_000_000
        settings.idleTimeoutNanoseconds = 600_000_000_000
        settings.busyIdleTimeoutNanoseconds = 600_000_000_000
        settings.bodyTimeoutNanoseconds = 600_000_000_000
        settings.bodyStallTimeoutNanoseconds = 600_000_000_000
        settings.responseTimeoutNanoseconds = 600_000_000_000
        var logger = Logger(label: "test")
        logger.logLevel = .critical

        let pipeline = try Pipeline(settings, logger: logger)
        let port = pipeline.ports[0]
        let perClient = 40
        await withTaskGroup(of: [String].self) { group in
            for client in 0..<4 {
                group.addTask {
                    let requests = (0..<perClient).map { Self.request("\(client)-\($0)", good: $0 % 10 != 9) }
                    return Self.talk(port, requests)
                }
            }
            for await statuses in group {
                #expect(statuses.count { $0 == "200" } == perClient * 9 / 10)
                #expect(statuses.count { $0 == "401" } == perClient / 10)
            }
        }
        pipeline.reload()
        #expect(Self.talk(port, [Self.request("0-0", good: true)]) == ["200"])
        try await onThread { pipeline.stop() }

        // What was done is not done again, and its ids are still known.
        let again = try Pipeline(settings, logger: logger)
        #expect(Self.talk(again.ports[0], [Self.request("1-1", good: true)]) == ["200"])
        // What the first run had no time for, the second does.
        let accepted = 4 * perClient * 9 / 10
        for _ in 0..<15_000 where pipeline.counts.done + again.counts.done < accepted {
            try await Task.sleep(for: .milliseconds(20))
        }
        try await onThread { again.stop() }
        #expect(again.counts.duplicates == 1)
        #expect(pipeline.counts.duplicates == 1)
        #expect(pipeline.counts.deliveries == accepted + 1)
        #expect(pipeline.counts.done + again.counts.done == accepted)
    }
}
