// From the settings `outbound.*` to a client's configuration.

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOSSL

/// A setting for calls to the outside that cannot be used. Quotes no value: a proxy's URL may hold a password.
public enum OutboundSettingsError: Error, Sendable, Equatable, CustomStringConvertible {
    case proxyInvalid
    case caFileUnreadable(path: String)

    public var description: String {
        switch self {
        case .proxyInvalid: "outbound.proxy is not a URL like http://host:3128; correct it"
        case .caFileUnreadable(let path):
            "outbound.caFile: \(path) cannot be read or holds no PEM certificate; correct the name or the file"
        }
    }
}

extension OutboundSettings {
    func clientConfiguration() throws(OutboundSettingsError) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let caFile {
            guard let certificates = try? NIOSSLCertificate.fromPEMFile(caFile), !certificates.isEmpty else {
                throw .caFileUnreadable(path: caFile)
            }
            tls.additionalTrustRoots = [.certificates(certificates)]
        }
        configuration.tlsConfiguration = tls
        configuration.timeout.connect = .seconds(10)
        // Below the keep-alive limits of common servers: a connection that both sides may close is not used again.
        configuration.connectionPool.idleTimeout = .seconds(4)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 16
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        configuration.decompression = .disabled
        if let proxy {
            guard let components = URLComponents(string: proxy), components.scheme?.lowercased() == "http",
                let host = components.host, !host.isEmpty
            else { throw .proxyInvalid }
            configuration.proxy = .server(
                host: host, port: components.port ?? 3128,
                authorization: components.user.map {
                    HTTPClient.Authorization.basic(username: $0, password: components.password ?? "")
                })
        }
        return configuration
    }
}
