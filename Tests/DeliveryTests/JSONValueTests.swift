import Delivery
import Testing

@Suite("JSON values")
struct JSONValueTests {
    private func parse(_ text: String) -> JSONValue? { JSONValue(Array(text.utf8)) }

    @Test(
        "what is no JSON text is refused",
        arguments: [
            "", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "01", "1.", ".5", "-", "+1", "1e", "nul",
            "tru",
            "\"", "\"\\x\"", "\"\\u12\"", "\"a\nb\"", "1 2", "[] []", "\u{feff}{}", "'a'", "NaN",
        ])
    func refused(text: String) { #expect(parse(text) == nil) }

    @Test("values are what they say; members keep order and repetition, numbers their text")
    func values() {
        #expect(parse(" null ") == .null && parse("true") == true && parse("-1.5e+3") == .number("-1.5e+3"))
        #expect(parse("123456789012345678901234567890") == .number("123456789012345678901234567890"))
        let object = parse(#"{"a":1,"A":2,"a":[{"b":"c"}]}"#)
        #expect(object?["a"]?.elements?.first?["b"]?.text == "c" && object?["A"] == .number("2"))
        #expect(object?.members?.count == 3 && object?["c"] == nil && parse("[]")?["a"] == nil)
        #expect(parse(#"{"Ref":1}"#)?.member(ignoringCase: "ref") == .number("1"))
        #expect(parse(#"{"REF":1,"ref":2,"Ref":3}"#)?.member(ignoringCase: "ref") == .number("2"))
    }

    @Test("escapes become what they stand for; a lone surrogate becomes U+FFFD")
    func escapes() {
        #expect(parse(#""\"\\\/\b\f\n\r\t\u00e4""#)?.text == "\"\\/\u{8}\u{c}\n\r\t\u{e4}")
        #expect(parse(#""\ud83d\ude00""#)?.text == "\u{1f600}")
        #expect(parse(#""\ud83d""#)?.text == "\u{fffd}" && parse(#""\ud83dx""#)?.text == "\u{fffd}x")
        #expect(parse(#""\ud83d\u0041""#)?.text == "\u{fffd}A")
    }

    @Test("bytes that are no UTF-8 are refused")
    func encoding() {
        #expect(JSONValue([0x22, 0xff, 0x22]) == nil && JSONValue([0x22, 0xc3, 0x22]) == nil)
        #expect(JSONValue([0x22, 0xed, 0xa0, 0x80, 0x22]) == nil)
    }

    @Test("depth and the number of values are bounded")
    func bounds() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(parse(nested(JSONValue.depthMax)) != nil && parse(nested(JSONValue.depthMax + 1)) == nil)
        #expect(parse(String(repeating: "[", count: 1_000_000)) == nil)
        let many =
            [UInt8(ascii: "[")]
            + Array(repeatElement([UInt8(ascii: "1"), UInt8(ascii: ",")], count: JSONValue.valuesMax).joined())
        #expect(JSONValue(many + Array("1]".utf8)) == nil)
    }

    @Test("the first value of a stream counts, and what follows does not")
    func stream() {
        #expect(JSONValue.first(in: Array("{} trailing".utf8)) == .object([]))
        #expect(JSONValue.first(in: Array("x".utf8)) == nil)
    }

    @Test("what is written is read back, whatever the text is")
    func roundTrip() {
        for seed in UInt64(1)...20 {
            var random = SystemlessRandom(state: seed)
            for _ in 0..<200 {
                let value = random.value(depth: 0)
                #expect(JSONValue(value.serialized) == value, "seed \(seed)")
            }
        }
    }

    @Test("any bytes are read without a crash")
    func noise() {
        var random = SystemlessRandom(state: 7)
        let alphabet = Array("{}[]:,\"\\ntrufals0123456789.eE+-u \n\u{e4}".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in alphabet.randomElement(using: &random)!
            }
            if let value = JSONValue(bytes) { #expect(JSONValue(value.serialized) == value) }
        }
    }
}

private struct SystemlessRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func value(depth: Int) -> JSONValue {
        switch Int.random(in: 0...(depth < 4 ? 5 : 3), using: &self) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &self))
        case 2: return .number(String(Int.random(in: -1_000_000...1_000_000, using: &self)))
        case 3: return .string(text())
        case 4: return .array((0..<Int.random(in: 0...4, using: &self)).map { _ in value(depth: depth + 1) })
        default:
            return .object(
                (0..<Int.random(in: 0...4, using: &self)).map { _ in
                    JSONValue.Member(name: text(), value: value(depth: depth + 1))
                })
        }
    }

    private mutating func text() -> String {
        String(
            String.UnicodeScalarView(
                (0..<Int.random(in: 0...8, using: &self)).map { _ in
                    Unicode.Scalar(UInt32.random(in: 0...0xd7ff, using: &self)) ?? "x"
                }))
    }
}
