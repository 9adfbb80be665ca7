// HookActions: `spec.actions` of a Hook, a list in which each item has exactly one key, the action's name.

enum HookActions {
    private static let supported = [
        "reconcile", "openshiftBuild", "s2iRun", "kpackRefresh", "http", "exec", "log",
    ]
    /// What a repository match looks through unless told: everything of Flux that names a repository or an image.
    static let matchedKinds = ["GitRepository", "OCIRepository", "ImageRepository"]
    private static let actionsMax = 1_000
    private static let second: UInt64 = 1_000_000_000
    private static let timeouts = (second / 1_000)...(24 * 3_600 * second)

    /// `actions: []` is valid: store and answer only. No `actions` at all is an error, since it may have been forgotten.
    static func read(_ spec: inout YAMLFields) -> [HookAction] {
        let findings = spec.findings
        guard spec.has("actions") else {
            _ = spec.node("actions")
            findings.error(
                spec.line, "spec.actions is missing; write actions: [] to store deliveries and do nothing else")
            return []
        }
        let items = spec.list("actions") ?? []
        if items.count > actionsMax {
            findings.error(spec.line(of: "actions"), "spec.actions has more than \(actionsMax) entries")
            return []
        }
        return items.compactMap { action($0, findings) }
    }

    private static func action(_ item: Placed<YAMLNode>, _ findings: YAMLFindings) -> HookAction? {
        let known = supported.joined(separator: ", ")
        guard let fields = item.value.fields, fields.count == 1, let field = fields.first else {
            findings.error(item.line, "\(item.path) must be a map with exactly one of: \(known)")
            return nil
        }
        let place = Placed(value: field.value, line: field.line, path: "\(item.path).\(field.key)")
        switch field.key {
        case "reconcile": return reconcile(place, findings)
        case "openshiftBuild": return object(place, "name", "BuildConfig", findings).map { .openshiftBuild($0) }
        case "s2iRun": return object(place, "builderName", "S2iBuilder", findings).map { .s2iRun($0) }
        case "kpackRefresh":
            var fields = field.value.isNull ? nil : YAMLFields(field.value, path: place.path, findings: findings)
            let cluster = fields?.text("cluster")
            fields?.finish()
            return .kpackRefresh(cluster: cluster)
        case "http": return http(place, findings)
        case "exec": return exec(place, findings)
        case "log":
            if !field.value.isNull { YAMLFields(field.value, path: place.path, findings: findings)?.finish() }
            return .log
        default:
            findings.error(
                field.line,
                "\(item.path): unknown action \(quoted(field.key)); known: \(known)"
                    + NearestName.hint(field.key, among: supported))
        }
        return nil
    }

    /// `{matchRepository: true, kinds: [...], namespaces: [...]}`; nil when the field is absent or false.
    private static func match(_ fields: inout YAMLFields, kinds known: [String]) -> RepositoryMatch? {
        guard fields.boolean("matchRepository") == true else { return nil }
        let kinds = known.count > 1 ? fields.texts("kinds") : nil
        if let kinds, kinds.isEmpty {
            fields.findings.error(
                fields.line(of: "kinds"),
                "\(fields.place("kinds")) is empty, so nothing could match; leave it out for \(known.joined(separator: ", "))"
            )
        }
        for kind in kinds ?? [] where !known.contains(kind.value) {
            fields.findings.error(
                kind.line, "\(kind.path) must be one of \(known.joined(separator: ", ")), found \(quoted(kind.value))")
        }
        let namespaces = fields.texts("namespaces") ?? []
        for namespace in namespaces where !KubernetesName.isLabel(namespace.value) && namespace.value != "*" {
            fields.findings.error(namespace.line, "\(namespace.path) \(quoted(namespace.value)) is no namespace")
        }
        return RepositoryMatch(
            kinds: kinds.map { $0.map(\.value) } ?? known, namespaces: namespaces.map(\.value),
            cluster: fields.text("cluster"), line: fields.line)
    }

