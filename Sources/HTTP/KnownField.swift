// KnownField: header fields that some stage asks for, recognised once while the head is parsed, so that nobody compares
// names again. Recognition allocates nothing: a switch on the length, then comparisons of whole words with constants.

/// A header field's name as far as the server knows it. Names differ in `-` and `_`: no two spellings mean the same.
public enum KnownField: UInt8, Sendable, CaseIterable {
    case other = 0

    // HTTP itself.
    case host, contentLength, transferEncoding, connection, expect, contentType, contentEncoding, userAgent

    // Proof of identity: overwritten before a record reaches the disk.
    case authorization, cookie, proxyAuthorization

    // Proxies in front.
    case forwarded, xForwardedFor, xForwardedHost, xForwardedProto, xRealIP, xRequestID

    // GitHub, and what others copied from it.
    case xHubSignature256, xHubSignature, xSignature, xGitHubEvent, xGitHubDelivery

    // GitLab.
    case xGitlabToken, xGitlabEvent, xGitlabEventUUID, xGitlabWebhookUUID, idempotencyKey

    // Gitea, Forgejo, Gogs.
    case xGiteaEvent, xGiteaDelivery, xGiteaSignature, xForgejoEvent, xForgejoDelivery, xForgejoSignature
    case xGogsEvent, xGogsDelivery, xGogsSignature

    // Bitbucket.
    case xEventKey, xRequestUUID, xHookUUID, xAttemptNumber

    // Standard Webhooks, also as Svix spells it.
    case webhookID, webhookTimestamp, webhookSignature, svixID, svixTimestamp, svixSignature

    // Others that Flux receivers take.
    case xNexusWebhookSignature, ceType

    /// The name in lower case; empty for `other`.
    public var name: StaticString {
        switch self {
        case .other: ""
        case .host: "host"
        case .contentLength: "content-length"
        case .transferEncoding: "transfer-encoding"
        case .connection: "connection"
        case .expect: "expect"
        case .contentType: "content-type"
        case .contentEncoding: "content-encoding"
        case .userAgent: "user-agent"
        case .authorization: "authorization"
        case .cookie: "cookie"
        case .proxyAuthorization: "proxy-authorization"
        case .forwarded: "forwarded"
        case .xForwardedFor: "x-forwarded-for"
        case .xForwardedHost: "x-forwarded-host"
        case .xForwardedProto: "x-forwarded-proto"
        case .xRealIP: "x-real-ip"
        case .xRequestID: "x-request-id"
        case .xHubSignature256: "x-hub-signature-256"
        case .xHubSignature: "x-hub-signature"
        case .xSignature: "x-signature"
        case .xGitHubEvent: "x-github-event"
        case .xGitHubDelivery: "x-github-delivery"
        case .xGitlabToken: "x-gitlab-token"
        case .xGitlabEvent: "x-gitlab-event"
        case .xGitlabEventUUID: "x-gitlab-event-uuid"
        case .xGitlabWebhookUUID: "x-gitlab-webhook-uuid"
        case .idempotencyKey: "idempotency-key"
        case .xGiteaEvent: "x-gitea-event"
        case .xGiteaDelivery: "x-gitea-delivery"
        case .xGiteaSignature: "x-gitea-signature"
        case .xForgejoEvent: "x-forgejo-event"
        case .xForgejoDelivery: "x-forgejo-delivery"
        case .xForgejoSignature: "x-forgejo-signature"
        case .xGogsEvent: "x-gogs-event"
        case .xGogsDelivery: "x-gogs-delivery"
        case .xGogsSignature: "x-gogs-signature"
        case .xEventKey: "x-event-key"
        case .xRequestUUID: "x-request-uuid"
        case .xHookUUID: "x-hook-uuid"
        case .xAttemptNumber: "x-attempt-number"
        case .webhookID: "webhook-id"
        case .webhookTimestamp: "webhook-timestamp"
        case .webhookSignature: "webhook-signature"
        case .svixID: "svix-id"
        case .svixTimestamp: "svix-timestamp"
        case .svixSignature: "svix-signature"
        case .xNexusWebhookSignature: "x-nexus-webhook-signature"
        case .ceType: "ce-type"
        }
    }
}

