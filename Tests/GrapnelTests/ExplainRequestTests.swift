import Delivery
import Foundation
import HTTP
import Testing

@testable import Grapnel

/// Splitmix64 from GRAPNEL_SEED, else from a seed of its own, which is printed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init() {
        let given = ProcessInfo.processInfo.environment["GRAPNEL_SEED"].flatMap { UInt64($0) }
        state = given ?? UInt64.random(in: 0...UInt64.max)
        print("GRAPNEL_SEED=\(state)")
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct RawRequestTests {
    private static let head = "POST /hooks/a/b?x=1 HTTP/1.1\r\nHost: h.example.com:8080\r\nX-Event: push\r\n"

    private func parse(_ text: String) throws -> RawRequest { try RawRequest.parse(Array(text.utf8)) }

    @Test(
        "a body is found however its length is told",
        arguments: [
            ("Content-Length: 5\r\n\r\nhello", "hello", 0),
            ("Content-Length: 5\r\n\r\nhello\n", "hello", 1),
            ("Content-Length: 9\r\n\r\nhello", "hello", 1),
            ("Content-Length: 0\r\n\r\n", "", 0),
            ("\r\nhello", "hello", 1),
            ("\r\n", "", 0),
            ("Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello", 0),
            ("Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", "hel", 1),
            ("Transfer-Encoding: chunked\r\n\r\n{\"a\":1}", "{\"a\":1}", 1),
            ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nrest", "", 1),
        ])
    func bodies(rest: String, body: String, notes: Int) throws {
        let request = try parse(Self.head + rest)
        #expect(String(decoding: request.body, as: UTF8.self) == body)
        #expect(request.notes.count == notes)
        #expect(request.inbound.body == Array(body.utf8))
        #expect(request.inbound.path == "/hooks/a/b" && request.inbound.query == "x=1")
        #expect(request.inbound.field("x-event") == "push")
        #expect(request.text(request.head.host) == "h.example.com")
    }

    @Test("lines may end with LF, and the empty line may be missing; both are told")
    func forgiven() throws {
        let whole = try parse(Self.head + "Content-Length: 2\r\n\r\n\n\n")
        let plain = try parse((Self.head + "Content-Length: 2\r\n\r\n").replacing("\r\n", with: "\n") + "\n\n")
        #expect(plain.inbound.fields == whole.inbound.fields && plain.body.elementsEqual(whole.body))
        #expect(plain.notes.count == 1 && whole.notes.isEmpty)
        for end in ["", "\r\n", "\n"] {
            let request = try parse(Self.head + "X-Last: 1" + end)
            #expect(request.inbound.field("x-last") == "1")
            #expect(request.bodyBytes == 0 && !request.notes.isEmpty)
        }
    }

    @Test("what a server refuses is refused with its reason")
    func refused() {
        #expect(throws: RawRequest.Failure.empty) { try parse("") }
        #expect(throws: RawRequest.Failure.empty) { try parse(" \r\n\r\n") }
        #expect(throws: RawRequest.Failure.refused(.missingHost)) { try parse("POST / HTTP/1.1\r\n\r\n") }
        #expect(throws: RawRequest.Failure.refused(.repeatedContentLength)) {
            try parse(Self.head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx")
        }
        #expect(throws: RawRequest.Failure.refused(.blankBeforeColon)) { try parse(Self.head + "A : 1\r\n\r\n") }
    }

    @Test("any bytes are a request or are refused")
    func total() {
        var random = Seeded()
        let pieces = [
            "POST ", "/ ", "HTTP/1.1", "\r\n", "\n", "Host: a", ":", " ", "Content-Length: 3",
            "Transfer-Encoding: chunked",
            "3\r\nabc\r\n", "0\r\n\r\n", "\u{0}", "é", "ffffffffffffffff\r\n",
        ]
        for _ in 0..<5_000 {
            let text = (0..<Int.random(in: 0..<24, using: &random)).map { _ in pieces.randomElement(using: &random)! }
            if let request = try? parse(text.joined()) { #expect(request.inbound.body.count == request.bodyBytes) }
        }
    }
}

@Suite struct JSONTextTests {
    private static let value: JSONValue = [
        "b": ["x": .array([.number("1.50"), .null, true, .array([]), .object([])])], "a": "ü/<&>\u{1}\"\\\n😀",
    ]

    @Test("compact text is what the value's own serialization is, and every style says the same")
    func styles() throws {
        let plain: JSONValue = ["b": [.number("1"), .null, false], "a": "x/y <é>"]
        #expect(JSONText().bytes(plain) == plain.serialized)
        for layout in JSONText.Layout.allCases {
            for flags in 0..<8 {
                let style = JSONText(
                    layout: layout, escapesUnicode: flags & 1 > 0, escapesSlashes: flags & 2 > 0,
                    escapesHTML: flags & 4 > 0)
                #expect(try #require(JSONValue(style.bytes(Self.value))) == Self.value)
            }
        }
    }

    @Test("layouts are those of the libraries")
    func layouts() {
        let value: JSONValue = ["b": [.number("1"), .object([])], "a": "é/<"]
        func text(_ style: JSONText) -> String { style.text(value) }
        #expect(text(JSONText(layout: .spaced)) == #"{"b": [1, {}], "a": "é/<"}"#)
        #expect(text(JSONText(layout: .indented(2))) == "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": \"é/<\"\n}")
        #expect(text(JSONText(sortsKeys: true)) == #"{"a":"é/<","b":[1,{}]}"#)
        #expect(
            text(JSONText(escapesUnicode: true, escapesSlashes: true, escapesHTML: true))
                == #"{"b":[1,{}],"a":"\u00e9\/\u003c"}"#)
    }
}

@Suite struct BodyVariantTests {
    @Test("variants differ from the body and are bounded, also for bodies that are no JSON or large")
    func bounded() {
        for body in ["", "x", "x\r\n", "{\"a\": [1, 2]}\n", "\u{feff}{}", String(repeating: "[", count: 500)] {
            let bytes = Array(body.utf8)
            let variants = BodyVariant.all(of: bytes)
            #expect(variants.allSatisfy { $0.body != bytes } && variants.count <= 100)
            #expect(variants.allSatisfy { !$0.description.contains(body) || body.count < 2 })
        }
        let large = [UInt8]("{\"a\":\"".utf8) + [UInt8](repeating: 0x61, count: BodyVariant.jsonBytesMax) + "\"}".utf8
        #expect(BodyVariant.all(of: large).count < 10)
    }
}

@Suite struct StoredDeliverySearchTests {
    @Test("the place of a record is found among the lines of the inspection, void records are not")
    func lines() {
        var search = StoredDelivery.Search(sequence: 7)
        for line in [
            "0000000000000001.segment 65536 bytes created 2026-01-02T03:04:05.678Z from #1 after #0 sync",
            "  8192 #6 2026-01-02T03:04:05.678Z delivery accepted Hook/a/b github id=\"#7\" event=\"push\" head 1 body 2",
            "  8800 #7 delivery void: never acknowledged",
            "0000000000000002.segment 65536 bytes from #7 after #6 sync",
            "  9000 #7 2026-01-02T03:04:06.000Z delivery accepted Hook/a/b github id=\"\" event=\"\" head 1 body 2",
            "  9900 #8 2026-01-02T03:04:07.000Z plan for #7: reconcile, log",
            "  9990 #9 2026-01-02T03:04:08.000Z outcome #6 done, #7[0] failed(1) \"answered 503\", #71 done",
            "7 segments, 3 records, 2 deliveries, 0 owed, 0 damaged",
        ] { search.take(line) }
        #expect(search.place?.file == "0000000000000002.segment" && search.place?.offset == 9000)
        #expect(
            search.history == [
                "2026-01-02T03:04:07.000Z planned: reconcile, log",
                "2026-01-02T03:04:08.000Z failed(1) \"answered 503\"",
            ])
    }

    @Test("no bytes of a record are trusted")
    func total() {
        var random = Seeded()
        for _ in 0..<2_000 {
            var bytes =
                [UInt8]("GJR1".utf8)
                + (0..<Int.random(in: 0..<400, using: &random)).map { _ in UInt8.random(in: 0...8, using: &random) }
            if bytes.count > 67 { bytes[36] = 1; bytes[64] = 1; bytes[66] = 2; bytes[67] = 3 }
            _ = StoredDelivery(bytes)
        }
    }
}
