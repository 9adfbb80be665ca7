// AdminClient: the API of a running server, for commands. Finds the server by its data directory, or where `--admin` says.

import ArgumentParser
import Catalog
import Delivery
import Foundation
import Glibc

/// Where the server is and what proves that one may ask.
struct AdminOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Data directory of the server (default: $GRAPNEL_DATA_DIR, data).", valueName: "dir"))
    var dataDir: String?
    @Option(
        help: ArgumentHelp(
            "Where administration listens, as http://HOST:PORT (default: what the data directory says).",
            valueName: "url"))
    var admin: String?
    @Option(
        help: ArgumentHelp(
            "File with the server's admin token (default: $GRAPNEL_ADMIN_TOKEN_FILE).", valueName: "file"))
    var adminTokenFile: String?

    private static func variable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    func client() throws(CommandFailure) -> AdminClient {
        let (host, port) = try place()
        var token: String?
        if let file = adminTokenFile ?? Self.variable("GRAPNEL_ADMIN_TOKEN_FILE") {
            switch SmallFile.read(file, bytesMax: 4096) {
            case .success(let bytes):
                let trimmed = AdminGuard.trimmed(bytes)
                guard !trimmed.isEmpty, trimmed.allSatisfy({ (0x21...0x7e).contains($0) }) else {
                    throw .input(
                        "--admin-token-file \(file): no token in it; it is one line of visible ASCII characters")
                }
                token = String(decoding: trimmed, as: UTF8.self)
            case .failure(let failure): throw .input("--admin-token-file: \(failure)")
            }
        }
        return AdminClient(host: host, port: port, token: token)
    }

    private func place() throws(CommandFailure) -> (String, UInt16) {
        if let admin { return try Self.parse(admin) }
        let directory = dataDir ?? Self.variable("GRAPNEL_DATA_DIR") ?? "data"
        let remedy = "Give the server's --data-dir, or --admin http://HOST:PORT."
        guard let record = ServerRecord.read(directory) else {
            throw .environment("\(directory) does not say which server runs on it. \(remedy)")
        }
        guard record.process.isRunning else {
            throw .environment(
                "no server runs on \(directory): process \(record.process.pid) is not to be seen from here. \(remedy)")
        }
        guard let endpoint = try? Endpoint(record.admin) else {
            throw .environment("\(directory)/server.json does not say where administration listens. \(remedy)")
        }
        switch endpoint.host {
        case "0.0.0.0": return ("127.0.0.1", endpoint.port)
        case "::": return ("::1", endpoint.port)
        default: return (endpoint.host, endpoint.port)
        }
    }

    private static func parse(_ text: String) throws(CommandFailure) -> (String, UInt16) {
        let form = "write it as http://127.0.0.1:9293"
        guard let url = URLComponents(string: text), let host = url.host, !host.isEmpty, url.user == nil,
            url.path.isEmpty || url.path == "/", url.query == nil
        else { throw CommandFailure(.usage, "--admin: \(quoted(text)) is no address; \(form)") }
        guard url.scheme == "http" else {
            throw CommandFailure(
                .usage, "--admin: administration speaks plain HTTP; \(form), through a tunnel to another machine")
        }
        guard let port = UInt16(exactly: url.port ?? 80), port > 0 else {
            throw CommandFailure(.usage, "--admin: \(quoted(text)) has no port of 1 to 65535; \(form)")
        }
        return (host.trimmingCharacters(in: CharacterSet(charactersIn: "[]")), port)
    }
}

struct AdminClient {
    let host: String
    let port: UInt16
    let token: String?

    private static let answerBytesMax = 64 << 20

    private var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    func get(_ path: String, _ query: [(String, String)] = []) throws(CommandFailure) -> JSONValue {
        try exchange("GET", Self.target(path, query), nil)
    }

    func post(_ path: String, _ body: JSONValue) throws(CommandFailure) -> JSONValue {
        try exchange("POST", path, body.serialized)
    }

