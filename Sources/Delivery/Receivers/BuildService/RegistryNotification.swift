// RegistryNotification: the event envelope of the Docker/CNCF distribution registry (distribution/distribution, notifications/).
//
// `{"events": [...]}`, of which everything may be absent. A push of a manifest under a tag is what matters; blobs, pulls, mounts, deletes
// and pushes by digest do not. A registry may call itself by several names (it takes the pushing client's word for it):
// host aliases bring them together.

internal import CCrypto

enum RegistryNotification {
    static let mediaType = "application/vnd.docker.distribution.events.v1+json"

    private static let manifestTypes: Set = [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    ]
    private static let actions: Set = ["push", "pull", "mount", "delete"]
    /// Longer ids are kept as their digest.
    private static let idBytesMax = 200

    static func read(_ body: JSONValue, aliases: HostAliases) -> BuildServiceMessage {
        guard body.members != nil else { return .malformed }
        let list = body["events"] ?? .null
        guard list.isNull || list.elements != nil else { return .malformed }
        let events = (list.elements ?? []).filter { $0.members != nil }
        let id = deliveryID(events)
        var changes: [ImageChange] = []
        var isRelevant = false
        for event in events where isManifestPush(event) {
            guard let tag = tag(event) else { continue }
            isRelevant = true
            if let change = change(event, tag: tag, aliases) { changes.append(change) }
        }
        guard !isRelevant else { return .changes(changes, event: "push", id: id) }
        let action = events.first?["action"]?.text ?? ""
        return .nothing(.eventIrrelevant, event: actions.contains(action) ? action : "", id: id)
    }

    private static func isManifestPush(_ event: JSONValue) -> Bool {
        event["action"]?.text == "push" && manifestTypes.contains(event["target"]?["mediaType"]?.text ?? "")
    }

    /// Registries before 2.4 have the tag in the URL only.
    private static func tag(_ event: JSONValue) -> String? {
        if let tag = event["target"]?["tag"]?.text, !tag.isEmpty { return tag }
        guard let url = event["target"]?["url"]?.text, let last = url.utf8.lastIndex(of: UInt8(ascii: "/")),
            url.utf8[...last].reversed().starts(with: "/manifests/".utf8.reversed())
        else { return nil }
        let tag = String(url[url.utf8.index(after: last)...])
        // A digest holds a colon, which is in no tag.
        return ImageReference.isTag(tag) ? tag : nil
    }

    /// nil when no image can be meant.
    private static func change(_ event: JSONValue, tag: String, _ aliases: HostAliases) -> ImageChange? {
        guard let target = event["target"], let repository = target["repository"]?.text else { return nil }
        let hosts = [target["url"]?.text.flatMap(host(ofURL:)), event["request"]?["host"]?.text]
        guard let host = hosts.lazy.compactMap({ $0.flatMap(RegistryHost.normalised) }).first,
            let reference = ImageReference(host: host, repository: repository, tag: tag, aliases: aliases)
        else { return nil }
        return ImageChange(
            repository: .named(reference.name), tag: tag, digest: target["digest"]?.text?.validDigest)
    }

    /// The host and port of an absolute http or https URL (RFC 3986 section 3.2), without what may stand before an `@`.
    private static func host(ofURL url: String) -> String? {
        let bytes = url.utf8
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let scheme = bytes[..<colon].map(lowered)
        guard scheme.elementsEqual("https".utf8) || scheme.elementsEqual("http".utf8),
            bytes[colon...].starts(with: "://".utf8)
        else { return nil }
        let authority = bytes[colon...].dropFirst(3).prefix {
            $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#")
        }
        let start =
            authority.lastIndex(of: UInt8(ascii: "@")).map { authority.index(after: $0) } ?? authority.startIndex
        return String(Substring(authority[start...]))
    }

    /// One event: its id. Several: a digest over the ids in their order. nil when an event has none.
    private static func deliveryID(_ events: [JSONValue]) -> String? {
        var ids: [String] = []
        for event in events {
            guard let id = event["id"]?.text, !id.isEmpty else { return nil }
            ids.append(id)
        }
        guard let first = ids.first else { return nil }
        if ids.count == 1, first.utf8.count <= idBytesMax, first.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) {
            return first
        }
        // Each with its length, so that no two lists of ids read alike.
        return sha256(ids.flatMap { Array("\($0.utf8.count):".utf8) + Array($0.utf8) })
    }

    private static func sha256(_ bytes: [UInt8]) -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        // Sound: both buffers are as long as is said.
        unsafe cc_sha256(bytes, bytes.count, &digest)
        let digits = Array("0123456789abcdef".utf8)
        let text = digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return "sha256:" + String(decoding: text, as: UTF8.self)
    }
}
