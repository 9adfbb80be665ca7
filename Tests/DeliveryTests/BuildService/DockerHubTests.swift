import Testing

@testable import Delivery

@Suite("Build Service: Docker Hub")
struct DockerHubTests {
    typealias Sample = BuildServiceSample
    static let objects = [
        Sample.object("Buildpack", "hub", ["image": "acme/app"]),
        Sample.object("Buildpack", "elsewhere", ["image": "evil.example/acme/app"]),
    ]

    func decision(_ body: String) -> Ruling.Decision {
        Sample.open(.dockerHub, Self.objects).decision(Sample.request(.dockerHub, Array(body.utf8)))
    }

    @Test("the repository is Docker Hub's, whatever the payload says of other hosts")
    func host() {
        let rules = Sample.open(.dockerHub, Self.objects)
        for repository in [
            #"{"repo_name":"acme/app","repo_url":"https://evil.example/acme/app"}"#,
            #"{"namespace":"acme","name":"app"}"#,
            #"{"repo_name":"","namespace":"acme","name":"app"}"#,
        ] {
            let body = Array(
                #"{"push_data":{"tag":"latest"},"repository":\#(repository),"callback_url":"https://evil.example/"}"#
                    .utf8)
            #expect(
                rules.effects(Sample.request(.dockerHub, body)) == [
                    "Buildpack/team-a/hub index.docker.io/acme/app:latest"
                ])
        }
        for name in [
            "evil.example/acme/app", "docker.io/acme/app", "acme/app:latest", "ACME/APP", "acme/app/", "acme//app",
            " acme/app",
        ] {
            #expect(
                decision(#"{"push_data":{"tag":"latest"},"repository":{"repo_name":"\#(name)"}}"#)
                    == .ignored(.repositoryUnknown))
        }
    }

    @Test("no repository is 400; a tag of another type is dropped rather than taken for every tag")
    func shapes() {
        for body in [
            "{}", "[]", "{", #"{"repository":null}"#, #"{"repository":{}}"#, #"{"repository":"acme/app"}"#,
            #"{"repository":{"repo_name":1}}"#,
            #"{"repository":{"namespace":"acme"}}"#,
        ] {
            #expect(decision(body) == .refused(.bodyMalformed), "\(body)")
        }
        for tag in ["1", "[]", "{}", "true"] {
            #expect(
                decision(#"{"push_data":{"tag":\#(tag)},"repository":{"repo_name":"acme/app"}}"#)
                    == .ignored(.bodyUnusable))
        }
        for data in ["null", "{}", "[]", #"{"tag":null}"#, #"{"tag":""}"#] {
            #expect(decision(#"{"push_data":\#(data),"repository":{"repo_name":"acme/app"}}"#) == .accepted, "\(data)")
        }
        #expect(
            decision(#"{"push_data":{"tag":"two words"},"repository":{"repo_name":"acme/app"}}"#)
                == .ignored(.repositoryUnknown))
    }

    func refusal(_ url: String, _ repository: String = "acme/app") -> DockerHubCallback.Refusal? {
        let body: JSONValue = ["callback_url": .string(url), "repository": ["repo_name": .string(repository)]]
        do throws(DockerHubCallback.Refusal) {
            _ = try DockerHubCallback.request(for: body.serialized, state: .success, description: "x")
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "a callback address other than Docker Hub's own form is never called",
        arguments: [
            ("", DockerHubCallback.Refusal.addressMissing),
            ("http://registry.hub.docker.com/u/acme/app/hook/x/", .originNotAllowed),
            ("HTTPS://registry.hub.docker.com/u/acme/app/hook/x/", .originNotAllowed),
            ("https://REGISTRY.hub.docker.com/u/acme/app/hook/x/", .originNotAllowed),
            ("https://registry.hub.docker.com.evil.example/u/acme/app/hook/x/", .originNotAllowed),
            ("https://registry.hub.docker.com@evil.example/u/acme/app/hook/x/", .originNotAllowed),
            ("https://registry.hub.docker.com:443/u/acme/app/hook/x/", .originNotAllowed),
            ("https://registry.hub.docker.com\\@evil.example/u/acme/app/hook/x/", .originNotAllowed),
            ("https://evil.example/https://registry.hub.docker.com/u/acme/app/hook/x/", .originNotAllowed),
            ("https://[::1]/u/acme/app/hook/x/", .originNotAllowed),
            (" https://registry.hub.docker.com/u/acme/app/hook/x/", .originNotAllowed),
            ("https://registry.hub.docker.com/u/acme/other/hook/x/", .repositoryMismatch),
            ("https://registry.hub.docker.com/u/acme/app/../other/hook/x/", .repositoryMismatch),
            ("https://registry.hub.docker.com/u/acme/app/hook", .repositoryMismatch),
            ("https://registry.hub.docker.com//u/acme/app/hook/x", .repositoryMismatch),
            ("https://registry.hub.docker.com/u/acme/app/hook/", .pathNotAllowed),
            ("https://registry.hub.docker.com/u/acme/app/hook/../../other/hook/x", .pathNotAllowed),
            ("https://registry.hub.docker.com/u/acme/app/hook/x?y", .pathNotAllowed),
            ("https://registry.hub.docker.com/u/acme/app/hook/x#y", .pathNotAllowed),
            ("https://registry.hub.docker.com/u/acme/app/hook/%2e%2e/x", .pathNotAllowed),
            ("https://registry.hub.docker.com/u/acme/app/hook/x\r\nHost: evil", .pathNotAllowed),
            (
                "https://registry.hub.docker.com/u/acme/app/hook/" + String(repeating: "x", count: 3_000),
                .pathNotAllowed
            ),
        ])
    func callbackRefused(_ url: String, _ expected: DockerHubCallback.Refusal) {
        #expect(refusal(url) == expected)
    }

    @Test("a callback in the documented form is made, with texts cut to what is taken")
    func callback() throws {
        #expect(
            refusal("https://registry.hub.docker.com/u/acme/app/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/") == nil)
        #expect(refusal("https://hub.docker.com/u/acme/app/hook/x") == nil)
        #expect(refusal("https://hub.docker.com/u/library/ubuntu/hook/x", "ubuntu") == nil)
        let body: JSONValue = [
            "callback_url": "https://hub.docker.com/u/acme/app/hook/x/", "repository": ["repo_name": "acme/app"],
        ]
        let request = try DockerHubCallback.request(
            for: body.serialized, state: .error, description: String(repeating: "d", count: 300),
            context: String(repeating: "c", count: 300), targetURL: "https://hooks.example.com/")
        #expect(request.url == "https://hub.docker.com/u/acme/app/hook/x/")
        let sent = try #require(JSONValue(request.body))
        #expect(sent["state"]?.text == "error" && sent["target_url"]?.text == "https://hooks.example.com/")
        #expect(sent["description"]?.text?.count == 255 && sent["context"]?.text?.count == 100)
        #expect(throws: DockerHubCallback.Refusal.payloadUnusable) {
            try DockerHubCallback.request(for: [0x7b], state: .success, description: "")
        }
    }
}
