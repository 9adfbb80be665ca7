// Images whose senders do not say the registry's host: found by their path on any host, never at Docker Hub.

import Testing

@testable import Delivery

@Suite("Images without a host")
struct HostlessImageTests {
    private func event(_ image: ImageEvent) -> Event {
        var event = Event(kind: "push")
        event.images = [image]
        event.image = image.image
        event.tag = image.tag
        return event
    }

    private let jfrog = ImageEvent(
        image: "team/app", tag: "v1", registry: .artifactory(repositoryKey: "docker-local", image: "team/app"))
    private let nexus = ImageEvent(image: "team/app", tag: "v1", registry: .unknown(otherNames: ["hosted/team/app"]))

    private func source(_ name: String, _ image: String, rule: RefRule = .any) -> SourceObject {
        SourceObject(
            target: TargetReference(apiVersion: nil, kind: "ImageRepository", namespace: "a", name: name), url: image,
            isImage: true, rule: rule)
    }

    private func names(_ index: RepositoryIndex, _ image: ImageEvent) -> [String] {
        guard case .targets(let targets) = index.match(event(image), kinds: ["ImageRepository"], namespaces: []) else {
            return []
        }
        return targets.map(\.name)
    }

    @Test("a path of Docker Hub is never meant")
    func dockerHub() {
        let index = RepositoryIndex([
            source("hub", "team/app"), source("hub2", "docker.io/team/app"), source("hub3", "hosted/team/app"),
        ])
        for image in [nexus, jfrog] {
            #expect(index.match(event(image), kinds: ["ImageRepository"], namespaces: []) == .unknown)
        }
        let images = ImageIndex([BuildServiceSample.object("ClusterLifecycle", "l", ["image": "team/app:v1"])])
        #expect(images.refreshes(of: event(nexus)).isEmpty && images.refreshes(of: event(jfrog)).isEmpty)
    }

    @Test("Nexus: by its own port or subdomain, or with the repository's name in the path")
    func byPath() {
        let index = RepositoryIndex([
            source("port", "nexus.example:5000/team/app"), source("path", "nexus.example/hosted/team/app"),
            source("other", "nexus.example/other/team/app"), source("longer", "nexus.example/x/team/app2"),
            source("pinned", "nexus.example:5000/team/app", rule: .pinned),
        ])
        #expect(names(index, nexus) == ["port", "path"])
        let images = ImageIndex([
            BuildServiceSample.object("ClusterLifecycle", "l", ["image": "nexus.example:5000/team/app:v1"]),
            BuildServiceSample.object("ClusterLifecycle", "m", ["image": "nexus.example:5000/team/app:v2"]),
        ])
        #expect(images.refreshes(of: event(nexus)).map(\.image) == ["nexus.example:5000/team/app:v1"])
    }

    @Test("Artifactory without settings: guessed by repository path and subdomain, as the Build Service does")
    func guessed() {
        let index = RepositoryIndex([
            source("path", "art.example/docker-local/team/app"),
            source("subdomain", "docker-local.art.example/team/app"),
            source("bare", "art.example/team/app"), source("otherKey", "art.example/docker-remote/team/app"),
        ])
        #expect(names(index, jfrog) == ["path", "subdomain"])
    }

    @Test("Artifactory with settings: the prefixes of its key and nothing else")
    func configured() {
        let settings = [
            ArtifactoryRepository(repoKey: "docker-local", prefixes: ["pull.example", "art.example/virtual"])
        ]
        let index = RepositoryIndex(
            [
                source("pull", "pull.example/team/app"), source("virtual", "art.example/virtual/team/app"),
                source("path", "art.example/docker-local/team/app"),
            ], artifactory: settings)
        #expect(names(index, jfrog) == ["pull", "virtual"])
        var other = jfrog
        other.registry = .artifactory(repositoryKey: "docker-remote", image: "team/app")
        #expect(names(index, other) == [])
        let images = ImageIndex(
            [BuildServiceSample.object("ClusterLifecycle", "l", ["image": "pull.example/team/app:v1"])],
            artifactory: settings)
        #expect(images.refreshes(of: event(jfrog)).map(\.image) == ["pull.example/team/app:v1"])
        #expect(images.refreshes(of: event(other)).isEmpty)
    }

    @Test("names that are whole match as before, Docker Hub's too")
    func named() {
        let index = RepositoryIndex([source("hub", "team/app"), source("quay", "quay.io/team/app")])
        #expect(names(index, ImageEvent(image: "index.docker.io/team/app", tag: "v1")) == ["hub"])
        #expect(names(index, ImageEvent(image: "quay.io/team/app", tag: "v1")) == ["quay"])
    }

    @Test("the digest of an image is found again by the normalised name")
    func digests() {
        let digest = BuildServiceSample.digest
        var told = nexus
        told.digest = digest
        #expect(event(told).digests(of: "nexus.example:5000/team/app:v1") == [digest])
        #expect(event(told).digests(of: "nexus.example:5000/team/app:v2") == [])
        #expect(event(nexus).digests(of: "nexus.example:5000/team/app:v1") == [nil])
        let hub = ImageEvent(image: "docker.io/app", tag: "v1", digest: digest)
        #expect(event(hub).digests(of: "index.docker.io/library/app:v1") == [digest])
        #expect(event(hub).digests(of: "quay.io/library/app:v1") == [])
    }
}
