import Testing

@testable import CEL

@Suite struct JSONTests {
    @Test("values of every kind, numbers all double")
    func values() throws {
        let text =
            #" {"a": [1, -2.5e3, 0, -0, 1E2], "b": {"c": null, "d": true, "e": false}, "f": "x\n\u00e9\ud83d\ude00\/"} "#
        let expected = CELValue.map(
            CELMap([
                (.string("a"), .list([.double(1), .double(-2_500), .double(0), .double(-0.0), .double(100)])),
                (
                    .string("b"),
                    .map(CELMap([(.string("c"), .null), (.string("d"), .bool(true)), (.string("e"), .bool(false))]))
                ),
                (.string("f"), .string("x\né😀/")),
            ]))
        #expect(try json(text) == expected)
        for scalar in ["1", "\"a\"", "null", " true ", "[]", "{}", "[[]]"] {
            #expect(throws: Never.self) { try json(scalar) }
        }
        guard case .double(let zero) = try json("-0") else { return }
        #expect(zero.sign == .minus)
        #expect(try json("9007199254740993") == .double(9_007_199_254_740_992))
        #expect(try json("0.1") == .double(0.1))
        #expect(try json("123456789012345") == .double(123_456_789_012_345))
    }

    @Test("of equal names the last wins, in small objects and in large ones")
    func duplicates() throws {
        #expect(try json(#"{"a":1,"b":2,"a":3}"#) == json(#"{"b":2,"a":3}"#))
        let names = (0..<50).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        guard case .map(let map) = try json("{\(names),\"k7\":\"last\",\"k49\":0}") else { return }
        #expect(map.count == 50)
        #expect(map["k7"] == .string("last"))
        #expect(map["k49"] == .double(0))
        #expect(map["k50"] == nil)
        // Names are compared by code point.
        guard case .map(let accents) = try json(#"{"\u00e9":1,"e\u0301":2}"#) else { return }
        #expect(accents.count == 2)
    }

    @Test(
        "text that is no JSON",
        arguments: [
            ("", CELJSONError.Reason.unexpectedEnd, 0), ("  ", .unexpectedEnd, 2), ("{", .unexpectedEnd, 1),
            ("[1,", .unexpectedEnd, 3), ("[1,]", .unexpectedByte, 3),
            ("{\"a\":1,}", .unexpectedByte, 7), ("{a:1}", .unexpectedByte, 1), ("[1 2]", .unexpectedByte, 3),
            ("{\"a\" 1}", .unexpectedByte, 5), ("nul", .unexpectedEnd, 3),
            ("nulL", .unexpectedByte, 3), ("true false", .trailingBytes, 5), ("1 ,", .trailingBytes, 2),
            ("01", .invalidNumber, 1), ("-", .invalidNumber, 1), ("1.", .invalidNumber, 2),
            ("1e", .invalidNumber, 2), (".5", .unexpectedByte, 0), ("+1", .unexpectedByte, 0),
            ("1e999", .numberOutOfRange, 5), ("NaN", .unexpectedByte, 0), ("'a'", .unexpectedByte, 0),
            ("\"a", .unexpectedEnd, 2), ("\"\n\"", .controlCharacter, 1), ("\"\\x\"", .invalidEscape, 3),
            ("\"\\ud800\"", .invalidEscape, 7), ("\"\\udc00\"", .invalidEscape, 7),
            ("\"\\ud800\\u0041\"", .invalidEscape, 13), ("\"\\u12\"", .invalidEscape, 5),
            ("// a\n1", .unexpectedByte, 0), ("\u{feff}1", .unexpectedByte, 0),
        ])
    func refused(_ text: String, _ reason: CELJSONError.Reason, _ offset: Int) {
        #expect(throws: CELJSONError(reason: reason, offset: offset)) { try json(text) }
    }

    @Test("UTF-8 is checked: overlong forms, surrogates, cut sequences")
    func invalidUTF8() {
        for bytes in [
            [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xff], [0xc3], [0x80], [0xe2, 0x82],
        ] as [[UInt8]] {
            #expect(throws: CELJSONError.self) { try json(bytes: [0x22] + bytes + [0x22]) }
            #expect(throws: CELJSONError.self) { try json(bytes: Array("{\"a".utf8) + bytes + Array("\":1}".utf8)) }
            #expect(throws: CELJSONError.self) { try json(bytes: bytes) }
        }
    }

    @Test("64 levels are fine, 65 are not")
    func depth() {
        func nested(_ count: Int) -> String {
            String(repeating: "[", count: count) + String(repeating: "]", count: count)
        }
        #expect(throws: Never.self) { try json(nested(64)) }
        #expect(throws: CELJSONError(reason: .tooDeep, offset: 64)) { try json(nested(65)) }
        #expect(throws: CELJSONError.self) { try json(String(repeating: "{\"a\":", count: 100_000)) }
    }

    @Test("random bytes, and damaged JSON, never trap")
    func random() throws {
        var random = SeededRandom()
        for _ in 0..<5_000 {
            _ = try? json(
                bytes: (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                    UInt8.random(in: .min ... .max, using: &random)
                })
        }
        let whole = Array(#"{"a":[1,-2.5e3,{"b":"\u00e9\ud83d\ude00é"}],"c":null,"d":[true,false]}"#.utf8)
        for _ in 0..<20_000 {
            var damaged = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                damaged[Int.random(in: damaged.indices, using: &random)] =
                    Bool.random(using: &random)
                    ? UInt8.random(in: .min ... .max, using: &random) : whole.randomElement(using: &random) ?? 0
            }
            _ = try? json(bytes: Array(damaged.prefix(Int.random(in: 1...damaged.count, using: &random))))
        }
    }
}
