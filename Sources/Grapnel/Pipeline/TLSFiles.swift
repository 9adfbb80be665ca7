// TLSFiles: certificate, key and client authorities as files, and what is said when one of them cannot be used.

internal import CLinuxIO
internal import EventLoop
internal import Glibc

/// The files of the TLS listeners, by name.
struct TLSFiles: Sendable {
    /// What tells a changed file from an unchanged one. Links are followed: Kubernetes swaps a link when a Secret changes.
    struct Identity: Equatable, Sendable {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        var byteCount: Int64 = 0
        var modifiedNanoseconds: Int64 = 0
        var changedNanoseconds: Int64 = 0
    }

    private static let bytesMax = 1 << 20

    var certificate: String
    var key: String
    var clientAuthorities: String?

    /// One for each file; a file that is not there has the empty one.
    var identities: [Identity] { ([certificate, key] + (clientAuthorities.map { [$0] } ?? [])).map(Self.identity) }

    private static func identity(_ path: String) -> Identity {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return Identity() }
        let nanoseconds = { (time: timespec) in Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec) }
        return Identity(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), byteCount: Int64(status.st_size),
            modifiedNanoseconds: nanoseconds(status.st_mtim), changedNanoseconds: nanoseconds(status.st_ctim))
    }

    /// Reads all of them. The error names setting and file, says what is wrong and what to do; it holds nothing of their contents.
    func load() throws(CommandFailure) -> TLSContext {
        let certificate = try read("--tls-certificate", certificate)
        let key = try read("--tls-key", key)
        var authorities: [UInt8]?
        if let clientAuthorities { authorities = try read("--tls-client-ca", clientAuthorities) }
        do {
            return try TLSContext(certificate: certificate, key: key, clientAuthorities: authorities)
        } catch {
            throw .input(message(error))
        }
    }

    private func read(_ flag: String, _ path: String) throws(CommandFailure) -> [UInt8] {
        switch SmallFile.read(path, bytesMax: Self.bytesMax) {
        case .success(let bytes): return bytes
        case .failure(let failure):
            throw .input("\(flag) \(failure); give a PEM file that this process may read")
        }
    }

    func message(_ error: TLSContextError) -> String {
        switch error.element {
        case .certificate: "--tls-certificate \(certificate): " + Self.certificateMessage(error.problem)
        case .key: "--tls-key \(key): " + keyMessage(error.problem)
        case .clientAuthorities:
            "--tls-client-ca \(clientAuthorities ?? ""): " + Self.certificateMessage(error.problem)
        }
    }

    private static func certificateMessage(_ problem: TLSFileProblem) -> String {
        switch problem {
        case .empty:
            "there is no certificate in it; it must hold PEM blocks that begin with -----BEGIN CERTIFICATE-----"
        case .weak:
            "its key or signature is too weak for TLS; have it issued again with RSA of 2048 bits or more, or P-256, and SHA-256"
        case .tooMany: "it holds too many certificates; give the leaf and its chain, without the root"
        case .noMemory: "there is no memory to read it"
        case .damaged, .encrypted, .otherKey, .leafBehind:
            "it holds a certificate that cannot be read; have it issued again, or copy it anew"
        }
    }

    private func keyMessage(_ problem: TLSFileProblem) -> String {
        switch problem {
        case .empty: "there is no private key in it; it must hold a PEM block such as -----BEGIN PRIVATE KEY-----"
        case .encrypted:
            "the key is encrypted, and nobody is there to be asked for the passphrase; write it without: "
                + "openssl pkey -in FILE -out FILE"
        case .weak: "the key is too short for TLS; make a new one, RSA of 2048 bits or more or P-256"
        case .otherKey:
            "it is not the key of the first certificate in \(certificate); give the pair that was issued together"
        case .leafBehind:
            "it is the key of a certificate further down in \(certificate); the server's own certificate must be the first"
        case .noMemory: "there is no memory to read it"
        case .damaged, .tooMany: "it cannot be read; copy it anew"
        }
    }
}
