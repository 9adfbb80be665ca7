// Kubeconfig: where an API server is and how we prove who we are, as `kubectl` reads it.
//
// The file is YAML or JSON (JSON is read by the same parser). One context is chosen; its cluster and its user are resolved
// to values here, so that a mistake is reported at the start and not at the first call. Relative file names are relative
// to the folder of the kubeconfig, as in kubectl. Several files are merged as kubectl does it: the first that defines a
// context, cluster or user, or sets current-context, counts. What we cannot do (auth providers, passwords,
// impersonation, proxies spoken to over TLS) is an error and never silently left out: calls made as somebody else are worse
// than none.
//
// Source of truth: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/

public import Foundation
import Glibc

/// One context of a kubeconfig, resolved.
public struct Kubeconfig: Sendable {
    /// How requests are authenticated, beside a client certificate.
    public enum BearerToken: Sendable, Equatable {
        case none
        case inline(SecretText)
        /// Read before use and again when the file changes: tokens of service accounts are rotated in place.
        case file(path: String)
    }

    /// The certificate and key we present, both PEM.
    public struct ClientCertificate: Sendable, Equatable {
        public var chainPEM: [UInt8]
        public var key: SecretText

        public init(chainPEM: [UInt8], key: SecretText) {
            self.chainPEM = chainPEM
            self.key = key
        }
    }

    /// Where the two halves of a client certificate are; nil for a half that stands in the kubeconfig itself.
    public struct CertificateFiles: Sendable, Equatable {
        public var chain: String?
        public var key: String?

        public init(chain: String?, key: String?) {
            self.chain = chain
            self.key = key
        }
    }

    /// What the settings came from; stands in error messages.
    public var source: String
    public var contextName: String
    /// The context's namespace; `default` when it names none.
    public var namespace: String
    /// `https://host:port` or with a path, never with a slash at the end.
    public var server: String
    /// The name or address in it, without brackets; nil where it holds none.
    public var serverHost: String? {
        URL(string: server)?.host.map { $0.hasPrefix("[") ? String($0.dropFirst().dropLast()) : $0 }
    }
    /// PEM; nil: the system's certificate authorities.
    public var certificateAuthorityPEM: [UInt8]?
    public var skipsTLSVerification: Bool
    /// The name that the server's certificate must carry, when it is not the host in `server`.
    public var tlsServerName: String?
    /// `http://host:port` or `socks5://host:port`.
    public var proxyURL: String?
    public var token: BearerToken
    public var clientCertificate: ClientCertificate?
    /// Where `certificateAuthorityPEM` was read; read again when the file changes.
    public var certificateAuthorityFile: String?
    /// Where `clientCertificate` was read; read again when a file changes.
    public var clientCertificateFiles: CertificateFiles?
    /// Asked for credentials when there is neither a token nor a client certificate.
    public var exec: ExecPlugin?

    public init(
        source: String = "settings", contextName: String = "default", namespace: String = "default", server: String,
        certificateAuthorityPEM: [UInt8]? = nil, skipsTLSVerification: Bool = false, tlsServerName: String? = nil,
        proxyURL: String? = nil, token: BearerToken = .none, clientCertificate: ClientCertificate? = nil,
        certificateAuthorityFile: String? = nil, clientCertificateFiles: CertificateFiles? = nil,
        exec: ExecPlugin? = nil
    ) {
        self.source = source
        self.contextName = contextName
        self.namespace = namespace
        self.server = server
        self.certificateAuthorityPEM = certificateAuthorityPEM
        self.skipsTLSVerification = skipsTLSVerification
        self.tlsServerName = tlsServerName
        self.proxyURL = proxyURL
        self.token = token
        self.clientCertificate = clientCertificate
        self.certificateAuthorityFile = certificateAuthorityFile
        self.clientCertificateFiles = clientCertificateFiles
        self.exec = exec
    }

    /// A kubeconfig beyond this many bytes is not one.
    static let fileBytesMax = 4 << 20

