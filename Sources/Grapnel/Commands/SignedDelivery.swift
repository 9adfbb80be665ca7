// SignedDelivery: a delivery as a sender makes it: header fields and proof for a body and a secret.

import CCrypto
import Catalog
import Delivery
import Glibc

struct SignedDelivery {
    /// A field, and whether its value is a secret that must not be shown.
    struct Field: Equatable {
        var name: String
        var value: String
        var isSecret = false
    }

    var fields: [Field] = []
    var body: [UInt8]

    /// What a sender of type `sender` sends. GitLab's token goes out as it is, all others sign the body with it.
    init(
        sender: SenderType, body: [UInt8], secret: SecretBytes, event: String?, deliveryID: String,
        scheme: HMACScheme = HMACScheme()
    ) {
        self.body = body
        fields.append(Field(name: "Content-Type", value: "application/json"))
        switch sender {
        case .generic, .unverified, .dockerHub, .quay, .acr, .cdEvents, .gcr, .genericOIDC:
            // No proof in a field, or one that only the sender's own issuer can make.
            if sender == .cdEvents, let event { fields.append(Field(name: "Ce-Type", value: event)) }
        case .bitbucket:
            fields += [
                Field(name: "X-Event-Key", value: event ?? "repo:push"),
                Field(name: "X-Request-UUID", value: deliveryID),
                Field(name: "X-Hub-Signature", value: "sha256=" + Self.hex(Self.hmac(CC_SHA256, secret, body))),
            ]
        case .gitea:
            fields += [
                Field(name: "X-Gitea-Delivery", value: deliveryID),
                Field(name: "X-Gitea-Event", value: event ?? "push"),
                Field(name: "X-Gitea-Signature", value: Self.hex(Self.hmac(CC_SHA256, secret, body))),
                Field(name: "X-Hub-Signature-256", value: "sha256=" + Self.hex(Self.hmac(CC_SHA256, secret, body))),
            ]
        case .harbor:
            let token = String(decoding: secret.bytes, as: UTF8.self)
            fields.append(Field(name: "Authorization", value: token, isSecret: true))
        case .nexus:
            fields.append(
                Field(name: "X-Nexus-Webhook-Signature", value: Self.hex(Self.hmac(CC_SHA1, secret, body))))
        case .jfrog:
            fields.append(Field(name: "X-JFrog-Event-Auth", value: Self.hex(Self.hmac(CC_SHA256, secret, body))))
        case .standardWebhooks:
            let seconds = String(time(nil))
            let signed = Array("\(deliveryID).\(seconds).".utf8) + body
            let key = SecretBytes(Self.standardKey(secret))
            fields += [
                Field(name: "webhook-id", value: deliveryID), Field(name: "webhook-timestamp", value: seconds),
                Field(name: "webhook-signature", value: "v1," + Self.base64(Self.hmac(CC_SHA256, key, signed))),
            ]
        case .dockerRegistry, .token:
            let token = String(decoding: secret.bytes, as: UTF8.self)
            fields.append(Field(name: "Authorization", value: "Bearer \(token)", isSecret: true))
            if sender == .dockerRegistry {
                fields[0].value = "application/vnd.docker.distribution.events.v1+json"
            }
        case .azureDevOps, .basic:
            let pair = Array(":".utf8) + secret.bytes
            fields.append(Field(name: "Authorization", value: "Basic " + Self.base64(pair), isSecret: true))
        case .genericHMAC:
            fields.append(Field(name: "X-Signature", value: "sha256=" + Self.hex(Self.hmac(CC_SHA256, secret, body))))
        case .github:
            fields[0...] = [Field(name: "User-Agent", value: "GitHub-Hookshot/grapnel-send"), fields[0]]
            fields += [
                Field(name: "X-GitHub-Delivery", value: deliveryID),
                Field(name: "X-GitHub-Event", value: event ?? "push"),
                Field(name: "X-Hub-Signature", value: "sha1=" + Self.hex(Self.hmac(CC_SHA1, secret, body))),
                Field(name: "X-Hub-Signature-256", value: "sha256=" + Self.hex(Self.hmac(CC_SHA256, secret, body))),
            ]
        case .gitlab:
            fields += [
                Field(name: "X-Gitlab-Event", value: event ?? "Push Hook"),
                Field(name: "X-Gitlab-Event-UUID", value: deliveryID),
                Field(name: "Idempotency-Key", value: deliveryID),
                Field(name: "X-Gitlab-Token", value: String(decoding: secret.bytes, as: UTF8.self), isSecret: true),
            ]
        case .hmac:
            let digest = Self.hmac(scheme.algorithm == .sha256 ? CC_SHA256 : CC_SHA512, secret, body)
            let encoded = scheme.encoding == .hex ? Self.hex(digest) : Self.base64(digest)
            fields.append(Field(name: scheme.header, value: scheme.prefix + encoded))
        }
    }

    /// Sets a field, in place of one of the same name.
    mutating func set(_ name: String, _ value: String, isSecret: Bool) {
        fields.removeAll { $0.name.lowercased() == name.lowercased() }
        fields.append(Field(name: name, value: value, isSecret: isSecret))
    }

    /// The key as verification derives it; anything else is the key itself, which nobody will accept.
    private static func standardKey(_ secret: SecretBytes) -> [UInt8] {
        guard case .symmetric(let key) = StandardWebhooksKey(secret) else { return secret.bytes }
        return key.bytes
    }

    // - digests

    static func hmac(_ algorithm: Int, _ secret: SecretBytes, _ message: [UInt8]) -> [UInt8] {
        // Eight-byte words, since a prepared key must be aligned so.
        var key = [UInt64](repeating: 0, count: (cc_hmac_key_bytes() + 7) / 8)
        var digest = [UInt8](repeating: 0, count: Int(CC_DIGEST_MAX))
        // Sound: `key` has cc_hmac_key_bytes, `digest` the longest digest, and both outlive the calls.
        unsafe secret.bytes.withUnsafeBytes { unsafe cc_hmac_key_prepare(&key, $0.baseAddress, $0.count) }
        unsafe message.withUnsafeBytes { unsafe cc_hmac(&key, Int32(algorithm), $0.baseAddress, $0.count, &digest) }
        return Array(digest.prefix(cc_digest_bytes(Int32(algorithm))))
    }

    static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        var index = 0
        while index < bytes.count {
            let group = bytes[index...].prefix(3)
            let value = (0..<3).reduce(0) { $0 << 8 | ($1 < group.count ? Int(bytes[index + $1]) : 0) }
            for digit in 0..<4 { text.append(digit <= group.count ? alphabet[value >> (18 - 6 * digit) & 63] : "=") }
            index += 3
        }
        return text
    }
}
