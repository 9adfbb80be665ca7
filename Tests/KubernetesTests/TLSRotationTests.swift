// Certificates that change while we run, plug-ins that give them, proxies, HTTP/2: against Python's ssl and Node.

import Foundation
import Logging
import NIOSSL
import Synchronization
import Testing

@testable import Kubernetes

private let hasTools = Helper.has("python3", "openssl")

@Suite("Rotation of certificates, HTTP/2, proxies", .enabled(if: hasTools))
struct TLSRotationTests {
    static let call = KubernetesCall(verb: "get", group: "", resource: "x")

    func client(_ config: Kubeconfig) throws -> KubernetesClient {
        var settings = KubernetesClient.Settings.patient
        settings.requestsPerSecond = 10_000
        settings.requestsBurst = 10_000
        return try KubernetesClient(config, settings: settings, logger: Logger(label: "test"))
    }

    /// The CA, server and client of `TLSTests`, and a second client `other`: made once, copied for each test.
    private static let made = Task {
        let folder = TemporaryFolder()
        try await TLSTests().makeCertificates(folder.path)
        try await Helper.run(
            [
                "openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                "/CN=other",
                "-keyout", "other.key", "-out", "other.csr",
            ], folder: folder.path)
        try await Helper.run(
            [
                "openssl", "x509", "-req", "-in", "other.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "client.ext", "-out", "other.crt",
            ], folder: folder.path)
        return folder
    }

    func certificates(_ folder: String) async throws {
        let made = try await Self.made.value
        for name in ["ca.crt", "server.crt", "server.key", "client.crt", "client.key", "other.crt", "other.key"] {
            try FileManager.default.copyItem(atPath: "\(made.path)/\(name)", toPath: "\(folder)/\(name)")
        }
    }

    func kubeconfig(_ folder: TemporaryFolder, port: Int, user: String) throws -> Kubeconfig {
        let path = folder.write(
            """
            current-context: c
            contexts: [{name: c, context: {cluster: c, user: u}}]
            clusters: [{name: c, cluster: {server: "https://127.0.0.1:\(port)", certificate-authority: ca.crt, tls-server-name: kube.test}}]
            users: [{name: u, user: {\(user)}}]
            """)
        return try Kubeconfig.load(path: path)
    }

    func copy(_ folder: TemporaryFolder, _ from: String, _ to: String) throws {
        try Data(contentsOf: URL(fileURLWithPath: "\(folder.path)/\(from)"))
            .write(to: URL(fileURLWithPath: "\(folder.path)/\(to)"))
    }

    @Test("Certificate files that change are read again; a pair that does not fit leaves the old one in use")
    func rotated() async throws {
        let folder = TemporaryFolder()
        try await certificates(folder.path)
        for end in ["crt", "key"] { try copy(folder, "client.\(end)", "me.\(end)") }
        let config = try kubeconfig(folder, port: 1, user: "client-certificate: me.crt, client-key: me.key")
        let files = TLSFiles(config, checkInterval: .zero)
        #expect(files.current() == nil)
        try copy(folder, "other.crt", "me.crt")
        #expect(files.current() == nil, "half of a pair")
        try copy(folder, "other.key", "me.key")
        let fresh = try #require(files.current())
        folder.write("junk", "ca.crt")
        #expect(files.current()?.certificateChain == fresh.certificateChain)
        try FileManager.default.removeItem(atPath: folder.path + "/me.key")
        #expect(files.current()?.certificateChain == fresh.certificateChain)
    }

    @Test("A request after the change goes out with the new certificate, over a new connection")
    func rotatedRequest() async throws {
        let folder = TemporaryFolder()
        try await certificates(folder.path)
        for end in ["crt", "key"] { try copy(folder, "client.\(end)", "me.\(end)") }
        let helper = try Helper(["python3", "-c", TLSTests.demandingServer], folder: folder.path)
        let port = try #require(Int(await helper.firstLine()))
        let config = try kubeconfig(folder, port: port, user: "client-certificate: me.crt, client-key: me.key")
        let client = try client(config)
        #expect(String(decoding: try await client.read("/x", call: Self.call), as: UTF8.self).contains("'client'"))
        for end in ["crt", "key"] { try copy(folder, "other.\(end)", "me.\(end)") }
        var text = ""
        let end = ContinuousClock.now + .seconds(180)
        while !text.contains("'other'"), ContinuousClock.now < end {
            text = String(decoding: try await client.read("/x", call: Self.call), as: UTF8.self)
            try await Task.sleep(for: .milliseconds(200))
        }
        #expect(text.contains("'other'"))
        await client.shutdown()
    }

