// RawServer: a server on loopback that answers each connection with given bytes; for answers that no proper server gives.

import Foundation
import Glibc
import Kubernetes
import Synchronization

/// What a request looked like: head and body as text.
struct RawRequest: Sendable {
    var head: String
    var body: [UInt8]

    /// The first line.
    var line: String { String(head.prefix { $0 != "\r\n" && $0 != "\r" }) }

    func field(_ name: String) -> String? {
        for line in head.components(separatedBy: "\r\n").dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == name.lowercased() {
                return parts[1].trimmingCharacters(in: .whitespaces)
            }
        }
        return nil
    }
}

/// What the server does with a request.
enum RawAnswer: Sendable {
    /// Exactly these bytes, then the next request on the same connection.
    case bytes(String)
    /// These bytes, then the connection is closed.
    case last(String)
    /// Nothing, the connection is closed.
    case cut
    /// Nothing, the connection stays open for so long.
    case silence(seconds: Double)
    /// These bytes one by one, with a pause between.
    case drip(String, pauseSeconds: Double)
}

final class RawServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let state = Mutex((requests: [RawRequest](), isStopped: false))
    private let answer: @Sendable (RawRequest, Int) -> RawAnswer

    /// `answer` gets the request and its number, from 0.
    init(_ answer: @escaping @Sendable (RawRequest, Int) -> RawAnswer) {
        self.answer = answer
        let (descriptor, port) = Self.listen()
        listener = descriptor
        self.port = port
        let thread = Thread { [self] in
            // Closed here alone: were it closed while this thread is between two connections, another server's listener could get its
            // number, and this one would take that one's connections.
            defer { close(listener) }
            while true {
                let connection = accept(listener, nil, nil)
                if connection >= 0 {
                    Thread { self.serve(connection) }.start()
                } else if isStopped {
                    return
                } else {
                    // No descriptor left for it: another test may give some back.
                    usleep(1_000)
                }
            }
        }
        thread.start()
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [RawRequest] { state.withLock { $0.requests } }

    func stop() {
        // Under the lock, so that it is not closed yet. accept(2) fails from now on.
        state.withLock { state in
            if !state.isStopped { shutdown(listener, Int32(SHUT_RDWR)) }
            state.isStopped = true
        }
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    /// A port of loopback where nobody listens: bound, so that no other test gets it, until the process ends.
    static func closedPort() -> UInt16 { bound().port }

    private static func listen() -> (Int32, UInt16) {
        let (descriptor, port) = bound()
        precondition(Glibc.listen(descriptor, 64) == 0)
        return (descriptor, port)
    }

    private static func bound() -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                precondition(bind(descriptor, generic, length) == 0)
                getsockname(descriptor, generic, &length)
            }
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    private func serve(_ connection: Int32) {
        // Closing alone ends nothing while a process that another test started meanwhile has inherited the descriptor.
        defer {
            shutdown(connection, Int32(SHUT_RDWR))
            close(connection)
        }
        var buffer: [UInt8] = []
        while let request = Self.read(connection, &buffer) {
            let number = state.withLock { state in
                state.requests.append(request)
                return state.requests.count - 1
            }
            switch answer(request, number) {
            case .bytes(let text): if !Self.write(connection, text) { return }
            case .last(let text):
                _ = Self.write(connection, text)
                return
            case .cut: return
            case .silence(let seconds):
                usleep(UInt32(seconds * 1e6))
                return
            case .drip(let text, let pause):
                for character in text {
                    if !Self.write(connection, String(character)) { return }
                    usleep(UInt32(pause * 1e6))
                }
                return
            }
        }
    }

    private static func read(_ connection: Int32, _ buffer: inout [UInt8]) -> RawRequest? {
        while true {
            if let end = firstRange(of: [13, 10, 13, 10], in: buffer) {
                let head = String(decoding: buffer[..<end], as: UTF8.self)
                var request = RawRequest(head: head, body: [])
                let length = request.field("Content-Length").flatMap { Int($0) } ?? 0
                if buffer.count >= end + 4 + length {
                    request.body = Array(buffer[(end + 4)..<(end + 4 + length)])
                    buffer.removeFirst(end + 4 + length)
                    return request
                }
            }
            var chunk = [UInt8](repeating: 0, count: 65536)
            let count = Glibc.read(connection, &chunk, chunk.count)
            if count <= 0 { return nil }
            buffer += chunk[..<count]
        }
    }

    private static func firstRange(of needle: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= needle.count else { return nil }
        return (0...(bytes.count - needle.count)).first { bytes[$0..<($0 + needle.count)].elementsEqual(needle) }
    }

    private static func write(_ connection: Int32, _ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }
}

extension KubernetesClient.Settings {
    /// However long a call takes on a busy machine, no limit ends it.
    static var patient: Self {
        var settings = Self(version: "test")
        settings.timeoutSeconds = 600
        return settings
    }
}

/// An answer with a body and its length.
func answer(_ status: String, _ body: String = "", fields: [String] = [], type: String = "application/json") -> String {
    let lines = ["HTTP/1.1 \(status)", "Content-Type: \(type)", "Content-Length: \(body.utf8.count)"] + fields
    return lines.joined(separator: "\r\n") + "\r\n\r\n" + body
}
