// HTTPSigning: the key with which `http` actions sign, as Standard Webhooks does.

/// From a stored secret to a key.
public enum HTTPSigning {
    /// What stands behind `whsec_` as base64; without that prefix the bytes as they are. nil: empty, or no base64 behind `whsec_`.
    public static func key(of secret: SecretBytes) -> [UInt8]? {
        let prefix = Array("whsec_".utf8)
        guard secret.bytes.starts(with: prefix) else { return secret.isEmpty ? nil : secret.bytes }
        guard let key = SenderBase64.standard(secret.bytes.dropFirst(prefix.count)), !key.isEmpty else { return nil }
        return key
    }
}
