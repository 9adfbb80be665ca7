// ReceiverManifest: a Flux `Receiver`, checked as the API server's admission checks it
// (notification.toolkit.fluxcd.io, CRD of notification-controller 1.9), and stricter: unknown fields are errors.

/// A resource to be reconciled.
struct ReceiverTarget: Sendable {
    let apiVersion: String?
    let kind: String
    let name: String
    let namespace: String?
    /// nil: the receiver's own.
    var cluster: Placed<String>? = nil
    /// For the name `*`; nil: none were written.
    var labels: [String: String]? = nil
    var filter: Placed<String>? = nil
    let line: Int
}

/// An issuer of ID tokens that a Receiver of type generic-oidc trusts.
struct ReceiverProvider: Sendable {
    struct Expression: Sendable {
        let name: String
        let expression: String
    }

    let issuerURL: String
    let audience: String
    let variables: [Expression]
    /// The name is the message of a failure.
    let validations: [Expression]
    let line: Int

    static let audienceDefault = "notification-controller"
}

/// What another controller wrote into `status`.
struct ReceiverStatusGiven: Sendable, Equatable {
    var webhookPath: String?
    /// Condition type to status: `Ready` to `True`.
    var conditions: [String: String] = [:]
}

struct ReceiverManifest: Sendable {
    let metadata: ObjectMetadata
    let line: Int
    let type: String
    let typeLine: Int
    let events: [String]
    let targets: [ReceiverTarget]
    let filter: Placed<String>?
    let providers: [ReceiverProvider]
    let secretName: String?
    let secretLine: Int
    let isSuspended: Bool
    let status: ReceiverStatusGiven

    /// Every type that some release of the CRD knows.
    static let types = [
        "generic", "generic-hmac", "generic-oidc", "github", "gitlab", "bitbucket", "harbor", "dockerhub", "quay",
        "gcr",
        "nexus", "acr", "cdevents",
    ]
    private static let kindsWithDefaultVersion = [
        "Bucket", "HelmChart", "HelmRepository", "GitRepository", "OCIRepository", "ImageRepository",
        "ArtifactGenerator",
    ]
    private static let targetsMax = 10_000

    /// Whether `kind` needs no apiVersion.
    static func hasDefaultVersion(_ kind: String) -> Bool { kindsWithDefaultVersion.contains(kind) }

    /// nil, with errors noted, when admission would refuse the object.
    init?(_ fields: inout YAMLFields, metadata: ObjectMetadata) {
        let findings = fields.findings
        let errorsBefore = findings.errors.count
        guard var spec = fields.map("spec", required: true) else { return nil }
        let type = spec.text("type", required: true)
        if let type, !Self.types.contains(type.value) {
            findings.error(
                type.line,
                "\(type.path) \(quoted(type.value)) is unknown; known types: \(Self.types.joined(separator: ", "))"
                    + NearestName.hint(type.value, among: Self.types))
        }
        _ = spec.text("interval").map { Self.checkInterval($0, findings) }
        self.events = (spec.texts("events") ?? []).map(\.value)
        self.targets = (spec.list("resources", required: true) ?? []).compactMap(Self.target(findings))
        if targets.count > Self.targetsMax {
            findings.error(spec.line(of: "resources"), "spec.resources has more than \(Self.targetsMax) entries")
        }
        self.filter = spec.text("resourceFilter").flatMap { $0.value.isEmpty ? nil : $0 }
        var secretName: String?
        if var reference = spec.map("secretRef") {
            secretName = reference.text("name", required: true)?.value
            reference.finish()
            if let name = secretName, !KubernetesName.isSubdomain(name) {
                findings.error(reference.line(of: "name"), "spec.secretRef.name \(quoted(name)) is no Secret's name")
            }
        }
        self.secretName = secretName
        self.secretLine = spec.line(of: "secretRef")
        let providers = Self.providers(&spec)
        self.providers = providers ?? []
        self.isSuspended = spec.boolean("suspend") ?? false
        if let type {
            Self.checkRules(type: type.value, providers: providers?.count, spec: spec)
        }
        self.status = Self.status(fields.node("status")?.value)
        spec.finish()
        fields.finish()
        guard let type, findings.errors.count == errorsBefore else { return nil }
        self.metadata = metadata
        self.line = fields.line
        self.type = type.value
        self.typeLine = type.line
    }

