// KubernetesClient: calls to one API server.
//
// Every call waits for the request budget, carries the identity of the kubeconfig, ends within the timeout and reads at
// most `bodyBytesMax` of the answer. It is tried once: whether and when to try again is the caller's decision, which it
// makes from `KubernetesError`. Only two things are repeated here: a call that creates nothing and that a kept-alive connection lost because
// the server had closed it, since that says nothing about the server, and one that was answered 401 while another
// credential can be had (a rotated token file, an exec plug-in run again).
//
// Watches (`+Watch`) have connections of their own and none of these bounds but the budget.
//
// Source of truth: https://kubernetes.io/docs/reference/using-api/api-concepts/

import AsyncHTTPClient
public import Foundation
public import Logging
import NIOHTTP1

/// A client of one API server. Safe to use from any task.
public final class KubernetesClient: Sendable {
    public struct Settings: Sendable {
        /// Requests a second, in the long run.
        public var requestsPerSecond: Double = 50
        /// Requests at once after a quiet time.
        public var requestsBurst: Int = 100
        /// The same of calls in the background (status, Events), which have a budget of their own: a start that writes thousands of
        /// them keeps no trigger waiting.
        public var backgroundPerSecond: Double = 50
        public var backgroundBurst: Int = 50
        /// From the first byte sent to the last byte of the answer.
        public var timeoutSeconds: Int = 10
        /// Of an answer.
        public var bodyBytesMax: Int = 1 << 20
        public var connectionsMax: Int = 16
        /// `grapnel/VERSION`; the API server names our writes after what stands before the slash.
        public var userAgent: String
        /// Of one page of a list.
        public var listBytesMax: Int = 64 << 20
        /// For one page of a list, from the first byte sent to the last one read.
        public var listTimeoutSeconds: Int = 60
        /// Until the API server answers a watch; how long the watch itself may last is not bounded here.
        public var watchHeadSeconds: Int = 30
        /// Of one event of a watch.
        public var watchLineBytesMax: Int = 8 << 20
        /// Watches that share a pool of connections, which is one connection over HTTP/2. Servers allow at least 100 streams
        /// on one (RFC 9113 section 6.5.2); a request beyond what they allow would wait for another's end.
        public var watchesPerPool: Int = 90
        /// How long discovery is believed.
        public var discoverySeconds: Int = 600
        /// How long a kind that was not found is not asked for again.
        public var discoveryMissSeconds: Int = 5

        public init(version: String) { userAgent = "grapnel/\(version)" }
    }

    public let kubeconfig: Kubeconfig
    let settings: Settings
    let http: HTTPClient
    let watchClients: WatchClients
    let budget: RequestBudget
    let backgroundBudget: RequestBudget
    let credentials: CredentialSource
    let origin: Origin
    let logger: Logger
    let discovery: Discovery

    /// Makes a client; connects at the first call. Throws for certificates and keys that cannot be read.
    public init(_ kubeconfig: Kubeconfig, settings: Settings, logger: Logger) throws(KubeconfigError) {
        self.kubeconfig = kubeconfig
        self.settings = settings
        self.logger = logger
        origin = try Origin(kubeconfig)
        let configuration = try Self.configuration(kubeconfig, settings, origin)
        http = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
        watchClients = WatchClients(Self.watchConfiguration(configuration, settings), countMax: settings.watchesPerPool)
        budget = RequestBudget(perSecond: settings.requestsPerSecond, burst: settings.requestsBurst)
        backgroundBudget = RequestBudget(perSecond: settings.backgroundPerSecond, burst: settings.backgroundBurst)
        credentials = CredentialSource(kubeconfig)
        discovery = Discovery(
            secondsKept: settings.discoverySeconds, missSecondsKept: settings.discoveryMissSeconds)
    }

    /// Closes all connections, watches included; calls after it fail with `.shutDown`.
    public func shutdown() async {
        await watchClients.shutdown()
        try? await http.shutdown()
    }

