import Testing

@testable import Delivery

@Suite("Build Service: objects and images")
struct ImageIndexTests {
    typealias Sample = BuildServiceSample
    static let image: JSONValue = "registry.example.com/a/b:1"

    func inputs(_ object: KpackObject) -> [String] { object.inputs.map(\.image) }

    @Test("what each kind reads, and what it writes is not among it")
    func kinds() {
        let tag: JSONValue = "registry.example.com/out:latest"
        #expect(
            inputs(
                Sample.object(
                    "ClusterStack", "x",
                    ["buildImage": ["image": Self.image], "runImage": ["image": "run"], "image": tag]))
                == ["registry.example.com/a/b:1", "run"])
        #expect(
            inputs(
                Sample.object("ClusterStore", "x", ["sources": [["image": Self.image], ["image": "second"], "odd"]]))
                == ["registry.example.com/a/b:1", "second"])
        for kind in ["Buildpack", "ClusterBuildpack", "ClusterLifecycle"] {
            #expect(inputs(Sample.object(kind, "x", ["image": Self.image, "tag": tag])).count == 1)
        }
        for kind in ["Builder", "ClusterBuilder"] {
            let spec: JSONValue = [
                "tag": tag, "image": "not read by kpack.io",
                "order": [["group": [["id": "a"], ["image": Self.image]]], ["group": [["image": "second"]]]],
            ]
            #expect(inputs(Sample.object(kind, "x", spec)) == ["registry.example.com/a/b:1", "second"])
            let legacy = Sample.object(
                kind, "x", apiVersion: "build.pivotal.io/v1alpha1",
                ["image": Self.image, "updatePolicy": "external", "tag": tag, "order": [["group": [["image": tag]]]]],
                status: ["latestImage": .string("registry.example.com/a/b@" + Sample.digest)])
            #expect(legacy.inputs == [.init(image: "registry.example.com/a/b:1", digest: Sample.digest)])
        }
        #expect(inputs(Sample.object("Image", "x", ["tag": tag, "cache": ["registry": ["tag": tag]]])).isEmpty)
    }

    @Test("the digest that kpack resolved, for the field it belongs to")
    func resolved() {
        let stack = Sample.object(
            "ClusterStack", "x", ["buildImage": ["image": "a/b"], "runImage": ["image": "a/c"]],
            status: [
                "buildImage": ["latestImage": .string("index.docker.io/a/b@" + Sample.digest)],
                "runImage": ["latestImage": "index.docker.io/a/c:latest"],
            ])
        #expect(stack.inputs.map(\.digest) == [Sample.digest, nil])
        let lifecycle = Sample.object(
            "ClusterLifecycle", "x", ["image": "a/b"],
            status: ["image": ["latestImage": .string("index.docker.io/a/b@" + Sample.digest)]])
        #expect(lifecycle.inputs.first?.digest == Sample.digest)
        // The latest image of a kpack.io builder is its output.
        let builder = Sample.object(
            "Builder", "x", ["order": [["group": [["image": "a/b"]]]]],
            status: ["latestImage": .string("index.docker.io/a/b@" + Sample.digest)])
        #expect(builder.inputs.first?.digest == nil)
    }

    @Test("versions and kinds that do not matter, and odd shapes")
    func odd() {
        let make = { (apiVersion: String, kind: String) in
            KpackObject(apiVersion: apiVersion, kind: kind, namespace: "n", name: "x", spec: nil, status: nil)
        }
        for (apiVersion, kind) in [
            ("kpack.io/v1alpha2", "Build"), ("kpack.io/v1", "Builder"), ("build.pivotal.io/v1alpha1", "ClusterStack"),
            ("v1", "Builder"),
            ("evil.kpack.io/v1alpha2", "Builder"), ("", ""),
        ] {
            #expect(make(apiVersion, kind) == nil, "\(apiVersion) \(kind)")
        }
        #expect(make("kpack.io/v1alpha1", "ClusterStack") != nil)
        #expect(make("kpack.io/v1alpha2", "ClusterStore")?.namespace == "")
        #expect(make("kpack.io/v1alpha2", "Builder")?.namespace == "n")
        let odd: JSONValue = [
            "sources": ["image": "a/b"], "image": [], "order": .number("1"), "builder": "x", "stack": .null,
        ]
        for kind in ["Builder", "ClusterStore", "Buildpack", "Image", "ClusterStack", "ClusterLifecycle"] {
            #expect(inputs(Sample.object(kind, "x", odd, status: odd)).isEmpty)
        }
    }

    @Test("a name that would leave its segment of a path is not followed")
    func buildNames() {
        let build = { (name: String) in
            Sample.object("Image", "i", ["builder": ["name": "b"]], status: ["latestBuildRef": .string(name)])
                .latestBuild
        }
        #expect(build("shop-build-1") == "shop-build-1")
        for bad in ["", "..", "a/b", "a?b", "a%2fb", "A"] { #expect(build(bad) == nil, "\(bad)") }
    }

    func change(_ name: String, _ tag: String?, digest: String? = nil) -> ImageChange {
        ImageChange(repository: .named(name), tag: tag, digest: digest)
    }

    @Test("an object is found by host, repository and tag, in whichever spelling it names them")
    func found() {
        let index = ImageIndex([
            Sample.object("Buildpack", "a", ["image": "ubuntu"]),
            Sample.object("Buildpack", "b", ["image": "docker.io/library/ubuntu:latest"]),
            Sample.object("Buildpack", "c", ["image": "ubuntu:22.04"]),
            Sample.object("Buildpack", "d", ["image": .string("ubuntu@" + Sample.digest)]),
            Sample.object("Buildpack", "e", ["image": "no image!"]),
        ])
        let names = { (change: ImageChange) in index.outcome(of: [change]).refreshes.map(\.target.name) }
        #expect(names(change("index.docker.io/library/ubuntu", "latest")) == ["a", "b"])
        #expect(names(change("index.docker.io/library/ubuntu", nil)) == ["a", "b", "c"])
        #expect(index.outcome(of: [change("index.docker.io/library/ubuntu", "1")]).reason == .referencePinned)
        #expect(index.outcome(of: [change("index.docker.io/library/debian", "1")]).reason == .repositoryUnknown)
        let images = index.outcome(of: [change("index.docker.io/library/ubuntu", nil)]).refreshes.map(\.image)
        #expect(Set(images) == ["index.docker.io/library/ubuntu"])
    }

    @Test("an object with one field at the digest and another one not is refreshed")
    func fields() {
        let object = Sample.object(
            "ClusterStack", "x",
            ["buildImage": ["image": "a/b:1"], "runImage": ["image": "index.docker.io/a/b:1"]],
            status: ["buildImage": ["latestImage": .string("a/b@" + Sample.digest)]])
        let changed = [change("index.docker.io/a/b", "1", digest: Sample.digest)]
        #expect(ImageIndex([object]).outcome(of: changed).refreshes.count == 1)
    }

    @Test("the cluster and the stored version reach the target")
    func target() {
        let index = ImageIndex(
            [Sample.object("ClusterStore", "s", apiVersion: "kpack.io/v1alpha1", ["sources": [["image": "a/b"]]])],
            cluster: "east")
        #expect(
            index.outcome(of: [change("index.docker.io/a/b", "latest")]).refreshes.map(\.target) == [
                TargetReference(
                    cluster: "east", apiVersion: "kpack.io/v1alpha1", kind: "ClusterStore", namespace: "", name: "s")
            ])
    }

    @Test("one lookup among thousands of objects looks at its own readers only")
    func large() {
        let objects = (0..<20_000).map { number in
            Sample.object(
                "Buildpack", "b\(number)", ["image": .string("registry.example.com/p\(number % 5_000)/x:\(number)")])
        }
        let index = ImageIndex(objects)
        // A scan of all objects for each would take minutes.
        let time = ProcessorTime()
        for number in 0..<5_000 {
            let outcome = index.outcome(of: [change("registry.example.com/p\(number)/x", "\(number)")])
            #expect(outcome.objects == [number])
        }
        time.expectAtMost(20)
    }

    @Test(
        "the latest Builds behind a change: through stack, store, lifecycle, buildpacks and builders, of one API group")
    func builds() {
        let builder = { (name: String, spec: JSONValue) in Sample.object("Builder", name, spec) }
        let image = { (name: String, builder: JSONValue) in
            Sample.object("Image", name, ["builder": builder], status: ["latestBuildRef": .string(name + "-build-1")])
        }
        let objects = [
            Sample.object("ClusterStack", "stack", ["runImage": ["image": "in/stack"]]),
            Sample.object("ClusterStore", "store", ["sources": [["image": "in/store"]]]),
            Sample.object("ClusterLifecycle", "default-lifecycle", ["image": "in/lifecycle"]),
            Sample.object("ClusterBuildpack", "named", ["image": "in/named"]),
            Sample.object("Buildpack", "byid", ["image": "in/byid"], status: ["buildpacks": [["id": "acme/java"]]]),
            Sample.object(
                "Buildpack", "elsewhere", namespace: "team-b", ["image": "in/elsewhere"],
                status: ["buildpacks": [["id": "acme/java"]]]),
            builder("b-stack", ["stack": ["name": "stack", "kind": "ClusterStack"], "lifecycle": ["name": "other"]]),
            builder(
                "b-store", ["store": ["name": "store"], "lifecycle": ["name": "other", "kind": "ClusterLifecycle"]]),
            builder("b-default", [:]),
            builder(
                "b-named",
                ["lifecycle": ["name": "o"], "order": [["group": [["kind": "ClusterBuildpack", "name": "named"]]]]]),
            builder("b-id", ["lifecycle": ["name": "o"], "order": [["group": [["id": "acme/java"]]]]]),
            builder("b-image", ["lifecycle": ["name": "o"], "order": [["group": [["image": "in/direct"]]]]]),
            Sample.object(
                "Builder", "b-stack", apiVersion: "build.pivotal.io/v1alpha1", ["image": "in/legacy"]),
            image("i-stack", ["kind": "Builder", "name": "b-stack"]), image("i-store", ["name": "b-store"]),
            image("i-default", ["name": "b-default"]), image("i-named", ["name": "b-named"]),
            image("i-id", ["name": "b-id"]),
            image("i-image", ["name": "b-image"]), image("i-cluster", ["kind": "ClusterBuilder", "name": "b-stack"]),
            Sample.object("Image", "unbuilt", ["builder": ["name": "b-stack"]]),
            Sample.object(
                "Image", "i-legacy", apiVersion: "build.pivotal.io/v1alpha1",
                ["builder": ["kind": "Builder", "name": "b-stack"]], status: ["latestBuildRef": "i-legacy-build-1"]),
        ]
        let index = ImageIndex(objects)
        let builds = { (name: String) in
            index.builds(behind: index.outcome(of: [change("index.docker.io/in/" + name, nil)]).objects)
        }
        for (input, image) in [
            ("stack", "i-stack"), ("store", "i-store"), ("lifecycle", "i-default"), ("named", "i-named"),
            ("byid", "i-id"), ("direct", "i-image"),
        ] {
            #expect(
                builds(input) == [
                    TargetReference(
                        apiVersion: "kpack.io/v1alpha2", kind: "Build", namespace: "team-a", name: image + "-build-1")
                ], "\(input)")
        }
        #expect(builds("elsewhere").isEmpty, "a Buildpack of another namespace")
        #expect(builds("legacy").map(\.name) == ["i-legacy-build-1"], "the other group has a builder of that name")
        #expect(builds("legacy").map(\.apiVersion) == ["build.pivotal.io/v1alpha1"])
    }

    @Test("forced builds come after all refreshes, each Build once, and only when they are asked for")
    func forced() {
        let objects = [
            Sample.stack("registry.example.com/stack/run:jammy"),
            Sample.object("ClusterBuildpack", "same", ["image": "registry.example.com/stack/run:jammy"]),
            Sample.object(
                "Builder", "b",
                [
                    "stack": ["name": "base"], "order": [["group": [["kind": "ClusterBuildpack", "name": "same"]]]],
                ]),
            Sample.object("Image", "shop", ["builder": ["name": "b"]], status: ["latestBuildRef": "shop-build-1"]),
        ]
        let request = Sample.request(.notification, Sample.envelope(Sample.event()))
        let image = "registry.example.com/stack/run:jammy"
        let refreshes = ["ClusterStack//base \(image)", "ClusterBuildpack//same \(image)"]
        #expect(Sample.open(.notification, objects).effects(request) == refreshes)
        let forcing = Sample.open(.notification, objects) { $0.forceBuild = true }
        #expect(forcing.effects(request) == refreshes + ["!Build/team-a/shop-build-1 \(image)"])
    }
}
