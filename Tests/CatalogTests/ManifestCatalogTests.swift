import Delivery
import Foundation
import Testing

@testable import Catalog

private func names(_ snapshot: CatalogSnapshot) -> [String] { snapshot.routes.map(\.identity.name) }

@Suite struct ManifestCatalogTests {
    @Test("a directory that does not exist, or may not be listed, is a problem with a remedy")
    func missing() throws {
        let directory = try TemporaryDirectory()
        let snapshot = ManifestCatalog(options: CatalogOptions(directories: [directory("nope")])).load()
        #expect(snapshot.hasProblems && snapshot.routes.isEmpty)
        #expect(
            snapshot.problems.map(\.description) == [
                "\(directory("nope")): error: does not exist; create it or correct --manifests"
            ])
    }

    @Test("pipes, dangling links, loops, huge files and files of other kinds neither hang nor harm")
    func oddFiles() throws {
        let directory = try TemporaryDirectory()
        try directory.write("good.yaml", Sample.secret("s") + Sample.hook("good"))
        #expect(mkfifo(directory("pipe.yaml"), 0o600) == 0)
        try directory.link("dangling.yaml", to: "nowhere.yaml")
        try directory.link("loop", to: ".")
        try directory.link("self.yaml", to: "self.yaml")
        try directory.link("again.yaml", to: "good.yaml")
        try directory.write("notes.txt", "not: [yaml")
        try directory.write(".hidden.yaml", "not: [yaml")
        try directory.write("huge.yaml", Data(repeating: UInt8(ascii: "#"), count: 16 << 20 + 1))
        try directory.write("binary.yaml", Data((0..<255).map { UInt8($0) }))
        let snapshot = ManifestCatalog(options: CatalogOptions(directories: [directory.path])).load()
        #expect(names(snapshot) == ["good"])
        let messages = snapshot.problems.map { ($0.file as NSString).lastPathComponent + ": " + $0.message }
        #expect(messages.count == 5, "\(messages)")
        #expect(messages.contains("pipe.yaml: is neither a file nor a directory"))
        #expect(messages.contains { $0.hasPrefix("dangling.yaml: cannot be read: No such file") })
        #expect(messages.contains { $0.hasPrefix("self.yaml: cannot be read: Too many levels") })
        #expect(messages.contains("huge.yaml: is larger than 16MiB; split it"))
        #expect(messages.contains { $0.hasPrefix("binary.yaml: not ") })
    }

    @Test("the order of routes is that of directories, paths and documents")
    func order() throws {
        let directory = try TemporaryDirectory()
        try directory.write("two/a.yaml", Sample.hook("a2"))
        try directory.write("one/b/x.yml", Sample.hook("bx"))
        try directory.write(
            "one/b.json",
            #"{"apiVersion":"grapnel.dev/v1alpha1","kind":"Hook","metadata":{"name":"bj"},"spec":{"type":"github","secretRefs":[{"name":"s"}],"actions":[]}}"#
        )
        try directory.write("one/a.yaml", Sample.hook("a1") + Sample.hook("a0"))
        let options = CatalogOptions(directories: [directory("two"), directory("one/")])
        for _ in 0..<3 { #expect(names(ManifestCatalog(options: options).load()) == ["a2", "a1", "a0", "bj", "bx"]) }
    }

    @Test("a ConfigMap volume is read once, through its links, and follows a switch of versions")
    func configMap() throws {
        let directory = try TemporaryDirectory()
        try directory.write("..2026_1/hooks.yaml", Sample.secret("s") + Sample.hook("one"))
        try directory.link("..data", to: "..2026_1")
        try directory.link("hooks.yaml", to: "..data/hooks.yaml")
        let catalog = ManifestCatalog(options: CatalogOptions(directories: [directory.path]))
        let first = catalog.load()
        #expect(names(first) == ["one"] && first.counts.files == 1 && first.problems.isEmpty)
        try directory.write("..2026_2/hooks.yaml", Sample.secret("s") + Sample.hook("two"))
        try directory.link("..data_tmp", to: "..2026_2")
        #expect(rename(directory("..data_tmp"), directory("..data")) == 0)
        try directory.remove("..2026_1")
        #expect(names(catalog.load()) == ["two"])
    }

    @Test("a resource defined twice: the first counts and the second is told where")
    func twice() throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Sample.secret("s") + Sample.hook("h", more: "path: /first"))
        try directory.write("b.yaml", Sample.hook("h", more: "path: /second"))
        let snapshot = ManifestCatalog(options: CatalogOptions(directories: [directory.path])).load()
        #expect(snapshot.routes.map(\.path) == ["/first"])
        #expect(
            snapshot.problems.map(\.description) == [
                "\(directory("b.yaml")):1: error: Hook/default/h is already defined at \(directory("a.yaml")):6, which counts; remove one of them"
            ])
    }

    @Test("a document that went wrong keeps its last good version; its neighbours go on")
    func lastGood() throws {
        let directory = try TemporaryDirectory()
        let catalog = ManifestCatalog(options: CatalogOptions(directories: [directory.path]))
        try directory.write("m.yaml", Sample.secret("s") + Sample.hook("a", more: "path: /old") + Sample.hook("b"))
        #expect(names(catalog.load()) == ["a", "b"])
        // It says who it is: only it stays, with its file and line; others change, come and go.
        try directory.write("m.yaml", Sample.secret("s") + Sample.hook("a", more: "path: nonsense") + Sample.hook("c"))
        let wrong = catalog.load()
        #expect(wrong.routes.map(\.path) == ["/old", "/hooks/default/c"])
        #expect(wrong.hasProblems && wrong.counts.stale == 1)
        #expect(
            wrong.problems.map(\.description) == [
                "\(directory("m.yaml")):13: error: Hook/default/a: spec.path must begin with /; the last good version stays in use"
            ])
        // It does not: then nothing of the file is given up.
        try directory.write("m.yaml", Sample.hook("d") + "a: [\n")
        let unknown = catalog.load()
        #expect(Set(names(unknown)) == ["a", "c", "d"] && unknown.routes.allSatisfy { $0.readiness == .ready })
        #expect(
            unknown.problems.first?.message.contains(
                "the last good version of Hook/default/a, Hook/default/c, Secret/default/s stays in use") == true)
        // Repaired: what is not there any more is gone.
        try directory.write("m.yaml", Sample.secret("s") + Sample.hook("d"))
        let repaired = catalog.load()
        #expect(names(repaired) == ["d"] && !repaired.hasProblems && repaired.counts.stale == 0)
    }

    @Test("a Secret that went wrong keeps its last good value")
    func lastGoodSecret() throws {
        let directory = try TemporaryDirectory()
        let catalog = ManifestCatalog(options: CatalogOptions(directories: [directory.path]))
        try directory.write("s.yaml", Sample.secret("s", "first-token-here"))
        try directory.write("h.yaml", Sample.hook("h"))
        _ = catalog.load()
        try directory.write("s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {token: '%%'}\n")
        let snapshot = catalog.load()
        #expect(snapshot.routes.first?.secrets == [SecretBytes(Array("first-token-here".utf8))])
        #expect(snapshot.routes.first?.readiness == .ready && snapshot.hasProblems)
    }

    @Test("files that cannot be read, and directories that vanish, keep what they held; a removed file does not")
    func vanished() throws {
        let directory = try TemporaryDirectory()
        let catalog = ManifestCatalog(options: CatalogOptions(directories: [directory("m")]))
        try directory.write("m/sub/a.yaml", Sample.secret("s") + Sample.hook("a"))
        try directory.write("m/b.yaml", Sample.hook("b"))
        #expect(names(catalog.load()) == ["b", "a"])
        try directory.remove("m/b.yaml")
        #expect(names(catalog.load()) == ["a"])
        #expect(rename(directory("m"), directory("away")) == 0)
        let gone = catalog.load()
        #expect(names(gone) == ["a"] && gone.hasProblems)
        #expect(rename(directory("away"), directory("m")) == 0)
        try directory.remove("m/sub/a.yaml")
        try directory.write("m/sub/a.yaml", Data(repeating: 0x20, count: 16 << 20 + 1))
        #expect(names(catalog.load()) == ["a"])
        try directory.remove("m/sub")
        let removed = catalog.load()
        #expect(names(removed) == [] && !removed.hasProblems)
    }

    @Test("a change within one tick of the clock is seen")
    func quickChange() throws {
        let directory = try TemporaryDirectory()
        let catalog = ManifestCatalog(options: CatalogOptions(directories: [directory.path]))
        for round in 0..<50 {
            let name = round % 2 == 0 ? "aa" : "bb"
            let text = Sample.hook(name)
            // In place, same length: neither inode nor size tells.
            try Data(text.utf8).write(to: URL(fileURLWithPath: directory("h.yaml")))
            #expect(names(catalog.load()) == [name])
        }
    }

    @Test("only watched namespaces have routes")
    func namespaces() throws {
        let directory = try TemporaryDirectory()
        try directory.write("m.yaml", Sample.hook("a", namespace: "x") + Sample.hook("b", namespace: "y"))
        let options = CatalogOptions(directories: [directory.path], watchNamespaces: ["y"])
        #expect(names(ManifestCatalog(options: options).load()) == ["b"])
    }

    @Test("manifests that are damaged at random crash nothing and show no secret")
    func damaged() throws {
        let seed =
            ProcessInfo.processInfo.environment["GRAPNEL_SEED"].flatMap(UInt64.init)
            ?? UInt64.random(in: 0...UInt64.max)
        let rounds = ProcessInfo.processInfo.environment["GRAPNEL_ROUNDS"].flatMap(Int.init) ?? 300
        var random = SplitMix(state: seed)
        let token = "Zq7hunter2hunter2Zq7"
        let good =
            Sample.secret("s", token)
            + Sample.hook("h", more: "path: /x\nretry: {attempts: 3}\ncoalesce: {by: ref, window: 1s}")
            + Sample.receiver("r", more: "events: [push]\ninterval: 5m")
            + "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"a\": &x [1, 2]}, *x]}\n"
        let bytes = Array(good.utf8)
        let inserts = [
            "---\n", "[", "}", "&a ", "*a", "? ", ": ", "\"", "'", "|\n", "\t", "\u{0}", "<<: ", "- ", "\n", "{",
            "%YAML", "!!", "~",
        ]
        for round in 0..<rounds {
            var damaged = bytes
            for _ in 0...Int(random.next() % 4) {
                let position = Int(random.next() % UInt64(damaged.count))
                switch random.next() % 4 {
                case 0: damaged[position] = UInt8(truncatingIfNeeded: random.next())
                case 1: damaged.removeSubrange(position..<min(damaged.count, position + Int(random.next() % 8)))
                case 2:
                    damaged.insert(
                        contentsOf: Array(inserts[Int(random.next() % UInt64(inserts.count))].utf8), at: position)
                default: damaged.removeSubrange(position...)
                }
                if damaged.isEmpty { damaged = [0x0a] }
            }
            let file = ManifestFile(bytes: damaged)
            var contribution = CatalogContribution()
            contribution.resources = file.resources.map { PlacedResource(resource: $0, file: "m.yaml") }
            let compiled = RouteCompiler.compile(
                [contribution], options: CatalogOptions(directories: []), filters: FilterCache())
            let shown =
                file.problems.map(\.message) + compiled.problems.map(\.description) + compiled.unserved.map(\.reason)
                + compiled.routes.map { "\($0)" }
            #expect(!shown.joined().contains("hunter2hunter2"), "seed \(seed), round \(round)")
        }
    }
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
