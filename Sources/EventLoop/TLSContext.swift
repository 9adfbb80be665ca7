// TLSContext: certificate, key and rules of the TLS listeners, ready for handshakes.
//
// The rules stand here: TLS 1.2 with ECDHE and AEAD suites and TLS 1.3 (RFC 9325), ALPN http/1.1 alone (RFC 7301), tickets under keys
// that live as long as the context. Renegotiation, compression and early data are off in the shim. A context never changes: new
// files or new ticket keys mean a new context, and connections keep the one they began with.

internal import CCrypto
internal import Synchronization

/// What is wrong with a PEM file.
public enum TLSFileProblem: Error, Equatable, Sendable {
    case noMemory
    /// No PEM block of the kind that belongs there.
    case empty
    case damaged
    /// The key wants a passphrase.
    case encrypted
    /// RSA below 2048 bits, a curve below 224 bits, a signature with SHA-1 or older.
    case weak
    /// The key is another certificate's.
    case otherKey
    /// The key belongs to a certificate of the file that is not the first.
    case leafBehind
    case tooMany

    init(code: Int32) {
        switch Int(code) {
        case Int(CC_TLS_FILE_EMPTY): self = .empty
        case Int(CC_TLS_FILE_ENCRYPTED): self = .encrypted
        case Int(CC_TLS_FILE_WEAK): self = .weak
        case Int(CC_TLS_FILE_OTHER_KEY): self = .otherKey
        case Int(CC_TLS_FILE_LEAF_BEHIND): self = .leafBehind
        case Int(CC_TLS_FILE_TOO_MANY): self = .tooMany
        case Int(CC_TLS_FILE_NO_MEMORY): self = .noMemory
        default: self = .damaged
        }
    }
}

/// Which of the files, and what is wrong with it.
public struct TLSContextError: Error, Equatable, Sendable {
    public enum Element: Sendable { case certificate, key, clientAuthorities }
    public var element: Element
    public var problem: TLSFileProblem

    public init(element: Element, problem: TLSFileProblem) {
        self.element = element
        self.problem = problem
    }
}

/// One certificate with its key. Safe to share by threads.
// Sound: the context is set up before `init` returns; afterwards OpenSSL itself counts its users with atomics.
@safe
public final class TLSContext: @unchecked Sendable {
    /// Tickets are taken for so long, and their keys live no longer than twice this (`TLSContextSource` is renewed in time).
    public static let ticketSeconds: Int64 = 12 * 3600
    /// A client's certificates, all together.
    private static let peerChainBytesMax = 64 << 10
    private static let suites: StaticString =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
    private static let groups: StaticString = "X25519:P-256:P-384"
    private static let httpProtocol: StaticString = "\u{8}http/1.1"

    let raw: OpaquePointer
    /// Unix seconds between which the leaf is valid.
    public let notBefore: Int64
    public let notAfter: Int64
    public let requiresClients: Bool

    /// The bytes are PEM texts of at most 2^30 bytes. `clientAuthorities` nil: clients need no certificate.
    public init(
        certificate: [UInt8], key: [UInt8], clientAuthorities: [UInt8]?
    ) throws(TLSContextError) {
        guard let made = unsafe Self.make({ unsafe cc_tls_context_create($0) }) else {
            throw TLSContextError(element: .certificate, problem: .noMemory)
        }
        let steps: [(TLSContextError.Element, [UInt8]?, (OpaquePointer, UnsafeRawPointer, Int) -> Int32)] = unsafe [
            (.certificate, certificate, { unsafe cc_tls_context_use_chain($0, $1, $2) }),
            (.key, key, { unsafe cc_tls_context_use_key($0, $1, $2) }),
            (.clientAuthorities, clientAuthorities, { unsafe cc_tls_context_require_clients($0, $1, $2) }),
        ]
        for unsafe(element, text, use) in unsafe steps {
            guard let text else { continue }
            // Sound: the shim reads text.count bytes; for an empty text it gets some address and the count 0.
            let code = unsafe text.withUnsafeBytes { bytes in
                var nothing: UInt8 = 0
                guard let base = bytes.baseAddress else { return unsafe use(made, &nothing, 0) }
                return unsafe use(made, base, bytes.count)
            }
            if code != 0 {
                unsafe cc_tls_context_free(made)
                throw TLSContextError(element: element, problem: TLSFileProblem(code: code))
            }
        }
        unsafe raw = made
        (notBefore, notAfter) = unsafe Self.validity(made)
        requiresClients = clientAuthorities != nil
    }

    private init(raw: OpaquePointer, requiresClients: Bool) {
        unsafe self.raw = raw
        (notBefore, notAfter) = unsafe Self.validity(raw)
        self.requiresClients = requiresClients
    }

    deinit { unsafe cc_tls_context_free(raw) }

    /// The same certificate with new ticket keys: older tickets lead to a full handshake. Nil when there is no memory.
    public func renewed() -> TLSContext? {
        let old = unsafe raw
        guard let made = unsafe Self.make({ unsafe cc_tls_context_renew(old, $0) }) else { return nil }
        return unsafe TLSContext(raw: made, requiresClients: requiresClients)
    }

    private static func make(_ make: (UnsafePointer<cc_tls_rules>) -> OpaquePointer?) -> OpaquePointer? {
        // Sound: static strings end with a zero and live for ever.
        var rules = unsafe cc_tls_rules(
            version_min: 0x0303, suites: characters(suites), groups: characters(groups),
            protocol: httpProtocol.utf8Start, ticket_seconds: ticketSeconds, peer_chain_bytes_max: peerChainBytesMax)
        return unsafe make(&rules)
    }

    private static func characters(_ text: StaticString) -> UnsafePointer<CChar> {
        unsafe UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
    }

    private static func validity(_ raw: OpaquePointer) -> (Int64, Int64) {
        var validity: (Int64, Int64) = (0, 0)
        _ = unsafe cc_tls_context_validity(raw, &validity.0, &validity.1)
        return validity
    }
}

/// The context for new handshakes. Safe from any thread.
public final class TLSContextSource: Sendable {
    private let current: Mutex<TLSContext>
    private let generation = Atomic<UInt64>(1)

    public init(_ context: TLSContext) { current = Mutex(context) }

    /// Effective for connections accepted from now on; open ones keep theirs.
    public func replace(_ context: TLSContext) {
        current.withLock { $0 = context }
        generation.add(1, ordering: .releasing)
    }

    public var context: TLSContext { current.withLock { $0 } }

    /// The newest context, if there is a newer one than `seen`.
    func newer(than seen: inout UInt64) -> TLSContext? {
        let now = generation.load(ordering: .acquiring)
        guard now != seen else { return nil }
        seen = now
        return context
    }
}
