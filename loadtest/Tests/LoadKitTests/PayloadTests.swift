import Testing

@testable import LoadKit

@Suite struct PayloadTests {
    @Test("a payload has exactly the size asked for", arguments: [96, 97, 1024, 7700, 8192, 65_536])
    func size(byteCount: Int) throws {
        let payload = try Payload(byteCount: byteCount)
        #expect(payload.bytes.count == byteCount)
        #expect(payload.bytes.first == UInt8(ascii: "{"))
        #expect(payload.bytes.last == UInt8(ascii: "}"))
        let marker = payload.bytes[payload.markerOffset..<(payload.markerOffset + Payload.markerCount)]
        #expect(marker.allSatisfy { $0 == UInt8(ascii: "0") })
        #expect(payload.bytes[payload.markerOffset - 1] == UInt8(ascii: "\""))
    }

    @Test("a size below the smallest body is refused")
    func tooSmall() {
        #expect(throws: PayloadError.tooSmall(minimum: 96)) { try Payload(byteCount: 95) }
    }

    @Test("a document that does not fit, or is no object, is refused")
    func badDocuments() {
        let long = Array(#"{"a":""#.utf8) + Array(repeating: UInt8(ascii: "b"), count: 200) + Array(#""}"#.utf8)
        #expect(throws: PayloadError.self) { try Payload(byteCount: 150, document: long) }
        #expect(throws: PayloadError.notAnObject) { try Payload(byteCount: 200, document: Array("[1]".utf8)) }
        #expect(throws: PayloadError.notAnObject) { try Payload(byteCount: 200, document: []) }
    }

    @Test("blanks around a document do not matter")
    func blanks() throws {
        let payload = try Payload(byteCount: 120, document: Array(" \n{\"a\": 1 }\r\n".utf8))
        #expect(String(decoding: payload.bytes.prefix(20), as: UTF8.self) == #"{"a": 1,"marker":"00"#)
    }

    @Test("the signature is that of the body, and a bad one is not")
    func signature() throws {
        // RFC 4231, test case 2.
        let key = SigningKey(Array("Jefe".utf8))
        #expect(
            key.signature(of: Array("what do ya want for nothing?".utf8))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        let long = SigningKey([UInt8](repeating: 0xaa, count: 131))  // test case 6: a key above one block
        #expect(
            long.signature(of: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8))
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")

        let payload = try Payload(byteCount: 500)
        let template = RequestTemplate(
            path: "/x", host: "h", event: "push", payload: payload, key: key, closes: false)
        for isGood in [true, false] {
            let request = template.request(id: 0xabc, marker: 7, isGood: isGood)
            #expect(request.count == template.bytes.count)
            let text = String(decoding: request, as: UTF8.self)
            let parts = text.split(separator: "\r\n\r\n", maxSplits: 1)
            let signature = key.signature(of: Array(parts[1].utf8))
            #expect(text.contains("X-Hub-Signature-256: sha256=\(signature)\r\n") == isGood)
            #expect(text.contains("X-GitHub-Delivery: 00000000-0000-4000-8000-000000000abc\r\n"))
            #expect(text.contains(#""marker":"0000000000000007""#))
            #expect(text.contains("Content-Length: 500\r\n"))
        }
    }
}
