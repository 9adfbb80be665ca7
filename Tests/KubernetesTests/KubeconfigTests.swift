import Foundation
import Testing

@testable import Kubernetes

@Suite("Kubeconfig")
struct KubeconfigTests {
    static func config(cluster: String = "", user: String = "", context: String = "") -> String {
        """
        apiVersion: v1
        kind: Config
        current-context: main
        contexts:
        - name: main
          context: {cluster: c, user: u\(context)}
        - name: other
          context: {cluster: missing, user: u}
        clusters:
        - name: c
          cluster: {server: "https://127.0.0.1:6443/"\(cluster)}
        users:
        - name: u
          user: {\(user)}
        """
    }

    func problem(_ text: String, context: String? = nil) -> KubeconfigError? {
        let folder = TemporaryFolder()
        do {
            _ = try Kubeconfig.load(path: folder.write(text), context: context)
            return nil
        } catch { return error }
    }

    @Test("A file that is missing, a folder, empty, no YAML or no mapping is named with the remedy")
    func unreadable() throws {
        #expect(throws: KubeconfigError.self) { try Kubeconfig.load(path: "/nonexistent/config") }
        do { _ = try Kubeconfig.load(path: "/nonexistent/config") } catch {
            #expect(error.description.contains("/nonexistent/config"))
            #expect(error.description.contains("No such file or directory"))
        }
        #expect(throws: KubeconfigError.self) { try Kubeconfig.load(path: NSTemporaryDirectory()) }
        for text in ["", "- a\n- b\n", "a: [", "\u{0}", "a: b: c: d"] { #expect(problem(text) != nil, "\(text)") }
        let folder = TemporaryFolder()
        try Data([0xff, 0xfe, 0x00]).write(to: URL(fileURLWithPath: folder.path + "/binary"))
        #expect(throws: KubeconfigError.self) { try Kubeconfig.load(path: folder.path + "/binary") }
    }

    @Test("A YAML error names the line and quotes nothing")
    func noSecretInYAMLError() {
        let error = problem("users:\n- name: u\n  user: {token: top-secret-token\n  broken")
        #expect(error != nil)
        #expect(error?.description.contains("top-secret") == false)
        #expect(error?.description.contains("line") == true)
    }

    @Test("A missing, unknown or dangling context is named")
    func contexts() {
        #expect(problem("kind: Config")?.problem == .noContexts)
        #expect(
            problem(Self.config().replacingOccurrences(of: "current-context: main", with: ""))?.problem
                == .noCurrentContext)
        #expect(problem(Self.config(), context: "nope")?.problem == .unknownContext(known: ["main", "other"]))
        #expect(problem(Self.config(), context: "other")?.problem == .unknown(what: "cluster", name: "missing"))
        #expect(
            problem(Self.config().replacingOccurrences(of: "- name: u\n", with: "- name: v\n"))?.problem
                == .unknown(what: "user", name: "u"))
    }

    @Test(
        "Fields that cannot be used are named",
        arguments: [
            (", server: x", "", "repeated"), ("", "token: 'has blank inside'", "user.token"),
            (", certificate-authority-data: '!!'", "", "certificate-authority-data"),
            (", certificate-authority: none.pem", "", "certificate-authority"),
            (", insecure-skip-tls-verify: maybe", "", "insecure-skip-tls-verify"),
            (", insecure-skip-tls-verify: true, certificate-authority-data: YQ==", "", "both"),
            (", proxy-url: 'https://x'", "", "proxy-url"), ("", "tokenFile: none", "tokenFile"),
            ("", "client-certificate-data: YQ==", "client-key"), ("", "client-key-data: YQ==", "client-certificate"),
            ("", "exec: {command: aws}", "user.exec.apiVersion"), ("", "exec: {args: [a]}", "user.exec.command"),
            (
                "", "exec: {command: a, apiVersion: client.authentication.k8s.io/v1alpha1}",
                "client.authentication.k8s.io/v1 "
            ),
            ("", "exec: {command: a, apiVersion: client.authentication.k8s.io/v1}", "interactiveMode is missing"),
            (
                "", "exec: {command: a, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always}",
                "no terminal"
            ),
            ("", "exec: {command: a, apiVersion: client.authentication.k8s.io/v1, interactiveMode: x}", "IfAvailable"),
            (
                "", "exec: {command: a, apiVersion: client.authentication.k8s.io/v1beta1, env: [{value: hunter2}]}",
                "exec.env"
            ),
            ("", "exec: {command: a, apiVersion: client.authentication.k8s.io/v1beta1, args: [[]]}", "exec.args"),
            ("", "auth-provider: {name: gcp, config: {access-token: hunter2}}", "gke-gcloud-auth-plugin"),
            ("", "auth-provider: {name: azure}", "kubelogin"), ("", "auth-provider: {name: oidc}", "ID tokens"),
            (", proxy-url: 'ftp://x'", "", "proxy-url"),
            ("", "username: a, password: hunter2hunter2", "user.username"),
            ("", "auth-provider: {name: gcp}", "auth-provider"), ("", "token: t, as: root", "user.as"),
        ])
    func fields(cluster: String, user: String, named: String) {
        let error = problem(Self.config(cluster: cluster, user: user))
        #expect(error?.description.contains(named) == true, "\(error?.description ?? "no error")")
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test(
        "A server that is no URL is refused",
        arguments: ["ftp://x", "https://", "https://u:p@h", "https://h?x=1", "::"])
    func servers(server: String) {
        let text = Self.config().replacingOccurrences(of: "https://127.0.0.1:6443/", with: server)
        #expect(problem(text)?.description.contains("cluster.server") == true)
    }

    @Test("All fields are read; relative files are relative to the kubeconfig; data wins over files")
    func allFields() throws {
        let folder = TemporaryFolder()
        folder.write("CA", "ca.pem")
        folder.write("CERT", "cert.pem")
        folder.write("file-token\n", "token")
        let path = folder.write(
            Self.config(
                cluster: ", certificate-authority: ca.pem, tls-server-name: kube.test, proxy-url: 'http://proxy:3128'",
                user:
                    "tokenFile: token, token: ignored, client-certificate: cert.pem, client-key: none.pem, client-key-data: S0VZ",
                context: ", namespace: team-a"))
        let config = try Kubeconfig.load(path: path)
        #expect(config.server == "https://127.0.0.1:6443")
        #expect(config.namespace == "team-a")
        #expect(config.contextName == "main")
        #expect(config.certificateAuthorityPEM == Array("CA".utf8))
        #expect(config.tlsServerName == "kube.test")
        #expect(config.proxyURL == "http://proxy:3128")
        #expect(config.token == .file(path: folder.path + "/token"))
        #expect(config.clientCertificate?.chainPEM == Array("CERT".utf8))
        #expect(config.clientCertificate?.key == SecretText("KEY"))
        #expect(!"\(config)".contains("KEY"))
    }

    @Test("JSON is read like YAML; a token of digits stays text")
    func json() throws {
        let folder = TemporaryFolder()
        let path = folder.write(
            """
            {"apiVersion": "v1", "kind": "Config", "current-context": "f",
            \t"clusters": [{"name": "f", "cluster": {"server": "https:\\/\\/127.0.0.1:1", "insecure-skip-tls-verify": true}}],
             "users": [{"name": "f", "user": {"token": "0123456"}}],
             "contexts": [{"name": "f", "context": {"cluster": "f", "user": "f"}}]}
            """)
        let config = try Kubeconfig.load(path: path)
        #expect(config.token == .inline(SecretText("0123456")))
        #expect(config.skipsTLSVerification)
        #expect(config.namespace == "default")
        let unquoted = try Kubeconfig.load(path: folder.write(Self.config(user: "token: 0123456"), "second"))
        #expect(unquoted.token == .inline(SecretText("0123456")))
    }

    @Test("In a pod the service account is used; elsewhere the error says what is missing")
    func inCluster() throws {
        let folder = TemporaryFolder()
        #expect(throws: KubeconfigError(file: folder.path, context: nil, problem: .notInCluster)) {
            try Kubeconfig.inCluster(environment: [:], folder: folder.path)
        }
        let environment = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"]
        #expect(throws: KubeconfigError.self) {
            try Kubeconfig.inCluster(environment: environment, folder: folder.path)
        }
        folder.write("CA", "ca.crt")
        folder.write("tok", "token")
        folder.write("grapnel\n", "namespace")
        let config = try Kubeconfig.inCluster(environment: environment, folder: folder.path)
        #expect(config.server == "https://[fd00::1]:443")
        #expect(config.namespace == "grapnel")
        #expect(config.token == .file(path: folder.path + "/token"))
    }

    @Test("A token file is read again when it changes, and the last good one stays while it is missing or empty")
    func tokenFile() throws {
        let folder = TemporaryFolder()
        let path = folder.write("first\n", "token")
        let source = TokenSource(.file(path: path), checkInterval: .zero)
        #expect(try source.current() == "first")
        folder.write("second-token", "token")
        #expect(try source.current() == "second-token")
        folder.write("", "token")
        #expect(try source.current() == "second-token")
        try FileManager.default.removeItem(atPath: path)
        #expect(try source.current() == "second-token")
        source.invalidate()
        #expect(throws: TokenSource.Unreadable.self) { try source.current() }
    }
}
