import Foundation
import Logging
import Testing

@testable import Kubernetes

@Suite("Credential plug-ins")
struct ExecPluginTests {
    static let version = "client.authentication.k8s.io/v1"

    static func printed(_ status: String, version: String = Self.version) -> String {
        #"{"apiVersion":"\#(version)","kind":"ExecCredential","status":\#(status)}"#
    }

    /// A plug-in that is a shell script; each run adds a line to `runs`.
    func plugin(_ folder: TemporaryFolder, _ script: String) throws -> ExecPlugin {
        let path = folder.write("#!/bin/sh\necho run >> \(folder.path)/runs\n" + script, "plugin")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        var plugin = ExecPlugin(apiVersion: Self.version, command: path, installHint: "get it from the shop")
        plugin.timeoutSeconds = 1
        plugin.outputBytesMax = 10_000
        return plugin
    }

    func runs(_ folder: TemporaryFolder) -> Int {
        ((try? String(contentsOfFile: folder.path + "/runs", encoding: .utf8)) ?? "").split(separator: "\n").count
    }

    func source(_ plugin: ExecPlugin) -> ExecSource {
        ExecSource(
            plugin, Kubeconfig(server: "https://127.0.0.1:1"), environment: ["PATH": "/usr/bin:/bin", "OLD": "kept"])
    }

    func problem(_ script: String) async throws -> (text: String, took: Duration) {
        let folder = TemporaryFolder()
        let started = ContinuousClock.now
        do {
            _ = try await source(plugin(folder, script)).credential()
            return ("", .zero)
        } catch let error as TokenSource.Unreadable { return (error.reason, ContinuousClock.now - started) }
    }

