// IDTokenFailure: why an ID token is refused, in the words that operators search their logs for.

/// For the log, never for an answer. Holds no text of the request.
public enum IDTokenFailure: Error, Sendable, Equatable, CaseIterable {
    case headerMissing
    case schemeWrong
    case malformed
    case issuerMissing
    case issuerUnknown
    case issuerWrong
    case audienceWrong
    case algorithmRefused
    case keyUnknown
    case signatureWrong
    case expired
    case notYetValid
    case discoveryWrong

    /// Begins as upstream's text does.
    public var text: String {
        switch self {
        case .headerMissing: "the Authorization header is missing or malformed"
        case .schemeWrong: "the Authorization header is missing a bearer token"
        case .malformed: "failed to parse bearer token: it is no signed JSON Web Token"
        case .issuerMissing: "failed to parse bearer token: it has no iss claim"
        case .issuerUnknown: "no oidcProvider configured for the issuer of the token"
        case .issuerWrong: "failed to verify OIDC token: its issuer is not the expected one"
        case .audienceWrong: "failed to verify OIDC token: its audience is not the expected one"
        case .algorithmRefused: "failed to verify OIDC token: its signature algorithm is not one of the issuer's"
        case .keyUnknown: "failed to verify OIDC token: the issuer has no key for it"
        case .signatureWrong: "failed to verify OIDC token: no key of the issuer made its signature"
        case .expired: "failed to verify OIDC token: it is expired, or has no expiry"
        case .notYetValid: "failed to verify OIDC token: it is not valid yet"
        case .discoveryWrong: "failed to verify OIDC token: the issuer's discovery document is not usable"
        }
    }
}
