// HookCredentials: header fields whose values prove something and therefore never reach the disk. Signatures stay: they prove one body only.

enum HookCredentials {
    private static let names: Set<String> = [
        "authorization", "proxy-authorization", "cookie", "x-gitlab-token", "private-token", "x-api-key",
        "x-auth-token",
        "x-webhook-token", "x-token",
    ]

    /// The places of such fields.
    static func fields(of request: InboundRequest) -> [CredentialPlace] {
        request.fields.indices.filter { names.contains(request.fields[$0].name) && !request.fields[$0].value.isEmpty }
            .map { .field($0) }
    }
}
