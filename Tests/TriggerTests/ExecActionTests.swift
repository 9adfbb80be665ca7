import Delivery
import Foundation
import Logging
import Testing

@testable import Trigger

// Serialized: forty commands at once are enough for a machine.
@Suite("Exec action", .serialized)
struct ExecActionTests {
    /// A folder of its own for each test.
    final class Folder: Sendable {
        let path: String
        init() {
            path = NSTemporaryDirectory() + "grapnel-exec-" + UUID().uuidString
            try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        func script(_ text: String, name: String = "run.sh", mode: Int = 0o755) throws {
            try ("#!/bin/sh\n" + text).write(toFile: path + "/" + name, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path + "/" + name)
            waitForWriters(path + "/" + name)
        }

        func read(_ name: String) throws -> String { try String(contentsOfFile: path + "/" + name, encoding: .utf8) }
    }

    func attempt(
        _ command: [String], timeout: UInt64 = 600 * second, body: [UInt8] = Array("{\"a\":1}".utf8)
    ) -> ActionAttempt {
        ActionAttempt(
            sequence: 42, planIndex: 0, number: 3, route: hook("webapp"), receivedNanoseconds: epoch,
            action: .exec(command: command, timeoutNanoseconds: timeout),
            payload: DeliveryPayload(
                sender: .github, deliveryID: "d-1", eventKind: "push", contentType: "application/json",
                headers: [
                    .init(name: "X-GitHub-Event", value: "push"), .init(name: "Authorization", value: "Bearer oops"),
                    .init(name: "X-Own-Token", value: "*******"),
                ], body: body),
            event: Event(kind: "push", repository: "acme/webapp", ref: "refs/heads/main\u{1b}[2J", commit: "abc"))
    }

    func run(_ folder: Folder, _ attempt: ActionAttempt, environment: [String: String] = ["PATH": "/usr/bin:/bin"])
        async
        -> ActionResult
    {
        await ExecAction(directory: folder.path, environment: environment, logger: Logger(label: "test")).run(attempt)
    }

    func failure(_ result: ActionResult) -> ActionFailure? {
        if case .failed(let failure) = result { failure } else { nil }
    }

    @Test("A missing program is an attempt with a clear reason")
    func missingProgram() async {
        let result = failure(await run(Folder(), attempt(["./nothing-here"])))
        #expect(result?.verdict == .judged)
        #expect(result?.reason.contains("No such file or directory") == true)
    }

    @Test("A file that is not executable is an attempt with a clear reason")
    func notExecutable() async throws {
        let folder = Folder()
        try folder.script("exit 0", mode: 0o644)
        let result = failure(await run(folder, attempt(["./run.sh"])))
        #expect(result?.verdict == .judged)
        #expect(result?.reason.contains("Permission denied") == true)
    }

    @Test("Exit codes: 0 is done, 75 heals, others and signals use up an attempt", arguments: [0, 1, 75, 127])
    func exitCodes(code: Int) async throws {
        let folder = Folder()
        try folder.script("echo went wrong >&2; exit \(code)")
        let result = await run(folder, attempt(["./run.sh"]))
        switch code {
        case 0: #expect(result == .done)
        case 75: #expect(failure(result)?.verdict == .healable)
        default:
            #expect(failure(result)?.verdict == .judged)
            #expect(failure(result)?.reason == "./run.sh exited with \(code): went wrong")
        }
    }

    @Test("A command that a signal ends is a failed attempt that names the signal")
    func signalled() async throws {
        let folder = Folder()
        try folder.script("kill -9 $$")
        let result = failure(await run(folder, attempt(["./run.sh"])))
        #expect(result?.verdict == .judged)
        #expect(result?.reason.contains("signal 9") == true)
    }

    @Test("Standard input is the delivery as JSON, without credentials")
    func standardInput() async throws {
        let folder = Folder()
        try folder.script("cat > \"$(dirname \"$0\")/input.json\"")
        #expect(await run(folder, attempt(["./run.sh"])) == .done)
        let text = try folder.read("input.json")
        let json = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(json["sequence"] as? Int == 42)
        #expect(json["deliveryID"] as? String == "d-1")
        #expect(json["attempt"] as? Int == 3)
        #expect(json["receivedAt"] as? String == "2026-01-01T00:00:00.000000000Z")
        #expect(json["body"] as? String == "{\"a\":1}")
        #expect((json["route"] as? [String: Any])?["name"] as? String == "webapp")
        #expect((json["event"] as? [String: Any])?["repository"] as? String == "acme/webapp")
        #expect((json["headers"] as? [[String: String]]) == [["name": "x-github-event", "value": "push"]])
        #expect(!text.contains("oops"))
    }