    @Test(
        "A plug-in that fails, hangs, dies or prints anything else: an error with its name and the hint, and nothing it printed",
        arguments: [
            ("exit 3", "status 3"), ("kill -9 $$", "signal 9"), ("sleep 60", "within 1 s"),
            ("sleep 60 & sleep 60 & wait", "within 1 s"), ("trap '' TERM INT; sleep 60; sleep 60", "within 1 s"),
            ("cat", "no ExecCredential"), ("exec cat /dev/zero", "more than 10000 bytes"),
            ("echo hunter2", "no ExecCredential"), ("echo '{}'", "another kind"), ("echo '[1'", "no ExecCredential"),
            (
                "echo '\(printed("{\"token\":\"hunter2\"}", version: "client.authentication.k8s.io/v1beta1"))'",
                "another version"
            ),
            ("echo '\(printed("null"))'", "without status"), ("echo '\(printed("{}"))'", "neither a token"),
            ("echo '\(printed("{\"token\":\"hunter2 x\"}"))'", "printable"),
            ("echo '\(printed("{\"clientKeyData\":\"hunter2\"}"))'", "only one of"),
            (
                "echo '\(printed("{\"clientKeyData\":\"hunter2\",\"clientCertificateData\":\"junk\"}"))'",
                "cannot be used"
            ),
            ("echo '\(printed("{\"token\":\"hunter2\",\"expirationTimestamp\":\"soon\"}"))'", "RFC 3339"),
        ])
    func bad(script: String, expected: String) async throws {
        let (text, took) = try await problem(script)
        #expect(text.contains(expected), "\(text)")
        #expect(text.contains("plugin") && text.contains("get it from the shop"))
        #expect(!text.contains("hunter2"))
        #expect(took < .seconds(20))
    }

    @Test("A command that is not there names itself, the cause and the hint")
    func missing() async throws {
        let plugin = ExecPlugin(apiVersion: Self.version, command: "no-such-plugin", installHint: "buy one")
        do {
            _ = try await source(plugin).credential()
            Issue.record("ran")
        } catch {
            #expect(error.reason.contains("no-such-plugin cannot be run (No such file or directory)"))
            #expect(error.reason.contains("buy one"))
        }
    }

    @Test(
        "The plug-in gets arguments, variables, KUBERNETES_EXEC_INFO, no input; a process that it leaves is not waited for"
    )
    func environment() async throws {
        let folder = TemporaryFolder()
        var plugin = try plugin(
            folder,
            """
            sleep 30 &
            read -r line && exit 9
            printf '%s|%s|%s|%s|%s' "$1" "$2" "$KEY" "$OLD" "$KUBERNETES_EXEC_INFO" > \(folder.path)/seen
            echo '\(Self.printed(#"{"token":"tok"}"#))'
            """)
        plugin.timeoutSeconds = 20
        plugin.arguments = ["a b", "$c"]
        plugin.environment = ["KEY": SecretText("value")]
        let started = ContinuousClock.now
        #expect(try await source(plugin).credential().token == "tok")
        #expect(ContinuousClock.now - started < .seconds(15))
        #expect(
            try String(contentsOfFile: folder.path + "/seen", encoding: .utf8)
                == #"a b|$c|value|kept|{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}"#
        )
    }

    @Test("Many callers share one run; a failure is not repeated with each call; a cancelled caller leaves at once")
    func shared() async throws {
        let folder = TemporaryFolder()
        let good = source(try plugin(folder, "sleep 0.3\necho '\(Self.printed(#"{"token":"tok"}"#))'"))
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { #expect((try? await good.credential().token) == "tok") } }
        }
        #expect(runs(folder) == 1)
        let other = TemporaryFolder()
        let bad = source(try plugin(other, "exit 1"))
        for _ in 0..<5 { #expect((try? await bad.credential()) == nil) }
        #expect(runs(other) == 1)
        var sleeping = try plugin(TemporaryFolder(), "sleep 60")
        sleeping.timeoutSeconds = 60
        let hanging = source(sleeping)
        let task = Task { _ = try? await hanging.credential() }
        try await Task.sleep(for: .milliseconds(100))
        let started = ContinuousClock.now
        task.cancel()
        await task.value
        #expect(ContinuousClock.now - started < .seconds(30))
    }

    @Test("An expired credential is asked for anew; one without expiry is kept until the API server refuses it")
    func renewal() async throws {
        let folder = TemporaryFolder()
        let time = ISO8601DateFormatter().string(from: Date(timeIntervalSinceNow: 6))
        let expiring = source(
            try plugin(folder, "echo '\(Self.printed(#"{"token":"tok","expirationTimestamp":"\#(time)"}"#))'"))
        for _ in 0..<3 { _ = try await expiring.credential() }
        #expect(runs(folder) == 1)
        try await Task.sleep(for: .seconds(7))
        for _ in 0..<3 { _ = try await expiring.credential() }
        #expect(runs(folder) == 2)
        #expect(
            ExecCredential.date("2026-05-01T12:34:56.123456789+02:00").map { Int($0.timeIntervalSince1970) }
                == 1_777_631_696)
    }

    @Test("A 401 makes the plug-in run again, the call is made again with what it gives, but not with each 401")
    func refused() async throws {
        let folder = TemporaryFolder()
        let plugin = try plugin(
            folder,
            "n=$(grep -c run \(folder.path)/runs)\necho '{\"apiVersion\":\"\(Self.version)\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"tok'$n'\"}}'"
        )
        let server = RawServer { request, _ in
            request.field("Authorization") == "Bearer tok2"
                ? .bytes(answer("200 OK", "{}")) : .bytes(answer("401 Unauthorized", "{}"))
        }
        var kubeconfig = Kubeconfig(server: server.url)
        kubeconfig.exec = plugin
        let client = try KubernetesClient(kubeconfig, settings: .init(version: "x"), logger: Logger(label: "test"))
        // Refusals that follow a run too soon start no other.
        await #expect(throws: KubernetesError.self) { try await client.ping() }
        #expect(runs(folder) == 1)
        try await Task.sleep(for: ExecSource.pause + .milliseconds(200))
        try await client.ping()
        #expect(runs(folder) == 2)
        #expect(server.requests.map { $0.field("Authorization") } == ["Bearer tok1", "Bearer tok1", "Bearer tok2"])
        await client.shutdown()
        server.stop()
    }

    @Test("A token of the kubeconfig wins over the plug-in, as in kubectl; a plug-in's error is the call's")
    func precedence() async throws {
        let server = RawServer { _, _ in .bytes(answer("200 OK", "{}")) }
        var kubeconfig = Kubeconfig(server: server.url, token: .inline(SecretText("own")))
        kubeconfig.exec = ExecPlugin(apiVersion: Self.version, command: "no-such-plugin")
        var client = try KubernetesClient(kubeconfig, settings: .init(version: "x"), logger: Logger(label: "test"))
        try await client.ping()
        #expect(server.requests[0].field("Authorization") == "Bearer own")
        await client.shutdown()
        kubeconfig.token = .none
        client = try KubernetesClient(kubeconfig, settings: .init(version: "x"), logger: Logger(label: "test"))
        do throws(KubernetesError) { try await client.ping() } catch {
            #expect(error.description.contains("no credentials (user.exec: the command no-such-plugin cannot be run"))
        }
        await client.shutdown()
        server.stop()
    }

    @Test("A token file that was replaced is read again after a 401 and the call is made again, once")
    func rotatedToken() async throws {
        let folder = TemporaryFolder()
        let path = folder.write("old", "token")
        let server = RawServer { request, number in
            if number == 0 { folder.write("new", "token") }
            return request.field("Authorization") == "Bearer new"
                ? .bytes(answer("200 OK", "{}")) : .bytes(answer("401 Unauthorized", "{}"))
        }
        let client = try KubernetesClient(
            Kubeconfig(server: server.url, token: .file(path: path)), settings: .init(version: "x"),
            logger: Logger(label: "test"))
        try await client.ping()
        #expect(server.requests.count == 2)
        await client.shutdown()
        server.stop()
    }
}
