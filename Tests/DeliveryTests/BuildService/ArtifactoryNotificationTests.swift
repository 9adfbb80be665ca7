import Testing

@testable import Delivery

@Suite("Build Service: Artifactory")
struct ArtifactoryNotificationTests {
    typealias Sample = BuildServiceSample

    static let objects = [
        "art.example.com/docker-local/app/run:1", "docker-local.art.example.com/app/run:1",
        "docker-local:8443/app/run:1",
        "app/run:1", "docker-local/app/run:1",
    ].enumerated().map { index, image in Sample.object("Buildpack", "b\(index)", ["image": .string(image)]) }

    func effects(_ body: String, _ repositories: [ArtifactoryRepository] = []) -> [String] {
        Sample.open(.artifactory, Self.objects) { $0.repositories = repositories }
            .effects(Sample.request(.artifactory, Array(body.utf8)))
    }

    func decision(_ body: String) -> Ruling.Decision {
        Sample.open(.artifactory, Self.objects).decision(Sample.request(.artifactory, Array(body.utf8)))
    }

    func created(_ image: String, tag: String = "1", repoKey: String = "docker-local") -> String {
        #"{"artifactory":{"webhook":{"event":"docker.tagCreated","data":{"docker":{"image":"\#(image)","tag":"\#(tag)"},"#
            + #""event":{"repoKey":"\#(repoKey)"}}}}}"#
    }