extension KnownField {
    /// The field that the token `bytes[start ..< start + count]` names. The caller has checked that it is a token.
    @inline(__always)
    static func recognise(_ bytes: HeadBytes, at start: Int, count: Int) -> KnownField {
        switch count {
        case 4:
            if bytes.equalIgnoringCase(at: start, "host") { return .host }
        case 6:
            if bytes.equalIgnoringCase(at: start, "expect") { return .expect }
            if bytes.equalIgnoringCase(at: start, "cookie") { return .cookie }
        case 7:
            if bytes.equalIgnoringCase(at: start, "svix-id") { return .svixID }
            if bytes.equalIgnoringCase(at: start, "ce-type") { return .ceType }
        case 9:
            if bytes.equalIgnoringCase(at: start, "forwarded") { return .forwarded }
            if bytes.equalIgnoringCase(at: start, "x-real-ip") { return .xRealIP }
        case 10:
            if bytes.equalIgnoringCase(at: start, "connection") { return .connection }
            if bytes.equalIgnoringCase(at: start, "user-agent") { return .userAgent }
            if bytes.equalIgnoringCase(at: start, "webhook-id") { return .webhookID }
        case 11:
            if bytes.equalIgnoringCase(at: start, "x-signature") { return .xSignature }
            if bytes.equalIgnoringCase(at: start, "x-event-key") { return .xEventKey }
            if bytes.equalIgnoringCase(at: start, "x-hook-uuid") { return .xHookUUID }
        case 12:
            if bytes.equalIgnoringCase(at: start, "content-type") { return .contentType }
            if bytes.equalIgnoringCase(at: start, "x-request-id") { return .xRequestID }
            if bytes.equalIgnoringCase(at: start, "x-gogs-event") { return .xGogsEvent }
        case 13:
            if bytes.equalIgnoringCase(at: start, "authorization") { return .authorization }
            if bytes.equalIgnoringCase(at: start, "x-gitea-event") { return .xGiteaEvent }
        case 14:
            if bytes.equalIgnoringCase(at: start, "content-length") { return .contentLength }
            if bytes.equalIgnoringCase(at: start, "x-github-event") { return .xGitHubEvent }
            if bytes.equalIgnoringCase(at: start, "x-gitlab-token") { return .xGitlabToken }
            if bytes.equalIgnoringCase(at: start, "x-gitlab-event") { return .xGitlabEvent }
            if bytes.equalIgnoringCase(at: start, "x-request-uuid") { return .xRequestUUID }
            if bytes.equalIgnoringCase(at: start, "svix-timestamp") { return .svixTimestamp }
            if bytes.equalIgnoringCase(at: start, "svix-signature") { return .svixSignature }
        case 15:
            if bytes.equalIgnoringCase(at: start, "x-forwarded-for") { return .xForwardedFor }
            if bytes.equalIgnoringCase(at: start, "x-hub-signature") { return .xHubSignature }
            if bytes.equalIgnoringCase(at: start, "idempotency-key") { return .idempotencyKey }
            if bytes.equalIgnoringCase(at: start, "x-forgejo-event") { return .xForgejoEvent }
            if bytes.equalIgnoringCase(at: start, "x-gogs-delivery") { return .xGogsDelivery }
        case 16:
            if bytes.equalIgnoringCase(at: start, "content-encoding") { return .contentEncoding }
            if bytes.equalIgnoringCase(at: start, "x-forwarded-host") { return .xForwardedHost }
            if bytes.equalIgnoringCase(at: start, "x-gitea-delivery") { return .xGiteaDelivery }
            if bytes.equalIgnoringCase(at: start, "x-gogs-signature") { return .xGogsSignature }
            if bytes.equalIgnoringCase(at: start, "x-attempt-number") { return .xAttemptNumber }
        case 17:
            if bytes.equalIgnoringCase(at: start, "transfer-encoding") { return .transferEncoding }
            if bytes.equalIgnoringCase(at: start, "x-forwarded-proto") { return .xForwardedProto }
            if bytes.equalIgnoringCase(at: start, "x-github-delivery") { return .xGitHubDelivery }
            if bytes.equalIgnoringCase(at: start, "x-gitea-signature") { return .xGiteaSignature }
            if bytes.equalIgnoringCase(at: start, "webhook-timestamp") { return .webhookTimestamp }
            if bytes.equalIgnoringCase(at: start, "webhook-signature") { return .webhookSignature }
        case 18:
            if bytes.equalIgnoringCase(at: start, "x-forgejo-delivery") { return .xForgejoDelivery }
        case 19:
            if bytes.equalIgnoringCase(at: start, "proxy-authorization") { return .proxyAuthorization }
            if bytes.equalIgnoringCase(at: start, "x-hub-signature-256") { return .xHubSignature256 }
            if bytes.equalIgnoringCase(at: start, "x-gitlab-event-uuid") { return .xGitlabEventUUID }
            if bytes.equalIgnoringCase(at: start, "x-forgejo-signature") { return .xForgejoSignature }
        case 21:
            if bytes.equalIgnoringCase(at: start, "x-gitlab-webhook-uuid") { return .xGitlabWebhookUUID }
        case 25:
            if bytes.equalIgnoringCase(at: start, "x-nexus-webhook-signature") { return .xNexusWebhookSignature }
        default: break
        }
        return .other
    }
}
