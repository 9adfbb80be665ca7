// SourceManifest: Flux's sources and image repositories, as far as they say which repository or image they follow. Objects of others: read
// leniently, and only what is needed.

import Delivery

struct SourceManifest: Sendable {
    let metadata: ObjectMetadata
    let line: Int
    let apiVersion: String
    let kind: String
    let url: String
    let isImage: Bool
    let rule: RefRule

    /// Kinds that name a repository or an image.
    static let kinds = ["GitRepository", "OCIRepository", "ImageRepository"]

    /// nil when the object names nothing that an event could name.
    init?(_ node: YAMLNode, metadata: ObjectMetadata, apiVersion: String, kind: String) {
        guard let spec = node["spec"], let url = (spec["url"] ?? spec["image"])?.text, !url.isEmpty else { return nil }
        self.metadata = metadata
        self.line = node.line
        self.apiVersion = SharedText.of(apiVersion)
        self.kind = SharedText.of(kind)
        self.url = url
        self.isImage = kind != "GitRepository"
        self.rule = Self.rule(spec["ref"], kind: kind)
    }

    /// source-controller: of a GitRepository commit goes before name, semver, tag and branch (default master); of an OCIRepository
    /// digest before semver and tag (default latest). An ImageRepository scans all tags.
    private static func rule(_ ref: YAMLNode?, kind: String) -> RefRule {
        func text(_ name: String) -> String? { ref?[name]?.text.flatMap { $0.isEmpty ? nil : $0 } }
        switch kind {
        case "GitRepository":
            if text("commit") != nil { return .pinned }
            if let name = text("name") { return .named(name) }
            if text("semver") != nil { return .anyTag }
            if let tag = text("tag") { return .tag(tag) }
            return .branch(text("branch") ?? "master")
        case "OCIRepository":
            if text("digest") != nil { return .pinned }
            if text("semver") != nil { return .anyTag }
            return .tag(text("tag") ?? "latest")
        default: return .any
        }
    }

    func object(cluster: String) -> SourceObject {
        SourceObject(
            target: TargetReference(
                cluster: cluster, apiVersion: apiVersion, kind: kind, namespace: metadata.namespace,
                name: metadata.name),
            url: url, isImage: isImage, rule: rule)
    }
}

extension BuildConfigManifest {
    /// What the config builds from; none without a git source. No ref means master (openshift-apiserver, webhook.go).
    func source(cluster: String) -> [SourceObject] {
        guard let git, !git.uri.isEmpty else { return [] }
        let ref = git.ref.isEmpty ? "master" : git.ref
        let target = TargetReference(
            cluster: cluster, apiVersion: "build.openshift.io/v1", kind: "BuildConfig",
            namespace: metadata.namespace, name: metadata.name)
        let rule: RefRule = ref.hasPrefix("refs/") ? .named(ref) : .branch(ref)
        return [SourceObject(target: target, url: git.uri, isImage: false, rule: rule)]
    }
}

extension S2iBuilderManifest {
    /// What the builder builds from; none for an uploaded artifact.
    func source(cluster: String) -> [SourceObject] {
        guard !isBinaryURL, !sourceURL.isEmpty else { return [] }
        let target = TargetReference(
            cluster: cluster, apiVersion: "devops.kubesphere.io/v1alpha1", kind: "S2iBuilder",
            namespace: metadata.namespace, name: metadata.name)
        // A branch expression is the builder's own route's to apply; here every branch may be meant.
        let rule: RefRule = branchExpression.isEmpty ? .branch(revisionID.isEmpty ? "master" : revisionID) : .any
        return [SourceObject(target: target, url: sourceURL, isImage: false, rule: rule)]
    }
}
