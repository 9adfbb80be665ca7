// ArtifactoryNotification: what Artifactory says about images, in five shapes.
//
// The user plugin `webhook` (jfrog/artifactory-user-plugins) has the formats default, keel, spinnaker and slack; Artifactory 7 has
// webhooks of its own. None carries the registry's host: repository key and image become references by configured prefixes, or, while
// there are none, by guessing.

enum ArtifactoryNotification {
    private static let events: Set = [
        "docker.tagCreated", "docker.tagDeleted", "storage.afterCreate", "storage.afterDelete", "storage.afterMove",
        "storage.afterCopy", "storage.afterPropertyCreate", "storage.afterPropertyDelete", "build.afterSave",
        "execute.pingWebhook",
    ]

    /// The plugin sends one.
    private static let artifactsMax = 100

    static func read(_ body: JSONValue, _ map: ArtifactoryMap) -> BuildServiceMessage {
        guard body.members != nil else { return .malformed }
        if let webhook = body["artifactory"]?["webhook"] { return byDefault(webhook, map) }
        if let domain = body["domain"]?.text { return native(body, domain: domain, map) }
        if let artifacts = body["artifacts"]?.elements { return spinnaker(artifacts, map) }
        // Slack's attachments are meant for people.
        if body["text"] != nil, body["attachments"] != nil { return .unusable }
        if let name = body["name"]?.text, let tag = body["tag"]?.text { return keel(name: name, tag: tag, map) }
        return .nothing(.eventIrrelevant, event: "", id: nil)
    }

    private static func byDefault(_ webhook: JSONValue, _ map: ArtifactoryMap) -> BuildServiceMessage {
        let event = webhook["event"]?.text ?? ""
        guard event == "docker.tagCreated" else {
            return .nothing(
                event == "execute.pingWebhook" ? .ping : .eventIrrelevant,
                event: events.contains(event) ? event : "", id: nil)
        }
        let data = webhook["data"]
        let item = data?["event"]
        let path = ManifestPath(item?["relPath"]?.text ?? item?["repoPath"]?["path"]?.text ?? "")
        guard let repoKey = item?["repoKey"]?.text ?? item?["repoPath"]?["repoKey"]?.text,
            let image = data?["docker"]?["image"]?.text ?? path?.image,
            let tag = data?["docker"]?["tag"]?.text ?? path?.tag
        else { return .nothing(.bodyUnusable, event: event, id: nil) }
        return changed(map.changes(repoKey: repoKey, image: image, tag: tag, digest: nil), tag, event)
    }

    /// `name` is the reference without its tag. Without the setting `dockerRegistryUrl` the plugin writes `null` into it.
    private static func keel(name: String, tag: String, _ map: ArtifactoryMap) -> BuildServiceMessage {
        let event = "docker.tagCreated"
        guard !name.split(separator: "/").dropFirst().contains("null"), !name.utf8.contains(UInt8(ascii: "@")),
            let reference = ImageReference(name + ":" + tag, aliases: map.aliases), reference.tag == tag
        else { return .nothing(.repositoryUnknown, event: event, id: nil) }
        return changed([ImageChange(repository: .named(reference.name), tag: tag)], tag, event)
    }

    private static func spinnaker(_ artifacts: [JSONValue], _ map: ArtifactoryMap) -> BuildServiceMessage {
        var changes: [ImageChange] = []
        var isRelevant = false
        for artifact in artifacts.prefix(artifactsMax) where artifact["type"]?.text == "docker/image" {
            guard let image = artifact["name"]?.text, let tag = artifact["version"]?.text, !isDigestDirectory(tag),
                let reference = artifact["reference"]?.text,
                let repoKey = repoKey(in: reference, before: "/\(image):\(tag)")
            else { continue }
            isRelevant = true
            changes += map.changes(repoKey: repoKey, image: image, tag: tag, digest: nil)
        }
        return isRelevant
            ? .changes(changes, event: "docker.tagCreated", id: nil) : .nothing(.eventIrrelevant, event: "", id: nil)
    }