    /// Reads `path` and resolves `context`, or `current-context` when it is nil.
    ///
    /// `environment`: where a proxy is named when the kubeconfig names none (`https_proxy`, `no_proxy` and their like).
    public static func load(
        path: String, context: String? = nil, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(KubeconfigError) -> Kubeconfig {
        let bytes = try readFile(path, problem: { .unreadable(reason: $0) }, in: path, context: context)
        return try resolve([document(bytes, path: path)], context: context, environment: environment)
    }

    /// Reads the files that kubectl would read: the list in `KUBECONFIG`, merged, of which files that do not exist are left
    /// out, or else `~/.kube/config`. Resolves `context`, or the first `current-context` when it is nil.
    public static func load(
        environment: [String: String] = ProcessInfo.processInfo.environment, context: String? = nil
    ) throws(KubeconfigError) -> Kubeconfig {
        let paths = paths(environment: environment)
        var documents: [Document] = []
        for path in paths where paths.count == 1 || FileManager.default.fileExists(atPath: path) {
            let bytes = try readFile(path, problem: { .unreadable(reason: $0) }, in: path, context: context)
            documents.append(try document(bytes, path: path))
        }
        guard !documents.isEmpty else {
            throw KubeconfigError(
                file: paths.joined(separator: ":"), context: context,
                problem: .unreadable(reason: "none of these files exists"))
        }
        return try resolve(documents, context: context, environment: environment)
    }

    /// The files that `load(environment:)` reads, each once.
    public static func paths(environment: [String: String]) -> [String] {
        var paths: [String] = []
        for path in (environment["KUBECONFIG"] ?? "").split(separator: ":").map(String.init)
        where !paths.contains(path) {
            paths.append(path)
        }
        return paths.isEmpty ? [(environment["HOME"] ?? "") + "/.kube/config"] : paths
    }

    /// The service account of the pod that we run in.
    ///
    /// Reads what the kubelet mounts below `folder` and the two variables of the service `kubernetes`.
    public static func inCluster(
        environment: [String: String] = ProcessInfo.processInfo.environment,
        folder: String = "/var/run/secrets/kubernetes.io/serviceaccount"
    ) throws(KubeconfigError) -> Kubeconfig {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty,
            let port = environment["KUBERNETES_SERVICE_PORT"], UInt16(port) != nil
        else { throw KubeconfigError(file: folder, context: nil, problem: .notInCluster) }
        let ca = try readFile(
            folder + "/ca.crt", problem: { .fileUnreadable(field: "ca.crt", reason: $0) }, in: folder, context: nil)
        let tokenPath = folder + "/token"
        _ = try readFile(
            tokenPath, problem: { .fileUnreadable(field: "token", reason: $0) }, in: folder, context: nil)
        let namespace = (try? String(contentsOfFile: folder + "/namespace", encoding: .utf8))?
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let server = "https://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        return Kubeconfig(
            source: folder, contextName: "in-cluster",
            namespace: namespace.flatMap { $0.isEmpty ? nil : $0 } ?? "default", server: server,
            certificateAuthorityPEM: ca, proxyURL: try proxy(for: server, environment, folder, nil),
            token: .file(path: tokenPath), certificateAuthorityFile: folder + "/ca.crt")
    }

    static func readFile(
        _ path: String, problem: (String) -> KubeconfigError.Problem, in file: String, context: String?
    ) throws(KubeconfigError) -> [UInt8] {
        do {
            let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? handle.close() }
            let data = try handle.read(upToCount: fileBytesMax + 1) ?? Data()
            guard data.count <= fileBytesMax else {
                throw KubeconfigError(file: file, context: context, problem: problem("\(path) exceeds 4 MiB"))
            }
            return [UInt8](data)
        } catch let error as KubeconfigError {
            throw error
        } catch {
            throw KubeconfigError(
                file: file, context: context, problem: problem("\(path): \(readableReason(error))"))
        }
    }

    /// The operating system's words for a file error, without Foundation's wrapping.
    static func readableReason(_ error: any Error) -> String {
        let wrapped = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? (error as NSError)
        if wrapped.domain == NSPOSIXErrorDomain { return unsafe String(cString: strerror(Int32(wrapped.code))) }
        switch (error as NSError).code {
        case CocoaError.fileReadNoSuchFile.rawValue: return "No such file or directory"
        case CocoaError.fileReadNoPermission.rawValue: return "Permission denied"
        default: return "cannot be read"
        }
    }
}

/// Text that must not be printed. `description` says only how long it is.
public struct SecretText: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable
{
    public let value: String
    public init(_ value: String) { self.value = value }
    public var description: String { "<secret of \(value.utf8.count) bytes>" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
