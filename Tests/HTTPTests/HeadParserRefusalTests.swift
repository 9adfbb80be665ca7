import HTTP
import Testing

/// What is refused, why, and where the fault shows.
struct Refusal: CustomTestStringConvertible {
    var bytes: [UInt8]
    var error: HTTPParseError
    /// Index of the byte that shows the fault; nil when only the complete head does.
    var index: Int?

    /// A `§` stands before the byte that shows the fault.
    init(_ text: String, _ error: HTTPParseError) {
        let bytes = text.unicodeScalars.map { UInt8($0.value) }
        self.error = error
        index = bytes.firstIndex(of: 0xa7)
        self.bytes = bytes.filter { $0 != 0xa7 }
    }

    /// A fault in the fields, behind a good request line.
    static func field(_ text: String, _ error: HTTPParseError) -> Refusal {
        Refusal("POST / HTTP/1.1\r\n\(text)", error)
    }

    var testDescription: String {
        "\(error.name): \(String(decoding: bytes.prefix(90), as: UTF8.self).debugDescription)"
    }
}

@Suite("Heads that are refused")
struct HeadParserRefusalTests {
    /// Refused with the same error all at once, byte by byte, with vectors and without; and not one byte later than it shows.
    private func expectRefused(_ refusal: Refusal) {
        for scanning in Scanning.allCases {
            #expect(parseHead(refusal.bytes, scanning: scanning) == .refused(refusal.error))
            #expect(parseHeadByteByByte(refusal.bytes, scanning: scanning) == .refused(refusal.error))
        }
        let shown = refusal.index ?? refusal.bytes.count - 1
        #expect(parseHead(Array(refusal.bytes[...shown])) == .refused(refusal.error))
        #expect(parseHead(Array(refusal.bytes[..<shown])) == .needMoreBytes)
        if refusal.index == nil { #expect(refusal.bytes.suffix(4) == [13, 10, 13, 10]) }
    }

    @Test(
        "Only CRLF ends a line, and one empty line may lead",
        arguments: [
            Refusal("§\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .bareLineFeed),
            Refusal("\r§GET / HTTP/1.1\r\nHost: a\r\n\r\n", .bareCarriageReturn),
            Refusal("\r§\rGET / HTTP/1.1\r\n", .bareCarriageReturn),
            Refusal("\r\n§\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .repeatedEmptyLine),
            Refusal("\r\n§\nGET / HTTP/1.1\r\n", .bareLineFeed),
            Refusal("GET§\n", .bareLineFeed),
            Refusal("GET /§\nHost: a\n\n", .bareLineFeed),
            Refusal("GET / HTTP/1.1§\nHost: a\r\n\r\n", .bareLineFeed),
            Refusal("GET / HTTP/1§\n", .bareLineFeed),
            Refusal("GET / HTTP/1.1\r§\rHost: a\r\n\r\n", .bareCarriageReturn),
            Refusal("GET / HTTP/1.1\r§Host: a\r\n\r\n", .bareCarriageReturn),
            Refusal.field("Host: a§\n\r\n", .bareLineFeed),
            Refusal.field("Host: a\r§ \r\n\r\n", .bareCarriageReturn),
            Refusal.field("Host: a\r§\r\n\r\n", .bareCarriageReturn),
            Refusal.field("Host: a\r§X: y\r\n\r\n", .bareCarriageReturn),
            Refusal.field("Host: a\r\n§\n", .bareLineFeed),
            Refusal.field("Host: a\r\n\r§\r", .bareCarriageReturn),
            Refusal.field("Host: a\r\n\r§x", .bareCarriageReturn),
            Refusal.field("Ho§\nst: a\r\n\r\n", .bareLineFeed),
            Refusal.field("Host:§\n a\r\n\r\n", .bareLineFeed),
        ])
    func lineEnds(_ refusal: Refusal) { expectRefused(refusal) }

    @Test(
        "The request line is method, target and version with single spaces",
        arguments: [
            Refusal("§ GET / HTTP/1.1\r\n", .malformedRequestLine),
            Refusal("§\tGET / HTTP/1.1\r\n", .invalidMethod),
            Refusal("G§\tET / HTTP/1.1\r\n", .invalidMethod),
            Refusal("G§\0ET / HTTP/1.1\r\n", .invalidMethod),
            Refusal("G§\u{c9}T / HTTP/1.1\r\n", .invalidMethod),
            Refusal("§\u{16}\u{3}\u{1}\u{2}", .invalidMethod),
            Refusal("GE§(T / HTTP/1.1\r\n", .invalidMethod),
            Refusal("GET§\r\n", .malformedRequestLine),
            Refusal("GET §\r\n", .malformedRequestLine),
            Refusal("GET §  / HTTP/1.1\r\n", .malformedRequestLine),
            Refusal("GET /§\r\n", .malformedRequestLine),
            Refusal("GET / §\r\n", .invalidVersion),
            Refusal("GET / § HTTP/1.1\r\n", .invalidVersion),
            Refusal("GET /§\tHTTP/1.1\r\n", .invalidTarget),
            Refusal("GET / HTTP/1.1§ \r\n", .invalidVersion),
            Refusal("GET / HTTP/1.1§ x\r\n", .invalidVersion),
            Refusal("GET /a §b HTTP/1.1\r\n", .invalidVersion),
        ])
    func requestLine(_ refusal: Refusal) { expectRefused(refusal) }

    @Test(
        "Versions other than 1.0 and 1.1 are 505 when they are versions, else 400",
        arguments: [
            Refusal("GET / HTTP/1.2§\r\n", .unsupportedVersion),
            Refusal("GET / HTTP/1.9§\r\n", .unsupportedVersion),
            Refusal("GET / HTTP/0.9§\r\n", .unsupportedVersion),
            Refusal("GET / HTTP/2.0§\r\n", .unsupportedVersion),
            Refusal("GET / HTTP/3.1§\r\n", .unsupportedVersion),
            Refusal("PRI * HTTP/2.0§\r\n\r\nSM\r\n\r\n", .unsupportedVersion),
            Refusal("GET / HTTP/1§\r\n", .invalidVersion),
            Refusal("GET / HTTP/1.§\r\n", .invalidVersion),
            Refusal("GET / HTTP/1.1§0\r\n", .invalidVersion),
            Refusal("GET / HTTP/1§1.1\r\n", .invalidVersion),
            Refusal("GET / HTTP/§+1.1\r\n", .invalidVersion),
            Refusal("GET / §http/1.1\r\n", .invalidVersion),
            Refusal("GET / HTTP§ /1.1\r\n", .invalidVersion),
            Refusal("GET / HTTP/1§,1\r\n", .invalidVersion),
            Refusal("GET / §ICAP/1.0\r\n", .invalidVersion),
            Refusal("GET / HTTP/1.§x\r\n", .invalidVersion),
        ])
    func versions(_ refusal: Refusal) {
        expectRefused(refusal)
        #expect(refusal.error.status == (refusal.error == .unsupportedVersion ? 505 : 400))
    }

    @Test("A target holds no byte outside visible ASCII and none of the excluded characters")
    func targetCharacters() {
        let allowed = Set((0x21...0x7e).map { UInt8($0) }).subtracting("\"#<>\\^`{|}".utf8)
        for byte in UInt8.min...UInt8.max where !allowed.contains(byte) && ![0x0a, 0x0d, 0x20].contains(byte) {
            // Once within the first sixteen bytes, once behind them, once near the end of the buffer.
            for lead in ["/", "/0123456789abcdef0123456789abcdef"] {
                for tail in ["", "x HTTP/1.1\r\nHost: a\r\n\r\n"] {
                    let bytes = Array("GET \(lead)".utf8) + [byte] + Array(tail.utf8)
                    #expect(parseHead(bytes) == .refused(.invalidTarget), "byte \(byte)")
                    #expect(parseHeadByteByByte(bytes) == .refused(.invalidTarget), "byte \(byte)")
                }
            }
        }
    }

    @Test(
        "A target is in origin form, absolute form, or * with OPTIONS",
        arguments: [
            Refusal("GET hook HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("OPTIONS *? HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("GET http:/a/ HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("GET https:// HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("GET example.com:80 HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            Refusal("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", .invalidHost),
            Refusal("GET http://?x HTTP/1.1\r\nHost: a\r\n\r\n", .invalidHost),
            Refusal("GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", .invalidHost),
            Refusal("GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n\r\n", .invalidHost),
            Refusal("GET http://b:65536/ HTTP/1.1\r\nHost: a\r\n\r\n", .invalidHost),
            Refusal("GET http://b:x/ HTTP/1.1\r\nHost: a\r\n\r\n", .invalidHost),
            Refusal("CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", .unsupportedMethod),
            Refusal("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", .unsupportedMethod),
            Refusal("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", .unsupportedMethod),
        ])
    func targetForms(_ refusal: Refusal) { expectRefused(refusal) }

    @Test(
        "Field lines are token, colon, value; nothing is folded",
        arguments: [
            Refusal.field("§ Host: a\r\n\r\n", .blankBeforeFirstField),
            Refusal.field("§\tHost: a\r\n\r\n", .blankBeforeFirstField),
            Refusal.field("Host: a\r\n§ b\r\n\r\n", .obsoleteLineFolding),
            Refusal.field("Host: a\r\n§\tb\r\n\r\n", .obsoleteLineFolding),
            Refusal.field("Host: a\r\n§ \r\n\r\n", .obsoleteLineFolding),
            Refusal.field("Host§ : a\r\n\r\n", .blankBeforeColon),
            Refusal.field("Host§\t: a\r\n\r\n", .blankBeforeColon),
            Refusal.field("Transfer-Encoding§ : chunked\r\n\r\n", .blankBeforeColon),
            Refusal.field("§: a\r\n\r\n", .emptyFieldName),
            Refusal.field("Host§\r\n\r\n", .missingColon),
            Refusal.field("Host: a\r\nContent-Length§\r\n\r\n", .missingColon),
            Refusal.field("Ho§(st: a\r\n\r\n", .invalidFieldName),
            Refusal.field("Ho§\0st: a\r\n\r\n", .invalidFieldName),
            Refusal.field("H\u{6f}§\u{80}: a\r\n\r\n", .invalidFieldName),
            Refusal.field("§\0: a\r\n\r\n", .invalidFieldName),
            Refusal.field("§\"Host\": a\r\n\r\n", .invalidFieldName),
            Refusal.field("Host: a§\0\r\n\r\n", .invalidFieldValue),
            Refusal.field("Host: a\r\nX: b§\u{b}\r\n\r\n", .invalidFieldValue),
            Refusal.field("Host: a\r\nX: b§\u{7f}\r\n\r\n", .invalidFieldValue),
            Refusal.field("Host: a\r\nX: 0123456789abcdef0123456789abcdef§\u{1b}\r\n\r\n", .invalidFieldValue),
        ])
    func fieldLines(_ refusal: Refusal) { expectRefused(refusal) }

    @Test("A name takes token characters only, wherever in a vector they stand")
    func nameCharacters() {
        for byte in UInt8.min...UInt8.max where !isTokenCharacter(byte) {
            for lead in ["", "a", "abcdefghijklmno", "abcdefghijklmnopqrstuvw"] {
                let bytes =
                    Array("GET / HTTP/1.1\r\nHost: a\r\n\(lead)".utf8) + [byte]
                    + Array("x: 0123456789abcdef\r\n\r\n".utf8)
                let outcome = parseHead(bytes)
                if byte == UInt8(ascii: ":"), !lead.isEmpty {
                    #expect(outcome.head != nil)
                } else {
                    #expect(outcome.error != nil, "byte \(byte) behind \(lead)")
                }
                #expect(parseHeadByteByByte(bytes) == outcome)
                #expect(parseHead(bytes, scanning: .scalar) == outcome)
            }
        }
    }

    @Test("A value takes no control character but HTAB, wherever in a vector it stands")
    func valueCharacters() {
        for byte in UInt8.min...UInt8.max where !isFieldValueCharacter(byte) && byte != 0x0d {
            for lead in 0..<35 {
                let text = "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "v", count: lead)
                let bytes = Array(text.utf8) + [byte] + Array("w\r\n\r\n".utf8)
                let error: HTTPParseError = byte == 0x0a ? .bareLineFeed : .invalidFieldValue
                #expect(parseHead(bytes) == .refused(error), "byte \(byte) at \(lead)")
                #expect(parseHead(bytes, scanning: .scalar) == .refused(error), "byte \(byte) at \(lead)")
            }
        }
    }

    @Test(
        "HTTP/1.1 needs exactly one valid Host",
        arguments: [
            Refusal("GET / HTTP/1.1\r\n\r\n", .missingHost),
            Refusal("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", .missingHost),
            Refusal("GET http://a/ HTTP/1.1\r\n\r\n", .missingHost),
            Refusal("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", .repeatedHost),
            Refusal("GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", .repeatedHost),
            Refusal("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", .repeatedHost),
            Refusal("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", .invalidHost),
            Refusal.field("Host:\r\n\r\n", .invalidHost),
            Refusal.field("Host: \t\r\n\r\n", .invalidHost),
            Refusal.field("Host: :80\r\n\r\n", .invalidHost),
            Refusal.field("Host: a b\r\n\r\n", .invalidHost),
            Refusal.field("Host: a/b\r\n\r\n", .invalidHost),
            Refusal.field("Host: u@a\r\n\r\n", .invalidHost),
            Refusal.field("Host: a\u{e4}\r\n\r\n", .invalidHost),
            Refusal.field("Host: a:65536\r\n\r\n", .invalidHost),
            Refusal.field("Host: a:99999999999999999999\r\n\r\n", .invalidHost),
            Refusal.field("Host: a:-1\r\n\r\n", .invalidHost),
            Refusal.field("Host: a:80:80\r\n\r\n", .invalidHost),
            Refusal.field("Host: a:80 \tb\r\n\r\n", .invalidHost),
            Refusal.field("Host: a%4\r\n\r\n", .invalidHost),
            Refusal.field("Host: a%4g\r\n\r\n", .invalidHost),
            Refusal.field("Host: a#b\r\n\r\n", .invalidHost),
            Refusal.field("Host: ::1\r\n\r\n", .invalidHost),
            Refusal.field("Host: [::1\r\n\r\n", .invalidHost),
            Refusal.field("Host: [::1]a\r\n\r\n", .invalidHost),
            Refusal.field("Host: []\r\n\r\n", .invalidHost),
            Refusal.field("Host: [:]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [:::]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [1::2::3]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [12345::]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [1:2:3:4:5:6:7]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [1:2:3:4:5:6:7:8:9]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [1:2:3:4:5:6:7:8::]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [1:2:3:4:5:6:7:]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [::1.2.3]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [::1.2.3.256]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [::1.2.3.04]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [::1.2.3.4:5]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [fe80::1%eth0]\r\n\r\n", .invalidHost),
            Refusal.field("Host: [v1.x]\r\n\r\n", .invalidHost),
        ])
    func hosts(_ refusal: Refusal) { expectRefused(refusal) }

    @Test(
        "Content-Length is one field of 1 to 19 digits",
        arguments: [
            ("Content-Length: 1\r\nContent-Length: 1", HTTPParseError.repeatedContentLength),
            ("Content-Length: 1\r\nContent-Length: 2", .repeatedContentLength),
            ("Content-Length: 1, 1", .invalidContentLength),
            ("Content-Length: 1,2", .invalidContentLength),
            ("Content-Length:", .invalidContentLength),
            ("Content-Length: +1", .invalidContentLength),
            ("Content-Length: -1", .invalidContentLength),
            ("Content-Length: 0x10", .invalidContentLength),
            ("Content-Length: 1 2", .invalidContentLength),
            ("Content-Length: 1\t2", .invalidContentLength),
            ("Content-Length: 1.0", .invalidContentLength),
            ("Content-Length: 1e2", .invalidContentLength),
            ("Content-Length: \"1\"", .invalidContentLength),
            ("Content-Length: 1_000", .invalidContentLength),
            ("Content-Length: 00000000000000000001", .invalidContentLength),
            ("Content-Length: 18446744073709551617", .invalidContentLength),
            ("Content-Length: 9999999999999999999", .bodyTooLarge),
            ("Content-Length: 9223372036854775808", .bodyTooLarge),
            ("Content-Length: 1099511627777", .bodyTooLarge),
        ])
    func contentLength(fields: String, error: HTTPParseError) {
        expectRefused(Refusal.field("Host: a\r\n\(fields)\r\n\r\n", error))
        #expect(error.status == (error == .bodyTooLarge ? 413 : 400))
    }

    @Test(
        "Transfer-Encoding is one field, chunked alone, in HTTP/1.1, without Content-Length",
        arguments: [
            ("Transfer-Encoding: chunked\r\nContent-Length: 0", HTTPParseError.contentLengthWithTransferEncoding),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", .contentLengthWithTransferEncoding),
            ("Content-Length: 5\r\nTransfer-Encoding: identity", .contentLengthWithTransferEncoding),
            ("Content-Length: 5\r\nTransfer-Encoding: xchunked", .contentLengthWithTransferEncoding),
            ("Content-Length: 5\r\nTransfer-Encoding:", .contentLengthWithTransferEncoding),
            ("Content-Length: 5\r\nTransfer-Encoding:\tchunked", .contentLengthWithTransferEncoding),
            ("Content-Length: 5\r\ntRANSFER-eNCODING: chunked", .contentLengthWithTransferEncoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .repeatedTransferEncoding),
            ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", .repeatedTransferEncoding),
            ("Transfer-Encoding: gzip", .unsupportedTransferEncoding),
            ("Transfer-Encoding: gzip, chunked", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked, gzip", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked, chunked", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked,", .unsupportedTransferEncoding),
            ("Transfer-Encoding: ,chunked", .unsupportedTransferEncoding),
            ("Transfer-Encoding: identity", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunked;q=1", .unsupportedTransferEncoding),
            ("Transfer-Encoding: \"chunked\"", .unsupportedTransferEncoding),
            ("Transfer-Encoding: xchunked", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chunke", .unsupportedTransferEncoding),
            ("Transfer-Encoding: chun ked", .unsupportedTransferEncoding),
            ("Transfer-Encoding:", .unsupportedTransferEncoding),
            ("Transfer-Encoding: ch\u{b5}nked", .unsupportedTransferEncoding),
        ])
    func transferEncoding(fields: String, error: HTTPParseError) {
        expectRefused(Refusal.field("Host: a\r\n\(fields)\r\n\r\n", error))
        #expect(error.status == (error == .unsupportedTransferEncoding ? 501 : 400))
    }

    @Test(
        "HTTP/1.0 has no transfer codings",
        arguments: ["chunked", "gzip", "identity"])
    func transferEncodingInOldVersion(coding: String) {
        expectRefused(
            Refusal(
                "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: \(coding)\r\n\r\n",
                .transferEncodingInOldVersion))
    }

    @Test("Names with an underscore are other names: they frame nothing")
    func underscores() throws {
        let text = "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n"
        let head = try #require(parseHead(text).head)
        #expect(head.framing == .none)
        #expect(head.fields.map(\.known) == [.host, .other, .other])
    }

    @Test(
        "An expectation other than 100-continue is 417",
        arguments: ["", "100-continue, x", "200-ok", "100-continue;x=y", "100 continue"])
    func expectations(value: String) {
        expectRefused(Refusal.field("Host: a\r\nExpect: \(value)\r\n\r\n", .unknownExpectation))
        #expect(HTTPParseError.unknownExpectation.status == 417)
    }

    @Test("Every error has its own lower-case-hyphen name and a 4xx or 5xx status")
    func names() {
        var names = Set<String>()
        for error in HTTPParseError.allCases {
            let name = "\(error.name)"
            #expect(!name.isEmpty && name.utf8.allSatisfy { ($0 >= 0x61 && $0 <= 0x7a) || $0 == 0x2d })
            #expect(names.insert(name).inserted)
            #expect([400, 408, 413, 414, 417, 431, 501, 505].contains(error.status))
        }
    }
}
