// Google Container Registry and Artifact Registry: a Pub/Sub push with an ID token of the subscription's service account.
//
// Token: RS256 by Google's keys or ES256 by those of Identity-Aware Proxy; audience and account are the route's. A genuine token of
// another account proves nothing: anybody can have one. Body: the Pub/Sub envelope with base64 of {action, digest, tag} as
// `message.data`. Sources: cloud.google.com "Authenticate push subscriptions", "Configure Pub/Sub notifications" (Artifact
// Registry); upstream's receiver_handlers.go (spec: gcr).

enum GCR: Sender {
    static let type = SenderType.gcr
    static let credentials: [SenderCredential] = [.idToken]
    static let hasDeliveryID = true

    static let issuers = ["accounts.google.com", "https://accounts.google.com"]
    static let googleKeysURL = "https://www.googleapis.com/oauth2/v3/certs"
    static let proxyKeysURL = "https://www.gstatic.com/iap/verify/public_key-jwk"

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        guard let audience = keys.configuration.audience, !audience.isEmpty,
            let email = keys.configuration.email, !email.isEmpty
        else { return .refused(.secretUnusable) }
        do throws(IDTokenFailure) {
            let text = try BearerToken.read(request, isFlux: keys.isFlux).get()
            // The algorithm chooses the key set, and with it the only algorithm that is then accepted.
            let (url, algorithm) = try keySet(for: IDToken(text).algorithm)
            return .awaitsToken(
                IDTokenDemand(
                    token: text, keys: .fixed(urls: [url]), issuers: issuers, audience: audience,
                    algorithms: [algorithm]))
        } catch {
            return .refusedToken(error)
        }
    }

    private static func keySet(for algorithm: String?) throws(IDTokenFailure) -> (url: String, algorithm: String) {
        switch algorithm {
        case "RS256": (googleKeysURL, "RS256")
        case "ES256": (proxyKeysURL, "ES256")
        default: throw .algorithmRefused
        }
    }

    static func judge(claims: JSONValue, _ keys: SenderKeys) -> Result<Void, ClaimsFailure> {
        guard let email = keys.configuration.email, !email.isEmpty, let audience = keys.configuration.audience else {
            return .failure(ClaimsFailure("the Secret has no email or audience"))
        }
        // One audience as text: a list is not what Google sends.
        guard let named = claims["aud"]?.text, named.utf8.elementsEqual(audience.utf8) else {
            return .failure(ClaimsFailure("the audience of the token is not the configured one"))
        }
        guard let account = claims["email"]?.text, account.utf8.elementsEqual(email.utf8) else {
            return .failure(ClaimsFailure("the email of the token is not the configured one"))
        }
        guard claims["email_verified"]?.boolean == true else {
            return .failure(ClaimsFailure("the email of the token is not verified"))
        }
        return .success(())
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        guard let envelope = request.json(isFlux: keys.isFlux), let notice = notice(in: envelope) else { return nil }
        // Pub/Sub repeats a message under its id until it is acknowledged.
        let id = envelope.member(ignoringCase: "message")?.member(ignoringCase: "messageId")?.plainText
        return SenderReading(
            eventNames: [notice["action"]?.plainText ?? ""], deliveryID: id.flatMap(SenderTable.deliveryID))
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        guard let notice = JSONValue.first(in: request.body).flatMap(notice) else { return SenderEvent() }
        var image = ImageEvent()
        // `digest` and `tag` are whole references; a deletion of a tag has no digest.
        if let digest = notice["digest"]?.plainText { image = ImageEvent(reference: digest) }
        if let tag = notice["tag"]?.plainText {
            let tagged = ImageEvent(reference: tag)
            image.image = image.image ?? tagged.image
            image.tag = tagged.tag
        }
        return SenderEvent(Event(kind: notice["action"]?.plainText), images: image == ImageEvent() ? [] : [image])
    }

    /// What filters see as `req`: exactly the three members, absent ones empty. nil when the body is no such envelope.
    static func filterBody(_ request: InboundRequest) -> JSONValue? {
        guard let notice = JSONValue.first(in: request.body).flatMap(notice) else { return nil }
        return .object(
            ["action", "digest", "tag"].map {
                JSONValue.Member(name: $0, value: .string(notice.member(ignoringCase: $0)?.text ?? ""))
            })
    }

    private static let envelopeShape = MemberShape.object([
        ("message", .object([("data", .text), ("messageId", .text), ("publishTime", .text)])), ("subscription", .text),
    ])
    private static let noticeShape = MemberShape.object([("action", .text), ("digest", .text), ("tag", .text)])

    private static func notice(in envelope: JSONValue) -> JSONValue? {
        guard envelopeShape.fits(envelope), let message = envelope.member(ignoringCase: "message"),
            let data = message.member(ignoringCase: "data")?.text, !data.isEmpty,
            let bytes = SenderBase64.standard(data.utf8), let notice = JSONValue(bytes), noticeShape.fits(notice)
        else { return nil }
        if let time = message.member(ignoringCase: "publishTime")?.text, !DateTime.isRFC3339(time) { return nil }
        return notice
    }
}
