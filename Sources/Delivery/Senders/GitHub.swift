// GitHub, and Gitea through the same fields: `X-Hub-Signature-256: sha256=` and 64 hexadecimal digits, HMAC over the raw body.
//
// Sources: docs.github.com "Validating webhook deliveries"; for Flux Receivers go-github's messages.go, which also takes sha1 and
// sha512, chooses by the prefix and not by the field's name, and consults X-Hub-Signature only when the first field is
// absent or empty. SHA-1 alone never proves a Hook's delivery.

internal import CCrypto
internal import HTTP

enum GitHub {
    /// A Hook: the SHA-256 field, exactly once.
    static func prove(_ head: HeadView) -> Proof {
        let (value, isRepeated) = head.first(.xHubSignature256)
        if isRepeated { return .refused(.signatureRepeated) }
        guard let value, value.count > 0 else { return .refused(.signatureMissing) }
        return unsafe parse(unsafe head.bytes(value), prefix: "sha256=", CC_SHA256)
    }

    /// A Flux Receiver: first occurrence; content type JSON or form.
    static func proveForFlux(_ head: HeadView) -> Proof {
        guard isContentTypeAccepted(head) else { return .refused(.contentTypeWrong) }
        if let value = head.first(.xHubSignature256).value, value.count > 0 {
            return unsafe anyAlgorithm(unsafe head.bytes(value))
        }
        guard let value = head.first(.xHubSignature).value, value.count > 0 else { return .refused(.signatureMissing) }
        return unsafe anyAlgorithm(unsafe head.bytes(value))
    }

    /// `<algorithm>=<hex>` with sha1, sha256 or sha512 in lower case; also the scheme of type generic-hmac.
    static func anyAlgorithm(_ value: UnsafeRawBufferPointer) -> Proof {
        if unsafe hasPrefix(value, "sha256=") { return unsafe parse(value, prefix: "sha256=", CC_SHA256) }
        if unsafe hasPrefix(value, "sha1=") { return unsafe parse(value, prefix: "sha1=", CC_SHA1) }
        if unsafe hasPrefix(value, "sha512=") { return unsafe parse(value, prefix: "sha512=", CC_SHA512) }
        return .refused(.signaturePrefix)
    }

    private static func parse(_ value: UnsafeRawBufferPointer, prefix: StaticString, _ algorithm: Int) -> Proof {
        guard unsafe hasPrefix(value, prefix) else { return .refused(.signaturePrefix) }
        var proof = Proof(state: .awaitsDigest, cause: .none, algorithm: UInt8(algorithm))
        let digits = unsafe UnsafeRawBufferPointer(rebasing: value[prefix.utf8CodeUnitCount...])
        guard unsafe decodeHex(digits, into: &proof.digest, count: cc_digest_bytes(Int32(algorithm))) else {
            return .refused(.signatureMalformed)
        }
        return proof
    }

    /// Media type application/json or application/x-www-form-urlencoded, any case, parameters allowed.
    private static func isContentTypeAccepted(_ head: HeadView) -> Bool {
        guard let value = head.first(.contentType).value else { return false }
        let bytes = unsafe head.bytes(value)
        var end = 0
        while unsafe end < bytes.count && bytes[end] != 0x3b { end += 1 }
        while unsafe end > 0 && (bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09) { end -= 1 }
        let mediaType = unsafe UnsafeRawBufferPointer(rebasing: bytes[0..<end])
        return unsafe isMediaType(mediaType, "application/json")
            || isMediaType(mediaType, "application/x-www-form-urlencoded")
    }

    private static func isMediaType(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        unsafe equalsIgnoringASCIICase(
            bytes, UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
