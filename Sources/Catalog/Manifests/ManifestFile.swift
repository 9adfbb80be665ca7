// ManifestFile: the documents of one file, understood as far as the file alone allows.
//
// A document that is wrong is reported and leaves all others alone. When it still tells whose it is (kind, namespace, name), the
// last good version of that resource stays; when it does not, everything the file held before stays.

import Delivery
/// A good resource of a file. Indirect: it is passed from hand to hand and kept by the ten thousand, and so is one reference.
indirect enum ManifestResource: Sendable {
    case receiver(ReceiverManifest)
    case hook(HookManifest)
    case secret(SecretManifest)
    case source(SourceManifest)
    case buildConfig(BuildConfigManifest)
    case s2iBuilder(S2iBuilderManifest)
    case kpack(KpackManifest)

    var key: ResourceKey {
        switch self {
        case .receiver(let receiver):
            ResourceKey(kind: .receiver, namespace: receiver.metadata.namespace, name: receiver.metadata.name)
        case .hook(let hook):
            ResourceKey(kind: .hook, namespace: hook.metadata.namespace, name: hook.metadata.name)
        case .secret(let secret):
            ResourceKey(kind: .secret, namespace: secret.namespace, name: secret.name)
        case .source(let source):
            ResourceKey(
                kind: .source, word: source.kind, namespace: source.metadata.namespace, name: source.metadata.name)
        case .buildConfig(let config):
            ResourceKey(kind: .buildConfig, namespace: config.metadata.namespace, name: config.metadata.name)
        case .s2iBuilder(let builder):
            ResourceKey(kind: .s2iBuilder, namespace: builder.metadata.namespace, name: builder.metadata.name)
        case .kpack(let kpack):
            ResourceKey(
                kind: .kpack, word: "\(kpack.object.apiVersion) \(kpack.object.kind)",
                namespace: kpack.object.namespace,
                name: kpack.object.name)
        }
    }

    var line: Int {
        switch self {
        case .receiver(let receiver): receiver.line
        case .hook(let hook): hook.line
        case .secret(let secret): secret.line
        case .source(let source): source.line
        case .buildConfig(let config): config.line
        case .s2iBuilder(let builder): builder.line
        case .kpack(let kpack): kpack.line
        }
    }
}

/// A problem of a file, before it is known whether an older version stands in.
struct ManifestFileProblem: Equatable, Sendable {
    let line: Int
    let severity: CatalogProblem.Severity
    let message: String
    /// The resource the problem belongs to, when the document told.
    let key: ResourceKey?
}

struct ManifestFile: Sendable {
    private(set) var resources: [ManifestResource] = []
    private(set) var problems: [ManifestFileProblem] = []
    /// Whether some document could not be told to be any resource: then nothing can be said to be gone.
    private(set) var hasUnidentified = false
    private(set) var documents = 0
    private(set) var targets = 0
    private(set) var ignored = 0
    private var isFromServer = false

    private static let hookVersion = "grapnel.dev/v1alpha1"
    private static let receiverVersions = [
        "notification.toolkit.fluxcd.io/v1", "notification.toolkit.fluxcd.io/v1beta2",
        "notification.toolkit.fluxcd.io/v1beta1", "notification.toolkit.fluxcd.io/v1alpha1",
        "notification.fluxcd.io/v1alpha1",
    ]
    private static let receiverGroups = ["notification.toolkit.fluxcd.io", "notification.fluxcd.io"]
    /// Groups of objects that receivers act on: known, counted, and otherwise left to the cluster.
    private static let targetGroups = [
        "source.toolkit.fluxcd.io", "image.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io",
        "source.extensions.fluxcd.io", "source.fluxcd.io",
    ]
    private static let listNestingMax = 4

    /// A file that could not be read at all.
    init(unreadable message: String) {
        problems = [ManifestFileProblem(line: 0, severity: .error, message: message, key: nil)]
        hasUnidentified = true
    }

    init(bytes: [UInt8]) {
        for document in YAMLReader.documents(of: bytes) {
            documents += 1
            switch document.content {
            case .success(let node): read(node, nesting: 0)
            case .failure(let problem):
                problems.append(
                    ManifestFileProblem(line: problem.line, severity: .error, message: problem.message, key: nil))
                hasUnidentified = true
            }
        }
    }

    /// A single object.
    init(_ object: YAMLNode) {
        documents = 1
        read(object, nesting: 0)
    }

    /// A single object of an API server.
    init(fromServer object: YAMLNode) {
        documents = 1
        isFromServer = true
        read(object, nesting: 0)
    }

