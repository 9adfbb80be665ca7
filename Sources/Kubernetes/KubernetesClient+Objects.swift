// Calls on single objects and on pages of lists, as JSON in and out.
//
// Source of truth: https://kubernetes.io/docs/reference/using-api/api-concepts/ and, for apply,
// https://kubernetes.io/docs/reference/using-api/server-side-apply/

public import Foundation
import NIOHTTP1

/// Which objects of a kind a list gives, and how many at once.
public struct ListQuery: Sendable, Hashable {
    /// Objects in a page at most; nil: all in one.
    public var limit: Int?
    /// From the page before; empty for the first.
    public var continueToken: String
    public var labelSelector: String?
    public var fieldSelector: String?
    /// nil: the newest state; "0": whatever the API server has in memory.
    public var resourceVersion: String?
    /// The page is a PartialObjectMetadataList.
    public var isMetadataOnly: Bool

    public init(
        limit: Int? = nil, continueToken: String = "", labelSelector: String? = nil, fieldSelector: String? = nil,
        resourceVersion: String? = nil, isMetadataOnly: Bool = false
    ) {
        self.limit = limit
        self.continueToken = continueToken
        self.labelSelector = labelSelector
        self.fieldSelector = fieldSelector
        self.resourceVersion = resourceVersion
        self.isMetadataOnly = isMetadataOnly
    }
}

/// What must hold of an object for it to be deleted.
public struct DeletePreconditions: Sendable, Hashable {
    public var uid: String?
    public var resourceVersion: String?

    public init(uid: String? = nil, resourceVersion: String? = nil) {
        self.uid = uid
        self.resourceVersion = resourceVersion
    }
}

extension KubernetesClient {
    /// One page of a list as the API server sent it. No namespace: all namespaces, or a kind without them.
    ///
    /// At most `bodyBytesMax` bytes, `Settings.listBytesMax` unless given. A page whose continue token has expired is an error
    /// with status 410: list again from the start.
    public func list(
        _ resource: APIResource, namespace: String?, query: ListQuery = ListQuery(), bodyBytesMax: Int? = nil
    ) async throws(KubernetesError) -> Data {
        let call = Self.call("list", resource, namespace, nil)
        let path = try resource.wholePath(namespace: namespace, call: call)
        let text = Self.query([
            ("limit", query.limit.map(String.init)), ("continue", query.continueToken),
            ("labelSelector", query.labelSelector), ("fieldSelector", query.fieldSelector),
            // A continue token holds the version of its list.
            ("resourceVersion", query.continueToken.isEmpty ? query.resourceVersion : nil),
        ])
        return try await send(
            .GET, path + text, call: call, accept: query.isMetadataOnly ? Self.acceptMetadataList : "application/json",
            bounds: Bounds(
                timeoutSeconds: settings.listTimeoutSeconds, bodyBytesMax: bodyBytesMax ?? settings.listBytesMax))
    }

    /// One object as JSON.
    public func getObject(
        _ resource: APIResource, namespace: String?, name: String, isMetadataOnly: Bool = false
    ) async throws(KubernetesError) -> Data {
        let call = Self.call("get", resource, namespace, name)
        let path = try resource.path(namespace: namespace, name: name, call: call)
        return try await send(
            .GET, path, call: call, accept: isMetadataOnly ? Self.acceptMetadata : "application/json")
    }

    /// Puts `body` in the place of an object, or of its subresource (`status`). When `metadata.resourceVersion` in the body is
    /// not the object's any more, the error has status 409. The answer is the object as it is then.
    @discardableResult
    public func replace(
        _ resource: APIResource, namespace: String?, name: String, subresource: String? = nil, body: [UInt8]
    ) async throws(KubernetesError) -> Data {
        try await write(.PUT, "update", resource, namespace, name, subresource, type: "application/json", body: body)
    }

