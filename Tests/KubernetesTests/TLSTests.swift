// Against real TLS: the fake API server of the conformance harness (its path in GRAPNEL_FAKEKUBE), and a server that
// demands a client certificate (Python's ssl, certificates made with openssl).

import Foundation
import Logging
import Testing

@testable import Kubernetes

private let fakeKube = ProcessInfo.processInfo.environment["GRAPNEL_FAKEKUBE"]

@Suite("TLS, tokens and client certificates")
struct TLSTests {
    func client(_ config: Kubeconfig) throws -> KubernetesClient {
        try KubernetesClient(config, settings: .patient, logger: Logger(label: "test"))
    }

    func patch(_ client: KubernetesClient, name: String = "webapp") async -> KubernetesError? {
        do throws(KubernetesError) {
            try await client.mergePatch(
                apiVersion: "source.toolkit.fluxcd.io/v1", kind: "GitRepository", namespace: "default", name: name,
                body: Array(#"{"metadata":{"annotations":{"a":"b"}}}"#.utf8))
            return nil
        } catch { return error }
    }

    @Test(
        "The fake API server: CA, token, discovery, patch, faults",
        .enabled(if: fakeKube != nil && Helper.has("python3", "openssl")))
    func fakeAPIServer() async throws {
        let folder = TemporaryFolder()
        let objects = folder.write(
            #"{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"GitRepository","metadata":{"name":"webapp","namespace":"default"}}"#,
            "objects.json")
        let helper = try Helper(
            [
                "python3", fakeKube ?? "", "--port", "0", "--objects", objects, "--kubeconfig", "kube.json", "--faults",
                #"[{"verb":"patch","resource":"gitrepositories","status":429,"times":1,"retryAfter":4,"name":"webapp"}]"#,
            ], folder: folder.path)
        #expect(await helper.firstLine().hasPrefix("listening on"))
        let config = try Kubeconfig.load(path: folder.path + "/kube.json")
        let good = try client(config)
        #expect(await patch(good)?.retryAfterNanoseconds == 4_000_000_000)
        let second = await patch(good)
        #expect(second == nil, "\(second?.description ?? "")")
        #expect(await patch(good, name: "missing")?.isObjectMissing == true)
        let object = try await good.get(
            apiVersion: "source.toolkit.fluxcd.io/v1", kind: "GitRepository", namespace: "default", name: "webapp")
        #expect(String(decoding: object, as: UTF8.self).contains(#""a": "b""#))
        let writes = try await good.read(
            "/_fake/writes", call: KubernetesCall(verb: "get", group: "", resource: "writes"))
        let list = try #require(JSONSerialization.jsonObject(with: writes) as? [[String: Any]])
        #expect(list.allSatisfy { $0["content_type"] as? String == "application/merge-patch+json" })
        #expect(list.allSatisfy { $0["user_agent"] as? String == "grapnel/1.2.3" })
        try await good.ping()
        await good.shutdown()

        var wrongToken = config
        wrongToken.token = .inline(SecretText("wrong"))
        let refused = try client(wrongToken)
        #expect(await patch(refused)?.statusCode == 401)
        await refused.shutdown()

        var systemCA = config
        systemCA.certificateAuthorityPEM = nil
        let untrusted = try client(systemCA)
        #expect(await patch(untrusted)?.description.contains("certificate is not trusted") == true)
        await untrusted.shutdown()

        var unchecked = systemCA
        unchecked.skipsTLSVerification = true
        let open = try client(unchecked)
        #expect(await patch(open) == nil)
        await open.shutdown()
    }

    static let demandingServer = """
        import http.server, ssl
        class H(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                body = repr(self.connection.getpeercert()["subject"]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *a): pass
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("server.crt", "server.key")
        context.load_verify_locations("ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        print(server.server_address[1], flush=True)
        server.serve_forever()
        """

    /// A CA, a server for the name kube.test, a client.
    func makeCertificates(_ folder: String) async throws {
        func openssl(_ arguments: String...) async throws {
            try await Helper.run(["openssl"] + arguments, folder: folder)
        }
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        try await Helper.run(
            ["openssl", "req", "-x509"] + curve + [
                "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.crt", "-addext",
                "keyUsage=critical,keyCertSign",
            ], folder: folder)
        for (name, extensions) in [
            ("server", "subjectAltName=DNS:kube.test"), ("client", "extendedKeyUsage=clientAuth"),
        ] {
            try await Helper.run(
                ["openssl", "req"] + curve + ["-subj", "/CN=\(name)", "-keyout", "\(name).key", "-out", "\(name).csr"],
                folder: folder)
            try extensions.write(toFile: "\(folder)/\(name).ext", atomically: true, encoding: .utf8)
            try await openssl(
                "x509", "-req", "-in", "\(name).csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                "2", "-extfile", "\(name).ext", "-out", "\(name).crt")
        }
    }

    @Test(
        "A server that demands a client certificate, under another name than its address",
        .enabled(if: Helper.has("python3", "openssl")))
    func clientCertificate() async throws {
        let folder = TemporaryFolder()
        try await makeCertificates(folder.path)
        let helper = try Helper(["python3", "-c", Self.demandingServer], folder: folder.path)
        let port = try #require(Int(await helper.firstLine()))
        func kubeconfig(cluster: String = "", user: String) throws -> Kubeconfig {
            let path = folder.write(
                """
                current-context: c
                contexts: [{name: c, context: {cluster: c, user: u}}]
                clusters: [{name: c, cluster: {server: "https://127.0.0.1:\(port)", certificate-authority: ca.crt\(cluster)}}]
                users: [{name: u, user: {\(user)}}]
                """)
            return try Kubeconfig.load(path: path)
        }
        let files = "client-certificate: client.crt, client-key: client.key"
        let call = KubernetesCall(verb: "get", group: "", resource: "x")

        let good = try client(kubeconfig(cluster: ", tls-server-name: kube.test", user: files))
        let subject = try await good.read("/x", call: call)
        #expect(String(decoding: subject, as: UTF8.self).contains("client"))
        await good.shutdown()

        let wrongName = try client(kubeconfig(user: files))
        await #expect(throws: KubernetesError.self) { _ = try await wrongName.read("/x", call: call) }
        await wrongName.shutdown()

        let nobody = try client(kubeconfig(cluster: ", tls-server-name: kube.test", user: "token: t"))
        await #expect(throws: KubernetesError.self) { _ = try await nobody.read("/x", call: call) }
        await nobody.shutdown()

        #expect(throws: KubeconfigError.self, "the key of another certificate") {
            try client(kubeconfig(user: "client-certificate: client.crt, client-key: server.key"))
        }
    }
}
