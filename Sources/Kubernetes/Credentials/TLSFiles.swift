// TLSFiles: the certificate authority and the client certificate of a kubeconfig that names files, read again when the files
// change (a rotated service account CA, a renewed client certificate). Looked at every ten seconds at most. Files that do
// not fit together, as while they are being replaced, leave what was in use.

import Foundation
import NIOSSL
import Synchronization

final class TLSFiles: Sendable {
    private struct State {
        var stamps: [FileStamp?]
        /// nil: still what the client was made with.
        var changed: TLSConfiguration?
        var checkedAt = ContinuousClock.now
    }

    private let kubeconfig: Kubeconfig
    private let paths: [String]
    private let checkInterval: Duration
    private let state: Mutex<State>

    init(_ kubeconfig: Kubeconfig, checkInterval: Duration = .seconds(10)) {
        self.kubeconfig = kubeconfig
        self.checkInterval = checkInterval
        paths =
            [
                kubeconfig.certificateAuthorityFile, kubeconfig.clientCertificateFiles?.chain,
                kubeconfig.clientCertificateFiles?.key,
            ].compactMap { $0 }
        state = Mutex(State(stamps: paths.map(FileStamp.init)))
    }

    /// For a request, when it is not what the client was made with.
    func current() -> TLSConfiguration? {
        if paths.isEmpty { return nil }
        return state.withLock { state in
            let now = ContinuousClock.now
            if now - state.checkedAt < checkInterval { return state.changed }
            state.checkedAt = now
            let stamps = paths.map(FileStamp.init)
            if stamps != state.stamps, let tls = read() {
                state.stamps = stamps
                state.changed = tls
            }
            return state.changed
        }
    }

    private func read() -> TLSConfiguration? {
        var config = kubeconfig
        do {
            if let path = config.certificateAuthorityFile {
                config.certificateAuthorityPEM = try bytes(path)
            }
            if let files = config.clientCertificateFiles {
                let chain = try files.chain.map(bytes) ?? config.clientCertificate?.chainPEM ?? []
                let key = try files.key.map { SecretText(String(decoding: try bytes($0), as: UTF8.self)) }
                config.clientCertificate = .init(
                    chainPEM: chain, key: key ?? config.clientCertificate?.key ?? SecretText(""))
            }
            return try KubernetesClient.tls(config)
        } catch { return nil }
    }

    private func bytes(_ path: String) throws(KubeconfigError) -> [UInt8] {
        try Kubeconfig.readFile(
            path, problem: { .unreadable(reason: $0) }, in: kubeconfig.source, context: kubeconfig.contextName)
    }
}

/// Tells whether a file is still the same one: symbolic links are followed, as the kubelet switches them.
struct FileStamp: Equatable, Sendable {
    private var modified: Date?
    private var bytes: Int?
    private var inode: Int?

    /// nil when there is no such file.
    init?(_ path: String) {
        let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: resolved) else { return nil }
        modified = attributes[.modificationDate] as? Date
        bytes = attributes[.size] as? Int
        inode = attributes[.systemFileNumber] as? Int
    }
}
