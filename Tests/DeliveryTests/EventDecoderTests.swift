import Foundation
import Testing

@testable import Delivery

@Suite("Events from bodies")
struct EventDecoderTests {
    private func decode(
        _ body: [UInt8], sender: SenderType = .github, kind: String? = nil, contentType: String? = "application/json"
    ) -> Event {
        // The URLs have tests of their own.
        var event = whole(body, sender: sender, kind: kind, contentType: contentType)
        event.repositoryURLs = []
        return event
    }

    private func whole(
        _ body: [UInt8], sender: SenderType = .github, kind: String? = nil, contentType: String? = "application/json"
    ) -> Event {
        body.withUnsafeBytes { decodeEvent(sender: sender, eventKind: kind, contentType: contentType, body: $0) }
    }

    private func decode(
        _ body: String, sender: SenderType = .github, kind: String? = nil, contentType: String? = "application/json"
    ) -> Event {
        decode(Array(body.utf8), sender: sender, kind: kind, contentType: contentType)
    }

    private func payload(_ name: String) throws -> [UInt8] {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return Array(try Data(contentsOf: tests.appending(path: "Fixtures/payloads/\(name).json")))
    }

    @Test("every URL by which GitHub and GitLab name a repository is there, for whoever looks it up")
    func urls() throws {
        #expect(
            whole(try payload("github-push"), kind: "push").repositoryURLs.contains(
                "git@github.com:Codertocat/Hello-World.git"))
        let gitlab = whole(try payload("gitlab-push"), sender: .gitlab, kind: "Push Hook")
        #expect(
            gitlab.repositoryURLs.count == 3
                && Set(gitlab.repositoryURLs.compactMap { RepositoryName(url: $0) }).count == 1)
    }

    @Test("GitHub's package events name an image, its tag and its digest")
    func package() throws {
        let real = whole(try payload("github-package-published-docker"), kind: "package")
        #expect(real.image == "ghcr.io/codertocat/hello-world" && real.tag == nil)
        #expect(real.digest == "sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498")
        func event(_ url: String) -> Event {
            whole(Array(#"{"package":{"package_version":{"package_url":"\#(url)"}}}"#.utf8), kind: "package")
        }
        #expect(event("ghcr.io/Team/app:v1").image == "ghcr.io/team/app" && event("ghcr.io/Team/app:v1").tag == "v1")
        #expect(event("https://npm.pkg.github.com/app").image == nil && event("app:v1").tag == nil)
        // Of another event the same members say nothing.
        #expect(whole(try payload("github-package-published-docker"), kind: "push").image == nil)
    }

    // MARK: - Bodies that say nothing

    @Test(
        "A body that is no JSON object of the sender gives an event without members",
        arguments: [
            "", " ", "null", "true", "0", "\"refs/heads/main\"", "[]", "[{\"ref\":\"refs/heads/main\"}]", "{}", "{",
            "}",
            "{\"ref\"", "{\"ref\":", "{\"ref\":\"refs/heads/main\"", "{\"ref\":\"refs/heads/main\",}",
            "{\"ref\":\"refs/heads/main\"} x", "{'ref':'refs/heads/main'}", "{ref:\"refs/heads/main\"}",
            "{\"ref\":NaN}", "\u{feff}{\"ref\":\"refs/heads/main\"}", "{\"Ref\":\"refs/heads/main\"}",
            "{\"a\":{\"ref\":\"refs/heads/main\"}}",
        ])
    func nothing(body: String) {
        for sender in SenderType.allCases {
            #expect(decode(body, sender: sender, kind: "push") == Event(kind: "push"))
        }
    }

    @Test("An absent body is no crash")
    func noBody() {
        let event = decodeEvent(
            sender: .github, eventKind: nil, contentType: nil, body: UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(event == Event())
    }

    @Test(
        "A member of another type is absent, and the others stay",
        arguments: ["null", "true", "1", "1.5", "[]", "[\"x\"]", "{}", "{\"full_name\":1}", "\"\""])
    func wrongTypes(value: String) {
        #expect(decode("{\"ref\":\(value),\"after\":\"c0ffee\"}") == Event(commit: "c0ffee"))
        #expect(decode("{\"after\":\(value),\"ref\":\"refs/heads/x\"}") == Event(ref: "refs/heads/x"))
        #expect(decode("{\"repository\":\(value),\"ref\":\"refs/heads/x\"}") == Event(ref: "refs/heads/x"))
        #expect(decode("{\"head_commit\":\(value),\"ref\":\"refs/heads/x\"}") == Event(ref: "refs/heads/x"))
        #expect(
            decode("{\"project\":\(value),\"ref\":\"refs/heads/x\"}", sender: .gitlab) == Event(ref: "refs/heads/x"))
        #expect(
            decode("{\"repository\":{\"full_name\":\(value),\"clone_url\":\"https://a/b.git\"}}")
                == Event(repositoryURL: "https://a/b.git"))
    }

    @Test("Of members with the same name the first counts")
    func duplicates() {
        #expect(decode("{\"ref\":\"refs/heads/a\",\"ref\":\"refs/heads/b\"}").ref == "refs/heads/a")
        #expect(decode("{\"ref\":1,\"ref\":\"refs/heads/b\"}").ref == nil)
        let repositories = "{\"repository\":{\"full_name\":\"a/b\"},\"repository\":{\"full_name\":\"c/d\"}}"
        #expect(decode(repositories).repository == "a/b")
    }

    @Test("Nesting up to 64 is read, deeper is not, however deep")
    func depth() {
        func body(_ depth: Int) -> String {
            // The outer object is the first level.
            let nest = String(repeating: "[", count: depth - 1) + "1" + String(repeating: "]", count: depth - 1)
            return "{\"ref\":\"refs/heads/x\",\"deep\":\(nest)}"
        }
        #expect(decode(body(64)).ref == "refs/heads/x")
        #expect(decode(body(65)) == Event())
        #expect(decode(body(100_000)) == Event())
        #expect(decode(String(repeating: "[", count: 1_000_000)) == Event())
        #expect(decode(String(repeating: "{\"a\":", count: 200_000)) == Event())
    }

    @Test("Numbers of a mebibyte are no crash")
    func longNumbers() {
        let digits = String(repeating: "9", count: 1 << 20)
        _ = decode("{\"ref\":\"refs/heads/x\",\"n\":\(digits)}")
        _ = decode("{\"ref\":\"refs/heads/x\",\"n\":-\(digits)}")
        _ = decode("{\"ref\":\"refs/heads/x\",\"n\":0.\(digits)}")
        _ = decode("{\"ref\":\"refs/heads/x\",\"n\":1e\(digits)}")
        #expect(decode("{\"ref\":\(digits)}") == Event())
        #expect(decode(digits) == Event())
    }

    @Test("Invalid UTF-8 and broken escapes give nothing")
    func invalidText() {
        let begin = Array("{\"ref\":\"refs/heads/".utf8)
        for bytes: [UInt8] in [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]] {
            #expect(decode(begin + bytes + Array("\"}".utf8)) == Event())
        }
        for escape in ["\\ud800", "\\udc00", "\\u12", "\\x41", "\\", "\\u", "\u{1}"] {
            #expect(decode("{\"ref\":\"refs/heads/\(escape)\"}") == Event())
        }
        #expect(decode("{\"ref\":\"refs/heads/\\u00e4\\ud83d\\ude00\"}").ref == "refs/heads/\u{e4}\u{1f600}")
    }

    @Test("Text with control characters, or far too long, is no name of anything")
    func unusableText() {
        for escape in ["\\u0000", "\\n", "\\r", "\\t", "\\u001b", "\\u007f"] {
            #expect(decode("{\"ref\":\"refs/heads/x\(escape)\",\"after\":\"c0ffee\"}") == Event(commit: "c0ffee"))
        }
        let longest = "refs/heads/" + String(repeating: "x", count: 4096 - 11)
        #expect(decode("{\"ref\":\"\(longest)\"}").ref == longest)
        #expect(decode("{\"ref\":\"\(longest)x\"}").ref == nil)
    }

    @Test("More values than there is memory for give nothing")
    func tooManyValues() {
        let values = String(repeating: "1,", count: JSONDocument.valuesMax + 1)
        #expect(decode("{\"ref\":\"refs/heads/x\",\"n\":[\(values)1]}") == Event())
    }

    @Test("Real payloads cut at any byte or with any byte changed are no crash")
    func damaged() throws {
        let seed = getenv("GRAPNEL_SEED").flatMap { UInt64(String(cString: $0)) } ?? UInt64.random(in: 0...UInt64.max)
        print("damaged: GRAPNEL_SEED=\(seed)")
        var state = seed
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for name in ["github-push", "gitlab-push"] {
            let bytes = try payload(name)
            for _ in 0..<200 {
                _ = decode(Array(bytes[..<next(bytes.count)]))
                var changed = bytes
                for _ in 0...next(3) { changed[next(bytes.count)] = UInt8(next(256)) }
                for sender in SenderType.allCases { _ = decode(changed, sender: sender) }
            }
        }
    }

    // MARK: - Real payloads

    @Test("GitHub's push names repository, clone URL, ref and commit")
    func githubPush() throws {
        let expected = Event(
            kind: "push", repository: "Codertocat/Hello-World",
            repositoryURL: "https://github.com/Codertocat/Hello-World.git", ref: "refs/heads/master",
            commit: "6113728f27ae82c7b1a177c8d03f9e96e0adf246")
        let body = try payload("github-push")
        for sender in SenderType.allCases where sender != .gitlab {
            #expect(decode(body, sender: sender, kind: "push") == expected)
        }
    }

    @Test("GitHub's ping has a repository and no ref")
    func githubPing() throws {
        let event = decode(try payload("github-ping"), kind: "ping")
        #expect(
            event
                == Event(
                    kind: "ping", repository: "Octocoders/Hello-World",
                    repositoryURL: "https://github.com/Octocoders/Hello-World.git"))
    }

    @Test("A deleted tag has a ref and no commit")
    func githubTagDelete() throws {
        let event = decode(try payload("github-push-tag-delete"), kind: "push")
        #expect(event.ref == "refs/tags/simple-tag")
        #expect(event.commit == nil)
        #expect(event.repository == "Codertocat/Hello-World")
    }

    @Test("A package event has a repository alone")
    func githubPackage() throws {
        let event = decode(try payload("github-package-published-docker"))
        #expect(event.repository == "Codertocat/hello-world-npm")
        #expect(event.ref == nil && event.commit == nil)
    }

    @Test("Gitea's push is read as GitHub's")
    func giteaPush() throws {
        #expect(
            decode(try payload("gitea-push"), kind: "push")
                == Event(
                    kind: "push", repository: "example/example",
                    repositoryURL: "http://localhost:3000/example/example.git",
                    ref: "refs/heads/master", commit: "67b56589a45103f891bdee7c0546e5d40bc02001"))
    }

    @Test("GitLab's push is read by the gitlab type, and by the types without a shape of their own")
    func gitlabPush() throws {
        let expected = Event(
            kind: "Push Hook", repository: "mike/diaspora", repositoryURL: "http://example.com/mike/diaspora.git",
            ref: "refs/heads/master", commit: "da1560886d4f094c3e6c9ef40349f7d38b5d27d7")
        let body = try payload("gitlab-push")
        for sender in SenderType.allCases where sender != .github {
            #expect(decode(body, sender: sender, kind: "Push Hook") == expected)
        }
    }

    @Test("GitLab's tag push has the tag's ref and its commit")
    func gitlabTagPush() throws {
        let event = decode(try payload("gitlab-tag-push"), sender: .gitlab, kind: "Tag Push Hook")
        #expect(event.ref == "refs/tags/v1.0.0")
        #expect(event.commit == "82b3d5ae55f7080f1e6022629cdb57bfae7cccc7")
        #expect(event.repository == "jsmith/example")
    }

    @Test("Of an annotated tag the commit counts, not the tag object")
    func gitlabAnnotatedTag() {
        let body = "{\"ref\":\"refs/tags/v1\",\"checkout_sha\":\"c0ffee\",\"after\":\"7a6\"}"
        #expect(decode(body, sender: .gitlab).commit == "c0ffee")
        let deleted =
            "{\"ref\":\"refs/tags/v1\",\"checkout_sha\":null,\"after\":\"\(String(repeating: "0", count: 40))\"}"
        var expected = Event(ref: "refs/tags/v1")
        expected.isDeletion = true
        #expect(decode(deleted, sender: .gitlab) == expected)
    }

    @Test("Other senders' bodies give what they happen to share with GitHub's")
    func others() throws {
        #expect(decode(try payload("bitbucket-server-ping"), sender: .generic) == Event())
        #expect(decode(try payload("dockerhub-push"), sender: .generic) == Event())
        #expect(decode(try payload("bitbucket-cloud-push"), sender: .generic).repository == "team_name/repo_name")
    }

    @Test(
        "Short refs of create and delete become full ones",
        arguments: [
            ("main", "\"branch\"", "refs/heads/main"), ("v1", "\"tag\"", "refs/tags/v1"),
            ("refs/heads/main", "\"tag\"", "refs/heads/main"), ("main", "null", "main"), ("main", "\"x\"", "main"),
        ])
    func shortRefs(ref: String, type: String, expected: String) {
        #expect(decode("{\"ref\":\"\(ref)\",\"ref_type\":\(type)}").ref == expected)
    }

    @Test("The commit falls back to the head commit's id")
    func headCommit() {
        #expect(decode("{\"head_commit\":{\"id\":\"c0ffee\"}}").commit == "c0ffee")
        let body = "{\"after\":\"0000\",\"head_commit\":{\"id\":\"c0ffee\"}}"
        #expect(decode(body).commit == "c0ffee")
        #expect(decode("{\"after\":\"a\",\"head_commit\":{\"id\":\"c0ffee\"}}").commit == "a")
    }

    @Test("An empty event header counts as none")
    func emptyKind() {
        #expect(decode("{}", kind: "").kind == nil)
        #expect(decode("{}", kind: "push").kind == "push")
    }

    // MARK: - Form bodies

    private func escaped(_ bytes: [UInt8]) -> String {
        bytes.map { $0 == 0x20 ? "+" : "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test(
        "A form body's payload is unwrapped by content type, in any case and with parameters",
        arguments: [
            "application/x-www-form-urlencoded", "Application/X-WWW-Form-URLEncoded",
            "application/x-www-form-urlencoded; charset=utf-8", "application/x-www-form-urlencoded ;charset=utf-8",
        ])
    func form(contentType: String) throws {
        let json = try payload("github-push")
        let body = "a=b&payload=" + escaped(json) + "&payload=%7b%7d"
        let expected = decode(json, kind: "push")
        #expect(expected.ref == "refs/heads/master")
        #expect(decode(body, kind: "push", contentType: contentType) == expected)
        #expect(decode(body, sender: .generic, kind: "push", contentType: contentType) == expected)
        // Not by guessing, and never for GitLab.
        #expect(decode(body, kind: "push", contentType: "application/json") == Event(kind: "push"))
        #expect(decode(body, kind: "push", contentType: nil) == Event(kind: "push"))
        #expect(decode(body, sender: .gitlab, kind: "push", contentType: contentType) == Event(kind: "push"))
    }

    @Test(
        "A form body without a readable payload gives nothing",
        arguments: [
            "", "payload", "payload=", "&&&", "=", "=x", "payload=%", "payload=%7", "payload=%zz", "payload=%7b%7",
            "payload=null", "Payload=%7b%22ref%22:%22x%22%7d", "%zz=1&x=2", "{\"ref\":\"x\"}",
            "payload=%zz&payload={\"ref\":\"x\"}",
        ])
    func brokenForm(body: String) {
        #expect(decode(body, contentType: "application/x-www-form-urlencoded") == Event())
    }

    @Test("Escapes are decoded once, in names too, and plus is a space")
    func escapes() {
        let form = "application/x-www-form-urlencoded"
        #expect(decode("p%61yload={\"ref\":\"a+b%2Bc%2525\"}", contentType: form).ref == "a b+c%25")
        #expect(decode("x=%zz&payload={\"ref\":\"a=b\"}", contentType: form).ref == "a=b")
    }
}
