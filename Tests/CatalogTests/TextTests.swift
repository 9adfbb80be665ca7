import Testing

@testable import Catalog

@Suite struct QuantityTests {
    @Test(
        "a duration that Go would not take is refused",
        arguments: [
            "", "10", "s", "1.5", "-1s", "1 s", "10x", "1h-5m", ".s", "1..5s", "1e3s", "１s", "1d", "+", "9223372037s",
            "99999999999999999999h",
        ])
    func badDuration(text: String) {
        #expect(throws: QuantityError.self) { try Quantity.nanoseconds(text) }
    }

    @Test(
        "a duration is read as Go reads it",
        arguments: [
            ("0", 0), ("0s", 0), ("10s", 10_000_000_000), ("1h30m", 5_400_000_000_000), ("1.5s", 1_500_000_000),
            (".5m", 30_000_000_000), ("1.s", 1_000_000_000), ("+2ms", 2_000_000), ("3us", 3_000), ("3µs", 3_000),
            ("3μs", 3_000), ("7ns", 7), ("1h1h", 7_200_000_000_000), ("9223372036s", 9_223_372_036_000_000_000),
        ] as [(String, UInt64)])
    func goodDuration(text: String, expected: UInt64) throws {
        #expect(try Quantity.nanoseconds(text) == expected)
    }

    @Test("days are for settings only")
    func days() throws {
        #expect(try Quantity.nanoseconds("7d", allowDays: true) == 7 * 86_400 * 1_000_000_000)
        #expect(try Quantity.nanoseconds("1d12h", allowDays: true) == 36 * 3_600 * 1_000_000_000)
        #expect(throws: QuantityError.self) { try Quantity.nanoseconds("7d") }
    }

    @Test(
        "a size that is none is refused",
        arguments: [
            "", "MiB", "-1", "1.5MiB", "10 0", "1kib", "1m", "9223372036854775808", "9007199254740993GiB", "0x10",
        ])
    func badSize(text: String) {
        #expect(throws: QuantityError.self) { try Quantity.bytes(text) }
    }

    @Test(
        "a size is read with decimal and binary units",
        arguments: [
            ("0", 0), ("65536", 65_536), ("1B", 1), ("512MiB", 512 << 20), ("25 MiB", 25 << 20), ("4GiB", 4 << 30),
            ("1TiB", 1 << 40), ("2Ki", 2_048), ("1kB", 1_000), ("3MB", 3_000_000),
        ])
    func goodSize(text: String, expected: Int) throws {
        #expect(try Quantity.bytes(text) == expected)
    }

    @Test("what is printed is read back as the same quantity")
    func roundTrip() throws {
        for bytes in [0, 1, 1_023, 1_024, 65_536, 25 << 20, 25 << 20 + 64 << 10, 4 << 30, 1 << 40] {
            #expect(try Quantity.bytes(Quantity.text(bytes: bytes)) == bytes)
        }
        for nanoseconds: UInt64 in [0, 1, 1_500_000, 90_000_000_000, 3_600_000_000_000] {
            #expect(try Quantity.nanoseconds(Quantity.text(nanoseconds: nanoseconds)) == nanoseconds)
        }
    }
}

@Suite struct NearestNameTests {
    @Test(
        "a slip finds what was meant",
        arguments: [
            ("evnts", "events"), ("event", "events"), ("secretref", "secretRefs"), ("EVENTS", "events"),
            ("tpye", "type"), ("actoins", "actions"),
        ])
    func near(written: String, meant: String) {
        #expect(NearestName.of(written, among: ["type", "events", "secretRefs", "actions", "path"]) == meant)
    }

    @Test(
        "what is far from everything finds nothing",
        arguments: ["", "zzz", "x", "colour", String(repeating: "a", count: 65)])
    func far(written: String) {
        #expect(NearestName.of(written, among: ["type", "events", "secretRefs", "actions", "path"]) == nil)
    }
}