    @Test("A body that is not UTF-8 comes as base64")
    func binaryBody() async throws {
        let folder = Folder()
        try folder.script("cat > \"$(dirname \"$0\")/input.json\"")
        #expect(await run(folder, attempt(["./run.sh"], body: [0xff, 0x00])) == .done)
        let json = try #require(
            JSONSerialization.jsonObject(with: Data(try folder.read("input.json").utf8)) as? [String: Any])
        #expect(json["body"] == nil)
        #expect(json["bodyBase64"] as? String == "/wA=")
    }

    @Test("The environment has the key facts, without control characters, and none of our settings")
    func environment() async throws {
        let folder = Folder()
        try folder.script("env > \"$(dirname \"$0\")/env.txt\"")
        let result = await run(
            folder, attempt(["./run.sh"]),
            environment: ["PATH": "/usr/bin:/bin", "GRAPNEL_ADMIN_TOKEN": "hidden", "OTHER": "kept"])
        #expect(result == .done)
        let lines = Set(try folder.read("env.txt").split(separator: "\n").map(String.init))
        #expect(lines.contains("GRAPNEL_SEQUENCE=42"))
        #expect(lines.contains("GRAPNEL_ROUTE=Hook/team-a/webapp"))
        #expect(lines.contains("GRAPNEL_EVENT=push"))
        #expect(lines.contains("GRAPNEL_REF=refs/heads/main [2J"))
        #expect(lines.contains("OTHER=kept"))
        #expect(!lines.contains { $0.contains("hidden") })
    }

    @Test("What a sender writes is never read by a shell")
    func noShell() async throws {
        let folder = Folder()
        try folder.script("printf '%s' \"$1\" > \"$(dirname \"$0\")/argument.txt\"")
        #expect(await run(folder, attempt(["./run.sh", "$(touch \(folder.path)/owned); `id`"])) == .done)
        #expect(try folder.read("argument.txt") == "$(touch \(folder.path)/owned); `id`")
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/owned"))
    }

    @Test("A bare name is found in PATH")
    func bareName() async {
        #expect(await run(Folder(), attempt(["true"])) == .done)
    }

    @Test("The time limit ends the whole process group")
    func timeLimit() async throws {
        let folder = Folder()
        // Its end is not waited for, nor is the child's.
        try folder.script("sleep 900 & echo $! > \"$(dirname \"$0\")/child.pid\"; wait")
        let before = ContinuousClock.now
        // On a busy machine the script may not have come to its child in the shortest of these.
        for halves in [1, 20, 200] as [UInt64] {
            let result = failure(await run(folder, attempt(["./run.sh"], timeout: halves * second / 2)))
            #expect(result?.verdict == .judged)
            #expect(result?.reason.contains("longer than \(Double(halves) / 2) s") == true)
            if let child = try? Int32(folder.read("child.pid").trimmingCharacters(in: .whitespacesAndNewlines)) {
                #expect(await Self.isGone(child))
                #expect(ContinuousClock.now - before < .seconds(600))
                return
            }
        }
        Issue.record("no child")
    }

    @Test("A command that ignores SIGTERM gets SIGKILL")
    func ignoresTerm() async throws {
        let folder = Folder()
        try folder.script("trap '' TERM; sleep 900")
        let before = ContinuousClock.now
        let result = failure(await run(folder, attempt(["./run.sh"], timeout: second)))
        #expect(ContinuousClock.now - before < .seconds(600))
        #expect(result?.reason.contains("longer than") == true)
    }

    @Test("A great output is read to its end and only its tail is kept")
    func greatOutput() async throws {
        let folder = Folder()
        try folder.script("head -c 5000000 /dev/zero | tr '\\0' 'x'; echo; echo the end; exit 3")
        let result = failure(await run(folder, attempt(["./run.sh"])))
        #expect(result?.reason.hasSuffix("the end") == true)
        #expect((result?.reason.count ?? 0) < 200)
    }

    @Test("A great input that nobody reads does not block or end us")
    func unreadInput() async throws {
        let folder = Folder()
        try folder.script("exit 0")
        let body = [UInt8](repeating: UInt8(ascii: "a"), count: 4 << 20)
        #expect(await run(folder, attempt(["./run.sh"], body: body)) == .done)
    }

