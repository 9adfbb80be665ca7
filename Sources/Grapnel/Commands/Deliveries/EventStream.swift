// EventStream: the events of a running server, for commands: one connection, and the next after it is lost.
//
//   connected ──lost──> wait 2 s, 4 s, … 30 s ──> connected, with the last id: what lay between comes first

import ArgumentParser
import CLinuxIO
import Delivery
import Glibc

/// One event of the API.
struct ServerEvent {
    var name: String
    var data: JSONValue
    /// Where to go on after it; nil: as before it.
    var id: String?
}

extension AdminClient {
    /// How a connection that worked ended.
    enum EventsEnd: Equatable {
        /// `body` has had enough.
        case enough
        /// The server ended it, or it was lost: why.
        case lost(String)
    }

    /// Calls `body` with each event until the connection ends or `body` returns false, and `begun` when the server listens. `id` is
    /// where to begin, and is moved on. Throws when there is no connection, or the server refuses.
    func events(
        _ query: [(String, String)], id: inout String?, begun: () -> Void, _ body: (ServerEvent) -> Bool
    ) throws(CommandFailure) -> EventsEnd {
        let fd: Int32
        do throws(PlainExchange.Failure) { fd = try PlainExchange.connection(host, port) } catch {
            throw Self.failure(error)
        }
        defer { close(fd) }
        // HTTP/1.0: the answer ends with the connection and has no chunks.
        let request = head(
            "GET", Self.target("/events", query), version: "1.0", bodyBytes: nil,
            fields: id.map { [("Last-Event-ID", $0)] } ?? [])
        if let trouble = PlainExchange.write(Array(request.utf8), to: fd) {
            throw .environment("no answer: \(trouble)")
        }
        var reader = EventReader()
        var hasBegun = false
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            // Sound: at most block.count bytes are written to the block.
            let count = unsafe block.withUnsafeMutableBytes { unsafe recv(fd, $0.baseAddress, $0.count, 0) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if let answer = reader.refused { throw Self.refusal(answer.status, JSONValue(answer.body)) }
                let trouble =
                    count == 0
                    ? "the server ended it" : errno == EAGAIN ? "nothing came for too long" : SmallFile.text(of: errno)
                guard hasBegun else { throw .environment("the server did not answer: \(trouble)") }
                return .lost(trouble)
            }
            guard let events = reader.take(block[..<count]) else {
                throw .environment("the server sends something that is no stream of events")
            }
            if !hasBegun, reader.isStream {
                hasBegun = true
                begun()
            }
            for event in events {
                if let now = event.id { id = now }
                if !body(event) { return .enough }
            }
            if let now = reader.lastID { id = now }
        }
    }
}

/// Follows events over connections that are lost.
struct EventStream {
    private static let firstWaitSeconds: UInt32 = 2
    private static let waitSecondsMax: UInt32 = 30

    /// Made anew for each connection: a server that was started again may listen elsewhere.
    let client: () throws -> AdminClient
    let query: [(String, String)]

    /// Until `body` returns false. Throws when there is no first connection, or the server will not have it.
    func follow(_ body: (ServerEvent) -> Bool) throws {
        var id: String?
        var wait = Self.firstWaitSeconds
        var isFirst = true
        while true {
            let began = cl_now_monotonic()
            let trouble: String
            do {
                let end = try client().events(query, id: &id) {
                    if !isFirst { Terminal.error("connected again") }
                    isFirst = false
                } _: {
                    body($0)
                }
                guard case .lost(let reason) = end else { return }
                trouble = "the connection was lost (\(reason))"
            } catch let failure as CommandFailure where !isFirst && failure.status == .environment {
                trouble = failure.description
            }
            if cl_now_monotonic() - began > UInt64(wait) * 1_000_000_000 { wait = Self.firstWaitSeconds }
            Terminal.error("\(Plain.text(trouble, max: 2000)); trying again in \(wait) s")
            sleep(wait)
            wait = min(wait * 2, Self.waitSecondsMax)
        }
    }

}

/// Takes a stream of server-sent events apart (HTML standard, "Server-sent events").
struct EventReader {
    private static let pendingBytesMax = 4 << 20
    private var pending: [UInt8] = []
    private var status: Int?
    /// The last `id`, also where no data followed it.
    private(set) var lastID: String?

    /// The head of a stream was there.
    var isStream: Bool { status == 200 }

    /// The whole answer when it is no stream of events.
    var refused: PlainAnswer? {
        guard status == nil || status != 200 else { return nil }
        return PlainAnswer.parse(pending, isEnd: true)
    }

    /// Events that are whole now; nil for what is no such stream.
    mutating func take(_ bytes: some Collection<UInt8>) -> [ServerEvent]? {
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
        var events: [ServerEvent] = []
        while let end = pending.firstRange(of: Array("\n\n".utf8)) {
            var name = "message"
            var data = ""
            var id: String?
            for line in String(decoding: pending[..<end.lowerBound], as: UTF8.self).split(separator: "\n") {
                if line.hasPrefix("event: ") { name = String(line.dropFirst(7)) }
                if line.hasPrefix("data: ") { data += line.dropFirst(6) }
                if line.hasPrefix("id: ") { id = Self.safe(line.dropFirst(4)) }
            }
            pending.removeFirst(end.upperBound)
            if let id { lastID = id }
            if let value = JSONValue(Array(data.utf8)) { events.append(ServerEvent(name: name, data: value, id: id)) }
        }
        return events
    }

    /// It goes into a header field of the next request.
    private static func safe(_ text: Substring) -> String? {
        text.utf8.count <= 256 && text.utf8.allSatisfy { (0x21...0x7e).contains($0) } ? String(text) : nil
    }
}