    deinit {
        // One that was not shut down, as after an error at the start: its connections go without being waited for.
        http.shutdown { _ in }
    }

    /// Applies a JSON merge patch (RFC 7396) to one object.
    ///
    /// A version that is not served is replaced by one of the group that is. `plural` leaves discovery out.
    public func mergePatch(
        apiVersion: String, kind: String, plural: String? = nil, namespace: String?, name: String, body: [UInt8]
    ) async throws(KubernetesError) {
        let requested = GroupVersion(apiVersion)
        var resource: APIResource
        if let plural {
            resource = APIResource(
                group: requested.group, version: requested.version, kind: kind, plural: plural,
                isNamespaced: namespace != nil)
        } else {
            resource = try await self.resource(group: requested.group, version: requested.version, kind: kind)
        }
        try await mergePatch(resource, namespace: namespace, name: name, body: body)
    }

    /// Applies a JSON merge patch to one object of a resource found before.
    public func mergePatch(
        _ resource: APIResource, namespace: String?, name: String, body: [UInt8]
    ) async throws(KubernetesError) {
        let call = KubernetesCall(
            verb: "patch", group: resource.group, resource: resource.plural,
            namespace: resource.isNamespaced ? namespace : nil, name: name)
        let path = try resource.path(namespace: namespace, name: name, call: call)
        do {
            // The answer is not used: metadata alone is the smallest that the server can give.
            _ = try await send(
                .PATCH, path, call: call, accept: Self.acceptMetadata, contentType: "application/merge-patch+json",
                body: body, isBodyUsed: false)
        } catch {
            if error.statusCode == 404, !error.isObjectMissing { await discovery.forget(group: resource.group) }
            throw error
        }
    }

    /// The object as JSON.
    public func get(
        apiVersion: String, kind: String, plural: String? = nil, namespace: String?, name: String
    ) async throws(KubernetesError) -> Data {
        let requested = GroupVersion(apiVersion)
        let resource: APIResource
        if let plural {
            resource = APIResource(
                group: requested.group, version: requested.version, kind: kind, plural: plural,
                isNamespaced: namespace != nil)
        } else {
            resource = try await self.resource(group: requested.group, version: requested.version, kind: kind)
        }
        let call = KubernetesCall(
            verb: "get", group: resource.group, resource: resource.plural,
            namespace: resource.isNamespaced ? namespace : nil, name: name)
        let path = try resource.path(namespace: namespace, name: name, call: call)
        return try await read(path, call: call)
    }

    /// Creates an object, or posts to a sub-resource of `name`. The body is JSON; the answer is the object made. In the background it
    /// waits for that budget.
    @discardableResult
    public func create(
        _ resource: APIResource, namespace: String?, name: String? = nil, subresource: String? = nil, body: [UInt8],
        isInBackground: Bool = false
    ) async throws(KubernetesError) -> Data {
        let call = KubernetesCall(
            verb: "create", group: resource.group,
            resource: subresource.map { "\(resource.plural)/\($0)" } ?? resource.plural,
            namespace: resource.isNamespaced ? namespace : nil, name: name)
        var path: String
        if let name {
            path = try resource.path(namespace: namespace, name: name, call: call)
        } else {
            path = try resource.collectionPath(namespace: namespace, call: call)
        }
        if let subresource { path += "/" + subresource }
        do {
            let made = try await send(
                .POST, path, call: call, contentType: "application/json", body: body, isInBackground: isInBackground)
            if let trace = ExchangeTrace.current, let object = try? ObjectMetadata.one(made, of: resource) {
                trace.name(object.name)
            }
            return made
        } catch {
            if error.statusCode == 404, !error.isObjectMissing { await discovery.forget(group: resource.group) }
            throw error
        }
    }

