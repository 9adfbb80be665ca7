import CTLSPeer
import Testing

@testable import EventLoop

/// A server's session with its window: ciphertext in, plaintext and ciphertext out.
struct TLSServer: ~Copyable {
    var window = TLSWindow()
    let session: TLSSession
    var isDone = false
    var failure: TLSFailure?
    var hasEnded = false
    var plain: [UInt8] = []
    var output: [UInt8] = []

    init(_ context: TLSContext) {
        session = TLSSession(context, window)!
    }

    /// Everything that these bytes lead to. `roomBytes` bounds one read.
    mutating func give(_ bytes: some Collection<UInt8>, roomBytes: Int = 20_000) {
        guard failure == nil, !hasEnded else { return }
        let bytes = Array(bytes)
        var room = [UInt8](repeating: 0, count: roomBytes)
        bytes.withUnsafeBytes { input in
            window.setInput(input)
            while failure == nil, !hasEnded {
                let step = isDone ? room.withUnsafeMutableBytes { session.read(into: $0) } : session.handshake()
                output += window.pending
                window.removeOutput()
                switch step {
                case .bytes(let count): if isDone { plain += room[0..<count] } else { isDone = true }
                case .wantsInput:
                    #expect(window.unused.count == 0)
                    return
                case .wantsOutput: break
                case .ended: hasEnded = true
                case .failed(let cause): failure = cause
                }
            }
        }
    }

    mutating func write(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let step = bytes.withUnsafeBytes { session.write(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
            output += window.pending
            window.removeOutput()
            guard case .bytes(let count) = step else { return }
            offset += count
        }
    }

    mutating func take() -> [UInt8] {
        defer { output = [] }
        return output
    }

    /// Both talk until neither has anything to say.
    mutating func meet(_ client: TLSClient) {
        for _ in 0..<20 {
            client.advance()
            let said = client.take()
            if !said.isEmpty { give(said) }
            let answer = take()
            client.give(answer)
            if said.isEmpty && answer.isEmpty { return }
        }
    }
}

@Suite("TLS session")
struct TLSSessionTests {
    static let bothVersions: [ClosedRange<Int32>] = [0x0303...0x0303, 0x0304...0x0304]

    private static func client(_ versions: ClosedRange<Int32> = 0...0) -> TLSClient {
        TLSClient(authority: TestCertificate.authority.certificate, versions: versions, protocols: ["http/1.1"])
    }

    @Test("plain bytes go both ways, and the end", arguments: bothVersions)
    func bothWays(versions: ClosedRange<Int32>) throws {
        var server = TLSServer(try TestCertificate.context())
        let client = Self.client(versions)
        server.meet(client)
        #expect(client.handshake == .done && server.isDone)
        #expect(client.version == versions.lowerBound)
        #expect(client.chosenProtocol == "http/1.1")
        let question = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        client.write(question)
        server.give(client.take())
        #expect(server.plain == question)
        server.write(question.reversed())
        client.give(server.take())
        #expect(client.read() == question.reversed())
        client.end()
        server.give(client.take())
        #expect(server.hasEnded && server.failure == nil)
        server.session.end()
        client.give(Array(server.window.pending))
        #expect(client.read().isEmpty && client.hasEnded)
    }

    @Test("a conversation cut at every byte gives the same", arguments: bothVersions)
    func everyByte(versions: ClosedRange<Int32>) throws {
        let context = try TestCertificate.context()
        let question = Array("POST / HTTP/1.1\r\n\r\nfirst, second".utf8)
        // One byte at a time, from hello to close_notify.
        var server = TLSServer(context)
        let client = Self.client(versions)
        for _ in 0..<20 {
            client.advance()
            for byte in client.take() { server.give([byte]) }
            let answer = server.take()
            for byte in answer { client.give([byte]); client.advance() }
        }
        #expect(client.handshake == .done)
        client.write(Array(question.prefix(10)))
        client.write(Array(question.dropFirst(10)))
        client.end()
        let said = client.take()
        for byte in said { server.give([byte]) }
        #expect(server.plain == question && server.hasEnded)
        // In two pieces, cut at every place.
        for cut in 0...said.count {
            var server = TLSServer(context)
            let client = Self.client(versions)
            server.meet(client)
            client.write(question)
            client.end()
            let said = client.take()
            let place = min(cut, said.count)
            server.give(said[..<place])
            #expect(server.plain.count <= question.count && question.starts(with: server.plain))
            server.give(said[place...])
            #expect(server.plain == question && server.hasEnded)
        }
    }

