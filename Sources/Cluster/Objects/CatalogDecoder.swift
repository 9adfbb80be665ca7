// CatalogDecoder: lists and watch events of an API server to objects of the catalog. What is not asked for is let go at once.

internal import Catalog
internal import Delivery
internal import Foundation
internal import Kubernetes

struct CatalogDecoder: ObjectDecoder {
    struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    /// Whether an object matters; of the others only their being there is known.
    var isWanted: @Sendable (_ namespace: String, _ name: String) -> Bool = { _, _ in true }

    func page(_ body: Data, of resource: APIResource) throws -> ObjectPage<CatalogObject> {
        guard let list = JSONValue(body),
            let items = list["items"]?.elements ?? (list["items"]?.isNull == true ? [] : nil)
        else { throw Unreadable(description: "no list of objects") }
        let metadata = list["metadata"]
        return ObjectPage(
            objects: items.compactMap { object($0, resource) },
            resourceVersion: metadata?["resourceVersion"]?.text ?? "",
            continueToken: metadata?["continue"]?.text ?? "")
    }

    func event(_ line: Data, of resource: APIResource) throws -> WatchEvent<CatalogObject> {
        guard let event = JSONValue(line), let type = event["type"]?.text, let object = event["object"] else {
            throw Unreadable(description: "no watch event")
        }
        let version = object["metadata"]?["resourceVersion"]?.text ?? ""
        switch type {
        case "ADDED", "MODIFIED":
            // What does not matter moves the watch on all the same.
            guard let object = self.object(object, resource) else { return .bookmark(resourceVersion: version) }
            return .applied(object, resourceVersion: version)
        case "DELETED":
            guard let object = self.object(object, resource) else { return .bookmark(resourceVersion: version) }
            return .deleted(object, resourceVersion: version)
        case "BOOKMARK": return .bookmark(resourceVersion: version)
        case "ERROR":
            guard let status = KubernetesStatus(json: Data(object.serialized)) else {
                throw Unreadable(description: "an error without a status")
            }
            return .failed(status)
        default: throw Unreadable(description: "an unknown type of event")
        }
    }

    private func object(_ object: JSONValue, _ resource: APIResource) -> CatalogObject? {
        let metadata = object["metadata"]
        guard let name = metadata?["name"]?.text, isWanted(metadata?["namespace"]?.text ?? "", name) else { return nil }
        let group = resource.group.isEmpty ? resource.version : "\(resource.group)/\(resource.version)"
        return CatalogObject(object, apiVersion: group, kind: resource.kind)
    }
}
