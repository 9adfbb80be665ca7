// CommandRun: one run of a command, from spawn to reaping, on two threads of its own, so that no thread of the
// concurrency pool waits for a process.
//
// The *driver* spawns, writes standard input, reads output and keeps the time limit, all in one `poll`. The *watcher* waits
// for the process to end (`waitid` with WNOWAIT, which leaves it unreaped) and then closes its end of a pipe in the
// driver's poll. Only the driver reaps, after the last signal: until then the process id, and the process group of the
// same number, cannot belong to anybody else.
//
// At the time limit the whole group gets SIGTERM and after a grace SIGKILL. A process that ends by itself may leave others
// of its group behind (a daemon); they are not our business, and we stop reading what they print.
//
// Pipes are made close-on-exec, in a call of its own: pipe, fcntl and spawn happen under `SpawnLock`.

import Foundation
import Glibc
import Kubernetes
import Synchronization

final class CommandRun: Sendable {
    enum Ending: Sendable, Equatable {
        case exited(Int32)
        case signalled(Int32)
        case timedOut
        case cancelled
        /// The command is wrong: no such file, not executable.
        case notStarted(Int32)
        /// The machine has no processes, descriptors or memory left.
        case noResources(Int32)
    }

    struct End: Sendable {
        var ending: Ending
        /// Standard output and error together, the last `outputBytesMax` bytes.
        var output: [UInt8] = []
        var droppedBytes = 0
    }

    static let outputBytesMax = 64 << 10
    private static let killGraceNanoseconds: UInt64 = 2_000_000_000
    /// Reads of 16 KiB after the end.
    private static let lastReadsMax = 64

    /// What we inherited ourselves (from a shell, a supervisor) and what a library opened without close-on-exec (NIO's
    /// epoll descriptors) is not handed on.
    private static func keepDescriptors() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
            guard let descriptor = Int32(name), descriptor > 2 else { continue }
            let flags = fcntl(descriptor, F_GETFD)
            if flags >= 0, flags & FD_CLOEXEC == 0 { _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
        }
    }

    private struct State {
        /// Alive or not yet reaped: may be signalled.
        var pid: pid_t?
        var isCancelled = false
    }

    private let arguments: [String]
    private let environment: [String: String]
    private let input: [UInt8]
    private let timeoutNanoseconds: UInt64
    private let state = Mutex(State())

    init(arguments: [String], environment: [String: String], input: [UInt8], timeoutNanoseconds: UInt64) {
        self.arguments = arguments
        self.environment = environment
        self.input = input
        self.timeoutNanoseconds = timeoutNanoseconds
    }

    /// Runs to the end. Cancelling the task ends the process.
    func run() async -> End {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let driver = Thread { continuation.resume(returning: self.drive()) }
                driver.name = "command"
                driver.start()
            }
        } onCancel: {
            state.withLock { state in
                state.isCancelled = true
                if let pid = state.pid { kill(-pid, SIGTERM) }
            }
        }
    }

    static func text(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }

    // MARK: - Driver

    private func drive() -> End {
        // A command that does not read its input must not end us.
        blockSIGPIPE()
        var pipes: Pipes
        switch spawn() {
        case .success(let made): pipes = made
        case .failure(let refusal): return End(ending: refusal.ending)
        }
        watch(pipes.takeWatcherEnd())

        var end = End(ending: .exited(0))
        var ring = OutputTail(limit: Self.outputBytesMax)
        let started = Self.monotonic()
        var limit = started &+ timeoutNanoseconds
        var isTermSent = false
        var isKillSent = false
        var written = 0
        var isRunning = true
        while isRunning {
            let now = Self.monotonic()
            if now >= limit {
                signalGroup(isTermSent ? SIGKILL : SIGTERM)
                if isTermSent { isKillSent = true }
                isTermSent = true
                limit = isKillSent ? .max : now &+ Self.killGraceNanoseconds
            }
            let ready = pipes.poll(
                wantsInput: written < input.count, timeoutNanoseconds: limit == .max ? nil : limit &- now)
            if ready.input, !pipes.write(input, from: &written) { pipes.closeInput() }
            if written == input.count { pipes.closeInput() }
            if ready.output, !pipes.read(into: &ring) { pipes.closeOutput() }
            isRunning = !ready.hasEnded
        }
        // What the process printed before it ended is in the pipe; one that it left behind may print for ever.
        for _ in 0..<Self.lastReadsMax where pipes.read(into: &ring) {}
        ring.cut()
        pipes.closeAll()
        let status = reap()
        end.output = ring.bytes
        end.droppedBytes = ring.droppedBytes
        if state.withLock({ $0.isCancelled }) {
            end.ending = .cancelled
        } else if isTermSent {
            end.ending = .timedOut
        } else {
            end.ending = status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signalled(status & 0x7f)
        }
        return end
    }

    private func signalGroup(_ signal: Int32) {
        state.withLock { state in if let pid = state.pid { kill(-pid, signal) } }
    }

    private func reap() -> Int32 {
        state.withLock { state in
            guard let pid = state.pid else { return 0 }
            var status: Int32 = 0
            while unsafe waitpid(pid, &status, 0) == -1, errno == EINTR {}
            state.pid = nil
            return status
        }
    }

    /// Waits for the end on a thread of its own, then closes `descriptor`.
    private func watch(_ descriptor: Int32) {
        guard let pid = state.withLock({ $0.pid }) else { return }
        let watcher = Thread {
            var info = unsafe siginfo_t()
            while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) == -1, errno == EINTR {}
            close(descriptor)
        }
        watcher.name = "command-watch"
        watcher.start()
    }

    private func blockSIGPIPE() {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGPIPE)
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    private static func monotonic() -> UInt64 { MonotonicClock.nanoseconds() }

    // MARK: - Spawn

    private struct Refusal: Error { var ending: Ending }

    private func spawn() -> Result<Pipes, Refusal> {
        SpawnLock.withLock {
            Self.keepDescriptors()
            return state.withLock { state in
                if state.isCancelled { return .failure(Refusal(ending: .cancelled)) }
                guard var pipes = Pipes() else { return .failure(Refusal(ending: .noResources(errno))) }
                let (pid, code) = spawnLocked(pipes)
                guard code == 0 else {
                    pipes.closeAll()
                    let isTemporary = [EAGAIN, ENOMEM, EMFILE, ENFILE, ETXTBSY].contains(code)
                    return .failure(Refusal(ending: isTemporary ? .noResources(code) : .notStarted(code)))
                }
                pipes.closeChildEnds()
                state.pid = pid
                return .success(pipes)
            }
        }
    }

    private func spawnLocked(_ pipes: Pipes) -> (pid: pid_t, code: Int32) {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        unsafe posix_spawn_file_actions_adddup2(&actions, pipes.childInput, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, pipes.childOutput, 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, pipes.childOutput, 2)
        // A group of its own, no signal blocked or ignored: what we do with signals is not the command's affair.
        var none = sigset_t()
        var all = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var argv: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] =
            unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            unsafe argv.forEach { unsafe free($0) }
            unsafe envp.forEach { unsafe free($0) }
        }
        var pid: pid_t = 0
        let code = unsafe posix_spawnp(&pid, arguments[0], &actions, &attributes, &argv, &envp)
        return (pid, code)
    }
}

/// The monotonic clock in nanoseconds.
enum MonotonicClock {
    static func nanoseconds() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
