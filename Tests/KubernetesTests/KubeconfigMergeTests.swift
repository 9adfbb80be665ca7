import Foundation
import Testing

@testable import Kubernetes

@Suite("Several kubeconfigs, plug-ins and proxies in a kubeconfig")
struct KubeconfigMergeTests {
    @Test("No file of the list exists, or one of them is broken: the error names it")
    func broken() {
        let folder = TemporaryFolder()
        do {
            _ = try Kubeconfig.load(environment: ["KUBECONFIG": "\(folder.path)/a:\(folder.path)/b"])
            Issue.record("loaded")
        } catch { #expect(error.description.contains("\(folder.path)/a:\(folder.path)/b")) }
        do {
            _ = try Kubeconfig.load(environment: ["HOME": folder.path])
            Issue.record("loaded")
        } catch { #expect(error.description.contains("\(folder.path)/.kube/config")) }
        let good = folder.write(KubeconfigTests.config(), "good")
        let bad = folder.write("a: [", "bad")
        do {
            _ = try Kubeconfig.load(environment: ["KUBECONFIG": "\(good):\(bad)"])
            Issue.record("loaded")
        } catch { #expect(error.file == bad) }
    }

    @Test(
        "The first file that sets a thing wins; stanzas refer to each other across files; paths are the stanza's file's"
    )
    func merged() throws {
        let folder = TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.path + "/sub", withIntermediateDirectories: true)
        folder.write("TOKEN", "sub/token")
        let first = folder.write(
            """
            contexts:
            - {name: main, context: {cluster: c, user: u, namespace: first}}
            """, "first")
        let second = folder.write(
            """
            current-context: main
            contexts:
            - {name: main, context: {cluster: wrong, user: wrong}}
            - {name: other, context: {cluster: d, user: u}}
            users:
            - {name: u, user: {tokenFile: token}}
            """, "sub/second")
        let third = folder.write(
            """
            current-context: other
            clusters:
            - {name: c, cluster: {server: "https://c.test"}}
            - {name: d, cluster: {server: "https://d.test"}}
            users:
            - {name: u, user: {token: wrong}}
            """, "third")
        let environment = ["KUBECONFIG": ":\(first):\(folder.path)/none:\(second)::\(third):\(first)"]
        #expect(Kubeconfig.paths(environment: environment) == [first, folder.path + "/none", second, third])
        let config = try Kubeconfig.load(environment: environment)
        #expect(config.contextName == "main")
        #expect(config.namespace == "first")
        #expect(config.server == "https://c.test")
        #expect(config.token == .file(path: folder.path + "/sub/token"))
        #expect(try Kubeconfig.load(environment: environment, context: "other").server == "https://d.test")
        #expect(throws: KubeconfigError.self) { try Kubeconfig.load(environment: environment, context: "none") }
    }

    @Test(
        "A plug-in's section is read; a relative command is relative to the kubeconfig; a secret in env is not printed")
    func exec() throws {
        let folder = TemporaryFolder()
        let path = folder.write(
            KubeconfigTests.config(
                cluster:
                    ", tls-server-name: kube.test, certificate-authority-data: Q0E=, extensions: [{name: client.authentication.k8s.io/exec, extension: {audience: x, deep: [1, true, null, '1']}}]",
                user:
                    "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/login, args: [a, '1'], env: [{name: KEY, value: hunter2}], installHint: get it, provideClusterInfo: true, interactiveMode: IfAvailable}"
            ))
        let exec = try #require(try Kubeconfig.load(path: path).exec)
        #expect(exec.command == folder.path + "/./bin/login")
        #expect(exec.arguments == ["a", "1"])
        #expect(exec.environment["KEY"]?.value == "hunter2")
        #expect(!"\(exec)".contains("hunter2"))
        let information = try #require(
            try JSONSerialization.jsonObject(with: Data(exec.information.utf8)) as? [String: Any])
        let spec = try #require(information["spec"] as? [String: Any])
        #expect(spec["interactive"] as? Bool == false)
        let cluster = try #require(spec["cluster"] as? [String: Any])
        #expect(cluster["server"] as? String == "https://127.0.0.1:6443")
        #expect(cluster["tls-server-name"] as? String == "kube.test")
        #expect(cluster["certificate-authority-data"] as? String == "Q0E=")
        let extra = try #require(cluster["config"] as? [String: Any])
        #expect(extra["audience"] as? String == "x")
        #expect((extra["deep"] as? [Any])?.count == 4)
        #expect((extra["deep"] as? [Any])?.last as? String == "1")

        let plain = try Kubeconfig.load(
            path: folder.write(
                KubeconfigTests.config(
                    user: "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: login}"), "plain"))
        #expect(plain.exec?.command == "login")
        #expect(plain.exec?.information.contains("cluster") == false)
    }

    @Test(
        "The environment's proxy is used when the kubeconfig names none, but not for what no_proxy names",
        arguments: [
            ("https://k.test:6443", ["HTTPS_PROXY": "http://p:1"], "http://p:1"),
            ("https://k.test:6443", ["https_proxy": "p:1"], "http://p:1"),
            ("https://k.test:6443", ["HTTP_PROXY": "http://p:1"], nil),
            ("http://k.test", ["http_proxy": "http://p:1"], "http://p:1"),
            ("https://k.test", ["HTTPS_PROXY": ""], nil),
            ("https://127.0.0.1:6443", ["HTTPS_PROXY": "http://p:1"], nil),
            ("https://localhost:6443", ["HTTPS_PROXY": "http://p:1"], nil),
            ("https://[::1]:6443", ["HTTPS_PROXY": "http://p:1"], nil),
            ("https://k.test", ["HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"], nil),
            ("https://k.test", ["HTTPS_PROXY": "http://p:1", "no_proxy": "a, k.test ,b"], nil),
            ("https://a.k.test", ["HTTPS_PROXY": "http://p:1", "no_proxy": "k.test"], nil),
            ("https://ak.test", ["HTTPS_PROXY": "http://p:1", "no_proxy": "k.test"], "http://p:1"),
            ("https://k.test", ["HTTPS_PROXY": "http://p:1", "no_proxy": ".k.test"], "http://p:1"),
            ("https://a.k.test", ["HTTPS_PROXY": "http://p:1", "no_proxy": ".k.test"], nil),
            ("https://k.test:6443", ["HTTPS_PROXY": "http://p:1", "no_proxy": "k.test:443"], "http://p:1"),
            ("https://k.test", ["HTTPS_PROXY": "http://p:1", "no_proxy": "k.test:443"], nil),
            ("https://10.96.0.1", ["HTTPS_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8"], nil),
            ("https://11.0.0.1", ["HTTPS_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8,x/y,1/2/3,:,/"], "http://p:1"),
            ("https://[fd00::1]:443", ["HTTPS_PROXY": "http://p:1", "no_proxy": "fd00::/8"], nil),
        ] as [(String, [String: String], String?)])
    func proxy(server: String, environment: [String: String], expected: String?) throws {
        #expect(ProxyEnvironment(environment).proxy(for: server)?.url == expected)
        let folder = TemporaryFolder()
        let path = folder.write(
            KubeconfigTests.config().replacingOccurrences(of: "https://127.0.0.1:6443/", with: server))
        #expect(try Kubeconfig.load(path: path, environment: environment).proxyURL == expected)
    }

    @Test("A proxy of the environment that cannot be used is an error that names the variable and not its value")
    func badProxy() {
        let folder = TemporaryFolder()
        let path = folder.write(KubeconfigTests.config().replacingOccurrences(of: "127.0.0.1", with: "k.test"))
        do {
            _ = try Kubeconfig.load(path: path, environment: ["HTTPS_PROXY": "https://user:hunter2@p"])
            Issue.record("loaded")
        } catch {
            #expect(error.description.contains("HTTPS_PROXY"))
            #expect(!error.description.contains("hunter2"))
        }
    }
}
