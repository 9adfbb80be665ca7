import CCrypto
import HTTP
import Testing

@testable import Delivery

/// A request head in memory, parsed by the real parser, as the loop sees it.
final class ParsedRequest {
    let memory: UnsafeMutableRawBufferPointer
    let fields: UnsafeMutableBufferPointer<HeaderField>
    let head: RequestHead

    init(_ path: String, _ headers: [(String, String)], host: String = "hooks.example.com") throws {
        var text = "POST \(path) HTTP/1.1\r\nHost: \(host)\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        text += "Content-Length: 0\r\n\r\n"
        let bytes = Array(text.utf8)
        memory = .allocate(byteCount: bytes.count, alignment: 1)
        memory.copyBytes(from: bytes)
        fields = .allocate(capacity: 101)
        fields.initialize(repeating: .empty)
        var parser = HeadParser()
        let progress = try parser.parse(UnsafeRawBufferPointer(memory), fields: fields, limits: RequestLimits())
        guard case .head(let head) = progress else {
            Issue.record("the head is not complete")
            throw HTTPParseError.malformedRequestLine
        }
        self.head = head
    }

    deinit {
        memory.deallocate()
        fields.deallocate()
    }

    var view: HeadView {
        HeadView(
            base: UnsafeRawPointer(memory.baseAddress!),
            fields: UnsafeBufferPointer(rebasing: fields[0..<head.fieldCount]))
    }

    func text(_ range: ByteRange) -> String {
        String(decoding: memory[Int(range.offset)..<Int(range.offset) + Int(range.count)], as: UTF8.self)
    }
}

/// HMAC by libcrypto on states of its own, one message at a time: the oracle of the batch.
func hmac(_ algorithm: Int32, key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    let states = UnsafeMutableRawPointer.allocate(byteCount: cc_hmac_key_bytes(), alignment: 16)
    defer { states.deallocate() }
    cc_hmac_key_prepare(states, key, key.count)
    var digest = [UInt8](repeating: 0, count: cc_digest_bytes(algorithm))
    cc_hmac(states, algorithm, message, message.count, &digest)
    return digest
}

func hex(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
        let text = String(byte, radix: 16)
        return text.count == 1 ? "0" + text : text
    }.joined()
}

/// What a route says of a request: proven, or why not.
func verify(
    _ table: RouteTable, _ path: String, _ headers: [(String, String)], body: [UInt8] = Array("{}".utf8)
) throws -> (proof: VerifyCause, judgement: Judgement) {
    let request = try ParsedRequest(path, headers)
    let route = table.find(
        path: UnsafeRawBufferPointer(
            rebasing: UnsafeRawBufferPointer(request.memory)[
                Int(request.head.path.offset)..<Int(request.head.path.offset + request.head.path.count)]),
        host: UnsafeRawBufferPointer(start: nil, count: 0))
    try #require(route >= 0)
    var batch = VerifyBatch(capacity: 4)
    let proofs = UnsafeMutablePointer<Proof>.allocate(capacity: 1)
    let routes = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
    defer {
        proofs.deallocate()
        routes.deallocate()
    }
    proofs.initialize(to: table.prove(request.view, route: route))
    routes.initialize(to: Int32(route))
    body.withUnsafeBytes { bytes in
        if proofs.pointee.state == .awaitsDigest {
            batch.add(&proofs.pointee, owner: 0, route: route, of: table, body: bytes)
        }
        batch.run(table: table, proofs: proofs, route: routes)
    }
    let judgement = table.judge(request.view, table.labels(request.view, route: route), route: route)
    return (proofs.pointee.state == .proven ? .none : proofs.pointee.cause, judgement)
}
