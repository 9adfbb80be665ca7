// ObjectNode: a JSON object of an API server as the tree that manifests are read from.

import Delivery

extension YAMLNode {
    /// Members of `metadata` that can be long and are of no use to routes.
    private static let skippedMetadata: Set<String> = ["managedFields", "selfLink"]
    private static let lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

    /// An object as an API server gives it. Items of a list leave out what the list says; `apiVersion` and `kind` stand in for it.
    init(object: JSONValue, apiVersion: String, kind: String) {
        var fields: [Field] = []
        for (name, value) in [("apiVersion", apiVersion), ("kind", kind)] where object[name]?.text == nil {
            fields.append(Field(key: name, line: 0, value: YAMLNode(.text(value), line: 0)))
        }
        for member in object.members ?? [] {
            if member.name == "apiVersion" || member.name == "kind", member.value.text == nil { continue }
            let value =
                member.name == "metadata"
                ? YAMLNode(metadata: member.value) : YAMLNode(json: member.value)
            fields.append(Field(key: member.name, line: 0, value: value))
        }
        self.init(.map(fields), line: 0)
    }

    private init(metadata: JSONValue) {
        let members = (metadata.members ?? []).filter { !Self.skippedMetadata.contains($0.name) }
        self.init(
            .map(
                members.map { member in
                    guard member.name == "annotations", let annotations = member.value.members else {
                        return Field(key: member.name, line: 0, value: YAMLNode(json: member.value))
                    }
                    // The object once more, as text: it would double what is kept.
                    let kept = JSONValue.object(annotations.filter { $0.name != Self.lastApplied })
                    return Field(key: member.name, line: 0, value: YAMLNode(json: kept))
                }), line: 0)
    }

    private init(json: JSONValue) {
        let content: Content =
            switch json {
            case .null: .null
            case .bool(let value): .boolean(value)
            case .number(let text): .number(text)
            case .string(let text): .text(text)
            case .array(let elements): .list(elements.map { YAMLNode(json: $0) })
            case .object(let members):
                .map(members.map { Field(key: $0.name, line: 0, value: YAMLNode(json: $0.value)) })
            }
        self.init(content, line: 0)
    }
}
