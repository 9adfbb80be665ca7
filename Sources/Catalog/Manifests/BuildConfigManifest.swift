// BuildConfigManifest: an OpenShift `BuildConfig` (build.openshift.io/v1), as far as its webhooks are concerned.
//
// The object belongs to others and was checked by their API server: what is not needed here is not looked at, and what has an
// unexpected shape reads as absent. Only our own annotations are checked.

import Delivery

struct BuildConfigManifest: Sendable {
    struct Trigger: Sendable {
        let type: BuildHookType
        let inlineSecret: SecretBytes?
        let secretName: String?
        let allowsEnv: Bool
        let line: Int
    }

    /// A value of one of our annotations that means nothing.
    struct Unknown: Sendable {
        let message: String
        let line: Int
    }

    let metadata: ObjectMetadata
    let line: Int
    let triggers: [Trigger]
    let git: BuildConfigFacts.GitSource?
    let profile: OpenShiftProfile?
    let mode: OpenShiftMode?
    let options: Set<OpenShiftOption>
    let unknown: [Unknown]

    init?(_ fields: inout YAMLFields, metadata: ObjectMetadata) {
        self.metadata = metadata
        line = fields.line
        let spec = fields.node("spec")?.value
        triggers = Self.triggers(spec?["triggers"])
        git = spec?["source"]?["git"].flatMap { node in
            guard node.fields != nil else { return nil }
            return BuildConfigFacts.GitSource(uri: node["uri"]?.text ?? "", ref: node["ref"]?.plainText ?? "")
        }
        var unknown: [Unknown] = []
        let annotations = fields.node("metadata")?.value["annotations"]
        profile = annotations?[BuildConfigFacts.profileAnnotation].flatMap {
            Self.choice($0, BuildConfigFacts.profileAnnotation, &unknown)
        }
        mode = annotations?[BuildConfigFacts.modeAnnotation].flatMap {
            Self.choice($0, BuildConfigFacts.modeAnnotation, &unknown)
        }
        options = annotations?[BuildConfigFacts.optionsAnnotation].map { Self.options($0, &unknown) } ?? []
        self.unknown = unknown
    }

    private static func triggers(_ node: YAMLNode?) -> [Trigger] {
        guard case .list(let items)? = node?.content else { return [] }
        return items.compactMap { item in
            // A trigger whose type has no body does not count.
            guard let type = item["type"]?.text.flatMap(BuildHookType.init(triggerType:)),
                let body = item[type.rawValue], body.fields != nil
            else { return nil }
            let inline = body["secret"]?.plainText ?? ""
            let name = body["secretReference"]?["name"]?.plainText ?? ""
            var allowsEnv = false
            if case .boolean(true)? = body["allowEnv"]?.content { allowsEnv = true }
            return Trigger(
                type: type, inlineSecret: inline.isEmpty ? nil : SecretBytes(Array(inline.utf8)),
                secretName: name.isEmpty ? nil : name, allowsEnv: allowsEnv, line: item.line)
        }
    }

    private static func choice<Value: RawRepresentable & CaseIterable>(
        _ node: YAMLNode, _ annotation: String, _ unknown: inout [Unknown]
    ) -> Value? where Value.RawValue == String {
        let text = node.text ?? ""
        if let value = Value(rawValue: text) { return value }
        let names = Value.allCases.map(\.rawValue)
        unknown.append(
            Unknown(
                message: "the annotation \(annotation) is \(quoted(text)); known: "
                    + names.joined(separator: ", ") + NearestName.hint(text, among: names),
                line: node.line))
        return nil
    }

    private static func options(_ node: YAMLNode, _ unknown: inout [Unknown]) -> Set<OpenShiftOption> {
        var options: Set<OpenShiftOption> = []
        let names = OpenShiftOption.allCases.map(\.rawValue)
        for part in (node.text ?? "").split(separator: ",") {
            let word = String(part.filter { $0 != " " && $0 != "\n" && $0 != "\t" })
            if let option = OpenShiftOption(rawValue: word) {
                options.insert(option)
            } else if !word.isEmpty {
                unknown.append(
                    Unknown(
                        message: "the annotation \(BuildConfigFacts.optionsAnnotation) has the unknown option "
                            + quoted(word) + NearestName.hint(word, among: names),
                        line: node.line))
            }
        }
        return options
    }
}

extension YAMLNode {
    /// A text as an API server would have it, had it been quoted: `ref: 1.10` is written by hand now and then.
    var plainText: String? {
        switch content {
        case .text(let text), .number(let text): text
        default: nil
        }
    }
}
