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

public struct CatalogObject: Sendable {
    public let facts: ObjectFacts
    /// nil when the object cannot be used; `problems` says why.
    let resource: ManifestResource?
    let problems: [ManifestFileProblem]

    /// nil for what is no object with a name. `apiVersion` and `kind` are those of the list or watch it came in.
    public init?(_ object: JSONValue, apiVersion: String, kind: String) {
        guard let facts = ObjectFacts(object, apiVersion: apiVersion, kind: kind) else { return nil }
        self.facts = facts
        let file = ManifestFile(fromServer: YAMLNode(object: object, apiVersion: apiVersion, kind: kind))
        resource = file.resources.first
        problems = file.problems
    }

    /// The Secrets that the object's receiver needs.
    public var secretReferences: [SecretName] { resource?.secretReferences ?? [] }
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
}
