import Testing

@testable import CEL

/// Filters and requests made to be slow or large: each ends by the cost limit, not by patience.
@Suite struct CostTests {
    static let data: CELValue = {
        let words = (0..<2_000).map { "\"item\($0)\"" }.joined(separator: ",")
        let numbers = (0..<2_000).map { "\($0).5e-300" }.joined(separator: ",")
        let members = (0..<2_000).map { "\"key\($0)\":\($0)" }.joined(separator: ",")
        let text = String(repeating: "a", count: 100_000)
        let accents = String(repeating: "é", count: 50_000)
        let parts = [
            "\"l\":[\(words)]", "\"n\":[\(numbers)]", "\"k\":{\(members)}", "\"s\":\"\(text)\"", "\"u\":\"\(accents)\"",
            "\"p\":\"(a|aa)+$\"", "\"c\":\"(?:[a-z]{3}){300}\"",
            "\"b\":\"\(String(repeating: "YWJj", count: 25_000))\"",
        ]
        return (try? json("{" + parts.joined(separator: ",") + "}")) ?? .null
    }()

    @Test(
        "an expression that would run or grow for ever is ended",
        arguments: [
            "req.l.all(a, req.l.all(b, req.l.all(c, a + b + c != 'x')))", "req.l.all(a, req.l.all(b, true))",
            "req.l.all(a, req.l.all(b, req.none || true))", "req.l.all(a, !(a in req.l && false))",
            "req.l.all(a, req.l.exists_one(b, b == a))",
            "req.l.all(a, req.s.matches('(a|aa)+$') || true)", "req.l.all(a, req.s.matches(req.p) || true)",
            "req.l.all(a, req.l.all(b, b.matches(req.c) || true))",
            "req.l.all(a, req.u.matches('(?i)[\\\\p{Lu}x]z') || true)", "req.l.all(a, req.s.replace('a', req.s) != '')",
            "req.s.replace('', req.s) != ''",
            "req.l.all(a, req.s.split('').size() > 0)",
            "req.l.join(req.s) + req.l.join(req.s) + req.l.join(req.s) != ''", "req.l.all(a, req.s.reverse() != '')",
            "req.l.all(a, req.u.trim() != '!' && req.u.upperAscii() != '')", "req.l.all(a, strings.quote(req.s) != '')",
            "req.l.all(a, req.s.indexOf('aaaab') < 0)",
            "req.l.all(a, req.u.lastIndexOf('éa') < 0)", "req.l.all(a, req.l.all(b, '%e'.format([1e-300]) != ''))",
            "req.l.all(a, '%s'.format([req]) != '')",
            "req.l.all(a, '%x'.format([req.s]) != '')", "req.l.all(a, req == req)",
            "req.l.all(a, req.k == req.k && req.s == req.s && req.s <= req.s)",
            "sets.equivalent(req.l, req.l) && sets.equivalent(req.l, req.l)",
            "req.l.all(a, base64.encode(base64.decode(req.b)) != '')", "req.l.all(a, bytes(req.s) != b'')",
            "req.l.all(a, req.l.all(b, timestamp('2024-05-01T00:00:00Z').getHours('Foo/' + b) > 0 || true))",
            "req.l.map(a, req.l.map(b, req.l)) == []",
            "req.l.map(a, req.s + a) == []", "req.l.map(a, req.l + req.l) == []",
            "req.l.map(a, req.l.map(b, b.split(''))) == []", "req.l.all(a, req.k.map(x, {x: x}).size() > 0)",
            "[1,2,3,4,5,6,7,8].all(a, [1,2,3,4,5,6,7,8].all(b, [1,2,3,4,5,6,7,8].all(c, req.l.all(d, req.l.all(e, true)))))",
            "req.l.all(a, req.l.all(b, optional.of(b).optMap(x, x).hasValue()))",
        ])
    func limit(_ source: String) throws {
        let program = try CELProgram.compile(source, variables: ["req"], expecting: .any)
        #expect(throws: CELEvaluationError.costLimit) { try program.evaluate(["req": Self.data], costMax: 100_000) }
    }

    @Test("the limit is the caller's, and nothing absorbs it")
    func limits() throws {
        let program = try CELProgram.compile("req.l.all(a, a != '') || true", variables: ["req"], expecting: .bool)
        #expect(throws: CELEvaluationError.costLimit) { try program.evaluateBool(["req": Self.data], costMax: 1_000) }
        #expect(try program.evaluateBool(["req": Self.data], costMax: 20_000))
        #expect(throws: CELEvaluationError.costLimit) { try program.evaluate(["req": Self.data], costMax: 0) }
        let quantified = try CELProgram.compile(
            "[1].exists(x, req.s.reverse() == '') || true", variables: ["req"], expecting: .bool)
        #expect(throws: CELEvaluationError.costLimit) { try quantified.evaluateBool(["req": Self.data], costMax: 100) }
    }

    @Test("usual filters are far from the limit")
    func usual() throws {
        let source =
            "req.l.exists(x, x.startsWith('item1999')) && req.s.matches('^a+$') && req.k.all(k, k.contains('key'))"
        let program = try CELProgram.compile(source, variables: ["req"], expecting: .bool)
        #expect(try program.evaluateBool(["req": Self.data]))
    }
}