    private mutating func read(_ node: YAMLNode, nesting: Int) {
        guard node.fields != nil else {
            return refuse(node.line, "the document must be a map with apiVersion and kind, found \(node.word)")
        }
        if node["apiVersion"] == nil, node["kind"] == nil {
            // Values of another tool that lie beside the manifests.
            ignored += 1
            return warn(node.line, "no Kubernetes object: neither apiVersion nor kind; ignored")
        }
        guard let apiVersion = node["apiVersion"]?.text, let kind = node["kind"]?.text else {
            let missing = node["apiVersion"]?.text == nil ? "apiVersion" : "kind"
            return refuse(node.line, "\(missing) is missing or not text")
        }
        let group =
            apiVersion.split(separator: "/", maxSplits: 1).count == 2
            ? String(apiVersion.prefix { $0 != "/" }) : ""
        switch (group, kind) {
        case ("", "Secret") where apiVersion == "v1": secret(node)
        case ("grapnel.dev", "Hook") where apiVersion == Self.hookVersion: hook(node)
        case ("grapnel.dev", "Hook"):
            refuse(node.line, "apiVersion \(quoted(apiVersion)) of Hook is unknown; known: \(Self.hookVersion)")
        case ("grapnel.dev", _) where !kind.hasSuffix("List"):
            refuse(
                node.line,
                "kind \(quoted(kind)) is unknown in grapnel.dev; known: Hook" + NearestName.hint(kind, among: ["Hook"]))
        case (let group, "Receiver") where Self.receiverGroups.contains(group):
            if Self.receiverVersions.contains(apiVersion) { return receiver(node) }
            refuse(
                node.line,
                "apiVersion \(quoted(apiVersion)) of Receiver is unknown; known: "
                    + Self.receiverVersions.joined(separator: ", "))
        case (_, let list) where list.hasSuffix("List") && node["items"] != nil:
            items(of: node, apiVersion: apiVersion, kind: String(list.dropLast(4)), nesting: nesting)
        case (let group, _) where Self.targetGroups.contains(group):
            targets += 1
            if SourceManifest.kinds.contains(kind) { foreign(node, .source, apiVersion, kind) }
        case ("build.openshift.io", "BuildConfig"): foreign(node, .buildConfig, apiVersion, kind)
        case ("devops.kubesphere.io", "S2iBuilder"): foreign(node, .s2iBuilder, apiVersion, kind)
        case ("kpack.io", _), ("build.pivotal.io", _): foreign(node, .kpack, apiVersion, kind)
        default:
            ignored += 1
            note(node.line, "\(quoted(kind)) of \(quoted(apiVersion)) means nothing here and is ignored")
        }
    }

    /// `kind: List` and typed lists (`ReceiverList`), whose items may leave out what the list says.
    private mutating func items(of node: YAMLNode, apiVersion: String, kind: String, nesting: Int) {
        guard nesting < Self.listNestingMax else {
            return refuse(node.line, "lists within lists, more than \(Self.listNestingMax) deep")
        }
        guard let items = node["items"], case .list(let list) = items.content else {
            if let items = node["items"], !items.isNull {
                refuse(items.line, "items must be a list, found \(items.word)")
            }
            return
        }
        for item in list {
            var fields = item.fields ?? []
            if !kind.isEmpty, !fields.isEmpty {
                for (name, value) in [("apiVersion", apiVersion), ("kind", kind)] where item[name] == nil {
                    let node = YAMLNode(.text(value), line: item.line)
                    fields.append(YAMLNode.Field(key: name, line: item.line, value: node))
                }
            }
            read(fields.isEmpty ? item : YAMLNode(.map(fields), line: item.line), nesting: nesting + 1)
        }
    }

    private mutating func secret(_ node: YAMLNode) {
        resource(node, .secret) { fields, metadata in SecretManifest(&fields, metadata: metadata).map { .secret($0) } }
    }

    private mutating func receiver(_ node: YAMLNode) {
        resource(node, .receiver) { fields, metadata in
            ReceiverManifest(&fields, metadata: metadata).map { .receiver($0) }
        }
    }

    private mutating func hook(_ node: YAMLNode) {
        resource(node, .hook) { fields, metadata in HookManifest(&fields, metadata: metadata).map { .hook($0) } }
    }

    /// An object of another controller: what is wrong with it is that controller's to say.
    private mutating func foreign(_ node: YAMLNode, _ kind: ResourceKey.Kind, _ apiVersion: String, _ word: String) {
        let findings = YAMLFindings()
        guard var fields = YAMLFields(node, path: "", findings: findings), let metadata = ObjectMetadata(&fields) else {
            return warn(node.line, "\(word) without a usable name; left out")
        }
        switch kind {
        case .source:
            if let source = SourceManifest(node, metadata: metadata, apiVersion: apiVersion, kind: word) {
                resources.append(.source(source))
            }
        case .buildConfig:
            if let config = BuildConfigManifest(&fields, metadata: metadata) { resources.append(.buildConfig(config)) }
        case .s2iBuilder:
            if let builder = S2iBuilderManifest(&fields, metadata: metadata) { resources.append(.s2iBuilder(builder)) }
        case .kpack:
            if let object = KpackManifest(&fields, metadata: metadata, apiVersion: apiVersion, kind: word) {
                resources.append(.kpack(object))
            }
        case .receiver, .hook, .secret: break
        }
    }

    private mutating func resource(
        _ node: YAMLNode, _ kind: ResourceKey.Kind,
        _ read: (inout YAMLFields, ObjectMetadata) -> ManifestResource?
    ) {
        let findings = YAMLFindings(allowsUnknownFields: isFromServer)
        var key: ResourceKey?
        defer {
            for (severity, list) in [
                (CatalogProblem.Severity.error, findings.errors), (.warning, findings.warnings),
                (.note, findings.notes),
            ] {
                problems += list.map {
                    ManifestFileProblem(line: $0.line, severity: severity, message: $0.message, key: key)
                }
            }
        }
        guard var fields = YAMLFields(node, path: "", findings: findings) else { return }
        _ = fields.text("apiVersion")
        _ = fields.text("kind")
        guard let metadata = ObjectMetadata(&fields) else {
            hasUnidentified = true
            return
        }
        key = ResourceKey(kind: kind, namespace: metadata.namespace, name: metadata.name)
        if let resource = read(&fields, metadata) { resources.append(resource) }
    }

    private mutating func refuse(_ line: Int, _ message: String) {
        problems.append(ManifestFileProblem(line: line, severity: .error, message: message, key: nil))
        hasUnidentified = true
    }

    private mutating func warn(_ line: Int, _ message: String) {
        problems.append(ManifestFileProblem(line: line, severity: .warning, message: message, key: nil))
    }

    private mutating func note(_ line: Int, _ message: String) {
        problems.append(ManifestFileProblem(line: line, severity: .note, message: message, key: nil))
    }
}
