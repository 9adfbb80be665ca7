import CCrypto
import EventLoop

/// What a client sends and what must come back.
struct ScriptedRequest {
    enum Expectation: Equatable {
        /// Verified: 200 when it is durable, 503 when the journal could not take it.
        case stored(id: String)
        case refused(UInt16)
        /// The parser's refusal: answered, then closed.
        case closed(UInt16)
    }

    var bytes: [UInt8]
    var body: [UInt8]
    var expectation: Expectation
}

enum Script {
    static let secret = Array("simulated-secret".utf8)
    static let path = "/hooks/n/sim"

    static func sign(_ body: [UInt8], _ key: [UInt8]) -> String {
        let states = UnsafeMutableRawPointer.allocate(byteCount: cc_hmac_key_bytes(), alignment: 16)
        defer { states.deallocate() }
        cc_hmac_key_prepare(states, key, key.count)
        var digest = [UInt8](repeating: 0, count: 32)
        cc_hmac(states, Int32(CC_SHA256), body, body.count, &digest)
        return "sha256=" + digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// A request of a random kind with a random body in a random framing.
    static func request(_ random: inout SeededGenerator, id: String, sizeMax: Int) -> ScriptedRequest {
        var body = [UInt8](repeating: 0, count: Int.random(in: 0...sizeMax, using: &random))
        for index in stride(from: 0, to: body.count, by: 7) { body[index] = UInt8.random(in: 0...255, using: &random) }
        var target = path
        var key = secret
        var event = "push"
        let expectation: ScriptedRequest.Expectation
        switch Int.random(in: 0..<20, using: &random) {
        case 0, 1:
            key = Array("another".utf8)
            expectation = .refused(401)
        case 2:
            event = "release"
            expectation = .stored(id: id)
        case 3:
            target = "/nowhere"
            expectation = .refused(404)
        case 4:
            let garbage = ["POST  / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\nHost: a\r\n\r\n", "\u{1}\r\n\r\n"]
            return ScriptedRequest(
                bytes: Array(garbage.randomElement(using: &random)!.utf8), body: [], expectation: .closed(400))
        default: expectation = .stored(id: id)
        }
        var head = "POST \(target) HTTP/1.1\r\nHost: h\r\nX-GitHub-Event: \(event)\r\nX-GitHub-Delivery: \(id)\r\n"
        head += "X-Hub-Signature-256: \(sign(body, key))\r\n"
        var payload: [UInt8] = []
        if random.chance(30) {
            head += "Transfer-Encoding: chunked\r\n\r\n"
            var offset = 0
            while offset < body.count {
                // Not too small: a body of one-byte chunks is refused.
                let count = min(body.count - offset, Int.random(in: 40...5000, using: &random))
                payload += Array((String(count, radix: 16) + "\r\n").utf8) + body[offset..<offset + count] + [13, 10]
                offset += count
            }
            payload += Array("0\r\n\r\n".utf8)
        } else {
            head += "Content-Length: \(body.count)\r\n\r\n"
            payload = body
        }
        return ScriptedRequest(bytes: Array(head.utf8) + payload, body: body, expectation: expectation)
    }
}

/// One client: writes its script in random pieces and reads answers.
struct SimulatedClient {
    var descriptor: Int32
    var script: [ScriptedRequest]
    var outgoing: [UInt8]
    var sent = 0
    var received: [UInt8] = []
    var answers: [(status: UInt16, fields: [String: String])] = []
    var isGone = false

    init(_ descriptor: Int32, _ script: [ScriptedRequest]) {
        self.descriptor = descriptor
        self.script = script
        outgoing = script.flatMap(\.bytes)
    }

    mutating func write(_ network: SimulatedNetwork, upTo count: Int) {
        let end = min(outgoing.count, sent + count)
        guard end > sent else { return }
        network.write(descriptor, Array(outgoing[sent..<end]))
        sent = end
    }

    /// Parses complete answers; false when something else than an answer came.
    mutating func read(_ network: SimulatedNetwork) -> Bool { take(network.read(descriptor)) }

    /// The same with bytes from elsewhere.
    mutating func take(_ bytes: [UInt8]) -> Bool {
        received += bytes
        while let end = Self.headEnd(received) {
            let lines = String(decoding: received[0..<end], as: UTF8.self).split(separator: "\r\n")
            guard let first = lines.first, first.hasPrefix("HTTP/1.1 "),
                let status = UInt16(first.dropFirst(9).prefix(3))
            else {
                return false
            }
            var fields: [String: String] = [:]
            for line in lines.dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1)
                fields[parts[0].lowercased()] = String(parts.count > 1 ? parts[1].dropFirst() : "")
            }
            guard let length = fields["content-length"].flatMap({ Int($0) }), fields["date"] != nil else {
                return false
            }
            guard received.count >= end + length else { return true }
            received.removeFirst(end + length)
            answers.append((status, fields))
        }
        return true
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 3..<bytes.count
        where bytes[index] == 10 && bytes[index - 1] == 13 && bytes[index - 2] == 10 && bytes[index - 3] == 13 {
            return index + 1
        }
        return nil
    }
}