    @Test("A great input arrives whole")
    func greatInput() async throws {
        let folder = Folder()
        try folder.script("wc -c > \"$(dirname \"$0\")/count.txt\"")
        let body = [UInt8](repeating: UInt8(ascii: "a"), count: 4 << 20)
        #expect(await run(folder, attempt(["./run.sh"], body: body)) == .done)
        let count = try #require(Int(try folder.read("count.txt").trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(count > 4 << 20)
    }

    @Test("A daemon that is left behind does not hold up the end")
    func daemonLeft() async throws {
        let folder = Folder()
        try folder.script("sleep 900 & echo $! > \"$(dirname \"$0\")/daemon.pid\"; exit 0")
        #expect(await run(folder, attempt(["./run.sh"])) == .done)
        let daemon = try #require(Int32(try folder.read("daemon.pid").trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(kill(daemon, SIGKILL) == 0, "it runs still")
    }

    @Test("The command has no descriptors but 0, 1 and 2")
    func descriptors() async throws {
        // One that a library forgot to close on exec, and one of ours.
        let forgotten = open("/dev/zero", O_RDONLY)
        let own = open("/dev/full", O_RDONLY | O_CLOEXEC)
        defer {
            close(forgotten)
            close(own)
        }
        var others: [Substring] = []
        // What another test opens at the very moment of the start comes along: not each time.
        for _ in 0..<20 {
            let end = await CommandRun(
                arguments: ["ls", "-l", "/proc/self/fd"], environment: ["PATH": "/usr/bin:/bin"], input: [],
                timeoutNanoseconds: 600 * second
            ).run()
            #expect(end.ending == .exited(0))
            // 3 is the folder that ls itself lists. Sockets are those of other tests' servers: accept(2), which they use, cannot
            // set close-on-exec by itself.
            others = String(decoding: end.output, as: UTF8.self).split(separator: "\n").filter { line in
                line.contains(" -> ") && !line.contains("socket:")
                    && ![" 0 -> ", " 1 -> ", " 2 -> ", " 3 -> "].contains { line.contains($0) }
            }
            #expect(!others.contains { $0.contains("/dev/zero") || $0.contains("/dev/full") }, "\(others)")
            if others.isEmpty { return }
        }
        #expect(others.isEmpty, "\(others)")
    }

    @Test("The command is reaped")
    func reaped() async throws {
        let folder = Folder()
        try folder.script("echo $$ > \"${0%/*}/pid.txt\"")
        #expect(await run(folder, attempt(["./run.sh"])) == .done)
        let pid = try folder.read("pid.txt").trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(!FileManager.default.fileExists(atPath: "/proc/\(pid)"))
    }

    @Test("Many runs at once leave no descriptor open")
    func noLeak() async throws {
        let folder = Folder()
        try folder.script("cat > /dev/null; exit 0")
        let before = Self.pipeCount()
        await withTaskGroup(of: ActionResult.self) { group in
            for _ in 0..<40 { group.addTask { await run(folder, attempt(["./run.sh"])) } }
            for await result in group { #expect(result == .done) }
        }
        // Other tests run commands meanwhile; forty leaked runs would show as more than a hundred, and for ever.
        #expect(await eventually { Self.pipeCount() - before < 60 })
    }

    @Test("Cancelling ends the command and leaves it to time")
    func cancelled() async throws {
        let folder = Folder()
        try folder.script("touch \"$(dirname \"$0\")/running\"; sleep 900")
        let task = Task { await run(folder, attempt(["./run.sh"], timeout: 900 * second)) }
        #expect(await eventually { FileManager.default.fileExists(atPath: folder.path + "/running") })
        task.cancel()
        #expect(failure(await task.value)?.verdict == .healable)
    }

    /// Whether a process is no more, or a zombie that is not ours; waits for it.
    static func isGone(_ pid: Int32) async -> Bool {
        await eventually {
            let status = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
            return status.isEmpty || status.contains(") Z ")
        }
    }

    static func pipeCount() -> Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return names.count {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)"))?.hasPrefix("pipe:")
                == true
        }
    }
}

/// Waits until nobody writes a file, so that it can be run: while a process is started, it has all our descriptors until its exec, and
/// a file that is open for writing is "busy" (execve(2), ETXTBSY). A read lease is given when nobody writes (fcntl(2), F_SETLEASE).
func waitForWriters(_ path: String) {
    let setLease: Int32 = 1024
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    while fcntl(descriptor, setLease, F_RDLCK) == -1, errno == EAGAIN { usleep(1_000) }
    close(descriptor)
}
