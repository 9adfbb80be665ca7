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
        let path = try folder.writeProgram("#!/bin/sh\necho run >> \(folder.path)/runs\n" + script, "plugin")
        var plugin = ExecPlugin(apiVersion: Self.version, command: path, installHint: "get it from the shop")
        plugin.outputBytesMax = 10_000
        // Neither of them comes in a test that is not about it.
        plugin.timeoutSeconds = 600
        plugin.pause = .seconds(600)
        return plugin
    }

    func runs(_ folder: TemporaryFolder) -> Int {
        ((try? String(contentsOfFile: folder.path + "/runs", encoding: .utf8)) ?? "").split(separator: "\n").count
    }

    func source(_ plugin: ExecPlugin) -> ExecSource {
        ExecSource(
            plugin, Kubeconfig(server: "https://127.0.0.1:1"), environment: ["PATH": "/usr/bin:/bin", "OLD": "kept"])
    }

    func problem(_ script: String, timeoutSeconds: Int) async throws -> (text: String, took: Duration) {
        let folder = TemporaryFolder()
        var plugin = try plugin(folder, script)
        plugin.timeoutSeconds = timeoutSeconds
        let started = ContinuousClock.now
        do {
            _ = try await source(plugin).credential()
            return ("", .zero)
        } catch { return (error.reason, ContinuousClock.now - started) }
    }

    @Test(
        "A plug-in that fails, hangs, dies or prints anything else: an error with its name and the hint, and nothing it printed",
        arguments: [
            ("exit 3", "status 3"), ("kill -9 $$", "signal 9"), ("sleep 900", "within 1 s"),
            ("sleep 900 & sleep 900 & wait", "within 1 s"), ("trap '' TERM INT; sleep 900; sleep 900", "within 1 s"),
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
        let hangs = expected == "within 1 s"
        let (text, took) = try await problem(script, timeoutSeconds: hangs ? 1 : 600)
        #expect(text.contains(expected), "\(text)")
        #expect(text.contains("plugin") && text.contains("get it from the shop"))
        #expect(!text.contains("hunter2"))
        // What hangs does so for a quarter of an hour.
        if hangs { #expect(took < .seconds(300)) }
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
            sleep 900 &
            echo $! > \(folder.path)/left
            read -r line && exit 9
            printf '%s|%s|%s|%s|%s' "$1" "$2" "$KEY" "$OLD" "$KUBERNETES_EXEC_INFO" > \(folder.path)/seen
            echo '\(Self.printed(#"{"token":"tok"}"#))'
            """)
        plugin.arguments = ["a b", "$c"]
        plugin.environment = ["KEY": SecretText("value")]
        #expect(try await source(plugin).credential().token == "tok")
        let left = try #require(
            Int32(try String(contentsOfFile: folder.path + "/left", encoding: .utf8).trimmingCharacters(in: .newlines)))
        // It runs still, and nobody waited for it.
        #expect(kill(left, SIGKILL) == 0)
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
        let third = TemporaryFolder()
        let hanging = source(
            try plugin(third, "echo $$ > \(third.path)/new\nmv \(third.path)/new \(third.path)/pid\nexec sleep 900"))
        let task = Task { _ = try? await hanging.credential() }
        var pid: Int32?
        #expect(
            await eventually {
                pid = (try? String(contentsOfFile: third.path + "/pid", encoding: .utf8)).flatMap {
                    Int32($0.trimmingCharacters(in: .newlines))
                }
                return pid != nil
            })
        task.cancel()
        await task.value
        // The run goes on for those who may still want it.
        #expect(kill(try #require(pid), SIGKILL) == 0)
    }

    @Test("An expired credential is asked for anew; one without expiry is kept until the API server refuses it")
    func renewal() async throws {
        // One that has expired is asked for anew with each call, unless the plug-in ran just now.
        for (expires, pause, expected) in [
            (-60.0, Duration.zero, 3), (-60.0, .seconds(600), 1), (3_600.0, .zero, 1),
        ] {
            let folder = TemporaryFolder()
            let time = ISO8601DateFormatter().string(from: Date(timeIntervalSinceNow: expires))
            var plugin = try plugin(
                folder, "echo '\(Self.printed(#"{"token":"tok","expirationTimestamp":"\#(time)"}"#))'")
            plugin.pause = pause
            let expiring = source(plugin)
            for _ in 0..<3 { _ = try await expiring.credential() }
            #expect(runs(folder) == expected)
        }
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
        // Refusals that follow a run too soon start no other.
        var client = try KubernetesClient(kubeconfig, settings: .patient, logger: Logger(label: "test"))
        for _ in 0..<2 { await #expect(throws: KubernetesError.self) { try await client.ping() } }
        #expect(runs(folder) == 1)
        await client.shutdown()
        try FileManager.default.removeItem(atPath: folder.path + "/runs")
        kubeconfig.exec?.pause = .zero
        client = try KubernetesClient(kubeconfig, settings: .patient, logger: Logger(label: "test"))
        for _ in 0..<2 { try await client.ping() }
        #expect(runs(folder) == 2)
        #expect(
            server.requests.map { $0.field("Authorization") } == [
                "Bearer tok1", "Bearer tok1", "Bearer tok1", "Bearer tok2", "Bearer tok2",
            ])
        await client.shutdown()
        server.stop()
    }

    @Test("A token of the kubeconfig wins over the plug-in, as in kubectl; a plug-in's error is the call's")
    func precedence() async throws {
        let server = RawServer { _, _ in .bytes(answer("200 OK", "{}")) }
        var kubeconfig = Kubeconfig(server: server.url, token: .inline(SecretText("own")))
        kubeconfig.exec = ExecPlugin(apiVersion: Self.version, command: "no-such-plugin")
        var client = try KubernetesClient(kubeconfig, settings: .patient, logger: Logger(label: "test"))
        try await client.ping()
        #expect(server.requests[0].field("Authorization") == "Bearer own")
        await client.shutdown()
        kubeconfig.token = .none
        client = try KubernetesClient(kubeconfig, settings: .patient, logger: Logger(label: "test"))
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
            Kubeconfig(server: server.url, token: .file(path: path)), settings: .patient,
            logger: Logger(label: "test"))
        try await client.ping()
        #expect(server.requests.count == 2)
        await client.shutdown()
        server.stop()
    }
}
