// CredentialSource: what a request carries to say who we are, as it is at the moment of the request.
//
// A token or a client certificate that the kubeconfig itself gives wins over a plug-in, as in client-go. What changes while we
// run: token files, files of certificates, what plug-ins give. Certificates go with the request as its own TLS settings,
// which leads it to connections that were made with them.

import Foundation
import NIOSSL

final class CredentialSource: Sendable {
    struct Identity: Sendable {
        var token: String?
        /// nil: what the client was made with.
        var tls: TLSConfiguration?
        /// Of the plug-in's credential.
        fileprivate var generation: Int?
    }

    private let token: TokenSource
    private let files: TLSFiles
    private let exec: ExecSource?

    init(
        _ kubeconfig: Kubeconfig, environment: [String: String] = ProcessInfo.processInfo.environment,
        checkInterval: Duration = .seconds(10)
    ) {
        token = TokenSource(kubeconfig.token)
        files = TLSFiles(kubeconfig, checkInterval: checkInterval)
        let hasOwn = kubeconfig.token != .none || kubeconfig.clientCertificate != nil
        exec = hasOwn ? nil : kubeconfig.exec.map { ExecSource($0, kubeconfig, environment: environment) }
    }

    func current() async throws(TokenSource.Unreadable) -> Identity {
        guard let exec else { return Identity(token: try token.current(), tls: files.current()) }
        let ready = try await exec.credential()
        return Identity(token: ready.token, tls: ready.tls ?? files.current(), generation: ready.generation)
    }

    /// The API server answered 401 to `identity`. True when another one may be had now.
    func renew(after identity: Identity) async -> Bool {
        if let exec, let generation = identity.generation { return await exec.refused(generation: generation) }
        token.invalidate()
        guard let fresh = try? token.current() else { return false }
        return fresh != identity.token
    }
}