    @Test("A plug-in's client certificate is presented")
    func pluginCertificate() async throws {
        let folder = TemporaryFolder()
        try await certificates(folder.path)
        let helper = try Helper(["python3", "-c", TLSTests.demandingServer], folder: folder.path)
        let port = try #require(Int(await helper.firstLine()))
        try folder.writeProgram(
            """
            #!/usr/bin/env python3
            import json, os
            folder = os.path.dirname(os.path.abspath(__file__))
            read = lambda name: open(os.path.join(folder, name)).read()
            print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {
                "clientCertificateData": read("client.crt"), "clientKeyData": read("client.key")}}))
            """, "login")
        let config = try kubeconfig(
            folder, port: port,
            user: "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./login, interactiveMode: Never}")
        let client = try client(config)
        #expect(String(decoding: try await client.read("/x", call: Self.call), as: UTF8.self).contains("'client'"))
        await client.shutdown()
    }

    @Test("Calls and watches go through an http proxy by CONNECT, with its password, and are encrypted within")
    func proxy() async throws {
        let folder = TemporaryFolder()
        try await certificates(folder.path)
        let helper = try Helper(["python3", "-c", TLSTests.demandingServer], folder: folder.path)
        let port = try #require(Int(await helper.firstLine()))
        // A proxy for one connection after the other: reads CONNECT, then passes bytes both ways.
        let proxy = RawServer { request, _ in
            .stream { connection in
                guard request.line == "CONNECT 127.0.0.1:\(port) HTTP/1.1" else { return false }
                connection.write("HTTP/1.1 200 OK\r\n\r\n")
                connection.tunnel(to: UInt16(port))
                return false
            }
        }
        var config = try kubeconfig(folder, port: port, user: "client-certificate: client.crt, client-key: client.key")
        config.proxyURL = "http://me:secret@127.0.0.1:\(proxy.port)"
        let client = try client(config)
        #expect(String(decoding: try await client.read("/x", call: Self.call), as: UTF8.self).contains("'client'"))
        #expect(proxy.requests.count == 1)
        #expect(
            proxy.requests.first?.field("Proxy-Authorization") == "Basic "
                + Data("me:secret".utf8).base64EncodedString())
        await client.shutdown()
        proxy.stop()
    }

    static let http2Server = """
        const http2 = require('http2'), fs = require('fs');
        const server = http2.createSecureServer({key: fs.readFileSync('server.key'), cert: fs.readFileSync('server.crt'), allowHTTP1: true});
        let sessions = 0, streams = 0;
        server.on('session', () => sessions++);
        server.on('request', (request, response) => {
            if (request.url.includes('watch=true')) {
                streams++;
                response.writeHead(200);
                response.write('line\\n');
                request.on('close', () => streams--);
                return;
            }
            response.end(JSON.stringify({sessions, streams, version: request.httpVersion}));
        });
        server.listen(0, '127.0.0.1', () => console.log(server.address().port));
        """

    func stats(_ client: KubernetesClient) async throws -> [String: Any] {
        let body = try await client.read("/stats", call: Self.call)
        return try #require(try JSONSerialization.jsonObject(with: body) as? [String: Any])
    }

    @Test(
        "Watches share one HTTP/2 connection where the server offers it, and end one by one",
        .enabled(if: Helper.has("node")))
    func http2() async throws {
        let folder = TemporaryFolder()
        try await certificates(folder.path)
        let helper = try Helper(["node", "-e", Self.http2Server], folder: folder.path)
        let port = try #require(Int(await helper.firstLine()))
        let client = try client(try kubeconfig(folder, port: port, user: "token: t"))
        let opened = Counter()
        let resource = APIResource(group: "g", version: "v1", kind: "A", plural: "as", isNamespaced: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<80 {
                group.addTask {
                    var iterator = try await client.watch(resource, namespace: nil).makeAsyncIterator()
                    #expect(try await iterator.next() == Data("line".utf8))
                    opened.add()
                    if index >= 40 { _ = try await iterator.next() }
                }
            }
            await eventually { opened.value == 80 }
            #expect(opened.value == 80)
            var seen = try await stats(client)
            for _ in 0..<3_600 where seen["streams"] as? Int != 40 {
                try await Task.sleep(for: .milliseconds(50))
                seen = try await stats(client)
            }
            #expect(seen["streams"] as? Int == 40)
            #expect(seen["sessions"] as? Int == 1)
            #expect(seen["version"] as? String == "1.1")
            group.cancelAll()
        }
        #expect(client.watchClients.poolCount == 1)
        await client.shutdown()
    }
}