@Suite struct Base64Tests {
    @Test(
        "what is not base64 is refused",
        arguments: [
            "=", "A", "AA", "AAA", "AA=", "AA===", "A===", "====", "AA==A", "AA=A", "AAAA=", "A A=", "_w==", "é",
            "AA\0=",
        ])
    func bad(text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test(
        "base64 is decoded, line breaks and all",
        arguments: [
            ("", []), ("AA==", [0]), ("AP8=", [0, 255]), ("AP/+", [0, 255, 254]), ("AP/+AQ==", [0, 255, 254, 1]),
            ("Zm9v\nYmFy\r\n", Array("foobar".utf8)), ("Zg=\n=", Array("f".utf8)),
        ] as [(String, [UInt8])])
    func good(text: String, expected: [UInt8]) {
        #expect(Base64.decode(text) == expected)
    }
}

@Suite struct QuotedTests {
    @Test("nothing can move a cursor, end a line or reverse the reading direction")
    func control() {
        #expect(quoted("a\u{1b}[2Jb\nc\u{202e}d\u{7f}") == "\"a\\u{1b}[2Jb\\u{a}c\\u{202e}d\\u{7f}\"")
        #expect(quoted("say \"x\\\"") == "\"say \\\"x\\\\\\\"\"")
    }

    @Test("a long text is cut")
    func long() {
        #expect(quoted(String(repeating: "x", count: 100)) == "\"" + String(repeating: "x", count: 64) + "…\"")
    }
}

@Suite struct WebhookPathTests {
    /// Recorded from notification-controller's GetWebhookPath.
    @Test(
        "the path is the hash of token, name and namespace",
        arguments: [
            (
                Array("token".utf8), "webapp", "flux-system",
                "fa11f91add0541d3260e46b7920f6222cf027249d5ba9c787b4e2e49b193cddc"
            ),
            ([], "webapp", "flux-system", "3233e84e97aefdc9ef2d57710271fc9582da261c768f3d29946b56ad710154e1"),
            (Array("a\n".utf8), "r", "n", "00a18c07ad3c3d0aff40f21ef7df7d542f71d1d4b84443bdd2782ebf294b542a"),
            (
                Array("pässwörd-世界".utf8), "receiver", "ns",
                "ecca897dc96252827c79a2bd0753f95697663af74640d1d1a06f76182387c3e3"
            ),
            ([0x00, 0xff, 0xfe, 0x01], "r", "n", "92330d459c68a20c5d02663183608805ab94d2ddfdeeb0e1029bd5b7a5a77301"),
        ] as [([UInt8], String, String, String)])
    func path(token: [UInt8], name: String, namespace: String, digest: String) {
        #expect(WebhookPath.flux(token: token, name: name, namespace: namespace) == "/hook/" + digest)
    }

    @Test("without separators different receivers share a path")
    func collision() {
        let path = WebhookPath.flux(token: Array("a".utf8), name: "bc", namespace: "d")
        #expect(path == WebhookPath.flux(token: Array("ab".utf8), name: "c", namespace: "d"))
        #expect(path == WebhookPath.flux(token: Array("a".utf8), name: "b", namespace: "cd"))
    }

    @Test("a shown path keeps four digits of the secret part")
    func redacted() {
        let path = WebhookPath.flux(token: Array("token".utf8), name: "webapp", namespace: "flux-system")
        #expect(WebhookPath.redacted(path) == "/hook/fa11…")
        #expect(WebhookPath.redacted("/hooks/team-a/webapp") == "/hooks/team-a/webapp")
    }
}

@Suite struct HTTPURLTests {
    @Test(
        "a URL that no call can use is refused without being repeated",
        arguments: [
            "", "x", "ftp://host/", "http://", "http:///x", "http://user:hunter2@host/", "http://host/#x",
            "http://ho st/",
            "http://host:0/", "http://host:65536/", "http://host:x/", "http://[::1/", "http://[::1]x/", "http://hôst/",
            "http://host/\r\nX: y", "//host/", "http://h<>/",
        ])
    func bad(text: String) {
        #expect { try HTTPURL(text) } throws: { error in
            !"\(error)".contains("hunter2") && !"\(error)".contains("\r")
        }
    }

    @Test("a URL is taken apart")
    func good() throws {
        let url = try HTTPURL("http://127.0.0.1:9000/build?x=1")
        #expect(url.host == "127.0.0.1" && url.port == 9_000 && url.target == "/build?x=1" && !url.isSecure)
        #expect(try HTTPURL("HTTPS://Example.org").port == 443)
        #expect(try HTTPURL("http://example.org?x").target == "/?x")
        let six = try HTTPURL("http://[::1]:80/")
        #expect(six.host == "::1" && six.authority == "[::1]:80" && six.target == "/")
    }
}
