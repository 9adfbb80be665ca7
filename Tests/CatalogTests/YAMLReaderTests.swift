import Testing

@testable import Catalog

/// Documents of a text: the value's word, or the problem with its line.
private func read(_ text: String) -> [String] { read(Array(text.utf8)) }

private func read(_ bytes: [UInt8]) -> [String] {
    YAMLReader.documents(of: bytes).map { document in
        switch document.content {
        case .success(let node): "\(node.line): \(node.word)"
        case .failure(let problem): "\(problem.line): \(problem.message)"
        }
    }
}

@Suite struct YAMLReaderTests {
    @Test(
        "a document that is no YAML says on which line",
        arguments: [
            ("a: [", "2: not valid YAML"), ("a: b\n c: d", "2: not valid YAML"), ("\ta: b", "1: not valid YAML"),
            ("a: *x", "1: not valid YAML: found undefined alias"), ("a: 'x", "not valid YAML"),
            ("a: b: c", "1: not valid YAML"),
            ("a: 1\nb: 2\na: 3", "the key \"a\" is there twice in one map"), ("? [a]\n: b", "1: a key must be text"),
            ("{a: {b: }}}", "not valid YAML"), ("a: \u{1}", "not valid YAML"),
            ("%YAML 3.0\n---\na: b", "not valid YAML"),
            ("a: \"\\ud83d\"", "not valid YAML"), ("<<: x", "the merge key << needs a map"),
        ])
    func syntax(text: String, expected: String) {
        let found = read(text)
        #expect(found.count == 1)
        #expect(found.first?.contains(expected) == true, "\(found)")
    }

    @Test("no message repeats what the document holds")
    func noExcerpt() {
        for text in [
            "password: hunter2: x", "hunter2\n---\n- [hunter2", "a: 'hunter2", "a: \"hunter2\\q\"", "hunter2: *hunter3",
        ] {
            for message in read(text) { #expect(!message.contains("hunter2"), "\(message)") }
        }
    }

    @Test("a broken document harms none of its neighbours")
    func neighbours() {
        let found = read("a: 1\n---\nb: [\n---\nc: 3\n...\n--- {d: 4}\n--- |\n  text\n")
        #expect(found.count == 5)
        #expect(found[0] == "1: a map")
        #expect(found[1].contains("not valid YAML"))
        #expect(found[2] == "5: a map")
        #expect(found[3] == "7: a map")
        #expect(found[4] == "8: text")
    }

    @Test("bytes that are not UTF-8 are refused on their line, and their neighbours read")
    func notUTF8() {
        #expect(
            read(Array("a: 1\n---\nb: 2\nc: ".utf8) + [0xff] + Array("\n---\nd: 4\n".utf8))
                == ["1: a map", "4: not UTF-8 text; save the file as UTF-8", "6: a map"])
        #expect(read([0xfe, 0xff, 0x00, 0x61])[0].contains("not UTF-8"))
        #expect(read([0x61, 0x3a, 0x20, 0x00]).count == 1)
    }

    @Test(
        "nothing, blanks, comments, markers and nulls hold no document",
        arguments: ["", "\n\n", "# x", "---\n---\n...\n", "~", "---\n# x\n---\nnull\n", "\u{feff}"])
    func empty(text: String) {
        #expect(read(text) == [])
    }

    @Test("a byte order mark, CRLF line ends and directives are read")
    func forms() {
        #expect(read("\u{feff}a: 1\r\n---\r\nb: 2\r\n") == ["1: a map", "3: a map"])
        #expect(read("# c\n%YAML 1.2\n---\na: 1\n...\n%YAML 1.1\n---\nb: 2\n") == ["4: a map", "8: a map"])
    }

    @Test("markers inside of block scalars are text when indented")
    func indentedMarker() {
        #expect(read("a: |\n  ---\n  ...\nb: 1\n") == ["1: a map"])
    }

