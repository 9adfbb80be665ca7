// Type token: any sender that can bear the secret itself, in a field, in the query or as the path's end.

enum TokenSender: Sender {
    static let type = SenderType.token
    static let credentials: [SenderCredential] = [
        .bearer, .header("x-webhook-token"), .query("token"), .pathSegment,
    ]
    static let eventNaming = EventNaming.never

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent { SenderTable.anyGitHost(request) }
}
