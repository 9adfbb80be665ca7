// Watches: one long answer of lines, each a JSON object {"type": ..., "object": ...} (api-concepts, "Efficient detection of
// changes").

import AsyncHTTPClient
public import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// Which changes a watch gives.
public struct WatchQuery: Sendable, Hashable {
    public var labelSelector: String?
    public var fieldSelector: String?
    /// Changes after this version, as a list or the watch before gave it. nil: the present objects first, then changes.
    public var resourceVersion: String?
    /// After so long the API server ends the watch. nil: when it likes.
    public var timeoutSeconds: Int?
    /// The server may send BOOKMARK events, which carry nothing but the newest version.
    public var allowsBookmarks: Bool
    /// Objects are PartialObjectMetadata.
    public var isMetadataOnly: Bool

    public init(
        labelSelector: String? = nil, fieldSelector: String? = nil, resourceVersion: String? = nil,
        timeoutSeconds: Int? = nil, allowsBookmarks: Bool = true, isMetadataOnly: Bool = false
    ) {
        self.labelSelector = labelSelector
        self.fieldSelector = fieldSelector
        self.resourceVersion = resourceVersion
        self.timeoutSeconds = timeoutSeconds
        self.allowsBookmarks = allowsBookmarks
        self.isMetadataOnly = isMetadataOnly
    }
}

/// The lines of a watch that is open. Bytes are read only as lines are asked for. Ends with nil when the server ended the
/// watch or the task was cancelled; letting go of it closes the watch.
public struct WatchLines: AsyncSequence, Sendable {
    public typealias Element = Data
    public typealias Failure = KubernetesError

    fileprivate let body: HTTPClientResponse.Body
    fileprivate let lease: WatchClients.Lease
    fileprivate let call: KubernetesCall
    fileprivate let lineBytesMax: Int

    public func makeAsyncIterator() -> Iterator {
        Iterator(
            body: body.makeAsyncIterator(), lease: lease, call: call,
            splitter: LineSplitter(lineBytesMax: lineBytesMax),
            lineBytesMax: lineBytesMax)
    }

    /// Keeps further watches off this one's connection: its other end seems to be gone.
    func retireConnection() { lease.retirePool() }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate var body: HTTPClientResponse.Body.AsyncIterator
        fileprivate let lease: WatchClients.Lease
        fileprivate let call: KubernetesCall
        fileprivate var splitter: LineSplitter
        fileprivate let lineBytesMax: Int

        /// The next line without its LF. An end in the middle of a line and a line beyond the bound are errors.
        public mutating func next() async throws(KubernetesError) -> Data? {
            while true {
                do {
                    if let line = try splitter.next() { return line }
                } catch {
                    throw KubernetesError(
                        call: call, cause: .unreadableAnswer("a line of more than \(lineBytesMax) bytes"))
                }
                let part: ByteBuffer?
                do { part = try await body.next() } catch {
                    if Task.isCancelled { return nil }
                    throw KubernetesError(call: call, cause: .connection(ConnectionReason.text(error)))
                }
                guard let part else {
                    if Task.isCancelled || splitter.pendingBytes == 0 { return nil }
                    throw KubernetesError(call: call, cause: .connection("closed in the middle of an event"))
                }
                splitter.append(part)
            }
        }
    }
}

extension KubernetesClient {
    /// Opens a watch. No namespace: all namespaces, or a kind without them.
    ///
    /// Returns when the API server has accepted it, within `Settings.watchHeadSeconds`; how long it lasts is the server's and
    /// the caller's decision. Status 410: `resourceVersion` is too old, list again.
    public func watch(
        _ resource: APIResource, namespace: String?, query: WatchQuery = WatchQuery()
    ) async throws(KubernetesError) -> WatchLines {
        let call = Self.call("watch", resource, namespace, nil)
        let path = try resource.wholePath(namespace: namespace, call: call)
        let text = Self.query([
            ("watch", "true"), ("resourceVersion", query.resourceVersion), ("labelSelector", query.labelSelector),
            ("fieldSelector", query.fieldSelector), ("timeoutSeconds", query.timeoutSeconds.map(String.init)),
            ("allowWatchBookmarks", query.allowsBookmarks ? "true" : nil),
        ])
        let content = Content(
            accept: query.isMetadataOnly ? Self.acceptMetadataWatch : "application/json")
        var isSecond = false
        while true {
            let (request, identity) = try await request(.GET, path + text, call, content)
            guard let lease = watchClients.lease() else { throw KubernetesError(call: call, cause: .shutDown) }
            let response = try await open(request, lease, call)
            if response.status == .ok {
                return WatchLines(
                    body: response.body, lease: lease, call: call, lineBytesMax: settings.watchLineBytesMax)
            }
            var answer = Answer(
                status: Int(response.status.code), retryAfter: response.headers.first(name: "Retry-After"))
            let bytesMax = settings.bodyBytesMax
            let body = try? await withDeadline(seconds: settings.timeoutSeconds) {
                try await response.body.collect(upTo: bytesMax)
            }
            if let body { answer.body = Data(buffer: body) }
            if answer.status == 401, await credentials.renew(after: identity), !isSecond {
                isSecond = true
                continue
            }
            throw Self.refusal(call, answer)
        }
    }

    private static let acceptMetadataWatch = acceptMetadata

    /// The head of the answer. A second attempt follows only a kept-alive connection that the server had closed.
    private func open(
        _ request: HTTPClientRequest, _ lease: WatchClients.Lease, _ call: KubernetesCall
    ) async throws(KubernetesError) -> HTTPClientResponse {
        let limit = TimeAmount.seconds(Int64(settings.watchHeadSeconds))
        do {
            do {
                return try await lease.client.execute(request, timeout: limit)
            } catch  where Self.isLost(error) {
                return try await lease.client.execute(request, timeout: limit)
            }
        } catch {
            let bounds = Bounds(timeoutSeconds: settings.watchHeadSeconds, bodyBytesMax: settings.bodyBytesMax)
            let failure = Self.failure(call, error, bounds)
            // No answer on a connection that others share: it may be the connection.
            if case .timeout = failure.cause { lease.retirePool() }
            throw failure
        }
    }
}