    /// Posts a body of any type to a path below an object, with fields of the caller's. `segments` are percent-encoded; only the first
    /// is named in errors, so that one may be a secret.
    public func relay(
        _ resource: APIResource, namespace: String?, name: String, segments: [[UInt8]], fields: [(String, String)],
        contentType: String, body: [UInt8]
    ) async throws(KubernetesError) {
        let first = segments.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        let call = KubernetesCall(
            verb: "create", group: resource.group, resource: "\(resource.plural)/\(first)",
            namespace: resource.isNamespaced ? namespace : nil, name: name)
        var path = try resource.path(namespace: namespace, name: name, call: call)
        let shownPath = "\(path)/\(first)/…"
        for segment in segments { path += "/" + Self.encoded(segment) }
        // Nor may the answer be shown, which may repeat the path.
        _ = try await send(
            .POST, path, call: call, contentType: contentType, body: body, fields: fields, shownPath: shownPath)
    }

    /// RFC 3986 section 2.1: everything but the unreserved characters.
    private static func encoded(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                text.append(byte)
            default: text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Metadata of the objects of a kind that match `labelSelector` (nil: all), page by page, at most `countMax`.
    public func listMetadata(
        _ resource: APIResource, namespace: String?, labelSelector: String?, countMax: Int = 10_000
    ) async throws(KubernetesError) -> [ObjectMetadata] {
        let call = KubernetesCall(
            verb: "list", group: resource.group, resource: resource.plural,
            namespace: resource.isNamespaced ? namespace : nil)
        let path = try resource.collectionPath(namespace: namespace, call: call)
        var objects: [ObjectMetadata] = []
        var next = ""
        repeat {
            var query = "?limit=500"
            if let labelSelector { query += "&labelSelector=" + Self.escaped(labelSelector) }
            if !next.isEmpty { query += "&continue=" + Self.escaped(next) }
            let page = try await send(.GET, path + query, call: call, accept: Self.acceptMetadataList)
            let list: ObjectMetadata.List
            do { list = try ObjectMetadata.list(page, of: resource) } catch {
                throw KubernetesError(call: call, cause: .unreadableAnswer("no list of objects"))
            }
            objects += list.objects
            next = list.next
            if objects.count > countMax {
                throw KubernetesError(call: call, cause: .unreadableAnswer("more than \(countMax) objects match"))
            }
        } while !next.isEmpty
        return objects
    }

    /// Metadata of one object.
    public func getMetadata(
        _ resource: APIResource, namespace: String?, name: String
    ) async throws(KubernetesError) -> ObjectMetadata {
        let call = KubernetesCall(
            verb: "get", group: resource.group, resource: resource.plural,
            namespace: resource.isNamespaced ? namespace : nil, name: name)
        let path = try resource.path(namespace: namespace, name: name, call: call)
        let body = try await send(.GET, path, call: call, accept: Self.acceptMetadata)
        do { return try ObjectMetadata.one(body, of: resource) } catch {
            throw KubernetesError(call: call, cause: .unreadableAnswer("no object"))
        }
    }

    static let acceptMetadataList =
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json"

    /// A query value (RFC 3986 section 3.4).
    static func escaped(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: APIResource.segmentCharacters) ?? ""
    }

    /// How the API server serves `kind`: in `version` when it does, else in the first version of the group that has it.
    public func resource(
        group: String, version: String?, kind: String
    ) async throws(KubernetesError) -> APIResource {
        try await discovery.resource(group: group, version: version, kind: kind, client: self)
    }

    /// All versions in which the API server serves `kind`, the preferred first.
    public func servedVersions(group: String, kind: String) async throws(KubernetesError) -> [String] {
        try await discovery.servedVersions(group: group, kind: kind, client: self)
    }

    /// Asks for the server's version: says whether it is there and knows us.
    public func ping() async throws(KubernetesError) {
        _ = try await read("/version", call: KubernetesCall(verb: "get", group: "", resource: "/version"))
    }
}