    @Test("a hello cut at every place leads to the same handshake")
    func helloInPieces() throws {
        let context = try TestCertificate.context()
        let client = Self.client()
        client.advance()
        let hello = client.take()
        for cut in 1..<hello.count {
            var server = TLSServer(context)
            server.give(hello[..<cut])
            #expect(server.output.isEmpty && server.failure == nil)
            server.give(hello[cut...])
            #expect(!server.output.isEmpty && server.failure == nil)
        }
    }

    @Test("a record with one byte changed gives nothing of it", arguments: bothVersions)
    func corrupted(versions: ClosedRange<Int32>) throws {
        let context = try TestCertificate.context()
        let secret = Array("nothing of this may come out".utf8)
        for position in 0..<70 {
            var server = TLSServer(context)
            let client = Self.client(versions)
            server.meet(client)
            client.write(secret)
            var record = client.take()
            guard position < record.count else { break }
            record[position] ^= UInt8(1 << (position % 8))
            server.give(record)
            #expect(server.plain.isEmpty, "byte \(position)")
            // A longer length waits for bytes that never come; anything else is fatal, with an alert.
            if server.failure == nil {
                #expect((3...4).contains(position), "byte \(position)")
            } else if position >= 5 {
                client.give(server.take())
                _ = client.read()
                #expect(client.alert == 20 || client.alert == 10, "bad_record_mac, byte \(position): \(client.alert)")
            }
        }
    }

    @Test("random bytes and changed hellos never do more than fail", arguments: 1...30)
    func random(seed: Int) throws {
        let context = try TestCertificate.context(clientAuthorities: TestCertificate.authority.certificate)
        var state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15
        func roll(_ bound: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(bound))
        }
        for _ in 0..<100 {
            let client = Self.client(roll(2) == 0 ? 0x0303...0x0303 : 0...0)
            client.advance()
            var bytes = client.take()
            switch roll(3) {
            case 0: bytes = (0..<(1 + roll(4_000))).map { _ in UInt8(roll(256)) }
            case 1:
                for _ in 0..<(1 + roll(8)) { bytes[roll(bytes.count)] = UInt8(roll(256)) }
            default: bytes.insert(contentsOf: (0..<roll(50)).map { _ in UInt8(roll(256)) }, at: roll(bytes.count))
            }
            var server = TLSServer(context)
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = min(rest.count, 1 + roll(600))
                server.give(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            #expect(!server.isDone && server.plain.isEmpty)
            #expect(server.output.count < 16_000)
        }
    }

    @Test("thousands of small records, read into a small room")
    func manyRecords() throws {
        var server = TLSServer(try TestCertificate.context())
        let client = Self.client()
        server.meet(client)
        var question: [UInt8] = []
        for index in 0..<5_000 {
            let piece = (0..<(1 + index % 5)).map { UInt8(truncatingIfNeeded: index + $0) }
            client.write(piece)
            question += piece
        }
        server.give(client.take(), roomBytes: 3)
        #expect(server.plain == question)
    }

    @Test("new keys in the middle change nothing")
    func keyUpdate() throws {
        var server = TLSServer(try TestCertificate.context())
        let client = Self.client(0x0304...0x0304)
        server.meet(client)
        for round in 0..<200 {
            #expect(client.updateKeys())
            client.write([UInt8(truncatingIfNeeded: round)])
            server.give(client.take())
            server.write([UInt8(truncatingIfNeeded: round), 1])
            client.give(server.take())
            #expect(client.read() == [UInt8(truncatingIfNeeded: round), 1])
        }
        #expect(server.plain == (0..<200).map { UInt8(truncatingIfNeeded: $0) })
    }

