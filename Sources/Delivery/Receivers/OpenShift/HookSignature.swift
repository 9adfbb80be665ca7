// HookSignature: whether a sender's own signature or token is right for a secret.

enum HookSignature {
    /// `sha256=` and 64 hexadecimal digits, HMAC of the raw body.
    static func matches(_ field: String, prefix: String = "sha256=", _ secret: SecretBytes, _ body: [UInt8]) -> Bool {
        guard !secret.isEmpty, field.utf8.starts(with: prefix.utf8) else { return false }
        let digits = Array(field.utf8.dropFirst(prefix.utf8.count))
        guard digits.count == 64 else { return false }
        var digest: [UInt8] = []
        for index in 0..<32 {
            let high = hexValue(digits[2 * index])
            let low = hexValue(digits[2 * index + 1])
            guard high < 16, low < 16 else { return false }
            digest.append(high << 4 | low)
        }
        return SecretBytes(secret.hmac(.sha256, of: body)).matches(digest)
    }

    /// The schemes of option `verify-signature`: those of a webhook's type; for the generic one any, since any tool may call it.
    /// At least one field must be there, and each that is must be right.
    static func trouble(
        _ type: BuildHookType, _ request: InboundRequest, _ secret: SecretBytes
    ) -> VerifyCause? {
        var seen = 0
        func check(_ name: String, isRight: (String) -> Bool) -> VerifyCause? {
            let values = request.allFields(name)
            guard let value = values.first else { return nil }
            seen += 1
            if values.count > 1 { return .signatureRepeated }
            return isRight(value) ? nil : .signatureWrong
        }
        let isAny = type == .generic
        if type == .github || isAny {
            if let cause = check("x-hub-signature-256", isRight: { matches($0, secret, request.body) }) { return cause }
            // Gogs signs with a field of its own only.
            if seen == 0,
                let cause = check("x-gogs-signature", isRight: { matches($0, prefix: "", secret, request.body) })
            {
                return cause
            }
        }
        if type == .gitlab || isAny {
            if let cause = check("x-gitlab-token", isRight: { secret.matches($0) }) { return cause }
        }
        // Beside X-Hub-Signature-256 this field is GitHub's old SHA-1 one, which proves nothing.
        if type == .bitbucket || (isAny && request.field("x-hub-signature-256") == nil) {
            if let cause = check("x-hub-signature", isRight: { matches($0, secret, request.body) }) { return cause }
        }
        return seen > 0 ? nil : .signatureMissing
    }
}
