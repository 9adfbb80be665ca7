import Testing

@testable import Delivery

@Suite("Image references")
struct ImageReferenceTests {
    @Test(
        "a reference reads as kpack reads it, in one normal form",
        arguments: [
            ("ubuntu", "index.docker.io/library/ubuntu:latest"),
            ("ubuntu:22.04", "index.docker.io/library/ubuntu:22.04"),
            ("ubuntu:", "index.docker.io/library/ubuntu:latest"),
            ("acme/app", "index.docker.io/acme/app:latest"),
            ("docker.io/ubuntu", "index.docker.io/library/ubuntu:latest"),
            ("docker.io/acme/app:1", "index.docker.io/acme/app:1"),
            ("index.docker.io/acme/app", "index.docker.io/acme/app:latest"),
            ("registry-1.docker.io/acme/app", "index.docker.io/acme/app:latest"),
            ("Docker.IO:443/acme/app", "index.docker.io/acme/app:latest"),
            ("registry.example.com/stack/run:jammy", "registry.example.com/stack/run:jammy"),
            ("Registry.Example.COM/stack/run", "registry.example.com/stack/run:latest"),
            ("registry.example.com:443/stack/run", "registry.example.com/stack/run:latest"),
            ("registry.example.com:5000/stack/run:1", "registry.example.com:5000/stack/run:1"),
            ("registry.example.com/one", "registry.example.com/one:latest"),
            ("localhost/run", "localhost/run:latest"),
            ("localhost:5000/run:a", "localhost:5000/run:a"),
            // One component: the text behind the colon is a tag.
            ("localhost:5000", "index.docker.io/library/localhost:5000"),
            ("registry:5000/a/b", "registry:5000/a/b:latest"),
            ("registry/a/b", "index.docker.io/registry/a/b:latest"),
            ("[2001:DB8::1]/a/b:1", "[2001:db8::1]/a/b:1"),
            ("[::1]:5000/run", "[::1]:5000/run:latest"),
            ("[::1]:443/run", "[::1]/run:latest"),
            ("registry.example.com/Upper:TAG_1.x-y", nil),
            ("registry.example.com/a:TAG_1.x-y", nil),
            ("registry.example.com/ab:TAG_1.x-y", "registry.example.com/ab:TAG_1.x-y"),
        ] as [(String, String?)])
    func normalForm(_ text: String, _ expected: String?) {
        #expect(ImageReference(text)?.description == expected)
    }

    @Test("a digest pins a reference, with a tag beside it or without")
    func pinned() throws {
        let digest = "sha256:" + String(repeating: "1f", count: 32)
        let bare = try #require(ImageReference("ubuntu@" + digest))
        #expect(bare.isPinned && bare.tag == nil && bare.digest == digest)
        #expect(bare.description == "index.docker.io/library/ubuntu@" + digest)
        let tagged = try #require(ImageReference("registry.example.com:5000/a/b:1@" + digest))
        #expect(tagged.isPinned && tagged.tag == "1" && tagged.name == "registry.example.com:5000/a/b")
        #expect(try #require(ImageReference("ubuntu")).isPinned == false)
        #expect(ImageReference("ubuntu@sha512:" + String(repeating: "ab", count: 64))?.isPinned == true)
    }

    @Test(
        "what is no reference is none",
        arguments: [
            "", ":", "@", "/", "a", "a/", "/a/b", "a//b", "ubuntu:two words", "ubuntu:a/b:c d", "UBUNTU", "ubuntu@",
            "ubuntu@sha256:12",
            "ubuntu@sha256:" + String(repeating: "F", count: 64), "ubuntu@" + String(repeating: "1", count: 64),
            "http://registry.example.com/a/b", "registry.example.com:/a/b", "registry.example.com:x/a/b",
            "registry.example.com:123456/a/b", "[::1/a/b", "[]/a/b", "[::1]x/a/b", "[::1]:/a/b",
            "user@registry.example.com/a/b",
            "registry.example.com/a/b?c", "registry.example.com/a/\u{e9}", "ub\u{0}untu", "[::1]", "ubuntu\n",
            String(repeating: "a", count: 256), "ubuntu:" + String(repeating: "1", count: 129),
            String(repeating: "/", count: 5_000),
        ])
    func none(_ text: String) {
        #expect(ImageReference(text) == nil)
    }

    @Test("an alias brings two names of a registry together, one step and no more")
    func aliases() {
        let aliases = HostAliases([
            "Registry.Internal:5000": "registry.example.com:443", "registry.example.com": "third.example.com",
            "mirror.example.com": "docker.io", "no host!": "registry.example.com",
        ])
        let name = { (text: String) in ImageReference(text, aliases: aliases)?.name }
        #expect(name("registry.internal:5000/a/b") == "registry.example.com/a/b")
        #expect(name("registry.example.com/a/b") == "third.example.com/a/b")
        #expect(name("registry.internal/a/b") == "registry.internal/a/b")
        #expect(name("mirror.example.com/ubuntu") == "index.docker.io/library/ubuntu")
    }

    @Test("a host's first label is what stands before its first dot or port")
    func firstLabel() {
        #expect(RegistryHost.firstLabel("docker-local.art.example.com") == "docker-local")
        #expect(RegistryHost.firstLabel("registry:5000") == "registry")
        #expect(RegistryHost.firstLabel("localhost") == "localhost")
    }
}
