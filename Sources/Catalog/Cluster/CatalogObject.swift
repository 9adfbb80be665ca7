// CatalogObject: one object of an API server, understood as far as the object alone allows.

public import Delivery

/// A Secret by namespace and name.
public struct SecretName: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var namespace: String
    public var name: String

    public init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    public var description: String { "Secret/\(namespace)/\(name)" }

    public static func < (a: SecretName, b: SecretName) -> Bool { (a.namespace, a.name) < (b.namespace, b.name) }
}

/// Immutable, and shared by all who hold it: a large cluster has tens of thousands.
public final class CatalogObject: Sendable {
    public let facts: ObjectFacts
    /// nil when the object cannot be used; `problems` says why.
    let resource: ManifestResource?
    let problems: [ManifestFileProblem]
    /// The Secrets that the object's receiver needs.
    public let secretReferences: [SecretName]
    /// Of everything that the catalog may read.
    let content: ContentDigest

    /// nil for what is no object with a name. `apiVersion` and `kind` are those of the list or watch it came in.
    public init?(_ object: JSONValue, apiVersion: String, kind: String) {
        guard let facts = ObjectFacts(object, apiVersion: apiVersion, kind: kind) else { return nil }
        self.facts = facts
        let file = ManifestFile(fromServer: YAMLNode(object: object, apiVersion: apiVersion, kind: kind))
        resource = file.resources.first
        problems = file.problems
        secretReferences = resource?.secretReferences ?? []
        content = ContentDigest(of: object, kind: facts.kind)
    }

    /// `object` with the resource of an earlier version of it.
    private init(_ object: CatalogObject, resource: ManifestResource?) {
        facts = object.facts
        self.resource = resource
        problems = object.problems
        secretReferences = resource?.secretReferences ?? []
        content = object.content
    }

    /// What an object that followed `old` is in the catalog: one that cannot be understood any more leaves the last good version in
    /// use. How much of it is new comes with it.
    func following(_ old: CatalogObject?) -> (object: CatalogObject, change: ObjectChange) {
        guard let old else { return (self, .content) }
        guard content == old.content, problems == old.problems else {
            let object = resource == nil && old.resource != nil ? CatalogObject(self, resource: old.resource) : self
            return (object, .content)
        }
        if let resource, resource.given != old.resource?.given { return (self, .givenStatus) }
        // The same resource once more: the one that is there already stays.
        return (CatalogObject(self, resource: old.resource), .bookkeeping)
    }
}

/// How much of an object changed.
public enum ObjectChange: Sendable, Equatable {
    /// Routes, indexes or verdicts may be others.
    case content
    /// What another controller says of a Receiver: counts where that decides (`CatalogOptions.ReceiverStatus.given`).
    case givenStatus
    /// Nothing but what is needed to write its status.
    case bookkeeping
}

extension ManifestResource {
    var secretReferences: [SecretName] {
        let namespace = key.namespace
        let names: [String]
        switch self {
        case .receiver(let receiver): names = [receiver.secretName].compactMap { $0 }
        case .hook(let hook):
            names =
                hook.secrets.map(\.name)
                + hook.actions.compactMap { action in
                    if case .http(_, _, let signing?) = action { signing.name } else { nil }
                }
        case .buildConfig(let config): names = config.triggers.compactMap(\.secretName)
        case .secret, .source, .s2iBuilder, .kpack: names = []
        }
        return names.map { SecretName(namespace: namespace, name: $0) }
    }

    /// What another controller wrote into the status of a Receiver.
    fileprivate var given: ReceiverStatusGiven? {
        if case .receiver(let receiver) = self { receiver.status } else { nil }
    }
}
