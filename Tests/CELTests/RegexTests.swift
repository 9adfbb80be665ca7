import Testing

@testable import CEL

private func matches(_ pattern: String, _ text: String) throws -> Bool { try LinearRegex(pattern).search(in: text) }

@Suite struct RegexTests {
    @Test(
        "what matches, and what does not",
        arguments: [
            ("", "", true), ("", "a", true), ("a", "bab", true), ("a", "b", false), ("^a$", "a", true),
            ("^a$", "ab", false),
            ("a|b|", "x", true), ("^(a|b)+$", "abba", true), ("^a*b?c+$", "aacc", true), ("^a{2}$", "aa", true),
            ("^a{2}$", "aaa", false), ("^a{2,}$", "aaaa", true), ("^a{1,2}$", "aaa", false), ("^a{0}$", "", true),
            ("a{,2}", "a{,2}", true),
            ("a{b", "a{b", true), ("^.$", "é", true), ("^.$", "\n", false), ("(?s)^.$", "\n", true),
            ("^a*?$", "aa", true),
            ("^a+?b??c{2}?$", "acc", true), ("[abc]", "xbx", true), ("^[^abc]$", "d", true), ("^[^abc]$", "a", false),
            ("^[^a]$", "\n", true),
            ("[a-c]", "d", false), ("[]a]", "]", true), ("[^]a]", "]", false), ("[a-]", "-", true), ("[-a]", "-", true),
            ("[a\\-z]", "b", false),
            ("^[\\d_]+$", "1_2", true), ("^[^\\d]$", "1", false), ("^[[:alpha:]]+$", "abZ", true),
            ("^[[:^alpha:]]$", "a", false),
            ("^[[:word:]]$", "_", true), ("^\\d\\D\\s\\S\\w\\W$", "1a b_-", true), ("\\s", "\u{b}", false),
            ("[[:space:]]", "\u{b}", true),
            ("\\bfoo\\b", "a foo b", true), ("\\bfoo\\b", "afoo", false), ("\\Boo\\B", "fooo", true),
            ("\\Afoo\\z", "foo", true),
            ("foo\\z", "foo\n", false), ("foo$", "foo\n", false), ("(?m)foo$", "foo\nbar", true),
            ("(?m)^bar", "foo\nbar", true), ("^bar", "foo\nbar", false),
            ("(?i)AbC", "aBc", true), ("a(?i)b", "aB", true), ("a(?i)b", "AB", false), ("a(?i:b)c", "aBc", true),
            ("a(?i:b)c", "aBC", false),
            ("((?i)a)b", "AB", false), ("(?i)a(?-i)b", "Ab", true), ("(?i)a(?-i)b", "AB", false),
            ("(?i)[a-z]", "É", false), ("(?i)é", "É", true),
            ("(?i)[à-ü]", "É", true), ("(?i)k", "\u{212a}", true), ("(?i)\u{212a}", "k", true), ("(?i)s", "ſ", true),
            ("(?i)[^k]", "K", false),
            ("(?i)σ", "ς", true), ("(?U)a+", "a", true), ("(?iU-s)a.", "A\n", false), ("^\\pL+$", "aéж", true),
            ("^\\p{L}$", "1", false), ("^\\PL$", "1", true),
            ("^\\p{Lu}\\p{Ll}\\pN$", "Éa٣", true), ("^\\p{^Lu}$", "a", true), ("^[\\p{Nd}\\pP]+$", "1!", true),
            ("^[^\\pL]$", "é", false), ("\\p{Any}", "x", true),
            ("^\\x41\\x{1F600}\\101\\0$", "A😀A\0", true), ("^\\a\\f\\t\\n\\r\\v$", "\u{7}\u{c}\t\n\r\u{b}", true),
            ("\\.\\*\\/\\_", ".*/_", true),
            ("^\\Qa.b*\\E+$", "a.b**", true), ("\\Qa.b", "axb", false), ("\\Q\\E^a", "a", true),
            ("^(?:a|(?P<n>b)|(?<m>c))$", "c", true), ("(|a)*", "b", true),
            ("^(a*)*$", "aaa", true), ("(a*)+b", "aab", true), ("^(?:(?:a?)*)*$", "b", false), ("x*", "", true),
            ("$^", "", true), ("a$b", "ab", false),
            ("^refs/heads/(main|release-.*)$", "refs/heads/release-1", true),
            ("^v[0-9]+\\.[0-9]+\\.[0-9]+$", "v1.22.333", true),
            ("^v[0-9]+\\.[0-9]+\\.[0-9]+$", "v1.22.x", false), ("(^|-)v", "a-v", true), ("(^a|b)c", "xbc", true),
            ("(^a|^b)c", "xbc", false), ("(^)*a", "ba", true), ("^\\p{Greek}+$", "αΩ", true),
            ("\\p{Greek}", "a", false),
            ("^\\p{Latin}\\P{Latin}\\p{Han}\\p{^Cyrillic}$", "éж漢a", true), ("(?i)^\\p{Lu}$", "é", true),
            ("^\\pM$", "\u{301}", true),
        ])
    func outcomes(_ pattern: String, _ text: String, _ expected: Bool) throws {
        #expect(try matches(pattern, text) == expected, "\(pattern) in \(text)")
    }

