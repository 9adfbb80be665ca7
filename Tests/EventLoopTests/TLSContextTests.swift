import CTLSPeer
import Testing

@testable import EventLoop

@Suite("TLS files")
struct TLSContextTests {
    private func problem(
        _ certificate: String, _ key: String, _ authorities: String? = nil
    ) -> TLSContextError? {
        do {
            _ = try TLSContext(
                certificate: Array(certificate.utf8), key: Array(key.utf8),
                clientAuthorities: authorities.map { Array($0.utf8) })
            return nil
        } catch { return error }
    }

    @Test("what is wrong with which file")
    func problems() {
        let server = TestCertificate.server
        let other = TestCertificate.make("other", .server)
        let weak = TestCertificate.make("weak", .server, keyType: Int(CTP_RSA1024))
        let damaged = server.certificate.replacingFirst("MII", with: "QQQ")
        let certificate: (TLSFileProblem) -> TLSContextError = { TLSContextError(element: .certificate, problem: $0) }
        let key: (TLSFileProblem) -> TLSContextError = { TLSContextError(element: .key, problem: $0) }
        #expect(problem(server.certificate, server.key) == nil)
        #expect(problem("", server.key) == certificate(.empty))
        #expect(problem("no PEM at all\n", server.key) == certificate(.empty))
        #expect(problem(server.key, server.key) == certificate(.empty))
        #expect(problem(damaged, server.key) == certificate(.damaged))
        #expect(problem(String(server.certificate.dropLast(40)), server.key) == certificate(.damaged))
        #expect(problem(weak.certificate, weak.key) == certificate(.weak))
        #expect(problem(String(repeating: server.certificate, count: 17), server.key) == certificate(.tooMany))
        #expect(problem(server.certificate, "") == key(.empty))
        #expect(problem(server.certificate, server.certificate) == key(.empty))
        #expect(problem(server.certificate, server.encryptedKey) == key(.encrypted))
        #expect(problem(server.certificate, String(server.key.dropLast(40))) == key(.damaged))
        #expect(problem(server.certificate, other.key) == key(.otherKey))
        #expect(
            problem(TestCertificate.authority.certificate + server.certificate, server.key) == key(.leafBehind))
        #expect(
            problem(server.certificate, server.key, "nothing")
                == TLSContextError(element: .clientAuthorities, problem: .empty))
        #expect(
            problem(server.certificate, server.key, damaged)
                == TLSContextError(element: .clientAuthorities, problem: .damaged))
    }

    @Test("PEM texts cut at every byte are refused or taken, never more")
    func cut() {
        let server = TestCertificate.server
        for count in stride(from: 0, to: server.certificate.utf8.count, by: 3) {
            #expect(problem(String(server.certificate.prefix(count)), server.key) != nil || count > 500)
        }
        for count in stride(from: 0, to: server.key.utf8.count - 40, by: 3) {
            #expect(problem(server.certificate, String(server.key.prefix(count))) != nil)
        }
    }

    @Test("chain, RSA and the times of validity are read")
    func good() throws {
        let intermediate = TestCertificate.make("between", .authority, issuer: .authority)
        let leaf = TestCertificate.make(
            "localhost", .server, keyType: Int(CTP_RSA2048), begins: -100, ends: 1_000, issuer: intermediate)
        let context = try TLSContext(
            certificate: Array((leaf.certificate + intermediate.certificate).utf8), key: Array(leaf.key.utf8),
            clientAuthorities: nil)
        #expect(context.notAfter - context.notBefore == 1_100)
        let renewed = try #require(context.renewed())
        #expect(renewed.notAfter == context.notAfter)
        for context in [context, renewed] {
            var server = TLSServer(context)
            // The root alone is trusted: the chain must have been sent.
            let client = TLSClient(authority: TestCertificate.authority.certificate)
            server.meet(client)
            #expect(client.handshake == .done)
        }
    }
}

extension String {
    fileprivate func replacingFirst(_ part: String, with other: String) -> String {
        guard let range = firstRange(of: part) else { return self }
        return replacingCharacters(range, other)
    }

    private func replacingCharacters(_ range: Range<String.Index>, _ other: String) -> String {
        String(self[..<range.lowerBound]) + other + self[range.upperBound...]
    }
}
