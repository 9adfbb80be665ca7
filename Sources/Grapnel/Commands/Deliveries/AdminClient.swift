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

    func head(
        _ method: String, _ target: String, version: String, bodyBytes: Int?, fields: [(String, String)] = []
    ) -> String {
        var head = "\(method) /api/v1\(target) HTTP/\(version)\r\nHost: \(authority)\r\nConnection: close\r\n"
        head += "User-Agent: grapnel/\(Version.number)\r\n"
        if let token { head += "Authorization: Bearer \(token)\r\n" }
        for (name, value) in fields { head += "\(name): \(value)\r\n" }
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

    static func failure(_ failure: PlainExchange.Failure) -> CommandFailure {
        switch failure {
        case .noConnection(let text):
            .environment("no server answers: \(text). Is it running, and is this its --admin-listen?")
        case .noAnswer(let text): .environment("the server did not answer: \(text)")
        }
    }

    static func refusal(_ status: Int, _ json: JSONValue?) -> CommandFailure {
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
}
