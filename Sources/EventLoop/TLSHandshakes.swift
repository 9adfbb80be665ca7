// TLSHandshakes: how handshakes ended, counted, and what bounds them.

internal import Synchronization

/// How a handshake ended.
public enum TLSHandshakeResult: Int, Sendable, CaseIterable {
    case full, resumed
    /// Not done within the time.
    case timeout
    /// Closed for a newer one: too many at once.
    case crowded
    /// The peer left in the middle, or this server stops.
    case closed
    case plainHTTP, version, cipher, alpn
    case clientCertificateMissing, clientCertificateRefused
    /// The client does not accept our certificate.
    case certificateRefusedByClient
    /// Any other alert of the client.
    case clientAlert
    case malformed

    /// The label `result`.
    public var name: String {
        switch self {
        case .full: "ok"
        case .resumed: "resumed"
        case .timeout: "timeout"
        case .crowded: "crowded"
        case .closed: "closed"
        case .plainHTTP: "plain_http"
        case .version: "version"
        case .cipher: "cipher"
        case .alpn: "alpn"
        case .clientCertificateMissing: "client_certificate_missing"
        case .clientCertificateRefused: "client_certificate_refused"
        case .certificateRefusedByClient: "certificate_refused_by_client"
        case .clientAlert: "client_alert"
        case .malformed: "malformed"
        }
    }

    init(_ failure: TLSFailure) {
        switch failure {
        case .plainHTTP: self = .plainHTTP
        case .version: self = .version
        case .cipher: self = .cipher
        case .alpn: self = .alpn
        case .clientCertificateMissing: self = .clientCertificateMissing
        case .clientCertificate: self = .clientCertificateRefused
        case .peerRefusesCertificate: self = .certificateRefusedByClient
        case .peerAlert: self = .clientAlert
        case .malformed: self = .malformed
        }
    }
}

/// Handshakes of one loop by result. Written by its thread alone, read by whoever scrapes.
public final class TLSHandshakeCounts: Sendable {
    private final class Cell: Sendable { let value = Atomic<UInt64>(0) }
    private let cells = TLSHandshakeResult.allCases.map { _ in Cell() }

    public init() {}

    func add(_ result: TLSHandshakeResult) {
        let cell = cells[result.rawValue]
        cell.value.store(cell.value.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    public subscript(_ result: TLSHandshakeResult) -> UInt64 { cells[result.rawValue].value.load(ordering: .relaxed) }
}

/// Bounds of TLS connections. Times in milliseconds.
public struct TLSLimits: Sendable {
    /// From accept to the end of the handshake.
    public var handshakeMilliseconds: UInt64 = 10_000
    /// Handshakes under way at once in a loop; beyond, the oldest is closed.
    public var handshakesMax = 1_000
    /// Bytes of a client before its handshake is done: a hello and a chain of certificates.
    public var handshakeBytesMax = 128 << 10
    /// How long, and how much, is still read after a fatal alert, so that a reset does not eat it.
    public var lingerMilliseconds: UInt64 = 1_000
    public var lingerBytesMax = 256 << 10

    public init() {}
}
