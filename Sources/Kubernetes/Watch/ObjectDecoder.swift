// What a reflector needs to know of objects: given by its owner, since this room knows nothing of what they mean.

public import Foundation

/// One page of a list, decoded.
public struct ObjectPage<Object: Sendable>: Sendable {
    public var objects: [Object]
    /// `metadata.resourceVersion` of the list.
    public var resourceVersion: String
    /// `metadata.continue` of the list; empty on the last page.
    public var continueToken: String

    public init(objects: [Object], resourceVersion: String, continueToken: String = "") {
        self.objects = objects
        self.resourceVersion = resourceVersion
        self.continueToken = continueToken
    }
}

/// One line of a watch, decoded.
public enum WatchEvent<Object: Sendable>: Sendable {
    /// ADDED or MODIFIED, with the object as it is now.
    case applied(Object, resourceVersion: String)
    /// DELETED, with the object as it was last.
    case deleted(Object, resourceVersion: String)
    case bookmark(resourceVersion: String)
    /// ERROR; `KubernetesStatus(json:)` reads its object.
    case failed(KubernetesStatus)
}

/// Turns what the API server sends into objects. Called from any thread; must not trap whatever the bytes are.
public protocol ObjectDecoder<Object>: Sendable {
    associatedtype Object: Sendable
    /// The body of a list, at most `Settings.listBytesMax` bytes.
    func page(_ body: Data, of resource: APIResource) throws -> ObjectPage<Object>
    /// One line of a watch, at most `Settings.watchLineBytesMax` bytes.
    func event(_ line: Data, of resource: APIResource) throws -> WatchEvent<Object>
}

/// Which objects of a kind are wanted.
public struct WatchScope: Hashable, Sendable {
    /// nil: all namespaces, or a kind without them.
    public var namespace: String?
    public var fieldSelector: String?
    public var labelSelector: String?
    /// Objects come as PartialObjectMetadata.
    public var isMetadataOnly: Bool

    public init(
        namespace: String? = nil, fieldSelector: String? = nil, labelSelector: String? = nil,
        isMetadataOnly: Bool = false
    ) {
        self.namespace = namespace
        self.fieldSelector = fieldSelector
        self.labelSelector = labelSelector
        self.isMetadataOnly = isMetadataOnly
    }
}

/// What a reflector tells its owner, in order.
public enum ReflectorUpdate<Object: Sendable>: Sendable {
    /// One complete list, after every list and relist: what is not in it does not exist.
    case replaced([Object])
    case applied(Object)
    case deleted(Object)
    /// The API server does not serve the kind. It is looked for again every few seconds.
    case unserved
    /// Trouble begins, or its text has changed. What was told before may be out of date.
    case failing(KubernetesError)
    /// The trouble is over; comes before the list or the events that show it.
    case recovered
}

/// How a reflector behaves. The defaults suit any API server; tests shorten them.
public struct ReflectorSettings: Sendable {
    /// Versions in the order of preference; the group's preferred one when none of them is served.
    public var versions: [String] = []
    public var pageObjects: Int = 500
    /// More objects than this are an error and not a list.
    public var objectsMax: Int = 500_000
    /// The API server is asked to end a watch after a time drawn from this range.
    public var watchSeconds: ClosedRange<Int> = 300...600
    /// A watch that is silent for its own time and this one more is taken for dead.
    public var silenceMargin: Duration = .seconds(30)
    /// A kind that is not served is looked for again after this time, half of it up or down.
    public var unservedInterval: Duration = .seconds(5)
    /// A kind that was served counts as gone only when it has been missing for so long: an API server that starts answers 404
    /// until its CRDs are loaded, and nobody should forget all objects for that.
    public var vanishedAfter: Duration = .seconds(10)
    public var backoffFirst: Duration = .milliseconds(200)
    public var backoffMax: Duration = .seconds(30)
    /// A watch that lasted less, and said nothing, does not count as a success.
    public var shortWatch: Duration = .seconds(1)

    public init() {}
}
