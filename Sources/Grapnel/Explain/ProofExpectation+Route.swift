// What each kind of receiver and sender wants as a proof, in the words of the sender's settings page.

import Delivery

extension ProofExpectation {
    init(_ route: RouteDefinition) {
        switch route.identity.kind {
        case .buildConfig:
            self.init(
                signatureFields: [], tokenPlaces: [.pathSegment],
                words: "the trigger's secret in the path: …/webhooks/<secret>/<type>")
        case .s2iBuilder:
            self.init(
                signatureFields: ["x-hub-signature-256"], algorithm: .sha256, prefix: "sha256=",
                tokenPlaces: [
                    .query("secretCode"), .form("secretCode"), .field("x-gitlab-token"), .bearer,
                ],
                words: "secretCode in form or query, X-Hub-Signature-256, X-Gitlab-Token or Authorization: Bearer")
        case .buildService:
            self.init(
                signatureFields: ["x-jfrog-event-auth"], algorithm: .sha256,
                tokenPlaces: [.bearer, .basicPassword, .query("token"), .pathSegment, .field("x-jfrog-event-auth")],
                words: "one of the credentials that buildService.auth lists for this endpoint")
        case .receiver, .hook: self.init(sender: route)
        }
    }

    private init(sender route: RouteDefinition) {
        let isFlux = route.identity.kind == .receiver
        switch route.sender {
        case .github:
            self.init(
                signatureFields: isFlux ? ["x-hub-signature-256", "x-hub-signature"] : ["x-hub-signature-256"],
                algorithm: isFlux ? nil : .sha256, prefix: isFlux ? nil : "sha256=",
                words: "X-Hub-Signature-256: sha256=<64 hexadecimal digits>")
        case .genericHMAC:
            self.init(signatureFields: ["x-signature"], words: "X-Signature: sha256=<64 hexadecimal digits>")
        case .bitbucket:
            self.init(
                signatureFields: isFlux ? ["x-hub-signature-256", "x-hub-signature"] : ["x-hub-signature"],
                algorithm: isFlux ? nil : .sha256, prefix: isFlux ? nil : "sha256=",
                words: "X-Hub-Signature: sha256=<64 hexadecimal digits>")
        case .gitea:
            self.init(
                signatureFields: [
                    "x-gitea-signature", "x-forgejo-signature", "x-gogs-signature", "x-hub-signature-256",
                ], algorithm: .sha256,
                words: "X-Gitea-Signature: <64 hexadecimal digits>, or X-Hub-Signature-256 with sha256= before them")
        case .nexus:
            self.init(
                signatureFields: ["x-nexus-webhook-signature"], algorithm: .sha1,
                words: "X-Nexus-Webhook-Signature: <40 hexadecimal digits>")
        case .jfrog:
            self.init(
                signatureFields: ["x-jfrog-event-auth"], algorithm: .sha256,
                tokenPlaces: [.field("x-jfrog-event-auth"), .bearer, .basicPassword],
                words: "X-JFrog-Event-Auth: <64 hexadecimal digits, or the secret itself>")
        case .standardWebhooks:
            self.init(
                signatureFields: ["webhook-signature", "svix-signature"], algorithm: .sha256, encoding: .base64,
                words: "webhook-id, webhook-timestamp and webhook-signature: v1,<base64>")
        case .hmac:
            let scheme = route.hmac ?? HMACScheme()
            let count = scheme.algorithm == .sha256 ? 64 : 128
            let form = scheme.encoding == .hex ? "\(count) hexadecimal digits" : "base64"
            self.init(
                signatureFields: [scheme.header], algorithm: scheme.algorithm == .sha256 ? .sha256 : .sha512,
                encoding: scheme.encoding == .hex ? .hex : .base64, prefix: scheme.prefix,
                words: "\(scheme.header): \(scheme.prefix)<\(form) of HMAC-\(scheme.algorithm.rawValue)>")
        case .gitlab:
            self.init(tokenPlaces: [.field("x-gitlab-token")], words: "X-Gitlab-Token: <the secret token itself>")
        case .harbor where isFlux:
            self.init(tokenPlaces: [.field("authorization")], words: "Authorization: <the secret itself>")
        case .generic, .unverified:
            self.init(words: "nothing but the path")
        case .gcr, .genericOIDC:
            self.init(words: "Authorization: Bearer <ID token of a trusted issuer>")
        default:
            let known = SenderTable.credentials(of: route.sender)
            self.init(
                tokenPlaces: known.compactMap(\.tokenPlace),
                words: "the secret as " + known.map(\.words).joined(separator: ", or "))
        }
    }
}

extension SenderCredential {
    fileprivate var tokenPlace: ClaimedToken.Place? {
        switch self {
        case .bearer: .bearer
        case .basic: .basicPassword
        case .header(let name): .field(name.lowercased())
        case .query(let name): .query(name)
        case .pathSegment: .pathSegment
        case .signature, .idToken, .nothing: nil
        }
    }

    fileprivate var words: String {
        switch self {
        case .signature: "a signature"
        case .bearer: "Authorization: Bearer"
        case .basic: "the password of Authorization: Basic"
        case .header(let name): "the field \(name)"
        case .query(let name): "the query parameter \(name)"
        case .pathSegment: "the last segment of the path"
        case .idToken: "an ID token"
        case .nothing: "nothing"
        }
    }
}
