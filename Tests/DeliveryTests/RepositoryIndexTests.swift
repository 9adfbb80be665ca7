import Delivery
import Testing

@Suite("Repository index")
struct RepositoryIndexTests {
    private func object(
        _ name: String, _ url: String, kind: String = "GitRepository", namespace: String = "team-a",
        rule: RefRule = .branch("main"), isImage: Bool = false
    ) -> SourceObject {
        SourceObject(
            target: TargetReference(apiVersion: nil, kind: kind, namespace: namespace, name: name), url: url,
            isImage: isImage, rule: rule)
    }

    private func push(_ url: String, ref: String? = "refs/heads/main") -> Event {
        var event = Event(kind: "push", ref: ref)
        event.repositoryURLs = [url]
        return event
    }

    private func names(_ match: RepositoryIndex.Match) -> [String] {
        if case .targets(let targets) = match { targets.map(\.name) } else { [] }
    }

    private let kinds = ["GitRepository", "OCIRepository", "ImageRepository"]

    @Test("5,000 repositories in https, ssh and scp spellings: each push finds its own and no other")
    func thousands() {
        let objects = (0..<5_000).map { number in
            let url =
                switch number % 3 {
                case 0: "https://git.example.com/org/repo-\(number).git"
                case 1: "ssh://git@git.example.com:22/org/repo-\(number)"
                default: "git@git.example.com:org/repo-\(number).git"
                }
            return object("r\(number)", url)
        }
        let index = RepositoryIndex(objects)
        #expect(index.count == 5_000)
        for number in 0..<5_000 {
            let url =
                number % 2 == 0
                ? "https://git.example.com/org/repo-\(number).git" : "git@git.example.com:org/repo-\(number).git"
            #expect(names(index.match(push(url), kinds: kinds, namespaces: [])) == ["r\(number)"])
        }
    }

    @Test("a fork of the same name, a renamed repository and an unknown one lead to nothing, and say so")
    func others() {
        let index = RepositoryIndex([object("app", "https://github.com/Org/App")])
        #expect(names(index.match(push("https://github.com/org/app.git"), kinds: kinds, namespaces: [])) == ["app"])
        for url in [
            "https://github.com/somebody/app.git", "https://github.com/org/app-renamed.git",
            "https://git.example.com/org/app.git", "https://github.com/org/app/x.git", "", "not a url",
        ] {
            #expect(index.match(push(url), kinds: kinds, namespaces: []) == .unknown, "\(url)")
        }
    }

    @Test(
        "the ref decides",
        arguments: [
            (RefRule.branch("main"), "refs/heads/main", true), (.branch("main"), "refs/heads/dev", false),
            (.branch("main"), "refs/tags/main", false), (.tag("v1"), "refs/tags/v1", true),
            (.tag("v1"), "refs/heads/v1", false), (.anyTag, "refs/tags/v9", true), (.anyTag, "refs/heads/v9", false),
            (.named("refs/pull/1/head"), "refs/pull/1/head", true), (.pinned, "refs/heads/main", false),
            (.any, "refs/heads/x", true),
        ])
    func refs(rule: RefRule, ref: String, isFollowed: Bool) {
        let index = RepositoryIndex([object("a", "https://h/o/r", rule: rule)])
        let match = index.match(push("https://h/o/r.git", ref: ref), kinds: kinds, namespaces: [])
        #expect(match == (isFollowed ? .targets([object("a", "", rule: rule).target]) : .otherRef))
    }

    @Test("kinds and namespaces bound what may be chosen")
    func bounds() {
        let index = RepositoryIndex([
            object("a", "https://h/o/r"), object("b", "https://h/o/r", namespace: "team-b"),
            object("c", "https://h/o/r", kind: "BuildConfig"),
        ])
        let event = push("https://h/o/r")
        #expect(names(index.match(event, kinds: kinds, namespaces: [])) == ["a", "b"])
        #expect(names(index.match(event, kinds: kinds, namespaces: ["team-b"])) == ["b"])
        #expect(names(index.match(event, kinds: ["BuildConfig"], namespaces: [])) == ["c"])
        #expect(index.match(event, kinds: kinds, namespaces: ["team-c"]) == .unknown)
    }

    @Test("images are found with and without scheme, by repository, and their tag is the ref")
    func images() {
        let index = RepositoryIndex([
            object("oci", "oci://ghcr.io/org/app", kind: "OCIRepository", rule: .tag("latest"), isImage: true),
            object("image", "ghcr.io/org/app", kind: "ImageRepository", rule: .any, isImage: true),
            object("hub", "org/app", kind: "ImageRepository", rule: .any, isImage: true),
        ])
        var event = Event(kind: "package")
        event.image = "ghcr.io/org/app"
        event.tag = "latest"
        #expect(names(index.match(event, kinds: kinds, namespaces: [])) == ["oci", "image"])
        event.tag = "v2"
        #expect(names(index.match(event, kinds: kinds, namespaces: [])) == ["image"])
        event.image = "docker.io/org/app"
        #expect(names(index.match(event, kinds: kinds, namespaces: [])) == ["hub"])
    }
}
