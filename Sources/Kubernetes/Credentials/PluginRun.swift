// PluginRun: one run of a command whose output is wanted, bounded in time and size.
//
// The command gets a process group of its own, /dev/null as input and error output, and no descriptor of ours. A thread waits
// for it: reads until the end of the output, then for the process; what outlives its time is killed with its group. A
// process that it leaves behind and that holds the pipe is not waited for.

import Foundation
import Glibc

enum PluginRun {
    enum Ending: Sendable, Equatable {
        case output(Data)
        case notStarted(code: Int32)
        case failed(code: Int32)
        case killed(signal: Int32)
        case timedOut
        case tooMuch
    }

    /// Runs on a thread of its own; returns within `timeoutSeconds` and a little.
    static func run(
        command: String, arguments: [String], environment: [String: String], timeoutSeconds: Int, outputBytesMax: Int
    ) async -> Ending {
        await withCheckedContinuation { continuation in
            let thread = Thread {
                continuation.resume(
                    returning: runBlocking(
                        command, arguments, environment, .seconds(timeoutSeconds), outputBytesMax))
            }
            thread.name = "credential-plugin"
            thread.start()
        }
    }

    /// Descriptors of this process but the standard ones: closed in the child, whoever opened them and however.
    private static var descriptors: [Int32] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [])
            .compactMap { Int32($0) }.filter { $0 > 2 }
    }

    private static func runBlocking(
        _ command: String, _ arguments: [String], _ environment: [String: String], _ limit: Duration,
        _ outputBytesMax: Int
    ) -> Ending {
        var pipe: [Int32] = [-1, -1]
        let (pid, code) = SpawnLock.withLock { () -> (pid_t, Int32) in
            guard unsafe Glibc.pipe(&pipe) == 0 else { return (0, errno) }
            for descriptor in pipe { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
            defer { close(pipe[1]) }
            return spawn(command, arguments, environment, output: pipe[1])
        }
        let reader = pipe[0]
        defer { if reader >= 0 { close(reader) } }
        guard code == 0 else { return .notStarted(code: code) }
        _ = fcntl(reader, F_SETFL, O_NONBLOCK)

        let end = ContinuousClock.now + limit
        var output = Data()
        var isOpen = true
        var status: Int32?
        while status == nil || isOpen {
            guard ContinuousClock.now < end else {
                kill(pid, &status)
                return .timedOut
            }
            if isOpen {
                isOpen = read(reader, into: &output, waitMilliseconds: status == nil ? 20 : 0)
            } else {
                usleep(2000)
            }
            guard output.count <= outputBytesMax else {
                kill(pid, &status)
                return .tooMuch
            }
            if status == nil {
                status = wait(pid, WNOHANG)
            } else if isOpen {
                // It has ended, and what it wrote before is read: the pipe is somebody else's.
                isOpen = false
            }
        }
        let ended = status ?? 0
        if ended & 0x7f != 0 { return .killed(signal: ended & 0x7f) }
        return ended >> 8 & 0xff == 0 ? .output(output) : .failed(code: ended >> 8 & 0xff)
    }

    /// Reads all that is there, after waiting for the first of it; false at the end.
    private static func read(_ descriptor: Int32, into output: inout Data, waitMilliseconds: Int32) -> Bool {
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&ready, 1, waitMilliseconds) > 0 else { return true }
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
        if count > 0 { output += chunk[..<count] }
        return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))
    }

    /// The status when the process has ended, and then it is reaped.
    private static func wait(_ pid: pid_t, _ options: Int32) -> Int32? {
        var status: Int32 = 0
        while true {
            let result = unsafe waitpid(pid, &status, options)
            if result == pid { return status }
            if result == -1, errno == EINTR { continue }
            // ECHILD: somebody else has reaped it. Its output counts.
            return result == -1 ? 0 : nil
        }
    }

    private static func kill(_ pid: pid_t, _ status: inout Int32?) {
        // Once it is reaped the number may be another's; the group of a process that lives is safe to name.
        guard status == nil else { return }
        _ = Glibc.kill(-pid, SIGKILL)
        status = wait(pid, 0)
    }

    private static func spawn(
        _ command: String, _ arguments: [String], _ environment: [String: String], output: Int32
    ) -> (pid: pid_t, code: Int32) {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        // glibc takes the closing of one that is closed already for done.
        for descriptor in descriptors where descriptor != output {
            unsafe posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        // A group of its own, no signal blocked or ignored.
        var none = sigset_t()
        var all = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        // Copies that live until the call returns, each list ended by nil.
        var argv: [UnsafeMutablePointer<CChar>?] = unsafe ([command] + arguments).map { unsafe strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] =
            unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            unsafe argv.forEach { unsafe free($0) }
            unsafe envp.forEach { unsafe free($0) }
        }
        var pid: pid_t = 0
        let code = unsafe posix_spawnp(&pid, command, &actions, &attributes, &argv, &envp)
        return (pid, code)
    }
}