    /// The rules in the CRD's `x-kubernetes-validations`, in its words.
    private static func checkRules(type: String, providers: Int?, spec: YAMLFields) {
        let isOIDC = type == "generic-oidc"
        if isOIDC, providers ?? 0 == 0 {
            spec.findings.error(spec.line, "generic-oidc receivers must define at least one oidcProvider")
        }
        if !isOIDC, providers ?? 0 > 0 {
            spec.findings.error(
                spec.line(of: "oidcProviders"), "oidcProviders can only be set when type is generic-oidc")
        }
        if isOIDC, spec.has("secretRef") {
            spec.findings.error(spec.line(of: "secretRef"), "secretRef cannot be set when type is generic-oidc")
        }
        if !isOIDC, !spec.has("secretRef") {
            spec.findings.error(spec.line, "secretRef is required when type is not generic-oidc")
        }
    }

    private static func target(_ findings: YAMLFindings) -> (Placed<YAMLNode>) -> ReceiverTarget? {
        { item in
            let errorsBefore = findings.errors.count
            guard var fields = YAMLFields(item.value, path: item.path, findings: findings) else { return nil }
            let apiVersion = fields.text("apiVersion")
            let kind = fields.text("kind", required: true)
            let name = fields.text("name", required: true)
            let namespace = fields.text("namespace")
            let labels = fields.node("matchLabels").flatMap { self.labels($0, findings) }
            let filter = fields.text("filter")
            fields.finish()
            checkReference(apiVersion: apiVersion, kind: kind, name: name, namespace: namespace, findings)
            guard let kind, let name, findings.errors.count == errorsBefore else { return nil }
            return ReceiverTarget(
                apiVersion: apiVersion?.value, kind: kind.value, name: name.value, namespace: namespace?.value,
                labels: labels, filter: filter.flatMap { $0.value.isEmpty ? nil : $0 }, line: item.line)
        }
    }

    /// Checks what will become part of an API server's path.
    static func checkReference(
        apiVersion: Placed<String>?, kind: Placed<String>?, name: Placed<String>?, namespace: Placed<String>?,
        _ findings: YAMLFindings
    ) {
        if let apiVersion, !isAPIVersion(apiVersion.value) {
            findings.error(
                apiVersion.line, "\(apiVersion.path) \(quoted(apiVersion.value)) is no apiVersion (group/version)")
        }
        if let kind, !isKind(kind.value) {
            findings.error(kind.line, "\(kind.path) \(quoted(kind.value)) is no kind, such as GitRepository")
        }
        if let name, !KubernetesName.isPathSegment(name.value) {
            findings.error(name.line, "\(name.path) must be an object's name of 1 to 253 characters")
        }
        if let namespace, !KubernetesName.isLabel(namespace.value) {
            findings.error(namespace.line, "\(namespace.path) \(quoted(namespace.value)) is no namespace")
        }
    }

    private static func isAPIVersion(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        return (1...2).contains(parts.count) && parts.allSatisfy(KubernetesName.isSubdomain)
    }

