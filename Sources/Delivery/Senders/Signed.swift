// The two plain signed types: `generic-hmac` of Flux Receivers and `hmac` of Hooks.

internal import CCrypto
internal import HTTP

/// `X-Signature: <algorithm>=<hex>`, first occurrence.
enum GenericHMAC {
    static func prove(_ head: HeadView) -> Proof {
        guard let value = head.first(.xSignature).value, value.count > 0 else { return .refused(.signatureMissing) }
        return unsafe GitHub.anyAlgorithm(unsafe head.bytes(value))
    }
}

/// A Hook of type `hmac`: header, algorithm, encoding and prefix as configured; exactly one field.
enum ConfiguredHMAC {
    static func prove(
        _ head: HeadView, _ scheme: HMACScheme, _ header: UnsafeRawBufferPointer, _ prefix: UnsafeRawBufferPointer
    )
        -> Proof
    {
        let (value, isRepeated) = unsafe head.first(named: header)
        if isRepeated { return .refused(.signatureRepeated) }
        guard let value, value.count > 0 else { return .refused(.signatureMissing) }
        let bytes = unsafe head.bytes(value)
        guard bytes.count >= prefix.count else { return .refused(.signaturePrefix) }
        for index in 0..<prefix.count where unsafe bytes[index] != prefix[index] { return .refused(.signaturePrefix) }
        let digits = unsafe UnsafeRawBufferPointer(rebasing: bytes[prefix.count...])
        let algorithm = scheme.algorithm == .sha256 ? CC_SHA256 : CC_SHA512
        var proof = Proof(state: .awaitsDigest, cause: .none, algorithm: UInt8(algorithm))
        let count = cc_digest_bytes(Int32(algorithm))
        let isDecoded =
            scheme.encoding == .hex
            ? unsafe decodeHex(digits, into: &proof.digest, count: count)
            : unsafe decodeBase64(digits, into: &proof.digest, count: count)
        return isDecoded ? proof : .refused(.signatureMalformed)
    }
}
