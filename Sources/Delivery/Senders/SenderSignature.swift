// SenderSignature: signatures over the body, as the senders write them into a field.

enum SenderSignature {
    /// `<algorithm>=<hex>` as go-github reads it for Flux Receivers (spec: HMAC rules): sha1, sha256 or sha512 in lower case, chosen by
    /// the prefix; hexadecimal digits of either case.
    static func proveAnyAlgorithm(_ value: String, of body: [UInt8], _ secrets: [SecretBytes]) -> SenderProof {
        let algorithms: [(prefix: String, algorithm: DigestAlgorithm)] = [
            ("sha256=", .sha256), ("sha1=", .sha1), ("sha512=", .sha512),
        ]
        for (prefix, algorithm) in algorithms where value.hasPrefix(prefix) {
            return proveHex(value.utf8.dropFirst(prefix.utf8.count), algorithm, of: body, secrets)
        }
        return .refused(.signaturePrefix)
    }

    /// Exactly the hexadecimal digits of one digest.
    static func proveHex(
        _ digits: some Collection<UInt8>, _ algorithm: DigestAlgorithm, of body: [UInt8], _ secrets: [SecretBytes],
        isLowerCaseOnly: Bool = false
    ) -> SenderProof {
        guard !secrets.isEmpty else { return .refused(.secretUnusable) }
        guard let claimed = hex(digits, isLowerCaseOnly: isLowerCaseOnly), claimed.count == algorithm.byteCount else {
            return .refused(.signatureMalformed)
        }
        return matches(claimed, algorithm, of: body, secrets) ? .proven : .refused(.signatureWrong)
    }

    /// In constant time over digests of equal length; every secret is tried, also after a match.
    static func matches(_ claimed: [UInt8], _ algorithm: DigestAlgorithm, of body: [UInt8], _ secrets: [SecretBytes])
        -> Bool
    {
        guard claimed.count == algorithm.byteCount else { return false }
        var isMatched = false
        for secret in secrets where !secret.isEmpty {
            if SecretBytes(secret.hmac(algorithm, of: body)).matches(claimed) { isMatched = true }
        }
        return isMatched
    }

    /// nil when something else stands there or a digit is missing.
    static func hex(_ digits: some Collection<UInt8>, isLowerCaseOnly: Bool = false) -> [UInt8]? {
        guard digits.count % 2 == 0, digits.count <= 2 * 64 else { return nil }
        var bytes: [UInt8] = []
        var rest = digits.makeIterator()
        while let high = rest.next(), let low = rest.next() {
            let values = (hexValue(high), hexValue(low))
            guard values.0 | values.1 <= 0x0f else { return nil }
            if isLowerCaseOnly, (0x41...0x46).contains(high) || (0x41...0x46).contains(low) { return nil }
            bytes.append(values.0 << 4 | values.1)
        }
        return bytes
    }

    /// The one value of a field that must not be repeated; nil in `value` when it is absent or empty.
    static func single(_ request: InboundRequest, _ name: String) -> (value: String?, isRepeated: Bool) {
        let values = request.allFields(name)
        guard let value = values.first, !value.isEmpty else { return (nil, values.count > 1) }
        return (value, values.count > 1)
    }
}
