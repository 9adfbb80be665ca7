import CTLSPeer
import EventLoop

/// Certificate and key, PEM.
struct TestCertificate {
    enum Use: Int32 { case authority, server, client }

    var certificate: String
    var key: String

    /// Issued by `issuer`, or by itself; valid from `begins` to `ends` seconds from now.
    static func make(
        _ name: String, _ use: Use, keyType: Int = Int(CTP_P256), begins: Int = -3600, ends: Int = 86_400,
        issuer: TestCertificate? = nil
    ) -> TestCertificate {
        var certificate = [CChar](repeating: 0, count: 8192)
        var key = certificate
        let isMade = ctp_issue(
            name, use.rawValue, Int32(keyType), begins, ends, issuer?.certificate, issuer?.key, &certificate, &key)
        precondition(isMade == 1)
        return TestCertificate(certificate: text(certificate), key: text(key))
    }

    var encryptedKey: String {
        var encrypted = [CChar](repeating: 0, count: 8192)
        precondition(ctp_encrypt_key(key, &encrypted) == 1)
        return Self.text(encrypted)
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static let authority = make("test authority", .authority)
    static let server = make("localhost", .server, issuer: authority)

    /// What a server of the tests uses.
    static func context(
        _ server: TestCertificate = .server, clientAuthorities: String? = nil
    ) throws(TLSContextError) -> TLSContext {
        try TLSContext(
            certificate: Array(server.certificate.utf8), key: Array(server.key.utf8),
            clientAuthorities: clientAuthorities.map { Array($0.utf8) })
    }
}

/// A client without sockets: plain bytes on one side, ciphertext on the other.
final class TLSClient {
    enum Handshake { case underWay, done, failed }

    private let raw: OpaquePointer
    private(set) var handshake = Handshake.underWay
    /// The server said close_notify.
    private(set) var hasEnded = false
    private(set) var hasFailed = false

    init(
        authority: String? = nil, certificate: TestCertificate? = nil, versions: ClosedRange<Int32> = 0...0,
        suites: String? = nil, protocols: [String] = [], serverName: String? = nil
    ) {
        let offered = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        func with<R>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
            text.map { $0.withCString { body($0) } } ?? body(nil)
        }
        let made = with(authority) { authority in
            with(certificate?.certificate) { chain in
                with(certificate?.key) { key in
                    with(suites) { suites in
                        with(serverName) { name in
                            offered.withUnsafeBufferPointer { offered in
                                var offer = ctp_offer(
                                    authorities: authority, certificate: chain, key: key,
                                    version_min: versions.lowerBound, version_max: versions.upperBound,
                                    suites: suites, protocols: offered.isEmpty ? nil : offered.baseAddress,
                                    protocols_count: offered.count, server_name: name)
                                return ctp_client_create(&offer)
                            }
                        }
                    }
                }
            }
        }
        raw = made!
    }

    deinit { ctp_client_free(raw) }

    func give(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        ctp_client_give(raw, bytes, bytes.count)
    }

    /// All ciphertext that waits.
    func take() -> [UInt8] {
        var all: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = ctp_client_take(raw, &room, room.count)
            if count == 0 { return all }
            all += room[0..<count]
        }
    }

    /// Goes on with the handshake as far as what was given leads.
    func advance() {
        guard handshake == .underWay else { return }
        switch ctp_client_handshake(raw) {
        case 1: handshake = .done
        case 0: break
        default: handshake = .failed
        }
    }

    /// False when the session failed.
    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool {
        bytes.isEmpty || ctp_client_write(raw, bytes, bytes.count) == bytes.count
    }

    /// All plain bytes that wait.
    func read() -> [UInt8] {
        var all: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = ctp_client_read(raw, &room, room.count)
            if count == -1 { hasFailed = true }
            if count == -2 { hasEnded = true }
            if count <= 0 { return all }
            all += room[0..<count]
        }
    }

    func end() { ctp_client_end(raw) }
    func updateKeys() -> Bool { ctp_client_update_keys(raw) == 1 }
    func resume(from other: TLSClient) -> Bool { ctp_client_resume(raw, other.raw) == 1 }
    var isResumed: Bool { ctp_client_is_resumed(raw) == 1 }
    /// The fatal alert that came (RFC 8446 section 6).
    var alert: Int32 { ctp_client_alert(raw) }
    var version: Int32 { ctp_client_version(raw) }
    var chosenProtocol: String {
        var room = [CChar](repeating: 0, count: 256)
        let count = ctp_client_protocol(raw, &room, room.count)
        return String(decoding: room.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    /// Common name of the server's certificate.
    var serverName: String {
        var room = [CChar](repeating: 0, count: 256)
        guard ctp_client_server(raw, &room, room.count) == 1 else { return "" }
        return String(decoding: room.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
