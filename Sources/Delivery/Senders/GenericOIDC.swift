// Any workload with an identity: an ID token of one of the route's providers, whose claims pass the provider's validations.
//
// The issuer is read before anything is verified, and only to choose the provider; its own keys and its own audience then decide.
// Validations are CEL, evaluated by a closure of the provider. Source: upstream's receiver_oidc.go (spec: generic-oidc).

enum GenericOIDC: Sender {
    static let type = SenderType.genericOIDC
    static let credentials: [SenderCredential] = [.idToken]
    static let eventNaming = EventNaming.never

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        guard !keys.configuration.providers.isEmpty else { return .refused(.secretUnusable) }
        do throws(IDTokenFailure) {
            let text = try BearerToken.read(request, isFlux: keys.isFlux).get()
            let issuer = try IDToken.unverifiedIssuer(text).get()
            guard let provider = provider(of: issuer, keys) else { throw .issuerUnknown }
            return .awaitsToken(
                IDTokenDemand(
                    token: text, keys: .discovery(issuer: provider.issuerURL), issuers: [provider.issuerURL],
                    audience: provider.audience))
        } catch {
            return .refusedToken(error)
        }
    }

    static func judge(claims: JSONValue, _ keys: SenderKeys) -> Result<Void, ClaimsFailure> {
        guard let issuer = claims["iss"]?.text, let provider = provider(of: issuer, keys) else {
            return .failure(ClaimsFailure(IDTokenFailure.issuerUnknown.text))
        }
        return provider.evaluate(claims)
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent { SenderEvent() }

    private static func provider(of issuer: String, _ keys: SenderKeys) -> OIDCProvider? {
        keys.configuration.providers.first { $0.issuerURL.utf8.elementsEqual(issuer.utf8) }
    }
}