    /// One object by name, or all of the event's repository.
    private static func object(
        _ place: Placed<YAMLNode>, _ nameField: String, _ kind: String, _ findings: YAMLFindings
    ) -> HookObject? {
        guard var fields = YAMLFields(place.value, path: place.path, findings: findings) else { return nil }
        if let match = match(&fields, kinds: [kind]) {
            fields.finish()
            return .matching(match)
        }
        let name = fields.text(nameField, required: true)
        let namespace = fields.text("namespace")
        let cluster = fields.text("cluster")
        fields.finish()
        let errorsBefore = findings.errors.count
        ReceiverManifest.checkReference(apiVersion: nil, kind: nil, name: name, namespace: namespace, findings)
        guard let name, findings.errors.count == errorsBefore else { return nil }
        return .named(
            ReceiverTarget(
                apiVersion: nil, kind: kind, name: name.value, namespace: namespace?.value, cluster: cluster,
                line: place.line))
    }

    private static func reconcile(_ place: Placed<YAMLNode>, _ findings: YAMLFindings) -> HookAction? {
        guard var fields = YAMLFields(place.value, path: place.path, findings: findings) else { return nil }
        if let match = match(&fields, kinds: matchedKinds) {
            fields.finish()
            return .reconcileMatching(match)
        }
        let apiVersion = fields.text("apiVersion")
        let kind = fields.text("kind", required: true)
        let name = fields.text("name", required: true)
        let namespace = fields.text("namespace")
        let cluster = fields.text("cluster")
        fields.finish()
        let errorsBefore = findings.errors.count
        ReceiverManifest.checkReference(
            apiVersion: apiVersion, kind: kind, name: name, namespace: namespace, findings)
        guard let kind, let name, findings.errors.count == errorsBefore else { return nil }
        if name.value == "*" {
            findings.error(name.line, "\(name.path): a Hook names its objects one by one; * is for Receivers")
        }
        if apiVersion == nil, !ReceiverManifest.hasDefaultVersion(kind.value) {
            findings.error(
                place.line, "\(place.path).apiVersion is missing: \(quoted(kind.value)) has no default version")
        }
        return .reconcile(
            ReceiverTarget(
                apiVersion: apiVersion?.value, kind: kind.value, name: name.value, namespace: namespace?.value,
                cluster: cluster, line: place.line))
    }

    private static func http(_ place: Placed<YAMLNode>, _ findings: YAMLFindings) -> HookAction? {
        guard var fields = YAMLFields(place.value, path: place.path, findings: findings) else { return nil }
        let url = fields.text("url", required: true)
        let timeout = fields.duration("timeout", in: timeouts)
        let signing = fields.node("signingSecretRef")
        let reference = signing.flatMap { HookManifest.reference($0, findings) }
        fields.finish()
        guard let url else { return nil }
        do throws(HTTPURLError) {
            _ = try HTTPURL(url.value)
        } catch {
            // The text says what is wrong and never repeats the URL.
            findings.error(url.line, "\(url.path) \(error)")
        }
        if signing != nil, reference == nil { return nil }
        return .http(url: url.value, timeoutNanoseconds: timeout ?? 10 * second, signing: reference)
    }

    private static func exec(_ place: Placed<YAMLNode>, _ findings: YAMLFindings) -> HookAction? {
        guard var fields = YAMLFields(place.value, path: place.path, findings: findings) else { return nil }
        let command = fields.texts("command", required: true)
        let timeout = fields.duration("timeout", in: timeouts)
        fields.finish()
        guard let command else { return nil }
        if command.first?.value.isEmpty ?? true {
            findings.error(
                fields.line(of: "command"), "\(place.path).command must be a list that begins with the program's name")
        }
        for part in command where part.value.utf8.contains(0) {
            findings.error(part.line, "\(part.path) contains a NUL byte")
        }
        return .exec(
            command: command.map(\.value), timeoutNanoseconds: timeout ?? 60 * second, line: place.line)
    }
}
