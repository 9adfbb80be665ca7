import Testing

@testable import Delivery

@Suite("Repository names")
struct RepositoryNameTests {
    @Test(
        "all spellings of one repository are one name",
        arguments: [
            "https://git.example.com/team/app.git", "https://git.example.com/team/app",
            "http://git.example.com/team/app",
            "https://git.example.com/team/app/", "https://git.example.com/team/app.git/",
            "https://GIT.Example.COM/team/app",
            "https://git.example.com:443/team/app.git", "http://git.example.com:80/team/app.git",
            "ssh://git@git.example.com/team/app.git", "ssh://git@git.example.com:22/team/app.git",
            "git@git.example.com:team/app.git", "git@git.example.com:/team/app.git", "git.example.com:team/app",
            "git://git.example.com/team/app.git", "git://git.example.com:9418/team/app.git",
            "https://user:password@git.example.com/team/app.git", "https://user:p@ss@git.example.com/team/app.git",
            "https://git.example.com./team/app", "HTTPS://git.example.com//team/app",
            "git+ssh://git.example.com/team/app",
            "https://git.example.com:0443/team/app", "https://git.example.com/team/app?x=1",
            "https://git.example.com:/team/app",
            "https://git.example.com/team/app.git#main",
        ])
    func spellings(_ url: String) throws {
        let name = try #require(RepositoryName(url: url))
        #expect(name.host == "git.example.com")
        #expect(name.path == "team/app")
        #expect(name == RepositoryName(url: "https://git.example.com/team/app"))
        #expect(name.description == "git.example.com/team/app")
    }

    @Test(
        "what names no repository has no name",
        arguments: [
            "", " ", "https://", "https:///team/app", "https://git.example.com", "https://git.example.com/",
            "https://git.example.com/.git", "/srv/git/app.git", "./app", "../team:app", "team/app",
            "file:///srv/git/app.git",
            "ftp://git.example.com/team/app", "https://git.example.com:99999999/team/app",
            "https://git.example.com:x/team/app",
            "git.example.com:", "git@:team/app", "ssh://[::1/team/app", "ssh://[]/team/app",
            "https://git example.com/a",
            "https://git.example.com/a\nb", ":", "::", "[", "[]:", "@:", "https://@/a",
        ])
    func nothing(_ url: String) {
        #expect(RepositoryName(url: url) == nil)
    }

    @Test("another port is another server") func ports() {
        #expect(RepositoryName(url: "ssh://git@git.example.com:7999/team/app.git")?.host == "git.example.com:7999")
        #expect(RepositoryName(url: "https://git.example.com:22/team/app")?.host == "git.example.com:22")
        #expect(
            RepositoryName(url: "https://git.example.com:8443/a") != RepositoryName(url: "https://git.example.com/a"))
    }

    @Test("IPv6 addresses keep their brackets") func addresses() {
        for url in [
            "ssh://git@[2001:DB8::1]:22/team/app.git", "https://[2001:db8::1]/team/app",
            "git@[2001:db8::1]:team/app.git",
            "[2001:db8::1]:team/app",
        ] {
            #expect(RepositoryName(url: url)?.host == "[2001:db8::1]", "\(url)")
            #expect(RepositoryName(url: url)?.path == "team/app", "\(url)")
        }
        #expect(RepositoryName(url: "https://[2001:db8::1]:8443/team/app")?.host == "[2001:db8::1]:8443")
    }

    @Test("case counts in paths, but not where the host ignores it") func pathCase() {
        #expect(
            RepositoryName(url: "https://git.example.com/Team/App")
                != RepositoryName(url: "https://git.example.com/team/app"))
        #expect(
            RepositoryName(url: "https://github.com/Team/App") == RepositoryName(url: "git@GitHub.com:team/app.git"))
    }

    @Test("SSH over the port of HTTPS is the same service") func aliases() {
        #expect(RepositoryName(url: "ssh://git@ssh.github.com:443/team/app.git")?.host == "github.com")
        #expect(RepositoryName(url: "ssh://git@altssh.gitlab.com:443/team/app.git")?.host == "gitlab.com")
    }

    @Test("only one .git is dropped, and names may end like it") func suffixes() {
        #expect(RepositoryName(url: "https://git.example.com/team/app.git.git")?.path == "team/app.git")
        #expect(RepositoryName(url: "https://git.example.com/team/legit")?.path == "team/legit")
        #expect(RepositoryName(url: "https://git.example.com/~user/app")?.path == "~user/app")
    }

    @Test("a URL at the bound has a name, a longer one has none") func bound() {
        let head = "https://git.example.com/"
        let longest = head + String(repeating: "a", count: RepositoryName.bytesMax - head.utf8.count)
        #expect(RepositoryName(url: longest) != nil)
        #expect(RepositoryName(url: longest + "a") == nil)
    }

    @Test("no text traps, and a name's own https URL names it again") func anyText() {
        var generator = SeededGenerator()
        let pieces = [
            "https", "ssh", "://", ":", "//", "/", "@", "[", "]", "git", ".git", "a", "B", "1", "?", "#", "%", "\u{e9}",
            ".",
        ]
        for _ in 0..<20_000 {
            let url = (0..<Int.random(in: 0..<9, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }.joined()
            guard let name = RepositoryName(url: url) else { continue }
            #expect(!name.host.isEmpty && !name.path.isEmpty, "\(url)")
            if !name.path.hasSuffix(".git") {
                #expect(RepositoryName(url: "https://\(name.host)/\(name.path)")?.path == name.path, "\(url)")
            }
        }
    }
}
