// One request and its answer: credentials, time, size, and what is repeated.

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

extension KubernetesClient {
    static let acceptMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"

    /// How long an exchange may take and how much of the answer is read.
    struct Bounds: Sendable {
        var timeoutSeconds: Int
        var bodyBytesMax: Int
    }

    /// Of single calls.
    var callBounds: Bounds { Bounds(timeoutSeconds: settings.timeoutSeconds, bodyBytesMax: settings.bodyBytesMax) }

    /// What stands in a request beside its address.
    struct Content: Sendable {
        var accept = "application/json"
        var contentType: String?
        var body: [UInt8]?
        var fields: [(String, String)] = []
        var isInBackground = false
    }

    /// The body at a path.
    func read(_ path: String, call: KubernetesCall) async throws(KubernetesError) -> Data {
        try await send(.GET, path, call: call)
    }

    /// One request; the body of a 2xx, or an error for everything else. `shownPath` stands for a path with a secret in it.
    func send(
        _ method: HTTPMethod, _ path: String, call: KubernetesCall, accept: String = "application/json",
        contentType: String? = nil, body: [UInt8]? = nil, isBodyUsed: Bool = true, fields: [(String, String)] = [],
        shownPath: String? = nil, bounds: Bounds? = nil, isInBackground: Bool = false
    ) async throws(KubernetesError) -> Data {
        let bounds = bounds ?? callBounds
        let content = Content(
            accept: accept, contentType: contentType, body: body, fields: fields, isInBackground: isInBackground)
        var isSecond = false
        while true {
            let (request, identity) = try await request(method, path, call, content)
            let trace = ExchangeTrace.current
            trace?.begin(method.rawValue, shownPath ?? path)
            let answer = try await exchange(request, call, isBodyUsed: isBodyUsed, bounds)
            trace?.end(status: answer.status, shownPath == nil ? Self.refusalText(answer) : "")
            if (200..<300).contains(answer.status) { return answer.body }
            if answer.status == 401, await credentials.renew(after: identity), !isSecond {
                isSecond = true
                continue
            }
            throw Self.refusal(call, answer)
        }
    }

    /// A request with the budget waited for and the credentials of now.
    func request(
        _ method: HTTPMethod, _ path: String, _ call: KubernetesCall, _ content: Content
    ) async throws(KubernetesError) -> (HTTPClientRequest, CredentialSource.Identity) {
        do { try await (content.isInBackground ? backgroundBudget : budget).wait() } catch {
            throw KubernetesError(call: call, cause: .connection("cancelled"))
        }
        let identity: CredentialSource.Identity
        do { identity = try await credentials.current() } catch {
            throw KubernetesError(call: call, cause: .credentials(error.reason))
        }
        var request = HTTPClientRequest(url: origin.base + path)
        request.method = method
        request.tlsConfiguration = identity.tls
        request.headers.add(name: "Host", value: origin.hostField)
        request.headers.add(name: "User-Agent", value: settings.userAgent)
        request.headers.add(name: "Accept", value: content.accept)
        if let token = identity.token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        for (name, value) in content.fields { request.headers.add(name: name, value: value) }
        if let body = content.body {
            request.headers.add(name: "Content-Type", value: content.contentType ?? "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        return (request, identity)
    }

    private func exchange(
        _ request: HTTPClientRequest, _ call: KubernetesCall, isBodyUsed: Bool, _ bounds: Bounds
    ) async throws(KubernetesError) -> Answer {
        do {
            return try await exchangeOnce(request, isBodyUsed: isBodyUsed, bounds)
        } catch  where Self.isLost(error) && request.method != .POST {
            // The server closed a kept-alive connection while the request was on its way. A second connection is new. What creates
            // something may have done so: its caller has to look.
            do {
                return try await exchangeOnce(request, isBodyUsed: isBodyUsed, bounds)
            } catch { throw Self.failure(call, error, bounds) }
        } catch {
            throw Self.failure(call, error, bounds)
        }
    }

    /// A kept-alive connection was closed by the server while the request was on its way, or just before.
    static func isLost(_ error: any Error) -> Bool {
        switch error {
        case let error as HTTPClientError: return error == .remoteConnectionClosed
        case let error as ChannelError:
            return [.ioOnClosedChannel, .alreadyClosed, .outputClosed, .inputClosed, .eof].contains(error)
        // Closed before the request was read: the kernel answers with a reset.
        case let error as IOError: return error.errnoCode == ECONNRESET || error.errnoCode == EPIPE
        default: return false
        }
    }

    private func exchangeOnce(
        _ request: HTTPClientRequest, isBodyUsed: Bool, _ bounds: Bounds
    ) async throws -> Answer {
        try await withDeadline(seconds: bounds.timeoutSeconds) { [http] in
            let response = try await http.execute(request, timeout: .seconds(Int64(bounds.timeoutSeconds)))
            var answer = Answer(
                status: Int(response.status.code), retryAfter: response.headers.first(name: "Retry-After"))
            let isBodyNeeded = isBodyUsed || !(200..<300).contains(answer.status)
            do {
                answer.body = Data(buffer: try await response.body.collect(upTo: bounds.bodyBytesMax))
            } catch  where !isBodyNeeded || !(200..<300).contains(answer.status) {
                // The status was read and says enough; what is left of the body goes with the connection.
            }
            return answer
        }
    }

    /// The error of an answer that is not 2xx.
    static func refusal(_ call: KubernetesCall, _ answer: Answer) -> KubernetesError {
        let status = KubernetesStatus(json: answer.body)
        return KubernetesError(
            call: call, cause: .status(answer.status), status: status,
            retryAfterNanoseconds: answer.retryAfter.flatMap { RetryAfter.nanoseconds($0) }
                ?? status?.detailsRetryAfterSeconds.flatMap { RetryAfter.nanoseconds(String($0)) })
    }

    /// Why an answer refuses, in the server's words; empty for one that does not.
    private static func refusalText(_ answer: Answer) -> String {
        if (200..<300).contains(answer.status) { return "" }
        if let message = KubernetesStatus(json: answer.body)?.message, !message.isEmpty { return message }
        return String(decoding: answer.body.prefix(512), as: UTF8.self)
    }

    /// The error of an exchange that came to no answer.
    static func failure(_ call: KubernetesCall, _ error: any Error, _ bounds: Bounds) -> KubernetesError {
        let clientError = error as? HTTPClientError
        if error is DeadlinePassed || clientError == .deadlineExceeded {
            return KubernetesError(call: call, cause: .timeout(seconds: bounds.timeoutSeconds))
        }
        if clientError == .alreadyShutdown { return KubernetesError(call: call, cause: .shutDown) }
        if error is NIOTooManyBytesError {
            return KubernetesError(call: call, cause: .unreadableAnswer("more than \(bounds.bodyBytesMax) bytes"))
        }
        return KubernetesError(call: call, cause: .connection(ConnectionReason.text(error)))
    }

    struct Answer: Sendable {
        var status: Int
        var retryAfter: String?
        var body = Data()
    }
}