    @Test(
        "patterns that RE2 refuses, in its words",
        arguments: [
            ("a(?=b)", "invalid or unsupported Perl syntax: `(?=`"),
            ("a(?!b)", "invalid or unsupported Perl syntax: `(?!`"),
            ("(?<=a)b", "invalid named capture: `(?<=a)b`"), ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
            ("(?>a)", "invalid or unsupported Perl syntax: `(?>`"),
            ("(a)\\1", "invalid escape sequence: `\\1`"), ("a++", "invalid nested repetition operator: `++`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("a|*", "missing argument to repetition operator: `*`"),
            ("(+)", "missing argument to repetition operator: `+`"),
            ("{2}", "missing argument to repetition operator: `{2}`"), ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("(a{100}){100}", "invalid repeat count: `{100}`"), ("(", "missing closing ): `(`"),
            (")", "unexpected ): `)`"), ("a)b", "unexpected ): `a)b`"),
            ("(?i", "missing closing ): `(?i`"), ("[a", "missing closing ]: `[a`"), ("[", "missing closing ]: `[`"),
            ("[]", "missing closing ]: `[]`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
            ("\\p{Foo}", "invalid character class range: `\\p{Foo}`"),
            ("\\pX", "invalid character class range: `\\pX`"), ("\\", "trailing backslash at end of expression: ``"),
            ("\\y", "invalid escape sequence: `\\y`"),
            ("\\Z", "invalid escape sequence: `\\Z`"), ("\\C", "invalid escape sequence: `\\C`"),
            ("\\xg", "invalid escape sequence: `\\x`"), ("(?P<>a)", "invalid named capture: `(?P<>a)`"),
            ("(?P<n", "invalid named capture: `(?P<n`"), ("(?z)", "invalid or unsupported Perl syntax: `(?z`"),
            ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
            ("\\p{Lu", "invalid character class range: `\\p{Lu`"),
            ("\\x{110000}", "invalid escape sequence: `\\x{11000`"),
        ])
    func refused(_ pattern: String, _ text: String) {
        #expect(throws: LinearRegexError.self) { try LinearRegex(pattern) }
        do throws(LinearRegexError) {
            _ = try LinearRegex(pattern)
        } catch {
            #expect(error.message.hasPrefix("error parsing regexp: "))
            #expect(pattern == "\\x{110000}" || error.message == "error parsing regexp: " + text)
        }
    }

    @Test("deep, large and many-fold patterns are refused, or cost what they say")
    func bounds() {
        let deep = String(repeating: "(", count: 2_000) + "a" + String(repeating: ")", count: 2_000)
        let large = [deep, String(repeating: "a", count: 20_000), String(repeating: "(?:ab){1000}", count: 20)]
        for pattern in large { #expect(throws: LinearRegexError.self) { try LinearRegex(pattern) } }
        #expect(throws: Never.self) { try LinearRegex("(?:\\pL{1000})") }
        #expect(throws: Never.self) { try LinearRegex(String(repeating: "(){1000}", count: 1_000)) }
    }

    @Test(
        "patterns that make backtracking explode take a bounded number of steps for each code point",
        arguments: [
            "(a*)*b", "(a|aa)+$", "(a+)+$", "(a|a?)+b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)(.*)(.*)(.*)(.*)x",
            "(?:a?){20}a{20}b",
        ])
    func linear(_ pattern: String) throws {
        let regex = try LinearRegex(pattern)
        for size in [1_000, 100_000] {
            let text = String(repeating: "a", count: size) + "!"
            #expect(!regex.search(in: text))
            #expect(regex.steps(in: text) <= (size + 2) * regex.program.instructions.count)
        }
    }

    @Test("an anchored pattern that has failed does not read on")
    func anchored() throws {
        let text = "x" + String(repeating: "a", count: 100_000)
        #expect(try LinearRegex("^a+$").steps(in: text) < 10)
        #expect(try LinearRegex("^(?:ab|^ac)").steps(in: text) < 20)
    }

    @Test("random patterns over random texts neither trap nor disagree with themselves")
    func random() {
        var random = SeededRandom()
        let pieces = [
            "a", "b", "é", ".", "*", "+", "?", "|", "(", ")", "[", "]", "^", "$", "\\", "{2}", "{1,3}", "-", "(?i)",
            "\\d", "\\b", "[^", ":", "\\pL", "(?:", "\\x4", "\\Q",
        ]
        var compiledCount = 0
        for _ in 0..<20_000 {
            var pattern = ""
            for _ in 0..<Int.random(in: 0..<10, using: &random) {
                pattern += pieces.randomElement(using: &random) ?? ""
            }
            guard let regex = try? LinearRegex(pattern), let group = try? LinearRegex("(?:" + pattern + "\n)?") else {
                continue
            }
            compiledCount += 1
            var text = ""
            for _ in 0..<Int.random(in: 0..<8, using: &random) {
                text += ["a", "b", "é", "1", "\n", "B"].randomElement(using: &random) ?? ""
            }
            _ = regex.search(in: text)
            #expect(group.search(in: text))
        }
        #expect(compiledCount > 1_000)
    }
}
