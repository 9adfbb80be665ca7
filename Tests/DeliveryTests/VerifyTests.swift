import CCrypto
import Testing

@testable import Delivery

@Suite("Verification")
struct VerifyTests {
    static let key = Array("It's a Secret to Everybody".utf8)
    static let body = Array("Hello, World!".utf8)
    /// From GitHub's documentation, "Validating webhook deliveries": secret, body and digest.
    static let documented = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    static func table(
        _ kind: ReceiverKind, _ sender: SenderType, _ secrets: [[UInt8]], events: [String] = [], hmac: HMACScheme? = nil
    ) -> RouteTable {
        RouteTable(
            [
                RouteDefinition(
                    identity: RouteIdentity(kind: kind, namespace: "n", name: "r"), path: "/h", sender: sender,
                    secrets: secrets.map { SecretBytes($0) }, hmac: hmac, events: events, actions: [.log])
            ], bodyBytesMax: 1 << 20)
    }

    @Test("the digest of GitHub's documentation is proven, with upper-case digits too")
    func documentedDigest() throws {
        let table = Self.table(.hook, .github, [Self.key])
        let header = { [("X-Hub-Signature-256", "sha256=" + $0)] }
        #expect(try verify(table, "/h", header(Self.documented), body: Self.body).proof == .none)
        #expect(try verify(table, "/h", header(Self.documented.uppercased()), body: Self.body).proof == .none)
        #expect(try verify(table, "/h", header(Self.documented), body: Self.body + [0]).proof == .signatureWrong)
    }

    @Test(
        "a Hook of type github refuses everything but one right SHA-256 field",
        arguments: [
            ([], VerifyCause.signatureMissing),
            ([("X-Hub-Signature-256", "")], .signatureMissing),
            ([("X-Hub-Signature-256", documented)], .signaturePrefix),
            ([("X-Hub-Signature-256", "SHA256=" + documented)], .signaturePrefix),
            ([("X-Hub-Signature-256", "sha256=")], .signatureMalformed),
            ([("X-Hub-Signature-256", "sha256=" + documented.prefix(62))], .signatureMalformed),
            ([("X-Hub-Signature-256", "sha256=" + documented + "00")], .signatureMalformed),
            ([("X-Hub-Signature-256", "sha256=" + documented.dropLast() + "g")], .signatureMalformed),
            (
                [("X-Hub-Signature-256", "sha256=" + documented), ("X-Hub-Signature-256", "sha256=" + documented)],
                .signatureRepeated
            ),
            ([("X-Hub-Signature", "sha1=" + hex(hmac(Int32(CC_SHA1), key: key, body)))], .signatureMissing),
            ([("X-Hub_Signature-256", "sha256=" + documented)], .signatureMissing),
        ] as [([(String, String)], VerifyCause)])
    func everythingElse(headers: [(String, String)], cause: VerifyCause) throws {
        #expect(try verify(Self.table(.hook, .github, [Self.key]), "/h", headers, body: Self.body).proof == cause)
    }

    @Test("any of several secrets proves; an empty list proves nothing")
    func rotation() throws {
        let old = Array("old-secret".utf8)
        let table = Self.table(.hook, .github, [old, Self.key])
        for key in [old, Self.key] {
            let header = [("X-Hub-Signature-256", "sha256=" + hex(hmac(Int32(CC_SHA256), key: key, Self.body)))]
            #expect(try verify(table, "/h", header, body: Self.body).proof == .none)
        }
        let none = Self.table(.hook, .github, [])
        let header = [("X-Hub-Signature-256", "sha256=" + hex(hmac(Int32(CC_SHA256), key: [], Self.body)))]
        #expect(try verify(none, "/h", header, body: Self.body).proof == .secretUnusable)
    }