    @Test("a ticket leads to a shorter handshake, until the keys turn over", arguments: bothVersions)
    func tickets(versions: ClosedRange<Int32>) throws {
        let context = try TestCertificate.context()
        let first = Self.client(versions)
        var server = TLSServer(context)
        server.meet(first)
        _ = first.read()
        #expect(!first.isResumed && !server.session.isResumed)
        let second = Self.client(versions)
        #expect(second.resume(from: first))
        var again = TLSServer(context)
        again.meet(second)
        #expect(second.isResumed && again.session.isResumed)
        let third = Self.client(versions)
        #expect(third.resume(from: first))
        var renewed = TLSServer(try #require(context.renewed()))
        renewed.meet(third)
        #expect(third.handshake == .done && !third.isResumed)
    }

    @Test(
        "old versions and weak suites are refused",
        arguments: [
            ("TLS 1.1", 0x0302 as Int32, nil as String?), ("TLS 1.0", 0x0301, nil),
            ("CBC", 0x0303, "ECDHE-ECDSA-AES128-SHA256"),
            ("no forward secrecy", 0x0303, "AES128-GCM-SHA256"), ("finite-field", 0x0303, "DHE-RSA-AES128-GCM-SHA256"),
            ("CCM", 0x0303, "ECDHE-ECDSA-AES128-CCM"), ("no encryption", 0x0303, "ECDHE-ECDSA-NULL-SHA"),
        ])
    func refused(name: String, version: Int32, suites: String?) throws {
        var server = TLSServer(try TestCertificate.context())
        let client = TLSClient(versions: version...version, suites: suites.map { $0 + ":@SECLEVEL=0" })
        server.meet(client)
        #expect(client.handshake != .done && !server.isDone)
        #expect(server.failure == (version < 0x0303 ? .version : .cipher), "\(name)")
        #expect(client.alert == (version < 0x0303 ? 70 : 40), "\(name)")
    }

    @Test(
        "ALPN: http/1.1 or an alert; a client without it goes on",
        arguments: [
            (["http/1.1"], true), (["h2", "http/1.1"], true), ([], true), (["h2"], false),
            (["http/1.0", "acme-tls/1"], false),
        ])
    func alpn(offered: [String], isTaken: Bool) throws {
        for versions in Self.bothVersions {
            var server = TLSServer(try TestCertificate.context())
            let client = TLSClient(versions: versions, protocols: offered)
            server.meet(client)
            #expect((client.handshake == .done) == isTaken)
            if isTaken {
                #expect(client.chosenProtocol == (offered.isEmpty ? "" : "http/1.1"))
            } else {
                #expect(client.alert == 120)
                #expect(server.failure == .alpn)
            }
        }
    }

    @Test(
        "any server name is taken",
        arguments: ["localhost", "something.else.example", "xn--nonsense-", String(repeating: "a", count: 200)])
    func serverName(name: String) throws {
        var server = TLSServer(try TestCertificate.context())
        let client = TLSClient(serverName: name)
        server.meet(client)
        #expect(client.handshake == .done && client.serverName == "localhost")
    }

    @Test(
        "client certificates: the right one, another authority's, one for servers, an expired one, none",
        arguments: bothVersions)
    func clientCertificates(versions: ClosedRange<Int32>) throws {
        let authority = TestCertificate.authority
        let other = TestCertificate.make("other authority", .authority)
        let cases: [(TestCertificate?, TLSFailure?)] = [
            (.make("sender", .client, issuer: authority), nil),
            (.make("sender", .client, issuer: other), .clientCertificate),
            (.make("sender", .client), .clientCertificate),
            (.make("sender", .server, issuer: authority), .clientCertificate),
            (.make("sender", .client, begins: -7200, ends: -3600, issuer: authority), .clientCertificate),
            (nil, .clientCertificateMissing),
        ]
        let context = try TestCertificate.context(clientAuthorities: authority.certificate)
        for context in [context, try #require(context.renewed())] {
            #expect(context.requiresClients)
            for (certificate, failure) in cases {
                var server = TLSServer(context)
                let client = TLSClient(authority: authority.certificate, certificate: certificate, versions: versions)
                server.meet(client)
                client.write([1])
                server.give(client.take())
                #expect(server.failure == failure)
                #expect(server.plain == (failure == nil ? [1] : []))
            }
        }
    }

    @Test("a client that does not accept the certificate is told apart")
    func clientRefuses() throws {
        var server = TLSServer(try TestCertificate.context())
        let client = TLSClient(authority: TestCertificate.make("other", .authority).certificate)
        server.meet(client)
        #expect(client.handshake == .failed)
        #expect(server.failure == .peerRefusesCertificate)
    }

    @Test("plain HTTP is told apart, and answered with nothing")
    func plainHTTP() throws {
        var server = TLSServer(try TestCertificate.context())
        server.give(Array("POST /hooks HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        #expect(server.failure == .plainHTTP && server.output.isEmpty)
    }
}
