// HTTPAction: hands a delivery's body to another HTTP server.
//
// The body and its content type go on as they came. Three fields follow Standard Webhooks
// (github.com/standard-webhooks/standard-webhooks, spec "Webhook metadata"): `webhook-id` is the same in every attempt of one
// delivery and action, so that the receiver can drop repeats; `webhook-timestamp` is the attempt's time; and with a
// secret `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
//
// Where calls are restricted (`outbound.allow`, and Hooks that tenants of a cluster wrote), the name is resolved here, each address is
// checked, and the connection goes to an address that was checked: a name that leads elsewhere a moment later gains nothing
// (PinnedClients). Host field and TLS go by the name all the same.
//
// 2xx is done. Redirects are not followed. Connection errors, 408, 425, 429 and 5xx heal with time; 409 uses up an
// attempt; every other answer is final.

import AsyncHTTPClient
public import Delivery
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
    /// Which hosts `http` actions may call.
    public var allow: OutboundAllowList
    /// Names or addresses of API servers, which no `http` action of a tenant may call, whatever is allowed: a request from this
    /// server's place in the network is worth more there than elsewhere.
    public var apiServerHosts: [String]

    public init(
        proxy: String? = nil, caFile: String? = nil, userAgent: String, allow: OutboundAllowList = OutboundAllowList(),
        apiServerHosts: [String] = []
    ) {
        self.proxy = proxy
        self.caFile = caFile
        self.userAgent = userAgent
        self.allow = allow
        self.apiServerHosts = apiServerHosts
    }
}

