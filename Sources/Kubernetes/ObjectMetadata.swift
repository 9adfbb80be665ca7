// ObjectMetadata: an object without spec and status, as filters read it (kubernetes.io/docs/reference/using-api/api-concepts,
// "Receiving resources as metadata").

public import Foundation

/// One object's metadata, and which kind it is.
public struct ObjectMetadata: Sendable {
    public var apiVersion: String
    public var kind: String
    public var namespace: String
    public var name: String
    public var labels: [String: String]
    public var annotations: [String: String]
    /// The whole `metadata` member as JSON.
    public var json: Data

    struct List {
        var objects: [ObjectMetadata]
        /// For the next page; empty on the last one.
        var next: String
    }

    struct Unreadable: Error {}

    static func one(_ data: Data, of resource: APIResource) throws -> ObjectMetadata {
        guard let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] else { throw Unreadable() }
        return try ObjectMetadata(object, of: resource)
    }

    static func list(_ data: Data, of resource: APIResource) throws -> List {
        guard let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] else { throw Unreadable() }
        let items = object["items"] as? [[String: Any]] ?? []
        let next = (object["metadata"] as? [String: Any])?["continue"] as? String ?? ""
        return List(objects: try items.map { try ObjectMetadata($0, of: resource) }, next: next)
    }

    /// Items of a list do not say their kind: it is the list's.
    private init(_ object: [String: Any], of resource: APIResource) throws {
        guard let metadata = object["metadata"] as? [String: Any], let name = metadata["name"] as? String else {
            throw Unreadable()
        }
        apiVersion = resource.group.isEmpty ? resource.version : "\(resource.group)/\(resource.version)"
        kind = resource.kind
        self.name = name
        namespace = metadata["namespace"] as? String ?? ""
        labels = metadata["labels"] as? [String: String] ?? [:]
        annotations = metadata["annotations"] as? [String: String] ?? [:]
        json = try JSONSerialization.data(withJSONObject: metadata)
    }
}