    @Test("JSON is read, surrogate pairs included")
    func json() throws {
        let text = #"{"a": "\ud83d\ude00 \\ud83d\\ude00 \/ \u00e9", "b": [1, true, null, 1.5e3], "c": {}}"#
        let document = try #require(YAMLReader.documents(of: Array(text.utf8)).first)
        let node = try document.content.get()
        #expect(node["a"]?.text == "😀 \\ud83d\\ude00 / é")
        guard case .list(let items)? = node["b"]?.content else { return #expect(Bool(false), "b is no list") }
        #expect(items.map(\.word) == ["a number", "a boolean", "nothing", "a number"])
    }

    @Test("nesting beyond the limit is refused", arguments: [65, 500, 5_000, 200_000])
    func nesting(depth: Int) {
        let flow = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(read("a: " + flow).first?.contains("1: ") == true)
        #expect(read("a: " + flow).first?.contains("map") == false)
        let maps = String(repeating: "{a: ", count: depth) + String(repeating: "}", count: depth)
        #expect(read(maps).first?.contains("a map") == false)
        if depth < 2_000 {
            let block = (0..<depth).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n")
            #expect(read(block).first?.contains("a map") == false)
        }
    }

    @Test("a list that repeats itself nine times on ten levels is refused quickly")
    func billionLaughs() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...10 {
            text += "a\(level): &a\(level) [" + (0..<9).map { _ in "*a\(level - 1)" }.joined(separator: ", ") + "]\n"
        }
        let started = ContinuousClock.now
        #expect(read(text).first?.contains("nested") == true)
        // In block style it is no key, and only too many values.
        var block = "a0: &a0\n- x\n- x\n"
        for level in 1...30 { block += "a\(level): &a\(level)\n- *a\(level - 1)\n- *a\(level - 1)\n" }
        #expect(read(block).first?.contains("values, aliases included") == true)
        // The same inside of keys, where a parser would hash it all.
        for key in [
            "? *a10\n: x\n", "{*a10 : x}\n", "k: {*a10, b}\n", "k: {[*a10, *a10]: x}\n", "*a10 : x\n",
            "k: {{*a10}, c}\n",
        ] {
            let found = read(text + (key.hasPrefix("{") ? "k: " + key : key))
            #expect(found.first?.contains("nested") == true, "\(key): \(found)")
        }
        // Seconds on a busy machine; read value by value it would be days.
        #expect(ContinuousClock.now - started < .seconds(600))
    }

    @Test("an anchor of one name, defined over and over, is a bomb as well")
    func shadowedAnchor() {
        var text = "b: &a [x, x]\n"
        for _ in 0..<64 { text += "- &a [*a, *a, {*a : x}]\n" }
        let found = read("k:\n" + text.replacing("b: ", with: "- "))
        #expect(found.first?.contains("nested") == true, "\(found)")
    }

