// StandardWebhooksKey: the key that a stored secret of Standard Webhooks stands for. One reading for who verifies and who signs.
//
// Source: standardwebhooks.com specification 1.0.0, "Signature scheme": `whsec_` and base64 of 24 to 64 bytes; `whpk_` and base64 of a
// public Ed25519 key; `whsk_` is the private one, which a receiver has no business with.

/// What verifies, or makes, a signature.
public enum StandardWebhooksKey: Sendable, Equatable {
    /// For `v1`: HMAC-SHA256.
    case symmetric(SecretBytes)
    /// For `v1a`: Ed25519, 32 bytes. Verifies only.
    case publicKey([UInt8])

    /// `whsec_` and base64 of 24 to 64 bytes, also without the prefix; `whpk_` and base64 of 32 bytes. Blanks and line breaks at the
    /// end do not count. nil: anything else, a private key `whsk_` too, is no key.
    public init?(_ secret: SecretBytes) {
        let text = Self.trimmed(secret)
        if text.starts(with: "whpk_".utf8) {
            guard let key = SenderBase64.standard(text.dropFirst(5)), key.count == 32 else { return nil }
            self = .publicKey(key)
        } else {
            let encoded = text.starts(with: "whsec_".utf8) ? text.dropFirst(6) : text
            guard let key = SenderBase64.standard(encoded), (24...64).contains(key.count) else { return nil }
            self = .symmetric(SecretBytes(key))
        }
    }

    /// What an operator should do about a secret that is no key. Says of the secret only which kind it claims to be.
    static func remedy(for secret: SecretBytes) -> String {
        let text = trimmed(secret)
        if text.starts(with: "whsk_".utf8) {
            return
                "is a private key (whsk_), which only the sender may have: put the public one there, whpk_ and base64"
        }
        if text.starts(with: "whpk_".utf8) {
            return "is no public key: behind whpk_ must stand the base64 of 32 bytes; copy it from the sender again"
        }
        return
            "is no key of Standard Webhooks: it must be whsec_ and the base64 of 24 to 64 bytes; copy it from the sender, or "
            + "make one with: echo whsec_$(openssl rand -base64 32)"
    }

    private static func trimmed(_ secret: SecretBytes) -> ArraySlice<UInt8> {
        var text = secret.bytes[...]
        while let last = text.last, last == 0x20 || (0x09...0x0d).contains(last) { text = text.dropLast() }
        return text
    }
}