    /// Applies a JSON merge patch (RFC 7396) to an object or to its subresource (`status`). The answer is the object. In the
    /// background it waits for that budget.
    @discardableResult
    public func patch(
        _ resource: APIResource, namespace: String?, name: String, subresource: String? = nil, body: [UInt8],
        isInBackground: Bool = false
    ) async throws(KubernetesError) -> Data {
        try await write(
            .PATCH, "patch", resource, namespace, name, subresource, type: "application/merge-patch+json", body: body,
            isInBackground: isInBackground)
    }

    /// Server-side apply: makes the object or sets the fields in `body` (JSON), which `fieldManager` owns from then on. Fields
    /// that another manager owns are an error with status 409 unless `force`, which takes them over.
    @discardableResult
    public func apply(
        _ resource: APIResource, namespace: String?, name: String, subresource: String? = nil, fieldManager: String,
        force: Bool = false, body: [UInt8]
    ) async throws(KubernetesError) -> Data {
        let query = Self.query([("fieldManager", fieldManager), ("force", force ? "true" : nil)])
        return try await write(
            .PATCH, "patch", resource, namespace, name, subresource, query: query, type: "application/apply-patch+yaml",
            body: body)
    }

    /// Deletes an object. One that is gone is an error with status 404 whose `isObjectMissing` is true; one that the
    /// preconditions do not fit, 409.
    public func delete(
        _ resource: APIResource, namespace: String?, name: String, preconditions: DeletePreconditions? = nil
    ) async throws(KubernetesError) {
        struct Options: Encodable {
            struct Preconditions: Encodable {
                var uid: String?
                var resourceVersion: String?
            }
            var apiVersion = "v1"
            var kind = "DeleteOptions"
            var preconditions: Preconditions
        }
        let call = Self.call("delete", resource, namespace, name)
        let path = try resource.path(namespace: namespace, name: name, call: call)
        let options = preconditions.map {
            Options(preconditions: .init(uid: $0.uid, resourceVersion: $0.resourceVersion))
        }
        let body = options.flatMap { try? JSONEncoder().encode($0) }
        try await forgettingPath(of: resource) { () async throws(KubernetesError) in
            _ = try await self.send(
                .DELETE, path, call: call, contentType: "application/json", body: body.map { [UInt8]($0) },
                isBodyUsed: false)
        }
    }

    private func write(
        _ method: HTTPMethod, _ verb: String, _ resource: APIResource, _ namespace: String?, _ name: String,
        _ subresource: String?, query: String = "", type: String, body: [UInt8], isInBackground: Bool = false
    ) async throws(KubernetesError) -> Data {
        var call = Self.call(verb, resource, namespace, name)
        var path = try resource.path(namespace: namespace, name: name, call: call)
        if let subresource {
            call.resource += "/" + subresource
            path += "/" + Self.escaped(subresource)
        }
        let target = path + query
        let named = call
        return try await forgettingPath(of: resource) { () async throws(KubernetesError) -> Data in
            try await self.send(
                method, target, call: named, contentType: type, body: body, isInBackground: isInBackground)
        }
    }

    /// A 404 that does not name the object means that the path is gone: what discovery knows of it is out of date.
    private func forgettingPath<Value>(
        of resource: APIResource, _ operation: () async throws(KubernetesError) -> Value
    ) async throws(KubernetesError) -> Value {
        do {
            return try await operation()
        } catch {
            if error.statusCode == 404, !error.isObjectMissing { await discovery.forget(group: resource.group) }
            throw error
        }
    }

    static func call(_ verb: String, _ resource: APIResource, _ namespace: String?, _ name: String?) -> KubernetesCall {
        KubernetesCall(
            verb: verb, group: resource.group, resource: resource.plural,
            namespace: resource.isNamespaced ? namespace : nil, name: name)
    }

    /// `?a=b&c=d` of the values that are neither nil nor empty.
    static func query(_ items: [(name: String, value: String?)]) -> String {
        let pairs = items.compactMap { item in
            item.value.flatMap { $0.isEmpty ? nil : "\(item.name)=\(escaped($0))" }
        }
        return pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&")
    }
}