    static func target(_ path: String, _ query: [(String, String)]) -> String {
        guard !query.isEmpty else { return path }
        return path + "?" + query.map { "\(escaped($0.0))=\(escaped($0.1))" }.joined(separator: "&")
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            let scalar = Unicode.Scalar(byte)
            if scalar.properties.isAlphabetic && byte < 0x80 || (0x30...0x39).contains(byte)
                || "-._~".utf8.contains(byte)
            {
                result.unicodeScalars.append(scalar)
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.utf8.count < 2 ? "0" : "") + digits
            }
        }
        return result
    }

    private func head(_ method: String, _ target: String, version: String, bodyBytes: Int?) -> String {
        var head = "\(method) /api/v1\(target) HTTP/\(version)\r\nHost: \(authority)\r\nConnection: close\r\n"
        head += "User-Agent: grapnel/\(Version.number)\r\n"
        if let token { head += "Authorization: Bearer \(token)\r\n" }
        if let bodyBytes { head += "Content-Type: application/json\r\nContent-Length: \(bodyBytes)\r\n" }
        return head + "\r\n"
    }

    private func exchange(_ method: String, _ target: String, _ body: [UInt8]?) throws(CommandFailure) -> JSONValue {
        let request = Array(head(method, target, version: "1.1", bodyBytes: body?.count).utf8) + (body ?? [])
        let answer: PlainAnswer
        do throws(PlainExchange.Failure) {
            answer = try PlainExchange.send(request, host: host, port: port, answerBytesMax: Self.answerBytesMax)
        } catch {
            throw Self.failure(error)
        }
        let json = JSONValue(answer.body)
        guard (200..<300).contains(answer.status) else { throw Self.refusal(answer.status, json) }
        guard let json else {
            throw .environment("http://\(authority) answers no JSON: is it a grapnel's --admin-listen?")
        }
        return json
    }

    private static func failure(_ failure: PlainExchange.Failure) -> CommandFailure {
        switch failure {
        case .noConnection(let text):
            .environment("no server answers: \(text). Is it running, and is this its --admin-listen?")
        case .noAnswer(let text): .environment("the server did not answer: \(text)")
        }
    }

    private static func refusal(_ status: Int, _ json: JSONValue?) -> CommandFailure {
        let message = json?["error"]?["message"]?.text.map { Plain.text($0, max: 2000) }
        switch status {
        case 401:
            return .input("the server wants its admin token: \(message ?? "401"). Give it with --admin-token-file")
        case 404 where message != nil, 400, 409: return .input(message ?? "status \(status)")
        case 404:
            return .environment(
                "there is no API at that address: is it a grapnel's --admin-listen, and of this version?")
        default: return .environment(message.map { "the server refuses: \($0)" } ?? "the server answers \(status)")
        }
    }

    /// Calls `body` with each event's name and data until the server ends the stream, or `body` returns false.
    func events(_ query: [(String, String)], _ body: (String, JSONValue) -> Bool) throws(CommandFailure) {
        let fd: Int32
        do throws(PlainExchange.Failure) { fd = try PlainExchange.connection(host, port) } catch {
            throw Self.failure(error)
        }
        defer { close(fd) }
        // HTTP/1.0: the answer ends with the connection and has no chunks.
        let request = head("GET", Self.target("/events", query), version: "1.0", bodyBytes: nil)
        if let trouble = PlainExchange.write(Array(request.utf8), to: fd) {
            throw .environment("no answer: \(trouble)")
        }
        var reader = EventReader()
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            // Sound: at most block.count bytes are written to the block.
            let count = unsafe block.withUnsafeMutableBytes { unsafe recv(fd, $0.baseAddress, $0.count, 0) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if let answer = reader.refused { throw Self.refusal(answer.status, JSONValue(answer.body)) }
                if count < 0 { throw .environment("the events ended: \(SmallFile.text(of: errno))") }
                return
            }
            guard let events = reader.take(block[..<count]) else {
                throw .environment("the server sends something that is no stream of events")
            }
            for (name, data) in events where !body(name, data) { return }
        }
    }
}

/// Takes a stream of server-sent events apart (HTML standard, "Server-sent events").
struct EventReader {
    private static let pendingBytesMax = 4 << 20
    private var pending: [UInt8] = []
    private var status: Int?

    /// The whole answer when it is no stream of events.
    var refused: PlainAnswer? {
        guard status == nil || status != 200 else { return nil }
        return PlainAnswer.parse(pending, isEnd: true)
    }

    /// Events that are whole now; nil for what is no such stream.
    mutating func take(_ bytes: some Collection<UInt8>) -> [(String, JSONValue)]? {
        pending += bytes
        guard pending.count <= Self.pendingBytesMax else { return nil }
        if status == nil {
            guard let end = pending.firstRange(of: Array("\r\n\r\n".utf8)) else { return [] }
            let head = String(decoding: pending[..<end.lowerBound], as: UTF8.self)
            guard head.hasPrefix("HTTP/1."), let code = Int(head.dropFirst(9).prefix(3)) else { return nil }
            status = code
            if code == 200 { pending.removeFirst(end.upperBound) }
        }
        guard status == 200 else { return [] }
        var events: [(String, JSONValue)] = []
        while let end = pending.firstRange(of: Array("\n\n".utf8)) {
            var name = "message"
            var data = ""
            for line in String(decoding: pending[..<end.lowerBound], as: UTF8.self).split(separator: "\n") {
                if line.hasPrefix("event: ") { name = String(line.dropFirst(7)) }
                if line.hasPrefix("data: ") { data += line.dropFirst(6) }
            }
            pending.removeFirst(end.upperBound)
            if let value = JSONValue(Array(data.utf8)) { events.append((name, value)) }
        }
        return events
    }
}
