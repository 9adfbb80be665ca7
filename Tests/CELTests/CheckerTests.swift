import Testing

@testable import CEL

@Suite struct CheckerTests {
    @Test(
        "what no evaluation could make sense of does not compile",
        arguments: [
            ("x", "1:1: undeclared reference to 'x' (in container '')"),
            ("req.a +\n  x", "2:3: undeclared reference to 'x' (in container '')"),
            ("1 + 'a'", "1:3: found no matching overload for '_+_' applied to '(int, string)'"),
            ("'a'.startsWith(1)", "1:15: found no matching overload for 'startsWith' applied to 'string.(int)'"),
            ("startsWith('a', 'b')", "1:11: found no matching overload for 'startsWith' applied to '(string, string)'"),
            ("!1", "1:1: found no matching overload for '!_' applied to '(int)'"),
            ("1 && true", "1:3: found no matching overload for '_&&_' applied to '(int, bool)'"),
            ("[1].all(x, x)", "1:8: found no matching overload for '_&&_' applied to '(bool, int)'"),
            ("[1].exists(x, 'a')", "1:11: found no matching overload for '_||_' applied to '(bool, string)'"),
            (
                "(1).all(x, true)",
                "1:2: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)"
            ),
            ("'a'.b", "1:4: type 'string' does not support field selection"),
            ("[1][true]", "1:4: found no matching overload for '_[_]' applied to '(list(int), bool)'"),
            ("true ? 1 : 'a'", "1:6: found no matching overload for '_?_:_' applied to '(bool, int, string)'"),
            ("{1: 1, 'a': 1}", "1:8: expected type 'int' but found 'string'"),
            ("{'a': 1, 'b': 'c'}", "1:15: expected type 'int' but found 'string'"),
            ("[req.a, 'b']", "1:9: expected type 'dyn' but found 'string'"),
            ("[?1]", "1:3: expected type 'optional_type(int)' but found 'int'"),
            ("{[1]: 1}", "1:2: unsupported key type: list(int)"),
            ("for", "1:1: reserved identifier: for"),
            ("[1].map(x.y, 1)", "1:10: argument must be a simple name"),
            ("google.rpc.Status{code: 1}", "1:18: undeclared reference to 'google.rpc.Status' (in container '')"),
            ("'a'.matches('(')", "1:13: error parsing regexp: missing closing ): `(`"),
            ("has(req.?a)", "1:8: invalid argument to has() macro"),
            ("null + 1", "1:6: found no matching overload for '_+_' applied to '(null, int)'"),
            ("null == 1", "1:6: found no matching overload for '_==_' applied to '(null, int)'"),
        ])
    func refused(_ source: String, _ text: String) { #expect(compileError(source) == text) }

    @Test(
        "what Flux does not offer does not compile",
        arguments: [
            "math.abs(1)", "[1].sort()", "[1].distinct()", "[[1]].flatten()", "lists.range(1)", "[1].slice(0, 1)",
            "cel.bind(x, 1, x)", "regex.replace('a', 'b', 'c')", "[1].all(i, v, v > 0)",
            "{'a': 1}.transformMap(k, v, v)",
            "[1].transformList(i, v, v)", "url('a')", "isURL('a')", "req.`a`", "'a'.find('b')", "ip('1.1.1.1')",
            "quantity('1')", "semver('1.0.0')", "[1].sum()", "[1].min()", "'a'.quote()", "proto.hasExt(req, a)",
        ])
    func unavailable(_ source: String) { #expect(!compileError(source).isEmpty) }

    @Test(
        "the static type of a result",
        arguments: [
            ("1", "int"), ("req", "map(string, dyn)"), ("req.a", "dyn"), ("req.a == 1", "bool"),
            ("[1, 2]", "list(int)"),
            ("[]", "list(dyn)"), ("{}", "map(dyn, dyn)"), ("{'a': [1u]}", "map(string, list(uint))"),
            ("req.a[0]", "dyn"), ("[1][0]", "int"), ("req.?a", "optional_type(dyn)"),
            ("req.?a.b", "optional_type(dyn)"),
            ("[1].first()", "optional_type(int)"), ("optional.of(1).orValue(2)", "int"), ("type(1)", "type(int)"),
            ("req.l.map(x, x + 'a')", "list(string)"), ("req.l.filter(x, true)", "list(dyn)"),
            ("true ? [] : [1]", "list(int)"),
            ("req.a ? 1 : req.b", "dyn"), ("req.a && req.b", "bool"), ("!!req.a", "dyn"), ("req.a + 1", "int"),
            ("req.a + req.b", "dyn"), ("timestamp(0) - timestamp(0)", "duration"), ("[[]] + [[1]]", "list(list(int))"),
            ("dyn(1)", "dyn"), ("optional.none()", "optional_type(dyn)"), ("[?req.?a]", "list(dyn)"),
            ("[1].map(x, x == 1, 'a')", "list(string)"), ("{'a': 1}.map(k, k)", "list(string)"),
            ("req.?a.optMap(x, 1)", "optional_type(int)"), ("req.?a.optFlatMap(x, x.?b)", "optional_type(dyn)"),
        ])
    func resultTypes(_ source: String, _ type: String) throws {
        #expect(try CELProgram.compile(source, variables: ["req"], expecting: .any).resultType == type)
    }

    @Test("a filter must be a bool, statically")
    func bool() {
        #expect(compileError("req.flag", expecting: .bool) == "output type mismatch: expected bool, got dyn")
        #expect(compileError("!!req.flag", expecting: .bool) == "output type mismatch: expected bool, got dyn")
        #expect(compileError("1", expecting: .bool) == "output type mismatch: expected bool, got int")
        #expect(compileError("req.flag == true", expecting: .bool) == "")
        #expect(compileError("!req.flag", expecting: .bool) == "")
    }

    @Test("size and nesting are bounded, with errors that say so")
    func bounds() {
        #expect(compileError(String(repeating: " ", count: 64 << 10) + "1").contains("larger than 65536 bytes"))
        for (open, close) in [("(", ")"), ("[", "]"), ("{1:", "}"), ("-(", ")"), ("req[", "]"), ("size(", ")")] {
            let deep = String(repeating: open, count: 5_000) + "1" + String(repeating: close, count: 5_000)
            #expect(compileError(deep).contains("nested more than 250 deep"))
        }
        let chains = [
            String(repeating: "1 + ", count: 5_000) + "1", "req" + String(repeating: ".a", count: 5_000),
            "req" + String(repeating: "[0]", count: 5_000), String(repeating: "true ? 1 : ", count: 5_000) + "1",
            "'a'" + String(repeating: ".trim()", count: 5_000), "req.?a" + String(repeating: ".or(req.?b)", count: 300),
            "[1]" + String(repeating: ".map(x, x)", count: 300),
        ]
        for chain in chains { #expect(compileError(chain).contains("nested more than 250 deep")) }
        // Logic is flat, however long.
        #expect(isTrue(String(repeating: "false || ", count: 5_000) + "true"))
        #expect(isTrue(String(repeating: "true && ", count: 5_000) + "true"))
    }

    @Test("types that would double with each step are settled")
    func typeGrowth() {
        var source = "[[]]"
        for depth in 0..<60 { source = "[\(source)].map(x\(depth), {x\(depth)[0]: x\(depth)[0]})" }
        #expect(!compileError(source).isEmpty)
        var nested = "[[1]]"
        for depth in 0..<40 { nested += ".map(x\(depth), [x\(depth), x\(depth)])" }
        #expect(compileError(nested).isEmpty)
    }
}
