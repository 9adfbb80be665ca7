// Sonatype Nexus Repository: `X-Nexus-Webhook-Signature`, lower-case hexadecimal HMAC-SHA1 over the body, without a prefix.
//
// SHA-1 is all that it has. It proves a Flux Receiver's delivery, whose path is a secret besides; a Hook wants a token in the address,
// and the signature must be right where there is one. Source: help.sonatype.com "Working with HMAC payloads".

enum Nexus: Sender {
    static let type = SenderType.nexus
    static let credentials: [SenderCredential] = [.query("token"), .pathSegment]

    private static let shape = MemberShape.object([("action", .text), ("repositoryName", .text)])

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        let (value, isRepeated) = SenderSignature.single(request, "x-nexus-webhook-signature")
        if !keys.isFlux {
            let proof = keys.proveCredential(Self.self, request)
            guard proof == .proven, value != nil || isRepeated else { return proof }
            if isRepeated { return .refused(.signatureRepeated) }
        }
        guard let value else { return .refused(.signatureMissing) }
        return SenderSignature.proveHex(value.utf8, .sha1, of: request.body, keys.secrets, isLowerCaseOnly: true)
    }

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        // One JSON text and nothing behind it, for Flux Receivers too.
        guard let body = JSONValue(request.body), shape.fits(body) else { return nil }
        return SenderReading(eventNames: [body.member(ignoringCase: "action")?.plainText ?? ""])
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        guard let body = JSONValue(request.body) else { return SenderEvent() }
        let event = Event(kind: body["action"]?.plainText, repository: body["repositoryName"]?.plainText)
        guard let component = body["component"], component["format"]?.text == "docker",
            let name = component["name"]?.plainText
        else { return SenderEvent(event) }
        // Nexus does not name its host. By its own port or subdomain the image is the component's name; by path the repository's
        // name stands before it.
        let others = event.repository.map { [$0 + "/" + name] } ?? []
        return SenderEvent(
            event,
            images: [
                ImageEvent(
                    image: name, tag: component["version"]?.plainText, registry: .unknown(otherNames: others))
            ])
    }
}
