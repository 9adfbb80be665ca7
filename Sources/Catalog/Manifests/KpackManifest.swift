// KpackManifest: a kpack object (kpack.io, build.pivotal.io) as far as it matters here: which images it reads, and whom it concerns.
//
// The object is kpack's, not ours: only what is needed is read, nothing in it is an error, and unknown fields are nobody's business.

import Delivery

struct KpackManifest: Sendable {
    let metadata: ObjectMetadata
    let line: Int
    let object: KpackObject

    private static let specFields = [
        "image", "buildImage", "runImage", "sources", "order", "stack", "store", "lifecycle", "builder",
    ]
    private static let statusFields = ["image", "buildImage", "runImage", "latestImage", "latestBuildRef"]
    /// `spec.order[].group[].image`: what is nested more deeply is not read.
    private static let depthMax = 6

    /// nil for versions and kinds that mean nothing here. The namespace of a cluster-scoped object is empty, whatever `metadata` says.
    init?(_ fields: inout YAMLFields, metadata: ObjectMetadata, apiVersion: String, kind: String) {
        // A store's status lists all its buildpacks, with thousands of lines; only a buildpack's own list is needed.
        let statusFields = Self.statusFields + (kind.hasSuffix("Buildpack") ? ["buildpacks"] : [])
        let spec = Self.members(Self.specFields, of: fields.node("spec")?.value)
        let status = Self.members(statusFields, of: fields.node("status")?.value)
        guard
            let object = KpackObject(
                apiVersion: apiVersion, kind: kind, namespace: metadata.namespace, name: metadata.name, spec: spec,
                status: status)
        else { return nil }
        self.metadata = metadata
        self.line = fields.line
        self.object = object
    }

    private static func members(_ names: [String], of node: YAMLNode?) -> JSONValue? {
        guard let fields = node?.fields else { return nil }
        return .object(
            fields.filter { names.contains($0.key) }.map {
                JSONValue.Member(name: $0.key, value: value($0.value, depth: 1))
            })
    }

    private static func value(_ node: YAMLNode, depth: Int) -> JSONValue {
        switch node.content {
        case .null: .null
        case .boolean(let value): .bool(value)
        case .number(let text): .number(text)
        case .text(let text): .string(text)
        case .list(let items): depth < depthMax ? .array(items.map { value($0, depth: depth + 1) }) : .null
        case .map(let fields):
            depth < depthMax
                ? .object(fields.map { JSONValue.Member(name: $0.key, value: value($0.value, depth: depth + 1)) })
                : .null
        }
    }
}