    @Test("a Flux Receiver of type github takes the algorithm from the prefix and the older field only as a fallback")
    func flux() throws {
        let table = Self.table(.receiver, .github, [Self.key])
        let json = ("Content-Type", "application/json; charset=utf-8")
        for (name, algorithm) in [("sha1", CC_SHA1), ("sha256", CC_SHA256), ("sha512", CC_SHA512)] {
            let value = "\(name)=" + hex(hmac(Int32(algorithm), key: Self.key, Self.body))
            #expect(try verify(table, "/h", [json, ("X-Hub-Signature", value)], body: Self.body).proof == .none)
            #expect(try verify(table, "/h", [json, ("X-Hub-Signature-256", value)], body: Self.body).proof == .none)
            #expect(
                try verify(table, "/h", [("X-Hub-Signature-256", value)], body: Self.body).proof == .contentTypeWrong)
            let both = [json, ("X-Hub-Signature", value), ("X-Hub-Signature-256", "sha256=00")]
            #expect(try verify(table, "/h", both, body: Self.body).proof == .signatureMalformed)
        }
    }

    @Test("GitLab's token must be equal, whole and given once")
    func gitlab() throws {
        let table = Self.table(.hook, .gitlab, [Array("first".utf8), Array("second-token".utf8)])
        let header = { (value: String) in [("X-Gitlab-Token", value)] }
        #expect(try verify(table, "/h", header("first")).proof == .none)
        #expect(try verify(table, "/h", header("second-token")).proof == .none)
        for wrong in ["firs", "first2", "First", "second-toke"] {
            #expect(try verify(table, "/h", header(wrong)).proof == .tokenWrong)
        }
        #expect(try verify(table, "/h", []).proof == .tokenMissing)
        #expect(try verify(table, "/h", header("first") + header("first")).proof == .tokenRepeated)
        // An empty secret never proves, whatever is sent.
        #expect(try verify(Self.table(.hook, .gitlab, [[]]), "/h", header("x")).proof == .tokenWrong)
    }

    @Test("type hmac: header, prefix, algorithm and encoding as configured")
    func configured() throws {
        let scheme = HMACScheme(header: "X-My-Sig", algorithm: .sha512, encoding: .base64, prefix: "v0=")
        let table = Self.table(.hook, .hmac, [Self.key], hmac: scheme)
        let digest = hmac(Int32(CC_SHA512), key: Self.key, Self.body)
        let encoded = base64(digest)
        #expect(try verify(table, "/h", [("x-my-sig", "v0=" + encoded)], body: Self.body).proof == .none)
        #expect(try verify(table, "/h", [("x-my-sig", encoded)], body: Self.body).proof == .signaturePrefix)
        #expect(
            try verify(table, "/h", [("x-my-sig", "v0=" + hex(digest))], body: Self.body).proof == .signatureMalformed)
        #expect(
            try verify(table, "/h", [("x-my-sig", "v0=" + encoded.dropLast())], body: Self.body).proof
                == .signatureMalformed)
    }

    @Test("a batch equals libcrypto for every length that matters, alone and mixed")
    func batchLengths() {
        let lengths = [
            0, 1, 55, 56, 63, 64, 65, 119, 120, 8_192, 65_534, 65_535, 65_536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1,
            4 << 20,
            25 << 20,
        ]
        let message = (0..<(25 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let batch = cc_batch_create()!
        defer { cc_batch_destroy(batch) }
        let states = UnsafeMutableRawPointer.allocate(byteCount: cc_hmac_key_bytes(), alignment: 16)
        defer { states.deallocate() }
        cc_hmac_key_prepare(states, Self.key, Self.key.count)
        message.withUnsafeBytes { bytes in
            func digests(_ counts: [Int]) -> [[UInt8]] {
                let empty:
                    (
                        UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8,
                        UInt8, UInt8, UInt8,
                        UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8,
                        UInt8, UInt8, UInt8
                    ) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
                var items = counts.map { count in
                    cc_hmac_item(key: UnsafeRawPointer(states), bytes: bytes.baseAddress, count: count, digest: empty)
                }
                cc_hmac_sha256_batch(batch, &items, items.count)
                return items.map { item in withUnsafeBytes(of: item.digest) { Array($0) } }
            }
            let expected = lengths.map { count in
                var digest = [UInt8](repeating: 0, count: 32)
                cc_hmac(states, Int32(CC_SHA256), bytes.baseAddress, count, &digest)
                return digest
            }
            for (index, count) in lengths.enumerated() { #expect(digests([count]) == [expected[index]]) }
            #expect(digests(lengths) == expected)
            #expect(digests(lengths.reversed()) == expected.reversed())
            #expect(digests(Array(repeating: 0, count: 20)) == Array(repeating: expected[0], count: 20))
            #expect(digests(Array(repeating: 8_192, count: 20)) == Array(repeating: expected[9], count: 20))
        }
    }

    private func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[start..<min(start + 3, bytes.count)]
            let group = part.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - part.count))
            for digit in 0..<4 { text.append(digit <= part.count ? alphabet[group >> (18 - 6 * digit) & 63] : "=") }
        }
        return text
    }
}

@Suite("Decodings")
struct DecodingTests {
    @Test("base64 of every length up to 64 bytes comes back, and every changed character is noticed")
    func base64() {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for count in 0...64 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            var text: [UInt8] = []
            for start in stride(from: 0, to: bytes.count, by: 3) {
                let part = bytes[start..<min(start + 3, bytes.count)]
                let group = part.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - part.count))
                for digit in 0..<4 {
                    text.append(digit <= part.count ? alphabet[group >> (18 - 6 * digit) & 63] : 0x3d)
                }
            }
            var digest = InlineArray<64, UInt8>(repeating: 0)
            #expect(text.withUnsafeBytes { decodeBase64($0, into: &digest, count: count) })
            for index in 0..<count { #expect(digest[index] == bytes[index]) }
            for index in text.indices {
                var broken = text
                broken[index] = 0x21
                #expect(!broken.withUnsafeBytes { decodeBase64($0, into: &digest, count: count) })
            }
        }
    }

    @Test("hexadecimal digits of all 256 bytes")
    func hexDigits() {
        for byte in UInt8.min...UInt8.max {
            let expected = Character(Unicode.Scalar(byte)).isASCII ? Character(Unicode.Scalar(byte)).hexDigitValue : nil
            #expect(hexValue(byte) == expected.map { UInt8($0) } ?? 0xff)
        }
    }
}