    @Test("ordinary use of anchors, aliases and merge keys is fine")
    func aliases() throws {
        let text = """
            base: &base {a: 1, b: x}
            other: &other {b: y, c: z}
            one: {<<: *base, b: own}
            two:
              <<: [*base, *other]
            list: [*base, *base, *other]
            """
        let node = try YAMLReader.documents(of: Array(text.utf8))[0].content.get()
        #expect(node["one"]?["b"]?.text == "own")
        #expect(node["two"]?["b"]?.text == "x")
        #expect(node["two"]?["c"]?.text == "z")
        guard case .list(let items)? = node["list"]?.content else { return #expect(Bool(false), "no list") }
        #expect(items.count == 3 && items[2]["c"]?.text == "z")
    }

    @Test("a document of a million values is refused, not swallowed")
    func values() {
        let found = read("- [" + String(repeating: "a,", count: 1_000_001) + "]")
        #expect(found.first?.contains("more than 1000000 values") == true)
    }

    @Test(
        "plain scalars have the type that kubectl sees",
        arguments: [
            ("yes", "a boolean"), ("off", "a boolean"), ("True", "a boolean"), ("~", "nothing"), ("", "nothing"),
            ("null", "nothing"), ("12", "a number"), ("-1.5", "a number"), ("1e3", "a number"), ("0x1f", "a number"),
            ("0o17", "a number"), (".5", "a number"), (".inf", "a number"), ("1_000", "a number"), ("'12'", "text"),
            ("\"yes\"", "text"), ("!!str 12", "text"), ("!!int '12'", "a number"), ("1.2.3", "text"), ("0x", "text"),
            ("1e", "text"), ("-", "text"), ("2026-05-01T12:34:56Z", "text"), ("v1", "text"), ("!custom 5", "text"),
        ])
    func scalars(written: String, word: String) throws {
        guard written != "-" else { return }
        let node = try YAMLReader.documents(of: Array("k: \(written)\nx: y".utf8))[0].content.get()
        #expect(node["k"]?.word == word)
    }

    @Test("lines are those of the file")
    func lines() throws {
        let documents = YAMLReader.documents(of: Array("# one\n---\na:\n  b:\n  - x\n  - y: 1\n---\nc: 2\n".utf8))
        let first = try documents[0].content.get()
        #expect(first["a"]?.fields?[0].line == 4)
        guard case .list(let items)? = first["a"]?["b"]?.content else { return #expect(Bool(false), "no list") }
        #expect(items.map(\.line) == [5, 6])
        #expect(documents[1].line == 8)
    }
}

@Suite struct YAMLGateTests {
    private func cost(_ text: String) -> Double { YAMLGate.cost(of: Array(text.utf8)[...]) }

    @Test(
        "what tools write costs nothing or next to nothing, at any size",
        arguments: [
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", "{\"a\": [{\"b\": 1}, {\"c\": [[1, 2], [3]]}]}",
            "a: &a x\nb: &b y\nc: {d: *a, e: *b}\n", "run: |\n  cmd & foo *x ? y\n  case \"$1\" in *a) ;; esac\n",
            "pattern: ^([a-z]+(?:-[0-9])?)?$\ndescription: Is this right? Yes.\n", "args: [\"{a, b}\", \"[c]\"]\n",
        ])
    func ordinary(text: String) {
        #expect(cost(String(repeating: text, count: 1_000)) < YAMLGate.costMax)
    }

    @Test("the bound grows with every use of an anchor of a list or map")
    func bombs() {
        let one = cost("a: &a [x]\nb: {*a : x}")
        let two = cost("a: &a [x]\nb: &b [*a, *a]\nc: {[*b, *b]: x}")
        #expect(one > 0 && two > 4 * one)
        #expect(cost("a: &a\n- x\nb: *a\n*a : x") > 0)
    }

    @Test(
        "keys within keys count by their levels",
        arguments: ["{", "[", "{&x ", "{ !!map ", "{ # comment\n", "{a, ", "? ", "{?", "{ ? "])
    func levels(opener: String) {
        let few = cost(String(repeating: opener, count: 10) + String(repeating: "x", count: 10_000))
        let many = cost(String(repeating: opener, count: 100) + String(repeating: "x", count: 10_000))
        #expect(few > 0 && many > 5 * few)
    }
}

@Suite struct JSONFormTests {
    @Test(
        "JSON is told by its form",
        arguments: [
            "{}", "[]", " 1 ", "\"a\"", "[1, [2, {}], {\"a\": null}]", "{\"a\": \"}]\\\"{\", \"b\": -1.5E+3}\n",
            "[[[[]]]]",
        ])
    func json(text: String) {
        #expect(JSONForm.isJSON(Array(text.utf8)[...]))
    }

    @Test(
        "YAML that is no JSON is not taken for it",
        arguments: [
            "", "{a: 1}", "{[1]: 2}", "{\"a\"}", "[1,]", "{\"a\": 1,}", "[1 2]", "{\"a\": 1}}", "[", "{\"a\"",
            "\"a\nb\"", "*a", "&a []",
            "[*a]", "# c\n{}", "{} {}", "[}", "{\"a\": 'b'}", "{{}}", "\"a\\",
        ])
    func other(text: String) {
        #expect(!JSONForm.isJSON(Array(text.utf8)[...]))
    }
}

@Suite struct YAMLFieldsTests {
    private func check(_ text: String, _ read: (inout YAMLFields) -> Void) throws -> [String] {
        let node = try YAMLReader.documents(of: Array(text.utf8))[0].content.get()
        let findings = YAMLFindings()
        if var fields = YAMLFields(node, path: "spec", findings: findings) {
            read(&fields)
            fields.finish()
        }
        return findings.errors.map { "\($0.line): \($0.message)" }
    }

    @Test("a wrong type names the field, what was found and the remedy, never the value")
    func types() throws {
        let text = "t: 12\nb: hunter2\nn: hunter2\nd: soon\nm: hunter2\nl: hunter2\ns: {}\n"
        let found = try check(text) { fields in
            _ = fields.text("t")
            _ = fields.boolean("b")
            _ = fields.integer("n", in: 1...5)
            _ = fields.duration("d")
            _ = fields.map("m")
            _ = fields.list("l")
            _ = fields.size("s", in: 0...1)
        }
        #expect(
            found == [
                "1: spec.t must be text, found a number; write it in double quotes",
                "2: spec.b must be true or false, found text",
                "3: spec.n must be a whole number from 1 to 5, found text",
                "4: spec.d: \"soon\" is no duration; write it as 500ms, 10s, 5m or 1h30m",
                "5: spec.m must be a map, found text",
                "6: spec.l must be a list, found text",
                "7: spec.s must be a size such as 25MiB, found a map",
            ])
    }

    @Test("a field that nobody asked for is an error with the nearest known one; null is absent")
    func unknown() throws {
        let found = try check("type: x\ntpye: y\nzzz: 1\nevents: null\n") { fields in
            _ = fields.text("type", required: true)
            _ = fields.texts("events")
            _ = fields.text("missing", required: true)
        }
        #expect(
            found == [
                "1: spec.missing is missing", "2: unknown field \"tpye\" in spec (did you mean \"type\"?)",
                "3: unknown field \"zzz\" in spec",
            ])
    }
}
