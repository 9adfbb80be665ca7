// A helper process of a test, ended with it. Whatever waits for a process does so on a thread of its own: the tasks of all
// other tests share as many threads as there are processors.

import Foundation
import Glibc

final class Helper: Sendable {
    let process = Process()
    private let output = Pipe()

    /// Starts `arguments[0]`, found in PATH; error output is dropped.
    init(_ arguments: [String], folder: String) throws {
        Self.prepare(process, arguments, folder)
        process.standardOutput = output
        try process.run()
    }

    deinit {
        // Not SIGTERM: the child inherits the signal mask of a pool thread, which blocks it.
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        let process = process
        Thread { process.waitUntilExit() }.start()
    }

    /// The first line that it prints.
    func firstLine() async -> String {
        await onThread { [output] in
            var line = Data()
            while let byte = try? output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty,
                byte != Data("\n".utf8)
            {
                line += byte
            }
            return String(decoding: line, as: UTF8.self)
        }
    }

    /// Runs to the end; throws when it fails.
    static func run(_ arguments: [String], folder: String) async throws {
        let status = await onThread { () -> Int32 in
            let process = Process()
            prepare(process, arguments, folder)
            process.standardOutput = FileHandle.nullDevice
            guard (try? process.run()) != nil else { return -1 }
            process.waitUntilExit()
            return process.terminationStatus
        }
        guard status == 0 else { throw Failed(arguments: arguments) }
    }

    struct Failed: Error { var arguments: [String] }

    private static func prepare(_ process: Process, _ arguments: [String], _ folder: String) {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardInput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
    }

    static func has(_ names: String...) -> Bool {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        return names.allSatisfy { name in
            folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }
        }
    }
}

/// Runs what blocks on a thread of its own.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        Thread { continuation.resume(returning: body()) }.start()
    }
}

/// A folder that goes with the test.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "grapnel-" + UUID().uuidString
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ text: String, _ name: String = "config") -> String {
        try? text.write(toFile: path + "/" + name, atomically: true, encoding: .utf8)
        return path + "/" + name
    }

    /// Something that can be run at once.
    @discardableResult
    func writeProgram(_ text: String, _ name: String) throws -> String {
        write(text, name)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path + "/" + name)
        waitForWriters(path + "/" + name)
        return path + "/" + name
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
