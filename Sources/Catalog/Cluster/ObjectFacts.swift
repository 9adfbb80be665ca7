// ObjectFacts: what is to be known of an object beside its spec, to write its status back.

public import Delivery

/// Identity and bookkeeping of one object of an API server.
public struct ObjectFacts: Sendable, Equatable {
    public var apiVersion: String
    public var kind: String
    /// Empty for cluster-scoped objects.
    public var namespace: String
    public var name: String
    public var uid: String
    public var resourceVersion: String
    /// 0 when the server keeps none.
    public var generation: Int
    public var isBeingDeleted: Bool
    public var finalizers: [String]
    public var annotations: [String: String]
    /// The whole `status`, of receivers only; `.null` when there is none. Read anew from its text each time.
    public var status: JSONValue {
        get { statusText.isEmpty ? .null : JSONValue(statusText) ?? .null }
        set { statusText = newValue.isNull ? [] : newValue.serialized }
    }
    /// As text it takes a fifth of the memory.
    private var statusText: [UInt8] = []
    /// `spec.interval` of a Receiver as Go writes durations, `10m0s`; nil for others.
    public var interval: String?
    /// Who wrote the status (`metadata.managedFields`), of receivers only.
    public var statusManagers: Set<String>

    public init(apiVersion: String, kind: String, namespace: String = "", name: String) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.namespace = namespace
        self.name = name
        uid = ""
        resourceVersion = ""
        generation = 0
        isBeingDeleted = false
        finalizers = []
        annotations = [:]
        statusManagers = []
    }

    /// Kinds that are written to or about; of the others it is enough to know that they are there.
    private static let kindsWithBookkeeping: Set<String> = ["Receiver", "Hook", "BuildConfig", "S2iBuilder"]

    /// nil for what is no object with a name.
    init?(_ object: JSONValue, apiVersion: String, kind: String) {
        guard let metadata = object["metadata"], let name = metadata["name"]?.text, !name.isEmpty else { return nil }
        self.init(
            apiVersion: SharedText.of(object["apiVersion"]?.text ?? apiVersion),
            kind: SharedText.of(object["kind"]?.text ?? kind),
            namespace: SharedText.of(metadata["namespace"]?.text ?? ""),
            name: name)
        isBeingDeleted = metadata["deletionTimestamp"]?.text != nil
        guard Self.kindsWithBookkeeping.contains(self.kind) else { return }
        uid = metadata["uid"]?.text ?? ""
        resourceVersion = metadata["resourceVersion"]?.text ?? ""
        if case .number(let text)? = metadata["generation"] { generation = Int(text) ?? 0 }
        finalizers = (metadata["finalizers"]?.elements ?? []).compactMap(\.text).map(SharedText.of)
        for member in metadata["annotations"]?.members ?? [] where Self.keepsAnnotation(member.name) {
            annotations[member.name] = member.value.text
        }
        guard self.kind == "Receiver" || self.kind == "Hook" else { return }
        status = object["status"] ?? .null
        if self.kind == "Receiver" { interval = Self.goDuration(object["spec"]?["interval"]?.text ?? "10m") }
        for entry in metadata["managedFields"]?.elements ?? [] {
            let isStatus =
                entry["subresource"]?.text == "status" || entry["fieldsV1"]?["f:status"] != nil
            if isStatus, let manager = entry["manager"]?.text { statusManagers.insert(SharedText.of(manager)) }
        }
    }

    /// Go's time.Duration.String for whole seconds; others stay as they are.
    static func goDuration(_ text: String) -> String {
        guard let nanoseconds = try? Quantity.nanoseconds(text), nanoseconds % 1_000_000_000 == 0 else { return text }
        let seconds = nanoseconds / 1_000_000_000
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60)
        if hours > 0 { return "\(hours)h\(minutes)m\(seconds % 60)s" }
        return minutes > 0 ? "\(minutes)m\(seconds % 60)s" : "\(seconds)s"
    }

    /// Annotations that say something to us; others can be long.
    private static func keepsAnnotation(_ name: String) -> Bool {
        name.hasPrefix("grapnel.dev/") || name.hasPrefix("reconcile.fluxcd.io/")
    }
}
