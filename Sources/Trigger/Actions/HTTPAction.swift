// HTTPAction: hands a delivery's body to another HTTP server.
//
// The body and its content type go on as they came. Three fields follow Standard Webhooks
// (github.com/standard-webhooks/standard-webhooks, spec "Webhook metadata"): `webhook-id` is the same in every attempt of one
// delivery and action, so that the receiver can drop repeats; `webhook-timestamp` is the attempt's time; and with a
// secret `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
//
// 2xx is done. Redirects are not followed. Connection errors, 408, 425, 429 and 5xx heal with time; 409 uses up an
// attempt; every other answer is final.

import AsyncHTTPClient
import Delivery
import Foundation
import Kubernetes
import NIOCore
import NIOHTTP1

/// How calls to the outside go (all but those to the Kubernetes API).
public struct OutboundSettings: Sendable {
    /// `http://[user:password@]host:port`; nil: direct.
    public var proxy: String?
    /// PEM file with certificate authorities that are trusted beside the system's.
    public var caFile: String?
    /// `grapnel/VERSION`.
    public var userAgent: String

    public init(proxy: String? = nil, caFile: String? = nil, userAgent: String) {
        self.proxy = proxy
        self.caFile = caFile
        self.userAgent = userAgent
    }
}

public final class HTTPAction: ActionRunner {
    private let client: HTTPClient
    private let settings: OutboundSettings
    private let hmacSHA256: @Sendable (_ key: [UInt8], _ message: [UInt8]) -> [UInt8]
    private let clock: @Sendable () -> UInt64

    /// Of an answer; what is in it does not matter, but reading it lets the connection be used again.
    private static let answerBytesMax = 64 << 10

    /// Throws for a proxy or a CA file that cannot be used.
    public convenience init(
        settings: OutboundSettings,
        hmacSHA256: @escaping @Sendable (_ key: [UInt8], _ message: [UInt8]) -> [UInt8]
    ) throws(OutboundSettingsError) {
        try self.init(settings: settings, hmacSHA256: hmacSHA256, clock: { DispatcherClock.wall })
    }

    init(
        settings: OutboundSettings,
        hmacSHA256: @escaping @Sendable (_ key: [UInt8], _ message: [UInt8]) -> [UInt8],
        clock: @escaping @Sendable () -> UInt64
    ) throws(OutboundSettingsError) {
        self.settings = settings
        self.hmacSHA256 = hmacSHA256
        self.clock = clock
        client = HTTPClient(
            eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: try settings.clientConfiguration())
    }

    deinit {
        // One that was not shut down, as after an error at the start.
        client.shutdown { _ in }
    }

    public func shutdown() async { try? await client.shutdown() }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .http(let url, let timeout, let secret) = attempt.action, let payload = attempt.payload else {
            return .failed(ActionFailure(.final, scope: .none, reason: "not an http action"))
        }
        let place = PlannedAction.origin(of: url)
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "User-Agent", value: settings.userAgent)
        if !payload.contentType.isEmpty { request.headers.add(name: "Content-Type", value: payload.contentType) }
        let id = Self.webhookID(attempt)
        let timestamp = String(clock() / 1_000_000_000)
        request.headers.add(name: "webhook-id", value: id)
        request.headers.add(name: "webhook-timestamp", value: timestamp)
        if let secret {
            guard let key = Self.signingKey(secret) else {
                return .failed(
                    ActionFailure(
                        .final, scope: .none,
                        reason: "the signing secret is empty or not base64 behind whsec_; correct it"))
            }
            let signature = hmacSHA256(key, Array("\(id).\(timestamp).".utf8) + payload.body)
            request.headers.add(name: "webhook-signature", value: "v1," + Data(signature).base64EncodedString())
        }
        request.body = .bytes(ByteBuffer(bytes: payload.body))
        do {
            let answer = try await exchange(request, timeoutNanoseconds: timeout)
            return Self.result(answer.status, answer.retryAfter, place)
        } catch let error as HTTPClientError where Self.isConfigurationError(error) {
            return .failed(ActionFailure(.final, scope: .none, reason: "POST \(place): \(error.shortDescription)"))
        } catch {
            return .failed(
                ActionFailure(.healable, scope: .server, reason: "POST \(place): \(ConnectionReason.text(error))"))
        }
    }

    private func exchange(
        _ request: HTTPClientRequest, timeoutNanoseconds: UInt64
    ) async throws -> (status: Int, retryAfter: String?) {
        try await withDeadline(nanoseconds: timeoutNanoseconds) { [client] in
            let response = try await client.execute(
                request, timeout: .nanoseconds(Int64(clamping: timeoutNanoseconds)))
            // The answer is complete with its head; a body that fails or never ends changes nothing.
            _ = try? await response.body.collect(upTo: Self.answerBytesMax)
            return (Int(response.status.code), response.headers.first(name: "Retry-After"))
        }
    }

    static func result(_ status: Int, _ retryAfter: String?, _ place: String) -> ActionResult {
        let wait = retryAfter.flatMap { RetryAfter.nanoseconds($0) }
        func failed(_ verdict: ActionFailure.Verdict, _ scope: ActionFailure.Scope, _ note: String = "") -> ActionResult
        {
            .failed(
                ActionFailure(
                    verdict, scope: scope, retryAfterNanoseconds: wait,
                    reason: "POST \(place): answered \(status)\(note)"))
        }
        switch status {
        case 200..<300: return .done
        case 300..<400: return failed(.final, .target, "; redirects are not followed, correct the URL")
        case 409: return failed(.judged, .target)
        case 408, 425: return failed(.healable, .target)
        case 429, 500...: return failed(.healable, .server)
        default: return failed(.final, .target)
        }
    }

    private static func isConfigurationError(_ error: HTTPClientError) -> Bool {
        error == .invalidURL || error == .emptyHost || error == .emptyScheme
            || error.shortDescription.hasPrefix("Unsupported scheme")
            || error.shortDescription.hasPrefix("Invalid header field")
    }

    /// Stable for a delivery and an action; not repeated when a new data directory counts from 1 again.
    static func webhookID(_ attempt: ActionAttempt) -> String {
        "grapnel_\(String(attempt.receivedNanoseconds, radix: 36))_\(attempt.sequence)_\(attempt.planIndex)"
    }

    /// `whsec_` and base64, or the bytes as they are; nil when there is no usable key.
    static func signingKey(_ secret: SecretBytes) -> [UInt8]? {
        let prefix = Array("whsec_".utf8)
        guard secret.bytes.starts(with: prefix) else { return secret.isEmpty ? nil : secret.bytes }
        let encoded = String(decoding: secret.bytes.dropFirst(prefix.count), as: UTF8.self)
        guard let key = Data(base64Encoded: encoded), !key.isEmpty else { return nil }
        return [UInt8](key)
    }
}
