// A deadline over a whole exchange, answer body included: async-http-client's own ends with the answer's head.

import AsyncHTTPClient
import Foundation
import Glibc
import NIOCore
import NIOSSL

/// The time for an exchange is over.
package struct DeadlinePassed: Error {}

/// Runs `operation`; cancels it and throws `DeadlinePassed` after `seconds`.
package func withDeadline<Value: Sendable>(
    seconds: Int, _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withDeadline(nanoseconds: UInt64(seconds) * 1_000_000_000, operation)
}

/// Runs `operation`; cancels it and throws `DeadlinePassed` after `nanoseconds`.
package func withDeadline<Value: Sendable>(
    nanoseconds: UInt64, _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await operation() }
        group.addTask {
            try await Task.sleep(for: .nanoseconds(Int64(clamping: nanoseconds)))
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let value = first else { throw DeadlinePassed() }
        return value
    }
}

/// Short words for why a connection failed; never a URL, a header or a body.
package enum ConnectionReason {
    package static func text(_ error: any Error) -> String {
        switch error {
        case is DeadlinePassed: return "timeout"
        case let error as HTTPClientError: return text(of: error)
        case let error as IOError: return posixText(error.errnoCode)
        case is NIOSSLError, is BoringSSLError: return "TLS: \(tlsText(error))"
        case is CancellationError: return "cancelled"
        case ChannelError.connectTimeout: return "connect timeout"
        case is ChannelError: return "connection closed"
        default: return connectText(error)
        }
    }

    private static func text(of error: HTTPClientError) -> String {
        let known: [(HTTPClientError, String)] = [
            (.deadlineExceeded, "timeout"), (.connectTimeout, "connect timeout"), (.readTimeout, "read timeout"),
            (.remoteConnectionClosed, "connection closed before the answer was complete"),
            (.tlsHandshakeTimeout, "TLS handshake timeout"),
            (.proxyAuthenticationRequired, "the proxy asks for a password"),
            (.invalidProxyResponse, "the proxy refused"),
        ]
        return known.first { $0.0 == error }?.1 ?? error.shortDescription
    }

    /// NIO's connect error lists an error for each address, as text with `(errno: N)`; the first says enough.
    private static func connectText(_ error: any Error) -> String {
        let text = String(describing: error)
        if let range = text.range(of: "(errno: "), let code = CInt(text[range.upperBound...].prefix { $0.isNumber }) {
            return posixText(code)
        }
        if text.contains("dnsAError") || text.contains("SocketAddressError") {
            return "the host name cannot be resolved"
        }
        return "\(type(of: error))"
    }

    private static func posixText(_ code: CInt) -> String { unsafe String(cString: strerror(code)) }

    private static func tlsText(_ error: any Error) -> String {
        let text = String(describing: error)
        if text.contains("CERTIFICATE_VERIFY_FAILED") { return "the server's certificate is not trusted" }
        return String(text.prefix(120))
    }
}
