// OutboundClient: small documents from the outside: discovery documents and keys of token issuers.

import AsyncHTTPClient
import Kubernetes
import NIOCore
import NIOHTTP1

/// Gets documents. Redirects are not followed. Safe to use from any task.
public final class OutboundClient: Sendable {
    public struct Failure: Error, Sendable, CustomStringConvertible {
        public let description: String
        public init(description: String) { self.description = description }
    }

    private let client: HTTPClient
    private let userAgent: String

    public init(settings: OutboundSettings) throws(OutboundSettingsError) {
        userAgent = settings.userAgent
        client = HTTPClient(
            eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: try settings.clientConfiguration())
    }

    deinit { client.shutdown { _ in } }

    /// Posts a document; gives the status. The answer's body is not read beyond 64 KiB.
    public func post(_ url: String, contentType: String, body: [UInt8], seconds: Int64) async throws(Failure) -> UInt {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "User-Agent", value: userAgent)
        request.headers.add(name: "Content-Type", value: contentType)
        request.body = .bytes(ByteBuffer(bytes: body))
        let trace = ExchangeTrace.current
        trace?.begin("POST", PlannedAction.origin(of: url))
        do {
            let response = try await client.execute(request, timeout: .seconds(seconds))
            _ = try? await response.body.collect(upTo: 64 << 10)
            trace?.end(status: Int(response.status.code))
            return response.status.code
        } catch {
            throw Failure(description: "\(error)")
        }
    }

    /// The body of a 200, of at most `bytesMax` bytes, within `seconds`.
    public func get(_ url: String, bytesMax: Int = 1 << 20, seconds: Int64 = 5) async throws(Failure) -> [UInt8] {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "User-Agent", value: userAgent)
        request.headers.add(name: "Accept", value: "application/json")
        do {
            let response = try await client.execute(request, timeout: .seconds(seconds))
            guard response.status == .ok else { throw Failure(description: "answered \(response.status.code)") }
            var body = try await response.body.collect(upTo: bytesMax)
            return body.readBytes(length: body.readableBytes) ?? []
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(description: "\(error)")
        }
    }
}