public final class HTTPAction: ActionRunner {
    private let client: HTTPClient
    private let pinned: PinnedClients
    private let settings: OutboundSettings
    private let resolve: HostResolver.Resolve
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
        clock: @escaping @Sendable () -> UInt64,
        resolve: @escaping HostResolver.Resolve = { await HostResolver.shared.addresses(of: $0) }
    ) throws(OutboundSettingsError) {
        self.settings = settings
        self.hmacSHA256 = hmacSHA256
        self.clock = clock
        self.resolve = resolve
        let configuration = try settings.clientConfiguration()
        client = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
        pinned = PinnedClients(configuration)
    }

    deinit {
        // One that was not shut down, as after an error at the start.
        client.shutdown { _ in }
    }

    public func shutdown() async {
        pinned.shutdown()
        try? await client.shutdown()
    }

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
            guard let key = HTTPSigning.key(of: secret) else {
                return .failed(
                    ActionFailure(
                        .final, scope: .none,
                        reason: "the signing secret is empty or not base64 behind whsec_; correct it"))
            }
            let signature = hmacSHA256(key, Array("\(id).\(timestamp).".utf8) + payload.body)
            request.headers.add(name: "webhook-signature", value: "v1," + Data(signature).base64EncodedString())
        }
        request.body = .bytes(ByteBuffer(bytes: payload.body))
        let isRestricted = attempt.isOfTenant || !settings.allow.isEmpty
        do {
            let answer =
                isRestricted
                ? try await restrictedExchange(request, isOfTenant: attempt.isOfTenant, timeoutNanoseconds: timeout)
                : try await exchange(request, by: client, timeoutNanoseconds: timeout)
            ExchangeTrace.current?.end(
                status: answer.status,
                AnswerText.shown(
                    answer.refusal, url: url, secret: secret.map { String(decoding: $0.bytes, as: UTF8.self) }))
            return Self.result(answer.status, answer.retryAfter, place)
        } catch let refused as RefusedCall {
            return .failed(ActionFailure(refused.verdict, scope: .none, reason: "POST \(place): \(refused.reason)"))
        } catch let error as HTTPClientError where Self.isConfigurationError(error) {
            return .failed(ActionFailure(.final, scope: .none, reason: "POST \(place): \(error.shortDescription)"))
        } catch {
            return .failed(
                ActionFailure(.healable, scope: .server, reason: "POST \(place): \(ConnectionReason.text(error))"))
        }
    }

    /// `refusal`: the body of what is not 2xx.
    private typealias Reply = (status: Int, retryAfter: String?, refusal: [UInt8])

    private func exchange(
        _ request: HTTPClientRequest, by client: HTTPClient, timeoutNanoseconds: UInt64
    ) async throws -> Reply {
        ExchangeTrace.current?.begin("POST", PlannedAction.origin(of: request.url))
        return try await withDeadline(nanoseconds: timeoutNanoseconds) {
            let response = try await client.execute(
                request, timeout: .nanoseconds(Int64(clamping: timeoutNanoseconds)))
            // The answer is complete with its head; a body that fails or never ends changes nothing.
            let body = try? await response.body.collect(upTo: Self.answerBytesMax)
            let isDone = (200..<300).contains(Int(response.status.code))
            return (
                Int(response.status.code), response.headers.first(name: "Retry-After"),
                isDone ? [] : body.map { Array($0.readableBytesView) } ?? []
            )
        }
    }

    // MARK: - Restricted calls

    /// A call that may not be made.
    private struct RefusedCall: Error {
        let verdict: ActionFailure.Verdict
        let reason: String
    }

    /// Addresses of one name that are tried in one attempt.
    private static let addressesMax = 4

    /// Calls a checked address. The time limit covers the resolution too.
    private func restrictedExchange(
        _ request: HTTPClientRequest, isOfTenant: Bool, timeoutNanoseconds: UInt64
    ) async throws -> Reply {
        let started = ContinuousClock.now
        // The client reads the host by the same function, so that both mean the same one.
        guard let host = URL(string: request.url)?.host.map(Self.withoutBrackets), Self.isPlainHost(host) else {
            throw RefusedCall(verdict: .final, reason: "its host is neither a name nor an address")
        }
        let isByProxy = settings.proxy != nil
        if let refusal = settings.allow.refusal(host: host, isOfTenant: isOfTenant, isResolvedElsewhere: isByProxy) {
            throw RefusedCall(verdict: .final, reason: refusal.description)
        }
        let forbidden = isOfTenant ? settings.apiServerHosts : []
        if forbidden.contains(where: { Self.isSame($0, host) }) {
            throw RefusedCall(verdict: .final, reason: Self.apiServerRefusal(host))
        }
        // What a proxy connects to is the proxy's to decide.
        if isByProxy { return try await exchange(request, by: client, timeoutNanoseconds: timeoutNanoseconds) }
        let found = try await withDeadline(nanoseconds: timeoutNanoseconds) { [resolve] in
            if let literal = IPAddress(host) { return [literal] }
            return await resolve(host)
        }
        let apiServers = try await addresses(of: forbidden, timeoutNanoseconds: timeoutNanoseconds)
        var refusal: OutboundRefusal?
        let permitted = found.filter { address in
            let trouble =
                settings.allow.refusal(address, host: host, isOfTenant: isOfTenant)
                ?? (apiServers.contains(address) ? OutboundRefusal(Self.apiServerRefusal(host)) : nil)
            refusal = refusal ?? trouble
            return trouble == nil
        }
        if permitted.isEmpty {
            // Names change their addresses, so this may heal; but nobody waits for it for three days.
            if let refusal { throw RefusedCall(verdict: .judged, reason: refusal.description) }
            throw RefusedCall(verdict: .healable, reason: "the host name cannot be resolved")
        }
        var last: (any Error)?
        for address in permitted.prefix(Self.addressesMax) {
            let spent = Self.nanoseconds(ContinuousClock.now - started)
            guard spent < timeoutNanoseconds else { throw HTTPClientError.deadlineExceeded }
            let place = PinnedClients.Place(host: host, address: address)
            let client = pinned.take(place)
            defer { pinned.giveBack(place) }
            do {
                return try await exchange(request, by: client, timeoutNanoseconds: timeoutNanoseconds - spent)
            } catch let error where Self.isUnreachable(error) {
                last = error
            }
        }
        throw last ?? HTTPClientError.deadlineExceeded
    }

    /// Of all hosts together. Who cannot be resolved cannot be reached by that name either.
    private func addresses(of hosts: [String], timeoutNanoseconds: UInt64) async throws -> [IPAddress] {
        var found: [IPAddress] = []
        for host in hosts {
            if let literal = IPAddress(host) {
                found.append(literal)
            } else {
                found += try await withDeadline(nanoseconds: timeoutNanoseconds) { [resolve] in await resolve(host) }
            }
        }
        return found
    }

    /// Whether two texts name one host; an address may be written in several ways.
    private static func isSame(_ a: String, _ b: String) -> Bool {
        if let address = IPAddress(a) { return address == IPAddress(b) }
        func bare(_ host: String) -> Substring {
            let text = host.lowercased()[...]
            return text.hasSuffix(".") ? text.dropLast() : text
        }
        return bare(a) == bare(b)
    }

    private static func apiServerRefusal(_ host: String) -> String {
        "\(host.prefix(253)) is an API server of a cluster, which an http action of a Hook from a cluster may not call"
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(clamping: seconds) * 1_000_000_000 + UInt64(clamping: attoseconds / 1_000_000_000)
    }

    private static func withoutBrackets(_ host: String) -> String {
        host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    }

    private static func isPlainHost(_ host: String) -> Bool {
        IPAddress(host) != nil
            || (1...255).contains(host.utf8.count)
                && host.utf8.allSatisfy {
                    (0x61...0x7a).contains($0 | 0x20) || (0x30...0x39).contains($0) || "-._".utf8.contains($0)
                }
    }

    /// Whether nothing was sent yet because nobody is there: another address of the name may do.
    private static func isUnreachable(_ error: any Error) -> Bool {
        guard let error = error as? IOError else { return (error as? HTTPClientError) == .connectTimeout }
        return [ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL].contains(error.errnoCode)
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
}