    /// The last component of what stands before `end` in `<baseurl>/<repoKey>/<image>:<tag>`; nil when the text does not end so.
    private static func repoKey(in reference: String, before end: String) -> String? {
        let bytes = Array(reference.utf8)
        let end = Array(end.utf8)
        guard bytes.suffix(end.count).elementsEqual(end) else { return nil }
        return bytes.dropLast(end.count).split(separator: UInt8(ascii: "/")).last.map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// Artifactory 7. The path is trusted more than `image_name`, which may lack folders.
    private static func native(_ body: JSONValue, domain: String, _ map: ArtifactoryMap) -> BuildServiceMessage {
        guard domain == "docker", body["event_type"]?.text == "pushed" else {
            return .nothing(.eventIrrelevant, event: "", id: nil)
        }
        let data = body["data"]
        let path = ManifestPath(data?["path"]?.text ?? "")
        guard let repoKey = data?["repo_key"]?.text, let image = path?.image ?? data?["image_name"]?.text,
            let tag = data?["tag"]?.text ?? path?.tag
        else { return .nothing(.bodyUnusable, event: "pushed", id: nil) }
        let digest = data?["sha256"]?.text.flatMap { ("sha256:" + $0).validDigest }
        return changed(map.changes(repoKey: repoKey, image: image, tag: tag, digest: digest), tag, "pushed")
    }

    private static func changed(_ changes: [ImageChange], _ tag: String, _ event: String) -> BuildServiceMessage {
        // The per-platform manifests of a multi-architecture push lie in folders named for their digests.
        isDigestDirectory(tag)
            ? .nothing(.eventIrrelevant, event: event, id: nil) : .changes(changes, event: event, id: nil)
    }

    /// `sha256:` or `sha256__`, and 64 hexadecimal digits.
    private static func isDigestDirectory(_ tag: String) -> Bool {
        (tag.hasPrefix("sha256:") || tag.hasPrefix("sha256__"))
            && CredentialText.sha256Digest(String(tag.drop { $0 != ":" && $0 != "_" }.drop { $0 == ":" || $0 == "_" }))
                != nil
    }
}

/// `image/path/tag/manifest.json`, the place of a manifest within a repository.
private struct ManifestPath {
    let image: String
    let tag: String

    init?(_ path: String) {
        var parts = path.split(separator: "/")
        guard parts.count >= 3, let file = parts.popLast(), let tag = parts.popLast(),
            file == "manifest.json" || file == "list.manifest.json"
        else { return nil }
        self.tag = String(tag)
        self.image = parts.joined(separator: "/")
    }
}

/// From repository key, image and tag to references.
struct ArtifactoryMap: Sendable {
    private struct Prefix: Sendable {
        let host: String
        /// Empty, or a path with `/` at its end.
        let path: String
    }

    let aliases: HostAliases
    private var prefixes: [String: [Prefix]] = [:]
    private let isGuessing: Bool

    init(_ repositories: [ArtifactoryRepository], aliases: HostAliases) {
        self.aliases = aliases
        self.isGuessing = repositories.isEmpty
        for repository in repositories {
            for written in repository.prefixes {
                let parts = written.split(separator: "/", maxSplits: 1)
                guard let host = parts.first else { continue }
                let path = parts.dropFirst().first.map { $0.split(separator: "/").joined(separator: "/") } ?? ""
                prefixes[repository.repoKey, default: []].append(
                    Prefix(host: String(host), path: path.isEmpty ? "" : path + "/"))
            }
        }
    }

    func changes(repoKey: String, image: String, tag: String, digest: String?) -> [ImageChange] {
        guard isGuessing || ImageReference.isTag(tag) else { return [] }
        return places(repoKey: repoKey, image: image).map { ImageChange(repository: $0, tag: tag, digest: digest) }
    }

    /// Where an image of a repository may lie: under its configured prefixes, or, while none are configured at all, under the names
    /// that the usual ways of access give it.
    func places(repoKey: String, image: String) -> [ImageChange.Repository] {
        guard isGuessing else {
            return (prefixes[repoKey] ?? []).compactMap { prefix in
                ImageReference(host: prefix.host, repository: prefix.path + image, tag: nil, aliases: aliases).map {
                    .named($0.name)
                }
            }
        }
        return [
            .anywhere(repository: repoKey + "/" + image), .labelled(repoKey.lowercased(), repository: image),
        ]
    }
}
