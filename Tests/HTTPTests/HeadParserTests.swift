import HTTP
import Testing

@Suite("Heads that are accepted")
struct HeadParserTests {
    @Test("A GitHub delivery's head is read in full", arguments: Scanning.allCases)
    func githubDelivery(scanning: Scanning) throws {
        let head = try #require(parseHead(.githubHead + "{\"ref\":", scanning: scanning).head)
        #expect(head.method == .post)
        #expect(head.methodText == "POST")
        #expect(head.minorVersion == 1)
        #expect(head.path == "/hook/bed6d00b5555b1603e1f59b94d7fdbca58089cb5663633fb83f2815dc626d92b")
        #expect(head.target == head.path)
        #expect(head.query == nil)
        #expect(head.host == "webhook-receiver.example.com")
        #expect(head.framing == .length(1024))
        #expect(head.keepsAlive)
        #expect(!head.expectsContinue)
        #expect(head.startOffset == 0)
        #expect(head.headBytes == String.githubHead.utf8.count)
        #expect(head.fields.count == 12)
        #expect(head.value(.xGitHubEvent) == "push")
        #expect(head.value(.xGitHubDelivery) == "2c1b1e6e-4a4b-4b0e-9f53-0e5a7d3c2b1a")
        #expect(head.value(.xHubSignature) == "sha1=0123456789abcdef0123456789abcdef01234567")
        #expect(
            head.value(.xHubSignature256)
                == "sha256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
        #expect(head.value(.contentType) == "application/json")
        #expect(
            head.fields[8] == .init(name: "X-GitHub-Hook-Installation-Target-ID", value: "612345678", known: .other))
    }

    @Test("Nothing received yet is no fault")
    func empty() {
        #expect(parseHead("") == .needMoreBytes)
    }

    @Test("What follows the head is not looked at, however bad it is")
    func pipelined() throws {
        let head = try #require(parseHead("GET / HTTP/1.1\r\nHost: a\r\n\r\n\0\n\u{7f}\n").head)
        #expect(head.headBytes == 27)
    }

    @Test("One leading empty line is skipped and counted")
    func leadingEmptyLine() throws {
        let bytes = Array("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        for outcome in [parseHead(bytes), parseHeadByteByByte(bytes)] {
            let head = try #require(outcome.head)
            #expect(head.startOffset == 2)
            #expect(head.headBytes == bytes.count)
            #expect(head.path == "/x")
            #expect(head.host == "a")
        }
    }

    @Test("Blanks around a value are trimmed, HTAB as well as SP, and those inside are kept")
    func optionalWhitespace() throws {
        let head = try #require(
            parseHead("GET / HTTP/1.1\r\nHost:\t \ta \t\t\r\nA: b \t c\r\nB:\r\nC: \t \r\n\r\n").head)
        #expect(head.fields.map(\.value) == ["a", "b \t c", "", ""])
        #expect(head.host == "a")
    }

    @Test("Values may hold obs-text and every visible character")
    func obsoleteText() throws {
        let value = (0x21...0x7e).map { UInt8($0) } + [0x20] + (0x80...0xff).map { UInt8($0) }
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + value + Array("\r\n\r\n".utf8)
        for outcome in [parseHead(bytes), parseHead(bytes, scanning: .scalar), parseHeadByteByByte(bytes)] {
            let head = try #require(outcome.head)
            #expect(head.fields[1].value.unicodeScalars.map { UInt8($0.value) } == value)
        }
    }

    @Test("Names may be made of every token character")
    func tokenNames() throws {
        let name = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        let head = try #require(parseHead("GET / HTTP/1.1\r\nHost: a\r\n\(name): v\r\n\r\n").head)
        #expect(head.fields[1] == .init(name: name, value: "v", known: .other))
    }

    @Test(
        "Methods are recognised by case",
        arguments: [
            ("GET", Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete),
            ("PATCH", .patch), ("OPTIONS", .options), ("post", .other), ("PURGE", .other), ("G", .other),
            ("PROPFIND", .other), ("M-SEARCH", .other), ("POSTS", .other), ("!#$%&'*+-.^_`|~", .other),
        ])
    func methods(text: String, method: Method) throws {
        let head = try #require(parseHead("\(text) / HTTP/1.1\r\nHost: a\r\n\r\n").head)
        #expect(head.method == method)
        #expect(head.methodText == text)
    }

    struct Target: CustomTestStringConvertible {
        var target: String
        var path: String
        var query: String?
        var host = "field.example"
        var method = "POST"
        var testDescription: String { target }
    }

    @Test(
        "A target is split into path, query and host",
        arguments: [
            Target(target: "/", path: "/"),
            Target(target: "/hook/a", path: "/hook/a"),
            Target(target: "/hook?", path: "/hook", query: ""),
            Target(target: "/hook?a=b?c", path: "/hook", query: "a=b?c"),
            Target(
                target: "/hook/0123456789abcdef0123456789?token=0123456789abcdef",
                path: "/hook/0123456789abcdef0123456789", query: "token=0123456789abcdef"),
            Target(target: "//a/../b/./c", path: "//a/../b/./c"),
            Target(target: "/%2e%2E/%zz", path: "/%2e%2E/%zz"),
            Target(target: "http://target.example/hook", path: "/hook", host: "target.example"),
            Target(target: "HTTPS://Target.Example:8443/hook?x", path: "/hook", query: "x", host: "Target.Example"),
            Target(target: "http://target.example", path: "", host: "target.example"),
            Target(target: "http://target.example?x", path: "", query: "x", host: "target.example"),
            Target(target: "http://[::1]:80/", path: "/", host: "[::1]"),
            Target(target: "*", path: "*", method: "OPTIONS"),
        ])
    func targets(_ expected: Target) throws {
        let text = "\(expected.method) \(expected.target) HTTP/1.1\r\nHost: field.example:9292\r\n\r\n"
        let head = try #require(parseHead(text).head)
        #expect(head.target == expected.target)
        #expect(head.path == expected.path)
        #expect(head.query == expected.query)
        #expect(head.host == expected.host)
    }

    @Test(
        "Hosts and ports of every legal form are taken apart",
        arguments: [
            ("a", "a"), ("example.com", "example.com"), ("example.com:", "example.com"),
            ("example.com:0", "example.com"),
            ("example.com:65535", "example.com"), ("example.com:00080", "example.com"), ("EXAMPLE.com", "EXAMPLE.com"),
            ("127.0.0.1:80", "127.0.0.1"), ("under_score.example", "under_score.example"), ("a%41b:1", "a%41b"),
            ("!$&'()*+,;=~", "!$&'()*+,;=" + "~"), ("[::]", "[::]"), ("[::1]:443", "[::1]"),
            ("[2001:db8:0:1:2:3:4:5]", "[2001:db8:0:1:2:3:4:5]"), ("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]"),
            ("[1::8]", "[1::8]"), ("[1:2:3:4:5:6:7::]", "[1:2:3:4:5:6:7::]"),
            ("[1:2:3:4:5:6:1.2.3.4]", "[1:2:3:4:5:6:1.2.3.4]"),
        ])
    func hosts(value: String, host: String) throws {
        let head = try #require(parseHead("GET / HTTP/1.1\r\nHost: \(value)\r\n\r\n").head)
        #expect(head.host == host)
    }

    @Test("HTTP/1.0 needs no Host and closes unless it asks not to")
    func oldVersion() throws {
        let plain = try #require(parseHead("GET / HTTP/1.0\r\n\r\n").head)
        #expect(plain.minorVersion == 0)
        #expect(plain.host == "")
        #expect(!plain.keepsAlive)
        let kept = try #require(parseHead("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: b\r\n\r\n").head)
        #expect(kept.keepsAlive)
        #expect(kept.host == "b")
    }

    @Test(
        "Connection is a list of options in any case",
        arguments: [
            ("Connection: close", false), ("Connection: CLOSE", false), ("Connection: keep-alive", true),
            ("Connection: upgrade, close", false), ("Connection: ,\tclose\t,", false), ("Connection: closed", true),
            ("Connection: keep-alive\r\nConnection: close", false), ("Connection: close, keep-alive", false),
            ("Connection:", true), ("Connection: \"close\"", true), ("Proxy-Connection: close", true),
        ])
    func connection(field: String, keepsAlive: Bool) throws {
        let head = try #require(parseHead("GET / HTTP/1.1\r\nHost: a\r\n\(field)\r\n\r\n").head)
        #expect(head.keepsAlive == keepsAlive)
    }

    @Test(
        "The body's length follows from Content-Length and Transfer-Encoding",
        arguments: [
            ("X: y", BodyFraming.none), ("Content-Length: 0", .length(0)), ("content-length:\t42\t", .length(42)),
            ("Content-Length: 0000000000000000042", .length(42)), ("Content-Length: 1099511627776", .length(1 << 40)),
            ("Transfer-Encoding: chunked", .chunked), ("transfer-encoding:\tCHUNKED \t", .chunked),
        ])
    func framing(field: String, framing: BodyFraming) throws {
        let head = try #require(parseHead("POST / HTTP/1.1\r\nHost: a\r\n\(field)\r\n\r\n").head)
        #expect(head.framing == framing)
    }

    @Test(
        "100-continue is expected only in HTTP/1.1 and when a body is to come",
        arguments: [
            ("HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 1", true),
            ("HTTP/1.1", "Expect: 100-Continue\r\nTransfer-Encoding: chunked", true),
            ("HTTP/1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1", true),
            ("HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 0", false),
            ("HTTP/1.1", "Expect: 100-continue", false),
            ("HTTP/1.0", "Expect: 100-continue\r\nContent-Length: 1", false),
            ("HTTP/1.0", "Expect: something-else\r\nContent-Length: 1", false),
        ])
    func expectation(version: String, fields: String, expectsContinue: Bool) throws {
        let head = try #require(parseHead("POST / \(version)\r\nHost: a\r\n\(fields)\r\n\r\n").head)
        #expect(head.expectsContinue == expectsContinue)
    }

    @Test("After a reset the parser begins a new head")
    func reset() throws {
        var parser = HeadParser()
        var table = [HeaderField](repeating: .empty, count: 4)
        let first = Array("GET /first HT".utf8)
        let second = Array("GET /second HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        try table.withUnsafeMutableBufferPointer { fields in
            #expect(parser.isIdle)
            let progress = try first.withUnsafeBytes { try parser.parse($0, fields: fields, limits: RequestLimits()) }
            guard case .needMoreBytes = progress else {
                Issue.record("a partial head was taken for a whole one")
                return
            }
            #expect(!parser.isIdle)
            parser.reset()
            #expect(parser.isIdle)
            try second.withUnsafeBytes { bytes in
                guard case .head(let head) = try parser.parse(bytes, fields: fields, limits: RequestLimits()) else {
                    Issue.record("a whole head was taken for a partial one")
                    return
                }
                #expect(Array(head.path.bytes(of: bytes)) == Array("/second".utf8))
            }
        }
    }

    @Test("The parser keeps at most 16 bytes of state")
    func stateSize() {
        #expect(MemoryLayout<HeadParser>.size <= 16)
    }
}
