// TLSSession: one connection's TLS state over OpenSSL, and the window through which it sees ciphertext.
//
//            setInput                                   read
//   socket ------------> window.input  ---> session ----------> plaintext
//   socket <------------ window.output <---         <---------- plaintext
//             output                                   write
//
// One window serves all sessions of a thread: the caller sets the input before a call and takes input that was not used, and output,
// before the next session's turn. OpenSSL keeps no more than the part of a record that is not complete yet.

internal import CCrypto

/// What a call gave.
public enum TLSStep: Equatable, Sendable {
    /// Plaintext read or taken; 1 for a handshake that is done.
    case bytes(Int)
    case wantsInput
    /// The window is full: take its output and call again with the same bytes.
    case wantsOutput
    /// The peer's close_notify.
    case ended
    /// The session is dead. An alert may lie in the window.
    case failed(TLSFailure)
}

/// Why a session failed.
public enum TLSFailure: Equatable, Sendable {
    case plainHTTP, version, cipher, alpn, clientCertificateMissing, clientCertificate, peerRefusesCertificate,
        peerAlert
    case malformed

    init(reason: Int32) {
        switch Int(reason) {
        case Int(CC_TLS_REASON_PLAIN_HTTP): self = .plainHTTP
        case Int(CC_TLS_REASON_VERSION): self = .version
        case Int(CC_TLS_REASON_CIPHER): self = .cipher
        case Int(CC_TLS_REASON_ALPN): self = .alpn
        case Int(CC_TLS_REASON_NO_CERTIFICATE): self = .clientCertificateMissing
        case Int(CC_TLS_REASON_CERTIFICATE): self = .clientCertificate
        case Int(CC_TLS_REASON_PEER_CERTIFICATE): self = .peerRefusesCertificate
        case Int(CC_TLS_REASON_PEER_ALERT): self = .peerAlert
        default: self = .malformed
        }
    }
}

/// Where ciphertext lies during a call. Belongs to one thread; sessions made with it must go before it.
@safe
public struct TLSWindow: ~Copyable {
    /// Four records.
    public static let outputBytesMax = 68 << 10
    let raw: UnsafeMutablePointer<cc_tls_window>
    private let output: UnsafeMutablePointer<UInt8>

    public init() {
        unsafe output = .allocate(capacity: Self.outputBytesMax)
        unsafe raw = .allocate(capacity: 1)
        unsafe raw.initialize(
            to: cc_tls_window(
                in: nil, in_count: 0, in_used: 0, out: output, out_capacity: Self.outputBytesMax, out_count: 0))
    }

    deinit {
        unsafe raw.deallocate()
        unsafe output.deallocate()
    }

    /// Ciphertext for the next call; must stay where it is until `unused` was looked at.
    public mutating func setInput(_ bytes: UnsafeRawBufferPointer) {
        unsafe raw.pointee.in = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe raw.pointee.in_count = bytes.count
        unsafe raw.pointee.in_used = 0
    }

    /// Input that no call wanted yet.
    public var unused: UnsafeRawBufferPointer {
        guard let base = unsafe raw.pointee.in else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        return unsafe UnsafeRawBufferPointer(
            start: base + raw.pointee.in_used, count: raw.pointee.in_count - raw.pointee.in_used)
    }

    /// Ciphertext to send.
    public var pending: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: output, count: raw.pointee.out_count)
    }

    public mutating func removeOutput() { unsafe raw.pointee.out_count = 0 }
}

/// A server's session. Belongs to its window's thread.
@safe
public struct TLSSession: ~Copyable {
    private let raw: OpaquePointer

    /// Waits for a ClientHello. Nil when there is no memory.
    public init?(_ context: TLSContext, _ window: borrowing TLSWindow) {
        guard let made = unsafe cc_tls_session_create(context.raw, window.raw) else { return nil }
        unsafe raw = made
    }

    deinit { unsafe cc_tls_session_free(raw) }

    /// `.bytes(1)` when the handshake is done.
    public borrowing func handshake() -> TLSStep {
        var reason: Int32 = 0
        return unsafe Self.step(Int(cc_tls_session_handshake(raw, &reason)), reason)
    }

    /// Plaintext of one record or less. `room` must not be empty.
    public borrowing func read(into room: UnsafeMutableRawBufferPointer) -> TLSStep {
        var reason: Int32 = 0
        return unsafe Self.step(cc_tls_session_read(raw, room.baseAddress!, room.count, &reason), reason)
    }

    /// Takes at most one record's plaintext. `bytes` must not be empty.
    public borrowing func write(_ bytes: UnsafeRawBufferPointer) -> TLSStep {
        var reason: Int32 = 0
        return unsafe Self.step(cc_tls_session_write(raw, bytes.baseAddress!, bytes.count, &reason), reason)
    }

    /// Writes close_notify. Only after the handshake, and not after a failure.
    public borrowing func end() { unsafe cc_tls_session_end(raw) }

    /// Decrypted bytes wait inside.
    public var hasPending: Bool { unsafe cc_tls_session_has_pending(raw) != 0 }
    /// It goes on from an earlier session by its ticket.
    public var isResumed: Bool { unsafe cc_tls_session_is_resumed(raw) != 0 }

    private static func step(_ result: Int, _ reason: Int32) -> TLSStep {
        switch result {
        case 1...: .bytes(result)
        case Int(CC_TLS_WANTS_INPUT): .wantsInput
        case Int(CC_TLS_WANTS_OUTPUT): .wantsOutput
        case Int(CC_TLS_ENDED): .ended
        default: .failed(TLSFailure(reason: reason))
        }
    }
}
