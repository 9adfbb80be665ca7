// Type basic: any sender that can be given a user name and a password (RFC 7617).

enum BasicSender: Sender {
    static let type = SenderType.basic
    static let credentials: [SenderCredential] = [.basic(username: nil)]
    static let eventNaming = EventNaming.never

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent { SenderTable.anyGitHost(request) }
}
