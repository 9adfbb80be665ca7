// JWKS: an issuer's public keys (RFC 7517).

/// A key set. Keys of other kinds, other uses, or without their numbers are left out.
public struct JWKS: Sendable {
    /// Real sets have fewer than 10.
    static let keysMax = 100

    let keys: [Key]

    /// nil when it is no key set.
    public init?(_ document: JSONValue) {
        guard let members = document["keys"]?.elements else { return nil }
        keys = members.prefix(Self.keysMax).compactMap(Key.init)
    }

    private init(keys: [Key]) { self.keys = keys }

    /// Whether a key with that id is here: if not, a newer set may have it.
    public func has(keyID: String) -> Bool { keys.contains { $0.keyID == keyID } }

    /// Whether the set may answer for this token; if not, a newer one may.
    public func mayVerify(_ token: IDToken) -> Bool {
        guard let keyID = token.keyID else { return !keys.isEmpty }
        return has(keyID: keyID)
    }

    struct Key: Sendable {
        enum Numbers: Sendable {
            case rsa(modulus: [UInt8], exponent: [UInt8])
            case elliptic(digestBits: Int32, x: [UInt8], y: [UInt8])
        }

        let keyID: String?
        let algorithm: String?
        let numbers: Numbers

        init?(_ key: JSONValue) {
            if let use = key["use"]?.text, use != "sig" { return nil }
            keyID = key["kid"]?.text
            algorithm = key["alg"]?.text
            let number = { (name: String) in key[name]?.text.flatMap { SenderBase64.url($0.utf8) } }
            switch (key["kty"]?.text, key["crv"]?.text) {
            case ("RSA", _):
                guard let n = number("n"), let e = number("e") else { return nil }
                numbers = .rsa(modulus: n, exponent: e)
            case ("EC", "P-256"):
                guard let x = number("x"), let y = number("y") else { return nil }
                numbers = .elliptic(digestBits: 256, x: x, y: y)
            case ("EC", "P-384"):
                guard let x = number("x"), let y = number("y") else { return nil }
                numbers = .elliptic(digestBits: 384, x: x, y: y)
            default: return nil
            }
        }

        /// The kind of key decides with the algorithm: what is RSA never verifies anything else.
        func serves(_ algorithm: IDToken.Algorithm, keyID: String?) -> Bool {
            if let keyID, self.keyID != keyID { return false }
            if let own = self.algorithm, own != algorithm.rawValue { return false }
            switch (numbers, algorithm) {
            case (.rsa, .rs256), (.rsa, .rs384), (.rsa, .rs512): return true
            case (.elliptic(256, _, _), .es256), (.elliptic(384, _, _), .es384): return true
            default: return false
            }
        }

        func verifies(_ signature: [UInt8], of message: [UInt8], digestBits: Int32) -> Bool {
            switch numbers {
            case .rsa(let modulus, let exponent):
                PublicKeySignature.rsa(signature, of: message, modulus, exponent, digestBits: digestBits)
            case .elliptic(let bits, let x, let y):
                bits == digestBits && PublicKeySignature.ecdsa(signature, of: message, x, y, digestBits: bits)
            }
        }
    }
}