    private static func isKind(_ text: String) -> Bool {
        guard (1...63).contains(text.utf8.count), let first = text.utf8.first else { return false }
        let isLetter = { (byte: UInt8) in (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) }
        return isLetter(first)
            && text.utf8.allSatisfy { isLetter($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    private static func labels(_ labels: Placed<YAMLNode>, _ findings: YAMLFindings) -> [String: String]? {
        guard let fields = labels.value.fields else {
            findings.error(labels.line, "\(labels.path) must be a map, found \(labels.value.word)")
            return nil
        }
        var texts: [String: String] = [:]
        for field in fields {
            if let text = field.value.text {
                texts[field.key] = text
            } else {
                findings.error(
                    field.line,
                    "\(labels.path).\(field.key) must be text, found \(field.value.word); write it in double quotes")
            }
        }
        return texts
    }

    /// Pattern of the CRD: `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`.
    private static func checkInterval(_ interval: Placed<String>, _ findings: YAMLFindings) {
        let isOfCRD = interval.value.allSatisfy { $0.isASCIIDigit || "mshd.".contains($0) }
        if !isOfCRD || interval.value == "0" || (try? Quantity.nanoseconds(interval.value)) == nil {
            findings.error(
                interval.line, "\(interval.path) \(quoted(interval.value)) is no duration; write it as 10m or 1h30m")
        }
    }

    /// Checked as far as admission does; nil when the field is absent.
    static func providers(_ spec: inout YAMLFields) -> [ReceiverProvider]? {
        guard let items = spec.list("oidcProviders") else { return nil }
        var issuers: Set<String> = []
        var providers: [ReceiverProvider] = []
        for item in items {
            guard var provider = YAMLFields(item.value, path: item.path, findings: spec.findings) else { continue }
            let issuer = provider.text("issuerURL", required: true)
            if let issuer {
                if !issuer.value.hasPrefix("https://") && !issuer.value.hasPrefix("http://") {
                    spec.findings.error(issuer.line, "\(issuer.path) must begin with https:// or http://")
                }
                if !issuers.insert(issuer.value).inserted {
                    spec.findings.error(issuer.line, "\(issuer.path): Duplicate value: \(quoted(issuer.value))")
                }
            }
            let audience = provider.text("audience")?.value ?? ""
            let variables = expressions(provider.list("variables") ?? [], "name", spec.findings)
            let validations = provider.list("validations", required: true)
            if let validations, validations.isEmpty {
                spec.findings.error(provider.line(of: "validations"), "\(item.path).validations needs at least 1 item")
            }
            let checks = expressions(validations ?? [], "message", spec.findings)
            provider.finish()
            providers.append(
                ReceiverProvider(
                    issuerURL: issuer?.value ?? "",
                    audience: audience.isEmpty ? ReceiverProvider.audienceDefault : audience, variables: variables,
                    validations: checks, line: item.line))
        }
        return providers
    }

    private static func expressions(
        _ items: [Placed<YAMLNode>], _ other: String, _ findings: YAMLFindings
    ) -> [ReceiverProvider.Expression] {
        items.compactMap { item in
            guard var fields = YAMLFields(item.value, path: item.path, findings: findings) else { return nil }
            let expression = fields.text("expression", required: true)
            let name = fields.text(other, required: true)
            fields.finish()
            guard let expression, let name else { return nil }
            return ReceiverProvider.Expression(name: name.value, expression: expression.value)
        }
    }

    /// Lenient: another controller wrote it, and what cannot be understood is not there.
    private static func status(_ node: YAMLNode?) -> ReceiverStatusGiven {
        var status = ReceiverStatusGiven()
        guard let node else { return status }
        // v1beta1 and older have `url` only, which is the path as well (spec of those CRDs).
        let path = node["webhookPath"]?.text ?? node["url"]?.text
        status.webhookPath = path.flatMap { $0.hasPrefix("/") ? $0 : nil }
        guard case .list(let conditions)? = node["conditions"]?.content else { return status }
        for condition in conditions {
            guard let type = condition["type"]?.text else { continue }
            // An unquoted True is a boolean to YAML.
            switch condition["status"]?.content {
            case .text(let text): status.conditions[type] = text
            case .boolean(let value): status.conditions[type] = value ? "True" : "False"
            default: status.conditions[type] = "Unknown"
            }
        }
        return status
    }
}
