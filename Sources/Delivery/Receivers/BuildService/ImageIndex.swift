// ImageIndex: which objects read which image.
//
// Built once from all objects and never changed: a lookup is a hash of the repository and one of the tag, whatever the number of
// objects. No API call, and nothing of a request is kept: references in results come from the objects and from checked parts.

/// An object to be looked at again, because of an image.
public struct KpackRefresh: Sendable, Equatable {
    public var target: TargetReference
    /// Normalised, without digest; without tag when the sender named none.
    public var image: String
    /// What the sender says that the tag points at now.
    public var digest: String?

    public init(target: TargetReference, image: String, digest: String?) {
        self.target = target
        self.image = image
        self.digest = digest
    }
}

public struct ImageIndex: Sendable {
    /// One field of an object that reads an image by tag.
    private struct Reader: Sendable {
        let object: Int
        /// What kpack resolved it to.
        let digest: String?
    }

    private struct Repository: Sendable {
        let reference: ImageReference
        var readers: [String: [Reader]] = [:]
        /// Whether some object names it by digest.
        var isPinned = false
    }

    /// What changes came to.
    struct Outcome: Sendable, Equatable {
        /// In the order of the objects, each once.
        var refreshes: [KpackRefresh]
        /// Indices of the refreshed objects, ascending.
        var objects: [Int]
        /// Why there is none.
        var reason: IgnoredReason
    }

    public let aliases: HostAliases
    /// Where images of an Artifactory lie.
    let artifactory: ArtifactoryMap
    let objects: [KpackObject]
    let cluster: String
    let relations: KpackRelations
    private var repositories: [Repository] = []
    private var indexByName: [String: Int] = [:]
    /// By repository alone, for senders that do not tell the host.
    private var indicesByPath: [String: [Int]] = [:]

    /// `cluster` names the cluster that the objects are of; `artifactory` the prefixes under which they name Artifactory's images.
    public init(
        _ objects: [KpackObject], hostAliases: [String: String] = [:], artifactory: [ArtifactoryRepository] = [],
        cluster: String = "local"
    ) {
        self.objects = objects
        self.cluster = cluster
        self.aliases = HostAliases(hostAliases)
        self.artifactory = ArtifactoryMap(artifactory, aliases: HostAliases(hostAliases))
        self.relations = KpackRelations(objects)
        for (index, object) in objects.enumerated() {
            for input in object.inputs {
                guard let reference = ImageReference(input.image, aliases: aliases) else { continue }
                add(reference, Reader(object: index, digest: input.digest))
            }
        }
    }

    private mutating func add(_ reference: ImageReference, _ reader: Reader) {
        let name = reference.name
        let index = indexByName[name] ?? repositories.count
        if index == repositories.count {
            repositories.append(Repository(reference: reference))
            indexByName[name] = index
            indicesByPath[reference.repository, default: []].append(index)
        }
        if let tag = reference.tag, !reference.isPinned {
            repositories[index].readers[tag, default: []].append(reader)
        } else {
            repositories[index].isPinned = true
        }
    }

    /// The objects that read what changed and are not known to be there already. Of several changes of one tag the last one counts.
    /// Linear in changes and readers together.
    func outcome(of changes: [ImageChange]) -> Outcome {
        var found: [Int: KpackRefresh] = [:]
        var reason = IgnoredReason.repositoryUnknown
        for change in Self.lastOfEach(changes) {
            for index in indices(of: change.repository) {
                let repository = repositories[index]
                let readers =
                    change.tag.map { repository.readers[$0] ?? [] } ?? repository.readers.values.flatMap { $0 }
                if readers.isEmpty {
                    reason = Self.stronger(reason, repository.isPinned ? .referencePinned : .noTarget)
                }
                let image = repository.reference.name + (change.tag.map { ":" + $0 } ?? "")
                for reader in readers {
                    if let digest = change.digest, digest == reader.digest {
                        reason = Self.stronger(reason, .upToDate)
                        continue
                    }
                    found[reader.object] = KpackRefresh(
                        target: target(reader.object), image: image, digest: change.digest)
                }
            }
        }
        let order = found.keys.sorted()
        return Outcome(refreshes: order.compactMap { found[$0] }, objects: order, reason: reason)
    }

    func target(_ index: Int) -> TargetReference {
        let object = objects[index]
        return TargetReference(
            cluster: cluster, apiVersion: object.apiVersion, kind: object.kind, namespace: object.namespace,
            name: object.name)
    }

    private func indices(of repository: ImageChange.Repository) -> [Int] {
        switch repository {
        case .named(let name): indexByName[name].map { [$0] } ?? []
        case .anywhere(let path):
            (indicesByPath[path] ?? []).filter { repositories[$0].reference.host != RegistryHost.dockerHub }
        case .labelled(let label, let path):
            (indicesByPath[path] ?? []).filter {
                let host = repositories[$0].reference.host
                return host != RegistryHost.dockerHub && RegistryHost.firstLabel(host) == label
            }
        }
    }

    private static func lastOfEach(_ changes: [ImageChange]) -> [ImageChange] {
        struct Key: Hashable {
            let repository: ImageChange.Repository
            let tag: String?
        }
        var seen: Set<Key> = []
        return changes.reversed().filter { seen.insert(Key(repository: $0.repository, tag: $0.tag)).inserted }
            .reversed()
    }

    /// The reason that says more.
    private static func stronger(_ a: IgnoredReason, _ b: IgnoredReason) -> IgnoredReason {
        let order: [IgnoredReason] = [.repositoryUnknown, .noTarget, .referencePinned, .upToDate]
        return (order.firstIndex(of: a) ?? 0) >= (order.firstIndex(of: b) ?? 0) ? a : b
    }
}
