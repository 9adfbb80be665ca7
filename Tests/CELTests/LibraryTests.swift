import Testing

@testable import CEL

@Suite struct LibraryTests {
    @Test(
        "strings",
        arguments: [
            "'abc'.charAt(0) == 'a'", "'abc'.charAt(3) == ''", "'aéb'.charAt(1) == 'é'", "'a😀b'.indexOf('b') == 2",
            "'abcabc'.indexOf('c', 3) == 5", "'abc'.indexOf('') == 0", "'abc'.indexOf('', 2) == 2",
            "'abc'.indexOf('z') == -1",
            "'abc'.indexOf('a', 10) == -1", "'abcabc'.lastIndexOf('a') == 3", "'abcabc'.lastIndexOf('a', 2) == 0",
            "'abc'.lastIndexOf('') == 3", "'ababa'.lastIndexOf('aba') == 2", "'ababa'.lastIndexOf('aba', 1) == 0",
            "'😀😀'.lastIndexOf('😀') == 1", "''.lastIndexOf('a') == -1", "'abc'.lastIndexOf('a', 3) == -1",
            "['a', 'b'].join() == 'ab'", "[].join('-') == ''", "['a'].join('-') == 'a'", "'ÀB'.lowerAscii() == 'Àb'",
            "'àb'.upperAscii() == 'àB'", "'aaa'.replace('a', 'b', 2) == 'bba'", "'aaa'.replace('a', 'b', 0) == 'aaa'",
            "'aaa'.replace('a', '', -1) == ''", "'ab'.replace('', '-') == '-a-b-'",
            "'éb'.replace('', '-', 2) == '-é-b'",
            "''.replace('', 'x') == 'x'", "'a,b,c'.split(',', 1) == ['a,b,c']", "'a,b,c'.split(',', 0) == []",
            "'a,b,c'.split(',', -1) == ['a', 'b', 'c']", "'abc'.split('') == ['a', 'b', 'c']",
            "'abc'.split('', 2) == ['a', 'bc']",
            "''.split(',') == ['']", "''.split('') == []", "'a,'.split(',') == ['a', '']",
            "'é😀'.split('') == ['é', '😀']",
            "'tacocat'.substring(4) == 'cat'", "'tacocat'.substring(0, 4) == 'taco'", "'aéb'.substring(1, 2) == 'é'",
            "'abc'.substring(3) == ''", "' \\t\\n\\u00a0a\\u2003 '.trim() == 'a'", "'héllo'.reverse() == 'olléh'",
            "strings.quote('a\\n\"\\\\') == '\"a\\\\n\\\\\"\\\\\\\\\"'", "'abc'.contains('')", "''.contains('')",
            "!''.contains('a')",
            "'aaab'.contains('aab')", "'abc'.startsWith('')", "'abc'.endsWith('abc')", "!'abc'.endsWith('xabc')",
            "matches('abc', 'b')", "'abc' < 'abd'", "'a' < 'é'", "'Z' < 'a'", "size('héllo') == 5", "'a' + 'b' == 'ab'",
            "b'a' + b'b' == b'ab'", "b'a' < b'b'", "[1] + [2] == [1, 2]", "'\\u00e9' in ['e\\u0301'] == false",
            "!('\\u00e9' in {'e\\u0301': 1})", "!'\\u00e9'.startsWith('e')",
        ])
    func strings(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "positions outside of a text",
        arguments: [
            ("'abc'.charAt(4)", "index out of range: 4"), ("'abc'.charAt(-1)", "index out of range: -1"),
            ("'abc'.indexOf('a', -1)", "index out of range: -1"), ("'abc'.substring(4)", "index out of range: 4"),
            ("'abc'.substring(-1)", "index out of range: -1"), ("'abc'.substring(1, 4)", "index out of range: 4"),
            ("'abc'.substring(2, 1)", "invalid substring range. start: 2, end: 1"),
            ("'abc'.charAt(9223372036854775807)", "index out of range: 9223372036854775807"),
            ("'abc'.lastIndexOf('a', -1)", "index out of range: -1"),
            ("[1, 'a'].map(x, x)", "1:5: expected type 'int' but found 'string'"),
            ("dyn([dyn(1)]).join()", "no such overload"),
        ])
    func positions(_ source: String, _ text: String) { #expect(failure(source) == text) }

    @Test(
        "format",
        arguments: [
            "'%s'.format(['a']) == 'a'", "'%%'.format([]) == '%'", "'%d %d'.format([1, 2u]) == '1 2'",
            "'%s'.format([[1, 'b', 1.5, null]]) == '[1, b, 1.5, null]'",
            "'%s'.format([{'b': 1, 'a': true}]) == '{a: true, b: 1}'",
            "'%s %s'.format([duration('2h'), timestamp('2009-11-10T23:00:00Z')]) == '7200s 2009-11-10T23:00:00Z'",
            "'%s'.format([type('')]) == 'string'", "'%s'.format([b'xyz']) == 'xyz'",
            "'%s'.format([1e21]) == '1000000000000000000000'",
            "'%f'.format([2.71828]) == '2.718280'", "'%.3f'.format([2.71828]) == '2.718'",
            "'%.0f'.format([2.5]) == '2'",
            "'%.0f'.format([3.5]) == '4'", "'%.2f'.format([0.005]) == '0.01'", "'%.1f'.format([0.05]) == '0.1'",
            "'%.1f'.format([9.96]) == '10.0'",
            "'%.2f'.format([-0.001]) == '-0.00'", "'%.1f'.format([1e22]) == '10000000000000000000000.0'",
            "'%.0f'.format([0.4]) == '0'",
            "'%.3f'.format([0.0]) == '0.000'", "'%.20f'.format([0.1]) == '0.10000000000000000555'",
            "'%.0f'.format([0.6]) == '1'",
            "'%e'.format([1052.032911275]) == '1.052033e+03'", "'%.2e'.format([0.0]) == '0.00e+00'",
            "'%.0e'.format([9.6]) == '1e+01'",
            "'%.3e'.format([5e-324]) == '4.941e-324'", "'%f'.format([1.0 / 0.0]) == 'Infinity'",
            "'%d %d'.format([1.5, 2.0]) == '1.5 2'", "'%f'.format([1]) == '1.000000'",
            "'%b %b'.format([5, true]) == '101 1'", "'%o'.format([8]) == '10'",
            "'%x %X'.format([255, 255u]) == 'ff FF'",
            "'%x'.format(['Hi']) == '4869'", "'%X'.format([b'\\xab']) == 'AB'", "'%d'.format([-7]) == '-7'",
            "'%b'.format([-5]) == '-101'",
        ])
    func format(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "formats that fail",
        arguments: [
            ("'%s'.format([])", "index 0 out of range"),
            ("'%'.format([])", "could not parse formatting clause: unexpected end of string"),
            ("'%z'.format([1])", "could not parse formatting clause: unrecognized formatting clause \"z\""),
            (
                "'%d'.format(['a'])",
                "error during formatting: decimal clause can only be used on ints, uints, and doubles, was given string"
            ),
            (
                "'%x'.format([1.5])",
                "error during formatting: only ints, uints, bytes, and strings can be formatted as hex, was given double"
            ),
            (
                "'%o'.format([true])",
                "error during formatting: octal clause can only be used on ints and uints, was given bool"
            ),
            ("'%.f'.format([1.0])", "could not parse formatting clause: invalid precision"),
            ("'%.99999999f'.format([1.0])", "could not parse formatting clause: invalid precision"),
        ])
    func badFormats(_ source: String, _ text: String) { #expect(failure(source) == text) }

    @Test(
        "optional values",
        arguments: [
            "optional.of(1).hasValue()", "!optional.none().hasValue()",
            "optional.none().or(optional.of(1)).value() == 1",
            "optional.of(1).or(optional.of(2)).value() == 1", "optional.none().orValue(3) == 3",
            "optional.of(1).orValue(1 / 0) == 1",
            "!optional.ofNonZeroValue('').hasValue()", "!optional.ofNonZeroValue(0).hasValue()",
            "optional.ofNonZeroValue([1]).hasValue()",
            "optional.of(1) == optional.of(1)", "optional.none() == optional.none()",
            "optional.of(1) != optional.none()",
            "{'a': 1}.?a.value() == 1", "{'a': 1}[?'b'] == optional.none()", "[1][?0].value() == 1",
            "![1][?7].hasValue()",
            "![1][?-1].hasValue()", "[?optional.of(1), ?optional.none()] == [1]",
            "{?'a': optional.of(1), ?'b': optional.none()} == {'a': 1}",
            "optional.of(1).optMap(x, x + 1).value() == 2", "!optional.none().optMap(x, x).hasValue()",
            "optional.of({'a': 1}).optFlatMap(x, x.?b) == optional.none()",
            "optional.of({'a': {'b': 1}}).a.b.value() == 1",
            "!has({'a': {'x': 1}}.?b.c)", "has(optional.of({'c': 1}).c)", "[1, 2].first().value() == 1",
            "[1, 2].last() == optional.of(2)",
            "!req.?a.?b.hasValue()", "req.?a[?0].orValue('x') == 'x'", "optional.of([1, 2])[1].value() == 2",
            "optional.unwrap([optional.of(1), optional.none()]) == [1]", "[optional.of(1)].unwrapOpt() == [1]",
        ])
    func optionals(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "sets and base64",
        arguments: [
            "sets.contains([], [])", "sets.contains([1, 2], [2])", "!sets.contains([1], [1, 2])",
            "sets.equivalent([1, 1, 2], [2, 1])",
            "!sets.equivalent([1], [1, 2])", "sets.intersects([1, 2], [2, 3])", "!sets.intersects([], [])",
            "sets.contains([dyn(1)], [1.0])",
            "base64.encode(b'') == ''", "base64.encode(b'a') == 'YQ=='", "base64.encode(b'ab') == 'YWI='",
            "base64.encode(b'abc') == 'YWJj'",
            "base64.decode('YQ==') == b'a'", "base64.decode('YQ') == b'a'", "base64.decode('YWI=') == b'ab'",
            "base64.decode('') == b''",
            "base64.decode('+/+/') == b'\\xfb\\xff\\xbf'",
        ])
    func setsAndBase64(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test("text that is no base64", arguments: ["a", "a===", "YQ=", "Y!==", "YQ==YQ==", "====", "-_-_"])
    func badBase64(_ text: String) { #expect(failure("base64.decode('\(text)')") == "illegal base64 data") }
}
