// Standard Webhooks 1.0.0 (standardwebhooks.com), also as Svix and GitLab's signing token send it.
//
// Signed are id, `.`, timestamp, `.` and the raw body. The signature field lists `version,base64` items apart by blanks; one that
// matches is enough, which is how a sender changes its secret. `v1` is HMAC-SHA256 with the decoded bytes of `whsec_…`, `v1a` Ed25519
// with the public key `whpk_…`. Unknown versions are skipped; lengths are exact before anything is compared.

enum StandardWebhooks: Sender {
    static let type = SenderType.standardWebhooks
    static let credentials: [SenderCredential] = [.signature]
    static let hasDeliveryID = true

    /// Items that are looked at: senders have one or two, an attacker would have thousands.
    static let signaturesMax = 8

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        let prefix = request.field("webhook-signature") != nil ? "webhook-" : "svix-"
        let (id, isIDRepeated) = SenderSignature.single(request, prefix + "id")
        let (timestamp, isTimestampRepeated) = SenderSignature.single(request, prefix + "timestamp")
        let (list, isListRepeated) = SenderSignature.single(request, prefix + "signature")
        if isIDRepeated || isTimestampRepeated || isListRepeated { return .refused(.signatureRepeated) }
        guard let list, let id else { return .refused(.signatureMissing) }
        guard let timestamp, let sentSeconds = seconds(timestamp) else { return .refused(.timestampMalformed) }
        // What is signed is joined with `.`: an id with one could be read as another id and another time.
        guard !id.utf8.contains(UInt8(ascii: ".")) else { return .refused(.signatureMalformed) }

        var keyring = Keyring()
        for secret in keys.secrets { keyring.add(secret) }
        guard !keyring.isEmpty else { return .refused(.secretUnusable) }
        let message = Array(id.utf8) + [UInt8(ascii: ".")] + Array(timestamp.utf8) + [UInt8(ascii: ".")] + request.body
        let proof = keyring.prove(list, message)
        guard proof == .proven else { return proof }
        let nowSeconds = keys.now / 1_000_000_000
        let distance = nowSeconds > sentSeconds ? nowSeconds - sentSeconds : sentSeconds - nowSeconds
        return distance <= UInt64(keys.configuration.toleranceSeconds) ? .proven : .refused(.timestampOutOfRange)
    }

    /// Decimal digits only: neither sign nor blank nor fraction. Below the year 33658.
    private static func seconds(_ text: String) -> UInt64? {
        guard (1...12).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return UInt64(text)
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        let id = request.field("webhook-signature") != nil ? request.field("webhook-id") : request.field("svix-id")
        var event = request.field("x-gitlab-event") ?? ""
        // The body names the event in `type`; it is looked into only where that decides something.
        if event.isEmpty, !keys.events.isEmpty { event = JSONValue(request.body)?["type"]?.plainText ?? "" }
        return SenderReading(eventNames: [event], deliveryID: id.flatMap(SenderTable.deliveryID))
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        let isGitLab = request.field("x-gitlab-event") != nil
        var event = unsafe request.body.withUnsafeBytes { body in
            unsafe decodeEvent(
                sender: isGitLab ? .gitlab : .standardWebhooks, eventKind: eventName,
                contentType: request.field("content-type"), body: body)
        }
        if event.kind == nil { event.kind = JSONValue(request.body)?["type"]?.plainText }
        return SenderEvent(event)
    }

    /// The secrets of a route by what they verify.
    private struct Keyring {
        var symmetric: [SecretBytes] = []
        var publicKeys: [[UInt8]] = []
        var isEmpty: Bool { symmetric.isEmpty && publicKeys.isEmpty }

        mutating func add(_ secret: SecretBytes) {
            switch StandardWebhooksKey(secret) {
            case .symmetric(let key): symmetric.append(key)
            case .publicKey(let key): publicKeys.append(key)
            case nil: break
            }
        }

        func prove(_ list: String, _ message: [UInt8]) -> SenderProof {
            var hasKnownVersion = false
            var isWellFormed = false
            // Made once for each secret, whatever the list says.
            let digests = symmetric.map { SecretBytes($0.hmac(.sha256, of: message)) }
            for item in list.utf8.split(separator: UInt8(ascii: " ")).prefix(StandardWebhooks.signaturesMax) {
                let parts = item.split(separator: UInt8(ascii: ","), maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { continue }
                let isSymmetric = parts[0].elementsEqual("v1".utf8)
                guard isSymmetric || parts[0].elementsEqual("v1a".utf8) else { continue }
                hasKnownVersion = true
                guard let signature = SenderBase64.standard(parts[1]), signature.count == (isSymmetric ? 32 : 64) else {
                    continue
                }
                isWellFormed = true
                let isRight =
                    isSymmetric
                    ? SenderCredential.anyOf(digests, matches: signature)
                    : publicKeys.contains { PublicKeySignature.ed25519(signature, of: message, key: $0) }
                if isRight { return .proven }
            }
            guard hasKnownVersion else { return .refused(.signaturePrefix) }
            return .refused(isWellFormed ? .signatureWrong : .signatureMalformed)
        }
    }
}
