// RepositoryIndex: from a repository or image to the objects that follow it. One organisation hook serves thousands of repositories
// through it: a lookup is one hash for each URL that the event gives, whatever the number of objects.
//
// Immutable; made anew with the configuration. A fork of the same name has another owner and so another key. A renamed repository is
// unknown under its new name until the objects name it: the event says so, and nothing wrong is triggered.

/// Which refs of its repository an object follows.
public enum RefRule: Sendable, Equatable {
    /// Every ref, or every tag of an image.
    case any
    case branch(String)
    case tag(String)
    /// A range of versions: any tag may be in it.
    case anyTag
    /// A full ref: `refs/pull/1/head`.
    case named(String)
    /// A fixed commit or digest, which no push changes.
    case pinned

    /// Whether a push to `ref` (full, or an image's tag as `refs/tags/…`) concerns the object.
    func follows(_ ref: String) -> Bool {
        switch self {
        case .any: true
        case .branch(let name): ref == "refs/heads/" + name
        case .tag(let name): ref == "refs/tags/" + name
        case .anyTag: ref.hasPrefix("refs/tags/")
        case .named(let name): ref == name
        case .pinned: false
        }
    }
}

/// An object that follows a repository or an image.
public struct SourceObject: Sendable, Equatable {
    public var target: TargetReference
    /// As the object writes it: a Git URL, or an image (`oci://` is dropped).
    public var url: String
    public var isImage: Bool
    public var rule: RefRule

    public init(target: TargetReference, url: String, isImage: Bool, rule: RefRule) {
        self.target = target
        self.url = url
        self.isImage = isImage
        self.rule = rule
    }
}

public struct RepositoryIndex: Sendable {
    private enum Key: Hashable {
        case git(RepositoryName)
        case image(String)
    }

    private let objects: [SourceObject]
    private let artifactory: ArtifactoryMap
    private var indexes: [Key: [Int32]] = [:]
    /// Images by repository alone, for senders that do not tell the host; none of Docker Hub.
    private var imagesByPath: [String: [(host: String, index: Int32)]] = [:]

    /// `artifactory`: the prefixes under which the objects name Artifactory's images; none given: they are guessed.
    public init(_ objects: [SourceObject] = [], artifactory: [ArtifactoryRepository] = []) {
        self.objects = objects
        self.artifactory = ArtifactoryMap(artifactory, aliases: HostAliases())
        indexes.reserveCapacity(objects.count)
        for (index, object) in objects.enumerated() {
            guard let key = Self.key(object.url, isImage: object.isImage) else { continue }
            indexes[key, default: []].append(Int32(index))
            if case .image(let name) = key, let reference = ImageReference(name),
                reference.host != RegistryHost.dockerHub
            {
                imagesByPath[reference.repository, default: []].append((reference.host, Int32(index)))
            }
        }
    }

    public var count: Int { objects.count }

    private static func key(_ url: String, isImage: Bool) -> Key? {
        guard isImage else { return RepositoryName(url: url).map(Key.git) }
        let text = url.hasPrefix("oci://") ? String(url.dropFirst(6)) : url
        return ImageReference(text).map { .image($0.name) }
    }

    public enum Match: Sendable, Equatable {
        case targets([TargetReference])
        /// No object names the event's repository.
        case unknown
        /// Objects name it, but follow other refs.
        case otherRef
    }

    /// The objects of one cluster, of these kinds, in these namespaces (empty: all), that follow what the event pushed.
    public func match(_ event: Event, cluster: String = "local", kinds: [String], namespaces: [String]) -> Match {
        var candidates = event.repositoryURLs.compactMap { url in
            RepositoryName(url: url).map { (indexes: indexes[.git($0)] ?? [], ref: event.ref) }
        }
        for image in event.namedImages {
            let ref = image.tag.map { "refs/tags/" + $0 }
            for place in image.places(artifactory) { candidates.append((indexes(of: place), ref)) }
        }
        var found: [TargetReference] = []
        var seen: Set<Int32> = []
        var isKnown = false
        for (indexes, ref) in candidates {
            for index in indexes where !seen.contains(index) {
                let object = objects[Int(index)]
                guard object.target.cluster == cluster, kinds.contains(object.target.kind),
                    namespaces.isEmpty || namespaces.contains(object.target.namespace)
                else { continue }
                isKnown = true
                // An event without a ref says only that something changed: all that may follow it look.
                guard ref.map(object.rule.follows) ?? (object.rule != .pinned) else { continue }
                seen.insert(index)
                found.append(object.target)
            }
        }
        return found.isEmpty ? (isKnown ? .otherRef : .unknown) : .targets(found)
    }

    private func indexes(of place: ImageChange.Repository) -> [Int32] {
        switch place {
        case .named(let name): indexes[.image(name)] ?? []
        case .anywhere(let path): (imagesByPath[path] ?? []).map(\.index)
        case .labelled(let label, let path):
            (imagesByPath[path] ?? []).filter { RegistryHost.firstLabel($0.host) == label }.map(\.index)
        }
    }
}
