// RecordedProof: what proved a delivery that is in the journal, as far as its record tells: the kind of its route, its sender, and where
// the request bore something. Signatures stand there as they came; of other credentials only the overwritten place is left. Where the
// type of a Hook leaves a choice, the route as it is configured now says which.

internal import Delivery

/// What a sender showed.
enum RecordedProof: String, Sendable, CaseIterable {
    case none
    /// A secret part of the path.
    case path
    /// A secret in a field, in the query or in a form.
    case token
    case basic
    case hmacSHA1 = "hmac-sha1"
    case hmacSHA256 = "hmac-sha256"
    case hmacSHA512 = "hmac-sha512"
    /// An ID token of a trusted issuer.
    case oidc

    /// `definition`: of the route as it is now; nil: it is gone.
    init(_ route: RouteIdentity, _ sender: SenderType, _ fields: [InboundRequest.Field], _ definition: RouteDefinition?)
    {
        let now = definition.flatMap { $0.sender == sender ? $0 : nil }
        if let chosen = (now?.rules as? SenderRules)?.credential, let proof = RecordedProof(chosen) {
            self = proof
            return
        }
        let wanted = ProofExpectation(now ?? RouteDefinition(identity: route, path: "", sender: sender, secrets: []))
        let signature = fields.first {
            wanted.signatureFields.contains($0.name.lowercased()) && !$0.value.allSatisfy { $0 == "*" }
        }
        if let signature {
            self = Self.signed(signature.value)
            return
        }
        switch (route.kind, sender) {
        case (.receiver, .generic): self = .path
        case (.hook, .unverified): self = .none
        case (.hook, .gcr), (.hook, .genericOIDC), (.receiver, .gcr), (.receiver, .genericOIDC): self = .oidc
        default: self = Self.token(wanted.tokenPlaces)
        }
    }

    /// nil: a signature, whose field says more.
    private init?(_ credential: SenderCredential) {
        switch credential {
        case .signature: return nil
        case .bearer, .header, .query: self = .token
        case .basic: self = .basic
        case .pathSegment: self = .path
        case .idToken: self = .oidc
        case .nothing: self = .none
        }
    }

    /// By what stands before the digest, or by how long it is.
    private static func signed(_ value: String) -> RecordedProof {
        let value = value.lowercased()
        if value.hasPrefix("sha1=") { return .hmacSHA1 }
        if value.hasPrefix("sha512=") { return .hmacSHA512 }
        if value.hasPrefix("sha256=") { return .hmacSHA256 }
        switch value.utf8.count {
        case 28, 40: return .hmacSHA1
        case 88, 128: return .hmacSHA512
        default: return .hmacSHA256
        }
    }

    private static func token(_ places: [ClaimedToken.Place]) -> RecordedProof {
        guard let first = places.first, places.count == 1 else { return .token }
        switch first {
        case .pathSegment: return .path
        case .basicPassword: return .basic
        default: return .token
        }
    }
}
