// SecretManifest: a Kubernetes Secret. Values are raw bytes; no message here ever shows one.

import Delivery

struct SecretManifest: Sendable {
    let name: String
    let namespace: String
    let line: Int
    /// `data` decoded, `stringData` over it, as the API server merges them.
    let values: [String: SecretBytes]

    /// nil, with errors noted, when the Secret is not as it should be.
    init?(_ fields: inout YAMLFields, metadata: ObjectMetadata) {
        let findings = fields.findings
        let errorsBefore = findings.errors.count
        var values: [String: SecretBytes] = [:]
        if fields.has("sops") {
            _ = fields.node("sops")
            findings.error(
                fields.line(of: "sops"), "the Secret is encrypted with SOPS; decrypt it before it is put here")
            return nil
        }
        for (key, value, place) in Self.entries("data", of: &fields) {
            guard let text = Self.text(value, place, findings) else { continue }
            if let bytes = Base64.decode(text) {
                values[key] = SecretBytes(bytes)
            } else {
                findings.error(
                    value.line,
                    "\(place) is not base64; encode it (base64 -w0), or write it as it is below stringData")
            }
        }
        for (key, value, place) in Self.entries("stringData", of: &fields) {
            if let text = Self.text(value, place, findings) { values[key] = SecretBytes(Array(text.utf8)) }
        }
        _ = fields.text("type")
        _ = fields.boolean("immutable")
        fields.finish()
        guard findings.errors.count == errorsBefore else { return nil }
        self.name = metadata.name
        self.namespace = metadata.namespace
        self.line = fields.line
        self.values = values
    }

    private static func entries(
        _ name: String, of fields: inout YAMLFields
    ) -> [(key: String, value: YAMLNode, place: String)] {
        guard let found = fields.node(name) else { return [] }
        guard let entries = found.value.fields else {
            fields.findings.error(found.line, "\(name) must be a map, found \(found.value.word)")
            return []
        }
        return entries.compactMap { entry in
            guard KubernetesName.isSecretKey(entry.key) else {
                fields.findings.error(
                    entry.line, "\(name) has a key that is no key of a Secret (letters, digits, -, _ and . only)")
                return nil
            }
            return (entry.key, entry.value, "\(name).\(entry.key)")
        }
    }

    /// nil, with an error noted, for what is not text. A null is an empty text, as in Kubernetes.
    private static func text(_ value: YAMLNode, _ place: String, _ findings: YAMLFindings) -> String? {
        switch value.content {
        case .text(let text): return text
        case .null: return ""
        case .boolean, .number:
            findings.error(value.line, "\(place) must be text, found \(value.word); write it in double quotes")
        case .list, .map:
            findings.error(value.line, "\(place) must be text, found \(value.word)")
        }
        return nil
    }
}
