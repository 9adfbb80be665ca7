// From a kubeconfig to the settings of async-http-client: address, proxy, TLS.

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOSSL

/// Where requests go. With `tls-server-name` the URL carries that name and a fixed resolution leads to the real host.
struct Origin: Sendable {
    /// `scheme://host:port` and the path of the server's URL, without a slash at the end.
    var base: String
    var hostField: String
    var addressOverride: [String: String] = [:]

    init(_ kubeconfig: Kubeconfig) throws(KubeconfigError) {
        guard var components = URLComponents(string: kubeconfig.server), let host = components.host else {
            throw KubeconfigError(
                file: kubeconfig.source, context: kubeconfig.contextName,
                problem: .fieldInvalid("cluster.server", expected: "a URL like https://host:6443"))
        }
        hostField = components.port.map { "\(host):\($0)" } ?? host
        if let name = kubeconfig.tlsServerName, name != host {
            addressOverride[name] = host.trimmingCharacters(in: ["[", "]"])
            components.host = name
        }
        base = components.string ?? kubeconfig.server
    }
}

extension KubernetesClient {
    static func configuration(
        _ kubeconfig: Kubeconfig, _ settings: Settings, _ origin: Origin
    ) throws(KubeconfigError) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.tlsConfiguration = try tls(kubeconfig)
        configuration.dnsOverride = origin.addressOverride
        configuration.timeout.connect = .seconds(Int64(settings.timeoutSeconds))
        // Single calls have a shorter limit of their own.
        configuration.timeout.read = .seconds(Int64(max(settings.timeoutSeconds, settings.listTimeoutSeconds)))
        configuration.connectionPool.idleTimeout = .seconds(30)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = settings.connectionsMax
        // Whether to try again is the caller's decision; hidden attempts would only delay the first error.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        configuration.decompression = .disabled
        if let proxy = kubeconfig.proxyURL {
            guard let components = URLComponents(string: proxy), let host = components.host else {
                throw KubeconfigError(
                    file: kubeconfig.source, context: kubeconfig.contextName,
                    problem: .fieldInvalid("cluster.proxy-url", expected: "a URL like http://host:3128"))
            }
            if components.scheme?.lowercased().hasPrefix("socks5") == true {
                configuration.proxy = .socksServer(
                    host: host.trimmingCharacters(in: ["[", "]"]), port: components.port ?? 1080)
            } else {
                let authorization = components.user.map { user in
                    HTTPClient.Authorization.basic(username: user, password: components.password ?? "")
                }
                configuration.proxy = .server(
                    host: host.trimmingCharacters(in: ["[", "]"]), port: components.port ?? 80,
                    authorization: authorization)
            }
        }
        return configuration
    }

    /// Trust and client certificate of a kubeconfig; throws for what cannot be read or does not fit together.
    static func tls(_ kubeconfig: Kubeconfig) throws(KubeconfigError) -> TLSConfiguration {
        func failure(_ field: String, _ expected: String) -> KubeconfigError {
            KubeconfigError(
                file: kubeconfig.source, context: kubeconfig.contextName,
                problem: .fieldInvalid(field, expected: expected))
        }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if kubeconfig.skipsTLSVerification { tls.certificateVerification = .none }
        if let pem = kubeconfig.certificateAuthorityPEM {
            guard let certificates = try? NIOSSLCertificate.fromPEMBytes(pem), !certificates.isEmpty else {
                throw failure("cluster.certificate-authority(-data)", "a PEM certificate")
            }
            tls.trustRoots = .certificates(certificates)
        }
        if let identity = kubeconfig.clientCertificate {
            guard let chain = try? NIOSSLCertificate.fromPEMBytes(identity.chainPEM), !chain.isEmpty else {
                throw failure("user.client-certificate(-data)", "a PEM certificate")
            }
            guard let key = try? NIOSSLPrivateKey(bytes: [UInt8](identity.key.value.utf8), format: .pem) else {
                throw failure("user.client-key(-data)", "a PEM private key without a passphrase")
            }
            tls.certificateChain = chain.map { .certificate($0) }
            tls.privateKey = .privateKey(key)
            // A key of another certificate is found here and not as a refused handshake later.
            guard (try? NIOSSLContext(configuration: tls)) != nil else {
                throw failure("user.client-key(-data)", "the key of the client certificate")
            }
        }
        return tls
    }
}