    @Test("without prefixes: any host with the key in the path or as first label, never Docker Hub")
    func guessing() {
        #expect(
            effects(created("app/run")) == [
                "Buildpack/team-a/b0 art.example.com/docker-local/app/run:1",
                "Buildpack/team-a/b1 docker-local.art.example.com/app/run:1",
                "Buildpack/team-a/b2 docker-local:8443/app/run:1",
            ])
        #expect(effects(created("app/run", repoKey: "index")).isEmpty)
        #expect(effects(created("app/run", repoKey: "")).isEmpty)
        #expect(
            effects(created("run", repoKey: "docker-local/app")) == [
                "Buildpack/team-a/b0 art.example.com/docker-local/app/run:1"
            ])
    }

    @Test("prefixes: several, with ports and slashes; other keys match nothing")
    func prefixes() {
        let repositories = [
            ArtifactoryRepository(
                repoKey: "docker-local", prefixes: ["docker-local:8443", "ART.example.com//docker-local/", "", "/"]),
            ArtifactoryRepository(repoKey: "hub-remote", prefixes: ["docker.io"]),
        ]
        #expect(
            effects(created("app/run"), repositories) == [
                "Buildpack/team-a/b0 art.example.com/docker-local/app/run:1",
                "Buildpack/team-a/b2 docker-local:8443/app/run:1",
            ])
        #expect(effects(created("app/run", repoKey: "other"), repositories).isEmpty)
        #expect(
            effects(created("app/run", repoKey: "hub-remote"), repositories) == [
                "Buildpack/team-a/b3 index.docker.io/app/run:1"
            ])
    }

    @Test("what a request names cannot leave its prefix")
    func contained() {
        let repositories = [ArtifactoryRepository(repoKey: "docker-local", prefixes: ["art.example.com/docker"])]
        for image in [
            "../docker-local/app/run", "/app/run", "app/run:1@sha256", "-local/app/run", "app//run", "APP/RUN", "",
        ] {
            #expect(effects(created(image), repositories).isEmpty, "\(image)")
        }
    }

    @Test("image and tag from the path of the manifest when the plugin does not name them")
    func fromPath() {
        let body =
            #"{"artifactory":{"webhook":{"event":"docker.tagCreated","data":{"event":{"repoPath":{"repoKey":"docker-local","path":"app/run/1/manifest.json"}}}}}}"#
        #expect(effects(body).count == 3)
        for odd in [
            "{}", #"{"docker":{}}"#, "null", "[]",
            #"{"docker":{"image":1,"tag":1},"event":{"repoKey":"docker-local"}}"#,
        ] {
            let body = #"{"artifactory":{"webhook":{"event":"docker.tagCreated","data":\#(odd)}}}"#
            #expect(decision(body) == .ignored(.bodyUnusable), "\(odd)")
        }
    }

    @Test("keel's name is a whole reference; with null in it, or a scheme, it matches nothing")
    func keel() {
        #expect(effects(#"{"name":"art.example.com/docker-local/app/run","tag":"1"}"#).count == 1)
        for name in [
            "http://art.example.com/docker-local/app/run", "art.example.com/null/app/run",
            "art.example.com/docker-local/app/run:1",
            "art.example.com/docker-local/app/run@", "",
        ] {
            #expect(decision(#"{"name":"\#(name)","tag":"1"}"#) == .ignored(.repositoryUnknown), "\(name)")
        }
        #expect(decision(#"{"name":"art.example.com/docker-local/app/run","tag":""}"#) == .ignored(.repositoryUnknown))
    }

    @Test("spinnaker: each Docker artifact, its repository out of the reference")
    func spinnaker() {
        let artifact = { (reference: String) in
            #"{"artifacts":[1,{"type":"helm/chart"},{"type":"docker/image","name":"app/run","version":"1","reference":"\#(reference)"}]}"#
        }
        #expect(effects(artifact("http://art.example.com/artifactory/docker-local/app/run:1")).count == 3)
        for odd in [
            "app/run:1", "/app/run:1", "http://art.example.com/artifactory/docker-local/app/run:2", "",
            "docker-local/xapp/run:1",
        ] {
            #expect(effects(artifact(odd)).isEmpty, "\(odd)")
        }
        #expect(decision(#"{"artifacts":[]}"#) == .ignored(.eventIrrelevant))
        #expect(decision(#"{"text":"unsupported event"}"#) == .ignored(.eventIrrelevant))
    }

    @Test("native webhooks: the image is the path, the digest comes along")
    func native() {
        let body = { (data: String) in
            #"{"domain":"docker","event_type":"pushed","data":{"repo_key":"docker-local",\#(data)}}"#
        }
        let request = Sample.request(
            .artifactory,
            Array(
                body(
                    #""path":"app/run/1/list.manifest.json","image_name":"run","tag":"1","sha256":"\#(Sample.digest.dropFirst(7))""#
                ).utf8))
        let rules = Sample.open(.artifactory, Self.objects)
        #expect(rules.refreshes(of: request).map(\.digest) == [Sample.digest, Sample.digest, Sample.digest])
        #expect(effects(body(#""path":"app/run/1/manifest.json""#)).count == 3)
        #expect(effects(body(#""image_name":"app/run","tag":"1""#)).count == 3)
        #expect(
            effects(body(#""path":"app/run/1/manifest.json","tag":"sha256:\#(Sample.digest.dropFirst(7))""#)).isEmpty)
        #expect(effects(body(#""path":"app/run/1/layer.tar","image_name":"run","tag":"1""#)).isEmpty)
        #expect(decision(body(#""path":"1/manifest.json""#)) == .ignored(.bodyUnusable))
        #expect(decision(#"{"domain":"artifact","event_type":"deployed","data":{}}"#) == .ignored(.eventIrrelevant))
        #expect(decision(#"{"domain":"docker"}"#) == .ignored(.eventIrrelevant))
    }

    @Test("Slack's format is 422; a JSON text that is no object is 400; an unknown object is nothing")
    func shapes() {
        #expect(decision(#"{"text":"x","attachments":[]}"#) == .refused(.parametersWrong))
        for text in ["[]", "1", "null", "\"x\"", "", "{}x"] {
            #expect(decision(text) == .refused(.bodyMalformed), "\(text)")
        }
        for text in ["{}", #"{"artifactory":1}"#, #"{"artifactory":{"webhook":{}}}"#, #"{"name":"x"}"#] {
            #expect(decision(text) == .ignored(.eventIrrelevant), "\(text)")
        }
        #expect(
            decision(#"{"artifactory":{"webhook":{"event":"execute.pingWebhook","data":{"message":"It works!"}}}}"#)
                == .ignored(.ping))
    }
}
