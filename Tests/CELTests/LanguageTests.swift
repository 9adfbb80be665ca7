import Testing

@testable import CEL

/// What the language definition (cel-spec doc/langdef.md) and its conformance suite say, in expressions that hold.
@Suite struct LanguageTests {
    @Test(
        "operators bind as the grammar says",
        arguments: [
            "1 + 2 * 3 == 7", "(1 + 2) * 3 == 9", "10 - 3 - 2 == 5", "2 * 3 % 4 == 2", "-2 * -3 == 6", "1 - -1 == 2",
            "true || false && false", "!(true && false)", "!!true", "--3 == 3", "---3 == -3", "1 < 2 == true",
            "false ? 1 == 2 : true", "true ? true : false ? false : false", "1 + 1 == 2 && 3 > 2 || false",
            "1 in [1, 2] == true", "[1, 2][1] + 1 == 3", "{'a': 1}.a == 1", "{'a': {'b': 2}}.a.b == 2",
            "-9223372036854775808 < 0", "0x10 == 16", "0xffu == 255u", "1u + 2u == 3u", "-0x1 == -1",
            ".5 == 0.5", "1e3 == 1000.0", "1.5e-1 == 0.15", "[1, 2,].size() == 2", "{'a': 1,}.size() == 1",
            "// comment\ntrue", "1 // one\n== 1", "'a' != 'b'", ".req == {}",
        ])
    func precedence(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "literals read with all their prefixes and escapes",
        arguments: [
            #"'\a\b\f\n\r\t\v' == '\x07\x08\x0c\x0a\x0d\x09\x0b'"#, #"'\'\"\`\?\\' == "'\"`?\\""#,
            #"'\101\x41\u0041\U00000041' == 'AAAA'"#, #"r'\n'.size() == 2"#,
            #"'''a'b''c''' == "a'b''c""#, "'''a\nb''' == 'a\\nb'", "'''a\r\nb''' == 'a\\nb'",
            #"b'\xff' != bytes('ÿ')"#, #"b'ÿ' == bytes('ÿ')"#, #"b'\377'.size() == 1"#, #"br'\n'.size() == 2"#,
            #"B"x" == b'x'"#, #"'\u00e9' == 'é'"#, #"'😀'.size() == 1"#, #"'' == """#, #"'''''' == ''"#,
            #"b'\101' == b'A'"#, #"'e\u0301' != '\u00e9'"#, #"'e\u0301'.size() == 2"#,
        ])
    func literals(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "what is no literal is refused",
        arguments: [
            "'\\z'", "'\\400'", "'\\ud800'", "'\\u12'", "b'\\u0041'", "'a\nb'", "'a", "'''a'", "\"a'",
            "9223372036854775808",
            "18446744073709551616u", "1e999", "'\\", "0x", "1..2", "`a`", "@", "a $ b", "'\\08'", "\u{0}",
        ])
    func badLiterals(_ source: String) { #expect(compileError(source).hasPrefix("1:"), "\(compileError(source))") }

    @Test(
        "macros",
        arguments: [
            "[1, 2, 3].all(x, x > 0)", "![1, 2].all(x, x > 1)", "[].all(x, false)", "[1, 2].exists(x, x == 2)",
            "![].exists(x, true)", "[1, 2, 2].exists_one(x, x == 1)", "![1, 2, 2].exists_one(x, x == 2)",
            "[1, 2].existsOne(x, x == 1)", "[1, 2].map(x, x * 2) == [2, 4]", "[1, 2, 3].map(x, x > 1, x * x) == [4, 9]",
            "[1, 2, 3].filter(x, x % 2 == 1) == [1, 3]", "{'a': 1, 'b': 2}.all(k, k in ['a', 'b'])",
            "{'a': 1, 'b': 2}.filter(k, k > 'a') == ['b']", "{'a': 1}.map(k, k + '!') == ['a!']",
            "has({'a': 1}.a)", "!has({'a': 1}.b)", "[[1], [2, 3]].exists(x, x.exists(y, y == 3))",
            "[1, 2].map(x, [3].map(x, x)) == [[3], [3]]", "[1, 2].map(x, [10, 20].map(y, x + y))[1][0] == 12",
            // Errors are absorbed once the matter is settled.
            "[1, 0].exists(x, 1 / x == 1)", "[0, 1].exists(x, 1 / x == 1)", "![0, 1].all(x, 1 / x == 2)",
        ])
    func macros(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "macros that cannot be settled fail as their bodies do",
        arguments: [
            ("[0, 1].all(x, 1 / x == 1)", "division by zero"), ("[0].exists(x, 1 / x == 1)", "division by zero"),
            ("[0, 1].exists_one(x, 1 / x == 1)", "division by zero"), ("[0].map(x, 1 / x)", "division by zero"),
            ("[0].filter(x, 1 / x == 1)", "division by zero"), ("req.n.all(x, true)", "no such key: n"),
            ("dyn(1).all(x, true)", "no such overload"), ("[dyn(1)].all(x, x)", "no such overload"),
        ])
    func macroErrors(_ source: String, _ text: String) { #expect(failure(source) == text) }

    @Test(
        "&&, || and the choice absorb errors, whichever side they are on",
        arguments: [
            "!(req.a && false)", "!(false && req.a)", "req.a || true", "true || req.a", "!(req.a.b && req.c && false)",
            "req.a || req.b || true", "true ? true : req.a", "dyn(1) || true", "!(dyn('x') && false)",
        ])
    func absorption(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "errors that nothing absorbs",
        arguments: [
            ("req.a || false", "no such key: a"), ("req.a && true", "no such key: a"),
            ("req.a ? 1 : 2", "no such key: a"),
            ("dyn(1) || false", "no such overload"), ("dyn(1) ? 1 : 2", "no such overload"),
            ("9223372036854775807 + 1", "integer overflow"), ("-9223372036854775808 - 1", "integer overflow"),
            ("-(-9223372036854775808)", "integer overflow"), ("9223372036854775807 * 2", "integer overflow"),
            ("-9223372036854775808 / -1", "integer overflow"), ("-9223372036854775808 % -1", "integer overflow"),
            ("0u - 1u", "unsigned integer overflow"), ("18446744073709551615u + 1u", "unsigned integer overflow"),
            ("1u / 0u", "division by zero"), ("1 % 0", "modulus by zero"), ("{'a': 1, 'a': 2}", "repeated key: a"),
            ("{dyn(1.0): 1}", "unsupported key type: double"), ("{'a': 1}['b']", "no such key: b"),
            ("{1: 1}[2]", "no such key: 2"), ("[1][1]", "index out of bounds: 1"),
            ("[1][-1]", "index out of bounds: -1"),
            ("dyn([1])['a']", "unsupported index type 'string' in list"), ("req.a.b", "no such key: a"),
            ("dyn('a').b", "no such key: b"), ("dyn(1) + dyn('a')", "no such overload"),
            ("dyn(1) < dyn('a')", "no such overload"), ("dyn([1]).a", "unsupported index type 'string' in list"),
            ("size(dyn(1))", "no such overload"),
            ("1 in dyn(1)", "no such overload"),
        ])
    func errors(_ source: String, _ text: String) { #expect(failure(source) == text) }

    @Test(
        "numbers compare across their types when they are dynamic, and by < and > in any case",
        arguments: [
            "dyn(1) == 1.0", "dyn(1u) == 1", "dyn(1) != 1.5", "1 < 1.5", "1u < 2", "-1 < 1u", "2.5 > 2u", "1.0 <= 1",
            "dyn(1) in [1.0]", "{1: 'a'}[dyn(1.0)] == 'a'", "{1: 'a'}[dyn(1u)] == 'a'", "dyn([1, 2]) == [1.0, 2.0]",
            "dyn({'a': 1}) == {'a': 1.0}", "[dyn(1.0)][0] == 1", "[5, 6][dyn(1.0)] == 6",
            "!(dyn(0.0 / 0.0) == 0.0 / 0.0)",
            "!(0.0 / 0.0 < 1.0)", "1.0 / 0.0 > 1", "-1.0 / 0.0 < 0", "dyn('1') != 1", "dyn(null) != 0", "0.0 == -0.0",
            "9223372036854775807 < 18446744073709551615u", "dyn(18446744073709551615u) != -1",
        ])
    func numbers(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "conversions",
        arguments: [
            "int('-7') == -7", "int(3.9) == 3", "int(-3.9) == -3", "int(7u) == 7", "uint('7') == 7u", "uint(3.9) == 3u",
            "double('1e3') == 1000.0", "double(2) == 2.0", "double('inf') > 1.0", "string(1.5) == '1.5'",
            "string(2.0) == '2'",
            "string(1e6) == '1e+06'", "string(123456.0) == '123456'", "string(0.0001) == '0.0001'",
            "string(0.00001) == '1e-05'", "string(-1.25e-7) == '-1.25e-07'", "string(1e100) == '1e+100'",
            "string(-7) == '-7'", "string(7u) == '7'", "string(b'abc') == 'abc'", "bytes('é').size() == 2",
            "bool('true')", "!bool('0')", "bool('T')", "type(1) == int", "type('') == string",
            "type(null) == null_type",
            "type([]) == list", "type({}) == map", "type(type(1)) == type", "type(1u) == uint", "type(b'') == bytes",
            "type(duration('1s')) == google.protobuf.Duration", "type(timestamp(0)) == google.protobuf.Timestamp",
            "type(optional.none()) == optional_type", "type(1.0) == double", "type(true) == bool",
            "string(timestamp('2024-05-01T01:02:03.450Z')) == '2024-05-01T01:02:03.45Z'",
            "string(duration('90m')) == '5400s'", "string(duration('1.5ms')) == '0.0015s'",
            "int(timestamp('1970-01-01T00:01:00Z')) == 60", "timestamp(60) == timestamp('1970-01-01T00:01:00Z')",
            "int(dyn('12')) == 12", "dyn(int(9223372036854774784.0)) == 9223372036854774784",
        ])
    func conversions(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "conversions that fail, at evaluation, or when the argument is a literal already when compiled",
        arguments: [
            ("[dyn('x')].map(x, int(x))", "type conversion error from 'string' to 'int'"),
            ("[dyn(1e30)].map(x, int(x))", "integer overflow"),
            ("[dyn(0.0 / 0.0)].map(x, int(x))", "integer overflow"),
            ("[dyn(-1)].map(x, uint(x))", "unsigned integer overflow"),
            ("[dyn('+1')].map(x, uint(x))", "type conversion error from 'string' to 'uint'"),
            ("[dyn('yes')].map(x, bool(x))", "type conversion error from 'string' to 'bool'"),
            ("[dyn('0x')].map(x, double(x))", "type conversion error from 'string' to 'double'"),
            ("[dyn([])].map(x, string(x))", "type conversion error from 'list' to 'string'"),
            ("[dyn(b'\\xff')].map(x, string(x))", "invalid UTF-8 in bytes, cannot convert to string"),
            ("[dyn(-62135596801)].map(x, timestamp(x))", "timestamp overflow"),
            ("double('1e999')", "1:7: type conversion error from 'string' to 'double'"),
            ("duration('1x')", "1:9: type conversion error from 'string' to 'google.protobuf.Duration'"),
        ])
    func badConversions(_ source: String, _ text: String) { #expect(failure(source) == text) }
}
