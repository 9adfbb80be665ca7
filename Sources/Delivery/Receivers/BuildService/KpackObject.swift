// KpackObject: what matters of a kpack object here: which images it reads, and how it is related to others.
//
// Inputs only. What kpack writes (`spec.tag` of Builder, ClusterBuilder and Image, cache tags, `status.latestImage` of a kpack.io
// builder) never counts as an input, or kpack's own pushes would come back as triggers.

/// Another object of the same API group that an object names.
public struct KpackReference: Sendable, Hashable {
    public var kind: String
    /// Empty for a cluster-scoped kind.
    public var namespace: String
    public var name: String

    public init(kind: String, namespace: String, name: String) {
        self.kind = kind
        self.namespace = KpackObject.isClusterScoped(kind) ? "" : namespace
        self.name = name
    }
}

public struct KpackObject: Sendable, Equatable {
    /// An image that kpack reads for this object.
    public struct Input: Sendable, Equatable {
        /// As written in the spec.
        public var image: String
        /// The digest that kpack resolved it to; nil where it keeps none, or has not looked yet.
        public var digest: String?

        public init(image: String, digest: String? = nil) {
            self.image = image
            self.digest = digest
        }
    }

    /// As stored: writing through another version would lose fields.
    public var apiVersion: String
    public var kind: String
    /// Empty for a cluster-scoped kind.
    public var namespace: String
    public var name: String
    public var inputs: [Input]
    /// Of a kpack.io builder: its stack, store, lifecycle and buildpacks. Of an Image: its builder.
    public var uses: [KpackReference]
    /// Of a kpack.io builder: buildpacks that it names by id only.
    public var usedBuildpacks: [String]
    /// Of a Buildpack or ClusterBuildpack: the ids that its image holds.
    public var providedBuildpacks: [String]
    /// Of an Image: the name of its latest Build.
    public var latestBuild: String?

    static let legacyGroup = "build.pivotal.io"
    static let group = "kpack.io"
    private static let clusterScoped: Set = [
        "ClusterBuilder", "ClusterStack", "ClusterStore", "ClusterBuildpack", "ClusterLifecycle",
    ]
    private static let legacyKinds: Set = ["Builder", "ClusterBuilder", "Image"]
    private static let kinds: Set = [
        "Builder", "ClusterBuilder", "Image", "ClusterStack", "ClusterStore", "Buildpack", "ClusterBuildpack",
        "ClusterLifecycle",
    ]

    /// Whether objects of that version and kind matter here.
    public static func isKnown(apiVersion: String, kind: String) -> Bool {
        switch apiVersion {
        case "build.pivotal.io/v1alpha1": legacyKinds.contains(kind)
        case "kpack.io/v1alpha1", "kpack.io/v1alpha2": kinds.contains(kind)
        default: false
        }
    }

    public static func isClusterScoped(_ kind: String) -> Bool { clusterScoped.contains(kind) }

    /// Reads an object's `spec` and `status`; nil for versions and kinds that do not matter. Lenient: what is absent or of another type
    /// is passed over, since the object is not ours.
    public init?(
        apiVersion: String, kind: String, namespace: String, name: String, spec: JSONValue?, status: JSONValue?
    ) {
        guard Self.isKnown(apiVersion: apiVersion, kind: kind) else { return nil }
        self.apiVersion = apiVersion
        self.kind = kind
        self.namespace = Self.isClusterScoped(kind) ? "" : namespace
        self.name = name
        self.inputs = []
        self.uses = []
        self.usedBuildpacks = []
        self.providedBuildpacks = []
        let isLegacy = apiVersion.hasPrefix(Self.legacyGroup)
        switch kind {
        case "Builder", "ClusterBuilder":
            if isLegacy {
                addInput(spec?["image"], resolved: status?["latestImage"])
            } else {
                readBuilder(spec)
            }
        case "ClusterStack":
            for field in ["buildImage", "runImage"] {
                addInput(spec?[field]?["image"], resolved: status?[field]?["latestImage"])
            }
        case "ClusterStore":
            for source in spec?["sources"]?.elements ?? [] { addInput(source["image"], resolved: nil) }
        case "Buildpack", "ClusterBuildpack":
            addInput(spec?["image"], resolved: nil)
            providedBuildpacks = (status?["buildpacks"]?.elements ?? []).compactMap { $0["id"]?.text }
        case "ClusterLifecycle": addInput(spec?["image"], resolved: status?["image"]?["latestImage"])
        case "Image":
            addUse(spec?["builder"], kind: "Builder")
            latestBuild = status?["latestBuildRef"]?.text.flatMap { Self.isObjectName($0) ? $0 : nil }
        default: break
        }
    }

    /// The API group: `kpack.io`.
    var group: String { String(apiVersion.prefix { $0 != "/" }) }

    private mutating func readBuilder(_ spec: JSONValue?) {
        addUse(spec?["stack"], kind: "ClusterStack")
        addUse(spec?["store"], kind: "ClusterStore")
        if spec?["lifecycle"]?["name"]?.text == nil {
            uses.append(KpackReference(kind: "ClusterLifecycle", namespace: "", name: "default-lifecycle"))
        } else {
            addUse(spec?["lifecycle"], kind: "ClusterLifecycle")
        }
        for entry in spec?["order"]?.elements ?? [] {
            for buildpack in entry["group"]?.elements ?? [] {
                addInput(buildpack["image"], resolved: nil)
                if buildpack["name"]?.text != nil {
                    addUse(buildpack, kind: "Buildpack")
                } else if let id = buildpack["id"]?.text {
                    usedBuildpacks.append(id)
                }
            }
        }
    }

    private mutating func addInput(_ image: JSONValue?, resolved: JSONValue?) {
        guard let image = image?.text, !image.isEmpty else { return }
        inputs.append(Input(image: image, digest: resolved?.text.flatMap { ImageReference($0)?.digest }))
    }

    /// `kind` is kpack's default where the reference has none.
    private mutating func addUse(_ reference: JSONValue?, kind: String) {
        guard let name = reference?["name"]?.text, !name.isEmpty else { return }
        let written = reference?["kind"]?.text ?? ""
        uses.append(KpackReference(kind: written.isEmpty ? kind : written, namespace: namespace, name: name))
    }

    /// The characters of object names: what goes into the path of an API call must be one segment.
    private static func isObjectName(_ text: String) -> Bool {
        (1...253).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
            }
    }
}
