import Testing

@testable import Delivery

@Suite("What senders say")
struct SenderDecodeTests {
    private func decode(_ type: SenderType, _ file: String, event: String = "", _ fields: [(String, String)] = [])
        throws
        -> SenderEvent
    {
        let request = senderRequest(fields, body: try SenderFixtures.bytes("payloads/" + file))
        return try #require(SenderTable.decode(type, request, eventName: event))
    }

    @Test("Git hosts: repository, address, ref and commit; a deletion has no commit")
    func gitHosts() throws {
        let cloud = try decode(.bitbucket, "bitbucket-cloud-push.json", event: "repo:push").event
        #expect(
            cloud
                == Event(
                    kind: "repo:push", repository: "team_name/repo_name",
                    repositoryURL: cloud.repositoryURL, ref: "refs/heads/name-of-branch",
                    commit: "709d658dc5b6d6afcd46049c2f332ee3f515a67d"))
        #expect(cloud.repositoryURL?.hasSuffix(".git") == true)
        let server = try decode(.bitbucket, "bitbucket-server-refs-changed.json", event: "repo:refs_changed").event
        #expect(server.repository == "~gopher/webhook-test" && server.ref == "refs/heads/feature/wip")
        #expect(server.repositoryURL == "https://server.bitbucket.local/scm/~gopher/webhook-test.git")
        #expect(server.commit == nil)
        let gitea = try decode(.gitea, "gitea-push.json", event: "push").event
        #expect(gitea.kind == "push" && gitea.ref?.hasPrefix("refs/heads/") == true && gitea.commit != nil)
        #expect(gitea.repository?.contains("/") == true && gitea.repositoryURL?.hasSuffix(".git") == true)
    }

    @Test("A branch deleted at Bitbucket Cloud is named by what it was")
    func cloudDeletion() throws {
        let body =
            #"{"repository":{"full_name":"a/b"},"push":{"changes":[{"new":null,"old":{"type":"tag","name":"v1"}}]}}"#
        let event = SenderTable.decode(.bitbucket, senderRequest(body: Array(body.utf8)), eventName: "repo:push")?.event
        #expect(event?.ref == "refs/tags/v1" && event?.commit == nil)
    }

    @Test("Registries: image, tag and digest")
    func registries() throws {
        let debian = ImageEvent(
            image: "hub.harbor.com/test-webhook/debian", tag: "latest",
            digest: "sha256:8a9e9863dbb6e10edb5adfe917c00da84e1700fa76e7ed02476aa6e6fb8ee0d8")
        let harbor = try decode(.harbor, "harbor-push-artifact.json")
        #expect(harbor.images == [debian] && harbor.event.kind == "PUSH_ARTIFACT")
        #expect(harbor.event.repository == "test-webhook/debian")
        #expect(
            try decode(.harbor, "harbor-v1-push-image.json").images.first?.image == "demo.goharbor.io/test123/alpine")
        #expect(try decode(.harbor, "harbor-cloudevents-push.json").images.first?.tag == "v1.2.3")
        #expect(
            try decode(.dockerHub, "dockerhub-push.json").images == [
                ImageEvent(image: "index.docker.io/svendowideit/testhook", tag: "latest")
            ])
        #expect(
            try decode(.quay, "quay-repo-push.json").images == [ImageEvent(image: "quay.io/hiddeco/foo", tag: "3.10")])
        #expect(
            try decode(.acr, "acr-push.json").images == [
                ImageEvent(
                    image: "myregistry.azurecr.io/hello-world", tag: "v1",
                    digest: "sha256:80f0d5c8786bb9e621a45ece0db56d11cdc624ad20da9fe62e9d25490f331d7d")
            ])
        #expect(
            try decode(.nexus, "nexus-component-created.json").images == [
                ImageEvent(
                    image: "app1/alpine", tag: "3.4", registry: .unknown(otherNames: ["app1/app1/alpine"]))
            ])
        #expect(try decode(.nexus, "nexus-asset-created.json").images.isEmpty)
        let gcr = try decode(.gcr, "gcr-pubsub-push.json")
        #expect(gcr.event.kind == "INSERT" && gcr.images.count == 1)
        #expect(gcr.images.first?.image == "us-east1-docker.pkg.dev/my-project/my-repo/hello-world")
        #expect(gcr.images.first?.tag == "1.1" && gcr.images.first?.digest?.hasPrefix("sha256:") == true)
    }

    @Test("A reference's port is no tag")
    func references() {
        #expect(ImageEvent(reference: "r:5000/a") == ImageEvent(image: "r:5000/a"))
        #expect(
            ImageEvent(reference: "r:5000/a:v1@sha256:0")
                == ImageEvent(image: "r:5000/a", tag: "v1", digest: "sha256:0"))
        #expect(ImageEvent(reference: "") == ImageEvent())
        #expect(ImageEvent(reference: "@") == ImageEvent(digest: ""))
    }

    @Test("JFrog: the folders of an image come from its path")
    func jfrog() throws {
        let body = """
            {"domain":"docker","event_type":"pushed","data":{"repo_key":"docker-local","image_name":"app","tag":"v1",\
            "path":"team/app/v1/manifest.json","sha256":"00ff"}}
            """
        let event = SenderTable.decode(.jfrog, senderRequest(body: Array(body.utf8)), eventName: "docker.pushed")
        let registry = ImageRegistry.artifactory(repositoryKey: "docker-local", image: "team/app")
        #expect(
            event?.images == [ImageEvent(image: "team/app", tag: "v1", digest: "sha256:00ff", registry: registry)])
        // The platform's address, where Artifactory sends it, makes the name a whole one.
        for (origin, image) in [
            ("https://Art.example.com/artifactory", "art.example.com/docker-local/team/app"),
            ("https://art.example.com:8443", "art.example.com:8443/docker-local/team/app"),
            ("art.example.com", "team/app"),
            ("https://", "team/app"), ("https://a b/", "team/app"),
        ] {
            let told = body.replacing("{\"domain\"", with: "{\"jpd_origin\":\"\(origin)\",\"domain\"")
            let event = SenderTable.decode(.jfrog, senderRequest(body: Array(told.utf8)), eventName: "docker.pushed")
            #expect(event?.images.first?.image == image && event?.images.first?.registry == registry, "\(origin)")
        }
    }

    @Test("ACR and a package URL without a host say so")
    func hostless() throws {
        let acr = #"{"action":"push","target":{"repository":"app","tag":"v1"},"request":{"host":""}}"#
        #expect(
            SenderTable.decode(.acr, senderRequest(body: Array(acr.utf8)), eventName: "push")?.images == [
                ImageEvent(image: "app", tag: "v1", registry: .unknown())
            ])
        let event = """
            {"context":{"version":"0.4.1","id":"1","source":"/s","type":"dev.cdevents.artifact.published.0.2.0"},\
            "subject":{"id":"pkg:oci/app@sha256%3A00ff?tag=v1","type":"artifact"}}
            """
        #expect(
            SenderTable.decode(.cdEvents, senderRequest(body: Array(event.utf8)), eventName: "")?.images == [
                ImageEvent(image: "app", tag: "v1", digest: "sha256:00ff", registry: .unknown())
            ])
    }

    @Test("CDEvents: an OCI package URL is an image")
    func packageURL() throws {
        let body = """
            {"context":{"version":"0.4.1","id":"1","source":"/s","type":"dev.cdevents.artifact.published.0.2.0"},\
            "subject":{"id":"pkg:oci/app@sha256%3A00ff?repository_url=r.example/team/app&tag=v1","type":"artifact"}}
            """
        let request = senderRequest(body: Array(body.utf8))
        #expect(
            SenderTable.decode(.cdEvents, request, eventName: "")?.images == [
                ImageEvent(image: "r.example/team/app", tag: "v1", digest: "sha256:00ff")
            ])
    }

    @Test("Filters of gcr see exactly the three members of the notice")
    func gcrFilterBody() throws {
        let request = senderRequest(body: Array(#"{"message":{"data":"eyJ0YWciOiJ4IiwiYSI6MX0="}}"#.utf8))
        #expect(SenderTable.filterBody(.gcr, request) == ["action": "", "digest": "", "tag": "x"])
        #expect(SenderTable.filterBody(.quay, request) == nil)
    }

    @Test("Types that the loop proves have no decoder here")
    func others() {
        #expect(SenderTable.decode(.github, senderRequest(), eventName: "push") == nil)
        #expect(SenderRules(sender: .github, isFlux: true, secrets: []) == nil)
    }
}
